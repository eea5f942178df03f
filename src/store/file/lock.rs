//! What a lock on a claim says about its writer, and when it says nothing.

use std::fs::File;
use std::io;

use super::claim::Written;
use super::directory::Inode;
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
    let meaningful = same_boot && written.inode() == at && is_local(file)?;
    Ok(meaningful.then_some(written.record))
}

/// Whether the filesystem is known to keep its locks on this machine alone.
/// Machines that were cloned while running share a boot id.
fn is_local(file: &File) -> io::Result<bool> {
    const LOCAL: [i64; 8] = [
        0xef53,      // ext2, ext3, ext4
        0x5846_5342, // XFS
        0x9123_683e, // Btrfs
        0x0102_1994, // tmpfs
        0xf2f5_2010, // F2FS
        0x2fc1_2fc1, // ZFS
        0xca45_1a4e, // bcachefs
        0x8584_58f6, // ramfs
    ];
    let kind = rustix::fs::fstatfs(file)?.f_type as i64 & 0xffff_ffff;
    Ok(LOCAL.contains(&kind))
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
