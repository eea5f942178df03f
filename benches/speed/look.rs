//! Who only looks: how soon `status` answers, and how soon `watch` says what happened.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leader_demo::clock;
use rustix::process::Signal;

use crate::Plan;
use crate::common::turns;
use crate::failover::{PAUSE, READY};
use crate::process::{Place, Process, ours, time};
use crate::renewal::Renewer;
use crate::table::{Samples, Table};

/// As in failover: a follower is ready soon, and a frozen leader is replaced soon.
const NODE: [&str; 2] = ["--lease-duration=1s", "--heartbeat-period=1h"];

/// How long `status` may take, and `watch` to tell of another leader or a renewal.
const ANSWER: Duration = Duration::from_millis(5);
const CHANGE: Duration = Duration::from_millis(10);
const RENEWAL: Duration = Duration::from_millis(100);

pub(crate) fn status(plan: &Plan, table: &mut Table) -> Result<()> {
    table.title("status of an election that is led: the process, start to end");
    for place in &plan.places {
        eprintln!("status, {}", place.name);
        let dir = place.fresh()?;
        let leader = Process::node(&dir, &[])?;
        leader.next("elected")?;
        let (mut bare, mut status) = (Samples::default(), Samples::default());
        for round in 0..plan.rounds {
            for turn in turns(round, 2) {
                std::thread::sleep(PAUSE);
                match turn {
                    0 => bare.push(time(&mut Command::new("true"))?),
                    _ => status.push(time(&mut ours("status", &dir))?),
                }
            }
        }
        table.samples("any process: true(1)", &place.name, &bare, "the baseline");
        let baseline = ("true(1)", bare.p50());
        table.promised("status", &place.name, &status, baseline, ANSWER);
    }
    Ok(())
}

/// A `watch` that has said who leads.
pub(crate) fn watcher(dir: &Path, args: &[&str]) -> Result<Process> {
    let watch = Process::spawn(ours("watch", dir).arg("--json").args(args))?;
    watch.next("elected")?;
    Ok(watch)
}

/// The parent of a `watch` on a terminal, if there is a way to make one.
pub(crate) fn view(dir: &Path) -> Result<Option<Process>> {
    if Command::new("script").arg("--version").output().is_err() {
        return Ok(None);
    }
    let watch = "stty cols 100 rows 30; exec \"$PROGRAM\" watch --lock-dir \"$DIR\"";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec script -qc \"$WATCH\" /dev/null >/dev/null"])
        .env("WATCH", watch)
        .env("PROGRAM", env!("CARGO_BIN_EXE_leader-demo"))
        .env("DIR", dir)
        .env("TERM", "xterm-256color");
    Process::spawn(&mut shell).map(Some)
}

/// How a leadership ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Killed,
    Terminated,
    HandedOver,
    Frozen,
}

/// A leader, the next one, and who watches.
struct Watched {
    end: End,
    dir: PathBuf,
    leader: Process,
    next: Option<Process>,
    watch: Process,
    /// Until the new leader's own line, and the line of `watch`, was read.
    own: Samples,
    seen: Samples,
}

impl Watched {
    fn new(end: End, place: &Place) -> Result<Self> {
        let dir = place.fresh()?;
        let leader = Process::node(&dir, &NODE)?;
        leader.next("elected")?;
        Ok(Self {
            end,
            watch: watcher(&dir, &[])?,
            dir,
            leader,
            next: None,
            own: Samples::default(),
            seen: Samples::default(),
        })
    }

    fn reset(&mut self) -> Result<()> {
        let next = Process::node(&self.dir, &NODE)?;
        next.next("new_leader")?;
        self.next = Some(next);
        Ok(())
    }

    fn round(&mut self) -> Result<()> {
        std::thread::sleep(PAUSE);
        let next = self.next.take().context("reset")?;
        match self.end {
            End::Killed => drop(self.leader.signal(Signal::KILL)?),
            End::Terminated => drop(self.leader.signal(Signal::TERM)?),
            End::HandedOver => drop(time(&mut ours("hand-over", &self.dir))?),
            End::Frozen => drop(self.leader.signal(Signal::STOP)?),
        }
        let elected = next.next("elected")?;
        let seen = self.watch.next("elected")?;
        ensure!(seen.pid()? == next.pid, "watch missed a leader");
        self.own.push(elected.read.since(elected.at()));
        self.seen.push(seen.read.since(elected.at()));
        self.leader = next;
        Ok(())
    }
}

pub(crate) fn watch(plan: &Plan, table: &mut Table) -> Result<()> {
    const ENDS: [End; 4] = [End::Killed, End::Terminated, End::HandedOver, End::Frozen];
    let mut all = Vec::new();
    for place in &plan.places {
        for end in ENDS {
            all.push(Watched::new(end, place)?);
        }
    }
    let rounds = plan.rounds.div_ceil(4);
    for round in 0..rounds {
        eprint!("\rwatch: round {} of {rounds}", round + 1);
        // A lease has to run out: that takes its time.
        let due = |w: &Watched| w.end != End::Frozen || round < plan.freezes;
        for watched in all.iter_mut().filter(|w| due(w)) {
            watched.reset()?;
        }
        std::thread::sleep(READY);
        for turn in turns(round, all.len()) {
            if due(&all[turn]) {
                all[turn].round()?;
            }
        }
    }
    eprintln!();
    for (all, place) in all.chunks(ENDS.len()).zip(&plan.places) {
        let place = &place.name;
        table.title(&format!(
            "elected -> watch says so, 0 if it does before, {place}"
        ));
        for Watched { end, own, seen, .. } in all {
            let what = match end {
                End::Killed => "after kill -9",
                End::Terminated => "after SIGTERM",
                End::HandedOver => "after a hand-over",
                End::Frozen => "after SIGSTOP",
            };
            table.promised(
                what,
                place,
                seen,
                ("the leader's own line", own.p50()),
                CHANGE,
            );
        }
    }
    table.title("renewal asked for -> watch says so");
    for place in &plan.places {
        renewals(plan, place, table)?;
    }
    Ok(())
}

fn renewals(plan: &Plan, place: &Place, table: &mut Table) -> Result<()> {
    let dir = place.fresh()?;
    let mut renewer = Renewer::new(&dir)?;
    let watch = watcher(&dir, &["--lock-name=lock", "--renewals"])?;
    let (mut took, mut seen) = (Samples::default(), Samples::default());
    for _ in 0..plan.rounds * 5 {
        std::thread::sleep(PAUSE);
        let asked = clock::now();
        took.push(renewer.renew()?);
        seen.push(watch.next("renewed")?.read.since(asked));
    }
    let baseline = ("the renewal itself", took.p50());
    table.promised("watch --renewals", &place.name, &seen, baseline, RENEWAL);
    Ok(())
}
