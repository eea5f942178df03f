//! Signals, as something to wait for.

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::asynchronous;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Quit,
    Suspend,
    /// The terminal has another size, or may show what somebody else wrote.
    Redraw,
    Continue,
}

pub(super) struct Signals(AsyncFd<SignalFd>);

impl Signals {
    /// Holds them back in this thread, and in those that it starts from now on.
    pub(super) fn listen() -> Result<Self> {
        let all = [
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGTSTP,
            Signal::SIGCONT,
            Signal::SIGWINCH,
        ];
        let set: SigSet = all.into_iter().collect();
        set.thread_block().context("cannot block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let fd = SignalFd::with_flags(&set, flags).context("cannot listen for signals")?;
        let fd = asynchronous(fd, Interest::READABLE).context("cannot listen for signals")?;
        Ok(Self(fd))
    }

    pub(super) async fn next(&self) -> Result<Asked> {
        loop {
            let mut ready = self.0.readable().await?;
            let Ok(read) = ready.try_io(|fd| {
                let signal = fd.get_ref().read_signal()?;
                signal.ok_or_else(|| std::io::ErrorKind::WouldBlock.into())
            }) else {
                continue;
            };
            return Ok(match Signal::try_from(read?.ssi_signo as i32)? {
                Signal::SIGTSTP => Asked::Suspend,
                Signal::SIGCONT => Asked::Continue,
                Signal::SIGWINCH => Asked::Redraw,
                _ => Asked::Quit,
            });
        }
    }
}

/// Stops this process, and those that were started along with it, until `fg`.
pub(super) fn stop_here() {
    let stop: SigSet = [Signal::SIGTSTP].into_iter().collect();
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
    let _ = stop.thread_unblock();
    let _ = stop.thread_block();
}
