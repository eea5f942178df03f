//! How a node is: written by its driver, read by whoever asks, also from
//! outside its runtime, when that no longer turns.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::BootTime;
use crate::tally::Tally;

/// Whether a node's election goes on; see [`Node::liveness`](crate::Node::liveness).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Its loop has run whenever it had to.
    Alive,
    /// Its loop should have run this long ago: something blocks its runtime, or
    /// the process was frozen and has only just been woken.
    Overdue(Duration),
    /// Its loop has ended: the node was stopped, or its driver has panicked.
    Ended,
}

/// Whether a node knows its election; see [`Node::readiness`](crate::Node::readiness).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The store answers.
    Ready,
    /// The store has not answered yet.
    Unanswered,
    /// The store fails, and why.
    Failing(String),
}

/// What the driver leaves for those who ask.
#[derive(Debug)]
pub(crate) struct Health {
    /// When the loop is to run next, in nanoseconds of boot time.
    due: AtomicU64,
    /// Held for a copy of a few numbers, never across anything that waits.
    findings: Mutex<Findings>,
}

#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) readiness: Readiness,
    pub(crate) tally: Tally,
}

impl Health {
    /// Of a driver that is about to run.
    pub(crate) fn new(now: BootTime) -> Self {
        Self {
            due: AtomicU64::new(now.as_nanos()),
            findings: Mutex::new(Findings {
                readiness: Readiness::Unanswered,
                tally: Tally::default(),
            }),
        }
    }

    /// The loop is about to wait, and will run again by then.
    pub(crate) fn runs_by(&self, due: BootTime) {
        self.due.store(due.as_nanos(), Ordering::Relaxed);
    }

    /// How late the loop is, if by more than `slack`.
    pub(crate) fn overdue(&self, now: BootTime, slack: Duration) -> Option<Duration> {
        let due = BootTime::from_nanos(self.due.load(Ordering::Relaxed));
        (now > due + slack).then(|| now.since(due))
    }

    pub(crate) fn findings<T>(&self, with: impl FnOnce(&mut Findings) -> T) -> T {
        with(&mut self.findings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_late_once_its_slack_is_used_up() {
        let secs = Duration::from_secs;
        let start = BootTime::default() + secs(100);
        let health = Health::new(start);
        assert_eq!(health.overdue(start, secs(2)), None);
        health.runs_by(start + secs(10));
        assert_eq!(health.overdue(start + secs(12), secs(2)), None);
        assert_eq!(health.overdue(start + secs(13), secs(2)), Some(secs(3)));
        // Nothing to do is no reason to be late.
        health.runs_by(BootTime::NEVER);
        assert_eq!(health.overdue(start + secs(1_000_000), secs(2)), None);
    }
}
