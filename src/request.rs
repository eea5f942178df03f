//! Requests to the leader: step down, for a named node or for anyone.
//!
//! They are kept in a register of their own beside the lease, so that asking
//! disturbs neither a stopwatch nor a term. Whoever takes the next step swaps
//! it in, so each sees what the others did, and none acts on what was withdrawn.
//!
//! ```text
//! asker      open ──────────────────────────────▶ withdrawn, if nobody reacts in time
//! candidate    └─▶ confirmed by its session ─┐
//! leader       └─▶ (resign: at once) ────────┴──▶ accepted; it stops its work, then releases
//! ```
//!
//! The worst that a request can do is to make a leader step down: whether two
//! could lead does not depend on it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::BootTime;
use crate::election::Ending;
use crate::lease::{Holder, Record, SessionId, State, Term, host_name};
use crate::name::NodeId;
use crate::store::{Content, LeaseStore};

mod answer;
mod asking;
mod attendant;

pub use answer::{Answered, AskError, Progress};
pub use asking::ask;
pub(crate) use attendant::attend;

/// What is asked of the leader of one term, and how far it has come.
///
/// It is kept as a [`Record`]: of the term that it is about, and it stands for
/// that record's duration. Who has seen it for longer takes it for abandoned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Request {
    /// Who asks; each run asks once, so this also tells requests apart.
    pub asker: Asker,
    /// What for.
    pub wish: Wish,
    /// How far it has come.
    pub stage: Stage,
}

/// One run of who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Asker {
    /// Told from all others by this.
    pub session: SessionId,
    /// The machine's name. For people.
    #[serde(deserialize_with = "host_name")]
    pub host: Arc<str>,
    /// The process. For people.
    pub pid: Option<NonZeroU32>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Step down, whoever comes after.
    Resign,
    /// Step down for another node that has said it is there.
    HandOver {
        /// Which; none: whoever says so first, and is named here then.
        to: Option<NodeId>,
    },
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It was asked.
    Open,
    /// A candidate is there to take over.
    Confirmed {
        /// Which.
        by: SessionId,
    },
    /// The leader will step down.
    Accepted {
        /// For whom alone, if for somebody.
        successor: Option<SessionId>,
    },
    /// The asker no longer wants it.
    Withdrawn,
}

impl Request {
    /// The record that says so, about the leader of `term`.
    pub(crate) fn record(self, term: Term, stands: Duration) -> Record {
        Record {
            term,
            lease_duration: stands,
            state: State::Asked(self),
        }
    }
}

impl Asker {
    /// This process.
    ///
    /// # Errors
    /// As [`SessionId::random`].
    pub(crate) fn here() -> std::io::Result<Self> {
        let host = rustix::system::uname();
        Ok(Self {
            session: SessionId::random()?,
            host: host.nodename().to_string_lossy().into(),
            pid: NonZeroU32::new(std::process::id()),
        })
    }

    /// Its process and host.
    fn in_words(&self) -> (String, String) {
        let pid = self.pid.map_or_else(|| "?".into(), |pid| pid.to_string());
        (pid, self.host.to_string())
    }
}

/// The name of the session that the leader of `term` left its lease to, if the
/// requests that the store keeps still say it.
pub async fn successor_node(
    store: &impl LeaseStore,
    term: Term,
    successor: SessionId,
) -> Option<NodeId> {
    let seen = store.requests()?.read().await.ok()??;
    match seen.content {
        Content::Record(Record {
            term: of,
            state:
                State::Asked(Request {
                    wish: Wish::HandOver { to },
                    stage:
                        Stage::Accepted {
                            successor: Some(by),
                        },
                    ..
                }),
            ..
        }) if (of, by) == (term, successor) => to,
        _ => None,
    }
}

/// Where a node stands, as far as requests go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// The term it leads in now.
    pub(crate) leads: Option<Term>,
    /// The term that it sees another lead in.
    pub(crate) follows: Option<Term>,
    /// Whether it wants to lead, and from when on: who resigned stays out.
    pub(crate) candidate_from: Option<BootTime>,
}

impl Part {
    pub(crate) fn has_a_say(&self) -> bool {
        self.leads.is_some() || (self.candidate_from.is_some() && self.follows.is_some())
    }
}

/// What a node does about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Swap this in, if the request still is what it was.
    Say(Request),
    /// It has been accepted: step down, as was asked for.
    StepDown(Ending, Request),
}

/// A node's side of requests: a value without clock or I/O.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Desk {
    node_id: NodeId,
    session: SessionId,
    /// The asker whose request was seen last, and when it was seen first.
    seen: Option<(SessionId, BootTime)>,
}

impl Desk {
    pub(crate) fn new(me: &Holder) -> Self {
        Self {
            node_id: me.node_id.clone(),
            session: me.session,
            seen: None,
        }
    }

    /// What to do about what the register holds.
    pub(crate) fn consider(&mut self, now: BootTime, record: &Record, part: Part) -> Option<Step> {
        let State::Asked(request) = &record.state else {
            return None;
        };
        let asker = request.asker.session;
        let since = match self.seen {
            Some((seen, since)) if seen == asker => since,
            _ => self.seen.insert((asker, now)).1,
        };
        // Nobody waits for an answer any more, as rule 3 has it for leases.
        let stands = now < since + record.lease_duration;
        let say = |stage| {
            let next = Request {
                stage,
                ..request.clone()
            };
            stands.then_some(Step::Say(next))
        };
        // Whoever was asked for: from here on it is this node.
        let confirm = || {
            let to = Some(self.node_id.clone());
            let next = Request {
                wish: Wish::HandOver { to },
                stage: Stage::Confirmed { by: self.session },
                ..request.clone()
            };
            stands.then_some(Step::Say(next))
        };
        if part.leads == Some(record.term) {
            return match (&request.wish, request.stage) {
                (Wish::Resign, Stage::Open) => say(Stage::Accepted { successor: None }),
                // Rule 11: only once the target has said that it is there.
                (Wish::HandOver { .. }, Stage::Confirmed { by }) if by != self.session => {
                    say(Stage::Accepted {
                        successor: Some(by),
                    })
                }
                // Also when the answer to saying so was lost.
                (_, Stage::Accepted { successor }) => {
                    let ending = successor.map_or(Ending::Resigned, Ending::HandedOver);
                    Some(Step::StepDown(ending, request.clone()))
                }
                _ => None,
            };
        }
        let mine = match (&request.wish, part.candidate_from) {
            (Wish::HandOver { to: Some(to) }, Some(_)) => *to == self.node_id,
            // Who stays out is there only for who asks for it by name.
            (Wish::HandOver { to: None }, Some(from)) => from <= now,
            _ => false,
        };
        if mine && part.follows == Some(record.term) && request.stage == Stage::Open {
            return confirm();
        }
        None
    }
}

#[cfg(test)]
mod tests;
