//! From the end of one leader to the next: killed, terminated, frozen.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use leader_demo::clock;
use rustix::process::Signal;

use crate::Plan;
use crate::common::turns;
use crate::process::{Place, Process};
use crate::roles;
use crate::table::{Bound, Samples, Table, show, verdict};

/// Short, so that a follower is ready for the next round soon; how it is killed
/// does not depend on it.
const NODE: [&str; 2] = ["--lease-duration=1s", "--heartbeat-period=1h"];
const LEASE: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(200);
const DEADLINE: Duration = Duration::from_millis(600);

/// A follower has looked twice and staged its claim.
pub(crate) const READY: Duration = Duration::from_millis(450);

/// Lets what the last measurement stirred up come to rest.
pub(crate) const PAUSE: Duration = Duration::from_millis(4);

/// One that has what the other waits for: the same pair for every contender.
struct Pair {
    contender: Contender,
    file: PathBuf,
    leader: Option<Process>,
    next: Option<Process>,
    took: Samples,
    /// Rounds in which the next leader was not told of the end of the last.
    by_timeout: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Contender {
    /// Two processes and an flock: what the kernel itself needs.
    Kernel,
    Ours,
    /// Another build of ours, to see what a change is worth.
    Other,
    /// util-linux: what a shell script would use.
    FlockCommand,
}

pub(crate) fn other_build() -> Option<PathBuf> {
    std::env::var_os("BENCH_AGAINST").map(PathBuf::from)
}

impl Pair {
    fn new(contender: Contender, place: &Place) -> Result<Self> {
        Ok(Self {
            contender,
            file: place.fresh()?.join("lock"),
            leader: None,
            next: None,
            took: Samples::default(),
            by_timeout: 0,
        })
    }

    fn dir(&self) -> &Path {
        self.file.parent().unwrap_or(&self.file)
    }

    fn follower(&self) -> Result<Process> {
        match self.contender {
            Contender::Kernel => Process::role(roles::HOLD, &[&self.file]),
            Contender::Ours => Process::node(self.dir(), &NODE),
            Contender::Other => {
                let program = other_build().context("BENCH_AGAINST")?;
                Process::node_of(&program, self.dir(), &NODE)
            }
            Contender::FlockCommand => Process::spawn(
                Command::new("flock")
                    .arg(&self.file)
                    .arg(std::env::current_exe()?)
                    .args([roles::FLAG, roles::STAMP]),
            ),
        }
    }

    /// Fills the places of those who are gone; the next round needs both.
    fn reset(&mut self) -> Result<()> {
        if self.leader.is_none() {
            let leader = match self.contender {
                Contender::FlockCommand => Process::role(roles::HOLD, &[&self.file])?,
                _ => self.follower()?,
            };
            leader.next("elected")?;
            self.leader = Some(leader);
        }
        let next = self.follower()?;
        if self.contender != Contender::FlockCommand {
            next.next("new_leader")?;
        }
        self.next = Some(next);
        Ok(())
    }

    fn round(&mut self, signal: Signal) -> Result<()> {
        std::thread::sleep(PAUSE);
        let (leader, next) = self.leader.take().zip(self.next.take()).context("reset")?;
        let ended = leader.signal(signal)?;
        let elected = next.next("elected")?;
        self.took.push(elected.at().since(ended));
        let told = elected.acquired.as_deref() != Some("expired");
        self.by_timeout += usize::from(!told);
        if self.contender != Contender::FlockCommand {
            self.leader = Some(next);
        }
        Ok(())
    }
}

/// What all contenders do on one filesystem with one signal.
struct Contest<'a> {
    place: &'a Place,
    signal: Signal,
    pairs: Vec<Pair>,
    /// Only where a sync means something.
    syncs: Option<Syncs>,
}

pub(crate) fn kill_and_terminate(plan: &Plan, table: &mut Table) -> Result<()> {
    let mut contenders = vec![Contender::Kernel, Contender::Ours];
    if other_build().is_some() {
        contenders.push(Contender::Other);
    }
    if Command::new("flock").arg("--version").output().is_ok() {
        contenders.push(Contender::FlockCommand);
    } else {
        table.note("flock(1) is not installed: its rows are missing");
    }
    let mut contests = Vec::new();
    for signal in [Signal::KILL, Signal::TERM] {
        for place in &plan.places {
            contests.push(Contest {
                place,
                signal,
                pairs: contenders
                    .iter()
                    .map(|contender| Pair::new(*contender, place))
                    .collect::<Result<_>>()?,
                syncs: if place.in_memory {
                    None
                } else {
                    Some(Syncs::new(place)?)
                },
            });
        }
    }
    for round in 0..plan.rounds {
        eprint!("\rfailover: round {} of {}", round + 1, plan.rounds);
        for pair in contests.iter_mut().flat_map(|c| &mut c.pairs) {
            pair.reset()?;
        }
        std::thread::sleep(READY);
        for turn in turns(round, contests.len() * contenders.len()) {
            let contest = &mut contests[turn / contenders.len()];
            contest.pairs[turn % contenders.len()].round(contest.signal)?;
            if turn % contenders.len() == 0
                && let Some(syncs) = &mut contest.syncs
            {
                syncs.round()?;
            }
        }
    }
    eprintln!();
    for contest in &contests {
        contest.report(table);
    }
    Ok(())
}

/// What it takes to make one new name durable.
pub(crate) struct Syncs {
    dir: PathBuf,
    open: File,
    number: usize,
    pub(crate) took: Samples,
}

impl Syncs {
    pub(crate) fn new(place: &Place) -> Result<Self> {
        let dir = place.fresh()?;
        File::create(dir.join("claim"))?.sync_all()?;
        Ok(Self {
            open: File::open(&dir)?,
            dir,
            number: 0,
            took: Samples::default(),
        })
    }

    pub(crate) fn round(&mut self) -> Result<()> {
        std::thread::sleep(PAUSE);
        let name = |number: usize| self.dir.join(number.to_string());
        let start = clock::now();
        std::fs::hard_link(self.dir.join("claim"), name(self.number + 1))?;
        self.open.sync_all()?;
        self.took.push(clock::now().since(start));
        if self.number > 0 {
            std::fs::remove_file(name(self.number))?;
        }
        self.number += 1;
        Ok(())
    }
}

impl Contest<'_> {
    fn report(&self, table: &mut Table) {
        let (name, verb) = match self.signal {
            Signal::KILL => ("kill -9", "killed"),
            _ => ("SIGTERM", "terminated"),
        };
        let place = &self.place.name;
        table.title(&format!("{name} of the leader, {place}"));
        let took = |contender| {
            let pair = self.pairs.iter().find(|p| p.contender == contender);
            pair.map(|p| &p.took)
        };
        let Some(kernel) = took(Contender::Kernel).map(Samples::p50) else {
            return;
        };
        for pair in &self.pairs {
            let what = match pair.contender {
                Contender::Kernel => format!("holder {verb}, the kernel hands over its flock"),
                Contender::Ours => format!("leader {verb} -> next elected"),
                Contender::Other => "the other build's leader".to_owned(),
                Contender::FlockCommand => "flock(1): the next command's first line".to_owned(),
            };
            let bound = match &self.syncs {
                None => Bound {
                    against: "the kernel's hand-off",
                    baseline: kernel,
                    times: 2.0,
                },
                Some(syncs) => Bound {
                    against: "hand-off + one sync",
                    baseline: kernel + syncs.took.p50(),
                    times: 2.0,
                },
            };
            match pair.contender {
                Contender::Ours | Contender::Other => {
                    table.judged(&what, place, &pair.took, &bound)
                }
                Contender::Kernel => table.samples(&what, place, &pair.took, "the baseline"),
                Contender::FlockCommand => {
                    let ratio = pair.took.p50().as_secs_f64() / kernel.as_secs_f64();
                    let remark = format!("{ratio:.2}x of the kernel's hand-off");
                    table.samples(&what, place, &pair.took, remark);
                }
            }
            if pair.by_timeout > 0 {
                table.note(format!(
                    "{name}, {place}: {} of {} rounds ended by the lease running out",
                    pair.by_timeout,
                    pair.took.len()
                ));
            }
        }
        if let Some(syncs) = &self.syncs {
            let what = "link(2) + fsync of the directory";
            table.samples(what, place, &syncs.took, "the baseline, in part");
        }
        if self.signal == Signal::KILL
            && let Some(ours) = took(Contender::Ours)
        {
            let lease = Duration::from_secs(10);
            let sooner = lease.as_secs_f64() / ours.p50().as_secs_f64();
            table.figure(
                "a plain lease of 10 s",
                place,
                show(lease),
                format!("by definition, not measured; ours is {sooner:.0}x sooner"),
            );
        }
    }
}

/// How much later one moment is than another; negative when it is earlier.
fn millis_after(later: clock::BootTime, earlier: clock::BootTime) -> f64 {
    let nanos = i128::from(later.as_nanos()) - i128::from(earlier.as_nanos());
    nanos as f64 / 1e6
}

pub(crate) fn freeze(plan: &Plan, table: &mut Table) -> Result<()> {
    let place = &plan.places[0];
    let mut since_freeze = Samples::default();
    let mut since_renewal = Samples::default();
    let mut least = f64::MAX;
    for round in 0..plan.freezes {
        eprint!("\rfrozen: round {} of {}", round + 1, plan.freezes);
        let mut pair = Pair::new(Contender::Ours, place)?;
        pair.reset()?;
        let (Some(leader), Some(next)) = (&pair.leader, &pair.next) else {
            continue;
        };
        // Somewhere else between two renewals each time.
        let share = RETRY * round as u32 / plan.freezes as u32;
        std::thread::sleep(READY + share);
        let frozen = leader.signal(Signal::STOP)?;
        let elected = next.next("elected")?.at();
        leader.signal(Signal::CONT)?;
        // It ended R after it had asked for its last renewal: so it says itself.
        let revoked = leader.next("revoked")?;
        let ended = revoked.ended_ns.context("revoked says when")?;
        let renewed = clock::BootTime::from_nanos(ended - DEADLINE.as_nanos() as u64);
        since_freeze.push(elected.since(frozen));
        since_renewal.push(elected.since(renewed));
        least = least.min(millis_after(elected, renewed + LEASE));
    }
    eprintln!();
    let (low, high) = (LEASE - RETRY, LEASE + RETRY);
    let (min, max) = (since_freeze.percentile(0), since_freeze.percentile(100));
    table.title(&format!("SIGSTOP of the leader, lease {}", show(LEASE)));
    table.samples(
        "frozen -> next elected",
        &place.name,
        &since_freeze,
        format!(
            "{} to {}; target {} to {}: {}",
            show(min),
            show(max),
            show(low),
            show(high),
            verdict(low <= min && max <= high)
        ),
    );
    table.samples(
        "its last renewal -> next elected",
        &place.name,
        &since_renewal,
        format!(
            "soonest {least:+.1} ms from the lease's end; target never before: {}",
            verdict(least >= 0.0)
        ),
    );
    Ok(())
}
