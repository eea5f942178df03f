//! Time, and what it brings: the next event is always the earliest there is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::check::{Checker, LATEST_WAKE_UP, patience};
use super::desk::{Answered, Asked};
use super::plan::{Fault, Plan};
use super::random::Random;
use super::register::Register;
use super::report::{Calls, Happening, Moment, Report, Span, Violation};
use super::seat::Seat;
use crate::change::{Change, Notice};
use crate::clock::BootTime;
#[cfg(test)]
use crate::election::Sabotage;
use crate::lease::{State, Term};
use crate::store::{Swap, Wake};

pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) now: Duration,
    pub(super) random: Random,
    pub(super) seats: Vec<Seat>,
    /// From when on nothing is wrong any more, by what is known.
    pub(super) calm: Duration,
    #[cfg(test)]
    pub(super) sabotage: Option<Sabotage>,
    register: Register,
    /// When a swap took effect last.
    written: Duration,
    /// By time, then by when they were planned: the order is part of the seed.
    events: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    checker: Checker,
    moments: Vec<Moment>,
    spans: Vec<Span>,
    calls: Calls,
}

/// What is going to happen. The number after a node is its life: what was meant
/// for a process that has died reaches no other.
pub(super) enum Event {
    Start(usize),
    NextFault,
    Over(Option<usize>, u32, Fault),
    /// Its timer rings, if it still is set to that.
    Alarm(usize, u32, BootTime),
    /// A call reaches the store.
    Arrives(usize, u32, Box<Call>),
    Answer(usize, u32, u64, Box<Answered>),
    Wake(usize, u32, u64),
    Heartbeat(usize, u32),
}

pub(super) struct Call {
    number: u64,
    asked: Asked,
    /// How long the answer takes; none: there will be none.
    back: Option<Duration>,
    /// It was held up on its way.
    late: bool,
}

struct Planned {
    at: Duration,
    number: u64,
    event: Event,
}

impl<'a> World<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        let mut random = Random::new(plan.seed);
        let seats = (0..plan.nodes).map(|n| Seat::new(n, plan.clock_ratio, &mut random));
        Self {
            plan,
            now: Duration::ZERO,
            seats: seats.collect(),
            random,
            calm: Duration::ZERO,
            #[cfg(test)]
            sabotage: None,
            register: Register::default(),
            written: Duration::ZERO,
            events: BinaryHeap::new(),
            planned: 0,
            checker: Checker::default(),
            moments: Vec::new(),
            spans: Vec::new(),
            calls: Calls::default(),
        }
    }

    pub(super) fn run(mut self) -> Report {
        for node in 0..self.seats.len() {
            self.soon(self.plan.timing.retry_period(), Event::Start(node));
        }
        self.soon(self.plan.pause * 2, Event::NextFault);
        let patience = patience(self.plan);
        while let Some(Reverse(next)) = self.events.pop() {
            let end = self.plan.duration.max(self.calm + patience);
            if next.at > end {
                self.now = end;
                break;
            }
            self.now = next.at;
            self.happens(next.event);
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

    pub(super) fn at(&mut self, at: Duration, event: Event) {
        self.planned += 1;
        let number = self.planned;
        self.events.push(Reverse(Planned { at, number, event }));
    }

    pub(super) fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    /// Within this time.
    fn soon(&mut self, most: Duration, event: Event) {
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
            Event::Start(node) => {
                if self.seats[node].running.is_none() {
                    let seat = &mut self.seats[node];
                    #[cfg(test)]
                    (seat.sabotage = self.sabotage);
                    seat.start(self.now, self.plan.timing, &mut self.random);
                    let life = seat.life;
                    self.note(Some(node), life, Happening::Started);
                    self.calm_not_before(self.now);
                    self.poll(node);
                    self.heartbeat(node, life);
                }
            }
            Event::NextFault => self.next_fault(),
            Event::Over(whom, life, fault) => self.over(whom, life, fault),
            Event::Alarm(node, life, alarm) => {
                let running = self.lives(node, life).then(|| &self.seats[node].running);
                if let Some(Some(running)) = running
                    && running.alarm == alarm
                {
                    self.poll(node);
                }
            }
            Event::Arrives(node, life, call) => self.arrives(node, life, *call),
            Event::Answer(node, life, number, answer) => {
                let cut_off = self.seats[node].cut_off(self.now);
                if !self.lives(node, life) {
                } else if cut_off && !matches!(*answer, Answered::NobodyKnows) {
                    // It does not get through. A failure is what this machine says.
                    self.disturbed();
                } else {
                    let running = self.seats[node].running.as_ref();
                    running.inspect(|r| r.desk.papers().put_answer(number, *answer));
                    self.poll(node);
                }
            }
            Event::Wake(node, life, number) => self.wake(node, life, number),
            Event::Heartbeat(node, life) => self.heartbeat(node, life),
        }
    }

    /// It says whether it leads, and will again.
    fn heartbeat(&mut self, node: usize, life: u32) {
        let Some(period) = self.plan.heartbeat.filter(|_| self.lives(node, life)) else {
            return;
        };
        let seat = &self.seats[node];
        if !seat.frozen {
            let leads = seat.leads(self.now).and(self.belief(node));
            let leads = leads.map(|(term, until)| (term, seat.moment(until)));
            self.note(Some(node), life, Happening::Heartbeat(leads));
        }
        self.after(period, Event::Heartbeat(node, life));
    }

    fn lives(&self, node: usize, life: u32) -> bool {
        self.seats[node].life == life && self.seats[node].running.is_some()
    }

    pub(super) fn calm_not_before(&mut self, moment: Duration) {
        self.calm = self.calm.max(moment);
    }

    /// A call of this node suffers from a fault: for as long as it may wait for
    /// an answer, the fault is not over.
    fn disturbed(&mut self) {
        let gives_up = self.now + self.plan.timing.renew_deadline() + LATEST_WAKE_UP;
        self.calm_not_before(gives_up);
    }

    /// The node's turn: it runs until it waits.
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
            return;
        }
        self.collect(node);
    }

    /// What the node has left on its desk.
    fn collect(&mut self, node: usize) {
        let seat = &mut self.seats[node];
        let life = seat.life;
        let Some(running) = &mut seat.running else {
            return;
        };
        let (asked, watches) = {
            let mut papers = running.desk.papers();
            (papers.asked.take(), papers.watches.take())
        };
        let deadline = running.desk.deadline();
        if deadline != running.alarm {
            running.alarm = deadline;
            if deadline < BootTime::NEVER {
                let late = Duration::from_nanos(self.random.up_to(LATEST_WAKE_UP));
                let moment = seat.moment(deadline).max(self.now) + late;
                self.at(moment, Event::Alarm(node, life, deadline));
            }
        }
        if let Some((number, asked)) = asked {
            self.asks(node, number, asked);
        }
        if let Some((number, revision)) = watches {
            if let Some(running) = &mut self.seats[node].running {
                running.watches = Some(number);
            }
            let known = Some(revision) == self.register.revision();
            if self.plan.one_machine && (!known || self.holder_is_dead()) {
                self.soon(LATEST_WAKE_UP, Event::Wake(node, life, number));
            }
        }
    }

    fn said(&mut self, node: usize, notice: &Notice) {
        let seat = &self.seats[node];
        let life = seat.life;
        match &notice.change {
            Change::Elected {
                term,
                acquired,
                valid_until,
            } => {
                let (term, acquired) = (*term, *acquired);
                if notice.at >= *valid_until {
                    self.checker.broken(self.now, Violation::OutsideItsLease);
                }
                let valid_until = seat.moment(*valid_until);
                self.spans.push(Span {
                    node,
                    term,
                    from: self.now,
                    to: valid_until,
                });
                let what = Happening::Elected {
                    term,
                    acquired,
                    valid_until,
                };
                self.note(Some(node), life, what);
            }
            Change::Revoked {
                term,
                reason,
                ended,
                stays_out_until,
            } => {
                let ended = seat.moment(*ended).min(self.now);
                let stays_out_until = stays_out_until.map(|until| seat.moment(until));
                self.led_until(node, ended);
                let what = Happening::Revoked {
                    term: *term,
                    reason: *reason,
                    ended,
                    stays_out_until,
                };
                self.note(Some(node), life, what);
            }
            _ => {}
        }
    }

    /// The last leadership of this node lasts until then.
    fn led_until(&mut self, node: usize, to: Duration) {
        if let Some(span) = self.spans.iter_mut().rfind(|span| span.node == node) {
            span.to = to;
        }
    }

    /// Whoever leads after its step must be the only one, and have the record.
    fn check_leader(&mut self, node: usize, before: Option<(Term, BootTime)>) {
        if self.leads(node) {
            let others = (0..self.seats.len()).filter(|other| *other != node);
            if others.into_iter().any(|other| self.leads(other)) {
                self.checker.broken(self.now, Violation::TwoLeaders);
            }
            self.check_record(node);
            if let Some((term, valid_until)) = self.belief(node) {
                let until = self.seats[node].moment(valid_until);
                self.led_until(node, until);
                if before.map(|(term, _)| term) != Some(term) {
                    self.checker.elected(self.now, term);
                }
                // Nobody may take it sooner, however fast his clock.
                let lease = self.plan.timing.lease_duration();
                if until > self.written + lease.div_f64(self.plan.clock_ratio) {
                    self.checker.broken(self.now, Violation::OutsideItsLease);
                }
            }
        }
    }

    fn belief(&self, node: usize) -> Option<(Term, BootTime)> {
        self.seats[node].running.as_ref()?.belief
    }

    fn check_record(&mut self, leader: usize) {
        let mine = self.seats[leader].running.as_ref().and_then(|running| {
            let record = self.register.record()?;
            Some(record.holder()?.session == running.session && record.term == running.belief?.0)
        });
        if mine != Some(true) {
            self.checker.broken(self.now, Violation::OutsideItsLease);
        }
    }

    fn leads(&self, node: usize) -> bool {
        #[cfg(test)]
        if self.sabotage == Some(Sabotage::CachedBoolean) {
            let running = self.seats[node].running.as_ref();
            return running.is_some_and(|running| running.belief.is_some());
        }
        self.seats[node].leads(self.now).is_some()
    }

    /// The process is gone, and with it whatever it believed.
    pub(super) fn died(&mut self, node: usize) {
        if self.leads(node) {
            self.led_until(node, self.now);
        }
        self.seats[node].running = None;
        self.seats[node].frozen = false;
        if self.holder_is_dead() {
            self.wake_watchers();
        }
    }

    // The way to the store and back.

    fn asks(&mut self, node: usize, number: u64, asked: Asked) {
        let there = self.one_way();
        let back = self.one_way();
        let lease = self.plan.timing.lease_duration();
        let seat = &self.seats[node];
        let (now, life) = (self.now, seat.life);
        let has = |fault| seat.has(fault, now);
        let swaps = matches!(asked, Asked::Swap(..));
        let fails = |after| {
            let answer = Box::new(Answered::NobodyKnows);
            (after, Event::Answer(node, life, number, answer))
        };
        let arrives = |after, back, late| {
            let call = Call {
                number,
                asked,
                back,
                late,
            };
            (after, Event::Arrives(node, life, Box::new(call)))
        };
        let (cut, errors) = (seat.cut_off(now), has(Fault::Errors));
        let (late, slow) = (swaps && has(Fault::LateWrites), has(Fault::Slow));
        if cut || errors || late || slow {
            self.disturbed();
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

    fn arrives(&mut self, node: usize, life: u32, call: Call) {
        // On one machine, what a process has not done when it is killed it never does.
        if self.plan.one_machine && !self.lives(node, life) {
            return;
        }
        let mut answer = match call.asked {
            Asked::Read => {
                self.calls.reads += 1;
                Answered::Read(self.register.observed())
            }
            Asked::Swap(expected, next) => {
                self.calls.swaps += 1;
                let vacates = matches!(next.state, State::Vacant { .. });
                #[cfg(test)]
                let expected = match self.sabotage {
                    Some(Sabotage::NoCompareAndSwap) => self.register.revision(),
                    _ => expected,
                };
                let answer = self.register.swap(expected, next);
                if matches!(answer, Swap::Swapped { .. }) {
                    self.written = self.now;
                    if call.late {
                        self.note(Some(node), life, Happening::LateWrite);
                    }
                    for leader in 0..self.seats.len() {
                        if self.leads(leader) {
                            self.check_record(leader);
                        }
                    }
                    if vacates {
                        self.wake_watchers();
                    }
                }
                Answered::Swap(answer)
            }
        };
        let Some(back) = call.back.filter(|_| self.lives(node, life)) else {
            return;
        };
        let lost = self.seats[node].has(Fault::LostReplies, self.now);
        let conflicts = self.seats[node].has(Fault::Conflicts, self.now);
        if lost || conflicts {
            self.disturbed();
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
            answer = Answered::Swap(Swap::Conflict(self.register.observed()));
        }
        self.after(
            back,
            Event::Answer(node, life, call.number, Box::new(answer)),
        );
    }

    /// About half a round trip.
    fn one_way(&mut self) -> Duration {
        let half = self.plan.round_trip / 2;
        half / 2 + Duration::from_nanos(self.random.up_to(half))
    }

    fn some_time(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.random.up_to(most))
    }

    // What one machine knows of its processes.

    /// Whoever wrote the record can no longer act.
    fn holder_is_dead(&self) -> bool {
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

    fn wake(&mut self, node: usize, life: u32, number: u64) {
        let wake = match self.register.observed() {
            Some(current) if self.holder_is_dead() => Wake::HolderDied(current),
            _ => Wake::Changed(None),
        };
        if self.lives(node, life)
            && let Some(running) = &mut self.seats[node].running
            && running
                .watches
                .take_if(|watches| *watches == number)
                .is_some()
        {
            running.desk.papers().put_wake(number, wake);
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
