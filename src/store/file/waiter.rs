//! When "the lock is free" may be taken to mean "the holder died".
//!
//! A thread of its own waits in `flock(2)` for the claim that the current
//! record is: it costs no CPU, but can neither be cancelled nor borrowed from
//! a pool that others need. It ends when the holder closes its claim or dies.
//!
//! Nobody holds a vacant record's lock, so there it looks whether somebody has
//! taken it: else who may not take it would learn only at its next look whose
//! claim to wait for, and a successor's early death would go unnoticed.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::directory::{Directory, Inode, Named, Place};
use super::lock::{lock_shared, locked_by_its_writer};
use super::reading::{number_of, read_in, record_in};
use super::{Numbered, STACK};
use crate::store::{Answer, Content, Observed, Revision, Wake};

/// From a vacancy to the first look whether it was taken, and to the last:
/// each waits as long as all before it. A successor takes a millisecond.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Waiters {
    place: Arc<Place>,
    boot_id: Option<Arc<str>>,
    /// The one that waits for the current claim; renewals link the same file,
    /// so it serves for all of them.
    current: Mutex<Option<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    file: Inode,
    verdict: watch::Receiver<Option<Verdict>>,
}

#[derive(Clone, Debug)]
enum Verdict {
    Wake(Wake),
    /// This file's lock says nothing about its writer.
    Meaningless,
}

impl Waiting {
    /// Whether it is worth waiting for, or said what stays true.
    fn still_says(&self) -> bool {
        match *self.verdict.borrow() {
            None => self.verdict.has_changed().is_ok(),
            Some(Verdict::Meaningless) => true,
            Some(Verdict::Wake(_)) => false,
        }
    }
}

impl Waiters {
    pub(super) fn new(place: Arc<Place>, boot_id: Option<Arc<str>>) -> Self {
        Self {
            place,
            boot_id,
            current: Mutex::new(None),
        }
    }

    pub(super) fn changed(&self, seen: Revision) -> Answer<'_, Wake> {
        let verdict = self.wait_for(seen.into());
        Box::pin(async move {
            if let Some(mut verdict) = verdict
                && let Ok(verdict) = verdict.wait_for(Option::is_some).await
                && let Some(Verdict::Wake(wake)) = &*verdict
            {
                return wake.clone();
            }
            std::future::pending().await
        })
    }

    fn wait_for(&self, seen: Numbered) -> Option<watch::Receiver<Option<Verdict>>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = &*current
            && waiting.file == seen.file
            && waiting.still_says()
        {
            return Some(waiting.verdict.clone());
        }
        let (tell, verdict) = watch::channel(None);
        let (place, boot_id) = (self.place.clone(), self.boot_id.clone());
        let spawned = std::thread::Builder::new()
            .name("lease-waiter".into())
            .stack_size(STACK)
            .spawn(move || {
                // An error costs the early wake-up from this revision; the next
                // one is waited for anew.
                if let Ok(said) = wait(&place, boot_id.as_deref(), seen) {
                    tell.send_replace(Some(said));
                }
            });
        let waiting = spawned.ok().map(|_| Waiting {
            file: seen.file,
            verdict,
        });
        *current = waiting;
        current.as_ref().map(|w| w.verdict.clone())
    }
}

fn wait(place: &Place, boot_id: Option<&str>, seen: Numbered) -> io::Result<Verdict> {
    let changed = Ok(Verdict::Wake(Wake::Changed(None)));
    let Some(directory) = place.open().map_err(io::Error::other)? else {
        return changed;
    };
    let named = directory.load(seen.number).map_err(io::Error::other)?;
    let (Named::File { inode, .. } | Named::Stray(inode)) = named else {
        return changed;
    };
    if directory.numbered(seen.number, inode) != seen {
        return changed;
    }
    let Named::File { file, content, .. } = named else {
        return Ok(Verdict::Meaningless);
    };
    if record_in(&content).is_ok_and(|record| record.is_some_and(|r| r.holder().is_none())) {
        return taken(&directory, seen);
    }
    let Some(record) = locked_by_its_writer(&file, inode, &content, boot_id)? else {
        return Ok(Verdict::Meaningless);
    };
    lock_shared(&file)?;
    // The lock is free, so its writer will never act on it again. Is it still
    // the record? The file stays open until that is known: its inode cannot
    // become another file's meanwhile.
    if !directory.is_still_there().map_err(io::Error::other)? {
        return changed;
    }
    let Some(number) = number_of(&directory, inode).map_err(io::Error::other)? else {
        let current = read_in(&directory).map_err(io::Error::other)?;
        return Ok(Verdict::Wake(Wake::Changed(current)));
    };
    let revision = Numbered { number, ..seen };
    Ok(Verdict::Wake(Wake::HolderDied(Observed {
        revision: revision.into(),
        content: Content::Record(record),
    })))
}

fn taken(directory: &Directory, vacant: Numbered) -> io::Result<Verdict> {
    let mut pause = FIRST_LOOK;
    while pause < LAST_LOOK {
        std::thread::sleep(pause);
        pause *= 2;
        if !directory.is_still_there().map_err(io::Error::other)? {
            return Ok(Verdict::Wake(Wake::Changed(None)));
        }
        let current = read_in(directory).map_err(io::Error::other)?;
        if current.as_ref().map(|seen| seen.revision) != Some(vacant.into()) {
            return Ok(Verdict::Wake(Wake::Changed(current)));
        }
    }
    Ok(Verdict::Meaningless)
}
