//! What earlier leaders started may still run on this machine.
//!
//! Work has a file of its own, locked by the processes that do it and by
//! nobody else: the claim's lock is also held by whoever campaigned, perhaps
//! frozen, and one that waits to be elected has a claim but no work.

use std::cmp::Ordering;
use std::fs::File;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::directory::{Directory, Inode, Named};
use super::lock::{is_locked, lock_shared, locked_by_its_writer};
use super::{STACK, error, refuse};
use crate::lease::{Holder, Record, State, Term, boot_id};
use crate::store::{Remains, StoreError};

/// Tells the files of work from other claims.
pub(super) const PREFIX: &str = "work-";

/// Work of an earlier term, found alive.
pub(super) struct Found {
    term: Term,
    holder: Holder,
    file: File,
    inode: Inode,
}

/// The work, among claims with these names, that was begun before that of
/// `leadership` and is alive.
pub(super) fn earlier(
    directory: &Directory,
    names: &[String],
    leadership: &Record,
) -> Result<Vec<Found>, StoreError> {
    let mut earlier = Vec::new();
    for name in names.iter().filter(|name| name.starts_with(PREFIX)) {
        let Some(found) = living(directory, name)? else {
            continue;
        };
        match found.term.cmp(&leadership.term) {
            Ordering::Less => earlier.push(found),
            // Its own, begun before and begun again.
            Ordering::Equal => {}
            Ordering::Greater => {
                let why = format!(
                    "the work of term {} has begun, so that of term {} must not",
                    found.term, leadership.term
                );
                return Err(refuse(directory.path(), &why));
            }
        }
    }
    earlier.sort_by_key(|found| found.term);
    Ok(earlier)
}

fn living(directory: &Directory, name: &str) -> Result<Option<Found>, StoreError> {
    let Named::File {
        inode,
        file,
        content,
    } = directory.load_claim(name)?
    else {
        return Ok(None);
    };
    let failed = |e| error(directory.path(), e);
    // Most are of sessions that have ended, and say nothing that matters.
    if !is_locked(&file).map_err(failed)? {
        return Ok(None);
    }
    let boot_id = boot_id();
    let record =
        locked_by_its_writer(&file, inode, &content, boot_id.as_deref()).map_err(failed)?;
    let Some(Record {
        term,
        state: State::Held(holder),
        ..
    }) = record
    else {
        return Ok(None);
    };
    Ok(Some(Found {
        term,
        holder,
        file,
        inode,
    }))
}

impl Found {
    /// Watches it from a thread of its own: looking through `/proc` may take
    /// long, and `flock(2)` does.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn watch(self) -> Result<impl Future<Output = Remains>, StoreError> {
        let Self {
            term,
            holder,
            file,
            inode,
        } = self;
        let (tell_pids, pids) = oneshot::channel();
        let (tell_gone, gone) = watch::channel(false);
        std::thread::Builder::new()
            .name("lease-remains".into())
            .stack_size(STACK)
            .spawn(move || {
                let _ = tell_pids.send(holders_of(inode));
                while lock_shared(&file).is_err() {
                    // No memory for a lock, perhaps: the news comes later then.
                    std::thread::sleep(Duration::from_secs(1));
                }
                tell_gone.send_replace(true);
            })
            .map_err(|e| StoreError::new(format!("cannot start a thread: {e}")))?;
        Ok(async move { Remains::new(term, holder, pids.await.unwrap_or_default(), gone) })
    }
}

/// As many descriptors as are looked at, of all processes together: who has
/// more of them must not keep a leader from its work.
const MOST: usize = 1 << 16;

/// The processes that have a lock on this file, as far as this one may see.
fn holders_of(file: Inode) -> Vec<u32> {
    let mut left = MOST;
    let mut pids: Vec<u32> = numbers_in("/proc")
        .filter(|pid| {
            numbers_in(&format!("/proc/{pid}/fd"))
                .take_while(|_| {
                    left = left.saturating_sub(1);
                    left > 0
                })
                .any(|fd| locks(*pid, fd, file))
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// Whether a descriptor is by which a file is locked. That it is open would
/// not do: those who wait for the lock have it open, too.
fn locks(pid: u32, fd: u32, file: Inode) -> bool {
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
    let number = format!(":{} ", file.inode);
    info.lines()
        .any(|line| line.starts_with("lock:") && line.contains(&number))
        // Looked at last, because it asks a filesystem, which may hang.
        && rustix::fs::stat(format!("/proc/{pid}/fd/{fd}"))
            .is_ok_and(|stat| Inode::from(&stat) == file)
}

/// What has a number for a name.
fn numbers_in(directory: &str) -> impl Iterator<Item = u32> {
    std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
