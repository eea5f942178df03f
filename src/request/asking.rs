//! The asker's side of a request.

use std::time::Duration;

use super::{Asker, Request, Stage, Wish};
use crate::clock::{BootTime, Clock, SystemClock, Timer};
use crate::lease::{Holder, Record, State};
use crate::name::NodeId;
use crate::node::Leader;
use crate::observer::{Led, glance};
use crate::store::{Content, LeaseStore, Observed, Revision, StoreError, Swap};

/// How often to look where the store does not say when to.
const LOOK: Duration = Duration::from_millis(50);

/// What has happened to a request, told as it is found out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// It was put to this leader, and stands for this long.
    Asked(Leader, Duration),
    /// A candidate is there to take over.
    Confirmed,
    /// The leader stops its work.
    Accepted,
    /// The leader has given the lease back.
    Released,
}

/// How a request ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answered {
    /// The leader has given the lease back, and whoever may take it.
    Resigned,
    /// This node leads now.
    HandedOver {
        /// Which.
        to: Leader,
        /// From when the leader was last seen to hold the lease until the new
        /// one was: nobody led for at most that long.
        gap: Duration,
    },
}

/// Why a request was not granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// There is no leader to ask.
    #[error("nobody leads")]
    NobodyLeads,
    /// It is that node which leads.
    #[error("{0} leads already")]
    LeadsAlready(NodeId),
    /// Nobody confirmed, so it was withdrawn.
    #[error("{} within {}: {leader} leads on", unconfirmed(.target.as_ref()), in_words(*.after))]
    NotConfirmed {
        /// Who should have; none: anybody.
        target: Option<NodeId>,
        /// Who leads.
        leader: NodeId,
        /// How long it stood.
        after: Duration,
    },
    /// The leader did not react, so it was withdrawn.
    #[error("{leader}, which leads, did not react within {}: it leads on", in_words(*.after))]
    NotAccepted {
        /// Who leads.
        leader: NodeId,
        /// How long it stood.
        after: Duration,
    },
    /// It was withdrawn on demand.
    #[error("withdrawn: {leader} leads on")]
    Withdrawn {
        /// Who leads.
        leader: NodeId,
    },
    /// It was granted, but the work takes its time to stop.
    #[error("{leader} has agreed, but its work has not stopped yet; it steps down once it has")]
    StillWorking {
        /// Who leads.
        leader: NodeId,
    },
    /// It was granted, but the lease was not taken yet.
    #[error("{leader} has given the lease back, but nobody has taken it yet")]
    NotTaken {
        /// Who led.
        leader: NodeId,
    },
    /// Another node came first.
    #[error("{leader} no longer leads, but {} does, in term {}", .now.holder.node_id, .now.term)]
    AnotherLeads {
        /// Who led.
        leader: NodeId,
        /// Who leads.
        now: Leader,
    },
    /// The leadership that this was about ended by itself.
    #[error("{leader} no longer leads: it ended before it could answer")]
    Ended {
        /// Who led.
        leader: NodeId,
    },
    /// Somebody else asked for something, later.
    #[error("replaced by another request, from process {pid} on host {host}")]
    Replaced {
        /// That process.
        pid: String,
        /// Its machine.
        host: String,
    },
    /// The store cannot keep requests.
    #[error("this store keeps no requests")]
    NotSupported,
    /// Nobody knows what has become of it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine lacks what asking takes: random numbers, or a timer.
    #[error("cannot ask")]
    Machine(#[from] std::io::Error),
}

/// Asks the leader to step down, and follows what comes of it.
///
/// It stands for `patience`, or for the leader's lease duration, or until
/// `cancel` ends; then it is withdrawn, unless the leader has agreed by then:
/// what is agreed is carried out, and waited for as long again.
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
    /// Puts the request in the place of any other.
    async fn put(&self, request: &Request) -> Result<(), AskError> {
        let mut before = self.register.read().await?;
        loop {
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
            let seen = self.register.read().await?;
            let lease = self.store.read().await?;
            let now = SystemClock.now();
            // What was agreed may have been carried out already.
            let before = request.stage;
            let replaced = self.catch_up(request, seen.as_ref());
            if request.stage != before {
                progress(match request.stage {
                    Stage::Accepted { .. } => Progress::Accepted,
                    _ => Progress::Confirmed,
                });
                if matches!(request.stage, Stage::Accepted { .. }) {
                    until = if cancelled { now } else { now + self.stands };
                }
            }
            if self.has_ended(lease.as_ref()) {
                if !std::mem::replace(&mut released, true) {
                    progress(Progress::Released);
                }
                let gap = now.since(held_at);
                if let Some(end) = self.outcome(request, lease.as_ref(), gap) {
                    return end;
                }
            } else {
                held_at = asked_at;
                replaced?;
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

    /// Takes note of the others' steps.
    fn catch_up(&self, request: &mut Request, seen: Option<&Observed>) -> Result<(), AskError> {
        let Some(State::Asked(now)) = record(seen).map(|record| &record.state) else {
            return Ok(());
        };
        if now.asker != request.asker {
            let pid = now.asker.pid.map_or_else(|| "?".into(), |p| p.to_string());
            let host = now.asker.host.to_string();
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

fn unconfirmed(target: Option<&NodeId>) -> String {
    match target {
        Some(node) => format!("{node} did not confirm that it is there to take over"),
        None => "no other node confirmed that it is there to take over".into(),
    }
}

fn in_words(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(duration)
}
