//! The lease that is there already: may we use it, and who leads?

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use leader_demo::store::{Content, LeaseStore, Life, Observed, StoreError};
use leader_demo::{Term, Timing};
use serde::Serialize;

use super::access;
use super::report::{Finding, long, nanos};
use crate::cli::{self, Election};
use crate::commands::existing_directory;

#[derive(Debug, Serialize)]
pub(super) struct Lease {
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<Term>,
    leader: Option<Leader>,
}

#[derive(Debug, Serialize)]
struct Leader {
    node_id: String,
    host: String,
    pid: Option<u32>,
    /// None: one look cannot tell.
    alive: Option<bool>,
    #[serde(rename = "lease_duration_ns", serialize_with = "nanos")]
    lease_duration: Duration,
}

pub(super) fn path(election: &Election<&cli::Directory>) -> PathBuf {
    let name = format!("{}.lock", election.lock_name);
    election.place.dir.join(name)
}

/// Looks at it, and changes nothing.
pub(super) async fn look(election: &Election<&cli::Directory>) -> (Option<Lease>, Vec<Finding>) {
    let path = path(election);
    if let Err(e) = std::fs::symlink_metadata(&path) {
        let findings = match e.kind() {
            ErrorKind::NotFound => vec![Finding::ok("there is no such election yet")],
            ErrorKind::PermissionDenied => vec![Finding::refused(
                "it cannot be seen whether there is such an election",
                "run this as the user that runs the nodes",
            )],
            // The lock directory is at fault, which is said elsewhere.
            _ => Vec::new(),
        };
        return (None, findings);
    }
    let (seen, life) = match see(election).await {
        Ok(seen) => seen,
        Err(e) => return (None, vec![foreign(&e)]),
    };
    let (lease, mut findings) = describe(seen, life, &election.timing);
    for dir in [path.clone(), path.join("claims")] {
        if let Err(e) = access::may_write(&dir)
            && e.kind() != ErrorKind::NotFound
        {
            let says = format!(
                "{}: {e}: no node of this user can be elected",
                dir.display()
            );
            findings.push(Finding::refused(
                says,
                "run the nodes as its owner, or choose another lock name",
            ));
            break;
        }
    }
    (Some(lease), findings)
}

async fn see(election: &Election<&cli::Directory>) -> Result<(Option<Observed>, Life), StoreError> {
    let store = existing_directory(election.place, &election.lock_name)
        .map_err(|e| StoreError::new(format!("{e:#}")))?;
    let seen = store.read().await?;
    let life = match &seen {
        Some(seen) => store.life(seen.revision).await?,
        None => Life::Unknown,
    };
    Ok((seen, life))
}

fn foreign(e: &StoreError) -> Finding {
    let mut finding = Finding::said_by_store(e);
    if rustix::process::geteuid().is_root() {
        finding.remedy = Some("if your nodes run as another user, run this as that user".into());
    }
    finding
}

/// What one look shows, beside what these durations promise.
pub(super) fn describe(
    seen: Option<Observed>,
    life: Life,
    timing: &Timing,
) -> (Lease, Vec<Finding>) {
    let nobody = |term| Lease { term, leader: None };
    let record = match seen.map(|seen| seen.content) {
        None => return (nobody(None), vec![Finding::ok("its lease was never taken")]),
        Some(Content::Garbled { .. }) => {
            let says =
                "its newest record cannot be read: it is taken for held, for a lease duration";
            let remedy = "see what else writes there; the next renewal heals it";
            return (nobody(None), vec![Finding::warning(says, remedy)]);
        }
        Some(Content::Record(record)) => record,
    };
    let term = record.term;
    let Some(holder) = record.holder() else {
        let says = format!("nobody leads; the last term was {term}");
        return (nobody(Some(term)), vec![Finding::ok(says)]);
    };
    let leader = Leader {
        node_id: holder.node_id.to_string(),
        host: holder.host.to_string(),
        pid: holder.pid.map(Into::into),
        alive: match life {
            Life::Alive => Some(true),
            Life::Dead => Some(false),
            _ => None,
        },
        lease_duration: record.lease_duration,
    };
    let pid = leader.pid.map_or_else(|| "?".into(), |pid| pid.to_string());
    let (id, host) = (&leader.node_id, &leader.host);
    let held = format!("{id} holds term {term} (pid {pid} on {host})");
    let mut findings = vec![Finding::ok(match leader.alive {
        Some(true) => format!("{held} and is alive"),
        Some(false) => format!("{held} and is dead: the next node leads at once"),
        None => format!("{held}; whether it is alive, one look cannot tell"),
    })];
    let (theirs, ours) = (record.lease_duration, timing.lease_duration());
    if theirs != ours {
        findings.push(Finding::note(
            format!("it was promised {}, not {}", long(theirs), long(ours)),
            "give all nodes the same durations; until then, each holder's own counts",
        ));
    }
    let leader = Some(leader);
    (
        Lease {
            term: Some(term),
            leader,
        },
        findings,
    )
}
