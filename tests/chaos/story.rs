//! What was done, as JSON lines: the log that the faults keep of themselves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use chrono::{SecondsFormat, Utc};
use leader_demo::Timing;
use leader_demo::clock::BootTime;
use serde_json::json;

use crate::node::Node;
use crate::settings::Settings;

pub(crate) struct Story {
    file: File,
    pub(crate) path: PathBuf,
    pub(crate) counts: BTreeMap<&'static str, usize>,
}

impl Story {
    pub(crate) fn begin(settings: &Settings, timing: Timing, now: BootTime) -> Result<Self> {
        let path = settings.logs().join("faults.jsonl");
        let mut file = File::create(&path)?;
        let first = json!({
            "event": "chaos",
            "started": timestamp(),
            "boottime_ns": now.as_nanos(),
            "seed": settings.seed,
            "replay": settings.replay(),
            "lease_duration_ns": timing.lease_duration().as_nanos() as u64,
            "renew_deadline_ns": timing.renew_deadline().as_nanos() as u64,
            "retry_period_ns": timing.retry_period().as_nanos() as u64,
        });
        writeln!(file, "{first}")?;
        Ok(Self {
            file,
            path,
            counts: BTreeMap::new(),
        })
    }

    /// Something was done, `at` that moment at the earliest.
    pub(crate) fn tell(
        &mut self,
        at: BootTime,
        fault: &'static str,
        node: Option<(&Node, Option<u32>)>,
        message: &str,
    ) -> Result<()> {
        *self.counts.entry(fault).or_default() += 1;
        let line = json!({
            "timestamp": timestamp(),
            "boottime_ns": at.as_nanos(),
            "event": "fault",
            "fault": fault,
            "node_id": node.map(|(node, _)| &node.id),
            "pid": node.and_then(|(_, pid)| pid),
            "session": null,
            "message": message,
        });
        writeln!(self.file, "{line}")?;
        Ok(())
    }
}

fn timestamp() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}
