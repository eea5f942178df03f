//! The nouns: what the kernel keeps, and what must never be.

use std::collections::BTreeMap;

use super::process::{Process, Step};

/// A claim's name: whose it is, and which of its claims. Never used twice.
pub(super) type Name = (u8, u8);

/// What stands behind a revision: directory, number, inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Revision {
    pub(super) directory: usize,
    pub(super) number: u8,
    pub(super) file: u8,
}

#[derive(Clone, Debug, Hash)]
pub(super) struct World {
    /// Which directory is at the path.
    pub(super) path: Option<usize>,
    pub(super) directories: Vec<Directory>,
    /// By inode: the number of a file that is gone is used again.
    pub(super) files: Vec<File>,
    pub(super) processes: Vec<Process>,
    /// How many incidents are left.
    pub(super) left: u8,
    pub(super) boots: u8,
    pub(super) broken: Option<Violation>,
}

#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Directory {
    /// The number of a revision, and the inode that it links to.
    pub(super) numbers: BTreeMap<u8, u8>,
    /// As it will be after a power failure.
    pub(super) durable: BTreeMap<u8, u8>,
    pub(super) claims: BTreeMap<Name, u8>,
    /// For the judge alone: which numbers were answered "done", as bits, which
    /// terms were acquired, and the highest answered number with its file.
    pub(super) answered: u32,
    pub(super) acquired: u32,
    pub(super) top: Option<(u8, u8)>,
}

#[derive(Clone, Debug, Hash)]
pub(super) struct File {
    /// The process that made it, and the machine and boot that process is of.
    pub(super) owner: u8,
    pub(super) boot: (u8, u8),
    pub(super) term: u8,
    pub(super) vacant: bool,
    pub(super) written: bool,
    pub(super) synced: bool,
}

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Violation {
    /// Two swaps that expected one revision were both answered "done".
    BothSwapped,
    /// A swap was answered "done" that nobody could ever read.
    NeverSeen,
    /// A swap was answered "done" and is not there any more.
    Undone,
    /// A swap was answered "done" that replaced another record than it expected.
    FollowsAnother,
    TermReused,
    /// A power failure took an acquisition that had been answered.
    LostAtBoot,
    /// A claim was removed by another while its owner had it locked.
    CollectedFromTheLiving,
    /// "The holder died" was said of a process that may still act on it.
    BuriedAlive,
    /// "The holder died" was said of a record that was no longer the current one.
    DeadButNotCurrent,
    /// A reader met a record that was not complete.
    HalfARecord,
    /// A read was answered with what had been replaced before it was asked.
    StaleRead,
    /// With all others frozen, a newcomer cannot take the lease.
    Blocked,
}

/// What a reader makes of the highest number, see `reading.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Current {
    Nothing,
    /// The term that it has, or may hide.
    Term(u8),
    /// Nothing in it can be read.
    Refused,
}

impl Directory {
    pub(super) fn highest(&self) -> Option<u8> {
        self.numbers.last_key_value().map(|(number, _)| *number)
    }
}

impl World {
    pub(super) fn at_path(&self, directory: Option<usize>) -> bool {
        directory.is_some() && directory == self.path
    }

    /// The inode of a file that nothing names and nobody has open is free.
    pub(super) fn new_file(&mut self, file: File) -> u8 {
        let used = |inode: u8| {
            let named = |d: &Directory| {
                d.numbers
                    .values()
                    .chain(d.claims.values())
                    .any(|f| *f == inode)
                    || d.durable.values().any(|f| *f == inode)
            };
            self.directories.iter().any(named) || self.processes.iter().any(|p| p.has_open(inode))
        };
        let free = (0..self.files.len() as u8).find(|inode| !used(*inode));
        match free {
            Some(inode) => {
                self.files[usize::from(inode)] = file;
                inode
            }
            None => {
                self.files.push(file);
                self.files.len() as u8 - 1
            }
        }
    }

    pub(super) fn file(&self, inode: u8) -> &File {
        &self.files[usize::from(inode)]
    }

    /// Whether somebody on this machine has an exclusive lock on it. The locks
    /// of other machines cannot be seen.
    pub(super) fn is_locked(&self, inode: u8, machine: u8) -> bool {
        let mut here = self.processes.iter().filter(|p| p.machine == machine);
        here.any(|p| p.locks(inode))
    }

    /// Whether the filesystem is this machine's own.
    pub(super) fn all_on(&self, machine: u8) -> bool {
        self.processes.iter().all(|p| p.machine == machine)
    }

    /// Whether a collector has a shared lock on it, for a moment.
    pub(super) fn is_looked_at(&self, inode: u8, machine: u8) -> bool {
        let holds = |p: &Process| matches!(&p.step, Step::Remove { file, .. } if *file == inode);
        self.processes
            .iter()
            .any(|p| p.machine == machine && holds(p))
    }

    /// What `read_in` and `hidden_by` make of these numbers.
    pub(super) fn current(&self, directory: &Directory) -> Current {
        let mut from_the_top = directory.numbers.iter().rev();
        let Some((top, file)) = from_the_top.next() else {
            return Current::Nothing;
        };
        if self.file(*file).written {
            return Current::Term(self.file(*file).term);
        }
        from_the_top
            .find(|(_, file)| self.file(**file).written)
            .map_or(Current::Refused, |(number, file)| {
                Current::Term(self.file(*file).term + (top - number))
            })
    }

    /// A person removes all numbers, and leaves the rest. What was answered is
    /// gone, and so is what the judge could hold others to.
    pub(super) fn empty(&mut self) {
        let Some(at) = self.path else {
            return;
        };
        let directory = &mut self.directories[at];
        directory.numbers.clear();
        directory.answered = 0;
        directory.acquired = 0;
        directory.top = None;
        self.processes.iter_mut().for_each(Process::emptied);
    }

    /// The machine's power fails: locks and processes go, files stay. Of what
    /// was not synced to the directory any part may be lost: those that `kept`
    /// names are kept. Contents that were not synced are lost.
    pub(super) fn boot(&mut self, kept: u32, calls: u8) {
        self.boots += 1;
        for file in &mut self.files {
            file.written &= file.synced;
        }
        for directory in &mut self.directories {
            for (bit, number) in unsynced(directory).into_iter().enumerate() {
                if kept & (1 << bit) == 0 {
                    match directory.durable.get(&number) {
                        Some(file) => directory.numbers.insert(number, *file),
                        None => directory.numbers.remove(&number),
                    };
                }
            }
            directory.durable.clone_from(&directory.numbers);
        }
        for process in &mut self.processes {
            process.restart(calls);
        }
        for d in 0..self.directories.len() {
            let directory = &self.directories[d];
            let acquired = u8::try_from(31 - (directory.acquired | 1).leading_zeros());
            let survived = match self.current(directory) {
                Current::Term(term) => acquired.is_ok_and(|acquired| term >= acquired),
                Current::Nothing => directory.acquired == 0,
                Current::Refused => false,
            };
            if !survived {
                self.broken = Some(Violation::LostAtBoot);
            }
            // Nobody remembers a revision that was lost.
            let directory = &mut self.directories[d];
            let top = directory.numbers.last_key_value().map(|(n, f)| (*n, *f));
            directory.answered &= (2 << top.map_or(0, |(number, _)| number)) - 1;
            directory.top = top;
        }
    }

    /// An answered swap stays until another follows.
    pub(super) fn check(&self) -> Option<Violation> {
        let undone = |d: &&Directory| {
            d.top
                .is_some_and(|(number, file)| match d.numbers.last_key_value() {
                    Some((highest, at)) => *highest < number || *highest == number && *at != file,
                    None => true,
                })
        };
        let undone = self.directories.iter().find(undone);
        self.broken.or(undone.map(|_| Violation::Undone))
    }
}

/// Numbers that a power failure may bring back or take away.
pub(super) fn unsynced(directory: &Directory) -> Vec<u8> {
    let Directory {
        numbers, durable, ..
    } = directory;
    let mut all: Vec<u8> = numbers.keys().chain(durable.keys()).copied().collect();
    all.sort_unstable();
    all.dedup();
    all.retain(|number| numbers.get(number) != durable.get(number));
    all
}
