//! What is going to happen, by when: the next event is always the earliest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::desk::{Answered, Asked, Book};
use super::plan::Fault;
use crate::clock::BootTime;

/// What is going to happen. The number after a node is its life: what was meant
/// for a process that has died reaches no other.
pub(super) enum Event {
    Start(usize),
    NextFault,
    Over(Option<usize>, u32, Fault),
    /// Who asked the leader for something no longer wants it.
    Withdrawal(u64),
    /// Its timer rings, if it still is set to that.
    Alarm(usize, u32, Book, BootTime),
    /// A call reaches the store.
    Arrives(usize, u32, Box<Call>),
    Answer(usize, u32, Book, u64, Box<Answered>),
    Wake(usize, u32, u64),
    Heartbeat(usize, u32),
}

pub(super) struct Call {
    pub(super) number: u64,
    pub(super) book: Book,
    pub(super) asked: Asked,
    /// How long the answer takes; none: there will be none.
    pub(super) back: Option<Duration>,
    /// It was held up on its way.
    pub(super) late: bool,
}

/// In order of time, then of planning: the order is part of the seed.
#[derive(Default)]
pub(super) struct Agenda {
    events: BinaryHeap<Reverse<Planned>>,
    planned: u64,
}

struct Planned {
    at: Duration,
    number: u64,
    event: Event,
}

impl Agenda {
    pub(super) fn plan(&mut self, at: Duration, event: Event) {
        self.planned += 1;
        let number = self.planned;
        self.events.push(Reverse(Planned { at, number, event }));
    }

    /// The next, unless it happens after `end`.
    pub(super) fn next(&mut self, end: Duration) -> Option<(Duration, Event)> {
        let Reverse(next) = self.events.peek()?;
        if next.at > end {
            return None;
        }
        let Reverse(next) = self.events.pop()?;
        Some((next.at, next.event))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Planned {}
