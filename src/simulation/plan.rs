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
    /// How often each says whether it leads; never, if not given.
    pub heartbeat: Option<Duration>,
}

/// Something that goes wrong, for one node unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// `kill -9`; it is started anew later.
    Kill,
    /// SIGTERM; it is started anew later.
    Term,
    /// SIGSTOP, and SIGCONT later.
    Freeze,
    /// All nodes are frozen at once, as when their machine sleeps.
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
}

impl Plan {
    /// Five nodes for a minute under every fault there is; timing, round trip
    /// and clocks as the seed will have them.
    pub fn seeded(seed: u64) -> Self {
        // Other numbers than those the run itself draws.
        let mut random = Random::new(!seed);
        let tenth = Duration::from_secs(1);
        let renew_deadline = tenth * random.one_of(&[3, 6, 6, 6, 9]);
        let retry_period = tenth * random.one_of(&[1, 2, 2, 2]);
        let timing = Timing::new(tenth * 10, Some(renew_deadline), Some(retry_period))
            .expect("durations that fit together");
        let most = (tenth * 10).div_duration_f64(renew_deadline) * 0.999;
        Self {
            seed,
            nodes: 5,
            timing,
            duration: Duration::from_secs(60),
            faults: Fault::ALL.to_vec(),
            pause: tenth * random.one_of(&[1, 2, 5, 5]),
            round_trip: Duration::from_micros(random.one_of(&[100, 1_000, 50_000, 300_000])),
            clock_ratio: random.one_of(&[1.0, 1.001, most]),
            one_machine: random.once_in(2),
            heartbeat: None,
        }
    }
}

impl Fault {
    /// All there are.
    pub const ALL: [Self; 12] = [
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
    ];

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
        }
    }

    /// Whether it hits all nodes at once.
    pub(super) const fn hits_all(self) -> bool {
        matches!(self, Self::Sleep | Self::Unreachable)
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
