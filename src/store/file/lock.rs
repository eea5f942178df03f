//! What a lock on a claim says about its writer, and when it says nothing.

use std::fs::File;
use std::io;

use super::claim::Written;
use super::directory::Inode;
use super::filesystem::Filesystem;
use crate::lease::{Record, decode};

/// The record, if its lock is one that this machine's kernel keeps for the
/// very process that wrote it.
pub(super) fn locked_by_its_writer(
    file: &File,
    at: Inode,
    content: &[u8],
    boot_id: Option<&str>,
) -> io::Result<Option<Record>> {
    let Ok(written) = decode::<Written>(content) else {
        return Ok(None);
    };
    // A vacant record is locked by nobody.
    let Some(holder) = written.record.holder() else {
        return Ok(None);
    };
    let same_boot = boot_id.is_some() && holder.boot_id.as_deref() == boot_id;
    let local = || Ok::<_, io::Error>(Filesystem::from(&rustix::fs::fstatfs(file)?).is_local());
    let meaningful = same_boot && written.inode() == at && local()?;
    Ok(meaningful.then_some(written.record))
}

/// fs2 does not retry what a signal interrupted.
pub(super) fn lock_shared(file: &File) -> io::Result<()> {
    loop {
        match fs2::FileExt::lock_shared(file) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Whether somebody has an exclusive lock on it. Looking takes a shared one
/// for a moment, which can only be in the way of who locks a claim it has just
/// made; that one makes another.
pub(super) fn is_locked(file: &File) -> io::Result<bool> {
    match fs2::FileExt::try_lock_shared(file) {
        Ok(()) => {
            fs2::FileExt::unlock(file)?;
            Ok(false)
        }
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(e) => Err(e),
    }
}
