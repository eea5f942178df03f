//! The directory of one lease: is it fit and safe to use, and what is in it.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, SeekFrom, Stat};
use rustix::io::Errno;

use super::{Numbered, error, lock_path, refuse, unique};
use crate::name::LockName;
use crate::store::StoreError;

/// Where a lease is kept, and for whom.
#[derive(Debug)]
pub(super) struct Place {
    lock_dir: PathBuf,
    path: PathBuf,
    shared: bool,
    /// In another lease's directory, which is not this one's to make: it holds
    /// what is asked for, and nobody acquires it.
    pub(super) within: bool,
}

/// Which file it is, whatever its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl From<&Stat> for Inode {
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

/// An open directory of one lease.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    identity: Inode,
    path: PathBuf,
}

const NO_DIRECTORY: &str = "is not a directory: choose one, or a new name";

/// Claims live in a folder of their own, so that the numbers stay few.
const CLAIMS: &str = "claims";

/// As much of a file as is ever read: a record has a few hundred bytes.
pub(super) const LARGEST_RECORD: u64 = 4096;

/// Enough for every number in one `getdents64(2)`, strays included.
const LISTING: usize = 64 * 1024;

impl Place {
    pub(super) fn new(lock_dir: &Path, name: &LockName, shared: bool) -> Self {
        Self {
            lock_dir: lock_dir.to_owned(),
            path: lock_path(lock_dir, name),
            shared,
            within: false,
        }
    }

    /// A register of its own in this one's directory.
    pub(super) fn inside(&self, name: &LockName) -> Self {
        Self {
            within: true,
            ..Self::new(&self.path, name, self.shared)
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file_mode(&self) -> Mode {
        Mode::from_raw_mode(if self.shared { 0o640 } else { 0o600 })
    }

    /// Says now what would fail for ever, in words that help to mend it.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let directory = match self.create() {
            Ok(directory) => directory,
            Err(e) if e.passes => return Ok(()),
            Err(e) => return Err(e.error),
        };
        // Somebody's clean-up may take the probe away between two calls.
        let tries = std::iter::repeat_with(|| directory.probe_links(self.file_mode()));
        let linked = tries.take(8).find(|linked| *linked != Err(Errno::NOENT));
        match linked.unwrap_or(Ok(())) {
            Ok(()) => Ok(()),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => Err(refuse(
                &self.path,
                "the filesystem has no hard links, which the lease is made of: \
                 choose a directory on another one",
            )),
            Err(e) if passes(e) => Ok(()),
            Err(e) => Err(unusable(&self.path, e)),
        }
    }

    /// Opens the directory by its path; none if there is none.
    pub(super) fn open(&self) -> Result<Option<Directory>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR) if self.lock_dir.is_file() => {
                return Err(refuse(&self.lock_dir, NO_DIRECTORY));
            }
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(refuse(
                    &self.path,
                    "is in the way: a file or symbolic link, perhaps another tool's, where the \
                     lease's directory should be; remove it or choose another lock name",
                ));
            }
            Err(Errno::ACCESS) => {
                return Err(refuse(
                    &self.path,
                    "you may not read it: ask as the user whose it is, or have it shared with a \
                     group of yours with --shared-dir",
                ));
            }
            Err(e) => return Err(error(&self.path, e)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|e| error(&self.path, e))?;
        self.check_owner(&stat)?;
        Ok(Some(Directory {
            identity: Inode::from(&stat),
            fd,
            path: self.path.clone(),
        }))
    }

    /// `/tmp` is everybody's: a stranger may have made our directory before us.
    fn check_owner(&self, stat: &Stat) -> Result<(), StoreError> {
        if !self.shared && !trusted(stat.st_uid) {
            return Err(refuse(
                &self.path,
                &format!(
                    "belongs to user {}, who could take the lease away: choose another lock \
                     directory or lock name, or share this one on purpose with --shared-dir",
                    stat.st_uid
                ),
            ));
        }
        let others = if self.shared { 0o002 } else { 0o022 };
        if stat.st_mode & others != 0 {
            // A group's is perhaps in use: to take its right away would end that.
            let help = match (self.shared, stat.st_mode & 0o002 != 0) {
                (true, _) => "chmod o-w it",
                (false, true) => "chmod go-w it",
                (false, false) => {
                    "say --shared-dir if it is a group's on purpose, or else chmod g-w it"
                }
            };
            return Err(refuse(
                &self.path,
                &format!(
                    "is writable by others (mode {:o}): {help}",
                    stat.st_mode & 0o7777
                ),
            ));
        }
        Ok(())
    }

    /// Opens the directory and makes what is missing of it.
    pub(super) fn create(&self) -> Result<Directory, CreateError> {
        if !self.within {
            self.create_lock_dir()?;
        }
        // A shared one also when it is there: it may have been left half made.
        if self.open()?.is_none() || self.shared {
            self.make(&self.path)?;
        }
        self.make(&self.path.join(CLAIMS))?;
        match self.open()? {
            Some(directory) => Ok(directory),
            None => Err(refuse(&self.path, "was removed while it was being made").into()),
        }
    }

    fn create_lock_dir(&self) -> Result<(), CreateError> {
        let dir = &self.lock_dir;
        // A mode of its own: a lax umask must not make it everybody's.
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(dir);
        // Asked first, because what stands there explains the failure best.
        let link = match std::fs::symlink_metadata(dir) {
            Ok(metadata) => metadata,
            Err(e) => return Err(CreateError::io(dir, made.err().unwrap_or(e))),
        };
        if link.is_symlink() && !trusted(link.uid()) {
            let why = format!(
                "is a symbolic link that user {} controls: name the directory itself",
                link.uid()
            );
            return Err(refuse(dir, &why).into());
        }
        let metadata = std::fs::metadata(dir).map_err(|e| CreateError::io(dir, e))?;
        if !metadata.is_dir() {
            return Err(refuse(dir, NO_DIRECTORY).into());
        }
        made.map_err(|e| CreateError::io(dir, e))?;
        let mode = metadata.permissions().mode();
        if mode & 0o002 != 0 && mode & 0o1000 == 0 {
            let why = "is writable by everybody without the sticky bit, so anybody could remove \
                       the lease: chmod +t it or choose another directory";
            return Err(refuse(dir, why).into());
        }
        Ok(())
    }

    fn make(&self, path: &Path) -> Result<(), CreateError> {
        let made = rustix::fs::mkdir(path, Mode::RWXU);
        if made.is_ok()
            && let Some(parent) = path.parent()
        {
            // Terms are to survive a power failure, so their directory must.
            // Some filesystems cannot sync one: theirs may not.
            let _ = std::fs::File::open(parent).and_then(|parent| parent.sync_all());
        }
        match made {
            Ok(()) if self.shared => share(path),
            Ok(()) => Ok(()),
            Err(Errno::EXIST) if self.shared => share_what_was_left_private(path),
            Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(CreateError::io(path, e)),
        }
    }
}

/// Whoever made it may have died before it was shared.
fn share_what_was_left_private(path: &Path) -> Result<(), CreateError> {
    let metadata = std::fs::symlink_metadata(path).map_err(|e| CreateError::io(path, e))?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if ours && metadata.is_dir() && metadata.mode() & SHARED != SHARED {
        return share(path);
    }
    Ok(())
}

const SHARED: u32 = 0o2770;

fn share(path: &Path) -> Result<(), CreateError> {
    rustix::fs::chmod(path, Mode::from_raw_mode(SHARED)).map_err(|e| CreateError::io(path, e))
}

/// Root may do anything anyhow.
fn trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Why a directory could not be made, and whether waiting may help.
pub(super) struct CreateError {
    pub(super) error: StoreError,
    passes: bool,
}

impl CreateError {
    fn io(path: &Path, e: impl Into<io::Error>) -> Self {
        let e = e.into();
        match Errno::from_io_error(&e) {
            Some(errno) => Self {
                passes: passes(errno),
                error: unusable(path, errno),
            },
            None => error(path, e).into(),
        }
    }
}

impl From<StoreError> for CreateError {
    fn from(error: StoreError) -> Self {
        Self {
            error,
            passes: false,
        }
    }
}

impl From<CreateError> for StoreError {
    fn from(e: CreateError) -> Self {
        e.error
    }
}

const fn passes(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOSPC | Errno::DQUOT | Errno::MFILE | Errno::NFILE | Errno::INTR | Errno::AGAIN
    )
}

fn unusable(path: &Path, errno: Errno) -> StoreError {
    let help = match errno {
        Errno::ACCESS | Errno::PERM => "you may not write there: choose a directory that you may",
        Errno::ROFS => "the filesystem is read-only: choose a directory that can be written to",
        Errno::NOSPC | Errno::DQUOT => "free some space or inodes",
        Errno::NOTDIR => "a file is in the way: choose another directory",
        Errno::NOENT => "it cannot be made there: choose another directory",
        Errno::NAMETOOLONG => "choose a shorter one",
        _ => return error(path, errno),
    };
    StoreError::new(format!(
        "{}: {} ({help})",
        path.display(),
        io::Error::from(errno)
    ))
}

/// What a name in the directory stands for.
pub(super) enum Named {
    /// Nothing, any more.
    Gone,
    /// A regular file of a believable size.
    File {
        inode: Inode,
        file: File,
        content: Vec<u8>,
    },
    /// Something that was not made by a writer of records.
    Stray(Inode),
}

impl Directory {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn path_of(&self, number: u64) -> PathBuf {
        self.path.join(name_of(number))
    }

    /// The revision that a number is here, if it links to this file.
    pub(super) fn numbered(&self, number: u64, file: Inode) -> Numbered {
        Numbered {
            number,
            file,
            directory: self.identity.inode,
        }
    }

    /// A directory that was removed or replaced still answers through an open
    /// descriptor: the path is what counts.
    pub(super) fn is_still_there(&self) -> Result<bool, StoreError> {
        match rustix::fs::statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Inode::from(&stat) == self.identity),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(e) => Err(error(&self.path, e)),
        }
    }

    /// All numbers, ascending.
    ///
    /// They are taken from a single `getdents64(2)`: over several calls, the
    /// true highest can be missed while others link and unlink.
    pub(super) fn numbers(&self) -> Result<Vec<u64>, StoreError> {
        let mut size = LISTING;
        for _ in 0..16 {
            if let Some(mut numbers) = self.list_at_once(size).map_err(|e| error(&self.path, e))? {
                numbers.sort_unstable();
                return Ok(numbers);
            }
            size = (size * 2).min(64 * LISTING);
        }
        Err(refuse(
            &self.path,
            "holds too many files to be read at once: remove what does not belong there",
        ))
    }

    fn list_at_once(&self, size: usize) -> io::Result<Option<Vec<u64>>> {
        rustix::fs::seek(&self.fd, SeekFrom::Start(0))?;
        let mut buffer = vec![MaybeUninit::uninit(); size];
        let mut listing = RawDir::new(&self.fd, &mut buffer);
        let mut numbers = Vec::new();
        let mut batches = 0;
        loop {
            let fetches = listing.is_buffer_empty();
            let Some(entry) = listing.next() else {
                return Ok(Some(numbers));
            };
            batches += u32::from(fetches);
            if batches > 1 {
                return Ok(None);
            }
            numbers.extend(parse_number(entry?.file_name().to_bytes()));
        }
    }

    /// Whether a file can have two names here.
    fn probe_links(&self, mode: Mode) -> Result<(), Errno> {
        let from = format!("probe-{:x}", unique());
        let to = format!("{from}-link");
        let made = self.open_claim(&from, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY, mode);
        let (old, new) = (claim_path(&from), claim_path(&to));
        let linked =
            made.and_then(|_| rustix::fs::linkat(&self.fd, old, &self.fd, new, AtFlags::empty()));
        self.unlink_claim(&to);
        self.unlink_claim(&from);
        linked
    }

    /// Which file a number links to, if any.
    pub(super) fn inode_of(&self, number: u64) -> Result<Option<Inode>, StoreError> {
        self.inode_at(&name_of(number))
    }

    fn inode_at(&self, name: &str) -> Result<Option<Inode>, StoreError> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Inode::from(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(error(&self.path, e)),
        }
    }

    /// Opens what a number names. What cannot be read is an error, "nobody
    /// knows"; what is no record at all is a [`Named::Stray`].
    pub(super) fn load(&self, number: u64) -> Result<Named, StoreError> {
        self.load_at(&name_of(number))
    }

    /// As [`load`](Self::load), by the name of a claim.
    pub(super) fn load_claim(&self, claim: &str) -> Result<Named, StoreError> {
        self.load_at(&claim_path(claim))
    }

    fn load_at(&self, name: &str) -> Result<Named, StoreError> {
        let failed = |e: io::Error| error(&self.path.join(name), e);
        // Neither follows a link nor waits for the other end of a FIFO.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(Named::Gone),
            Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => {
                return Ok(self.inode_at(name)?.map_or(Named::Gone, Named::Stray));
            }
            Err(e) => return Err(failed(e.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|e| failed(e.into()))?;
        let inode = Inode::from(&stat);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(Named::Stray(inode));
        }
        let mut content = Vec::new();
        (&file)
            .take(LARGEST_RECORD + 1)
            .read_to_end(&mut content)
            .map_err(failed)?;
        if content.len() as u64 > LARGEST_RECORD {
            return Ok(Named::Stray(inode));
        }
        Ok(Named::File {
            inode,
            file,
            content,
        })
    }

    /// Gives the file `claim` a number, if no other has it.
    pub(super) fn link(&self, claim: &str, number: u64) -> Result<(), Errno> {
        rustix::fs::linkat(
            &self.fd,
            claim_path(claim),
            &self.fd,
            name_of(number),
            AtFlags::empty(),
        )
    }

    /// Removes a number, if that is allowed: in a sticky directory those of
    /// other users stay, and harm nobody.
    pub(super) fn unlink(&self, number: u64) {
        let _ = rustix::fs::unlinkat(&self.fd, name_of(number), AtFlags::empty());
    }

    pub(super) fn unlink_claim(&self, claim: &str) {
        let _ = rustix::fs::unlinkat(&self.fd, claim_path(claim), AtFlags::empty());
    }

    pub(super) fn open_claim(&self, claim: &str, flags: OFlags, mode: Mode) -> Result<File, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, claim_path(claim), flags, mode).map(File::from)
    }

    pub(super) fn claims(&self) -> io::Result<Vec<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let claims = rustix::fs::openat(&self.fd, CLAIMS, flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(claims)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }
}

fn claim_path(claim: &str) -> String {
    format!("{CLAIMS}/{claim}")
}

/// Wide enough for any 64-bit number, so that names sort as numbers do.
const DIGITS: usize = 20;

fn name_of(number: u64) -> String {
    format!("{number:0DIGITS$}")
}

fn parse_number(name: &[u8]) -> Option<u64> {
    let digits = name.len() == DIGITS && name.iter().all(u8::is_ascii_digit);
    // A number that 64 bits do not hold is a stranger's.
    digits.then(|| std::str::from_utf8(name).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_a_writer_would_name_is_a_number() {
        for (name, number) in [
            ("00000000000000000042", Some(42)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999999999999999", None),
            ("42", None),
            ("+0000000000000000042", None),
            ("000000000000000000042", None),
            ("0000000000000000004x", None),
            ("", None),
        ] {
            assert_eq!(parse_number(name.as_bytes()), number, "{name}");
        }
    }

    fn made() -> (tempfile::TempDir, Directory) {
        let lock_dir = tempfile::tempdir().unwrap();
        let place = Place::new(lock_dir.path(), &LockName::new("x").unwrap(), false);
        let Ok(directory) = place.create() else {
            panic!("it can be made")
        };
        (lock_dir, directory)
    }

    #[test]
    fn numbers_that_one_call_cannot_list_are_never_listed_by_two() {
        let (_lock_dir, directory) = made();
        let all: Vec<u64> = (0..3000).collect();
        for number in &all {
            File::create(directory.path_of(*number)).unwrap();
        }
        assert_eq!(directory.list_at_once(LISTING).unwrap(), None);
        assert_eq!(directory.numbers().unwrap(), all);
    }

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let (_lock_dir, directory) = made();
        for size in [0, LARGEST_RECORD, LARGEST_RECORD + 1, 1 << 40] {
            let file = File::create(directory.path_of(1)).unwrap();
            file.set_len(size).unwrap();
            match directory.load(1).unwrap() {
                Named::File { content, .. } => {
                    assert_eq!(content.len() as u64, size);
                    assert!(size <= LARGEST_RECORD);
                }
                Named::Stray(_) => assert!(size > LARGEST_RECORD, "{size}"),
                Named::Gone => panic!("it is there"),
            }
        }
    }

    #[test]
    fn what_stands_where_the_claims_should_be_is_neither_followed_nor_waited_for() {
        let (lock_dir, directory) = made();
        let claims = directory.path().join(CLAIMS);
        std::fs::remove_dir(&claims).unwrap();
        std::os::unix::fs::symlink(lock_dir.path(), &claims).unwrap();
        assert!(directory.claims().is_err(), "it is somebody else's");
        std::fs::remove_file(&claims).unwrap();

        rustix::fs::mknodat(CWD, &claims, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(directory.claims().is_err()));
        // Without a writer, to open it as a file would wait for ever.
        assert_eq!(
            told.recv_timeout(std::time::Duration::from_secs(60)),
            Ok(true)
        );
    }

    proptest! {
        #[test]
        fn any_name_is_parsed_without_a_panic(name in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(number) = parse_number(&name) {
                let again = name_of(number);
                prop_assert_eq!(again.as_bytes(), &name[..]);
            }
        }

        #[test]
        fn every_number_has_its_name(number: u64) {
            prop_assert_eq!(parse_number(name_of(number).as_bytes()), Some(number));
        }
    }
}
