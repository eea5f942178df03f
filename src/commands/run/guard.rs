//! The guard: a small process between the wrapper and the command, that stops
//! the command when its lease ends, whatever has become of the wrapper.
//!
//! It has no runtime and no thread; it sleeps in one `poll(2)` until a child
//! ends, an alarm rings, or the wrapper says something or dies. The wrapper
//! sets the alarms anew with each renewal, without waking the guard.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use leader_demo::clock::{self, Alarm, BootTime};
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::releaser::Bequest;
use super::wire::{self, Go, Order, Report};
use super::{helper, signals, starter, tree};

pub(super) const NAME: &str = "__guard";

/// How long a command has to end alone before it is looked for what else to
/// signal or kill. That takes about as long, or much longer where many processes run.
const MOMENT: Duration = Duration::from_millis(2);

/// How long after a kill to look for what forked away from it.
const RESCAN: Duration = Duration::from_millis(5);
const RESCAN_AT_MOST: Duration = Duration::from_millis(200);

/// How long a process that has closed its files may take to be dead.
const DYING: Duration = Duration::from_secs(1);

/// What the wrapper has it know from the start.
#[derive(Debug)]
pub(super) struct Charge {
    pub(super) stop_grace: Duration,
    /// The signals that the command is to be started with blocked, as a mask.
    pub(super) blocked: u64,
    /// The group that the command joins; none if it gets its own.
    pub(super) group: Option<Pid>,
    /// What to give back for a wrapper that died.
    pub(super) bequest: Option<Bequest>,
    pub(super) command: Vec<OsString>,
}

impl Charge {
    pub(super) fn to_args(&self) -> Vec<OsString> {
        let grace = self.stop_grace.as_nanos();
        let group = self.group.map_or(0, Pid::as_raw_pid);
        let numbers = [
            grace.to_string(),
            self.blocked.to_string(),
            group.to_string(),
        ];
        let numbers = numbers.into_iter().map(OsString::from);
        let is_left = OsString::from(self.bequest.is_some().to_string());
        let bequest = self.bequest.iter().flat_map(Bequest::to_args);
        numbers
            .chain([is_left])
            .chain(bequest)
            .chain(self.command.iter().cloned())
            .collect()
    }

    fn from_args(mut args: impl Iterator<Item = OsString>) -> Result<Self> {
        Ok(Self {
            stop_grace: Duration::from_nanos(helper::number(&mut args)?),
            blocked: helper::number(&mut args)?,
            group: Pid::from_raw(helper::number(&mut args)?),
            bequest: match helper::number(&mut args)? {
                true => Some(Bequest::from_args(&mut args)?),
                false => None,
            },
            command: args.collect(),
        })
    }
}

struct Guard {
    me: Pid,
    control: OwnedFd,
    starter: OwnedFd,
    children: SignalFd,
    /// When to stop the command, and when to kill it.
    stop: Alarm,
    kill: Alarm,
    stop_grace: Duration,
    /// The process that is the command, or will be; none once it has ended.
    command: Option<Pid>,
    /// It has ended, and well.
    succeeded: bool,
    has_own_group: bool,
    /// What to give back, and the wrapper for which, once that is dead.
    bequest: Option<(Bequest, OwnedFd)>,
    /// The term that the command runs in.
    term: Option<u64>,
    /// What says to others that the command lives: kept until it is gone.
    witnesses: Option<Vec<OwnedFd>>,
    phase: Phase,
    /// The command was passed a signal that was for all.
    told: bool,
    /// A signal that the command has been sent, and when all below it will be.
    spread: Option<(Signal, BootTime)>,
    denied: HashSet<Pid>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Guarding,
    /// It was asked to end; the alarm may ring before that.
    Stopping {
        kill_at: BootTime,
    },
    /// What it started may be out of its group, or fork away from a kill.
    Killing {
        look_at: BootTime,
        then_after: Duration,
    },
}

pub(super) fn main(args: impl Iterator<Item = OsString>) -> Result<()> {
    // Nothing but SIGKILL ends a guard before its time.
    let children = signals::children_only()?;
    helper::call_oneself("leader-guard");
    let charge = Charge::from_args(args)?;
    let control = io::stdin().as_fd().try_clone_to_owned()?;
    let Some((Order::Prepare, descriptors)) = wire::receive(&control)? else {
        return Ok(());
    };
    let mut descriptors = descriptors.into_iter();
    let (Some(stop), Some(kill)) = (descriptors.next(), descriptors.next()) else {
        bail!("not the descriptors it needs");
    };
    let wrapper = descriptors.next();
    let me = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(me))?;
    let (starter, theirs) = wire::pair()?;
    let child = Command::new(helper::PROGRAM)
        .arg0("leader-demo")
        .arg(starter::NAME)
        .arg(me.as_raw_pid().to_string())
        .arg(charge.blocked.to_string())
        .args(&charge.command)
        .stdin(Stdio::from(theirs))
        .process_group(charge.group.map_or(0, Pid::as_raw_pid))
        .spawn()
        .context("cannot start a process")?;
    rustix::io::ioctl_fionbio(&control, true)?;
    let command = Pid::from_child(&child);
    let guard = Guard {
        me,
        control,
        starter,
        children,
        stop: stop.into(),
        kill: kill.into(),
        stop_grace: charge.stop_grace,
        command: Some(command),
        succeeded: false,
        has_own_group: charge.group.is_none(),
        bequest: charge.bequest.zip(wrapper),
        term: None,
        witnesses: None,
        phase: Phase::Guarding,
        told: false,
        spread: None,
        denied: HashSet::new(),
    };
    guard.report(&Report::Ready {
        pid: command.as_raw_pid(),
    });
    guard.watch()
}

impl Guard {
    fn watch(mut self) -> Result<()> {
        let mut wrapper_lives = true;
        loop {
            self.sleep(wrapper_lives)?;
            // First what has happened: a command that ended by itself was not stopped.
            if self.reap()? {
                // Whoever waits for this goes first.
                self.witnesses = None;
                self.report(&Report::Gone);
                return self.release(wrapper_lives);
            }
            self.heed_alarms()?;
            while wrapper_lives {
                match wire::receive(&self.control) {
                    Ok(Some((order, descriptors))) => self.obey(order, descriptors)?,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    // Nobody renews any more, and nobody could be told to stop.
                    Ok(None) | Err(_) => {
                        wrapper_lives = false;
                        match self.witnesses {
                            Some(_) => self.stop_all(clock::now() + self.stop_grace),
                            None => self.kill_all(),
                        }
                    }
                }
            }
            let now = clock::now();
            if self.spread.is_some_and(|(_, at)| now >= at) {
                self.spread();
            }
            match self.phase {
                Phase::Stopping { kill_at } if now >= kill_at => self.kill_all(),
                Phase::Killing {
                    look_at,
                    then_after,
                } if now >= look_at => {
                    let denied = tree::kill(self.me, &[]);
                    self.complain(denied);
                    self.phase = Phase::Killing {
                        look_at: clock::now() + then_after,
                        then_after: (then_after * 2).min(RESCAN_AT_MOST),
                    };
                }
                _ => {}
            }
        }
    }

    /// Nothing is left of the command. If the wrapper is dead, not frozen or still
    /// at it, its session can never act again, and somebody has to say so.
    fn release(self, wrapper_lives: bool) -> Result<()> {
        let (Some((bequest, wrapper)), Some(term)) = (self.bequest, self.term) else {
            return Ok(());
        };
        let mut dead = [PollFd::new(&wrapper, PollFlags::IN)];
        // Killed together with the command, or known by its closed end of the
        // control, it is dead a little later. After a success it may go on to hold
        // the lease, and that is not to be cut short.
        let dying = match wrapper_lives && self.succeeded {
            true => Duration::ZERO,
            false => DYING,
        };
        match poll(&mut dead, Timespec::try_from(dying).ok().as_ref()) {
            Ok(1) => Err(bequest.execute(term).into()),
            _ => Ok(()),
        }
    }

    fn heed_alarms(&mut self) -> Result<()> {
        let (stop, kill) = (self.stop.has_rung()?, self.kill.has_rung()?);
        if (stop || kill) && self.phase == Phase::Guarding {
            self.report(&Report::Stopping);
        }
        if kill {
            self.kill_all();
        } else if stop {
            // The other alarm says when that has taken too long.
            self.stop_all(BootTime::NEVER);
        }
        Ok(())
    }

    fn sleep(&self, wrapper_lives: bool) -> Result<()> {
        let mut wait_for = vec![
            PollFd::new(&self.children, PollFlags::IN),
            PollFd::new(&self.stop, PollFlags::IN),
            PollFd::new(&self.kill, PollFlags::IN),
        ];
        if wrapper_lives {
            wait_for.push(PollFd::new(&self.control, PollFlags::IN));
        }
        let now = clock::now();
        let step = match self.phase {
            Phase::Guarding => None,
            Phase::Stopping { kill_at } => Some(kill_at.since(now)),
            Phase::Killing { look_at, .. } => Some(look_at.since(now)),
        };
        let spread = self.spread.map(|(_, at)| at.since(now));
        let timeout = step.into_iter().chain(spread).min();
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut wait_for, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Takes note of children that have ended. Whether none is left: as this is
    /// a subreaper, nothing that the command started is left then.
    fn reap(&mut self) -> Result<bool> {
        while self.children.read_signal()?.is_some() {}
        let left = loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if Some(pid) == self.command => {
                    let status = code(status);
                    self.command = None;
                    self.succeeded = status == 0;
                    self.report(&Report::Ended {
                        status,
                        told: self.told,
                    });
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break true,
                Err(Errno::CHILD) => break false,
                Err(e) => return Err(e.into()),
            }
        };
        // What the command left behind would go on after it.
        if left && self.command.is_none() && self.phase == Phase::Guarding {
            self.stop_all(clock::now() + self.stop_grace);
        }
        Ok(!left)
    }

    fn obey(&mut self, order: Order, mut descriptors: Vec<OwnedFd>) -> Result<()> {
        match order {
            Order::Prepare => {}
            Order::Lead { term } => {
                // A wrapper that froze before it sent this may have had a lease
                // that is over by now, and then its alarms have rung.
                self.heed_alarms()?;
                self.term = Some(term);
                if self.phase == Phase::Guarding {
                    let all: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
                    // A starter that was killed is noticed by its end.
                    let _ = wire::send(&self.starter, &Go { term }, &all);
                }
                self.witnesses = Some(descriptors.split_off(1.min(descriptors.len())));
            }
            Order::Signal { signal, all } => {
                let Some(signal) = Signal::from_named_raw(signal) else {
                    return Ok(());
                };
                if all {
                    self.told |= self.command.is_some();
                    self.signal_all(signal);
                } else {
                    self.signal_command(signal);
                }
            }
            Order::Kill => self.kill_all(),
        }
        Ok(())
    }

    fn stop_all(&mut self, kill_at: BootTime) {
        if self.phase == Phase::Guarding {
            self.phase = Phase::Stopping { kill_at };
            self.signal_all(Signal::TERM);
        }
    }

    /// The command first: mostly it ends then, and nothing else is left to be
    /// looked for.
    fn signal_all(&mut self, signal: Signal) {
        self.spread();
        self.signal_command(signal);
        self.signal_command(Signal::CONT);
        self.spread = Some((signal, clock::now() + MOMENT));
        if self.command.is_none() {
            self.spread();
        }
    }

    fn spread(&mut self) {
        if let Some((signal, _)) = self.spread.take() {
            // Who is stopped hears of it only when continued.
            let signals = [signal, Signal::CONT];
            let is_urgent = || self.is_urgent();
            let denied = tree::signal(self.me, self.command, &signals, is_urgent);
            self.complain(denied);
        }
    }

    /// The next step is due, by an alarm that is still to be heeded or by time.
    fn is_urgent(&self) -> bool {
        let mut alarms = [&self.stop, &self.kill].map(|alarm| PollFd::new(alarm, PollFlags::IN));
        let now = Timespec::default();
        poll(&mut alarms, Some(&now)).is_ok_and(|ringing| ringing > 0)
            || matches!(self.phase, Phase::Stopping { kill_at } if clock::now() >= kill_at)
    }

    fn signal_command(&mut self, signal: Signal) {
        if let Some(command) = self.command {
            // Not reaped yet, so the number is still its own.
            let sent = rustix::process::kill_process(command, signal);
            self.complain(sent.is_err().then_some(command));
        }
    }

    /// The command's own group first: that takes one step, from which nothing in
    /// it can fork away, and mostly nothing else is left to be looked for.
    fn kill_all(&mut self) {
        if matches!(self.phase, Phase::Killing { .. }) {
            return;
        }
        self.spread = None;
        let mut look_at = clock::now();
        // Not reaped yet, so the number is still its own.
        if let Some(command) = self.command.filter(|_| self.has_own_group) {
            let _ = rustix::process::kill_process_group(command, Signal::KILL);
            look_at = look_at + MOMENT;
        }
        self.phase = Phase::Killing {
            look_at,
            then_after: RESCAN,
        };
    }

    fn complain(&mut self, denied: impl IntoIterator<Item = Pid>) {
        for pid in denied {
            if self.denied.insert(pid) {
                self.report(&Report::Denied {
                    pid: pid.as_raw_pid(),
                });
            }
        }
    }

    fn report(&self, report: &Report) {
        // A wrapper that is gone needs to know nothing.
        let _ = wire::send(&self.control, report, &[]);
    }
}

/// The exit status as a shell puts it in one number.
fn code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 0,
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}
