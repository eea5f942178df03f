//! The asker's side of a request.

use std::time::Duration;

use super::answer::{Answered, AskError, Progress};
use super::{Asker, Request, Stage, Wish};
use crate::clock::{BootTime, Clock, SystemClock, Timer};
use crate::lease::{Holder, Record, State};
use crate::node::Leader;
use crate::observer::{Led, glance};
use crate::store::{Content, LeaseStore, Observed, Revision, StoreError, Swap};

/// How often to look where the store does not say when to.
const LOOK: Duration = Duration::from_millis(50);

/// How long a store may take to answer, at the least.
const ANSWER: Duration = Duration::from_secs(1);

/// Asks the leader to step down, and follows what comes of it.
///
/// It stands for `patience`, or for the leader's lease duration, or until
/// `cancel` ends; then it is withdrawn, unless the leader has agreed by then:
/// what is agreed is carried out, and waited for as long again.
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
/// [`AskError`]: it was not granted, or not yet.
pub async fn ask(
    store: &impl LeaseStore,
    wish: Wish,
    patience: Option<Duration>,
    cancel: impl Future<Output = ()>,
    mut progress: impl FnMut(Progress),
) -> Result<Answered, AskError> {
    let register = store.requests().ok_or(AskError::NotSupported)?;
    let glance = glance(store).await?;
    let Some((record, holder)) = held(glance.current.as_ref()).filter(|_| glance.led() != Led::No)
    else {
        return Err(AskError::NobodyLeads);
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
    let stands = patience.unwrap_or(record.lease_duration);
    let mut request = Request {
        asker: Asker::here()?,
        wish,
        stage: Stage::Open,
    };
    let mut asking = Asking {
        store,
        register: &*register,
        timer: SystemClock.timer()?,
        leader,
        stands,
    };
    asking.put(&request).await?;
    progress(Progress::Asked(asking.leader.clone(), stands));
    asking.follow(&mut request, cancel, progress).await
}

struct Asking<'a, S> {
    store: &'a S,
    register: &'a dyn LeaseStore,
    timer: Box<dyn Timer>,
    leader: Leader,
    stands: Duration,
}

impl<S: LeaseStore> Asking<'_, S> {
    /// Puts the request in the place of any that was not agreed to yet.
    async fn put(&self, request: &Request) -> Result<(), AskError> {
        let mut before = self.register.read().await?;
        loop {
            if let Some(record) = record(before.as_ref())
                && let State::Asked(other) = &record.state
                && matches!(other.stage, Stage::Accepted { .. })
                && record.term == self.leader.term
            {
                let leader = self.leader.holder.node_id.clone();
                let (pid, host) = other.asker.in_words();
                return Err(AskError::SteppingDown { leader, pid, host });
            }
            let expected = before.map(|seen| seen.revision);
            let next = request.clone().record(self.leader.term, self.stands);
            match self.register.swap(expected, next).await? {
                Swap::Swapped { .. } => return Ok(()),
                Swap::Conflict(now) => before = now,
            }
        }
    }

    async fn follow(
        &mut self,
        request: &mut Request,
        cancel: impl Future<Output = ()>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Answered, AskError> {
        let mut cancel = std::pin::pin!(cancel);
        let mut cancelled = false;
        let mut until = SystemClock.now() + self.stands;
        let mut released = false;
        let mut held_at = SystemClock.now();
        loop {
            let asked_at = SystemClock.now();
            let looked = self.look(until).await;
            let now = SystemClock.now();
            let (lease, seen) = match looked {
                Ok(looked) => looked,
                Err(e) if now >= until => return Err(e.into()),
                Err(_) => {
                    self.timer.wait_until(now + LOOK).await;
                    continue;
                }
            };
            let before = request.stage;
            let replaced = self.catch_up(request, seen.as_ref());
            if request.stage != before {
                let accepted = matches!(request.stage, Stage::Accepted { .. });
                progress(match accepted {
                    true => Progress::Accepted,
                    false => Progress::Confirmed,
                });
                if accepted && !cancelled {
                    until = now + self.stands;
                }
            }
            if !self.has_ended(lease.as_ref()) {
                held_at = asked_at;
                replaced?;
            } else {
                if !std::mem::replace(&mut released, true) {
                    progress(Progress::Released);
                }
                let gap = now.since(held_at);
                if let Some(end) = self.outcome(request, lease.as_ref(), gap) {
                    return end;
                }
            }
            if now >= until && self.give_up(request, seen.as_ref()).await? {
                return Err(self.too_late(request, released, cancelled));
            }
            tokio::select! {
                () = self.wait(seen.as_ref(), lease.as_ref(), until) => {}
                () = &mut cancel, if !cancelled => {
                    cancelled = true;
                    until = now;
                }
            }
        }
    }

    /// The lease first: where that has ended because of the request, the
    /// request says so by then.
    async fn look(
        &mut self,
        until: BootTime,
    ) -> Result<(Option<Observed>, Option<Observed>), StoreError> {
        let looks = async {
            let lease = self.store.read().await?;
            Ok((lease, self.register.read().await?))
        };
        tokio::select! {
            looked = looks => looked,
            () = self.timer.wait_until(until.max(SystemClock.now() + ANSWER)) => {
                Err(StoreError::new("the store does not answer"))
            }
        }
    }

    /// Takes note of the others' steps.
    fn catch_up(&self, request: &mut Request, seen: Option<&Observed>) -> Result<(), AskError> {
        let Some(State::Asked(now)) = record(seen).map(|record| &record.state) else {
            return Ok(());
        };
        if now.asker != request.asker {
            let (pid, host) = now.asker.in_words();
            return Err(AskError::Replaced { pid, host });
        }
        request.stage = now.stage;
        Ok(())
    }

    fn has_ended(&self, lease: Option<&Observed>) -> bool {
        match held(lease) {
            Some((record, _)) => record.term != self.leader.term,
            // What cannot be read may be anybody's; it heals.
            None => lease.is_none() || record(lease).is_some(),
        }
    }

    /// What has come of it, now that the leader no longer leads.
    fn outcome(
        &self,
        request: &Request,
        lease: Option<&Observed>,
        gap: Duration,
    ) -> Option<Result<Answered, AskError>> {
        let leader = || self.leader.holder.node_id.clone();
        let Stage::Accepted { successor } = request.stage else {
            return Some(Err(AskError::Ended { leader: leader() }));
        };
        let next = held(lease).map(|(record, holder)| Leader {
            holder: holder.clone(),
            term: record.term,
        });
        match (successor, next) {
            (None, _) => Some(Ok(Answered::Resigned)),
            (Some(to), Some(next)) if next.holder.session == to => {
                Some(Ok(Answered::HandedOver { to: next, gap }))
            }
            (Some(_), Some(now)) => Some(Err(AskError::AnotherLeads {
                leader: leader(),
                now,
            })),
            (Some(_), None) => None,
        }
    }

    /// Whether it has been withdrawn, or there is nothing to withdraw.
    async fn give_up(&self, request: &Request, seen: Option<&Observed>) -> Result<bool, AskError> {
        let (Stage::Open | Stage::Confirmed { .. }, Some(seen)) = (request.stage, seen) else {
            return Ok(true);
        };
        let withdrawn = Request {
            stage: Stage::Withdrawn,
            ..request.clone()
        };
        let next = withdrawn.record(self.leader.term, self.stands);
        // If somebody was quicker: that is the answer.
        Ok(matches!(
            self.register.swap(Some(seen.revision), next).await?,
            Swap::Swapped { .. }
        ))
    }

    fn too_late(&self, request: &Request, released: bool, cancelled: bool) -> AskError {
        let leader = self.leader.holder.node_id.clone();
        let after = self.stands;
        match (request.stage, &request.wish) {
            (Stage::Accepted { .. }, _) if released => AskError::NotTaken { leader },
            (Stage::Accepted { .. }, _) => AskError::StillWorking { leader },
            _ if cancelled => AskError::Withdrawn { leader },
            (Stage::Open, Wish::HandOver { to }) => AskError::NotConfirmed {
                target: to.clone(),
                leader,
                after,
            },
            _ => AskError::NotAccepted { leader, after },
        }
    }

    async fn wait(&mut self, seen: Option<&Observed>, lease: Option<&Observed>, until: BootTime) {
        let at = |seen: Option<&Observed>| seen.map(|seen| seen.revision);
        let (seen, lease): (Option<Revision>, Option<Revision>) = (at(seen), at(lease));
        let look = (SystemClock.now() + LOOK).min(until);
        tokio::select! {
            () = self.register.moved_on(seen) => {}
            () = self.store.moved_on(lease) => {}
            () = self.timer.wait_until(look) => {}
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
