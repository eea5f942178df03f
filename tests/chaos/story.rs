//! What was done, as JSON lines: the log that the faults keep of themselves.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use chrono::{SecondsFormat, Utc};
use leader_demo::Timing;
use leader_demo::clock::{self, BootTime};
use serde_json::json;

use crate::node::Node;
use crate::settings::Settings;

pub(crate) struct Story {
    file: File,
    lock_name: String,
}

impl Story {
    pub(crate) fn begin(
        logs: &Path,
        lock_name: &str,
        settings: &Settings,
        timing: Timing,
    ) -> Result<Self> {
        let path = logs.join("faults.jsonl");
        let mut file = File::create(&path)?;
        // Nobody sees a process die across a network, nor a call that is lost there:
        // that is given up when nobody may lead any more.
        let on_one_machine = settings.store.is_on_one_machine();
        let hangs = match on_one_machine {
            true => Duration::ZERO,
            false => timing.renew_deadline(),
        };
        let first = json!({
            "event": "chaos",
            "started": timestamp(),
            "boottime_ns": clock::now().as_nanos(),
            "seed": settings.seed,
            "replay": settings.replay(),
            "lease_duration_ns": timing.lease_duration().as_nanos() as u64,
            "renew_deadline_ns": timing.renew_deadline().as_nanos() as u64,
            "retry_period_ns": timing.retry_period().as_nanos() as u64,
            "one_machine": on_one_machine,
            "releases_told": true,
            "hangs_ns": hangs.as_nanos() as u64,
        });
        writeln!(file, "{first}")?;
        Ok(Self {
            file,
            lock_name: lock_name.into(),
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
        let line = json!({
            "timestamp": timestamp(),
            "boottime_ns": at.as_nanos(),
            "event": "fault",
            "fault": fault,
            "lock_name": self.lock_name,
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
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}
