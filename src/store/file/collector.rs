//! Removes the claims of sessions that ended without tidying up.
//!
//! One of a session's claims, removed by mistake, costs a new one and nothing
//! else. A file by which work is found must not go while the work lives: the
//! collector holds its lock when it removes it.

use std::io::Read;

use rustix::fs::{Mode, OFlags};

use super::claim::Written;
use super::directory::{Directory, LARGEST_RECORD};
use super::filesystem::Filesystem;
use crate::lease::{DecodeError, boot_id, decode};

/// Removes what nobody uses any more, but for what is to be spared.
pub(super) fn collect(directory: &Directory, spare: &[String]) {
    for name in directory.claims().unwrap_or_default() {
        if !spare.contains(&name) {
            remove_if_abandoned(directory, &name);
        }
    }
}

/// Removes a claim that nobody can use any more. Whether it is gone now.
pub(super) fn remove_if_abandoned(directory: &Directory, name: &str) -> bool {
    let file = match directory.open_claim(name, OFlags::RDONLY, Mode::empty()) {
        Ok(file) => file,
        Err(e) => return e == rustix::io::Errno::NOENT,
    };
    if fs2::FileExt::try_lock_shared(&file).is_err() {
        return false;
    }
    let mut content = Vec::new();
    if (&file)
        .take(LARGEST_RECORD)
        .read_to_end(&mut content)
        .is_err()
    {
        return false;
    }
    let here = boot_id();
    let abandoned = match decode::<Written>(&content) {
        // Locks of another machine cannot be seen from here.
        Ok(written) => match written.record.holder() {
            Some(holder) => here.is_some() && holder.boot_id == here,
            None => true,
        },
        // Perhaps another machine is just writing it, and links it next.
        Err(DecodeError::Garbled) => {
            rustix::fs::fstatfs(&file).is_ok_and(|at| Filesystem::from(&at).is_local())
        }
        Err(DecodeError::Newer(_)) => false,
    };
    if abandoned {
        directory.unlink_claim(name);
    }
    abandoned
}
