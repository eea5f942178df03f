//! The nouns: a register, the nodes around it, and what bounds a search.

use std::fmt;
use std::time::Duration;

use super::sabotage::Sabotage;
use crate::clock::BootTime;
use crate::election::{Action, Asked, Change, Election, Event, Role, Swapped};
use crate::lease::{Holder, Record, SessionId, State, Term};
use crate::name::NodeId;
use crate::store::{Content, Observed, Revision};
use crate::timing::Timing;

use super::goals::Goals;
use super::transition::Incident;

/// Everything happens at a multiple of this.
const TICK: Duration = Duration::from_secs(1);

/// Those whose retry period is not shortened (rule 13), so that all they do
/// falls on a tick.
pub(super) const SESSIONS: [u128; 8] = [0, 1, 415, 829, 830, 1243, 1244, 1657];

/// Lease duration, renew deadline and retry period, in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks(pub(super) u32, pub(super) u32, pub(super) u32);

/// One search: the world it starts from, and what bounds it.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) nodes: Vec<Ticks>,
    /// After so many ticks, time stands still.
    pub(super) horizon: u32,
    /// What may happen beyond the ordinary.
    pub(super) incidents: &'static [Incident],
    /// How many of these in one run.
    pub(super) most_incidents: u8,
    /// The search ends after so many states, complete or not.
    pub(super) most_states: usize,
    pub(super) sabotage: Option<Sabotage>,
}

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Violation {
    TwoLeaders,
    TermReused,
    /// Against rule 11.
    TakenFromTheSuccessor,
    /// Against rule 1.
    TwoCallsInFlight,
    /// A tick before the deadline did something: who sleeps until then is late.
    DeadlineTooLate,
    /// A tick left a deadline that has passed: who waits for it spins.
    DeadlineNotMet,
}

#[derive(Clone, Debug, Hash)]
pub(super) struct World {
    pub(super) tick: u32,
    pub(super) register: Register,
    pub(super) nodes: Vec<Node>,
    /// Swaps whose answer nobody waits for any more.
    pub(super) strays: Vec<Swapping>,
    /// How many sessions there have been.
    pub(super) sessions: usize,
    /// How many more incidents there may be.
    pub(super) left: u8,
    /// The highest term of any leadership that was announced.
    elected: Term,
    /// What a step broke; the rest [`World::check`] finds.
    pub(super) broken: Option<Violation>,
}

/// A node, and what is under way between it and the store.
#[derive(Clone, Debug, Hash)]
pub(super) struct Node {
    pub(super) election: Election,
    pub(super) running: bool,
    pub(super) call: Option<Call>,
    pub(super) watches: Option<Revision>,
    /// The news that the holder of this died.
    pub(super) news: Option<Observed>,
}

#[derive(Clone, Debug, Hash)]
pub(super) enum Call {
    Read,
    Swap(Swapping),
    /// It has taken effect, and this is the answer.
    Landed(Event),
}

#[derive(Clone, Debug, Hash)]
pub(super) struct Swapping {
    pub(super) from: SessionId,
    expected: Option<Revision>,
    next: Record,
}

/// The store: one linearizable compare-and-swap register.
#[derive(Clone, Debug, Hash)]
pub(super) struct Register {
    /// Revisions never come back, whatever happens to the record.
    pub(super) revisions: u64,
    pub(super) content: Option<Content>,
    /// As many revisions as there had been when a record vanished last.
    pub(super) vanished_after: u64,
    /// The current record is vacant, and until then for this session alone.
    left_to: Option<(SessionId, BootTime)>,
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            nodes,
            horizon,
            incidents,
            most_incidents,
            ..
        } = self;
        write!(f, "{} nodes {nodes:?}, {horizon} ticks, ", nodes.len())?;
        write!(
            f,
            "at most {most_incidents} incidents of {} kinds",
            incidents.len()
        )
    }
}

impl Setup {
    pub(super) fn node(&self, n: usize, session: usize) -> Node {
        let Ticks(lease, renew, retry) = self.nodes[n];
        let timing = Timing::new(TICK * lease, Some(TICK * renew), Some(TICK * retry));
        let me = Holder {
            node_id: NodeId::new(&format!("n{n}")).expect("a name"),
            session: SessionId::from_u128(SESSIONS[session]),
            host: "".into(),
            pid: None,
            boot_id: None,
        };
        let election = Election::new(me, timing.expect("durations that fit together"));
        assert_eq!(
            election.period(),
            TICK * retry,
            "as the sessions were chosen"
        );
        Node {
            election,
            running: true,
            call: None,
            watches: None,
            news: None,
        }
    }
}

impl Register {
    pub(super) fn revision(&self) -> Option<Revision> {
        let revision = Revision::new([self.revisions, 0, 0, 0]);
        self.content.as_ref().map(|_| revision)
    }

    pub(super) fn current(&self) -> Option<Observed> {
        Some(Observed {
            revision: self.revision()?,
            content: self.content.clone()?,
        })
    }

    /// The record, unless it is absent or garbled.
    pub(super) fn record(&self) -> Option<&Record> {
        match &self.content {
            Some(Content::Record(record)) => Some(record),
            _ => None,
        }
    }

    fn replace(&mut self, content: Content) -> Revision {
        self.revisions += 1;
        self.content = Some(content);
        self.left_to = None;
        Revision::new([self.revisions, 0, 0, 0])
    }

    pub(super) fn vanish(&mut self) {
        self.content = None;
        self.vanished_after = self.revisions;
    }

    /// A stranger writes into it what nobody can read.
    pub(super) fn garble(&mut self) {
        let (hidden, lease_duration) = match &self.content {
            Some(Content::Record(record)) => (record.term, Some(record.lease_duration)),
            Some(Content::Garbled {
                floor,
                lease_duration,
            }) => (*floor, *lease_duration),
            None => (Term::ZERO, None),
        };
        let floor = hidden.plus(1).expect("a low term");
        self.replace(Content::Garbled {
            floor,
            lease_duration,
        });
    }

    fn accepts(&self, swap: &Swapping, sabotage: Option<Sabotage>) -> bool {
        swap.expected == self.revision() || sabotage == Some(Sabotage::NoCompareAndSwap)
    }
}

impl World {
    pub(super) fn new(setup: &Setup) -> Self {
        let nodes = 0..setup.nodes.len();
        let mut world = Self {
            tick: 0,
            register: Register {
                revisions: 0,
                content: None,
                vanished_after: 0,
                left_to: None,
            },
            nodes: nodes.clone().map(|n| setup.node(n, n)).collect(),
            strays: Vec::new(),
            sessions: nodes.len(),
            left: setup.most_incidents,
            elected: Term::ZERO,
            broken: None,
        };
        for n in nodes {
            world.step(n, Event::Campaign(true), setup, &mut Goals::default());
        }
        world
    }

    pub(super) fn now(&self) -> BootTime {
        BootTime::default() + TICK * self.tick
    }

    /// Hands a node an event, and does what it says.
    pub(super) fn step(
        &mut self,
        n: usize,
        event: Event,
        setup: &Setup,
        goals: &mut Goals,
    ) -> Vec<Change> {
        let now = self.now();
        let node = &mut self.nodes[n];
        let before = node.election.clone();
        let actions = node.election.step(now, event.clone());
        if let Some(sabotage) = setup.sabotage {
            sabotage.patch(now, &before, &event, &mut node.election);
        }
        let mut said = Vec::new();
        for action in actions {
            match action {
                Action::Read => self.call(n, Call::Read),
                Action::Swap { expected, next } => {
                    let from = before.me.session;
                    let swap = Swapping {
                        from,
                        expected,
                        next,
                    };
                    self.call(n, Call::Swap(swap));
                }
                Action::Abandon => self.abandon(n),
                Action::Prepare(_) => {}
                Action::Watch(revision) => {
                    self.nodes[n].watches = Some(revision);
                    self.nodes[n].news = None;
                }
                Action::Announce(change) => {
                    if let Change::Elected { term, .. } = &change {
                        if *term <= self.elected {
                            self.broken = Some(Violation::TermReused);
                        }
                        self.elected = *term;
                    }
                    said.push(change);
                }
            }
        }
        let rival = (0..self.nodes.len()).any(|m| m != n && self.leads(m));
        let after = &self.nodes[n].election;
        goals.step(now, &before, &event, after, &said, rival);
        if after.finished() {
            self.leave(n);
        }
        said
    }

    fn call(&mut self, n: usize, call: Call) {
        if self.nodes[n].call.replace(call).is_some() {
            self.broken = Some(Violation::TwoCallsInFlight);
        }
    }

    /// Nobody waits for the answer; a swap may take effect all the same.
    fn abandon(&mut self, n: usize) {
        if let Some(Call::Swap(swap)) = self.nodes[n].call.take() {
            self.strays.push(swap);
        }
    }

    /// A node is gone. Of what it knew nothing is kept that would only tell
    /// states apart.
    pub(super) fn leave(&mut self, n: usize) {
        self.abandon(n);
        let node = &mut self.nodes[n];
        let Election { me, timing, .. } = &node.election;
        node.election = Election::new(me.clone(), *timing);
        node.running = false;
        node.watches = None;
        node.news = None;
    }

    /// A swap takes effect, or is found to come too late.
    pub(super) fn swap(&mut self, swap: Swapping, setup: &Setup) -> Swapped {
        if !self.register.accepts(&swap, setup.sabotage) {
            return Swapped::Conflict(self.register.current());
        }
        let now = self.now();
        if let Some((to, until)) = self.register.left_to
            && swap.from != to
            && now < until
        {
            self.broken = Some(Violation::TakenFromTheSuccessor);
        }
        let left_to = match swap.next.state {
            State::Vacant { successor } => successor.map(|to| (to, now + swap.next.lease_duration)),
            _ => None,
        };
        let revision = self.register.replace(Content::Record(swap.next));
        self.register.left_to = left_to;
        if setup.sabotage == Some(Sabotage::CleanUpRemovesTooMuch) {
            self.register.content = None;
        }
        Swapped::Done(revision)
    }

    /// Whether the store may say that the holder of the current record died:
    /// its process is gone, or has let go of this leadership for good.
    pub(super) fn holder_is_gone(&self, setup: &Setup) -> bool {
        let Some(record) = self.register.record() else {
            return false;
        };
        let Some(holder) = record.holder() else {
            return false;
        };
        let stands_behind = |node: &Node| {
            let election = &node.election;
            let acquiring = matches!(
                &election.call,
                Some(call) if matches!(&call.what, Asked::Acquire(next, _) if next == record)
            );
            election.me.session == holder.session
                && (election.holds() == Some(record.term) || acquiring)
        };
        setup.sabotage == Some(Sabotage::FrozenIsDead) || !self.nodes.iter().any(stands_behind)
    }

    /// Whether who knows may speak for the holder: its process is gone.
    pub(super) fn holder_is_dead(&self, setup: &Setup) -> bool {
        let Some(holder) = self.register.record().and_then(Record::holder) else {
            return false;
        };
        let is_alive = |node: &Node| node.running && node.election.me.session == holder.session;
        setup.sabotage == Some(Sabotage::FrozenIsDead) || !self.nodes.iter().any(is_alive)
    }

    /// As [`release_for`](crate::release_for) does, which tries again until it has
    /// met the current revision.
    pub(super) fn speak_for_the_dead(&mut self, setup: &Setup) {
        let Some(record) = self.register.record().cloned() else {
            return;
        };
        let Some(from) = record.holder().map(|holder| holder.session) else {
            return;
        };
        let swap = Swapping {
            from,
            expected: self.register.revision(),
            next: Record {
                state: State::Vacant { successor: None },
                ..record
            },
        };
        self.swap(swap, setup);
    }

    /// Forgets what can make no difference any more, so that it tells no
    /// states apart.
    pub(super) fn forget(&mut self, setup: &Setup) {
        let now = self.now();
        for Node { election, .. } in &mut self.nodes {
            // Moments are only ever compared with the present one: all that
            // have passed are alike. Of a call, its end is what counts.
            let Election { sight, call, .. } = election;
            let of_sight = sight.as_mut().map(|sight| &mut sight.claimable_at);
            let moments = [
                &mut election.due,
                &mut election.retry_at,
                &mut election.out_until,
            ];
            for moment in moments.into_iter().chain(of_sight) {
                if *moment <= now {
                    *moment = BootTime::default();
                }
            }
            if let Some(call) = call
                && call.asked_at + election.timing.renew_deadline() <= now
            {
                call.asked_at = BootTime::default();
            }
        }
        // Revisions never come back, so what expects an old one comes too late.
        let Self { register, left, .. } = self;
        register.left_to = register.left_to.filter(|(_, until)| now < *until);
        self.strays
            .retain(|stray| *left > 0 && register.accepts(stray, setup.sabotage));
    }

    fn leads(&self, n: usize) -> bool {
        self.nodes[n].election.leads(self.now()).is_some()
    }

    /// What must hold in every state, and does not.
    pub(super) fn check(&self, setup: &Setup) -> Option<Violation> {
        let leads = |n: &usize| match setup.sabotage {
            Some(Sabotage::CachedBoolean) => {
                matches!(self.nodes[*n].election.role, Role::Leader(..))
            }
            _ => self.leads(*n),
        };
        if (0..self.nodes.len()).filter(leads).count() > 1 {
            return Some(Violation::TwoLeaders);
        }
        let now = self.now();
        let early = |node: &Node| node.running && node.election.deadline() > now;
        for Node { election, .. } in self.nodes.iter().filter(|node| early(node)) {
            let mut ticked = election.clone();
            let actions = ticked.step(now, Event::Tick);
            if !actions.is_empty() || ticked != *election {
                return Some(Violation::DeadlineTooLate);
            }
        }
        self.broken
    }
}
