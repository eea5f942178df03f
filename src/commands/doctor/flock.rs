//! Whether `flock(2)` keeps two processes apart, and tells one of the other's
//! death: tried with this program as the other process.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use leader_demo::clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::commands::run::helper;

pub(crate) const NAME: &str = "__hold-lock";

/// Far longer than a kernel takes to let go of a dead process's lock.
const PATIENCE: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// How many times a holder is killed.
const ROUNDS: usize = 5;

const BUSY: &str = "busy";
const HELD: &str = "held";

/// What `flock(2)` is good for.
#[derive(Debug)]
pub(super) enum Flock {
    /// It keeps two processes apart. The longest that one waited for the lock of
    /// another that had been killed.
    Honest(Duration),
    /// Two processes had it at once.
    Shared,
    /// It was not let go of, though its holder was gone.
    Stuck,
    /// Two processes see different files, so their locks are not the same.
    OtherFile,
    /// It could not be tried.
    Unknown(io::Error),
}

/// The other process: says whether it gets the lock, waits for it, and holds it
/// until it is killed or its standard input ends.
pub(crate) fn main(mut args: impl Iterator<Item = OsString>) -> Result<()> {
    helper::call_oneself("leader-doctor");
    // Nobody else would end it where it waits for a lock that never comes.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let path = PathBuf::from(args.next().context("not to be started by hand")?);
    let file = File::options().read(true).write(true).open(path)?;
    let tried = fs2::FileExt::try_lock_exclusive(&file);
    let state = if tried.is_err() { BUSY } else { HELD };
    let mut say = io::stdout();
    let [device, inode] = which(&file.metadata()?);
    writeln!(say, "{state} {device} {inode}")?;
    while let Err(e) = fs2::FileExt::lock_exclusive(&file) {
        if e.kind() != io::ErrorKind::Interrupted {
            return Err(e.into());
        }
    }
    writeln!(say, "{HELD}")?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn which(file: &Metadata) -> [u64; 2] {
    [file.dev(), file.ino()]
}

/// Tries it with a file that nobody else uses; it is made, and left there.
pub(super) fn between_two_processes(path: &Path) -> Flock {
    let mut longest = Duration::ZERO;
    for _ in 0..ROUNDS {
        match round(path) {
            Ok(Flock::Honest(waited)) => longest = longest.max(waited),
            Ok(other) => return other,
            Err(e) => return Flock::Unknown(e),
        }
    }
    Flock::Honest(longest)
}

fn round(path: &Path) -> io::Result<Flock> {
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
    };
    let mine = open()?;
    fs2::FileExt::try_lock_exclusive(&mine)?;
    let mut other = Other::start(path)?;
    let Some(heard) = other.hear()? else {
        return Ok(Flock::Stuck);
    };
    let [device, inode] = which(&mine.metadata()?);
    if heard == format!("{HELD} {device} {inode}") {
        return Ok(Flock::Shared);
    }
    if heard != format!("{BUSY} {device} {inode}") {
        return Ok(Flock::OtherFile);
    }
    drop(mine);
    match other.hear()? {
        Some(heard) if heard == HELD => {}
        _ => return Ok(Flock::Stuck),
    }
    let mine = open()?;
    match fs2::FileExt::try_lock_exclusive(&mine) {
        Ok(()) => return Ok(Flock::Shared),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
        Err(e) => return Err(e),
    }
    // In a thread, which can be left behind where the lock never comes.
    let (tell, told) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        let locked = loop {
            match fs2::FileExt::lock_exclusive(&mine) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => break done,
            }
        };
        let at = clock::now();
        // Not kept into the next round.
        drop(mine);
        let _ = tell.send(locked.map(|()| at));
    })?;
    let killed = clock::now();
    other.0.kill()?;
    match told.recv_timeout(Duration::from_secs(PATIENCE.tv_sec.unsigned_abs())) {
        Ok(locked) => Ok(Flock::Honest(locked?.since(killed))),
        Err(_) => Ok(Flock::Stuck),
    }
}

struct Other(Child);

impl Other {
    fn start(path: &Path) -> io::Result<Self> {
        let child = Command::new(helper::PROGRAM)
            .arg(NAME)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }

    /// The next line it says; none if it says nothing for long.
    fn hear(&mut self) -> io::Result<Option<String>> {
        let Some(stdout) = &mut self.0.stdout else {
            return Ok(None);
        };
        let ready = loop {
            let mut wait_for = [PollFd::new(stdout, PollFlags::IN)];
            match poll(&mut wait_for, Some(&PATIENCE)) {
                Err(rustix::io::Errno::INTR) => {}
                ready => break ready?,
            }
        };
        if ready == 0 {
            return Ok(None);
        }
        let mut line = Vec::new();
        let mut byte = [0];
        while stdout.read(&mut byte)? == 1 && byte != [b'\n'] {
            line.extend(byte);
        }
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
