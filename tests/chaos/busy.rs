//! How much of a processor all this takes: a run that waits finds nothing.

use std::time::Duration;

use anyhow::{Context, Result};
use leader_demo::clock::{self, BootTime};

/// USER_HZ, which is the same on every Linux that anybody runs.
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) struct Busy {
    since: BootTime,
    ticks: u64,
}

impl Busy {
    pub(crate) fn begin() -> Result<Self> {
        Ok(Self {
            since: clock::now(),
            ticks: ticks()?,
        })
    }

    /// Of one processor, on average: ours, and that of all who have ended.
    pub(crate) fn processors(&self) -> Result<f64> {
        let passed = clock::now().since(self.since).max(Duration::from_millis(1));
        let ticks = ticks()?.saturating_sub(self.ticks);
        Ok(ticks as f64 / TICKS_PER_SECOND / passed.as_secs_f64())
    }
}

/// utime, stime, cutime and cstime; proc(5).
fn ticks() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat")?;
    let times = fields.split_whitespace().skip(11).take(4);
    times
        .map(|field| Ok(field.parse::<u64>()?))
        .sum::<Result<u64>>()
}
