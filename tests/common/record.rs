//! Records as stores are given and give them back.

use std::time::Duration;

use leader_demo::store::{Content, LeaseStore, Observed, Revision, Swap};
use leader_demo::{Holder, NodeId, Record, SessionId, State, Term};

/// A lease of ten seconds, held by this process under some session.
pub fn held(term: u64) -> Record {
    held_by(Holder::here(NodeId::new("n").unwrap()).unwrap(), term)
}

pub fn held_by(holder: Holder, term: u64) -> Record {
    Record {
        term: Term::new(term).unwrap(),
        lease_duration: Duration::from_secs(10),
        state: State::Held(holder),
    }
}

pub fn vacant(term: u64, successor: Option<SessionId>) -> Record {
    Record {
        state: State::Vacant { successor },
        ..held(term)
    }
}

pub fn observed(revision: Revision, record: &Record) -> Option<Observed> {
    Some(Observed {
        revision,
        content: Content::Record(record.clone()),
    })
}

/// Of files: the witness is dropped, so this session dies at once, as far as others
/// can see.
pub async fn swapped(
    store: &impl LeaseStore,
    expected: Option<Revision>,
    next: &Record,
) -> Revision {
    match store.swap(expected, next.clone()).await.unwrap() {
        Swap::Swapped { revision, .. } => revision,
        Swap::Conflict(current) => panic!("conflict with {current:?}"),
    }
}
