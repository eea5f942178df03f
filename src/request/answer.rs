//! What an asker is told.

use std::time::Duration;

use crate::name::NodeId;
use crate::node::Leader;
use crate::store::StoreError;

/// What has happened to a request, told as it is found out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// It was put to this leader, and stands for this long.
    Asked(Leader, Duration),
    /// A candidate is there to take over: this one, if it gave its name.
    Confirmed(Option<NodeId>),
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
    /// What the store has is no lease record.
    #[error("there is no telling who leads: the lease record is unreadable")]
    Unreadable,
    /// It is that node which leads.
    #[error("{0} leads already")]
    LeadsAlready(NodeId),
    /// The leader has agreed to another request.
    #[error("{leader} is stepping down already, as process {pid} on host {host} has asked it to")]
    SteppingDown {
        /// Who leads.
        leader: NodeId,
        /// The process that asked.
        pid: String,
        /// Its machine.
        host: String,
    },
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
    #[error("{leader}, which leads, did not react within {}: the request is withdrawn", in_words(*.after))]
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

fn unconfirmed(target: Option<&NodeId>) -> String {
    match target {
        Some(node) => format!("{node} did not confirm that it is there to take over"),
        None => "no other node confirmed that it is there to take over".into(),
    }
}

fn in_words(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(duration)
}
