//! The verbs: what can happen next in a world, and what comes of it.

use super::goals::Goals;
use super::world::{Call, Node, SESSIONS, Setup, Violation, World};
use crate::election::{Change, Election, Ending, Event, NobodyKnows, Role};
use crate::lease::Record;
use crate::store::{Revision, Wake};

/// One thing that can happen. The number says which node it happens to.
#[derive(Clone, Debug)]
pub(super) enum Transition {
    /// Time goes on by one tick; who has not acted by now is late.
    TimePasses,
    /// The node's deadline has passed, and it gets to run.
    Runs(usize),
    /// The call it waits for takes effect at the register.
    Lands(usize),
    /// The answer arrives.
    Answered(usize),
    /// The news arrives that a holder died, perhaps late.
    HolderDied(usize),
    /// The leader's work has stopped, as it was asked to.
    WorkStopped(usize),
    /// Something beyond the ordinary.
    Incident(Incident, usize),
}

/// What does not happen by itself. How many there are in one run is bounded;
/// how late a node is with anything, and whether it ever acts again, is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incident {
    /// A call fails: it took effect, or will, or never does.
    LostReply,
    /// A swap that nobody waits for takes effect after all; this is no node.
    LateLanding,
    /// It is gone; what it asked for and had not landed never does.
    Crash,
    /// It is gone, far from the register: what it had asked for may still land.
    CrashAfar,
    /// Who knows that the holder is gone gives the lease back for it; this is no node.
    SpokenFor,
    /// It starts anew, as another session.
    Restart,
    /// The store finds that nobody stands behind the current record.
    DeathNoticed,
    /// It is woken, because the record that it watches has changed.
    Changed,
    /// Its user does not want to lead any longer, or does again.
    ChangeOfMind,
    /// The leader's work has ended by itself.
    Release,
    /// It is asked to let somebody else lead.
    Resignation,
    /// It is asked to let the next node lead.
    HandOver,
    /// It is asked to go.
    Stop,
    /// A stranger makes the record unreadable; this is no node. What its
    /// holder promised is hidden from those who never saw it, so here all have.
    Garbled,
    /// A stranger deletes the record; this is no node. What all saw last is this one
    /// or one before it, since the last such incident, and with no shorter a lease:
    /// nothing is promised to others.
    Vanished,
}

impl Incident {
    /// All but those of a guard that outlives its node, which have a search of their own.
    pub(super) const ALL: &[Self] = &[
        Self::LostReply,
        Self::LateLanding,
        Self::Crash,
        Self::Restart,
        Self::DeathNoticed,
        Self::Changed,
        Self::ChangeOfMind,
        Self::Release,
        Self::Resignation,
        Self::HandOver,
        Self::Stop,
        Self::Garbled,
        Self::Vanished,
    ];
}

impl World {
    /// Everything that can happen next.
    pub(super) fn transitions(&self, setup: &Setup) -> Vec<Transition> {
        use Transition as T;
        let mut possible = Vec::new();
        if self.tick < setup.horizon {
            possible.push(T::TimePasses);
        }
        for (n, node) in self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.running)
        {
            if node.election.deadline() <= self.now() {
                possible.push(T::Runs(n));
            }
            match node.call {
                Some(Call::Landed(_)) => possible.push(T::Answered(n)),
                Some(_) => possible.push(T::Lands(n)),
                None => {}
            }
            if node.news.is_some() {
                possible.push(T::HolderDied(n));
            }
            if let Role::Leader(_, Some(_)) = node.election.role {
                possible.push(T::WorkStopped(n));
            }
        }
        if self.left > 0 {
            for incident in setup.incidents {
                let things = match incident {
                    Incident::LateLanding => self.strays.len(),
                    Incident::Garbled | Incident::Vanished | Incident::SpokenFor => 1,
                    _ => self.nodes.len(),
                };
                let to = (0..things).filter(|n| self.may(*incident, *n, setup));
                possible.extend(to.map(|n| T::Incident(*incident, n)));
            }
        }
        possible
    }

    /// Whether this can happen here; the driver does nothing else.
    fn may(&self, incident: Incident, n: usize, setup: &Setup) -> bool {
        use Incident as I;
        match incident {
            // Of a stray or of the register, not of a node.
            I::LateLanding => return true,
            I::Garbled => return self.register.content.is_some(),
            I::SpokenFor => return self.holder_is_dead(setup),
            I::Vanished => return self.one_like_it_known_to_all(),
            _ => {}
        }
        let node = &self.nodes[n];
        let listens = node.watches.is_some() && node.news.is_none();
        let leads = matches!(node.election.role, Role::Leader(_, None));
        match incident {
            I::LateLanding | I::Garbled | I::Vanished | I::SpokenFor => {
                unreachable!("judged above")
            }
            I::Restart => !node.running && self.sessions < SESSIONS.len() && !self.vanished(),
            _ if !node.running => false,
            I::LostReply => node.call.is_some(),
            I::Crash | I::CrashAfar => true,
            I::DeathNoticed => listens && self.holder_is_gone(setup),
            I::Changed => listens && node.watches != self.register.revision(),
            I::ChangeOfMind => node.election.belief().is_none() && !node.election.stopping,
            I::Release | I::Resignation | I::HandOver => leads,
            I::Stop => !node.election.stopping,
        }
    }

    fn one_like_it_known_to_all(&self) -> bool {
        let knows = |record: &Record, election: &Election| {
            let (revision, lease) = match (&election.role, &election.sight) {
                (Role::Leader(reign, _) | Role::Releasing(reign, _), _) => {
                    (Some(reign.revision), election.timing.lease_duration())
                }
                (Role::Follower, Some(sight)) => (
                    sight.current.as_ref().map(|seen| seen.revision),
                    sight.lease,
                ),
                (Role::Follower, None) => return false,
            };
            let is_new = |known: Revision| known.parts()[0] > self.register.vanished_after;
            revision.is_some_and(is_new) && lease >= record.lease_duration
        };
        let mut running = self.nodes.iter().filter(|node| node.running);
        self.register
            .record()
            .is_some_and(|record| running.all(|node| knows(record, &node.election)))
    }

    fn vanished(&self) -> bool {
        self.register.revisions > 0 && self.register.content.is_none()
    }

    /// Lets it happen, and says what was announced.
    pub(super) fn apply(
        &mut self,
        transition: &Transition,
        setup: &Setup,
        goals: &mut Goals,
    ) -> Vec<Change> {
        let said = self.happen(transition, setup, goals);
        self.forget(setup);
        said
    }

    fn happen(&mut self, transition: &Transition, setup: &Setup, goals: &mut Goals) -> Vec<Change> {
        use Transition as T;
        let (n, event) = match *transition {
            T::TimePasses => {
                self.tick += 1;
                return Vec::new();
            }
            T::Lands(n) => {
                let answer = match self.nodes[n].call.take() {
                    Some(Call::Swap(swap)) => Event::Swap(Ok(self.swap(swap, setup))),
                    _ => Event::Read(Ok(self.register.current())),
                };
                self.nodes[n].call = Some(Call::Landed(answer));
                return Vec::new();
            }
            T::Runs(n) => (n, Event::Tick),
            T::Answered(n) => match self.nodes[n].call.take() {
                Some(Call::Landed(answer)) => (n, answer),
                call => unreachable!("{call:?} has landed"),
            },
            T::HolderDied(n) => {
                let node = &mut self.nodes[n];
                node.watches = None;
                let seen = node.news.take().expect("it was noticed");
                (n, Event::Wake(Wake::HolderDied(seen)))
            }
            T::WorkStopped(n) => (n, Event::WorkStopped),
            T::Incident(incident, n) => {
                self.left -= 1;
                match self.befall(incident, n, setup, goals) {
                    Some(event) => (n, event),
                    None => return Vec::new(),
                }
            }
        };
        let said = self.step(n, event, setup, goals);
        let Node {
            running, election, ..
        } = &self.nodes[n];
        if matches!(transition, T::Runs(_)) && *running && election.deadline() <= self.now() {
            self.broken = Some(Violation::DeadlineNotMet);
        }
        said
    }

    /// What an incident does, and what the node is told of it.
    fn befall(
        &mut self,
        incident: Incident,
        n: usize,
        setup: &Setup,
        goals: &mut Goals,
    ) -> Option<Event> {
        use Incident as I;
        Some(match incident {
            I::LostReply => self.lose(n, goals),
            I::LateLanding => {
                let swap = self.strays.remove(n);
                self.swap(swap, setup);
                return None;
            }
            I::Crash => {
                let gone = self.nodes[n].election.me.session;
                self.leave(n);
                self.strays.retain(|stray| stray.from != gone);
                return None;
            }
            I::CrashAfar => {
                self.leave(n);
                return None;
            }
            I::SpokenFor => {
                self.speak_for_the_dead(setup);
                return None;
            }
            I::Garbled => {
                self.register.garble();
                return None;
            }
            I::Vanished => {
                self.register.vanish();
                return None;
            }
            I::DeathNoticed => {
                self.nodes[n].news = self.register.current();
                return None;
            }
            I::Restart => {
                self.nodes[n] = setup.node(n, self.sessions);
                self.sessions += 1;
                Event::Campaign(true)
            }
            I::Changed => {
                self.nodes[n].watches = None;
                Event::Wake(Wake::Changed(self.register.current()))
            }
            I::ChangeOfMind => Event::Campaign(!self.nodes[n].election.campaigning),
            I::Release => Event::WorkStopped,
            I::Resignation => Event::End(Ending::Resigned),
            I::HandOver => {
                let next = &self.nodes[(n + 1) % self.nodes.len()];
                Event::End(Ending::HandedOver(next.election.me.session))
            }
            I::Stop => Event::Stop,
        })
    }

    fn lose(&mut self, n: usize, goals: &mut Goals) -> Event {
        match self.nodes[n].call.take() {
            Some(Call::Read | Call::Landed(Event::Read(_))) => Event::Read(Err(NobodyKnows)),
            Some(Call::Swap(swap)) => {
                self.strays.push(swap);
                Event::Swap(Err(NobodyKnows))
            }
            Some(Call::Landed(answer)) => {
                goals.lost(&self.nodes[n].election, &answer);
                Event::Swap(Err(NobodyKnows))
            }
            None => unreachable!("somebody waits for it"),
        }
    }
}
