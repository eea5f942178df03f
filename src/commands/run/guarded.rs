//! The wrapper's side of a guard and the command it is to guard.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use leader_demo::Term;
use leader_demo::clock::{Alarm, BootTime};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::guard::{self, Charge};
use super::helper;
use super::wire::{self, Order, Report};

/// A guard, and a command that is ready to be started. Dropping it makes the
/// guard stop what runs.
pub(super) struct Guarded {
    guard: Pid,
    control: AsyncFd<OwnedFd>,
    stop: Alarm,
    kill: Alarm,
    charge: Charge,
    command: Option<Pid>,
}

impl Guarded {
    /// Starts the guard, which gets the command ready.
    pub(super) fn prepare(charge: Charge, env: &[(&str, &OsStr)], hidden: &[&str]) -> Result<Self> {
        let (control, theirs) = wire::pair()?;
        let mut command = Command::new(helper::PROGRAM);
        command
            .arg0("leader-demo")
            .arg(guard::NAME)
            .args(charge.to_args())
            .envs(env.iter().copied())
            // Where the lease is, is said in one way only.
            .env_remove("LEADER_DEMO_LOCK_DIR")
            .env_remove("LEADER_DEMO_TERM")
            // One process can listen there, and that is this one.
            .env_remove("LEADER_DEMO_HTTP")
            .env_remove("LEADER_DEMO_NOTIFY_SYSTEMD")
            .stdin(Stdio::from(theirs))
            .process_group(0);
        for name in hidden {
            command.env_remove(name);
        }
        let child = command.spawn().context("cannot start a process")?;
        let (stop, kill) = (Alarm::new()?, Alarm::new()?);
        // Says when this process is gone. Without it nothing is given back for it.
        let me = pidfd_open(getpid(), PidfdFlags::empty()).ok();
        let alarms = [stop.as_fd(), kill.as_fd()].into_iter();
        let descriptors: Vec<_> = alarms.chain(me.as_ref().map(AsFd::as_fd)).collect();
        wire::send(&control, &Order::Prepare, &descriptors)?;
        Ok(Self {
            guard: Pid::from_child(&child),
            control: wire::asynchronous(control)?,
            stop,
            kill,
            charge,
            command: None,
        })
    }

    /// Starts the command. The witnesses are what it inherits.
    pub(super) fn start(
        &self,
        term: Term,
        until: BootTime,
        witnesses: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.extend(until)?;
        let stdin = io::stdin();
        let descriptors: Vec<_> = [stdin.as_fd()].iter().chain(witnesses).copied().collect();
        // Through the guard, which knows best whether it is too late by now.
        let lead = Order::Lead { term: term.get() };
        wire::send(&self.control, &lead, &descriptors)
    }

    /// The lease holds until then.
    pub(super) fn extend(&self, until: BootTime) -> io::Result<()> {
        // In this order: whoever freezes between the two has given the command
        // more time to end, within the lease, and not more time to run.
        self.kill.set(until + self.charge.stop_grace)?;
        self.stop.set(until)?;
        // Frozen, it would not notice that the command has ended.
        self.thaw();
        Ok(())
    }

    /// The lease, which held until `until` for all that was known, is lost: the
    /// command is to stop now.
    pub(super) fn lose(&self, now: BootTime, until: BootTime) -> io::Result<()> {
        let grace = self.charge.stop_grace;
        self.kill.set((now + grace).min(until + grace))?;
        self.stop.set(now)?;
        self.thaw();
        Ok(())
    }

    pub(super) fn signal(&self, signal: Signal, all: bool) {
        let signal = signal.as_raw();
        self.tell(&Order::Signal { signal, all });
    }

    pub(super) fn kill(&self) {
        self.tell(&Order::Kill);
    }

    fn tell(&self, order: &Order) {
        // A guard that is gone is noticed elsewhere.
        let _ = wire::send(&self.control, order, &[]);
        self.thaw();
    }

    /// A guard that is frozen must act all the same.
    pub(super) fn thaw(&self) {
        let _ = rustix::process::kill_process(self.guard, Signal::CONT);
    }

    /// What the guard has to say next; none once it is gone.
    pub(super) async fn next(&mut self) -> Option<Report> {
        let receive = |fd: &OwnedFd| wire::receive(fd);
        let received = self.control.async_io(Interest::READABLE, receive).await;
        let (report, _) = received.ok().flatten()?;
        if let Report::Ready { pid } = report {
            self.command = Pid::from_raw(pid);
        }
        Some(report)
    }

    /// The process that is, or will be, the command, once it has been heard of.
    pub(super) fn command(&self) -> Option<Pid> {
        self.command
    }

    /// Ends the guard, and with it the command, which does not outlive it.
    pub(super) fn give_up(&self) {
        let _ = rustix::process::kill_process(self.guard, Signal::KILL);
    }
}
