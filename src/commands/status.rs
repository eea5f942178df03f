//! `status`: who leads, after one look.

use anyhow::{Result, bail};
use leader_demo::store::{Content, Life};
use leader_demo::{
    Glance, Holder, Led, NodeId, Record, SessionId, State, Term, glance, successor_node,
};
use serde::Serialize;

use super::brief;
use super::events::nanos;
use crate::cli::{Directory, Place, Status};

const SOMEBODY: u8 = 0;
const NOBODY: u8 = 3;

/// docs/JSON.md has its table; fields are only ever added.
#[derive(Serialize)]
struct Answer<'a> {
    lock_name: &'a str,
    store: &'a str,
    led: Option<bool>,
    state: &'static str,
    reason: Option<&'static str>,
    message: Option<&'a str>,
    leader: Option<&'a str>,
    term: Option<Term>,
    session: Option<SessionId>,
    pid: Option<u32>,
    host: Option<&'a str>,
    lease_duration_ns: Option<u64>,
    renewed_ago_ns: Option<u64>,
    life: Option<&'static str>,
    successor: Option<SessionId>,
    successor_node: Option<&'a str>,
}

/// Why it is not known that somebody leads.
#[derive(Clone)]
enum Reason {
    Absent,
    Released,
    /// To this session, of this node if that is still known.
    HandedOver(SessionId, Option<NodeId>),
    HolderDied,
    Silent,
    Unreadable,
    StoreError,
    Unclear,
}

pub(crate) fn run(status: &Status) -> Result<u8> {
    let store = super::existing_store(&status.place, &status.lock_name)?;
    let (looked, successor) = super::runtime()?.block_on(async {
        let looked = glance(&store).await;
        let record = looked.as_ref().ok().and_then(|seen| record(Some(seen)));
        let successor = match record.map(|record| (record.term, &record.state)) {
            Some((
                term,
                State::Vacant {
                    successor: Some(to),
                },
            )) => successor_node(&store, term, *to).await,
            _ => None,
        };
        (looked, successor)
    });
    let (seen, failed) = match looked {
        Ok(glance) => (Some(glance), None),
        Err(e) => (None, Some(e.to_string())),
    };
    let led = seen.as_ref().map_or(Led::Unclear, Glance::led);
    let reason = (led != Led::Yes).then(|| Reason::of(seen.as_ref(), successor));
    let text = if status.json {
        let message = failed.as_deref();
        json(status, seen.as_ref(), led, reason.as_ref(), message)?
    } else {
        lines(status, seen.as_ref(), reason.as_ref())
    };
    super::print(&text)?;
    match (led, failed) {
        (Led::Yes, _) => Ok(SOMEBODY),
        (Led::No, _) => Ok(NOBODY),
        (Led::Unclear, Some(why)) => bail!("{why}"),
        (Led::Unclear, None) => match &status.place {
            Place::Directory(Directory { dir, .. }) => bail!(
                "{}: the lease record cannot be read: the nodes mend it, or say why not; \
                 if none runs, see what is there, and remove the directory",
                dir.join(format!("{}.lock", status.lock_name)).display()
            ),
            Place::Server(server) => bail!("{server}: what is there is no lease"),
        },
    }
}

impl Reason {
    fn of(seen: Option<&Glance>, node: Option<NodeId>) -> Self {
        let Some(seen) = seen else {
            return Self::StoreError;
        };
        let Some(current) = &seen.current else {
            return Self::Absent;
        };
        let Content::Record(record) = &current.content else {
            return Self::Unreadable;
        };
        match (&record.state, seen.life) {
            (State::Vacant { successor: None }, _) => Self::Released,
            (
                State::Vacant {
                    successor: Some(to),
                },
                _,
            ) => Self::HandedOver(*to, node),
            (State::Held(_), Life::Dead) => Self::HolderDied,
            (State::Held(_), _) if seen.age.is_some() => Self::Silent,
            (State::Held(_), _) => Self::Unclear,
            (State::Asked(_), _) => Self::Unreadable,
        }
    }

    const fn as_str(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Released => "released",
            Self::HandedOver(..) => "handed_over",
            Self::HolderDied => "holder_died",
            Self::Silent => "silent",
            Self::Unreadable => "unreadable",
            Self::StoreError => "store_error",
            Self::Unclear => "unclear",
        }
    }
}

/// The lease, if that is what is there.
fn record(seen: Option<&Glance>) -> Option<&Record> {
    match &seen?.current.as_ref()?.content {
        Content::Record(record) if !matches!(record.state, State::Asked(_)) => Some(record),
        _ => None,
    }
}

fn json(
    status: &Status,
    seen: Option<&Glance>,
    led: Led,
    reason: Option<&Reason>,
    message: Option<&str>,
) -> Result<String> {
    let record = record(seen);
    let holder = record.and_then(Record::holder);
    let answer = Answer {
        lock_name: status.lock_name.as_str(),
        store: &status.place.to_string(),
        led: match led {
            Led::Yes => Some(true),
            Led::No => Some(false),
            Led::Unclear => None,
        },
        state: match (record, reason) {
            (Some(record), _) if record.holder().is_some() => "held",
            (Some(_), _) => "vacant",
            (None, Some(Reason::Absent)) => "absent",
            (None, _) => "unreadable",
        },
        reason: reason.map(Reason::as_str),
        message,
        leader: holder.map(|holder| holder.node_id.as_str()),
        term: record.map(|record| record.term),
        session: holder.map(|holder| holder.session),
        pid: holder.and_then(|holder| holder.pid).map(u32::from),
        host: holder.map(|holder| &*holder.host),
        lease_duration_ns: record.and_then(|record| nanos(record.lease_duration)),
        renewed_ago_ns: holder.and(seen).and_then(|seen| nanos(seen.age?)),
        life: holder.and(seen).map(|seen| match seen.life {
            Life::Alive => "alive",
            Life::Silent => "silent",
            Life::Dead => "dead",
            Life::Unknown => "unknown",
        }),
        successor: match reason {
            Some(Reason::HandedOver(to, _)) => Some(*to),
            _ => None,
        },
        successor_node: match reason {
            Some(Reason::HandedOver(_, Some(node))) => Some(node.as_str()),
            _ => None,
        },
    };
    Ok(serde_json::to_string(&answer)? + "\n")
}

fn lines(status: &Status, seen: Option<&Glance>, reason: Option<&Reason>) -> String {
    let mut rows = Vec::new();
    let mut row = |name: &'static str, text: String| rows.push(format!("{name:<9}{text}\n"));
    let record = record(seen);
    let holder = record.and_then(Record::holder);
    match reason {
        None => row("leader", name_of(holder).to_owned()),
        Some(reason) => row("leader", why_nobody(status, holder, reason)),
    }
    if let Some(record) = record {
        let last = if reason.is_some() {
            ", the last one"
        } else {
            ""
        };
        row("term", format!("{}{last}", record.term));
    }
    if let (Some(record), Some(holder), Some(seen)) = (record, holder, seen) {
        let duration = humantime::format_duration(record.lease_duration);
        let renewed = seen.age.map_or(String::new(), |age| {
            format!(", renewed {} ago by clocks on walls", brief(age))
        });
        let late = if is_late(record, seen) {
            ", which is late"
        } else {
            ""
        };
        row("lease", format!("{duration}{renewed}{late}"));
        let pid = holder.pid.map_or("?".to_owned(), |pid| pid.to_string());
        let life = match seen.life {
            Life::Alive => "is alive",
            Life::Silent => "is alive, but silent: frozen, or cut off from the store",
            Life::Dead => "is gone",
            Life::Unknown => "cannot be seen from here",
        };
        row("process", format!("{pid} on {} {life}", holder.host));
        row("session", holder.session.to_string());
    }
    let lock_name = &status.lock_name;
    row("store", format!("{}, lock name {lock_name}", status.place));
    rows.concat()
}

/// Whether a leader that lives has not renewed for so long that it may be frozen.
/// Only a hint: at 0.6 of the lease duration it gives up by default, and the
/// record does not say if it was told another renew deadline.
fn is_late(record: &Record, seen: &Glance) -> bool {
    let late = record.lease_duration * 3 / 5;
    seen.life == Life::Alive && seen.age.is_some_and(|age| age > late)
}

fn name_of(holder: Option<&Holder>) -> &str {
    holder.map_or("its holder", |holder| holder.node_id.as_str())
}

fn why_nobody(status: &Status, holder: Option<&Holder>, reason: &Reason) -> String {
    let holder = name_of(holder);
    match reason {
        Reason::Absent => match &status.place {
            Place::Directory(Directory { dir, .. }) if !dir.exists() => {
                format!("nobody: the directory {} does not exist", dir.display())
            }
            Place::Directory(Directory { dir, .. }) => {
                format!("nobody: there is no such election in {}", dir.display())
            }
            Place::Server(server) => format!("nobody: there is no such election at {server}"),
        },
        Reason::Released => "nobody: the lease was given back".into(),
        Reason::HandedOver(_, Some(to)) => format!("nobody: the lease was handed over to {to}"),
        Reason::HandedOver(to, None) => {
            format!("nobody: the lease was handed over to session {to}")
        }
        Reason::HolderDied => format!("nobody: {holder} has died"),
        Reason::Silent => format!("nobody: {holder} has been silent for longer than its lease"),
        Reason::Unreadable => "unknown: the lease record cannot be read".into(),
        Reason::StoreError => "unknown: the store fails".into(),
        Reason::Unclear => format!("unknown: the record is {holder}'s, of unknown age"),
    }
}
