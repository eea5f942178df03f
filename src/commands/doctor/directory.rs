//! The lock directory: what it is on, what works there, who leads in it.

use std::io;
use std::path::{Path, PathBuf};

use leader_demo::LockName;
use leader_demo::store::file::Filesystem;
use leader_demo::store::{Life, StoreError};
use serde::Serialize;

use super::access::{self, Owned};
use super::flock::Flock;
use super::interrupt::Interrupt;
use super::lease::{self, Lease};
use super::machine::is_container;
use super::measured::Measured;
use super::report::{Finding, Mark, short};
use super::restart::{self, Survival};
use super::timing::Tells;
use super::trial::{Base, PREFIX, Trial, Tried};
use super::{Examined, Facts};
use crate::cli::{self, Election};

/// Less than that, and the next election may already fail.
const ENOUGH_BYTES: u64 = 1 << 20;
const ENOUGH_INODES: u64 = 100;

/// Others that are named; there may be thousands.
const NAMED: usize = 5;

#[derive(Debug, Serialize)]
pub(super) struct Directory {
    path: PathBuf,
    /// None: it cannot be seen.
    exists: Option<bool>,
    filesystem: Option<String>,
    local: bool,
    hard_links: Option<bool>,
    flock: Option<&'static str>,
    /// Whether the death of a leader on this machine is noticed at once.
    lock_counts: bool,
    #[serde(flatten)]
    survival: Option<Survival>,
    free_bytes: Option<u64>,
    /// None: not counted there.
    free_inodes: Option<u64>,
    other_elections: Vec<String>,
    lease: Option<Lease>,
}

/// What has been found out until now.
struct Examination {
    facts: Directory,
    findings: Vec<Finding>,
    measured: Option<Measured>,
}

pub(super) async fn examine(
    election: &Election<&cli::Directory>,
    interrupt: &Interrupt,
) -> Examined {
    let dir = &election.place.dir;
    let here = nearest(dir);
    let (exists, finding) = is_there(dir, &here);
    let mut examined = Examination {
        facts: Directory {
            path: dir.clone(),
            exists,
            filesystem: None,
            local: false,
            hard_links: None,
            flock: None,
            lock_counts: false,
            survival: None,
            free_bytes: None,
            free_inodes: None,
            other_elections: Vec::new(),
            lease: None,
        },
        findings: vec![finding],
        measured: None,
    };
    examined.filesystem(&here, dir);
    let barred = examined.who_may_write(&here, election);
    let usable = examined.lease(election).await;
    if !barred {
        examined.try_out(&here, election, usable, interrupt).await;
    }
    examined.others(dir, election);
    let Examination {
        facts,
        findings,
        measured,
    } = examined;
    Examined {
        tells: match facts.lock_counts {
            true => Tells::Deaths,
            false => Tells::Nothing,
        },
        here_alone: facts.local,
        facts: Facts::of_directory(facts),
        findings,
        measured,
    }
}

fn is_there(dir: &Path, here: &Path) -> (Option<bool>, Finding) {
    let (name, above) = (dir.display(), here.display());
    match std::fs::symlink_metadata(dir) {
        Ok(_) => (Some(true), Finding::ok(format!("{name} is there"))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let says = format!("{name} will be made, in {above}");
            (Some(false), Finding::ok(says))
        }
        Err(e) => {
            let says = format!("it cannot be seen whether {name} is there: {e}");
            let remedy = "run this as the user that runs the nodes, or choose another directory";
            (None, Finding::refused(says, remedy))
        }
    }
}

/// The directory itself, or what is nearest above it.
fn nearest(dir: &Path) -> PathBuf {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let missing = |path: &&Path| {
        let found = std::fs::symlink_metadata(path);
        found.is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
    };
    let there = absolute.ancestors().find(|path| !missing(path));
    match there {
        Some(there) if there != absolute => there.to_owned(),
        // As it was given: people know it by that name.
        _ => dir.to_owned(),
    }
}

impl Examination {
    fn says(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn filesystem(&mut self, here: &Path, dir: &Path) {
        let Ok(filesystem) = Filesystem::of(here) else {
            // What is wrong with it is the store's to say.
            return;
        };
        let name = filesystem.name().map_or_else(
            || format!("an unknown filesystem ({:#x})", filesystem.magic()),
            str::to_owned,
        );
        self.facts.local = filesystem.is_local();
        self.says(match filesystem.is_local() {
            true => Finding::ok(format!(
                "it is on {name}, whose locks are this machine's own"
            )),
            false => Finding::warning(
                format!("it is on {name}, whose locks prove nothing: a crash costs the lease"),
                match is_container() {
                    true => "if all nodes are on this machine, mount a volume or a tmpfs there",
                    false => "if all nodes are on this machine, use a local disk: ext4, xfs, btrfs",
                },
            ),
        });
        self.facts.filesystem = Some(name);
        self.survives_restart(here, dir, filesystem);
        self.space(here);
    }

    fn survives_restart(&mut self, here: &Path, dir: &Path, filesystem: Filesystem) {
        let real = dir.canonicalize().or_else(|_| std::path::absolute(dir));
        let path = real.unwrap_or_else(|_| here.to_owned());
        let survival = restart::survival(&path, filesystem, restart::rules().as_deref());
        let elsewhere =
            "to keep terms for ever choose a directory on disk, for example in /var/lib";
        self.says(match &survival {
            Survival::Yes => Finding::ok("it survives a restart, and so do terms"),
            Survival::No(why) => Finding::warning(
                format!("it does not survive a restart ({why}): terms start again at 1"),
                elsewhere,
            ),
            Survival::UnlessUnused(why) => Finding::note(
                format!("it survives a restart, but {why}: then terms start again"),
                elsewhere,
            ),
            Survival::Unknown(why) => Finding::warning(
                format!("it may not survive a restart ({why}): then terms start again at 1"),
                elsewhere,
            ),
        });
        self.facts.survival = Some(survival);
    }

    fn space(&mut self, here: &Path) {
        // Some filesystems count nothing, and are full all the same.
        let stat = match rustix::fs::statvfs(here) {
            Ok(stat) if stat.f_blocks > 0 => stat,
            _ => return,
        };
        let bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
        // Some filesystems make inodes as they are needed and count none.
        let inodes = (stat.f_files > 0).then_some(stat.f_favail);
        self.facts.free_bytes = Some(bytes);
        self.facts.free_inodes = inodes;
        let free = format!(
            "{} MiB and {} inodes are free",
            bytes >> 20,
            inodes.map_or_else(|| "any number of".into(), |inodes| inodes.to_string())
        );
        let little = bytes < ENOUGH_BYTES || inodes.is_some_and(|inodes| inodes < ENOUGH_INODES);
        self.says(match little {
            true => Finding::warning(
                format!("only {free}: a leader leads on, but none may be elected"),
                "free some space and inodes",
            ),
            false => Finding::ok(free),
        });
    }

    /// Whether there is nothing in it that this user may write to.
    fn who_may_write(&mut self, here: &Path, election: &Election<&cli::Directory>) -> bool {
        let mut barred = false;
        if self.facts.exists == Some(true)
            && let Ok(metadata) = std::fs::metadata(here)
            && metadata.is_dir()
        {
            let owned = Owned::from(&metadata);
            let me = rustix::process::geteuid().as_raw();
            let denied = |e: io::Error| e.kind() == io::ErrorKind::PermissionDenied;
            // Where the lease is there already, that one is what counts.
            barred = access::may_write(here).is_err_and(denied)
                && std::fs::symlink_metadata(lease::path(election)).is_err();
            self.findings.extend(match barred {
                true => Some(access::barred(owned, me)),
                false => access::writers(owned, me, election.place.shared),
            });
        }
        self.findings.extend(access::open_above(here));
        barred
    }

    /// Looks at the lease that may be there; whether it could be used.
    async fn lease(&mut self, election: &Election<&cli::Directory>) -> Option<PathBuf> {
        let (lease, findings) = lease::look(election).await;
        let fit = lease.is_some() && findings.iter().all(|f| f.mark < Mark::Refused);
        self.findings.extend(findings);
        self.facts.lease = lease;
        fit.then(|| lease::path(election))
    }

    async fn try_out(
        &mut self,
        here: &Path,
        election: &Election<&cli::Directory>,
        usable: Option<PathBuf>,
        interrupt: &Interrupt,
    ) {
        let base = match (self.facts.exists, usable) {
            (Some(false), _) => Base::Below(here.to_owned()),
            // Somebody made it for us, in a directory that is not ours to write.
            (_, Some(lease)) if access::may_write(here).is_err() => Base::In(lease),
            _ => Base::In(here.to_owned()),
        };
        let lease = lease::path(election);
        let trial = match Trial::start(&base, &lease, election.place.shared, interrupt) {
            Ok(trial) => trial,
            Err(finding) => {
                if finding.says.contains("no hard links") {
                    self.facts.hard_links = Some(false);
                }
                return self.says(finding);
            }
        };
        match trial.run().await {
            Ok(tried) => self.tried(tried),
            Err(e) => self.says(not_elected(&e)),
        }
    }

    fn tried(&mut self, tried: Tried) {
        self.facts.hard_links = Some(true);
        self.says(Finding::ok("hard links work"));
        let (flock, finding) = judge(&tried.flock, self.facts.local);
        self.facts.flock = Some(flock);
        self.says(finding);
        let mut measured = Measured {
            read: tried.calls.read,
            renewal: tried.calls.renewal,
            acquisition: tried.calls.acquisition,
            release: tried.calls.release,
            ..Measured::default()
        };
        if let Flock::Honest(hand_off) = tried.flock {
            measured.hand_off = hand_off;
            self.facts.lock_counts = tried.life == Life::Alive;
        }
        self.findings
            .extend(measured.findings("an acquisition, with its syncs,"));
        self.measured = Some(measured);
    }

    fn others(&mut self, dir: &Path, election: &Election<&cli::Directory>) {
        let mut others: Vec<_> = std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                // Strangers may make others, with escapes for terminals say.
                LockName::new(name.strip_suffix(".lock")?).ok()
            })
            .filter(|name| *name != election.lock_name && !name.as_str().starts_with(PREFIX))
            .map(|name| name.to_string())
            .collect();
        others.sort();
        if !others.is_empty() {
            let more = match others.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let some = &others[..others.len().min(NAMED)];
            self.says(Finding::ok(format!(
                "other elections in it, which do no harm: {}{more}",
                some.join(", ")
            )));
        }
        self.facts.other_elections = others;
    }
}

fn not_elected(e: &StoreError) -> Finding {
    Finding::refused(
        format!("nobody could be elected: {e}"),
        "free some space and inodes, or mend what it says, or choose another directory",
    )
}

/// What an election makes of `flock(2)`, in a word and in a sentence.
fn judge(flock: &Flock, local: bool) -> (&'static str, Finding) {
    // Where locks are taken for proof, one that lies makes two leaders.
    let lies = |says: &str| match local {
        true => Finding::refused(
            format!("flock is not to be trusted: {says}"),
            "choose a directory on another filesystem",
        ),
        false => Finding::warning(
            format!("flock is not to be trusted: {says}; nothing here relies on it"),
            "a crash costs the lease; to avoid that choose a directory on another filesystem",
        ),
    };
    match flock {
        Flock::Honest(waited) => (
            "honest",
            Finding::ok(format!(
                "flock keeps two processes apart, and lets go of a killed one's in {}",
                short(*waited)
            )),
        ),
        Flock::Shared => ("shared", lies("two processes had one lock at once")),
        Flock::Stuck => (
            "stuck",
            Finding::warning(
                "flock did not let go of a killed process's lock: a crash costs the lease",
                "choose a directory on another filesystem",
            ),
        ),
        Flock::OtherFile => (
            "other_file",
            lies("two processes see two files at one path"),
        ),
        Flock::Unknown(e) => (
            "unknown",
            Finding::warning(
                format!("flock could not be tried: {e}"),
                "see that this program may start itself, and try again",
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::report::Mark;

    #[test]
    fn a_lock_that_lies_is_refused_where_it_would_be_believed() {
        let unknown = || Flock::Unknown(io::ErrorKind::Unsupported.into());
        for (flock, local, elsewhere) in [
            (Flock::Honest(std::time::Duration::ZERO), Mark::Ok, Mark::Ok),
            (Flock::Shared, Mark::Refused, Mark::Warning),
            (Flock::OtherFile, Mark::Refused, Mark::Warning),
            (Flock::Stuck, Mark::Warning, Mark::Warning),
            (unknown(), Mark::Warning, Mark::Warning),
        ] {
            assert_eq!(judge(&flock, true).1.mark, local, "{flock:?}");
            assert_eq!(judge(&flock, false).1.mark, elsewhere, "{flock:?}");
        }
    }

    #[test]
    fn what_is_missing_is_made_below_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(nearest(&root.path().join("a/b")), root.path());
        assert_eq!(nearest(root.path()), root.path());
        assert_eq!(nearest(Path::new("src")), Path::new("src"));
        assert_eq!(
            nearest(Path::new("nowhere/x")),
            std::env::current_dir().unwrap()
        );
    }
}
