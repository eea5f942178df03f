//! The driver: the only place where clock, election and store meet.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::change::{Change, Notice};
use crate::clock::{BootTime, Clock, Timer};
use crate::election::{Action, Election, Ending, Event, NobodyKnows, Swapped};
use crate::health::{Health, Readiness};
use crate::leadership::Leadership;
use crate::lease::{Holder, Term};
use crate::node::Shared;
use crate::request::Request;
use crate::store::{Answer, LeaseStore, Observed, StoreError, Swap, Wake, Witness};
use crate::tally::Counter;

#[cfg(test)]
pub(crate) mod tests;

/// What users of the library ask of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Lead whenever possible, without a scope.
    Stand,
    /// Lead, and hand the leadership to whoever waits here.
    Campaign(oneshot::Sender<Leadership>),
    /// Somebody no longer waits.
    CampaignDropped,
    /// The scope of this term has ended: its work has stopped.
    ScopeEnded {
        term: Term,
        resign: bool,
    },
    Resign,
    /// If it still leads in that term.
    StepDown {
        term: Term,
        ending: Ending,
        request: Request,
    },
    Watch(mpsc::UnboundedSender<Notice>),
    Stop,
}

/// Where the node stands: what handles look at, at the moment they are asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    pub(crate) belief: Option<Belief>,
    /// The term whose lease is led by, or being given back.
    pub(crate) holds: Option<Term>,
    /// Leading is to end as soon as the work has stopped.
    pub(crate) ending: bool,
    /// Another leader, and until when it may be taken for one.
    pub(crate) other: Option<(Holder, Term, BootTime)>,
    /// It wants to lead, from then on.
    pub(crate) candidate_from: Option<BootTime>,
    /// The store has answered, and nothing is about to come of it.
    pub(crate) settled: bool,
}

/// "I lead", with its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Belief {
    pub(crate) term: Term,
    pub(crate) valid_until: BootTime,
    /// Here, so that a driver that panics does not unlock what belief still covers.
    _witness: Option<Witness>,
}

pub(crate) struct Driver {
    election: Election,
    clock: Arc<dyn Clock>,
    commands: mpsc::UnboundedReceiver<Command>,
    standing: watch::Sender<Standing>,
    health: Arc<Health>,
    counter: Counter,
    /// For the scopes it hands out. Weak: when all handles are gone, it stops.
    shared: std::sync::Weak<Shared>,
    listeners: Vec<mpsc::UnboundedSender<Notice>>,
    /// The last announcement of who leads, for listeners that come later.
    latest: Option<Notice>,
    campaigns: VecDeque<oneshot::Sender<Leadership>>,
    stand: bool,
    wanted: bool,
    /// The term whose scope a user holds; perhaps of a leadership that is over.
    scope: Option<Term>,
    witness: Option<Witness>,
    /// How the last call went, until that has been noted.
    answered: Option<Result<(), String>>,
    /// What was said when the store began to fail, until it answers again.
    failing: Option<Notice>,
    /// A rule that a test has broken.
    #[cfg(all(test, feature = "simulate"))]
    sabotage: Option<crate::election::Sabotage>,
}

enum Reply {
    Read(Result<Option<Observed>, StoreError>),
    Swap(Result<Swap, StoreError>),
}

/// What is under way in the store.
#[derive(Default)]
struct Pending<'a> {
    call: Option<Answer<'a, Reply>>,
    wake: Option<Answer<'a, Wake>>,
}

impl Driver {
    pub(crate) fn new(
        election: Election,
        clock: Arc<dyn Clock>,
        commands: mpsc::UnboundedReceiver<Command>,
        standing: watch::Sender<Standing>,
        health: Arc<Health>,
        shared: std::sync::Weak<Shared>,
    ) -> Self {
        Self {
            election,
            clock,
            commands,
            standing,
            health,
            counter: Counter::default(),
            shared,
            listeners: Vec::new(),
            latest: None,
            campaigns: VecDeque::new(),
            stand: false,
            wanted: false,
            scope: None,
            witness: None,
            answered: None,
            failing: None,
            #[cfg(all(test, feature = "simulate"))]
            sabotage: None,
        }
    }

    #[cfg(all(test, feature = "simulate"))]
    pub(crate) fn sabotaged(self, sabotage: Option<crate::election::Sabotage>) -> Self {
        Self { sabotage, ..self }
    }

    /// Runs the election until the node is stopped or its last handle dropped.
    pub(crate) async fn drive(mut self, store: impl LeaseStore, mut timer: Box<dyn Timer>) {
        let mut pending = Pending::default();
        let mut handles = true;
        self.step(Event::Tick, &store, &mut pending);
        // Also the work of a leadership that was lost is waited for.
        while !self.election.finished() || self.scope.is_some() {
            let deadline = self.election.deadline();
            self.health.runs_by(deadline);
            tokio::select! {
                biased;
                // Without handles there is nothing more to hear, and that at once.
                command = self.commands.recv(), if handles => {
                    handles = command.is_some();
                    self.on_command(command.unwrap_or(Command::Stop), &store, &mut pending);
                }
                reply = ready(&mut pending.call) => {
                    pending.call = None;
                    let event = self.on_reply(reply);
                    self.step(event, &store, &mut pending);
                }
                wake = ready(&mut pending.wake) => {
                    pending.wake = None;
                    self.step(Event::Wake(wake), &store, &mut pending);
                }
                () = timer.wait_until(deadline) => self.step(Event::Tick, &store, &mut pending),
            }
            self.reconcile(&store, &mut pending);
        }
    }

    fn step<'a>(&mut self, event: Event, store: &'a impl LeaseStore, pending: &mut Pending<'a>) {
        let now = self.clock.now();
        tracing::trace!(at = now.as_nanos(), ?event);
        self.health
            .findings(|found| self.counter.hears(now, &event, &mut found.tally));
        #[cfg(all(test, feature = "simulate"))]
        let before = self
            .sabotage
            .map(|_| (self.election.clone(), event.clone()));
        let actions = self.election.step(now, event);
        #[cfg(all(test, feature = "simulate"))]
        if let (Some(sabotage), Some((before, event))) = (self.sabotage, before) {
            sabotage.patch(now, &before, &event, &mut self.election);
        }
        tracing::trace!(?actions);
        self.health.findings(|found| {
            let (election, tally) = (&self.election, &mut found.tally);
            self.counter.sees(now, election, &actions, tally);
        });
        // What was said before is no longer true when it is found out to be wrong.
        self.publish();
        for action in actions {
            // What has expired is said before anything else (rule 8).
            if !matches!(action, Action::Announce(Change::Revoked { .. })) {
                self.note_answer(now);
            }
            match action {
                Action::Read => {
                    let answer = store.read();
                    pending.call = Some(Box::pin(async { Reply::Read(answer.await) }));
                }
                Action::Swap { expected, next } => {
                    let answer = store.swap(expected, next);
                    pending.call = Some(Box::pin(async { Reply::Swap(answer.await) }));
                }
                Action::Abandon => {
                    pending.call = None;
                    self.store_failed(now, "no answer within the renew deadline");
                }
                Action::Watch(revision) => pending.wake = Some(store.changed(revision)),
                Action::Prepare(next) => store.prepare(next),
                Action::Announce(change) => self.announce(now, change),
            }
        }
        self.note_answer(now);
    }

    fn on_reply(&mut self, reply: Reply) -> Event {
        self.answered = Some(match &reply {
            Reply::Read(Err(e)) | Reply::Swap(Err(e)) => Err(e.to_string()),
            Reply::Read(Ok(_)) | Reply::Swap(Ok(_)) => Ok(()),
        });
        match reply {
            Reply::Read(answer) => Event::Read(answer.map_err(|_| NobodyKnows)),
            Reply::Swap(Err(_)) => Event::Swap(Err(NobodyKnows)),
            Reply::Swap(Ok(Swap::Conflict(current))) => Event::Swap(Ok(Swapped::Conflict(current))),
            Reply::Swap(Ok(Swap::Swapped { revision, witness })) => {
                if witness.is_some() {
                    self.witness = witness;
                }
                Event::Swap(Ok(Swapped::Done(revision)))
            }
        }
    }

    fn note_answer(&mut self, now: BootTime) {
        match self.answered.take() {
            Some(Err(why)) => self.store_failed(now, &why),
            Some(Ok(())) => {
                self.health
                    .findings(|found| found.readiness = Readiness::Ready);
                if self.failing.take().is_some() {
                    self.announce(now, Change::StoreRecovered);
                }
            }
            None => {}
        }
    }

    fn store_failed(&mut self, now: BootTime, why: &str) {
        self.health
            .findings(|found| found.readiness = Readiness::Failing(why.to_owned()));
        if self.failing.is_none() {
            self.announce(now, Change::StoreFailed(why.to_owned()));
        }
    }

    fn on_command<'a>(
        &mut self,
        command: Command,
        store: &'a impl LeaseStore,
        pending: &mut Pending<'a>,
    ) {
        match command {
            Command::Stand => self.stand = true,
            Command::Campaign(to) => self.campaigns.push_back(to),
            Command::CampaignDropped => {}
            Command::ScopeEnded { term, resign } => {
                if self.scope == Some(term) {
                    self.scope = None;
                    if resign {
                        self.step(Event::End(Ending::Resigned), store, pending);
                    }
                    if self.election.holds() == Some(term) {
                        self.step(Event::WorkStopped, store, pending);
                    }
                }
            }
            Command::Resign => self.step(Event::End(Ending::Resigned), store, pending),
            Command::StepDown {
                term,
                ending,
                request,
            } => {
                if self.election.belief().is_some_and(|(held, _)| held == term) {
                    // Said once, however often it is told.
                    if !self.election.ending() {
                        let Request { asker, wish, .. } = request;
                        let now = self.clock.now();
                        self.announce(now, Change::Asked { term, asker, wish });
                    }
                    self.step(Event::End(ending), store, pending);
                }
            }
            Command::Watch(listener) => {
                for notice in self.latest.iter().chain(&self.failing) {
                    let _ = listener.send(notice.clone());
                }
                self.listeners.retain(|listener| !listener.is_closed());
                self.listeners.push(listener);
            }
            Command::Stop => self.step(Event::Stop, store, pending),
        }
    }

    /// Squares what the election does with what users hold and want.
    fn reconcile<'a>(&mut self, store: &'a impl LeaseStore, pending: &mut Pending<'a>) {
        self.campaigns.retain(|to| !to.is_closed());
        if let Some((term, _)) = self.election.belief()
            && self.scope.is_none()
        {
            let granted = !self.election.ending() && self.grant(term);
            if !granted && (self.election.ending() || !self.stand) {
                self.step(Event::WorkStopped, store, pending);
            }
        }
        // While the work of a lost leadership still runs, no new one is begun.
        let wanted = self.scope.is_none() && (self.stand || !self.campaigns.is_empty());
        if wanted != self.wanted {
            self.wanted = wanted;
            self.step(Event::Campaign(wanted), store, pending);
        }
        if !self.election.needs_witness() {
            self.witness = None;
        }
    }

    /// Hands the leadership to the first who waits for it.
    fn grant(&mut self, term: Term) -> bool {
        let Some(shared) = self.shared.upgrade() else {
            return false;
        };
        let Some(to) = self.campaigns.pop_front() else {
            return false;
        };
        self.scope = Some(term);
        // Who went away this very moment drops it, which ends the scope.
        let _ = to.send(Leadership::new(shared, term, self.witness.clone()));
        true
    }

    fn publish(&self) {
        let election = &self.election;
        let standing = Standing {
            belief: election.belief().map(|(term, valid_until)| Belief {
                term,
                valid_until,
                _witness: self.witness.clone(),
            }),
            holds: election.holds(),
            ending: election.ending(),
            other: election
                .other_leader()
                .map(|(holder, term, until)| (holder.clone(), term, until)),
            candidate_from: election.candidate_from(),
            settled: election.settled(),
        };
        self.standing.send_if_modified(|before| {
            let changed = *before != standing;
            *before = standing;
            changed
        });
    }

    fn announce(&mut self, at: BootTime, change: Change) {
        tracing::debug!(?change);
        let notice = Notice { at, change };
        match &notice.change {
            Change::Elected { .. } | Change::NewLeader { .. } => self.latest = Some(notice.clone()),
            Change::Revoked { .. } | Change::NoLeader => self.latest = None,
            Change::StoreFailed(_) => self.failing = Some(notice.clone()),
            _ => {}
        }
        self.listeners
            .retain(|listener| listener.send(notice.clone()).is_ok());
    }
}

async fn ready<T>(answer: &mut Option<Answer<'_, T>>) -> T {
    match answer {
        Some(answer) => answer.await,
        None => pending().await,
    }
}
