//! Work: what a leader's processes do, which may outlive its belief.

use tokio::sync::watch;

use super::Witness;
use crate::lease::{Holder, Term};

/// What [`LeaseStore::begin_work`](super::LeaseStore::begin_work) found.
#[derive(Debug)]
pub struct Work {
    /// What tells later leaders that this work is alive, if the store has such
    /// a thing. The processes that do the work inherit it; everybody else, who
    /// only started them, closes it.
    pub witness: Option<Witness>,
    /// The work of *all* earlier terms that may still run on this machine, by
    /// term: the one just before may have waited for another, and given up.
    pub before: Vec<Remains>,
}

/// Work of an earlier leadership that may still run on this machine.
#[derive(Clone, Debug)]
pub struct Remains {
    /// In which term it was begun.
    pub term: Term,
    /// Who led then.
    pub holder: Holder,
    /// The processes that keep it alive, as far as could be seen when it was
    /// found. For people: nothing is inferred from them.
    pub pids: Vec<u32>,
    gone: watch::Receiver<bool>,
}

impl Remains {
    /// For stores: what is left of a term's work. `gone` turns true when
    /// nothing is; a sender that is dropped before says nothing.
    pub fn new(term: Term, holder: Holder, pids: Vec<u32>, gone: watch::Receiver<bool>) -> Self {
        Self {
            term,
            holder,
            pids,
            gone,
        }
    }

    /// Ends when nothing of it is left. Dropping the future changes nothing;
    /// it can be asked for again.
    pub async fn gone(&self) {
        if self.gone.clone().wait_for(|gone| *gone).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Whether a record's holder is alive, as far as a store can tell at one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    /// It is, or a process that inherited its [`Witness`], and it has renewed
    /// within its lease duration, by the file system's time stamps. Enough not
    /// to wait for it; nothing that must be safe rests on this.
    Alive,
    /// It is, but has not renewed within its lease duration: it may be frozen.
    Silent,
    /// It can no longer act. To be said only by a store that *knows*.
    Dead,
    /// There is no telling from here.
    Unknown,
}
