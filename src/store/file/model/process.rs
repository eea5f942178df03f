//! A process: what it has in hand, and which system call comes next.
//!
//! | file | mirrors |
//! |---|---|
//! | `process/calls.rs` | `register.rs`: a call, from its first look at the directory |
//! | `process/staging.rs` | `claim.rs`: a claim, up to its number |
//! | `process/looking_again.rs` | `look_again`, and what follows from it |
//! | `process/answers.rs` | `reading.rs`, and what the caller is told |
//! | `process/tidying.rs` | `Register::tidy` and `collector.rs` |
//! | `process/waiting.rs` | `waiter.rs` |

mod answers;
mod calls;
mod looking_again;
mod staging;
mod tidying;
mod waiting;

use super::sabotage::Sabotage;
use super::world::{Name, Revision};

/// Whose system call it is, and what goes wrong with it.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    pub(super) process: usize,
    pub(super) sabotage: Option<Sabotage>,
    pub(super) fails: bool,
    /// Whether the directory may yet go.
    pub(super) removable: bool,
}

impl Turn {
    /// Nothing goes wrong.
    pub(super) const fn of(process: usize) -> Self {
        Self {
            process,
            sabotage: None,
            fails: false,
            removable: false,
        }
    }

    fn is(self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }
}

#[derive(Clone, Debug, Hash)]
pub(super) struct Process {
    pub(super) machine: u8,
    pub(super) alive: bool,
    /// How many calls it may yet begin.
    pub(super) calls: u8,
    pub(super) directory: Option<usize>,
    pub(super) staged: Option<Claim>,
    pub(super) leading: Option<Claim>,
    pub(super) step: Step,
    /// What it read last; `Some(None)`: there was no record.
    pub(super) seen: Option<Option<Revision>>,
    /// The highest term that it knows of.
    pub(super) highest: u8,
    serial: u8,
    made: Vec<Name>,
    pub(super) chores: Option<Chores>,
    call: Option<Call>,
    pub(super) waiter: Waiter,
}

#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Claim {
    pub(super) name: Name,
    pub(super) file: u8,
    locked: bool,
}

#[derive(Clone, Debug, Hash)]
pub(super) struct Chores {
    old: Vec<u8>,
    collect: bool,
}

/// What a process may ask of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asks {
    Read,
    Acquire,
    Renew,
    Release,
}

#[derive(Clone, Debug, Hash)]
struct Call {
    asks: Asks,
    expected: Option<Revision>,
    number: u8,
    source: Option<Claim>,
    /// For the judge alone.
    facts: Facts,
}

/// What was so, whether or not the process asked.
#[derive(Clone, Debug, Default, Hash)]
struct Facts {
    /// What had been answered when a read was asked for.
    before: Option<(usize, u8)>,
    /// The new number was the current record at some time.
    was_current: bool,
    /// When it was linked, what it was to follow was there.
    followed: bool,
    /// When it was looked at again, it was there.
    lasted: bool,
    /// Somebody has emptied the directory since.
    emptied: bool,
}

/// The system call that comes next, and the function that makes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Idle,
    /// `Register::directory`: stat the path, and open it.
    Directory,
    /// `Place::create`
    Create,
    /// `is_at`: list the numbers.
    IsAt,
    /// `is_at`: stat the expected one.
    Expected,
    /// `Claim::stage`: open, lock, write, sync.
    Open,
    Lock,
    Write,
    Sync,
    /// `link_making_room`: link; where there is no room, list the numbers, and
    /// unlink the oldest.
    Link,
    Oldest,
    GivesUp(u8),
    /// `look_again`: list the numbers, stat the new one, stat the expected one,
    /// stat the path.
    Numbers,
    Mine(Vec<u8>),
    Follows(Vec<u8>),
    StillThere(Vec<u8>),
    /// `swap`: is the number still its own? Then it goes.
    Undo,
    Unlink,
    /// `took_effect`: sync the directory.
    TookEffect(Vec<u8>),
    /// `read_in`: list the numbers (in two calls, when sabotaged), open the highest.
    List,
    ListRest(Option<u8>),
    Load(u8),
    /// `Register::tidy`: old revisions, own claims.
    Old(Vec<u8>),
    Own(Vec<Name>),
    /// `collect`: list the claims.
    Claims,
    /// `remove_if_abandoned`: open, try the lock and read; then unlink.
    Collect(Vec<Name>),
    Remove {
        rest: Vec<Name>,
        name: Name,
        file: u8,
    },
}

/// `waiter::wait`, in a thread of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Waiter {
    None,
    /// Open the number, read what it names, see whether its lock counts.
    Load(Revision),
    /// In `flock(2)`.
    Flock(Revision),
    /// The lock is free: is the directory still there?
    StillThere(Revision, bool),
    /// `number_of`: list the numbers, stat the highest.
    Listed(Revision, bool),
    Highest(Revision, bool, u8),
    /// The holder of this died.
    Died(Revision),
}

impl Process {
    pub(super) fn new(machine: u8, calls: u8) -> Self {
        Self {
            machine,
            alive: true,
            calls,
            directory: Some(0),
            staged: None,
            leading: None,
            step: Step::Idle,
            seen: None,
            highest: 0,
            serial: 0,
            made: Vec::new(),
            chores: None,
            call: None,
            waiter: Waiter::None,
        }
    }

    pub(super) fn restart(&mut self, calls: u8) {
        let serial = self.serial;
        *self = Self {
            serial,
            ..Self::new(self.machine, calls)
        };
    }

    /// Gone, with its locks; what it knew tells no states apart.
    pub(super) fn die(&mut self) {
        self.restart(0);
        self.alive = false;
    }

    /// For the judge: whoever is in a call has not seen it.
    pub(super) fn emptied(&mut self) {
        if let Some(call) = &mut self.call {
            call.facts.before = None;
            call.facts.emptied = true;
        }
    }

    fn claims(&self) -> impl Iterator<Item = &Claim> {
        let source = self.call.as_ref().and_then(|call| call.source.as_ref());
        self.staged.iter().chain(&self.leading).chain(source)
    }

    pub(super) fn locks(&self, inode: u8) -> bool {
        self.claims()
            .any(|claim| claim.file == inode && claim.locked)
    }

    pub(super) fn has_open(&self, inode: u8) -> bool {
        use Waiter as W;
        let waits = match &self.waiter {
            W::Flock(r) | W::StillThere(r, _) | W::Listed(r, _) | W::Highest(r, ..) => {
                r.file == inode
            }
            _ => false,
        };
        let collects = matches!(&self.step, Step::Remove { file, .. } if *file == inode);
        waits || collects || self.claims().any(|claim| claim.file == inode)
    }

    /// Whether it may still be told that it leads by this claim, or leads.
    fn may_act_on(&self, inode: u8) -> bool {
        let takes = self
            .call
            .as_ref()
            .is_some_and(|c| c.asks == Asks::Acquire && c.source.is_some_and(|s| s.file == inode));
        self.alive && (takes || self.leading.is_some_and(|claim| claim.file == inode))
    }

    pub(super) fn may_ask(&self, asks: Asks) -> bool {
        let known = self.seen.is_some();
        self.step == Step::Idle
            && self.calls > 0
            && match asks {
                Asks::Read => self.leading.is_none(),
                Asks::Acquire => known && self.leading.is_none(),
                Asks::Renew | Asks::Release => known && self.leading.is_some(),
            }
    }
}
