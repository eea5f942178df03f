//! What must always hold.

use std::time::Duration;

use super::plan::Plan;
use super::report::{Report, Violation};
use crate::lease::Term;

#[derive(Default)]
pub(super) struct Checker {
    highest: Term,
    pub(super) violations: Vec<(Duration, Violation)>,
}

impl Checker {
    /// Each kind is noted once.
    pub(super) fn broken(&mut self, at: Duration, what: Violation) {
        if self.violations.iter().all(|(_, known)| *known != what) {
            self.violations.push((at, what));
        }
    }

    pub(super) fn elected(&mut self, at: Duration, term: Term) {
        if term <= self.highest {
            self.broken(at, Violation::TermReused);
        }
        self.highest = self.highest.max(term);
    }

    /// Also what can only be said of the whole.
    pub(super) fn judge(mut self, mut report: Report) -> Report {
        let most = patience(&report.plan);
        let gaps = report.gaps().into_iter();
        let mut after = gaps.map(|(from, to)| (from.max(report.calm), to));
        if let Some((from, _)) = after.find(|(from, to)| *from + most <= *to) {
            self.broken(from + most, Violation::NoLeader);
        }
        report.violations = self.violations;
        report
    }
}

/// The longest that nobody leads once the faults are over: a look that had to
/// wait for two retry periods, then the lease. No clock is slower than ours.
pub(super) fn patience(plan: &Plan) -> Duration {
    let timing = plan.longest_timing();
    // A look and an acquisition, and four late wake-ups.
    let calls = plan.round_trip * 3 + LATEST_WAKE_UP * 4;
    timing.lease_duration() + timing.retry_period() * 2 + calls
}

/// How late a timer may ring.
pub(super) const LATEST_WAKE_UP: Duration = Duration::from_millis(1);
