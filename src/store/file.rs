//! The file store: a register made of `link(2)`, woken by `flock(2)`.
//!
//! `LOCK_DIR/NAME.lock/` holds one small file for each *revision*, named by its
//! number; the highest is the current record. The kernel lets exactly one
//! process create the next number: that is the compare-and-swap. No lock is
//! ever held while others wait for it, so a frozen process blocks nobody.
//!
//! What a number links to is its writer's *claim*, a file that stays flocked
//! while its session lives. The kernel drops that lock when the process dies,
//! which is how a `kill -9` is noticed within a millisecond.
//!
//! | file | |
//! |---|---|
//! | `file/directory.rs` | the directory: is it fit and safe, which numbers are in it |
//! | `file/claim.rs` | a session's record, written, locked and synced before it matters |
//! | `file/register.rs` | read and swap, one system call after another |
//! | `file/reading.rs` | which record is the current one, and what an unreadable one may hide |
//! | `file/lock.rs` | when a lock says something about its writer |
//! | `file/filesystem.rs` | which filesystem it is, and whether its locks can be believed |
//! | `file/waiter.rs` | when "the lock is free" may be taken to mean "the holder died" |
//! | `file/news.rs` | when a number comes or goes: for who watches |
//! | `file/work.rs` | what earlier leaders started may still run on this machine |
//! | `file/collector.rs` | removes what ended sessions left behind |

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::lease::{Record, boot_id};
use crate::name::LockName;
use crate::store::{Answer, LeaseStore, Life, Observed, Revision, StoreError, Swap, Wake, Work};

mod claim;
mod collector;
mod directory;
mod filesystem;
mod lock;
#[cfg(test)]
mod model;
mod news;
mod reading;
mod register;
mod waiter;
mod work;

pub use filesystem::Filesystem;

use directory::{Inode, Place};
use news::News;
use register::Register;
use waiter::Waiters;

/// Enough for JSON nested as deeply as its reader takes (128 levels), which is
/// what a stranger may leave for us to read. Only touched pages cost memory.
const STACK: usize = 1024 * 1024;

/// What others left behind is looked through once a new leader has been quiet
/// for this long, or has made some calls: its work may wait for them.
const QUIET: Duration = Duration::from_millis(5);
const FIRST_CALLS: usize = 2;

/// One lease, kept in a directory.
///
/// ```
/// # use leader_demo::{FileStore, LockName};
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let store = FileStore::open(dir, &LockName::new("my-service")?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileStore {
    place: Arc<Place>,
    jobs: mpsc::Sender<Job>,
    waiters: Waiters,
    news: News,
}

/// Work for the store's own thread: a stalled disk must stall neither the
/// driver's deadlines nor the runtime's shared blocking pool (rule 14).
type Job = Box<dyn FnOnce(&mut Register) + Send>;

impl FileStore {
    /// Opens the lease `name` in `lock_dir`, which is created when missing. The
    /// files are the user's own: others may neither write nor read them.
    ///
    /// Blocks for a few system calls. Keep one for each lease rather than many
    /// in turn: each waits for the current holder in a thread that ends only
    /// when that holder lets go.
    ///
    /// # Errors
    /// What a person has to mend: the directory cannot be made, is not
    /// writable, belongs to a stranger, is open to everybody, or its filesystem
    /// has no hard links. What passes by itself, like a full disk, is left to
    /// the calls that follow.
    pub fn open(lock_dir: impl AsRef<Path>, name: &LockName) -> Result<Self, StoreError> {
        Self::checked(Place::new(lock_dir.as_ref(), name, false))
    }

    /// As [`open`](Self::open), but for several users: the directory is made
    /// group-writable with the setgid bit, the files readable by the group.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_shared(lock_dir: impl AsRef<Path>, name: &LockName) -> Result<Self, StoreError> {
        Self::checked(Place::new(lock_dir.as_ref(), name, true))
    }

    /// As [`open`](Self::open), to look at a lease that may be there: nothing
    /// is created, or tried, unless something is swapped in. What is missing
    /// reads as no record.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn existing(lock_dir: impl AsRef<Path>, name: &LockName) -> Result<Self, StoreError> {
        Self::at(Place::new(lock_dir.as_ref(), name, false))
    }

    /// As [`existing`](Self::existing), of several users.
    ///
    /// # Errors
    /// As [`existing`](Self::existing).
    pub fn existing_shared(
        lock_dir: impl AsRef<Path>,
        name: &LockName,
    ) -> Result<Self, StoreError> {
        Self::at(Place::new(lock_dir.as_ref(), name, true))
    }

    fn checked(place: Place) -> Result<Self, StoreError> {
        place.check()?;
        Self::at(place)
    }

    fn at(place: Place) -> Result<Self, StoreError> {
        let place = Arc::new(place);
        let (jobs, work) = mpsc::channel::<Job>();
        let mut register = Register::new(place.clone());
        std::thread::Builder::new()
            .name("lease-store".into())
            .stack_size(STACK)
            .spawn(move || {
                for job in &work {
                    job(&mut register);
                    if register.has_much_to_tidy() {
                        let next = std::iter::from_fn(|| work.recv_timeout(QUIET).ok());
                        next.take(FIRST_CALLS).for_each(|job| job(&mut register));
                    }
                    // Whoever waited for that goes first, also on a single core.
                    std::thread::yield_now();
                    register.tidy();
                }
            })
            .map_err(|e| StoreError::new(format!("cannot start a thread: {e}")))?;
        Ok(Self {
            waiters: Waiters::new(place.clone(), boot_id()),
            place,
            jobs,
            news: News::default(),
        })
    }

    /// The directory that holds this lease.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Register) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, Result<T, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |register| {
            // Abandoned while it waited behind a slow one: better not done.
            if !reply.is_closed() {
                let _ = reply.send(call(register));
            }
        });
        let gone = || StoreError::new("the store's thread is gone");
        let sent = self.jobs.send(job);
        Box::pin(async move {
            sent.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        })
    }
}

impl LeaseStore for FileStore {
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>> {
        self.ask(|register| register.read())
    }

    fn swap(
        &self,
        expected: Option<Revision>,
        next: Record,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        self.ask(move |register| register.swap(expected, next))
    }

    fn changed(&self, seen: Revision) -> Answer<'_, Wake> {
        self.waiters.changed(seen)
    }

    fn prepare(&self, next: Record) {
        // Nobody waits for it: what goes wrong here will be said by the swap.
        drop(self.jobs.send(Box::new(move |register| {
            let _ = register.prepare(&next);
        })));
    }

    fn begin_work(&self, leadership: Record) -> Answer<'_, Result<Work, StoreError>> {
        let begun = self.ask(move |register| register.begin_work(&leadership));
        Box::pin(async move {
            let (witness, found) = begun.await?;
            // All before the first is waited for: they look around at once.
            let watched = found.into_iter().map(work::Found::watch);
            let mut before = Vec::new();
            for remains in watched.collect::<Result<Vec<_>, _>>()? {
                before.push(remains.await);
            }
            Ok(Work {
                witness: Some(witness),
                before,
            })
        })
    }

    fn moved_on(&self, seen: Option<Revision>) -> Answer<'_, ()> {
        Box::pin(async move {
            let Some(news) = self.news.listen() else {
                return std::future::pending().await;
            };
            let (place, source) = (self.place.clone(), news.clone());
            // Asked when it listens already, so that nothing falls in between.
            let current = self.ask(move |register| {
                source.follow(place.path());
                register.read()
            });
            match current.await {
                Ok(current) if current.as_ref().map(|o| o.revision) == seen => news.next().await,
                Ok(_) => {}
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn between(
        &self,
        older: Revision,
        newer: Revision,
    ) -> Answer<'_, Result<Option<Vec<Observed>>, StoreError>> {
        self.ask(move |register| register.between(older.into(), newer.into()))
    }

    fn age(&self, seen: Revision) -> Answer<'_, Result<Option<Duration>, StoreError>> {
        self.ask(move |register| register.age(seen.into()))
    }

    fn requests(&self) -> Option<Arc<dyn LeaseStore>> {
        let name = LockName::new("request").ok()?;
        let store = Self::at(self.place.inside(&name)).ok()?;
        Some(Arc::new(store))
    }

    fn life(&self, seen: Revision) -> Answer<'_, Result<Life, StoreError>> {
        self.ask(move |register| register.life(seen.into()))
    }
}

/// A revision of this store: a number, the file that it links to, and the inode
/// of the directory. A register keeps that open, so in one made again, with
/// numbers and perhaps inodes used again, no revision is taken for an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbered {
    number: u64,
    file: Inode,
    directory: u64,
}

impl From<Revision> for Numbered {
    fn from(revision: Revision) -> Self {
        let [number, device, inode, directory] = revision.parts();
        Self {
            number,
            file: Inode { device, inode },
            directory,
        }
    }
}

impl From<Numbered> for Revision {
    fn from(at: Numbered) -> Self {
        Self::new([at.number, at.file.device, at.file.inode, at.directory])
    }
}

fn error(path: &Path, error: impl Into<io::Error>) -> StoreError {
    StoreError::new(format!("{}: {}", path.display(), error.into()))
}

fn refuse(path: &Path, why: &str) -> StoreError {
    StoreError::new(format!("{}: {why}", path.display()))
}

fn lock_path(lock_dir: &Path, name: &LockName) -> PathBuf {
    lock_dir.join(format!("{name}.lock"))
}

/// A name that no other session or process uses.
fn unique() -> u64 {
    let mut bytes = [0; 8];
    // Two that are equal only make one of them try again.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}
