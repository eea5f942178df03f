//! The way to the store and back, and what goes wrong on it.

use std::time::Duration;

use super::agenda::{Call, Event};
use super::check::LATEST_WAKE_UP;
use super::desk::{Answered, Asked, Book};
use super::plan::Fault;
use super::report::{Happening, Violation};
use super::world::World;
#[cfg(test)]
use crate::election::Sabotage;
use crate::lease::{Record, State};
use crate::store::{Revision, Swap};

impl World<'_> {
    pub(super) fn asks(&mut self, node: usize, book: Book, number: u64, asked: Asked) {
        let there = self.one_way();
        let back = self.one_way();
        let lease = self.plan.timing.lease_duration();
        let seat = &self.seats[node];
        let (now, life) = (self.now, seat.life);
        let has = |fault| seat.has(fault, now);
        let swaps = matches!(asked, Asked::Swap(..));
        let fails = |after| {
            let answer = Box::new(Answered::NobodyKnows);
            (after, Event::Answer(node, life, book, number, answer))
        };
        let arrives = |after, back, late| {
            let call = Call {
                number,
                book,
                asked,
                back,
                late,
            };
            (after, Event::Arrives(node, life, Box::new(call)))
        };
        let (cut, errors) = (seat.cut_off(now), has(Fault::Errors));
        let (late, slow) = (swaps && has(Fault::LateWrites), has(Fault::Slow));
        if cut || errors || late || slow {
            self.disturbed(node);
        }
        let (after, event) = if cut {
            match self.random.below(4) {
                // It is not even sent, it is lost, or it is kept in the network.
                0 | 1 => fails(LATEST_WAKE_UP),
                2 => return,
                _ => arrives(self.some_time(lease * 2), None, true),
            }
        } else if errors && self.random.once_in(2) {
            fails(there + back)
        } else if late && self.random.once_in(2) {
            arrives(self.some_time(lease * 2), Some(back), true)
        } else if slow {
            let most = self.plan.timing.renew_deadline() * 3 / 4;
            arrives(self.some_time(most), Some(self.some_time(most)), true)
        } else {
            arrives(there, Some(back), false)
        };
        if late || cut {
            self.calm_not_before(self.now + after);
        }
        self.after(after, event);
    }

    pub(super) fn arrives(&mut self, node: usize, life: u32, call: Call) {
        // On one machine, what a process has not done when it is killed it never does.
        if self.plan.one_machine && !self.lives(node, life) {
            return;
        }
        let mut answer = match (call.book, call.asked) {
            (Book::Lease, Asked::Read) => {
                self.calls.reads += 1;
                Answered::Read(self.register.observed())
            }
            (Book::Lease, Asked::Swap(expected, next)) => {
                self.calls.swaps += 1;
                let answer = self.swap(expected, next);
                if call.late && matches!(answer, Swap::Swapped { .. }) {
                    self.note(Some(node), life, Happening::LateWrite);
                }
                Answered::Swap(answer)
            }
            (Book::Requests, Asked::Read) => {
                self.calls.requests += 1;
                Answered::Read(self.requests.observed())
            }
            (Book::Requests, Asked::Swap(expected, next)) => {
                self.calls.requests += 1;
                Answered::Swap(self.requests.swap(expected, next))
            }
        };
        let Some(back) = call.back.filter(|_| self.lives(node, life)) else {
            return;
        };
        let lost = self.seats[node].has(Fault::LostReplies, self.now);
        let conflicts = self.seats[node].has(Fault::Conflicts, self.now);
        if lost || conflicts {
            self.disturbed(node);
        }
        if lost {
            match self.random.below(4) {
                0 => return,
                1 => answer = Answered::NobodyKnows,
                _ => {}
            }
        }
        if conflicts
            && matches!(answer, Answered::Swap(Swap::Swapped { .. }))
            && self.random.once_in(2)
        {
            let register = match call.book {
                Book::Lease => &self.register,
                Book::Requests => &self.requests,
            };
            answer = Answered::Swap(Swap::Conflict(register.observed()));
        }
        let answer = Box::new(answer);
        self.after(
            back,
            Event::Answer(node, life, call.book, call.number, answer),
        );
    }

    /// A swap of the lease takes effect, or does not.
    fn swap(&mut self, expected: Option<Revision>, next: Record) -> Swap {
        #[cfg(test)]
        let expected = match self.sabotage {
            Some(Sabotage::NoCompareAndSwap) => self.register.revision(),
            _ => expected,
        };
        let vacates = matches!(next.state, State::Vacant { .. });
        let taken_away = self.takes_from_the_successor(&next);
        let answer = self.register.swap(expected, next);
        if matches!(answer, Swap::Swapped { .. }) {
            if taken_away {
                let what = Violation::TakenFromTheSuccessor;
                self.checker.broken(self.now, what);
            }
            self.calls.swaps_done += 1;
            self.written = self.now;
            self.check_all_records();
            if vacates {
                self.wake_watchers();
            }
        }
        answer
    }

    /// For a lease duration, by the fastest clock there may be, what was left to
    /// one session is nobody else's.
    fn takes_from_the_successor(&self, next: &Record) -> bool {
        let Some(left) = self.register.record() else {
            return false;
        };
        let State::Vacant {
            successor: Some(to),
        } = left.state
        else {
            return false;
        };
        let protected = left.lease_duration.div_f64(self.plan.clock_ratio);
        next.holder().is_some_and(|holder| holder.session != to)
            && self.now < self.written + protected
    }

    /// About half a round trip.
    fn one_way(&mut self) -> Duration {
        let half = self.plan.round_trip / 2;
        half / 2 + Duration::from_nanos(self.random.up_to(half))
    }

    fn some_time(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.random.up_to(most))
    }
}
