//! Which filesystem a directory is on, and whether its locks can be believed.

use std::io;
use std::path::Path;

use rustix::fs::StatFs;

/// A kind of filesystem, as `statfs(2)` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filesystem {
    magic: u32,
    known: Option<(&'static str, Locks)>,
}

/// For whom a filesystem keeps its locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Locks {
    /// For the processes of this machine, whatever path they came by.
    Local,
    /// For those too, but what is in it is lost with the machine's memory.
    Memory,
    /// For whom, there is no telling: another machine or another layer may
    /// have the same file without the lock.
    Uncertain,
}

use Locks::{Local, Memory, Uncertain};

const KNOWN: [(u32, &str, Locks); 24] = [
    (0xef53, "ext2/3/4", Local),
    (0x5846_5342, "xfs", Local),
    (0x9123_683e, "btrfs", Local),
    (0x0102_1994, "tmpfs", Memory),
    (0xf2f5_2010, "f2fs", Local),
    (0x2fc1_2fc1, "zfs", Local),
    (0xca45_1a4e, "bcachefs", Local),
    (0x8584_58f6, "ramfs", Memory),
    (0x6969, "nfs", Uncertain),
    (0x6573_5546, "fuse", Uncertain),
    (0x794c_7630, "overlayfs", Uncertain),
    (0x517b, "smb", Uncertain),
    (0xff53_4d42, "cifs", Uncertain),
    (0xfe53_4d42, "smb2", Uncertain),
    (0x00c3_6400, "ceph", Uncertain),
    (0x0102_1997, "9p", Uncertain),
    (0x5346_414f, "afs", Uncertain),
    (0x0116_1970, "gfs2", Uncertain),
    (0x7461_636f, "ocfs2", Uncertain),
    (0x0bd0_0bd0, "lustre", Uncertain),
    (0x4d44, "vfat", Uncertain),
    (0x2011_bab0, "exfat", Uncertain),
    (0x7366_746e, "ntfs3", Uncertain),
    (0xf15f, "ecryptfs", Uncertain),
];

impl Filesystem {
    /// The filesystem that `path` is on.
    ///
    /// # Errors
    /// What `statfs(2)` said.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&rustix::fs::statfs(path)?))
    }

    /// What it is called; none if it is not a known one.
    pub fn name(&self) -> Option<&'static str> {
        self.known.map(|(name, _)| name)
    }

    /// The number by which `statfs(2)` tells it.
    pub fn magic(&self) -> u32 {
        self.magic
    }

    /// Whether it is known to keep its locks on this machine alone, for all of
    /// its processes. Elsewhere a lock that is free proves nothing; machines
    /// that were cloned while running even share a boot id.
    pub fn is_local(&self) -> bool {
        matches!(self.known, Some((_, Local | Memory)))
    }

    /// Whether it is known to lose what is in it when the machine starts again.
    pub fn is_memory(&self) -> bool {
        matches!(self.known, Some((_, Memory)))
    }
}

impl From<&StatFs> for Filesystem {
    fn from(stat: &StatFs) -> Self {
        // A number of 32 bits, in a word that some machines extend with its sign.
        let magic = stat.f_type as u32;
        let known = KNOWN.iter().find(|(number, ..)| *number == magic);
        Self {
            magic,
            known: known.map(|(_, name, locks)| (*name, *locks)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_not_known_is_told_by_its_number_and_not_trusted() {
        let proc = Filesystem::from(&rustix::fs::statfs("/proc").unwrap());
        assert_eq!((proc.magic(), proc.name()), (0x9fa0, None));
        assert!(!proc.is_local() && !proc.is_memory());
    }
}
