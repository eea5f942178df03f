//! A run as the JSON lines that real nodes, and whoever harms them, would write.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use leader_demo::clock::BootTime;
use leader_demo::simulation::{Fault, Happening, Moment, Plan, Report};
use leader_demo::{Change, Holder, LockName, NodeId, SessionId};
use serde::Serialize;

use crate::commands::events::{Narrator, Said, nanos};
use crate::commands::judge::undone_by;

/// The first line, for `judge`.
#[derive(Serialize)]
struct Header<'a> {
    event: &'static str,
    boottime_ns: u64,
    seed: u64,
    replay: &'a str,
    one_machine: bool,
    slack_ns: Option<u64>,
    hangs_ns: Option<u64>,
    lease_duration_ns: Option<u64>,
    renew_deadline_ns: Option<u64>,
    retry_period_ns: Option<u64>,
}

#[derive(Serialize)]
struct Harm<'a> {
    event: &'static str,
    boottime_ns: u64,
    fault: &'a str,
    node_id: Option<String>,
    pid: Option<NonZeroU32>,
}

/// All that was said and done, the earliest first.
pub(super) fn tell(report: &Report, replay: &str) -> Result<String> {
    let plan = &report.plan;
    let timing = plan.longest_timing();
    let header = Header {
        event: "simulation",
        boottime_ns: 0,
        seed: plan.seed,
        replay,
        one_machine: plan.one_machine,
        slack_ns: nanos(calls(plan)),
        // Then it is given up.
        hangs_ns: nanos(timing.renew_deadline()),
        lease_duration_ns: nanos(timing.lease_duration()),
        renew_deadline_ns: nanos(timing.renew_deadline()),
        retry_period_ns: nanos(timing.retry_period()),
    };
    let mut lines = serde_json::to_string(&header)? + "\n";
    let mut narrators = BTreeMap::new();
    let lock_name = LockName::new("simulation")?;
    for moment in &report.moments {
        if let Some(harm) = harm(moment) {
            lines += &serde_json::to_string(&harm)?;
            lines += "\n";
        }
        let Some(node) = moment.node else { continue };
        if moment.what == Happening::Started {
            narrators.insert(node, Narrator::new(&holder(node, moment)?, &lock_name));
        }
        if let Some(narrator) = narrators.get_mut(&node)
            && let Some(said) = said(plan, narrator, moment)
        {
            let time = SystemTime::UNIX_EPOCH + moment.at;
            lines += &narrator.line_at(&said, time)?;
            lines += "\n";
        }
    }
    Ok(lines)
}

/// What a failover may take on top of what the rules say: the leader gives the
/// lease back, the next one looks and acquires; both may be in another call, and
/// each can take half as long again. And late wake-ups.
pub(super) fn calls(plan: &Plan) -> Duration {
    plan.round_trip * 8 + Duration::from_millis(5)
}

fn holder(node: usize, moment: &Moment) -> Result<Holder> {
    Ok(Holder {
        node_id: NodeId::new(&name(node))?,
        session: SessionId::from_u128((node as u128 + 1) << 64 | u128::from(moment.life)),
        host: "simulated".into(),
        pid: pid(node, moment.life),
        boot_id: None,
    })
}

fn name(node: usize) -> String {
    format!("node-{}", node + 1)
}

/// Another one for each life.
fn pid(node: usize, life: u32) -> Option<NonZeroU32> {
    NonZeroU32::new((node as u32 + 1) * 1_000_000 + life)
}

fn said(plan: &Plan, narrator: &mut Narrator, moment: &Moment) -> Option<Said> {
    let clock = |at: Duration| BootTime::from_nanos(nanos(at).unwrap_or(u64::MAX));
    let at = clock(moment.at);
    Some(match moment.what {
        Happening::Started => {
            let mut said = Said::started(plan.longest_timing(), None);
            said.at = at;
            said
        }
        Happening::Elected {
            term,
            acquired,
            valid_until,
        } => {
            let valid_until = clock(valid_until);
            let change = Change::Elected {
                term,
                acquired,
                valid_until,
            };
            narrator.change(at, &change)
        }
        Happening::Revoked {
            term,
            reason,
            ended,
            stays_out_until,
        } => {
            let change = Change::Revoked {
                term,
                reason,
                ended: clock(ended),
                stays_out_until: stays_out_until.map(clock),
            };
            narrator.change(at, &change)
        }
        // Its time is over, and it is about to say so.
        Happening::Heartbeat(None) if narrator.is_leader() => return None,
        Happening::Heartbeat(leads) => {
            let mut said = Said::at(at, "heartbeat");
            said.more.valid_until_ns = leads.and_then(|(_, until)| nanos(until));
            said
        }
        Happening::Stopped => Said::at(at, "stopped"),
        _ => return None,
    })
}

fn harm(moment: &Moment) -> Option<Harm<'_>> {
    let (fault, of_the_process) = match moment.what {
        Happening::Started if moment.life > 1 => ("start", true),
        Happening::Fault(fault) => (begins(fault), of_a_process(fault)),
        Happening::Over(fault) => (undone_by(begins(fault))?, of_a_process(fault)),
        Happening::LateWrite => ("late_write", false),
        _ => return None,
    };
    let node = moment.node;
    Some(Harm {
        event: "fault",
        boottime_ns: nanos(moment.at)?,
        fault,
        node_id: node.map(name),
        pid: node
            .filter(|_| of_the_process)
            .and_then(|node| pid(node, moment.life)),
    })
}

/// The next process of that node is free of it.
fn of_a_process(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Kill | Fault::Term | Fault::Freeze | Fault::Resign | Fault::HandOver
    )
}

/// What `judge` calls it.
fn begins(fault: Fault) -> &'static str {
    match fault {
        Fault::Freeze => "stop",
        Fault::LostReplies => "lost_replies",
        Fault::LateWrites => "late_writes",
        Fault::HandOver => "hand_over",
        same => same.as_str(),
    }
}
