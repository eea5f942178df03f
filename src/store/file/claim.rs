//! A claim: one session's record for one term, in a file of its own.
//!
//! It is complete, flocked and on disk before a number ever names it, and it
//! never changes after: no reader sees half a record, and "the lock is free"
//! can only mean that whoever wrote it let go of it.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::directory::{Directory, Inode, LARGEST_RECORD};
use crate::lease::{self, Record};

/// What stands in the file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Written {
    #[serde(flatten)]
    pub(super) record: Record,
    /// The device and inode its writer saw. Where a reader sees others, the two
    /// may be looking through different filesystems and share no locks.
    device: u64,
    inode: u64,
}

impl Written {
    pub(super) fn inode(&self) -> Inode {
        Inode {
            device: self.device,
            inode: self.inode,
        }
    }
}

/// A claim of this session.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) name: String,
    pub(super) record: Record,
    pub(super) inode: Inode,
    /// Flocked until the last clone is closed. Never unlocked: that would also
    /// drop the lock of a child that inherited it.
    pub(super) file: Arc<File>,
}

/// What a claim is staged for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To become the current record.
    Lease,
    /// To be found by the leaders that follow, see `work.rs`.
    Work,
}

impl Claim {
    /// Writes a claim. One that is `held` is locked, as it says that somebody
    /// lives, and synced if its term must survive a power failure, as no work
    /// does. A vacant one says nothing that would be missed.
    pub(super) fn stage(
        directory: &Directory,
        name: String,
        record: Record,
        mode: Mode,
        purpose: Purpose,
    ) -> Result<Self, Errno> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let file = directory.open_claim(&name, flags, mode)?;
        let staged = write(&file, &record, mode, purpose);
        if staged.is_err() {
            directory.unlink_claim(&name);
        }
        Ok(Self {
            name,
            record,
            inode: staged?,
            file: Arc::new(file),
        })
    }
}

fn write(mut file: &File, record: &Record, mode: Mode, purpose: Purpose) -> Result<Inode, Errno> {
    let errno = |e: std::io::Error| Errno::from_io_error(&e).unwrap_or(Errno::IO);
    let stat = rustix::fs::fstat(file)?;
    if stat.st_mode & 0o777 != mode.as_raw_mode() {
        // Whatever the umask made of it.
        rustix::fs::fchmod(file, mode)?;
    }
    let held = record.holder().is_some();
    if held {
        // Never waited for: only a collector can have it, and only by mistake.
        fs2::FileExt::try_lock_exclusive(file).map_err(errno)?;
    }
    let inode = Inode::from(&stat);
    let content = lease::encode(&Written {
        record: record.clone(),
        device: inode.device,
        inode: inode.inode,
    });
    debug_assert!(content.len() as u64 <= LARGEST_RECORD, "names are bounded");
    file.write_all(&content).map_err(errno)?;
    if held && purpose == Purpose::Lease {
        file.sync_data().map_err(errno)?;
    }
    Ok(inode)
}
