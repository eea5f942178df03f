//! A lease of its own, made where the nodes' will be, tried and removed.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use leader_demo::store::{LeaseStore, Life, StoreError};
use leader_demo::{FileStore, LockName, clock};
use rustix::fs::OFlags;

use super::calls::{self, Calls};
use super::flock::{self, Flock};
use super::interrupt::Interrupt;
use super::report::Finding;

/// What nobody else calls an election.
pub(super) const PREFIX: &str = "leader-demo-doctor-";

/// Younger than that, who made it may be about to lock it.
const SETTLED: Duration = Duration::from_secs(10);

/// Where to try.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// In this directory.
    In(PathBuf),
    /// The lock directory is missing: in one made for it here.
    Below(PathBuf),
}

pub(super) struct Trial<'a> {
    store: Option<FileStore>,
    interrupt: &'a Interrupt,
    /// Tells the next doctor that this one lives.
    _lock: Option<File>,
}

/// What came of it.
pub(super) struct Tried {
    pub(super) calls: Calls,
    /// Whether the store takes a lock here for its holder's life.
    pub(super) life: Life,
    pub(super) flock: Flock,
}

impl<'a> Trial<'a> {
    /// Opens it as a node would; `lease` is what the nodes' will be called.
    pub(super) fn start(
        base: &Base,
        lease: &Path,
        shared: bool,
        interrupt: &'a Interrupt,
    ) -> Result<Self, Finding> {
        let unique = format!(
            "{PREFIX}{:x}-{:x}",
            std::process::id(),
            clock::now().as_nanos()
        );
        let name = LockName::new(&unique)
            .map_err(|e| Finding::said_by_store(&StoreError::new(e.to_string())))?;
        // From here on, what was made is removed at the end.
        let mut trial = Self {
            store: None,
            interrupt,
            _lock: None,
        };
        let (Base::In(here) | Base::Below(here)) = base;
        clear_up(here);
        let dir = match base {
            Base::In(dir) => dir.clone(),
            Base::Below(ancestor) => {
                let dir = ancestor.join(format!(".{unique}"));
                interrupt.leaves(dir.clone());
                DirBuilder::new().mode(0o700).create(&dir).map_err(|e| {
                    Finding::refused(
                        format!("it cannot be made: {}: {e}", ancestor.display()),
                        "make it for the user that runs the nodes, or choose another directory",
                    )
                })?;
                dir
            }
        };
        let path = dir.join(format!("{unique}.lock"));
        let litter = match base {
            Base::In(_) => &path,
            Base::Below(_) => &dir,
        };
        interrupt.leaves(litter.clone());
        let opened = match shared {
            true => FileStore::open_shared(&dir, &name),
            false => FileStore::open(&dir, &name),
        };
        let renamed = |e: StoreError| {
            let (from, to) = (path.display().to_string(), lease.display().to_string());
            Finding::said_by_store(&StoreError::new(e.to_string().replace(&from, &to)))
        };
        trial.store = Some(opened.map_err(renamed)?);
        trial._lock = lock(litter).ok();
        Ok(trial)
    }

    pub(super) async fn run(&self) -> Result<Tried, StoreError> {
        let Some(store) = &self.store else {
            return Err(StoreError::new("it was not opened"));
        };
        let first = calls::take(store, None).await?;
        let first = first.ok_or_else(calls::disturbed)?;
        let calls = calls::time(store, first, self.interrupt).await?;
        Ok(Tried {
            life: store.life(calls.left.at).await?,
            calls,
            flock: flock::between_two_processes(&store.path().join("flock")),
        })
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.store = None;
        self.interrupt.tidy();
    }
}

/// Removes what doctors have left that were killed.
fn clear_up(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let a_doctors = name.trim_start_matches('.').starts_with(PREFIX);
        if a_doctors && is_forsaken(&entry.path()).unwrap_or(false) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether it is this user's, and whoever made it has died.
fn is_forsaken(path: &Path) -> io::Result<bool> {
    let dir = lock(path)?.metadata()?;
    let age = clock::wall_time().duration_since(dir.modified()?);
    Ok(dir.uid() == rustix::process::geteuid().as_raw() && age.is_ok_and(|age| age > SETTLED))
}

/// Locks a directory, if nobody else has.
fn lock(dir: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let mut options = File::options();
    let dir = options
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(dir)?;
    fs2::FileExt::try_lock_exclusive(&dir)?;
    Ok(dir)
}
