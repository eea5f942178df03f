//! What a node saw last in the store, and from when it may take it.

use std::time::Duration;

use crate::change::Acquired;
use crate::clock::BootTime;
use crate::lease::{Holder, SessionId, State, Term};
use crate::store::{Content, Observed};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sight {
    /// None: there was no record.
    pub(super) current: Option<Observed>,
    /// What whoever held it last had promised, as far as is known.
    pub(super) lease: Duration,
    /// Rules 3 and 4, worked out when the revision was new.
    pub(super) claimable_at: BootTime,
    /// What taking it from then on would be called.
    pub(super) as_what: Acquired,
}

impl Sight {
    /// What is seen for the first time `now`, by the session `me`, whose own
    /// leases last `usual`.
    pub(super) fn new(
        now: BootTime,
        current: Option<Observed>,
        before: Option<&Self>,
        me: SessionId,
        usual: Duration,
    ) -> Self {
        let last = before.map_or(usual, |sight| sight.lease);
        let lease = match current.as_ref().map(|o| &o.content) {
            // Rule 3: for the holder's own promise.
            Some(Content::Record(record)) => record.lease_duration,
            // It hides a promise that may be as long as any known.
            Some(Content::Garbled { lease_duration, .. }) => {
                lease_duration.unwrap_or_default().max(last).max(usual)
            }
            None => last,
        };
        // Rule 3: counted from when it was received.
        let expired = (now + lease, Acquired::Expired);
        let (claimable_at, as_what) = match current.as_ref().map(|o| &o.content) {
            None if before.is_none() => (now, Acquired::Vacant),
            // Rule 4: a record that vanished is not vacant.
            None => expired,
            Some(Content::Record(record)) => match &record.state {
                State::Vacant { successor: None } => (now, Acquired::Vacant),
                State::Vacant { successor } if *successor == Some(me) => {
                    (now, Acquired::HandedOver)
                }
                State::Vacant { .. } => expired,
                // Also if it is this session's leftover (rule 6), or what a
                // stranger put here.
                State::Held(_) | State::Asked(_) => expired,
            },
            Some(Content::Garbled { .. }) => expired,
        };
        Self {
            current,
            lease,
            claimable_at,
            as_what,
        }
    }

    /// Rule 3: only a revision not seen before starts the stopwatch anew.
    pub(super) fn shows(&self, current: Option<&Observed>) -> bool {
        self.current.as_ref().map(|o| o.revision) == current.map(|o| o.revision)
    }

    pub(super) fn holder(&self) -> Option<(&Holder, Term)> {
        match &self.current.as_ref()?.content {
            Content::Record(record) => Some((record.holder()?, record.term)),
            Content::Garbled { .. } => None,
        }
    }
}
