//! An observer: follows an election without taking part in it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::change::Acquired;
use crate::clock::{BootTime, Clock, SystemClock, Timer};
use crate::lease::{Holder, SessionId, State, Term};
use crate::store::{Content, LeaseStore, Life, Observed, Revision, StoreError, Wake};

mod view;

use view::{BLINK, View};

/// How often to look where the store does not say when to.
const LOOK: Duration = Duration::from_millis(100);

/// How often where it does: it may have been cut off from who tells it.
pub(crate) const SELDOM: Duration = Duration::from_secs(1);

/// How long a store may take to answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

/// How long to leave a store alone that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Follows an election.
///
/// ```
/// # use leader_demo::{LockName, MemoryStore, Node, Observer, Seen};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = MemoryStore::new().register(&LockName::new("lock")?);
/// let mut observer = Observer::new(store.clone())?;
/// let node = Node::builder("node-1").start(store)?;
/// node.stand();
/// loop {
///     if let Seen::Elected { leader, term, .. } = observer.next().await.seen {
///         println!("{} leads in term {term}", leader.node_id);
///         break;
///     }
/// }
/// # Ok(()) }
/// ```
pub struct Observer<S> {
    store: S,
    clock: Arc<dyn Clock>,
    timer: Box<dyn Timer>,
    view: View,
    told: VecDeque<Sighting>,
    failing: bool,
    looked: bool,
    /// The last revision whose holder is known to be dead.
    dead: Option<Revision>,
}

/// Something that was seen, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sighting {
    /// When it was found out.
    pub at: BootTime,
    /// What.
    pub seen: Seen,
}

/// What an observer may see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// Somebody leads.
    Elected {
        /// Who.
        leader: Holder,
        /// The number of its leadership.
        term: Term,
        /// What it promised: how long others must see it silent.
        lease_duration: Duration,
        /// How it came by the lease, where that could be seen.
        acquired: Option<Acquired>,
        /// Since the last leader was seen to end, or, if it fell silent, to
        /// renew. None: it was not seen. Where one look finds both, it is as long
        /// as that took: well below a millisecond on a quiet machine, a round
        /// trip to a server.
        gap: Option<Duration>,
    },
    /// The leader renewed its lease.
    Renewed {
        /// Who.
        leader: Holder,
        /// The number of its leadership.
        term: Term,
        /// Since it was seen to renew before.
        after: Duration,
    },
    /// The leader gave the lease back.
    Released {
        /// The leadership that ended.
        term: Term,
    },
    /// The leader left the lease to a named successor.
    HandedOver {
        /// The leadership that ended.
        term: Term,
        /// To whom.
        to: SessionId,
    },
    /// The leader has not renewed for a lease duration.
    Expired {
        /// The leadership that ended.
        term: Term,
    },
    /// The store knows that the leader's process is gone.
    Died {
        /// The leadership that ended.
        term: Term,
    },
    /// Nobody leads: at the first look, a second after the last leader ended,
    /// or because the record is gone.
    NoLeader,
    /// Something that people should look at.
    Warning(String),
    /// The store fails; the observer keeps trying. Said once.
    StoreFailed(String),
    /// The store answers again.
    StoreRecovered,
}

/// What one look at an election shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// What the store has; none: nothing.
    pub current: Option<Observed>,
    /// Whether its holder is alive, as far as the store can tell.
    pub life: Life,
    /// How long ago it was renewed last, by clocks on walls.
    pub age: Option<Duration>,
}

/// Whether somebody leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Led {
    /// Somebody does, as far as one look can tell.
    Yes,
    /// Nobody does: there is no record, it is vacant, its holder is dead, or it
    /// was not renewed for longer than it promised.
    No,
    /// There is no telling.
    Unclear,
}

/// One look, which creates nothing.
///
/// # Errors
/// "Nobody knows".
pub async fn glance(store: &impl LeaseStore) -> Result<Glance, StoreError> {
    let current = store.read().await?;
    let (life, age) = match &current {
        Some(seen) => (
            store.life(seen.revision).await?,
            store.age(seen.revision).await?,
        ),
        None => (Life::Unknown, None),
    };
    Ok(Glance { current, life, age })
}

impl Glance {
    /// Whether somebody leads.
    pub fn led(&self) -> Led {
        let Some(seen) = &self.current else {
            return Led::No;
        };
        let Content::Record(record) = &seen.content else {
            return Led::Unclear;
        };
        match (&record.state, self.life, self.age) {
            (State::Vacant { .. }, _, _) | (State::Held(_), Life::Dead | Life::Silent, _) => {
                Led::No
            }
            (State::Held(_), Life::Alive, _) => Led::Yes,
            (State::Held(_), Life::Unknown, Some(age)) if age < record.lease_duration => Led::Yes,
            (State::Held(_), Life::Unknown, Some(_)) => Led::No,
            (State::Held(_), Life::Unknown, None) | (State::Asked(_), _, _) => Led::Unclear,
        }
    }
}

impl<S: LeaseStore> Observer<S> {
    /// An observer of the election that is kept in `store`.
    ///
    /// # Errors
    /// No timer could be made.
    ///
    /// # Panics
    /// Outside a tokio runtime with an I/O driver.
    pub fn new(store: S) -> std::io::Result<Self> {
        Self::with_clock(store, Arc::new(SystemClock))
    }

    pub(crate) fn with_clock(store: S, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        Ok(Self {
            store,
            timer: clock.timer()?,
            clock,
            view: View::default(),
            told: VecDeque::new(),
            failing: false,
            looked: false,
            dead: None,
        })
    }

    /// The next thing that is seen. The future may be dropped and asked for
    /// again: nothing is missed.
    pub async fn next(&mut self) -> Sighting {
        loop {
            if let Some(told) = self.told.pop_front() {
                return told;
            }
            let asked_at = self.clock.now();
            // What is due does not wait for an answer; but who slept, and comes
            // too late for it, looks first what has happened meanwhile.
            let due = self.view.deadline().max(asked_at + LOOK);
            let until = due.min(asked_at + ANSWER);
            let looked = tokio::select! {
                biased;
                looked = look(&self.store, self.looked.then(|| self.view.at())) => Some(looked),
                () = self.timer.wait_until(until) => None,
            };
            let now = self.clock.now();
            if looked.is_none() && now.since(until) >= BLINK {
                // It was not the store that kept us waiting: we slept.
                continue;
            }
            // An answer says nothing about what came after the question.
            let judged_at = looked.as_ref().map_or(now, |_| asked_at);
            let mut told = Vec::new();
            let failed = match looked {
                Some(Ok(found)) => {
                    if std::mem::take(&mut self.failing) {
                        told.push(Seen::StoreRecovered);
                    }
                    self.looked = true;
                    self.view.saw(asked_at, now, found, &mut told);
                    false
                }
                Some(Err(e)) => self.failed(&e.to_string(), &mut told),
                None if now >= asked_at + ANSWER => self.failed("no answer", &mut told),
                None => false,
            };
            self.view.tick(judged_at, &mut told);
            self.tell(now, told);
            if self.told.is_empty() {
                self.wait(now, failed).await;
            }
        }
    }

    fn failed(&mut self, why: &str, told: &mut Vec<Seen>) -> bool {
        if !std::mem::replace(&mut self.failing, true) {
            told.push(Seen::StoreFailed(why.into()));
        }
        true
    }

    fn tell(&mut self, at: BootTime, told: Vec<Seen>) {
        let told = told.into_iter().map(|seen| Sighting { at, seen });
        self.told.extend(told);
    }

    /// Until it is time to look again.
    async fn wait(&mut self, now: BootTime, failed: bool) {
        if failed {
            let until = self.view.deadline().min(now + RETRY);
            return self.timer.wait_until(until).await;
        }
        let at = self.view.at();
        // A later one has to be looked at first.
        if let Some(revision) = self.news(now).await.filter(|died| Some(*died) == at) {
            self.dead = Some(revision);
            let mut told = Vec::new();
            let now = self.clock.now();
            self.view.died(now, revision, &mut told);
            self.tell(now, told);
        }
    }

    /// Until there may be something new; the revision whose holder has died, if
    /// that is it.
    async fn news(&mut self, now: BootTime) -> Option<Revision> {
        let tells = self.store.tells();
        let look = if tells { SELDOM } else { LOOK };
        let until = self.view.deadline().min(now + look);
        let at = self.view.at();
        let mut holder_ended = std::pin::pin!(async {
            match at {
                Some(at) if self.dead != Some(at) => self.store.changed(at).await,
                _ => std::future::pending().await,
            }
        });
        let mut moved_on = self.store.moved_on(at);
        // Nothing had changed by then, in a store that would have told of it.
        let mut quiet = now;
        loop {
            let blink = until.min(quiet + LOOK);
            let told = tokio::select! {
                wake = &mut holder_ended => match wake {
                    Wake::HolderDied(seen) => return Some(seen.revision),
                    Wake::Changed(_) => true,
                },
                () = &mut moved_on => true,
                () = self.timer.wait_until(blink) => false,
            };
            let now = self.clock.now();
            // The end of a lease is often the moment when somebody takes it.
            if tells && (told || now >= self.view.deadline()) {
                self.view.was_quiet(quiet);
            }
            // Who slept was told nothing.
            if told || now >= until || now.since(blink) >= BLINK {
                return None;
            }
            quiet = now;
        }
    }
}

/// `since`: the revision at the last look; none before the first. A record where
/// there was none may be an old one: a directory that was moved away and back.
async fn look(
    store: &impl LeaseStore,
    since: Option<Option<Revision>>,
) -> Result<Found, StoreError> {
    let Some(Some(older)) = since else {
        let glance = glance(store).await?;
        return Ok(Found {
            believable: glance.led() != Led::No,
            current: glance.current,
            between: None,
        });
    };
    let current = store.read().await?;
    let between = match &current {
        Some(newer) if older != newer.revision => store.between(older, newer.revision).await?,
        _ => None,
    };
    Ok(Found {
        current,
        between,
        believable: true,
    })
}

/// What a look finds.
struct Found {
    /// What the store has.
    current: Option<Observed>,
    /// What it had since the last look, where that is known.
    between: Option<Vec<Observed>>,
    /// Whether who has the lease may lead. Asked where no renewal shows it.
    believable: bool,
}

#[cfg(test)]
mod tests;
