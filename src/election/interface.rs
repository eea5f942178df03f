//! What the rules are told, and what they say is to be done.

use crate::change::{Change, Reason};
use crate::lease::{Record, SessionId};
use crate::store::{Observed, Revision, Wake};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// Nothing; time has passed.
    Tick,
    /// The answer to [`Action::Read`].
    Read(Result<Option<Observed>, NobodyKnows>),
    /// The answer to [`Action::Swap`].
    Swap(Result<Swapped, NobodyKnows>),
    /// The end of the wait that [`Action::Watch`] asked for.
    Wake(Wake),
    /// Whether this node wants to lead.
    Campaign(bool),
    /// Leading should end once the work has stopped.
    End(Ending),
    /// The leader's work has stopped.
    WorkStopped,
    /// The node is to go, once what it holds is given back.
    Stop,
}

/// How a swap ended, as far as the rules care.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Swapped {
    Done(Revision),
    Conflict(Option<Observed>),
}

/// A store call failed or was abandoned: it may or may not have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NobodyKnows;

/// Why a leader that still could lead should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ending {
    /// It gives the lease back, and may want it again at once.
    Released,
    /// It resigned so that somebody else leads.
    Resigned,
    /// The node is going away.
    Shutdown,
    /// Rule 11: it hands over to this session.
    HandedOver(SessionId),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Ask the store for the record.
    Read,
    /// Ask the store to swap.
    Swap {
        expected: Option<Revision>,
        next: Record,
    },
    /// Stop waiting for the answer to the call under way.
    Abandon,
    /// Tell the store what may be swapped in before long.
    Prepare(Record),
    /// Wait for an early wake-up from this revision, instead of any other.
    Watch(Revision),
    /// Tell whoever listens.
    Announce(Change),
}

impl Ending {
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Released | Self::Resigned => Reason::Resigned,
            Self::Shutdown => Reason::Shutdown,
            Self::HandedOver(_) => Reason::HandedOver,
        }
    }
}
