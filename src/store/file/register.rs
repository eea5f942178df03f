//! Read and swap, one system call after another.
//!
//! Everything here runs on the store's own thread. Any other process may do
//! anything between two lines, and may freeze for hours between two of its own.

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use super::claim::{Claim, Purpose};
use super::directory::{Directory, Inode, Named, Place};
use super::lock::{is_locked, locked_by_its_writer};
use super::reading::{number_of, read_in, record_at};
use super::work::{self, Found};
use super::{Numbered, collector, error, refuse, unique};
use crate::clock;
use crate::lease::{Record, boot_id};
use crate::store::{Life, Observed, Revision, StoreError, Swap, Witness};

/// How many revisions below the current one are kept: they tell what term an
/// unreadable record may have hidden, and make room on a full disk.
const KEPT: u64 = 16;

/// How often to try what another's clean-up may spoil at any moment.
pub(super) const ATTEMPTS: usize = 64;

pub(super) struct Register {
    place: Arc<Place>,
    /// Kept open, so that a leader renews even with no descriptor left.
    directory: Option<Directory>,
    /// The last one, where there is none now. Kept open until there is: so its
    /// inode is not used again, and no new revision equals an old one.
    gone: Option<Directory>,
    /// Written and locked, but no number names it yet.
    staged: Option<Claim>,
    /// The claim that this session leads by. Whoever believes in the leadership
    /// owns it: it is unlocked when the last of them lets go, and not before.
    leading: Option<(Weak<std::fs::File>, Claimed)>,
    chores: Chores,
    /// Names of claims this session made and has not removed.
    made: Vec<String>,
    /// Names of the files by which its work is found. Their locks are other
    /// processes' to keep.
    works: Vec<String>,
    serial: u64,
}

/// A claim without its descriptor.
struct Claimed {
    name: String,
    record: Record,
    inode: Inode,
}

/// What can wait until the caller has its answer.
#[derive(Default)]
struct Chores {
    old: Vec<u64>,
    collect: bool,
    /// This session's work should have.
    ended: bool,
}

/// What is linked under the next number.
struct Source {
    name: String,
    inode: Inode,
    kind: Kind,
}

enum Kind {
    Acquisition,
    Renewal(Arc<std::fs::File>),
    Vacancy,
}

impl Register {
    pub(super) fn new(place: Arc<Place>) -> Self {
        Self {
            place,
            directory: None,
            gone: None,
            staged: None,
            leading: None,
            chores: Chores::default(),
            made: Vec::new(),
            works: Vec::new(),
            serial: 0,
        }
    }

    /// The directory that is at the path now, whatever was there before.
    fn directory(&mut self) -> Result<Option<&Directory>, StoreError> {
        let there = match &self.directory {
            Some(directory) => directory.is_still_there()?,
            None => false,
        };
        if !there {
            let before = std::mem::replace(&mut self.directory, self.place.open()?);
            self.gone = match self.directory {
                Some(_) => None,
                None => before.or(self.gone.take()),
            };
            // What was made in the old one is of no use in another.
            self.staged = None;
            self.made.clear();
            self.works.clear();
        }
        Ok(self.directory.as_ref())
    }

    pub(super) fn read(&mut self) -> Result<Option<Observed>, StoreError> {
        match self.directory()? {
            Some(directory) => read_in(directory),
            None => Ok(None),
        }
    }

    pub(super) fn swap(
        &mut self,
        expected: Option<Revision>,
        next: Record,
    ) -> Result<Swap, StoreError> {
        let expected = expected.map(Numbered::from);
        if self.directory()?.is_none() {
            // Only who expects nothing may make the directory anew: a renewal
            // must not bring a deleted record back.
            if expected.is_some() {
                return Ok(Swap::Conflict(None));
            }
            self.place.create()?;
        }
        let Some(number) = expected.map_or(0, |e| e.number).checked_add(1) else {
            return Err(refuse(self.place.path(), "has run out of numbers"));
        };
        match self.directory()? {
            Some(directory) if is_at(directory, expected)? => {}
            _ => return Ok(Swap::Conflict(self.read()?)),
        }
        let Some(source) = self.link(&next, number)? else {
            // Also when the number is this session's own: an earlier link whose
            // answer was lost. The election goes on from there.
            return Ok(Swap::Conflict(self.read()?));
        };
        // The directory is the one that was looked at above; what is there by
        // now is found out next.
        let Some(directory) = &self.directory else {
            return Ok(Swap::Conflict(None));
        };
        // Look again: whoever slept may have taken a number that had been
        // cleaned up long ago, or one in a directory nobody sees any more.
        let number = directory.numbered(number, source.inode);
        match look_again(directory, expected, number)? {
            Some(old) => self.chores.old = old,
            None => {
                if names(directory, number)? {
                    directory.unlink(number.number);
                }
                return Ok(Swap::Conflict(self.read()?));
            }
        }
        let witness = self.took_effect(source)?;
        Ok(Swap::Swapped {
            revision: number.into(),
            witness,
        })
    }

    /// Links what says `next` under `number`; none if another has that number.
    fn link(&mut self, next: &Record, number: u64) -> Result<Option<Source>, StoreError> {
        for _ in 0..ATTEMPTS {
            let source = self.source(next)?;
            let Some(directory) = &self.directory else {
                return Ok(None);
            };
            match link_making_room(directory, &source.name, number) {
                Ok(()) => return Ok(Some(source)),
                Err(Errno::EXIST) => return Ok(None),
                // Collected in the moment between its making and its lock.
                Err(Errno::NOENT) if !matches!(source.kind, Kind::Renewal(_)) => self.staged = None,
                Err(e) => return Err(error(self.place.path(), e)),
            }
        }
        Err(refuse(self.place.path(), "somebody removes what is in it"))
    }

    fn took_effect(&mut self, source: Source) -> Result<Option<Witness>, StoreError> {
        match source.kind {
            Kind::Renewal(file) => Ok(Some(Witness::new(file))),
            Kind::Vacancy => {
                self.leading = None;
                self.chores.ended = true;
                Ok(None)
            }
            Kind::Acquisition => {
                self.chores.collect = true;
                // A sync that failed may have lost what it was to keep, and a
                // second one would not say so: this claim and its term are
                // burnt. Taking it out of here closes it.
                let claim = self.staged.take();
                let (Some(claim), Some(directory)) = (claim, &self.directory) else {
                    return Err(refuse(self.place.path(), "the claim was removed"));
                };
                directory.sync().map_err(|e| error(self.place.path(), e))?;
                let owner = Arc::downgrade(&claim.file);
                let claimed = Claimed {
                    name: claim.name,
                    record: claim.record,
                    inode: claim.inode,
                };
                self.leading = Some((owner, claimed));
                Ok(Some(Witness::new(claim.file)))
            }
        }
    }

    /// Finds or stages the file to link for `next`.
    fn source(&mut self, next: &Record) -> Result<Source, StoreError> {
        if let Some((owner, claimed)) = &self.leading
            && claimed.record == *next
            && let Some(file) = owner.upgrade()
        {
            return Ok(Source {
                name: claimed.name.clone(),
                inode: claimed.inode,
                kind: Kind::Renewal(file),
            });
        }
        if next.holder().is_none() {
            let vacant = self.stage(next, Purpose::Lease)?;
            return Ok(Source {
                name: vacant.name,
                inode: vacant.inode,
                kind: Kind::Vacancy,
            });
        }
        self.prepare(next)?;
        match &self.staged {
            Some(claim) => Ok(Source {
                name: claim.name.clone(),
                inode: claim.inode,
                kind: Kind::Acquisition,
            }),
            None => Err(refuse(self.place.path(), "was removed meanwhile")),
        }
    }

    /// Stages the claim for `next`, unless that has been done.
    pub(super) fn prepare(&mut self, next: &Record) -> Result<(), StoreError> {
        if self.directory()?.is_none() {
            return Ok(());
        }
        if self.staged.as_ref().is_none_or(|c| c.record != *next) {
            self.staged = None;
            self.staged = Some(self.stage(next, Purpose::Lease)?);
        }
        Ok(())
    }

    /// Announces work, and finds that of earlier terms.
    ///
    /// The order is what makes it safe: whoever looks for others can be found
    /// by then. So of two that begin at once, one of which has slept through
    /// the end of its leadership, at least one finds the other: the later term
    /// waits for the earlier, and the earlier is refused.
    pub(super) fn begin_work(
        &mut self,
        leadership: &Record,
    ) -> Result<(Witness, Vec<Found>), StoreError> {
        for _ in 0..ATTEMPTS {
            self.directory()?;
            let mine = self.stage(leadership, Purpose::Work)?;
            let Some(directory) = &self.directory else {
                break;
            };
            let mut names = directory
                .claims()
                .map_err(|e| error(self.place.path(), e))?;
            // Or else it was collected between its making and its lock, and
            // nobody would find it.
            if let Some(at) = names.iter().position(|name| *name == mine.name) {
                names.swap_remove(at);
                let found = work::earlier(directory, &names, &mine.record)?;
                return Ok((Witness::new(mine.file), found));
            }
        }
        Err(refuse(self.place.path(), "somebody removes what is in it"))
    }

    /// One look at whether the holder of what was seen is alive.
    pub(super) fn life(&mut self, seen: Numbered) -> Result<Life, StoreError> {
        let Some(directory) = self.directory()? else {
            return Ok(Life::Unknown);
        };
        let Named::File {
            inode,
            file,
            content,
        } = directory.load(seen.number)?
        else {
            return Ok(Life::Unknown);
        };
        let path = directory.path_of(seen.number);
        let failed = |e| error(&path, e);
        let record = locked_by_its_writer(&file, inode, &content, boot_id().as_deref());
        let Some(record) = record.map_err(failed)? else {
            return Ok(Life::Unknown);
        };
        if directory.numbered(seen.number, inode) != seen {
            return Ok(Life::Unknown);
        }
        Ok(if is_locked(&file).map_err(failed)? {
            // One that is frozen is no leader that one look could vouch for.
            match silent_for(&file).map_err(failed)? < record.lease_duration {
                true => Life::Alive,
                false => Life::Silent,
            }
        } else if number_of(directory, inode)?.is_some() {
            Life::Dead
        } else {
            // It has let go of this one, perhaps for another.
            Life::Unknown
        })
    }

    /// The records between two revisions, if every one is still there.
    pub(super) fn between(
        &mut self,
        older: Numbered,
        newer: Numbered,
    ) -> Result<Option<Vec<Observed>>, StoreError> {
        let Some(directory) = self.directory()? else {
            return Ok(None);
        };
        // Numbers of a directory made again continue no earlier ones.
        if older.directory != newer.directory || older.number >= newer.number {
            return Ok(None);
        }
        let between = (older.number..newer.number).skip(1);
        between.map(|n| record_at(directory, n)).collect()
    }

    /// How long ago what was seen was linked.
    pub(super) fn age(&mut self, seen: Numbered) -> Result<Option<Duration>, StoreError> {
        let Some(directory) = self.directory()? else {
            return Ok(None);
        };
        match directory.load(seen.number)? {
            Named::File { inode, file, .. } if directory.numbered(seen.number, inode) == seen => {
                let age = silent_for(&file);
                Ok(Some(
                    age.map_err(|e| error(&directory.path_of(seen.number), e))?,
                ))
            }
            _ => Ok(None),
        }
    }

    fn stage(&mut self, record: &Record, purpose: Purpose) -> Result<Claim, StoreError> {
        let mode = self.place.file_mode();
        let failed = |place: &Place, e| error(&place.path().join("claims"), e);
        for _ in 0..ATTEMPTS {
            let Some(directory) = &self.directory else {
                return Err(refuse(self.place.path(), "was removed meanwhile"));
            };
            self.serial += 1;
            let (prefix, names) = match purpose {
                Purpose::Lease => ("", &mut self.made),
                Purpose::Work => (work::PREFIX, &mut self.works),
            };
            let name = format!("{prefix}{:x}-{}", unique(), self.serial);
            match Claim::stage(directory, name, record.clone(), mode, purpose) {
                Ok(claim) => {
                    names.push(claim.name.clone());
                    return Ok(claim);
                }
                // Somebody removed the folder: it is ours to make.
                Err(Errno::NOENT) => {
                    self.place.create()?;
                    self.directory()?;
                }
                // A collector looked at it the moment it was made.
                Err(Errno::WOULDBLOCK) => {}
                Err(e) => return Err(failed(&self.place, e)),
            }
        }
        Err(failed(&self.place, Errno::AGAIN))
    }

    /// Whether that will take more than a call or two.
    pub(super) fn has_much_to_tidy(&self) -> bool {
        self.chores.collect
    }

    /// Clean-up, once the caller has its answer.
    pub(super) fn tidy(&mut self) {
        let Chores {
            old,
            collect,
            ended,
        } = std::mem::take(&mut self.chores);
        let Some(directory) = &self.directory else {
            return;
        };
        for number in old {
            directory.unlink(number);
        }
        let staged = self.staged.as_ref().map(|c| &c.name);
        let leading = self
            .leading
            .as_ref()
            .filter(|(owner, _)| owner.strong_count() > 0)
            .map(|(_, c)| &c.name);
        self.made.retain(|name| {
            let used = Some(name) == staged || Some(name) == leading;
            if !used {
                directory.unlink_claim(name);
            }
            used
        });
        // What nobody ever acquires is tidied by whoever writes to it.
        if collect || ended && self.place.within {
            collector::collect(directory, &self.made);
        }
        if ended {
            self.works
                .retain(|name| !collector::remove_if_abandoned(directory, name));
        }
    }
}

/// Staged claims that were never used go with their session.
impl Drop for Register {
    fn drop(&mut self) {
        self.staged = None;
        self.leading = None;
        self.chores.ended = true;
        self.tidy();
    }
}

/// Whether the current record is the one expected.
fn is_at(directory: &Directory, expected: Option<Numbered>) -> Result<bool, StoreError> {
    Ok(match (directory.numbers()?.last(), expected) {
        (None, None) => true,
        (Some(&top), Some(e)) if top == e.number => names(directory, e)?,
        _ => false,
    })
}

/// Whether a number still names what it did, in the directory where it did.
fn names(directory: &Directory, at: Numbered) -> Result<bool, StoreError> {
    let named = directory.inode_of(at.number)?;
    Ok(named.map(|file| directory.numbered(at.number, file)) == Some(at))
}

/// How long ago a file was linked last, by the clocks on the wall: no more than
/// a hint.
fn silent_for(file: &std::fs::File) -> io::Result<Duration> {
    let stat = rustix::fs::fstat(file)?;
    let linked = Duration::new(stat.st_ctime.unsigned_abs(), stat.st_ctime_nsec as u32);
    let now = clock::wall_time().duration_since(SystemTime::UNIX_EPOCH);
    Ok(now.unwrap_or_default().saturating_sub(linked))
}

fn link_making_room(directory: &Directory, claim: &str, number: u64) -> Result<(), Errno> {
    let linked = directory.link(claim, number);
    if matches!(linked, Err(Errno::NOSPC | Errno::DQUOT)) {
        // A name or an inode short: the oldest revision gives up its own. Not
        // the current one, which is what a reader must find; nor the one before,
        // or else its writer, looking again only now, would take it back.
        let oldest = directory.numbers().ok().and_then(|n| n.first().copied());
        if let Some(oldest) = oldest
            && oldest + 2 < number
        {
            directory.unlink(oldest);
            return directory.link(claim, number);
        }
    }
    linked
}

/// Whether the new number is the one after `expected` and the highest, in the
/// directory that everybody sees; then, which numbers may go.
fn look_again(
    directory: &Directory,
    expected: Option<Numbered>,
    new: Numbered,
) -> Result<Option<Vec<u64>>, StoreError> {
    let mut numbers = directory.numbers()?;
    let highest = numbers.last() == Some(&new.number);
    let mine = names(directory, new)?;
    let follows = match expected {
        Some(before) => names(directory, before)?,
        None => true,
    };
    if !(highest && mine && follows && directory.is_still_there()?) {
        return Ok(None);
    }
    numbers.retain(|n| *n < new.number.saturating_sub(KEPT));
    Ok(Some(numbers))
}

#[cfg(test)]
mod tests;
