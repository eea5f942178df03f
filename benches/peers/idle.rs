//! What it costs to wait.

use std::time::Duration;

use anyhow::{Context, Result};
use leader_demo::clock;

use crate::SETTLE;
use crate::common::roles::WORK;
use crate::tool::Installed;

/// Of one candidate that waits, with all its processes, beside one that holds.
pub(crate) struct Idle {
    /// Of one core.
    pub(crate) percent: f64,
    pub(crate) megabytes: f64,
}

/// One after the other: what is not at rest keeps the machine warm for others.
pub(crate) fn of(tools: &[Installed], time: Duration) -> Result<Vec<Idle>> {
    tools.iter().map(|tool| waiting(tool, time)).collect()
}

fn waiting(tool: &Installed, time: Duration) -> Result<Idle> {
    eprintln!("idle: {}", tool.tool.name());
    let holder = tool.candidate("idle", WORK)?;
    holder.next("works")?;
    let waits = tool.candidate("idle", WORK)?;
    std::thread::sleep(SETTLE);
    let before = waits.figures().tree()?.into_iter();
    // What has ended since it was listed only helped to start.
    let before = before.filter_map(|process| Some((process, process.cpu_time().ok()?)));
    let (before, start): (Vec<_>, _) = (before.collect(), clock::now());
    std::thread::sleep(time);
    let passed = clock::now().since(start).as_secs_f64();
    // Not of one that has ended.
    waits.figures().memory("Pss").context("it does not wait")?;
    let (mut used, mut kib) = (0.0, 0);
    for (process, before) in before {
        if let (Ok(after), Ok(pss)) = (process.cpu_time(), process.memory("Pss")) {
            used += after.saturating_sub(before).as_secs_f64();
            kib += pss;
        }
    }
    Ok(Idle {
        percent: 100.0 * used / passed,
        megabytes: kib as f64 * 1024.0 / 1e6,
    })
}
