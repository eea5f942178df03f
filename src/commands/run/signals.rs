//! The signals that the wrapper is sent, with who sent them.

use std::cell::Cell;
use std::io;

use anyhow::{Context, Result, bail};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::Signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::wire::asynchronous;

/// Those that are passed on to the command, or end the waiting for it.
const PASSED_ON: [Signal; 8] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::WINCH,
];

/// A signal, from a terminal's key or from some process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) signal: Signal,
    /// The terminal sent it to its whole foreground group.
    pub(super) by_terminal: bool,
}

impl Sent {
    /// Whether it asks a process to end.
    pub(super) fn asks_to_end(self) -> bool {
        matches!(
            self.signal,
            Signal::HUP | Signal::INT | Signal::QUIT | Signal::TERM
        )
    }
}

/// What is held back to be looked at.
pub(super) struct Blocked {
    set: SigSet,
    /// What was blocked before, which the command is to start with.
    pub(super) before: u64,
}

/// Holds signals back from now on, in this thread and in those that it starts.
pub(super) fn block() -> Result<Blocked> {
    let before = mask("SigBlk")?;
    let ignored: Vec<_> = named(mask("SigIgn")?).collect();
    if ignored.contains(&Signal::CHILD) {
        bail!(
            "SIGCHLD is ignored here, so the command's exit status could not be known: \
             start with: env --default-signal=CHLD leader-demo run .."
        );
    }
    // What was to be ignored when this program was started stays ignored.
    let passed_on = PASSED_ON.into_iter().filter(|s| !ignored.contains(s));
    let set = set(passed_on.chain([Signal::CHILD]));
    // To write, or to mend the terminal, must not stop this process.
    let quiet = self::set([Signal::TTOU]);
    for set in [&set, &quiet] {
        set.thread_block().context("cannot block signals")?;
    }
    Ok(Blocked { set, before })
}

pub(super) struct Signals {
    fd: AsyncFd<SignalFd>,
    /// Ctrl+C was pressed.
    interrupted: Cell<bool>,
}

impl Signals {
    pub(super) fn listen(blocked: &Blocked) -> Result<Self> {
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let fd = SignalFd::with_flags(&blocked.set, flags).context("cannot listen for signals")?;
        Ok(Self {
            fd: asynchronous(fd)?,
            interrupted: Cell::new(false),
        })
    }

    pub(super) async fn next(&self) -> io::Result<Sent> {
        let info = self
            .fd
            .async_io(Interest::READABLE, |fd| {
                fd.read_signal()?
                    .ok_or_else(|| io::ErrorKind::WouldBlock.into())
            })
            .await?;
        // SI_KERNEL in sigaction(2).
        const BY_KERNEL: i32 = 0x80;
        let signal = Signal::from_named_raw(info.ssi_signo as i32);
        let sent = Sent {
            signal: signal.ok_or(io::ErrorKind::InvalidData)?,
            by_terminal: info.ssi_code == BY_KERNEL,
        };
        if sent.by_terminal && sent.signal == Signal::INT {
            self.interrupted.set(true);
        }
        Ok(sent)
    }

    pub(super) fn interrupted(&self) -> bool {
        self.interrupted.get()
    }

    /// The next signal that would end a process.
    pub(super) async fn asked_to_end(&self) -> io::Result<Sent> {
        loop {
            let sent = self.next().await?;
            match sent.signal {
                Signal::CHILD => super::reap(),
                // As without us: this one ends no process.
                Signal::WINCH => {}
                _ => return Ok(sent),
            }
        }
    }
}

/// Ends this process as Ctrl+C ends one: a shell that runs a loop ends it too.
pub(super) fn die_of_interrupt() {
    let _ = set([Signal::INT]).thread_unblock();
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::INT);
}

/// The guard: nothing but the end of a child.
pub(super) fn children_only() -> io::Result<SignalFd> {
    SigSet::all().thread_block()?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    Ok(SignalFd::with_flags(&set([Signal::CHILD]), flags)?)
}

/// The starter: back to what was blocked when the wrapper was started.
pub(super) fn block_only(mask: u64) -> io::Result<()> {
    Ok(set(named(mask)).thread_set_mask()?)
}

fn set(signals: impl IntoIterator<Item = Signal>) -> SigSet {
    signals
        .into_iter()
        .filter_map(|s| nix::sys::signal::Signal::try_from(s.as_raw()).ok())
        .collect()
}

/// The signals in a mask as the kernel writes it: bit 0 is signal 1.
fn named(mask: u64) -> impl Iterator<Item = Signal> {
    let numbers = (1..=64).filter(move |n| mask & (1 << (n - 1)) != 0);
    numbers.filter_map(Signal::from_named_raw)
}

/// What this process was started with, by its name in proc_pid_status(5).
fn mask(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")
        .context("cannot read /proc/self/status (run finds its processes in /proc)")?;
    let mask = status.lines().find_map(|line| {
        let mask = line.strip_prefix(name)?.strip_prefix(':')?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    mask.with_context(|| format!("/proc/self/status has no {name}"))
}
