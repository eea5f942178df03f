//! What is to be played.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::random::Random;
use crate::timing::Timing;

/// Who takes part, and what may go wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Decides everything that the rest leaves open.
    pub seed: u64,
    /// How many nodes compete.
    pub nodes: usize,
    /// The durations they keep to.
    pub timing: Timing,
    /// For how long. Faults begin in the first two thirds of it; it ends later
    /// where the last fault would not leave time for a leader.
    pub duration: Duration,
    /// The kinds of fault that happen.
    pub faults: Vec<Fault>,
    /// From one fault to the next, on average.
    pub pause: Duration,
    /// From asking the store to its answer, half of that each way.
    pub round_trip: Duration,
    /// How many times faster than the slowest clock the fastest may run. The
    /// promises hold below lease duration / renew deadline.
    pub clock_ratio: f64,
    /// All nodes run on one machine, where the store knows of a dead process.
    pub one_machine: bool,
    /// The nodes look for requests to the leader; otherwise nobody makes any.
    pub requests: bool,
    /// How often each says whether it leads; never, if not given.
    pub heartbeat: Option<Duration>,
}

/// Something that goes wrong, for one node unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// `kill -9`; it is started anew later.
    Kill,
    /// SIGTERM; it is started anew later.
    Term,
    /// SIGSTOP, and SIGCONT later.
    Freeze,
    /// Its machine sleeps, and with it every node that is on it.
    Sleep,
    /// It cannot reach the store: calls fail or are not answered; some land later.
    Partition,
    /// Nobody can reach the store.
    Unreachable,
    /// Calls take effect, but their answers are lost.
    LostReplies,
    /// Swaps land long after nobody waits for them.
    LateWrites,
    /// Swaps take effect and are answered as conflicts.
    Conflicts,
    /// Calls fail and have no effect.
    Errors,
    /// Answers take up to one and a half renew deadlines.
    Slow,
    /// If it leads, it is asked to resign.
    Resign,
    /// Whoever leads is asked to hand over to it, or to anyone if it leads
    /// itself. The asker may lose patience.
    HandOver,
    /// Killed, and started anew with durations twice as long, or as before.
    Reconfigure,
}

impl Plan {
    /// Five nodes for a minute under almost every fault there is; which, and
    /// timing, round trip and clocks as the seed will have them.
    pub fn seeded(seed: u64) -> Self {
        // Other numbers than those the run itself draws.
        let mut random = Random::new(!seed);
        let tenth = Duration::from_secs(1);
        let renew_deadline = tenth * random.one_of(&[3, 6, 6, 6, 9]);
        let retry_period = tenth * random.one_of(&[1, 2, 2, 2]);
        let timing = Timing::new(tenth * 10, Some(renew_deadline), Some(retry_period))
            .expect("durations that fit together");
        let most = (tenth * 10).div_duration_f64(renew_deadline) * 0.999;
        // To look for requests takes most of the time, and longer leases hide
        // leaders that come too late.
        let rare = [Fault::HandOver, Fault::Reconfigure];
        let all = Fault::ALL.into_iter().chain(Fault::MORE);
        let faults: Vec<_> = all
            .filter(|fault| !rare.contains(fault) || random.once_in(4))
            .collect();
        let requests = faults.contains(&Fault::HandOver);
        Self {
            seed,
            nodes: 5,
            timing,
            duration: Duration::from_secs(60),
            faults,
            pause: tenth * random.one_of(&[1, 2, 5, 5]),
            round_trip: Duration::from_micros(random.one_of(&[100, 1_000, 50_000, 300_000])),
            clock_ratio: random.one_of(&[1.0, 1.001, most]),
            one_machine: random.once_in(2),
            requests,
            heartbeat: None,
        }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// The longest durations that a node keeps to: after [`Fault::Reconfigure`],
    /// some keep to twice as long ones.
    pub fn longest_timing(&self) -> Timing {
        if !self.has(Fault::Reconfigure) {
            return self.timing;
        }
        let [lease, renew, retry] = [
            self.timing.lease_duration(),
            self.timing.renew_deadline(),
            self.timing.retry_period(),
        ]
        .map(|duration| duration * 2);
        // Too long a lease is none.
        Timing::new(lease, Some(renew), Some(retry)).unwrap_or(self.timing)
    }
}

impl Fault {
    /// All that can be asked for by name.
    pub const ALL: [Self; 13] = [
        Self::Kill,
        Self::Term,
        Self::Freeze,
        Self::Sleep,
        Self::Partition,
        Self::Unreachable,
        Self::LostReplies,
        Self::LateWrites,
        Self::Conflicts,
        Self::Errors,
        Self::Slow,
        Self::Resign,
        Self::HandOver,
    ];

    /// Of seeded plans alone: `judge` knows of one lease duration.
    pub const MORE: [Self; 1] = [Self::Reconfigure];

    pub(super) const COUNT: usize = Self::ALL.len() + Self::MORE.len();

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Term => "term",
            Self::Freeze => "freeze",
            Self::Sleep => "sleep",
            Self::Partition => "partition",
            Self::Unreachable => "unreachable",
            Self::LostReplies => "lost-replies",
            Self::LateWrites => "late-writes",
            Self::Conflicts => "conflicts",
            Self::Errors => "errors",
            Self::Slow => "slow",
            Self::Resign => "resign",
            Self::HandOver => "hand-over",
            Self::Reconfigure => "reconfigure",
        }
    }

    /// Whether it is over only some time later.
    pub(super) const fn lasts(self) -> bool {
        !matches!(
            self,
            Self::Kill | Self::Term | Self::Resign | Self::HandOver | Self::Reconfigure
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|fault| fault.as_str() == text);
        known.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("no such fault; there are {all}")
        })
    }
}
