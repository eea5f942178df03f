//! What happens to one node, told step by step.
//!
//! The node is A (session 1, so that its retry period is not shortened), with
//! L = 10 s, R = 6 s and P = 2 s. What it does is compared as text.

use std::time::Duration;

use crate::clock::BootTime;
use crate::election::{
    Acquired, Action, Change, Election, Ending, Event, NobodyKnows, Reason, Swapped,
};
use crate::lease::{Holder, Record, SessionId, State, Term};
use crate::name::NodeId;
use crate::store::{Content, Observed, Revision, Wake};
use crate::timing::Timing;

/// A node id, and the session of the process that uses it.
pub(super) type Who = (&'static str, u128);
pub(super) const A: Who = ("A", 1);
pub(super) const B: Who = ("B", 2);
pub(super) const C: Who = ("C", 3);

pub(super) fn holder((name, session): Who) -> Holder {
    Holder {
        node_id: NodeId::new(name).unwrap(),
        session: SessionId::from_u128(session),
        host: "host".into(),
        pid: std::num::NonZeroU32::new(42),
        boot_id: None,
    }
}

pub(super) fn term(number: u64) -> Term {
    Term::new(number).unwrap()
}

fn record(number: u64, state: State) -> Record {
    Record {
        term: term(number),
        lease_duration: Duration::from_secs(10),
        state,
    }
}

pub(super) fn held(by: Who, term: u64) -> Record {
    record(term, State::Held(holder(by)))
}

pub(super) fn vacant(term: u64) -> Record {
    record(term, State::Vacant { successor: None })
}

pub(super) fn vacant_for(successor: Who, term: u64) -> Record {
    let successor = Some(holder(successor).session);
    record(term, State::Vacant { successor })
}

pub(super) fn lasting(secs: u64, record: Record) -> Record {
    let lease_duration = Duration::from_secs(secs);
    Record {
        lease_duration,
        ..record
    }
}

pub(super) fn revision(number: u64) -> Revision {
    Revision::new([number, 0, 0, 0])
}

/// The record as it was at this revision.
pub(super) fn seen(number: u64, record: Record) -> Option<Observed> {
    Some(Observed {
        revision: revision(number),
        content: Content::Record(record),
    })
}

pub(super) fn garbled(number: u64, floor: u64) -> Option<Observed> {
    Some(Observed {
        revision: revision(number),
        content: Content::Garbled {
            floor: term(floor),
            lease_duration: None,
        },
    })
}

fn moment(secs: f64) -> BootTime {
    BootTime::default() + Duration::from_secs_f64(secs)
}

pub(super) struct Script {
    election: Election,
    now: BootTime,
    /// What the last step did, until [`does`](Self::does) has looked at it.
    done: Vec<Action>,
    /// What the store holds, for when all is well.
    store: Option<Observed>,
    asked: Option<Action>,
}

/// A node that has just been started and has asked for the record.
pub(super) fn observer() -> Script {
    start(Timing::default()).ticks().does("read")
}

/// A node that wants to lead and has asked for the record.
pub(super) fn candidate() -> Script {
    observer().campaigns().does("")
}

/// A node that leads in term 1 until 6 s, with the record at revision 1.
pub(super) fn leader() -> Script {
    candidate().wins()
}

/// A leader whose retry period is shorter than everybody else's.
pub(super) fn leader_renewing_every(secs: u64) -> Script {
    let default = Timing::default();
    let retry = Some(Duration::from_secs(secs));
    let timing = Timing::new(default.lease_duration(), None, retry).unwrap();
    let node = start(timing).ticks().does("read");
    node.campaigns().does("").wins()
}

fn start(timing: Timing) -> Script {
    Script {
        election: Election::new(holder(A), timing),
        now: BootTime::default(),
        done: Vec::new(),
        store: None,
        asked: None,
    }
}

impl Script {
    fn wins(self) -> Self {
        self.reads(None)
            .does("swap none -> A holds 1")
            .swapped(1)
            .does("elected 1 (Vacant) until 6s")
    }

    /// It is now `secs` after the start, and nothing was due before.
    #[track_caller]
    pub(super) fn at(self, secs: f64) -> Self {
        let due = self.election.deadline();
        assert!(moment(secs) <= due, "something was due at {due:?}");
        self.frozen_until(secs)
    }

    /// Time passes, and the node does not notice.
    #[track_caller]
    pub(super) fn frozen_until(mut self, secs: f64) -> Self {
        assert!(moment(secs) >= self.now, "time goes forward");
        self.now = moment(secs);
        self
    }

    /// Time passes, the node does what is due, the store answers, and nobody
    /// else does anything.
    #[track_caller]
    pub(super) fn all_is_well_until(mut self, secs: f64) -> Self {
        for _ in 0..1000 {
            self.done.clear();
            self = match self.asked.take() {
                Some(Action::Swap { next, .. }) => {
                    let last = self.store.as_ref().map_or(0, |o| o.revision.parts()[0]);
                    self.store = seen(last + 1, next);
                    self.feed(Event::Swap(Ok(Swapped::Done(revision(last + 1)))))
                }
                Some(_) => {
                    let store = self.store.clone();
                    self.feed(Event::Read(Ok(store)))
                }
                None if self.election.deadline() < moment(secs) => {
                    self.now = self.election.deadline();
                    self.ticks()
                }
                None => return self.at(secs),
            };
        }
        panic!("it never comes to rest");
    }

    pub(super) fn ticks(self) -> Self {
        self.feed(Event::Tick)
    }

    pub(super) fn reads(mut self, store: Option<Observed>) -> Self {
        self.store = store.clone();
        self.feed(Event::Read(Ok(store)))
    }

    pub(super) fn read_fails(self) -> Self {
        self.feed(Event::Read(Err(NobodyKnows)))
    }

    pub(super) fn swapped(mut self, number: u64) -> Self {
        if let Some(Action::Swap { next, .. }) = &self.asked {
            self.store = seen(number, next.clone());
        }
        self.feed(Event::Swap(Ok(Swapped::Done(revision(number)))))
    }

    pub(super) fn conflicts(mut self, store: Option<Observed>) -> Self {
        self.store = store.clone();
        self.feed(Event::Swap(Ok(Swapped::Conflict(store))))
    }

    pub(super) fn swap_fails(self) -> Self {
        self.feed(Event::Swap(Err(NobodyKnows)))
    }

    pub(super) fn wakes(self) -> Self {
        self.feed(Event::Wake(Wake::Changed(None)))
    }

    pub(super) fn wakes_to(mut self, store: Option<Observed>) -> Self {
        self.store = store.clone();
        self.feed(Event::Wake(Wake::Changed(store)))
    }

    pub(super) fn holder_dies(mut self, store: Option<Observed>) -> Self {
        self.store = store.clone();
        self.feed(Event::Wake(Wake::HolderDied(store.unwrap())))
    }

    pub(super) fn campaigns(self) -> Self {
        self.feed(Event::Campaign(true))
    }

    pub(super) fn gives_up(self) -> Self {
        self.feed(Event::Campaign(false))
    }

    pub(super) fn should_end(self, ending: Ending) -> Self {
        self.feed(Event::End(ending))
    }

    pub(super) fn work_stops(self) -> Self {
        self.feed(Event::WorkStopped)
    }

    pub(super) fn stops(self) -> Self {
        self.feed(Event::Stop)
    }

    #[track_caller]
    fn feed(mut self, event: Event) -> Self {
        assert!(self.done.is_empty(), "unchecked: {}", show(&self.done));
        if matches!(event, Event::Read(_) | Event::Swap(_)) {
            self.asked = None;
        }
        self.done = self.election.step(self.now, event);
        for action in &self.done {
            match action {
                Action::Read | Action::Swap { .. } => self.asked = Some(action.clone()),
                Action::Abandon => self.asked = None,
                _ => {}
            }
        }
        self
    }

    /// All that the last step did.
    #[track_caller]
    pub(super) fn does(mut self, what: &str) -> Self {
        assert_eq!(show(&self.done), what, "at {:?}", self.now);
        self.done.clear();
        self
    }

    #[track_caller]
    pub(super) fn leads(self, number: u64) -> Self {
        assert_eq!(self.election.leads(self.now), Some(term(number)));
        self
    }

    #[track_caller]
    pub(super) fn does_not_lead(self) -> Self {
        assert_eq!(self.election.leads(self.now), None);
        self
    }

    #[track_caller]
    pub(super) fn due_at(self, secs: f64) -> Self {
        assert_eq!(self.election.deadline(), moment(secs));
        self
    }

    /// All that it answers to who asks how it is.
    #[track_caller]
    pub(super) fn says(self, what: &str) -> Self {
        let node = &self.election;
        let from = |at: BootTime| at.since(BootTime::default()).as_secs_f64();
        let said = [
            node.settled().then(|| "settled".to_owned()),
            node.candidate_from()
                .map(|at| format!("candidate from {}s", from(at))),
            node.ending().then(|| "ending".to_owned()),
            node.holds().map(|term| format!("holds {term}")),
            node.needs_witness().then(|| "needs its witness".to_owned()),
        ];
        let said: Vec<_> = said.into_iter().flatten().collect();
        assert_eq!(said.join("; "), what, "at {:?}", self.now);
        self
    }

    #[track_caller]
    pub(super) fn finished(self, finished: bool) -> Self {
        assert_eq!(self.election.finished(), finished);
        self
    }
}

fn show(actions: &[Action]) -> String {
    let shown: Vec<_> = actions.iter().map(show_action).collect();
    shown.join("; ")
}

fn show_action(action: &Action) -> String {
    match action {
        Action::Read => "read".into(),
        Action::Swap { expected, next } => {
            let expected = expected.map_or("none".into(), |r| r.parts()[0].to_string());
            format!("swap {expected} -> {}", show_record(next))
        }
        Action::Abandon => "abandon".into(),
        Action::Prepare(next) => format!("prepare {}", show_record(next)),
        Action::Watch(revision) => format!("watch {}", revision.parts()[0]),
        Action::Announce(change) => show_change(change),
    }
}

fn show_record(record: &Record) -> String {
    match &record.state {
        State::Held(holder) => format!("{} holds {}", holder.node_id, record.term),
        State::Vacant { successor: None } => format!("vacant {}", record.term),
        State::Vacant { successor: Some(s) } => format!("vacant {} for {s:?}", record.term),
        State::Asked(request) => format!("request {} {request:?}", record.term),
    }
}

fn show_change(change: &Change) -> String {
    let secs = |at: &BootTime| at.since(BootTime::default()).as_secs_f64();
    match change {
        Change::Elected {
            term,
            acquired,
            valid_until,
        } => {
            let acquired: &Acquired = acquired;
            format!("elected {term} ({acquired:?}) until {}s", secs(valid_until))
        }
        Change::Revoked {
            term,
            reason,
            ended,
            ..
        } => {
            let reason: &Reason = reason;
            format!("revoked {term} ({reason:?}) at {}s", secs(ended))
        }
        Change::NewLeader { leader, term } => format!("new leader {} {term}", leader.node_id),
        Change::NoLeader => "no leader".into(),
        Change::Warning(text) => format!("warning: {text}"),
        Change::Asked { .. } | Change::StoreFailed(_) | Change::StoreRecovered => {
            unreachable!("the driver says these")
        }
    }
}
