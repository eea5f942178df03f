//! Time, and what it brings.

use std::time::Duration;

use super::agenda::{Agenda, Event};
use super::check::{Checker, LATEST_WAKE_UP, patience};
use super::desk::{Answered, Book};
use super::plan::{Fault, Plan};
use super::random::Random;
use super::register::Register;
use super::report::{Calls, Happening, Moment, Report, Span};
use super::seat::Seat;
#[cfg(test)]
use crate::election::Sabotage;

pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) now: Duration,
    pub(super) random: Random,
    pub(super) seats: Vec<Seat>,
    /// From when on nothing is wrong any more, by what is known.
    pub(super) calm: Duration,
    pub(super) register: Register,
    /// Beside it, what is asked of the leader.
    pub(super) requests: Register,
    /// When a swap took effect last.
    pub(super) written: Duration,
    pub(super) checker: Checker,
    pub(super) spans: Vec<Span>,
    pub(super) calls: Calls,
    agenda: Agenda,
    moments: Vec<Moment>,
    #[cfg(test)]
    pub(super) sabotage: Option<Sabotage>,
    /// Faults come and go, and no call feels them.
    #[cfg(test)]
    pub(super) numb: bool,
}

impl<'a> World<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        let mut random = Random::new(plan.seed);
        let seats = (0..plan.nodes).map(|n| Seat::new(n, plan, &mut random));
        let mut world = Self {
            plan,
            now: Duration::ZERO,
            seats: seats.collect(),
            random,
            calm: Duration::ZERO,
            register: Register::default(),
            requests: Register::default(),
            written: Duration::ZERO,
            checker: Checker::default(),
            spans: Vec::new(),
            calls: Calls::default(),
            agenda: Agenda::default(),
            moments: Vec::new(),
            #[cfg(test)]
            sabotage: None,
            #[cfg(test)]
            numb: false,
        };
        for node in 0..plan.nodes {
            world.soon(plan.timing.retry_period(), Event::Start(node));
        }
        world
    }

    pub(super) fn run(mut self) -> Report {
        self.soon(self.plan.pause * 2, Event::NextFault);
        let patience = patience(self.plan);
        loop {
            let end = self.plan.duration.max(self.calm + patience);
            if !self.next(end) {
                break;
            }
        }
        let ended = self.now;
        for span in &mut self.spans {
            span.to = span.to.min(ended);
        }
        self.checker.judge(Report {
            plan: self.plan.clone(),
            moments: self.moments,
            spans: self.spans,
            violations: Vec::new(),
            calm: self.calm,
            ended,
            calls: self.calls,
        })
    }

    /// Plays on until then.
    pub(super) fn until(&mut self, end: Duration) {
        while self.next(end) {}
    }

    /// Goes to the next event, or to `end` if that comes first.
    pub(super) fn next(&mut self, end: Duration) -> bool {
        let Some((at, event)) = self.agenda.next(end) else {
            self.now = end;
            return false;
        };
        self.now = at;
        self.happens(event);
        true
    }

    pub(super) fn at(&mut self, at: Duration, event: Event) {
        self.agenda.plan(at, event);
    }

    pub(super) fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    /// Within this time.
    pub(super) fn soon(&mut self, most: Duration, event: Event) {
        let wait = self.random.up_to(most);
        self.after(Duration::from_nanos(wait), event);
    }

    pub(super) fn note(&mut self, node: Option<usize>, life: u32, what: Happening) {
        let at = self.now;
        let moment = Moment {
            at,
            node,
            life,
            what,
        };
        self.moments.push(moment);
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Start(node) => self.start(node),
            Event::NextFault => self.next_fault(),
            Event::Over(whom, life, fault) => self.over(whom, life, fault),
            Event::Withdrawal(asker) => self.withdraw(asker),
            Event::Alarm(node, life, book, alarm) => {
                let running = self.seats[node].running.as_ref();
                let set = running.is_some_and(|running| running.alarms[book as usize] == alarm);
                if set && self.lives(node, life) {
                    self.poll(node);
                }
            }
            Event::Arrives(node, life, call) => self.arrives(node, life, *call),
            Event::Answer(node, life, book, number, answer) if self.lives(node, life) => {
                self.answered(node, book, number, *answer);
            }
            Event::Wake(node, life, number) if self.lives(node, life) => self.wake(node, number),
            Event::Heartbeat(node, life) => self.heartbeat(node, life),
            // It was killed meanwhile.
            Event::Answer(..) | Event::Wake(..) => {}
        }
    }

    fn start(&mut self, node: usize) {
        let seat = &mut self.seats[node];
        if seat.running.is_some() {
            return;
        }
        if seat.has(Fault::Sleep, self.now) {
            let wakes = seat.lasts_until(Fault::Sleep);
            self.at(wakes, Event::Start(node));
            return;
        }
        #[cfg(test)]
        (seat.sabotage = self.sabotage);
        seat.start(self.now, self.plan.requests, &mut self.random);
        let life = seat.life;
        self.note(Some(node), life, Happening::Started);
        self.calm_not_before(self.now);
        self.poll(node);
        self.heartbeat(node, life);
    }

    fn answered(&mut self, node: usize, book: Book, number: u64, answer: Answered) {
        let seat = &self.seats[node];
        let away = seat.cut_off(self.now) || seat.has(Fault::Sleep, self.now);
        if away && !matches!(answer, Answered::NobodyKnows) {
            // It does not get through. A failure is what this machine says.
            self.disturbed(node);
        } else if let Some(running) = &seat.running {
            running.desk.papers(book).put_answer(number, answer);
            self.poll(node);
        }
    }

    pub(super) fn lives(&self, node: usize, life: u32) -> bool {
        self.seats[node].life == life && self.seats[node].running.is_some()
    }

    pub(super) fn calm_not_before(&mut self, moment: Duration) {
        self.calm = self.calm.max(moment);
    }

    /// A call of this node suffers from a fault: for as long as it may wait for
    /// an answer, the fault is not over.
    pub(super) fn disturbed(&mut self, node: usize) {
        let timing = self.seats[node].timing;
        let gives_up = self.now + timing.renew_deadline() + LATEST_WAKE_UP;
        self.calm_not_before(gives_up);
    }
}
