//! The lock directory, and what can be done to it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use leader_demo::clock::{self, BootTime};
use tempfile::TempDir;

use crate::common::mounts::Mounted;
use crate::common::unwritable::Unwritable;
use crate::place::{Blow, News, Place, Played};
use crate::plan::Fault;

pub(crate) struct Directory {
    root: Root,
    lock_name: String,
    state: State,
    unwritable: Option<Unwritable>,
}

enum Root {
    /// A small filesystem of our own.
    Small(Mounted),
    Given(PathBuf),
    Temporary(TempDir),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Sound,
    Full(BootTime),
    ReadOnly(BootTime),
}

impl Directory {
    pub(crate) fn new(given: Option<&Path>, lock_name: &str) -> Result<Self> {
        let root = match given {
            Some(dir) => {
                fs::create_dir_all(dir)?;
                Root::Given(dir.to_owned())
            }
            None => match Mounted::tmpfs("size=1m,nr_inodes=400,mode=0700") {
                Some(mounted) => Root::Small(mounted),
                None => Root::Temporary(tempfile::tempdir()?),
            },
        };
        Ok(Self {
            root,
            lock_name: lock_name.into(),
            state: State::Sound,
            unwritable: None,
        })
    }

    fn path(&self) -> &Path {
        match &self.root {
            Root::Small(mounted) => mounted.path(),
            Root::Given(dir) => dir,
            Root::Temporary(dir) => dir.path(),
        }
    }

    /// That of the lease itself.
    fn lease(&self) -> PathBuf {
        self.path().join(format!("{}.lock", self.lock_name))
    }

    /// Nobody else's disk is filled.
    fn can_be_full(&self) -> bool {
        matches!(self.root, Root::Small(_))
    }

    fn fill(&mut self, until: BootTime) -> Result<()> {
        let filler = self.filler();
        fs::create_dir(&filler)?;
        let mut file = File::create(filler.join("bytes"))?;
        while file.write_all(&[0; 4096]).is_ok() {}
        let mut names = (0..).map(|n| filler.join(n.to_string()));
        while names.next().is_some_and(|name| File::create(name).is_ok()) {}
        self.state = State::Full(until);
        Ok(())
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Not even root may write to it. False where the filesystem has no such flag.
    fn make_read_only(&mut self, until: BootTime) -> bool {
        self.unwritable = Unwritable::make(&self.lease()).ok();
        if self.unwritable.is_some() {
            self.state = State::ReadOnly(until);
        }
        self.unwritable.is_some()
    }

    fn mend(&mut self) -> Result<Option<News>> {
        let at = clock::now();
        let word = match self.state {
            State::Sound => return Ok(None),
            State::Full(_) => {
                fs::remove_dir_all(self.filler())?;
                "disk_free"
            }
            State::ReadOnly(_) => {
                self.unwritable = None;
                "writable"
            }
        };
        self.state = State::Sound;
        Ok(Some(News::of_all(at, word, "")))
    }

    /// What is no record, as the next one. Says what it is; none if it could
    /// not be put there.
    fn put_garbage(&self, fault: Fault, kind: u64) -> Result<Option<&'static str>> {
        let newest = self.newest()?;
        // What is garbage itself may not be read.
        let whole = newest.as_ref().and_then(|path| fs::read(path).ok());
        let whole = whole.unwrap_or_default();
        let number = newest.as_deref().and_then(number).unwrap_or(0);
        // A writer may be quicker than this hand: then the next number.
        for number in number + 1..number + 100 {
            let path = self.lease().join(format!("{number:020}"));
            let (what, done) = match kind % 4 {
                _ if fault == Fault::Torn => ("torn", new_file(&path, &whole[..whole.len() / 2])),
                0 => ("garbage", new_file(&path, b"\x00\xffgarbage")),
                1 => ("empty", new_file(&path, b"")),
                2 => ("a directory", fs::create_dir(&path)),
                _ => ("a symbolic link", symlink("/nowhere", &path)),
            };
            match done {
                Ok(()) => return Ok(Some(what)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    fn newest(&self) -> Result<Option<PathBuf>> {
        let entries = fs::read_dir(self.lease()).context("the lease's directory")?;
        let revisions = entries.flatten().map(|entry| entry.path());
        Ok(revisions.filter(|path| number(path).is_some()).max())
    }

    /// Names that are nobody's record.
    fn put_strangers(&self) {
        for name in [
            "README",
            "42",
            "99999999999999999999",
            ".hidden",
            "0000000000000000000x",
            "claims/notes",
            "claims/work-of-mine",
        ] {
            // A full disk refuses strangers, too.
            let _ = fs::write(self.lease().join(name), "not yours");
        }
    }
}

impl Place for Directory {
    fn flags(&self, _: Option<usize>) -> Vec<OsString> {
        let [dir, name] = ["--lock-dir", "--lock-name"].map(OsString::from);
        vec![dir, self.path().into(), name, (&self.lock_name).into()]
    }

    fn play(&mut self, blow: &Blow, news: &mut Vec<News>) -> Result<Played> {
        if self.state != State::Sound && blow.fault != Fault::Stranger {
            return Ok(Played::NotNow);
        }
        let until = blow.at + blow.lasts;
        let (word, what) = match blow.fault {
            Fault::DiskFull if !self.can_be_full() => {
                let why = "the lock directory is not on a filesystem of our own";
                return Ok(Played::Never(why));
            }
            Fault::DiskFull => {
                self.fill(until)?;
                ("disk_full", "")
            }
            Fault::ReadOnly => match self.make_read_only(until) {
                true => ("read_only", ""),
                false => {
                    let why = "this filesystem has no immutable flag, or we may not set it";
                    return Ok(Played::Never(why));
                }
            },
            Fault::Stranger => {
                self.put_strangers();
                ("stranger", "")
            }
            _ => match self.put_garbage(blow.fault, blow.kind)? {
                Some(what) => ("garbage", what),
                None => return Ok(Played::NotNow),
            },
        };
        news.push(News::of_all(blow.at, word, what));
        Ok(Played::Yes)
    }

    fn look(&mut self, now: BootTime) -> Result<Vec<News>> {
        let done = match self.state {
            State::Full(until) | State::ReadOnly(until) if until <= now => self.mend()?,
            _ => None,
        };
        Ok(done.into_iter().collect())
    }

    fn heal(&mut self) {
        if let State::Full(until) | State::ReadOnly(until) = &mut self.state {
            *until = BootTime::default();
        }
    }

    fn is_sound(&self) -> bool {
        self.state == State::Sound
    }

    /// Moved away at once, then removed: nobody meets a half.
    fn remove(&mut self) -> Result<()> {
        let gone = self.lease().with_extension("gone");
        fs::rename(self.lease(), &gone)?;
        loop {
            match fs::remove_dir_all(&gone) {
                // Who still had it open was just making something in it.
                Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => {}
                removed => return Ok(removed?),
            }
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = self.mend();
    }
}

fn new_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    File::create_new(path)?.write_all(content)
}

/// Of a revision.
fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    (name.len() == 20).then(|| name.parse().ok())?
}
