//! A lease that is handed over on purpose, beside the end of a leader by SIGTERM.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use leader_demo::clock::BootTime;
use rustix::process::Signal;

use crate::Plan;
use crate::common::turns;
use crate::failover::{PAUSE, READY, Syncs};
use crate::process::{Place, Process, ours, time};
use crate::run::command_of;
use crate::table::{Samples, Table, verdict};

/// Short, so that who asks does not wait long for the nodes to look.
const RETRY: Duration = Duration::from_millis(200);
const NODE: [&str; 2] = ["--lease-duration=10m", "--retry-period=200ms"];

/// How long after the old leader's work has stopped the next may lead.
const TARGET: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, PartialEq)]
enum How {
    HandedOver,
    Resigned,
    Terminated,
}

/// What the nodes are.
#[derive(Clone, Copy)]
enum Work {
    /// The demo, whose work stops when it says so.
    Demo,
    /// `run`, whose work is a command.
    Command,
}

impl Work {
    fn start(self, dir: &Path) -> Result<Process> {
        match self {
            Self::Demo => {
                let [lease, retry] = NODE;
                Process::node(dir, &[lease, retry, "--heartbeat-period=1h"])
            }
            Self::Command => {
                let mut run = ours("run", dir);
                run.args(NODE)
                    .args(["--log-level=error", "--events=fd:1", "--"]);
                Process::spawn(command_of(&mut run)?)
            }
        }
    }

    /// When the work of a leader had stopped.
    fn stopped(self, leader: &Process) -> Result<BootTime> {
        match self {
            Self::Demo => {
                let ended = leader.next("revoked")?.ended_ns;
                Ok(BootTime::from_nanos(ended.context("revoked says when")?))
            }
            Self::Command => Ok(leader.next("command_ended")?.at()),
        }
    }
}

/// Three nodes, and how the lease goes from one to another.
struct Trio {
    work: Work,
    how: How,
    dir: PathBuf,
    leader: Process,
    others: Vec<Process>,
    /// From the end of the old leader's work until the next one leads, and until
    /// its command's first line.
    gap: Samples,
    line: Samples,
    /// From the start to the end of the command that asks.
    asked: Samples,
}

impl Trio {
    fn new(work: Work, how: How, place: &Place) -> Result<Self> {
        let dir = place.fresh()?;
        let leader = work.start(&dir)?;
        leader.next("elected")?;
        Ok(Self {
            work,
            how,
            dir,
            leader,
            others: Vec::new(),
            gap: Samples::default(),
            line: Samples::default(),
            asked: Samples::default(),
        })
    }

    /// A new one for each round, so that all kinds are alike.
    fn reset(&mut self) -> Result<()> {
        while self.others.len() < 2 {
            let other = self.work.start(&self.dir)?;
            other.next("new_leader")?;
            self.others.push(other);
        }
        Ok(())
    }

    fn round(&mut self) -> Result<()> {
        std::thread::sleep(PAUSE);
        match self.how {
            How::HandedOver => self.asked.push(time(&mut ours("hand-over", &self.dir))?),
            How::Resigned => self.asked.push(time(&mut ours("resign", &self.dir))?),
            How::Terminated => drop(self.leader.signal(Signal::TERM)?),
        }
        let stopped = self.work.stopped(&self.leader)?;
        let mut first = None;
        for (at, other) in self.others.iter().enumerate() {
            let said = other.next_of(&["elected", "new_leader", "works"])?;
            if said.event != "new_leader" {
                first = Some((at, said));
            }
        }
        let (at, mut elected) = first.context("nobody was elected")?;
        let next = self.others.remove(at);
        if let Work::Command = self.work {
            let mut works = next.next_of(&["elected", "works"])?;
            // A wrapper's lines have a thread of their own: its command may be
            // heard before it.
            if elected.event == "works" {
                std::mem::swap(&mut elected, &mut works);
            }
            self.line.push(works.at().since(stopped));
        }
        self.gap.push(elected.at().since(stopped));
        self.leader = next;
        Ok(())
    }
}

pub(crate) fn on_purpose(plan: &Plan, table: &mut Table) -> Result<()> {
    let all = [How::HandedOver, How::Resigned, How::Terminated];
    contest(plan, Work::Demo, &all, plan.rounds.div_ceil(2), table)?;
    let two = [How::HandedOver, How::Terminated];
    contest(plan, Work::Command, &two, plan.rounds.div_ceil(4), table)
}

fn contest(plan: &Plan, work: Work, how: &[How], rounds: usize, table: &mut Table) -> Result<()> {
    let mut trios = Vec::new();
    let mut syncs = Vec::new();
    for place in &plan.places {
        for how in how {
            trios.push(Trio::new(work, *how, place)?);
        }
        if !place.in_memory {
            syncs.push((place, Syncs::new(place)?));
        }
    }
    for round in 0..rounds {
        eprint!("\rhand-over: round {} of {rounds}", round + 1);
        for trio in &mut trios {
            trio.reset()?;
        }
        std::thread::sleep(READY);
        for turn in turns(round, trios.len()) {
            trios[turn].round()?;
        }
        for (_, sync) in &mut syncs {
            sync.round()?;
        }
    }
    eprintln!();
    for (trios, place) in trios.chunks(how.len()).zip(&plan.places) {
        report(work, trios, place, table);
    }
    for (place, sync) in &syncs {
        let what = "link(2) + fsync of the directory";
        table.samples(what, &place.name, &sync.took, "of which one is in each");
    }
    Ok(())
}

fn report(work: Work, trios: &[Trio], place: &Place, table: &mut Table) {
    let place = &place.name;
    table.title(&match work {
        Work::Demo => {
            format!("one of three steps down: its work has stopped -> next elected, {place}")
        }
        Work::Command => {
            format!("the same with run: its command has ended -> next elected, {place}")
        }
    });
    let Some(terminated) = trios.iter().find(|t| t.how == How::Terminated) else {
        return;
    };
    for trio in trios {
        let what = match trio.how {
            How::HandedOver => "hand-over",
            How::Resigned => "resign",
            How::Terminated => "SIGTERM",
        };
        let baseline = ("SIGTERM's", terminated.gap.p50());
        table.promised(what, place, &trio.gap, baseline, TARGET);
        if let Work::Command = work {
            let ratio = trio.line.p50().as_secs_f64() / terminated.line.p50().as_secs_f64();
            let what = format!("{what}, the next command's first line");
            table.samples(
                &what,
                place,
                &trio.line,
                format!("{ratio:.2}x of SIGTERM's"),
            );
        }
        // Each step waits for a look, so half of one at the mean, and some work.
        let looks = match trio.how {
            How::HandedOver => 2,
            How::Resigned => 1,
            How::Terminated => continue,
        };
        let most = RETRY / 4 * looks + Duration::from_millis(50);
        let remark = format!(
            "start to end; {looks} looks of {:?} at the most: {}",
            RETRY / 4,
            verdict(trio.asked.p50() <= most)
        );
        table.samples(&format!("{what}, the command"), place, &trio.asked, remark);
    }
}
