//! The calls that nodes make, made and timed on a lease of our own.

use std::time::Duration;

use leader_demo::store::{Content, LeaseStore, Observed, Revision, StoreError, Swap, Witness};
use leader_demo::{Holder, NodeId, Record, State, Term, clock};

use super::interrupt::Interrupt;
use super::measured::Trips;

/// How many calls of a kind, and how long they may take together.
const CALLS: usize = 300;
const ACQUISITIONS: usize = 30;
const TIME: Duration = Duration::from_millis(400);

pub(super) struct Calls {
    pub(super) read: Trips,
    pub(super) renewal: Trips,
    pub(super) acquisition: Trips,
    pub(super) release: Trips,
    /// What is there in the end.
    pub(super) left: Left,
}

/// A lease that is held, and where.
pub(super) struct Left {
    pub(super) at: Revision,
    pub(super) record: Record,
    /// While it is kept, the holder lives.
    pub(super) _witness: Option<Witness>,
}

/// Takes the lease over whatever is there, gives it back, and so on; renews it, looks.
pub(super) async fn time(
    store: &dyn LeaseStore,
    first: Left,
    interrupt: &Interrupt,
) -> Result<Calls, StoreError> {
    let mut left = first;
    let (mut acquired, mut released) = (Vec::new(), Vec::new());
    let end = clock::now() + TIME;
    while goes_on(&acquired, ACQUISITIONS, end, interrupt) {
        let vacant = Record {
            state: State::Vacant { successor: None },
            ..left.record.clone()
        };
        let asked = clock::now();
        let (at, _) = swap(store, Some(left.at), &vacant).await?;
        released.push(clock::now().since(asked));
        left._witness = None;
        let held = following(&left.record);
        let asked = clock::now();
        let (at, _witness) = swap(store, Some(at), &held).await?;
        acquired.push(clock::now().since(asked));
        left = Left {
            at,
            record: held,
            _witness,
        };
    }
    let mut renewed = Vec::new();
    let end = clock::now() + TIME;
    while goes_on(&renewed, CALLS, end, interrupt) {
        let asked = clock::now();
        left.at = swap(store, Some(left.at), &left.record).await?.0;
        renewed.push(clock::now().since(asked));
    }
    let mut read = Vec::new();
    let end = clock::now() + TIME;
    while goes_on(&read, CALLS, end, interrupt) {
        let asked = clock::now();
        store.read().await?;
        read.push(clock::now().since(asked));
    }
    Ok(Calls {
        read: read.into(),
        renewal: renewed.into(),
        acquisition: acquired.into(),
        release: released.into(),
        left,
    })
}

/// Takes the lease over what was seen; none if somebody else was quicker.
pub(super) async fn take(
    store: &dyn LeaseStore,
    seen: Option<&Observed>,
) -> Result<Option<Left>, StoreError> {
    let before = seen.and_then(|seen| match &seen.content {
        Content::Record(record) => Some(record.term),
        Content::Garbled { .. } => None,
    });
    let id = NodeId::new("doctor").map_err(|e| StoreError::new(e.to_string()))?;
    let me = Holder::here(id).map_err(|e| StoreError::new(e.to_string()))?;
    let record = following(&Record {
        term: before.unwrap_or(Term::ZERO),
        lease_duration: Duration::from_secs(10),
        state: State::Held(me),
    });
    let expected = seen.map(|seen| seen.revision);
    Ok(match store.swap(expected, record.clone()).await? {
        Swap::Swapped { revision, witness } => Some(Left {
            at: revision,
            record,
            _witness: witness,
        }),
        Swap::Conflict(_) => None,
    })
}

/// The same in the next term.
pub(super) fn following(record: &Record) -> Record {
    Record {
        term: record.term.plus(1).unwrap_or(Term::ZERO),
        ..record.clone()
    }
}

fn goes_on(
    so_far: &[Duration],
    at_most: usize,
    end: clock::BootTime,
    interrupt: &Interrupt,
) -> bool {
    so_far.is_empty() || so_far.len() < at_most && clock::now() < end && !interrupt.asked()
}

/// One that nobody else is in the way of.
pub(super) async fn swap(
    store: &dyn LeaseStore,
    expected: Option<Revision>,
    next: &Record,
) -> Result<(Revision, Option<Witness>), StoreError> {
    match store.swap(expected, next.clone()).await? {
        Swap::Swapped { revision, witness } => Ok((revision, witness)),
        Swap::Conflict(_) => Err(disturbed()),
    }
}

pub(super) fn disturbed() -> StoreError {
    StoreError::new("somebody else writes where it is tried")
}
