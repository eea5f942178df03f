//! The store contract: a compare-and-swap register that knows nothing of time
//! or leaders.
//!
//! A store of your own implements [`LeaseStore`]; the promises below are all
//! the election relies on, and `tests/store_contract.rs` checks them.

use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::lease::{Record, Term};

#[cfg(feature = "etcd")]
mod etcd;
pub mod file;
pub mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "etcd", feature = "postgres", feature = "redis"))]
mod remote;
mod server;
mod trial;
mod work;

pub use server::{Kind, Server, ServerError};
pub use trial::{Host, Setting, Trial};
pub use work::{Life, Remains, Work};

/// A boxed future: what a [`LeaseStore`]'s methods return.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One register, holding one lease record.
///
/// Dropping a returned future abandons the call. A swap that was abandoned may
/// still take effect later; the election reckons with it.
pub trait LeaseStore: Send + Sync + 'static {
    /// The current record, or none where there never was one or it was deleted.
    ///
    /// Linearizable: it reflects every swap that had been answered before the
    /// read was asked for.
    ///
    /// # Errors
    /// "Nobody knows": the record may be anything.
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>>;

    /// Writes `next` if the record still is at `expected` (`None`: absent), in
    /// one indivisible step.
    ///
    /// Of any number of swaps that expect one revision, at most one is answered
    /// [`Swap::Swapped`]. The first swap of a term is durable before it is
    /// answered, as far as the store promises durability at all.
    ///
    /// # Errors
    /// "Nobody knows": the swap may have taken effect, may yet, or never will.
    fn swap(
        &self,
        expected: Option<Revision>,
        next: Record,
    ) -> Answer<'_, Result<Swap, StoreError>>;

    /// An early wake-up: ends when the record is no longer at `seen`, or its
    /// holder is dead. It may never end; polling is what the election relies on.
    fn changed(&self, seen: Revision) -> Answer<'_, Wake> {
        let _ = seen;
        Box::pin(std::future::pending())
    }

    /// A hint: `next` is what this node will soon want to swap in. A store may
    /// do now whatever would make that slow.
    fn prepare(&self, next: Record) {
        let _ = next;
    }

    /// Announces that the work of `leadership`, a record this session holds, is
    /// about to begin in processes of its own, and finds what is left of the
    /// work of earlier terms on this machine. The work begins when all of that
    /// is gone.
    ///
    /// To be called before any of the work starts; after it, ask once more
    /// whether the leadership still holds. Whoever did both is found by every
    /// later leader on this machine, for as long as the processes that
    /// inherited [`Work::witness`] keep it open; whoever else has it closes it.
    /// A claim's own witness cannot say that much: the process that campaigns
    /// has it too, and may be frozen long after its work has ended.
    ///
    /// A store that cannot see other processes has no witness and finds nothing.
    ///
    /// # Errors
    /// "Nobody knows" what still runs, or the work of a later term has begun
    /// already: in either case this one must not begin.
    fn begin_work(&self, leadership: Record) -> Answer<'_, Result<Work, StoreError>> {
        let _ = leadership;
        Box::pin(std::future::ready(Ok(Work {
            witness: None,
            before: Vec::new(),
        })))
    }

    /// For who watches an election: ends when the record is no longer at `seen`
    /// (`None`: absent), after renewals too. It may end early, and it may never
    /// end. Nodes never ask for it, so it may cost what they must not pay.
    fn moved_on(&self, seen: Option<Revision>) -> Answer<'_, ()> {
        let _ = seen;
        Box::pin(std::future::pending())
    }

    /// Whether [`moved_on`](Self::moved_on) ends soon after every swap, and costs
    /// nothing to wait for. Then nobody has to look again and again meanwhile.
    fn tells(&self) -> bool {
        false
    }

    /// For who watches an election: the records between two revisions, oldest
    /// first, if the store still has every one of them.
    ///
    /// # Errors
    /// What kept the store from looking.
    fn between(
        &self,
        older: Revision,
        newer: Revision,
    ) -> Answer<'_, Result<Option<Vec<Observed>>, StoreError>> {
        let _ = (older, newer);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// How long ago what was seen at `seen` was swapped in, by clocks on walls
    /// and as far as the store knows: a hint, for people.
    ///
    /// # Errors
    /// What kept the store from looking.
    fn age(&self, seen: Revision) -> Answer<'_, Result<Option<Duration>, StoreError>> {
        let _ = seen;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// The register beside this one, for requests to the leader; see
    /// [`Request`](crate::Request). None: nobody can ask.
    fn requests(&self) -> Option<Arc<dyn LeaseStore>> {
        None
    }

    /// One look at whether the holder of what was seen at `seen` is alive.
    /// Unknown where there is no telling, nothing any more, or nobody: a
    /// vacant record has no holder.
    ///
    /// # Errors
    /// What kept the store from looking.
    fn life(&self, seen: Revision) -> Answer<'_, Result<Life, StoreError>> {
        let _ = seen;
        Box::pin(std::future::ready(Ok(Life::Unknown)))
    }
}

/// So that one can keep a handle to the store that was given to a node, and
/// choose stores at run time.
impl<S: LeaseStore + ?Sized> LeaseStore for Arc<S> {
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>> {
        (**self).read()
    }

    fn swap(
        &self,
        expected: Option<Revision>,
        next: Record,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        (**self).swap(expected, next)
    }

    fn changed(&self, seen: Revision) -> Answer<'_, Wake> {
        (**self).changed(seen)
    }

    fn prepare(&self, next: Record) {
        (**self).prepare(next);
    }

    fn begin_work(&self, leadership: Record) -> Answer<'_, Result<Work, StoreError>> {
        (**self).begin_work(leadership)
    }

    fn moved_on(&self, seen: Option<Revision>) -> Answer<'_, ()> {
        (**self).moved_on(seen)
    }

    fn tells(&self) -> bool {
        (**self).tells()
    }

    fn between(
        &self,
        older: Revision,
        newer: Revision,
    ) -> Answer<'_, Result<Option<Vec<Observed>>, StoreError>> {
        (**self).between(older, newer)
    }

    fn age(&self, seen: Revision) -> Answer<'_, Result<Option<Duration>, StoreError>> {
        (**self).age(seen)
    }

    fn requests(&self) -> Option<Arc<dyn LeaseStore>> {
        (**self).requests()
    }

    fn life(&self, seen: Revision) -> Answer<'_, Result<Life, StoreError>> {
        (**self).life(seen)
    }
}

/// A store's version of a record. Every swap that takes effect makes a new one.
///
/// Opaque: compare it for equality, and leave the rest to the store it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision([u64; 4]);

impl Revision {
    /// For stores: a revision of whatever numbers tell theirs apart.
    pub const fn new(parts: [u64; 4]) -> Self {
        Self(parts)
    }

    /// For stores: the numbers it was made of.
    pub const fn parts(self) -> [u64; 4] {
        self.0
    }
}

/// A record as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Observed {
    /// Which version of it.
    pub revision: Revision,
    /// What it said.
    pub content: Content,
}

/// What an observed record said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// A lease record.
    Record(Record),
    /// Something else, written by a stranger: taken to be *held* by somebody.
    Garbled {
        /// The highest term that it may have hidden.
        floor: Term,
        /// The lease duration that it may have hidden, where the store knows.
        lease_duration: Option<Duration>,
    },
}

/// How a swap ended.
#[derive(Debug)]
pub enum Swap {
    /// The record is the one that was asked for.
    Swapped {
        /// Its revision.
        revision: Revision,
        /// What proves to this store that the session lives, if it has such a thing.
        witness: Option<Witness>,
    },
    /// The record is not the one that was asked for: it was not at the expected
    /// revision, or has moved on before this could be answered. This is the
    /// current one, which may be the caller's own (an earlier swap whose answer
    /// was lost).
    Conflict(Option<Observed>),
}

/// Why a wait ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wake {
    /// The record has changed: into this one, where the store had to read it
    /// anyway; otherwise it is time to look.
    Changed(Option<Observed>),
    /// This is the current record, and the process that wrote it can no longer
    /// act. To be said only by a store that *knows*.
    HolderDied(Observed),
}

/// A descriptor that tells the store "this session's work is alive" while any
/// clone of it is open. It must not be closed before the work has stopped.
#[derive(Clone, Debug)]
pub struct Witness(Arc<File>);

impl PartialEq for Witness {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Witness {
    /// For stores: wraps the descriptor.
    pub fn new(file: Arc<File>) -> Self {
        Self(file)
    }

    /// The descriptor, for a child process to inherit.
    pub fn file(&self) -> &File {
        &self.0
    }
}

/// "Nobody knows", and what is known of why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct StoreError {
    what: Arc<str>,
    is_lasting: bool,
}

impl StoreError {
    /// An error with a message that names the store and what would help.
    pub fn new(message: impl Into<Arc<str>>) -> Self {
        Self {
            what: message.into(),
            is_lasting: false,
        }
    }

    /// One that does not pass until somebody does something about it: a wrong
    /// password, or a key that holds something else.
    pub fn lasting(message: impl Into<Arc<str>>) -> Self {
        Self {
            is_lasting: true,
            ..Self::new(message)
        }
    }

    /// Whether to try again is of no use.
    pub fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// The same, of what is at this address.
    #[cfg(any(feature = "etcd", feature = "postgres", feature = "redis"))]
    fn at(&self, address: &str) -> Self {
        Self {
            what: format!("{address}: {self}").into(),
            ..*self
        }
    }
}
