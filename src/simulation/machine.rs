//! What one machine knows of its processes.

use super::agenda::Event;
use super::check::LATEST_WAKE_UP;
use super::desk::Book;
use super::seat::Seat;
use super::world::World;
#[cfg(test)]
use crate::election::Sabotage;
use crate::store::{Revision, Wake};

impl World<'_> {
    /// A node waits to be woken when this is no longer what the store has.
    pub(super) fn watches(&mut self, node: usize, number: u64, revision: Revision) {
        let life = self.seats[node].life;
        if let Some(running) = &mut self.seats[node].running {
            running.watches = Some(number);
        }
        let known = Some(revision) == self.register.revision();
        if self.plan.one_machine && (!known || self.holder_is_dead()) {
            self.soon(LATEST_WAKE_UP, Event::Wake(node, life, number));
        }
    }

    /// Whoever wrote the record can no longer act.
    pub(super) fn holder_is_dead(&self) -> bool {
        let Some(holder) = self.register.record().and_then(|record| record.holder()) else {
            return false;
        };
        let mut seats = self.seats.iter();
        !seats.any(|seat| {
            let acts = seat.running.as_ref();
            acts.is_some_and(|running| running.session == holder.session)
                && !self.taken_for_dead(seat)
        })
    }

    pub(super) fn wake_watchers(&mut self) {
        if !self.plan.one_machine {
            return;
        }
        for node in 0..self.seats.len() {
            let life = self.seats[node].life;
            let running = self.seats[node].running.as_ref();
            if let Some(number) = running.and_then(|running| running.watches) {
                self.soon(LATEST_WAKE_UP, Event::Wake(node, life, number));
            }
        }
    }

    pub(super) fn wake(&mut self, node: usize, number: u64) {
        let wake = match self.register.observed() {
            Some(current) if self.holder_is_dead() => Wake::HolderDied(current),
            _ => Wake::Changed(None),
        };
        if let Some(running) = &mut self.seats[node].running
            && running.watches.take_if(|own| *own == number).is_some()
        {
            running.desk.papers(Book::Lease).put_wake(number, wake);
            self.poll(node);
        }
    }

    // Where a test breaks something.

    #[cfg(test)]
    fn taken_for_dead(&self, seat: &Seat) -> bool {
        seat.frozen && self.sabotage == Some(Sabotage::FrozenIsDead)
    }

    #[cfg(not(test))]
    fn taken_for_dead(&self, _: &Seat) -> bool {
        false
    }
}
