//! What a line says. docs/JSON.md documents the JSON; fields are only ever added.

use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat, Utc};
use leader_demo::clock::{self, BootTime};
use leader_demo::{Acquired, Holder, LockName, NodeId, Seen, SessionId, Term};
use serde::Serialize;

use crate::cli::Watch;
use crate::commands::brief;
use crate::commands::events::nanos;

/// Tells the story of one election.
pub(super) struct Teller {
    lock_name: LockName,
    json: bool,
    /// Who leads, or led last, by what has been told.
    reign: Option<Reign>,
    is_led: bool,
    /// Who the lease was left to last, if that is known.
    pub(super) successor: Option<NodeId>,
}

struct Reign {
    leader: Holder,
    term: Term,
    lease_duration: Duration,
}

/// An event in words.
struct Words {
    level: &'static str,
    event: &'static str,
    text: String,
    more: More,
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    event: &'static str,
    lock_name: &'a str,
    leader: Option<&'a str>,
    term: Option<Term>,
    session: Option<SessionId>,
    pid: Option<u32>,
    host: Option<&'a str>,
    lease_duration_ns: Option<u64>,
    boottime_ns: u64,
    #[serde(flatten)]
    more: More,
}

/// What only some events have. Of two options the outer one says whether this
/// one has it, the inner one whether it is known.
#[derive(Default, Serialize)]
struct More {
    #[serde(skip_serializing_if = "Option::is_none")]
    acquired: Option<Option<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_ns: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    successor: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    successor_node: Option<Option<NodeId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Teller {
    pub(super) fn new(watch: &Watch) -> Self {
        Self {
            lock_name: watch.lock_name.clone(),
            json: watch.json,
            reign: None,
            is_led: false,
            successor: None,
        }
    }

    /// The line for it, with its end.
    pub(super) fn line(&mut self, at: BootTime, seen: &Seen) -> serde_json::Result<String> {
        let words = self.words(seen);
        let concerns = self.concerned(seen);
        if !self.json {
            let time = DateTime::<Local>::from(clock::wall_time()).format("%Y/%m/%d %H:%M:%S");
            return Ok(format!("{time} {}\n", words.text));
        }
        let reign = self.reign.as_ref().filter(|_| concerns);
        let leader = reign.map(|reign| &reign.leader);
        let line = Line {
            timestamp: DateTime::<Utc>::from(clock::wall_time())
                .to_rfc3339_opts(SecondsFormat::Micros, true),
            level: words.level,
            event: words.event,
            lock_name: self.lock_name.as_str(),
            leader: leader.map(|leader| leader.node_id.as_str()),
            term: reign.map(|reign| reign.term),
            session: leader.map(|leader| leader.session),
            pid: leader.and_then(|leader| leader.pid).map(u32::from),
            host: leader.map(|leader| &*leader.host),
            lease_duration_ns: reign.and_then(|reign| nanos(reign.lease_duration)),
            boottime_ns: at.as_nanos(),
            more: words.more,
        };
        Ok(serde_json::to_string(&line)? + "\n")
    }

    /// Takes note of it. Whether it is about who leads or led last.
    fn concerned(&mut self, seen: &Seen) -> bool {
        let was_led = self.is_led;
        match seen {
            Seen::Elected {
                leader,
                term,
                lease_duration,
                ..
            } => {
                self.reign = Some(Reign {
                    leader: leader.clone(),
                    term: *term,
                    lease_duration: *lease_duration,
                });
                self.is_led = true;
                true
            }
            Seen::Released { .. }
            | Seen::HandedOver { .. }
            | Seen::Expired { .. }
            | Seen::Died { .. } => {
                self.is_led = false;
                true
            }
            Seen::NoLeader => {
                self.is_led = false;
                false
            }
            _ => was_led,
        }
    }

    fn words(&self, seen: &Seen) -> Words {
        let last = match &self.reign {
            Some(reign) => reign.leader.node_id.as_str(),
            None => "the last leader",
        };
        let said = |event, text: String| Words {
            level: "info",
            event,
            text,
            more: More::default(),
        };
        let wrong = |level, event, message: &str, text: String| Words {
            level,
            more: More {
                message: Some(message.to_owned()),
                ..More::default()
            },
            ..said(event, text)
        };
        match seen {
            Seen::Elected {
                leader,
                term,
                lease_duration,
                acquired,
                gap,
            } => {
                let lease = humantime::format_duration(*lease_duration);
                let Holder { node_id, host, .. } = leader;
                let pid = leader.pid.map_or("?".into(), |pid| pid.to_string());
                let since = gap.map_or(String::new(), |gap| {
                    format!(", {} after {last} {}", brief(gap), ending(*acquired))
                });
                let text = format!(
                    "👑 {node_id} leads{since} (term {term}, pid {pid} on {host}, lease {lease})"
                );
                let mut words = said("elected", text);
                words.more.acquired = Some(acquired.map(Acquired::as_str));
                words.more.gap_ns = Some(gap.and_then(nanos));
                words
            }
            Seen::Renewed {
                leader,
                term,
                after,
            } => {
                let text = format!(
                    "{} renewed, after {} (term {term})",
                    leader.node_id,
                    brief(*after)
                );
                let mut words = said("renewed", text);
                words.more.after_ns = nanos(*after);
                words
            }
            Seen::Released { term } => said(
                "released",
                format!("{last} gave the lease back (term {term})"),
            ),
            Seen::HandedOver { term, to } => {
                let next = match &self.successor {
                    Some(node) => node.to_string(),
                    None => format!("session {to}"),
                };
                let text = format!("{last} left the lease to {next} (term {term})");
                let mut words = said("handed_over", text);
                words.more.successor = Some(*to);
                words.more.successor_node = Some(self.successor.clone());
                words
            }
            Seen::Expired { term } => {
                let text = format!("{last} is silent, its lease is over (term {term})");
                said("expired", text)
            }
            Seen::Died { term } => said("holder_died", format!("{last} has died (term {term})")),
            Seen::NoLeader => said("no_leader", "Nobody leads".to_owned()),
            Seen::StoreFailed(message) => {
                let text = format!("⚠️ Store error: {message} - trying again");
                wrong("error", "store_error", message, text)
            }
            Seen::StoreRecovered => said("store_recovered", "✅ Store answers again".to_owned()),
            Seen::Warning(message) => wrong("warn", "warning", message, format!("⚠️ {message}")),
            other => wrong(
                "warn",
                "warning",
                &format!("{other:?}"),
                format!("⚠️ {other:?}"),
            ),
        }
    }
}

/// What a gap is measured from.
const fn ending(acquired: Option<Acquired>) -> &'static str {
    match acquired {
        Some(Acquired::Vacant) => "gave it back",
        Some(Acquired::HandedOver) => "handed it over",
        Some(Acquired::HolderDied) => "died",
        Some(Acquired::Expired) => "last renewed",
        // It is back after a silence, or the record was gone.
        _ => "was last seen to lead",
    }
}
