//! A node's turn: it runs until it waits, and what it has left is taken on.

use std::time::Duration;

use super::agenda::Event;
use super::check::LATEST_WAKE_UP;
use super::desk::Book;
use super::report::Happening;
use super::world::World;
use crate::clock::BootTime;

impl World<'_> {
    pub(super) fn poll(&mut self, node: usize) {
        let seat = &mut self.seats[node];
        if seat.frozen {
            return;
        }
        let clock = seat.clock(self.now);
        let Some(running) = &mut seat.running else {
            return;
        };
        let before = running.belief;
        let ended = running.turn(clock);
        while let Some(Ok(notice)) = self.seats[node]
            .running
            .as_mut()
            .map(|running| running.notices.try_recv())
        {
            self.said(node, &notice);
        }
        self.check_leader(node, before);
        if ended {
            let life = self.seats[node].life;
            self.note(Some(node), life, Happening::Stopped);
            self.died(node);
            self.soon(self.plan.timing.lease_duration(), Event::Start(node));
        } else {
            self.collect(node);
        }
    }

    /// What the node has left on its desk.
    fn collect(&mut self, node: usize) {
        for book in [Book::Lease, Book::Requests] {
            let Some(running) = &mut self.seats[node].running else {
                return;
            };
            let mut papers = running.desk.papers(book);
            let (asked, watches) = (papers.asked.take(), papers.watches.take());
            drop(papers);
            self.set_alarm(node, book);
            if let Some((number, asked)) = asked {
                self.asks(node, book, number, asked);
            }
            if let Some((number, revision)) = watches {
                self.watches(node, number, revision);
            }
        }
    }

    fn set_alarm(&mut self, node: usize, book: Book) {
        let seat = &mut self.seats[node];
        let life = seat.life;
        let Some(running) = &mut seat.running else {
            return;
        };
        let deadline = running.desk.deadline(book);
        let alarm = &mut running.alarms[book as usize];
        if deadline != *alarm {
            *alarm = deadline;
            if deadline < BootTime::NEVER {
                let late = Duration::from_nanos(self.random.up_to(LATEST_WAKE_UP));
                let moment = seat.moment(deadline).max(self.now) + late;
                self.at(moment, Event::Alarm(node, life, book, deadline));
            }
        }
    }

    /// The process is gone, and with it whatever it believed.
    pub(super) fn died(&mut self, node: usize) {
        if self.leads(node) {
            self.led_until(node, self.now);
        }
        self.seats[node].ends();
        if self.holder_is_dead() {
            self.wake_watchers();
        }
    }
}
