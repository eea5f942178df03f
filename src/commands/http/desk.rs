//! Where the answers come from: asked when they are needed, never kept.

use anyhow::{Context, Result};
use leader_demo::clock::BootTime;
use leader_demo::{Liveness, LockName, Node, Readiness, Term};
use serde::Serialize;
use tokio::sync::watch;

use crate::cli::{Directory, Election, Place};
use crate::commands::events::nanos;

pub(in crate::commands) struct Desk {
    pub(super) node: Node,
    pub(super) lock_name: LockName,
    store: String,
    stopping: watch::Receiver<bool>,
}

/// What `/status` says. Fields are only ever added.
#[derive(Serialize)]
pub(super) struct Status<'a> {
    node_id: &'a str,
    session: String,
    pid: u32,
    host: &'a str,
    lock_name: &'a str,
    store: &'a str,
    role: &'static str,
    /// The newest that was seen; that it goes on is for `leader` to say.
    term: Option<u64>,
    leader: Option<Led>,
    valid_until_ns: Option<u64>,
    lease_remaining_ns: Option<u64>,
    stays_out_until_ns: Option<u64>,
    lease_duration_ns: Option<u64>,
    renew_deadline_ns: Option<u64>,
    retry_period_ns: Option<u64>,
    boottime_ns: u64,
    alive: bool,
    ready: bool,
    /// Why it is not alive, or not ready.
    reason: Option<String>,
    stopping: bool,
    version: &'static str,
}

#[derive(Serialize)]
struct Led {
    node_id: String,
    session: String,
    host: String,
    pid: Option<u32>,
    term: u64,
}

/// This node's leadership at one moment.
pub(super) struct Leading {
    pub(super) term: Term,
    pub(super) valid_until: BootTime,
}

impl Desk {
    pub(in crate::commands) fn new(
        node: &Node,
        election: &Election,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self> {
        let store = match &election.place {
            Place::Directory(Directory { dir, .. }) => {
                let dir = std::path::absolute(dir).context("--lock-dir")?;
                format!("file:{}", dir.display())
            }
            Place::Server(server) => server.to_string(),
        };
        Ok(Self {
            node: node.clone(),
            lock_name: election.lock_name.clone(),
            store,
            stopping,
        })
    }

    /// And the moment at which that was so.
    pub(super) fn leading(&self) -> (BootTime, Option<Leading>) {
        let (now, belief) = self.node.belief();
        let leading = belief.map(|(term, valid_until)| Leading { term, valid_until });
        (now, leading)
    }

    /// Why it is not, if it is not.
    pub(super) fn alive(&self) -> Result<(), String> {
        match self.node.liveness() {
            Liveness::Alive => Ok(()),
            Liveness::Overdue(by) => Err(format!(
                "the election's loop should have run {} ms ago",
                by.as_millis()
            )),
            Liveness::Ended => Err("the election has ended".into()),
        }
    }

    /// Why it is not, if it is not.
    pub(super) fn ready(&self) -> Result<(), String> {
        if *self.stopping.borrow() {
            return Err("stopping".into());
        }
        self.alive()?;
        match self.node.readiness() {
            Readiness::Ready => Ok(()),
            Readiness::Unanswered => Err("the store has not answered yet".into()),
            Readiness::Failing(why) => Err(format!("store error: {why}")),
        }
    }

    pub(super) fn status(&self) -> Status<'_> {
        let (me, timing) = (self.node.me(), self.node.timing());
        let leader = self.node.leader();
        let newest = Some(self.node.tally().term.get()).filter(|term| *term > 0);
        let (now, leading) = self.leading();
        let valid_until = leading.as_ref().map(|leading| leading.valid_until);
        let (alive, ready) = (self.alive(), self.ready());
        let leader = leader.map(|leader| Led {
            node_id: leader.holder.node_id.to_string(),
            session: leader.holder.session.to_string(),
            host: leader.holder.host.to_string(),
            pid: leader.holder.pid.map(Into::into),
            term: leader.term.get(),
        });
        Status {
            node_id: me.node_id.as_str(),
            session: me.session.to_string(),
            pid: std::process::id(),
            host: &me.host,
            lock_name: self.lock_name.as_str(),
            store: &self.store,
            role: match leading {
                Some(_) => "leader",
                None => "follower",
            },
            // As in the metrics: the last one, where nobody leads.
            term: leader.as_ref().map(|leader| leader.term).or(newest),
            leader,
            valid_until_ns: valid_until.map(BootTime::as_nanos),
            lease_remaining_ns: valid_until.and_then(|until| nanos(until.since(now))),
            stays_out_until_ns: self.node.stays_out_until().map(BootTime::as_nanos),
            lease_duration_ns: nanos(timing.lease_duration()),
            renew_deadline_ns: nanos(timing.renew_deadline()),
            retry_period_ns: nanos(timing.retry_period()),
            boottime_ns: now.as_nanos(),
            alive: alive.is_ok(),
            ready: ready.is_ok(),
            reason: alive.and(ready).err(),
            stopping: *self.stopping.borrow(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}
