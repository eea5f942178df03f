//! Lines on their way to stdout, from a thread of its own.
//!
//! A reader that takes none must neither stop the watch, which would then date
//! and measure wrongly, nor fill the memory: what does not fit is left out, and
//! that is said.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use anyhow::{Context, Result};
use leader_demo::Seen;
use leader_demo::clock::BootTime;
use tokio::sync::oneshot;

use super::tale::Teller;
use crate::commands::PATIENCE;

/// Lines that wait, at most.
const ROOM: usize = 1000;

pub(super) struct Outbox {
    lines: SyncSender<String>,
    left_out: u64,
}

/// How writing ended, once it has.
pub(super) type Written = oneshot::Receiver<io::Result<()>>;

impl Outbox {
    pub(super) fn open() -> io::Result<(Self, Written)> {
        let (lines, inbox) = sync_channel(ROOM);
        let (done, written) = oneshot::channel();
        std::thread::Builder::new()
            .name("lines".into())
            .spawn(move || drop(done.send(write_all(&inbox))))?;
        Ok((Self { lines, left_out: 0 }, written))
    }

    pub(super) fn send(&mut self, teller: &mut Teller, at: BootTime, seen: &Seen) -> Result<()> {
        if self.left_out > 0 {
            let warning = format!("{} events were left out: nobody read them", self.left_out);
            if self.has_room_for(teller.line(at, &Seen::Warning(warning))?) {
                self.left_out = 0;
            }
        }
        // Told in any case: what follows is about it.
        let line = teller.line(at, seen)?;
        if self.left_out > 0 || !self.has_room_for(line) {
            self.left_out += 1;
        }
        Ok(())
    }

    fn has_room_for(&self, line: String) -> bool {
        // Whether anybody writes them is asked elsewhere.
        !matches!(self.lines.try_send(line), Err(TrySendError::Full(_)))
    }

    /// Waits until all is written, but not for ever.
    pub(super) async fn close(self, written: Written) -> Result<u8> {
        drop(self.lines);
        match tokio::time::timeout(PATIENCE / 2, written).await {
            Ok(how) => ended(how),
            Err(_) => Ok(0),
        }
    }
}

/// Whoever stops reading means no harm; a full disk is one.
pub(super) fn ended(how: Result<io::Result<()>, oneshot::error::RecvError>) -> Result<u8> {
    match how.context("the thread that writes is gone")? {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e).context("cannot write to stdout"),
        _ => Ok(0),
    }
}

fn write_all(lines: &Receiver<String>) -> io::Result<()> {
    for line in lines {
        let mut stdout = io::stdout().lock();
        stdout.write_all(line.as_bytes())?;
        stdout.flush()?;
    }
    Ok(())
}
