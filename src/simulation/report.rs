//! What came of a run.

use std::fmt;
use std::time::Duration;

use super::plan::{Fault, Plan};
use crate::change::{Acquired, Reason};
use crate::lease::Term;

/// What came of a run. Moments are counted from its start, by a clock that no
/// node has.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// What was played.
    pub plan: Plan,
    /// All that happened, in order.
    pub moments: Vec<Moment>,
    /// Who led when, in the order in which they were elected.
    pub spans: Vec<Span>,
    /// What was broken, each kind once. None, if all is well.
    pub violations: Vec<(Duration, Violation)>,
    /// From when on nothing was wrong any more.
    pub calm: Duration,
    /// When it ended.
    pub ended: Duration,
    /// What the store was asked.
    pub calls: Calls,
}

/// Something that happened to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moment {
    /// When.
    pub at: Duration,
    /// To whom; none: to all.
    pub node: Option<usize>,
    /// The run of the node, from 1.
    pub life: u32,
    /// What.
    pub what: Happening,
}

/// What may happen to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// It was started.
    Started,
    /// It leads.
    Elected {
        /// In this term.
        term: Term,
        /// How it came by the lease.
        acquired: Acquired,
        /// When it would stop believing, unless it renews.
        valid_until: Duration,
    },
    /// It leads no longer.
    Revoked {
        /// The leadership that ended.
        term: Term,
        /// Why.
        reason: Reason,
        /// When belief ended.
        ended: Duration,
        /// Who resigned stays out until then.
        stays_out_until: Option<Duration>,
    },
    /// It says whether it leads: in this term, and until when it may.
    Heartbeat(Option<(Term, Duration)>),
    /// A write takes effect for which nobody waits any more.
    LateWrite,
    /// Something goes wrong.
    Fault(Fault),
    /// It is over.
    Over(Fault),
    /// It was stopped, and has ended.
    Stopped,
}

/// One leadership.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Span {
    /// Whose.
    pub node: usize,
    /// Its number.
    pub term: Term,
    /// When it was elected.
    pub from: Duration,
    /// When it believed no longer, or was killed.
    pub to: Duration,
}

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// Two nodes lead, each by its own clock.
    TwoLeaders,
    /// A leadership has a term that is not higher than all before it.
    TermReused,
    /// A node leads, or says so, while the store does not have its record.
    NotItsRecord,
    /// A node leads, or says so, for longer than others leave the lease to it.
    OutsideItsLease,
    /// What was left to a successor was taken by another within the lease.
    TakenFromTheSuccessor,
    /// The faults are over, and for too long nobody leads.
    NoLeader,
}

/// What the store was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calls {
    /// Looks at the record.
    pub reads: u64,
    /// Attempts to replace it.
    pub swaps: u64,
    /// Those that took effect.
    pub swaps_done: u64,
    /// Looks at the requests to the leader, and steps taken there.
    pub requests: u64,
}

impl Report {
    /// How long nobody led, each time: from when to when.
    pub fn gaps(&self) -> Vec<(Duration, Duration)> {
        let mut led_until = Duration::ZERO;
        let mut gaps = Vec::new();
        for span in &self.spans {
            if span.from > led_until {
                gaps.push((led_until, span.from));
            }
            led_until = led_until.max(span.to);
        }
        if self.ended > led_until {
            gaps.push((led_until, self.ended));
        }
        gaps
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TwoLeaders => "two nodes lead",
            Self::TermReused => "a term was used twice, or is lower than an earlier one",
            Self::NotItsRecord => "a node leads while the store does not have its record",
            Self::OutsideItsLease => "a node leads for longer than others leave the lease to it",
            Self::TakenFromTheSuccessor => "what was left to one node was taken by another",
            Self::NoLeader => "the faults are over, and for too long nobody leads",
        })
    }
}
