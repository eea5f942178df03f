//! `run`: from the end of one command to the first line of the next, and what
//! its guard costs while nothing happens.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};

use crate::Plan;
use crate::common::turns;
use crate::failover::{PAUSE, Syncs, other_build};
use crate::idle::shares;
use crate::process::{Figures, Place, Process};
use crate::roles;
use crate::table::{Bound, Samples, Table, verdict};

/// Short, so that whoever waits is ready for the next round soon.
const LEASE: &str = "--lease-duration=1s";

/// Who waits has looked twice and staged its claim, and its starter waits too.
const READY: Duration = Duration::from_millis(500);

/// What runs a command once the one before has ended.
#[derive(Clone, PartialEq)]
enum Runner {
    /// util-linux: what a shell script would use.
    FlockCommand,
    Ours(PathBuf),
    /// Another build of ours, to see what a change is worth.
    Other(PathBuf),
}

/// How the one that runs is ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// SIGKILL to the runner and its command, one right after the other.
    KillBoth,
    /// SIGKILL to the runner alone; the command ends at a SIGTERM.
    KillRunner,
    /// SIGTERM to the runner, which passes it on.
    Terminate,
}

/// One that runs its command, and one that waits to.
struct Pair {
    runner: Runner,
    end: End,
    file: PathBuf,
    running: Option<(Process, Pid)>,
    next: Option<Process>,
    took: Samples,
}

impl Pair {
    fn new(runner: &Runner, end: End, place: &Place) -> Result<Self> {
        Ok(Self {
            runner: runner.clone(),
            end,
            file: place.fresh()?.join("lock"),
            running: None,
            next: None,
            took: Samples::default(),
        })
    }

    fn start(&self) -> Result<Process> {
        match &self.runner {
            Runner::FlockCommand => {
                Process::spawn(command_of(Command::new("flock").arg(&self.file))?)
            }
            Runner::Ours(program) | Runner::Other(program) => {
                let dir = self.file.parent().unwrap_or(&self.file);
                start(program, dir, &[LEASE])
            }
        }
    }

    /// Fills the places of those who are gone; the next round needs both.
    fn reset(&mut self) -> Result<()> {
        if self.running.is_none() {
            let runner = self.start()?;
            let command = runner.next("works")?.pid()?;
            self.running = Some((runner, command));
        }
        self.next = Some(self.start()?);
        Ok(())
    }

    fn round(&mut self) -> Result<()> {
        std::thread::sleep(PAUSE);
        let running = self.running.take();
        let ((runner, command), next) = running.zip(self.next.take()).context("reset")?;
        let ended = match self.end {
            End::KillBoth => {
                let ended = runner.signal(Signal::KILL)?;
                // It may be gone by now: whoever ends takes others along.
                let _ = rustix::process::kill_process(command, Signal::KILL);
                ended
            }
            End::KillRunner => runner.signal(Signal::KILL)?,
            End::Terminate => runner.signal(Signal::TERM)?,
        };
        let started = next.next("works")?;
        self.took.push(started.at().since(ended));
        self.running = Some((next, started.pid()?));
        Ok(())
    }
}

/// Adds a command that says when its first line ran.
pub(crate) fn command_of(runner: &mut Command) -> Result<&mut Command> {
    let program = std::env::current_exe()?;
    Ok(runner.arg(program).args([roles::FLAG, roles::WORK]))
}

fn start(program: &Path, dir: &Path, args: &[&str]) -> Result<Process> {
    let mut runner = Command::new(program);
    let flags = ["run", "--log-level=error", "--lock-dir"];
    runner.args(flags).arg(dir).args(args).arg("--");
    Process::spawn(command_of(&mut runner)?)
}

/// What there is to measure on one filesystem.
struct Contest<'a> {
    place: &'a Place,
    pairs: Vec<Pair>,
    /// Only where a sync means something.
    syncs: Option<Syncs>,
}

impl<'a> Contest<'a> {
    fn new(place: &'a Place) -> Result<Self> {
        // `flock(1)` leaves its command alone when it is ended by itself, and
        // with it the lock.
        let flock = [(Runner::FlockCommand, End::KillBoth)];
        let ours = [Runner::Ours(env!("CARGO_BIN_EXE_leader-demo").into())];
        let other = other_build().map(Runner::Other);
        let ends = [End::KillBoth, End::KillRunner, End::Terminate];
        let ours = ours.into_iter().chain(other);
        let ours = ours.flat_map(|runner| ends.map(|end| (runner.clone(), end)));
        let pairs = flock.into_iter().chain(ours);
        Ok(Self {
            place,
            pairs: pairs
                .map(|(runner, end)| Pair::new(&runner, end, place))
                .collect::<Result<_>>()?,
            syncs: match place.in_memory {
                true => None,
                false => Some(Syncs::new(place)?),
            },
        })
    }
}

pub(crate) fn hand_off(plan: &Plan, table: &mut Table) -> Result<()> {
    if Command::new("flock").arg("--version").output().is_err() {
        table.note("flock(1) is not installed: run is not measured");
        return Ok(());
    }
    let contests = plan.places.iter().map(Contest::new);
    let mut contests = contests.collect::<Result<Vec<_>>>()?;
    for round in 0..plan.rounds {
        eprint!("\rrun: round {} of {}", round + 1, plan.rounds);
        for pair in contests.iter_mut().flat_map(|c| &mut c.pairs) {
            pair.reset()?;
        }
        std::thread::sleep(READY);
        let each = contests[0].pairs.len();
        for turn in turns(round, contests.len() * each) {
            let contest = &mut contests[turn / each];
            contest.pairs[turn % each].round()?;
            if turn % each == 0
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

impl Contest<'_> {
    fn report(&self, table: &mut Table) {
        let place = &self.place.name;
        table.title(&format!("run: the next command's first line, {place}"));
        let flock = self.pairs[0].took.p50();
        let bound = Bound {
            against: "flock(1)",
            baseline: flock,
            times: 1.0,
        };
        for Pair {
            runner, end, took, ..
        } in &self.pairs
        {
            let what = match end {
                End::KillBoth => "kill -9 of both",
                End::KillRunner => "kill -9 of the wrapper alone",
                End::Terminate => "SIGTERM to the wrapper",
            };
            let what = match runner {
                Runner::FlockCommand => "flock(1), kill -9 of both".to_owned(),
                Runner::Ours(_) => format!("run, {what}"),
                Runner::Other(_) => format!("the other build, {what}"),
            };
            match (runner, end) {
                (Runner::FlockCommand, _) => table.samples(&what, place, took, "the baseline"),
                (_, End::KillBoth) => table.judged(&what, place, took, &bound),
                _ => {
                    let ratio = took.p50().as_secs_f64() / flock.as_secs_f64();
                    table.samples(&what, place, took, format!("{ratio:.2}x of flock(1)"));
                }
            }
        }
        if let Some(syncs) = &self.syncs {
            let what = "link(2) + fsync of the directory";
            let remark = "of which flock(1), without a term to keep, needs none";
            table.samples(what, place, &syncs.took, remark);
        }
    }
}

/// Everybody has looked twice at the default retry period.
const SETTLE: Duration = Duration::from_secs(5);

pub(crate) fn guard(plan: &Plan, table: &mut Table) -> Result<()> {
    let place = &plan.places[0];
    let dir = place.fresh()?;
    let program = Path::new(env!("CARGO_BIN_EXE_leader-demo"));
    let leader = start(program, &dir, &[])?;
    leader.next("elected")?;
    let sleep = Process::spawn(Command::new("sleep").arg("1h"))?;
    let leads = leader.figures();
    let guard = leads.child()?;
    table.title("run: memory");
    let mut row = |name, process: Figures, most| -> Result<()> {
        let (cost, remark) = memory(process, most)?;
        table.figure(name, &place.name, cost, remark);
        Ok(())
    };
    row("any process: sleep(1)", sleep.figures(), None)?;
    // While no other node is there to share what a program shares.
    row("wrapper that leads", leads, None)?;
    row("its guard", guard, Some(1.5))?;
    let follower = start(program, &dir, &[])?;
    std::thread::sleep(SETTLE);
    let waits = follower.figures();
    row("wrapper that waits, the second node", waits, None)?;
    row("its guard", waits.child()?, None)?;
    row("its starter", waits.child()?.child()?, None)?;

    table.title(&format!("run: idle for {} s, defaults", plan.seconds));
    let wakeups = || guard.status("voluntary_ctxt_switches");
    let before = wakeups()?;
    let shares = shares(&[leads, guard], "run, idle", plan.seconds)?;
    let woken = wakeups()? - before;
    let figure = |share| format!("{share:.4} %");
    table.figure("wrapper: of one core", &place.name, figure(shares[0]), "");
    let remark = format!("woken {woken} times; target never: {}", verdict(woken == 0));
    table.figure("guard: of one core", &place.name, figure(shares[1]), remark);
    Ok(())
}

/// What a process costs, its own memory and its share of what it shares, and
/// what there is to say about it.
fn memory(process: Figures, most: Option<f64>) -> Result<(String, String)> {
    let memory = |name| process.memory(name).map(|kib| kib as f64 * 1024.0 / 1e6);
    let own = memory("Private_Clean")? + memory("Private_Dirty")?;
    let (cost, resident) = (memory("Pss")?, memory("Rss")?);
    let mut remark = format!("{own:.2} MB its own, {resident:.2} MB resident");
    if let Some(most) = most {
        remark += &format!("; target {most} MB: {}", verdict(cost < most));
    }
    Ok((format!("{cost:.2} MB"), remark))
}
