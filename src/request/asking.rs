//! The asker's side of a request.

use std::time::Duration;

use super::answer::{Answered, AskError, Progress};
use super::{Asker, Request, Stage, Wish};
use crate::clock::{BootTime, Clock, SystemClock, Timer};
use crate::lease::{Holder, Record, State};
use crate::node::Leader;
use crate::observer::{ANSWER, Led, SELDOM, glance};
use crate::store::{Content, LeaseStore, Observed, StoreError, Swap};
use crate::timing::Timing;

/// How often to look where the store does not say when to.
const LOOK: Duration = Duration::from_millis(50);

/// Asks the leader to step down, and follows what comes of it.
///
/// It stands for `patience` (at least 100 ms and at most a day), or for the
/// leader's lease duration, or until `cancel` ends; then it is withdrawn, unless
/// the leader has agreed by then: what is agreed is carried out, and waited for
/// as long again.
///
/// ```
/// # use leader_demo::{LockName, MemoryStore, Node};
/// use leader_demo::{Answered, Wish, ask};
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = MemoryStore::new().register(&LockName::new("lock")?);
/// # let start = |id| {
/// #     let lease = Duration::from_secs(2);
/// #     let node = Node::builder(id).lease_duration(lease).start(store.clone());
/// #     node.inspect(Node::stand)
/// # };
/// # let first = start("node-1")?;
/// # while !first.is_leader() { tokio::time::sleep(Duration::from_millis(1)).await }
/// # let next = start("node-2")?;
/// let wish = Wish::HandOver { to: Some("node-2".parse()?) };
/// let never = std::future::pending();
/// match ask(&store, wish, None, never, |progress| println!("{progress:?}")).await? {
///     Answered::HandedOver { to, gap } => println!("{to:?} leads after {gap:?}"),
///     other => println!("{other:?}"),
/// }
/// # assert!(next.is_leader() && !first.is_leader());
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`AskError`]: it was not granted, or not yet. A store that does not answer
/// within 5 s has failed: then nobody knows what comes of the request.
///
/// # Panics
/// Outside a tokio runtime with an I/O driver.
pub async fn ask(
    store: &impl LeaseStore,
    wish: Wish,
    patience: Option<Duration>,
    cancel: impl Future<Output = ()>,
    progress: impl FnMut(Progress),
) -> Result<Answered, AskError> {
    ask_by(&SystemClock, store, wish, patience, cancel, progress).await
}

async fn ask_by(
    clock: &dyn Clock,
    store: &impl LeaseStore,
    wish: Wish,
    patience: Option<Duration>,
    cancel: impl Future<Output = ()>,
    mut progress: impl FnMut(Progress),
) -> Result<Answered, AskError> {
    let register = store.requests().ok_or(AskError::NotSupported)?;
    let mut time = Time {
        clock,
        timer: clock.timer()?,
    };
    let glance = time.limit(glance(store)).await?;
    if glance.led() == Led::No {
        return Err(AskError::NobodyLeads);
    }
    let Some((record, holder)) = held(glance.current.as_ref()) else {
        return Err(AskError::Unreadable);
    };
    let leader = Leader {
        holder: holder.clone(),
        term: record.term,
    };
    if let Wish::HandOver { to: Some(to) } = &wish
        && *to == holder.node_id
    {
        return Err(AskError::LeadsAlready(to.clone()));
    }
    // A record that claims to stand for another time would not be believed.
    let stands = patience
        .unwrap_or(record.lease_duration)
        .clamp(Timing::SHORTEST, Timing::LONGEST);
    let request = Request {
        asker: Asker::here()?,
        wish,
        stage: Stage::Open,
    };
    time.limit(put(&*register, &request, &leader, stands))
        .await?;
    progress(Progress::Asked(leader.clone(), stands));
    let now = clock.now();
    let mut asking = Asking {
        store,
        register: &*register,
        time,
        leader,
        stands,
        request,
        until: now + stands,
        held_at: now,
        released: false,
        cancelled: false,
    };
    let mut cancel = std::pin::pin!(cancel);
    loop {
        tokio::select! {
            answer = asking.turn(&mut progress) => if let Some(answer) = answer? {
                return Ok(answer);
            },
            () = &mut cancel, if !asking.cancelled => {
                asking.cancelled = true;
                asking.until = clock.now();
            }
        }
    }
}

struct Time<'a> {
    clock: &'a dyn Clock,
    timer: Box<dyn Timer>,
}

impl Time<'_> {
    /// What the store answers, if it does so in time.
    async fn limit<T, E: From<StoreError>>(
        &mut self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let until = self.clock.now() + ANSWER;
        tokio::select! {
            biased;
            answer = call => answer,
            () = self.timer.wait_until(until) => {
                Err(StoreError::new("the store does not answer").into())
            }
        }
    }
}

/// Puts the request in the place of any that was not agreed to yet.
async fn put(
    register: &dyn LeaseStore,
    request: &Request,
    leader: &Leader,
    stands: Duration,
) -> Result<(), AskError> {
    let mut before = register.read().await?;
    loop {
        if let Some(record) = record(before.as_ref())
            && let State::Asked(other) = &record.state
            && matches!(other.stage, Stage::Accepted { .. })
            && record.term == leader.term
        {
            let leader = leader.holder.node_id.clone();
            let (pid, host) = other.asker.in_words();
            return Err(AskError::SteppingDown { leader, pid, host });
        }
        let expected = before.map(|seen| seen.revision);
        let next = request.clone().record(leader.term, stands);
        match register.swap(expected, next).await? {
            Swap::Swapped { .. } => return Ok(()),
            Swap::Conflict(now) => before = now,
        }
    }
}

/// A request that was put.
struct Asking<'a, S> {
    store: &'a S,
    register: &'a dyn LeaseStore,
    time: Time<'a>,
    leader: Leader,
    stands: Duration,
    /// As far as it was seen to have come.
    request: Request,
    /// How long to wait for what comes next.
    until: BootTime,
    /// When the leader was last seen to hold the lease.
    held_at: BootTime,
    released: bool,
    cancelled: bool,
}

impl<S: LeaseStore> Asking<'_, S> {
    /// A look, what follows from it, and a pause. It may be dropped at any point.
    async fn turn(
        &mut self,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Option<Answered>, AskError> {
        let asked_at = self.time.clock.now();
        let looked = self.look().await;
        let now = self.time.clock.now();
        let (lease, seen) = match looked {
            Ok(looked) => looked,
            Err(e) if now >= self.until => return Err(e.into()),
            Err(_) => {
                self.time.timer.wait_until(now + LOOK).await;
                return Ok(None);
            }
        };
        self.catch_up(now, seen.as_ref(), progress)?;
        if self.has_ended(lease.as_ref()) {
            if !std::mem::replace(&mut self.released, true) {
                progress(Progress::Released);
            }
            if let Some(answered) = self.outcome(now, lease.as_ref())? {
                return Ok(Some(answered));
            }
        } else {
            self.held_at = asked_at;
        }
        if now >= self.until && self.give_up(seen.as_ref()).await? {
            return Err(self.too_late());
        }
        self.pause(seen.as_ref(), lease.as_ref()).await;
        Ok(None)
    }

    /// The lease first: where that has ended because of the request, the
    /// request says so by then.
    async fn look(&mut self) -> Result<(Option<Observed>, Option<Observed>), StoreError> {
        let looks = async {
            let lease = self.store.read().await?;
            Ok((lease, self.register.read().await?))
        };
        self.time.limit(looks).await
    }

    /// Takes note of the others' steps.
    fn catch_up(
        &mut self,
        now: BootTime,
        seen: Option<&Observed>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), AskError> {
        let Some(State::Asked(seen)) = record(seen).map(|record| &record.state) else {
            return Ok(());
        };
        if self.is_accepted() {
            // Carried out, whatever is asked of the next leader.
        } else if seen.asker != self.request.asker {
            let (pid, host) = seen.asker.in_words();
            return Err(AskError::Replaced { pid, host });
        } else if seen.stage != self.request.stage {
            match seen.stage {
                Stage::Confirmed { .. } => progress(Progress::Confirmed(match &seen.wish {
                    Wish::HandOver { to } => to.clone(),
                    Wish::Resign => None,
                })),
                Stage::Accepted { .. } => {
                    progress(Progress::Accepted);
                    if !self.cancelled {
                        self.until = now + self.stands;
                    }
                }
                // By this very asker, which was not told that it had.
                Stage::Open | Stage::Withdrawn => return Ok(()),
            }
            self.request.stage = seen.stage;
        }
        Ok(())
    }

    fn is_accepted(&self) -> bool {
        matches!(self.request.stage, Stage::Accepted { .. })
    }

    fn has_ended(&self, lease: Option<&Observed>) -> bool {
        match held(lease) {
            Some((record, holder)) => {
                record.term != self.leader.term || holder.session != self.leader.holder.session
            }
            // What cannot be read may be anybody's; it heals.
            None => lease.is_none() || record(lease).is_some(),
        }
    }

    /// What has come of it, now that the leader no longer leads.
    fn outcome(
        &self,
        now: BootTime,
        lease: Option<&Observed>,
    ) -> Result<Option<Answered>, AskError> {
        let leader = || self.leader.holder.node_id.clone();
        let successor = match self.request.stage {
            Stage::Accepted { successor } => successor,
            _ => return Err(AskError::Ended { leader: leader() }),
        };
        let next = held(lease).map(|(record, holder)| Leader {
            holder: holder.clone(),
            term: record.term,
        });
        match (successor, next) {
            (None, _) => Ok(Some(Answered::Resigned)),
            (Some(to), Some(next)) if next.holder.session == to => {
                let gap = now.since(self.held_at);
                Ok(Some(Answered::HandedOver { to: next, gap }))
            }
            (Some(_), Some(now)) => Err(AskError::AnotherLeads {
                leader: leader(),
                now,
            }),
            (Some(_), None) => Ok(None),
        }
    }

    /// Whether it has been withdrawn, or there is nothing to withdraw.
    async fn give_up(&mut self, seen: Option<&Observed>) -> Result<bool, AskError> {
        let Some(seen) = seen.filter(|_| !self.is_accepted()) else {
            return Ok(true);
        };
        let withdrawn = Request {
            stage: Stage::Withdrawn,
            ..self.request.clone()
        };
        let next = withdrawn.record(self.leader.term, self.stands);
        let swap = self.register.swap(Some(seen.revision), next);
        // If somebody was quicker: that is the answer.
        Ok(matches!(self.time.limit(swap).await?, Swap::Swapped { .. }))
    }

    fn too_late(&self) -> AskError {
        let leader = self.leader.holder.node_id.clone();
        let after = self.stands;
        match (self.request.stage, &self.request.wish) {
            (Stage::Accepted { .. }, _) if self.released => AskError::NotTaken { leader },
            (Stage::Accepted { .. }, _) => AskError::StillWorking { leader },
            _ if self.cancelled => AskError::Withdrawn { leader },
            (Stage::Open, Wish::HandOver { to }) => AskError::NotConfirmed {
                target: to.clone(),
                leader,
                after,
            },
            _ => AskError::NotAccepted { leader, after },
        }
    }

    async fn pause(&mut self, seen: Option<&Observed>, lease: Option<&Observed>) {
        let at = |seen: Option<&Observed>| seen.map(|seen| seen.revision);
        let now = self.time.clock.now();
        let due = Some(self.until).filter(|until| now < *until);
        let look = if self.store.tells() { SELDOM } else { LOOK };
        let look = (now + look).min(due.unwrap_or(BootTime::NEVER));
        tokio::select! {
            () = self.register.moved_on(at(seen)) => {}
            () = self.store.moved_on(at(lease)) => {}
            () = self.time.timer.wait_until(look) => {}
        }
    }
}

fn record(seen: Option<&Observed>) -> Option<&Record> {
    match &seen?.content {
        Content::Record(record) => Some(record),
        Content::Garbled { .. } => None,
    }
}

fn held(seen: Option<&Observed>) -> Option<(&Record, &Holder)> {
    let record = record(seen)?;
    Some((record, record.holder()?))
}

#[cfg(test)]
mod tests;
