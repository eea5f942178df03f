//! The events of a node as JSON lines, the same for every command. docs/JSON.md
//! documents them; fields are only ever added.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use leader_demo::clock::{self, BootTime};
use leader_demo::{Asker, Change, Holder, LockName, NodeId, Notice, Timing, Wish};
use serde::Serialize;

/// What happened, before it is put into a line.
pub(super) struct Said {
    pub(super) at: BootTime,
    pub(super) level: &'static str,
    pub(super) event: &'static str,
    /// If not the current leader's.
    pub(super) term: Option<u64>,
    pub(super) more: More,
}

/// What only some events have. Of two options the outer one says whether this
/// one has it, the inner one whether it has a value.
#[derive(Default, Serialize)]
pub(super) struct More {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) valid_until_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) acquired: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ended_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stays_out_until_ns: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lease_duration_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) renew_deadline_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_period_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop_grace_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command_pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waits_for: Option<Vec<u32>>,
    #[serde(flatten)]
    pub(super) asked: Option<Asked>,
}

/// What a leader was asked for, and by whom.
#[derive(Serialize)]
pub(super) struct Asked {
    wish: &'static str,
    successor_node: Option<String>,
    asker_pid: Option<u32>,
    asker_host: String,
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    event: &'static str,
    node_id: &'a str,
    session: String,
    pid: Option<NonZeroU32>,
    host: &'a str,
    boot_id: Option<&'a str>,
    seq: u64,
    lock_name: &'a str,
    role: &'static str,
    term: Option<u64>,
    leader: Option<&'a str>,
    boottime_ns: u64,
    #[serde(flatten)]
    more: &'a More,
}

/// Tells the story of one node.
pub(super) struct Narrator {
    me: Holder,
    lock_name: LockName,
    /// Who leads, by what has been told.
    leader: Option<(Holder, u64)>,
    seq: u64,
}

impl Said {
    pub(super) fn now(event: &'static str) -> Self {
        Self::at(clock::now(), event)
    }

    pub(super) fn at(at: BootTime, event: &'static str) -> Self {
        Self {
            at,
            level: "info",
            event,
            term: None,
            more: More::default(),
        }
    }

    pub(super) fn started(timing: Timing, http: Option<SocketAddr>) -> Self {
        let mut said = Self::now("started");
        said.more.lease_duration_ns = nanos(timing.lease_duration());
        said.more.renew_deadline_ns = nanos(timing.renew_deadline());
        said.more.retry_period_ns = nanos(timing.retry_period());
        said.more.http = http;
        said
    }
}

impl Narrator {
    pub(super) fn new(me: &Holder, lock_name: &LockName) -> Self {
        Self {
            me: me.clone(),
            lock_name: lock_name.clone(),
            leader: None,
            seq: 0,
        }
    }

    pub(super) fn leader(&self) -> Option<&(Holder, u64)> {
        self.leader.as_ref()
    }

    pub(super) fn is_leader(&self) -> bool {
        matches!(&self.leader, Some((holder, _)) if holder.session == self.me.session)
    }

    /// Takes note of a change.
    pub(super) fn notice(&mut self, Notice { at, change, .. }: &Notice) -> Said {
        self.change(*at, change)
    }

    pub(super) fn change(&mut self, at: BootTime, change: &Change) -> Said {
        let mut said = Said::at(at, "warning");
        match change {
            Change::Elected {
                term,
                acquired: how,
                valid_until,
            } => {
                self.leader = Some((self.me.clone(), term.get()));
                said.event = "elected";
                said.more.valid_until_ns = Some(valid_until.as_nanos());
                said.more.acquired = Some(how.as_str());
            }
            Change::Asked { term, asker, wish } => {
                said.event = "asked";
                said.term = Some(term.get());
                said.more.asked = Some(Asked {
                    wish: match wish {
                        Wish::Resign => "resign",
                        Wish::HandOver { .. } => "hand_over",
                    },
                    asker_pid: asker.pid.map(u32::from),
                    asker_host: asker.host.to_string(),
                    successor_node: match wish {
                        Wish::HandOver { to } => to.as_ref().map(NodeId::to_string),
                        Wish::Resign => None,
                    },
                });
            }
            Change::Revoked {
                term,
                reason: why,
                ended,
                stays_out_until,
            } => {
                self.leader = None;
                said.event = "revoked";
                said.term = Some(term.get());
                said.more.reason = Some(why.as_str());
                said.more.ended_ns = Some(ended.as_nanos());
                said.more.stays_out_until_ns = Some(stays_out_until.map(BootTime::as_nanos));
            }
            Change::NewLeader { leader, term } => {
                self.leader = Some((leader.clone(), term.get()));
                said.event = "new_leader";
            }
            Change::NoLeader => {
                self.leader = None;
                said.event = "no_leader";
            }
            Change::Warning(message) => {
                said.level = "warn";
                said.more.message = Some(message.clone());
            }
            Change::StoreFailed(message) => {
                (said.level, said.event) = ("error", "store_error");
                said.more.message = Some(message.clone());
            }
            Change::StoreRecovered => said.event = "store_recovered",
            other => said.more.message = Some(format!("{other:?}")),
        }
        said
    }

    /// The line for it, without its end.
    pub(super) fn line(&mut self, said: &Said) -> serde_json::Result<String> {
        self.line_at(said, clock::wall_time())
    }

    /// The line as if it were written at that time.
    pub(super) fn line_at(&mut self, said: &Said, time: SystemTime) -> serde_json::Result<String> {
        self.seq += 1;
        let leader = self.leader.as_ref();
        let line = Line {
            timestamp: DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Micros, true),
            level: said.level,
            event: said.event,
            node_id: self.me.node_id.as_str(),
            session: self.me.session.to_string(),
            pid: self.me.pid,
            host: &self.me.host,
            boot_id: self.me.boot_id.as_deref(),
            seq: self.seq,
            lock_name: self.lock_name.as_str(),
            role: if self.is_leader() {
                "leader"
            } else {
                "follower"
            },
            term: said.term.or(leader.map(|(_, term)| *term)),
            leader: leader.map(|(holder, _)| holder.node_id.as_str()),
            boottime_ns: said.at.as_nanos(),
            more: &said.more,
        };
        serde_json::to_string(&line)
    }
}

/// Who asked for what, for people.
pub(super) fn asked_by(asker: &Asker, wish: &Wish) -> String {
    let pid = asker.pid.map_or_else(|| "?".into(), |pid| pid.to_string());
    let what = match wish {
        Wish::Resign => "resign".into(),
        Wish::HandOver { to: None } => "hand over".into(),
        Wish::HandOver { to: Some(to) } => format!("hand over to {to}"),
    };
    format!("by process {pid} on {} to {what}", asker.host)
}

pub(super) fn nanos(duration: Duration) -> Option<u64> {
    duration.as_nanos().try_into().ok()
}
