//! One holder and one that waits; the holder is hurt; when does the other's
//! command write its first line, and how long does the old one go on beside it?
//!
//! All tools take turns. One that is still waiting for its lease to end sits the
//! next rounds out, so the quick ones have more of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leader_demo::clock::{self, BootTime};
use rustix::process::{Pid, Signal, kill_process};

use crate::SETTLE;
use crate::common::process::Process;
use crate::common::roles::WORK;
use crate::common::samples::Samples;
use crate::common::turns;
use crate::roles::WRITE;
use crate::tool::Installed;

/// What is done to the holder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Harm {
    /// SIGKILL to wrapper and command.
    KillBoth,
    /// SIGKILL to the wrapper alone, as when memory runs out.
    KillWrapper,
    /// SIGTERM to wrapper and command, as systemd stops a service.
    TerminateBoth,
    /// SIGTERM to the wrapper alone, as `kill` and `docker stop` do.
    TerminateWrapper,
    /// SIGSTOP to the wrapper; the command runs on.
    FreezeWrapper,
}

impl Harm {
    /// A command that nobody has touched may go on beside the next one.
    fn leaves_the_command(self) -> bool {
        matches!(self, Self::KillWrapper | Self::FreezeWrapper)
    }
}

/// How long both commands are looked at once the second has started.
pub(crate) const BESIDE: Duration = Duration::from_secs(10);

/// A quick one is done by then, and does not disturb the next one's turn.
const TURN: Duration = Duration::from_millis(300);

/// What came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Until the next command's first line.
    pub(crate) took: Samples,
    /// Where the command was left alone: for how long both wrote.
    pub(crate) beside: Samples,
    /// For how long the last one waited in vain, if it did.
    pub(crate) in_vain: Option<Duration>,
}

impl Outcome {
    /// The old command beside the next one.
    pub(crate) fn both_ran(&self) -> bool {
        self.beside.len() > 0 && !self.beside.percentile(100).is_zero()
    }
}

struct Holder {
    process: Process,
    command: Pid,
    wrapper: Vec<Pid>,
}

enum State {
    Idle,
    Ready {
        holder: Holder,
        next: Process,
    },
    Hurt {
        holder: Holder,
        next: Process,
        at: BootTime,
        next_at: Option<(BootTime, Pid)>,
    },
}

struct Pair<'a> {
    tool: &'a Installed,
    harm: Harm,
    state: State,
    outcome: Outcome,
}

/// Rounds for about this long, and what came of them, tool by tool.
pub(crate) fn of(tools: &[Installed], harm: Harm, time: Duration) -> Result<Vec<Outcome>> {
    let mut pairs: Vec<Pair<'_>> = tools.iter().map(|tool| Pair::new(tool, harm)).collect();
    let start = clock::now();
    for round in 0.. {
        let passed = clock::now().since(start);
        if round > 0 && passed > time {
            break;
        }
        eprint!(
            "\r{harm:?}: round {}, second {} of {} ",
            round + 1,
            passed.as_secs(),
            time.as_secs()
        );
        for pair in &mut pairs {
            pair.prepare()?;
        }
        // Not always at the same time since a renewal.
        std::thread::sleep(SETTLE + Duration::from_millis(round as u64 % 4 * 700));
        for turn in turns(round, pairs.len()) {
            pairs[turn].hurt()?;
        }
    }
    for pair in &mut pairs {
        pair.finish()?;
    }
    eprintln!();
    Ok(pairs.into_iter().map(|pair| pair.outcome).collect())
}

impl<'a> Pair<'a> {
    fn new(tool: &'a Installed, harm: Harm) -> Self {
        Self {
            tool,
            harm,
            state: State::Idle,
            outcome: Outcome::default(),
        }
    }

    fn candidate(&self) -> Result<Process> {
        let role = match self.harm.leaves_the_command() {
            true => WRITE,
            false => WORK,
        };
        let candidate = self.tool.candidate(&format!("{:?}", self.harm), role);
        candidate.with_context(|| self.tool.tool.name())
    }

    /// Both are there, or the last round is not over.
    fn prepare(&mut self) -> Result<()> {
        self.look()?;
        if let State::Idle = self.state {
            let first = self.candidate()?;
            let works = first.next("works").with_context(|| self.tool.tool.name())?;
            self.begin(first, works.pid()?)?;
        }
        Ok(())
    }

    fn begin(&mut self, holder: Process, command: Pid) -> Result<()> {
        let wrapper = self.tool.wrapper(&holder, command)?;
        let holder = Holder {
            process: holder,
            command,
            wrapper,
        };
        let next = self.candidate()?;
        self.state = State::Ready { holder, next };
        Ok(())
    }

    fn hurt(&mut self) -> Result<()> {
        let (holder, next) = match std::mem::replace(&mut self.state, State::Idle) {
            State::Ready { holder, next } => (holder, next),
            other => {
                self.state = other;
                return Ok(());
            }
        };
        let both = || [&holder.wrapper[..], &[holder.command]].concat();
        let (signal, pids) = match self.harm {
            Harm::KillBoth => (Signal::KILL, both()),
            Harm::KillWrapper => (Signal::KILL, holder.wrapper.clone()),
            Harm::TerminateBoth => (Signal::TERM, both()),
            Harm::TerminateWrapper => (Signal::TERM, vec![holder.process.pid]),
            Harm::FreezeWrapper => (Signal::STOP, holder.wrapper.clone()),
        };
        let at = clock::now();
        for pid in pids {
            // Whoever ends may take others along.
            let _ = kill_process(pid, signal);
        }
        self.state = State::Hurt {
            holder,
            next,
            at,
            next_at: None,
        };
        while clock::now().since(at) < TURN && !self.has_next()? {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Whether the next command has started.
    fn has_next(&mut self) -> Result<bool> {
        let State::Hurt {
            next, next_at, at, ..
        } = &mut self.state
        else {
            return Ok(false);
        };
        if next_at.is_none()
            && let Some(works) = next.line_so_far()
        {
            let name = self.tool.tool.name();
            ensure!(
                works.at() > *at,
                "{name}: two held the lock before anything was done"
            );
            *next_at = Some((works.at(), works.pid()?));
        }
        Ok(next_at.is_some())
    }

    /// Takes what has come of the last round, if it is over.
    fn look(&mut self) -> Result<()> {
        self.has_next()?;
        let looks = match self.harm.leaves_the_command() {
            true => BESIDE,
            false => Duration::ZERO,
        };
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Hurt {
                holder,
                next,
                at,
                next_at: Some((started, command)),
            } if clock::now() >= started + looks => {
                self.outcome.took.push(started.since(at));
                if self.harm.leaves_the_command() {
                    let both = last_line(&holder.process).min(last_line(&next));
                    let both = both.map_or(Duration::ZERO, |end| end.since(started));
                    self.outcome.beside.push(both);
                }
                drop(holder);
                self.begin(next, command)
            }
            other => {
                self.state = other;
                Ok(())
            }
        }
    }

    /// The last round ends by itself, or it is clear that it never will.
    fn finish(&mut self) -> Result<()> {
        let lease = self.tool.tool.lease();
        loop {
            self.look()?;
            let State::Hurt { at, next_at, .. } = &self.state else {
                break;
            };
            let waited = clock::now().since(*at);
            if next_at.is_none() && waited > lease * 3 / 2 + SETTLE {
                self.outcome.in_vain = Some(waited);
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.state = State::Idle;
        Ok(())
    }
}

/// When its command last wrote.
fn last_line(process: &Process) -> Option<BootTime> {
    std::iter::from_fn(|| process.line_so_far())
        .last()
        .map(|line| line.at())
}
