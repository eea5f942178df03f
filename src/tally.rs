//! What a node has counted since it started, for those who measure.

use std::time::Duration;

use crate::change::{Change, Reason};
use crate::clock::BootTime;
use crate::election::{Action, Election, Event, Swapped};
use crate::lease::Term;

/// What a node has seen and done since it started; see [`Node::tally`](crate::Node::tally).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// How long renewals took, from asking the store to its answer. Only those
    /// that the store carried out, but of these also those that came too late.
    pub renewals: Histogram,
    /// Calls to the store that failed, or were not answered within the renew deadline.
    pub store_errors: u64,
    /// The newest leadership seen, this node's own included; zero before any.
    pub term: Term,
    /// How often a leadership was seen to follow another. The first one seen
    /// follows none. Those that came and went between two looks are not seen.
    pub transitions: u64,
    /// How long nobody led before this node did, as far as it could tell: to
    /// its election, from the moment
    ///
    ///  - the leader before was seen to have released the lease or died, or
    ///  - its last renewal was seen, if it just fell silent, or
    ///  - this node's own belief ended, if that leader was this node.
    ///
    /// It is counted by the node that was elected and by no other, so that sums
    /// over nodes count each failover once; and only if that node saw the
    /// leader before lead, with no term between.
    pub failover_gaps: Histogram,
    losses: [u64; Reason::ALL.len()],
}

impl Tally {
    /// How many leaderships of this node ended for which reason; all there are.
    pub fn losses(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.losses)
    }
}

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; Self::BOUNDS.len()],
    longer: u64,
    sum: Duration,
}

impl Histogram {
    /// The upper bounds of its buckets: 1, 2.5 and 5 of each power of ten, from
    /// 10 microseconds to 100 seconds.
    pub const BOUNDS: [Duration; 22] = {
        let mut bounds = [Duration::ZERO; 22];
        let (mut i, mut power) = (0, 1);
        while i < bounds.len() {
            bounds[i] = Duration::from_micros([10, 25, 50][i % 3] * power);
            i += 1;
            if i % 3 == 0 {
                power *= 10;
            }
        }
        bounds
    };

    /// Each bound, and how often it took that long at most.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut so_far = 0;
        Self::BOUNDS
            .into_iter()
            .zip(self.counts)
            .map(move |(bound, count)| {
                so_far += count;
                (bound, so_far)
            })
    }

    /// How often there was something to measure.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.longer
    }

    /// All of it together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    fn add(&mut self, took: Duration) {
        match Self::BOUNDS.iter().position(|bound| took <= *bound) {
            Some(bucket) => self.counts[bucket] += 1,
            None => self.longer += 1,
        }
        self.sum = self.sum.saturating_add(took);
    }
}

/// The driver's: makes numbers of what it hears and does.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    /// When the last swap was asked for, if that was a renewal.
    renewing: Option<BootTime>,
    newest: Option<Leadership>,
    /// The other leader, as it was seen last.
    other: Option<(Term, BootTime)>,
}

/// The newest that was seen.
#[derive(Clone, Copy, Debug)]
struct Leadership {
    term: Term,
    /// When it was last known to lead.
    led_at: Option<BootTime>,
}

impl Counter {
    /// Before the election is told.
    pub(crate) fn hears(&mut self, now: BootTime, event: &Event, tally: &mut Tally) {
        match event {
            Event::Read(Err(_)) | Event::Swap(Err(_)) => tally.store_errors += 1,
            Event::Swap(Ok(Swapped::Done(_))) => {
                if let Some(asked_at) = self.renewing {
                    tally.renewals.add(now.since(asked_at));
                }
            }
            _ => {}
        }
    }

    /// After it.
    pub(crate) fn sees(
        &mut self,
        now: BootTime,
        election: &Election,
        actions: &[Action],
        tally: &mut Tally,
    ) {
        for action in actions {
            match action {
                // Who believes renews; others acquire or release.
                Action::Swap { .. } => self.renewing = election.belief().map(|_| now),
                Action::Abandon => tally.store_errors += 1,
                Action::Announce(Change::Elected { term, .. }) => {
                    // With no term between, nobody led since: the swap saw to that.
                    if let Some(before) = self.newest
                        && before.term.plus(1) == Some(*term)
                        && let Some(led_at) = before.led_at
                    {
                        tally.failover_gaps.add(now.since(led_at));
                    }
                    self.began(*term, Some(now), tally);
                }
                Action::Announce(Change::Revoked {
                    term,
                    reason,
                    ended,
                    ..
                }) => {
                    tally.losses[*reason as usize] += 1;
                    self.led(*term, *ended);
                }
                _ => {}
            }
        }
        let other = election.other_leader();
        self.look(now, other.map(|(_, term, until)| (term, until)), tally);
    }

    fn look(&mut self, now: BootTime, other: Option<(Term, BootTime)>, tally: &mut Tally) {
        let before = std::mem::replace(&mut self.other, other);
        let lived = self.newest.is_some_and(|newest| newest.led_at.is_some());
        match (before, other) {
            (before, other) if before == other => {}
            // It has renewed; or it is known to have died, and lived until now
            // if it was ever seen to live.
            (Some((term, before)), Some((same, until))) if term == same => {
                if until > before || lived {
                    self.led(term, now);
                }
            }
            // At first sight of an election, its leader may be dead for days.
            (_, Some((term, _))) => {
                let led_at = self.newest.map(|_| now);
                self.began(term, led_at, tally);
            }
            // It has released the lease; or this node leads now, which is newer.
            (Some((term, _)), None) if lived => self.led(term, now),
            (_, None) => {}
        }
    }

    fn began(&mut self, term: Term, led_at: Option<BootTime>, tally: &mut Tally) {
        if self.newest.is_some_and(|newest| newest.term != term) {
            tally.transitions += 1;
        }
        tally.term = term;
        self.newest = Some(Leadership { term, led_at });
    }

    fn led(&mut self, term: Term, at: BootTime) {
        if let Some(newest) = &mut self.newest
            && newest.term == term
        {
            newest.led_at = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_took_that_long_at_most() {
        let mut histogram = Histogram::default();
        for micros in [0, 10, 11, 2_500_000, 100_000_000, 100_000_001] {
            histogram.add(Duration::from_micros(micros));
        }
        let at_most = |micros| {
            let bound = Duration::from_micros(micros);
            histogram.cumulative().find(|(b, _)| *b == bound).unwrap().1
        };
        assert_eq!(at_most(10), 2);
        assert_eq!(at_most(25), 3);
        assert_eq!(at_most(1_000_000), 3);
        assert_eq!(at_most(2_500_000), 4);
        assert_eq!(at_most(100_000_000), 5);
        assert_eq!(histogram.count(), 6);
        assert_eq!(histogram.sum(), Duration::from_micros(202_500_022));
        assert!(Histogram::BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
