//! What there is to tell of an election, to whoever watches it.

use crate::clock::BootTime;
use crate::lease::{Holder, Term};
use crate::request::{Asker, Wish};

/// A change, and the moment it was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// When.
    pub at: BootTime,
    /// What.
    pub change: Change,
}

/// Something that everybody who observes an election may want to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// This node leads now.
    Elected {
        /// The number of its leadership: the fencing token.
        term: Term,
        /// How it came by the lease.
        acquired: Acquired,
        /// When it will stop believing, unless it renews.
        valid_until: BootTime,
    },
    /// This node has agreed to step down; it leads until its work has stopped.
    Asked {
        /// The leadership that is to end.
        term: Term,
        /// Who asked for it.
        asker: Asker,
        /// What for.
        wish: Wish,
    },
    /// This node leads no longer.
    Revoked {
        /// The leadership that ended.
        term: Term,
        /// Why.
        reason: Reason,
        /// When belief ended, which may be before anybody could say so.
        ended: BootTime,
        /// Who resigned stays out of the election until then.
        stays_out_until: Option<BootTime>,
    },
    /// Another node leads.
    NewLeader {
        /// Who.
        leader: Holder,
        /// The number of its leadership.
        term: Term,
    },
    /// Nobody is known to lead.
    NoLeader,
    /// Something that people should look at; the election goes on.
    Warning(String),
    /// The store fails; the node keeps trying. Said once.
    StoreFailed(String),
    /// The store answers again.
    StoreRecovered,
}

/// How a leader came by the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Acquired {
    /// There was no record, or its last holder had given it back.
    Vacant,
    /// The last holder had not renewed for a lease duration.
    Expired,
    /// The store knew that the last holder's process was gone.
    HolderDied,
    /// The last holder named this session as its successor.
    HandedOver,
}

/// Why a leadership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// No renewal succeeded in time.
    RenewDeadline,
    /// Somebody else has the lease, or the record is gone.
    Lost,
    /// It was given back.
    Resigned,
    /// It was left to a named successor.
    HandedOver,
    /// The node is stopping.
    Shutdown,
}

impl Acquired {
    /// The word for it, as in the demo's JSON lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vacant => "vacant",
            Self::Expired => "expired",
            Self::HolderDied => "holder_died",
            Self::HandedOver => "handed_over",
        }
    }
}

impl Reason {
    /// All there are, in the order they are declared in.
    pub const ALL: [Self; 5] = [
        Self::RenewDeadline,
        Self::Lost,
        Self::Resigned,
        Self::HandedOver,
        Self::Shutdown,
    ];

    /// The word for it, as in the demo's JSON lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RenewDeadline => "renew_deadline",
            Self::Lost => "lost",
            Self::Resigned => "resigned",
            Self::HandedOver => "handed_over",
            Self::Shutdown => "shutdown",
        }
    }
}
