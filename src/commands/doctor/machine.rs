//! This machine: its boot id, its clocks, how late its timers are.

use std::io;
use std::path::Path;
use std::time::Duration;

use leader_demo::clock::{self, Alarm};
use leader_demo::{Holder, NodeId};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::interrupt::Interrupt;
use super::report::{Finding, long, nanos, short};

/// For how long timers are set, and how far ahead.
const WATCHED: Duration = Duration::from_secs(1);
const AHEAD: Duration = Duration::from_millis(5);

/// A leader has about twenty open.
const ENOUGH_DESCRIPTORS: u64 = 64;

#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) boot_id: Option<String>,
    #[serde(rename = "slept_ns", serialize_with = "nanos")]
    slept: Duration,
    /// None: no limit.
    descriptors: Option<u64>,
    /// How late the latest of a second's timers was, where that was of interest.
    #[serde(skip)]
    pub(super) latest_wake_up: Option<Duration>,
}

/// Without `timers` it takes no time.
pub(super) fn examine(timers: bool, interrupt: &Interrupt) -> io::Result<Machine> {
    let me = Holder::here(NodeId::new("doctor").map_err(io::Error::other)?)?;
    Ok(Machine {
        boot_id: me.boot_id.map(|id| id.to_string()),
        slept: clock::slept(),
        descriptors: getrlimit(Resource::Nofile).current,
        latest_wake_up: timers.then(|| latest_wake_up(interrupt)).transpose()?,
    })
}

fn latest_wake_up(interrupt: &Interrupt) -> io::Result<Duration> {
    let alarm = Alarm::new()?;
    let end = clock::now() + WATCHED;
    let mut latest = Duration::ZERO;
    while clock::now() < end && !interrupt.asked() {
        let at = clock::now() + AHEAD;
        alarm.set(at)?;
        while !alarm.has_rung()? {
            match poll(&mut [PollFd::new(&alarm, PollFlags::IN)], None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        latest = latest.max(clock::now().since(at));
    }
    Ok(latest)
}

impl Machine {
    /// Where the store could tell of deaths, or could not anyway.
    pub(super) fn findings(&self, of_deaths: bool) -> Vec<Finding> {
        let boot_id = of_deaths.then(|| match &self.boot_id {
            Some(_) => Finding::ok("its boot id can be read, so a leader's death here is noticed"),
            None => Finding::warning(
                "its boot id cannot be read, so no death of a leader is noticed: a crash costs \
                 the lease",
                "make /proc/sys/kernel/random/boot_id readable",
            ),
        });
        let slept = match self.slept {
            slept if slept < Duration::from_secs(1) => "has not slept since it started".into(),
            slept => format!("has slept for {} since it started", long(slept)),
        };
        let descriptors = match self.descriptors {
            Some(limit) if limit < ENOUGH_DESCRIPTORS => Finding::warning(
                format!("a process may have {limit} descriptors open: a node needs about 20"),
                format!(
                    "raise the limit: ulimit -n {ENOUGH_DESCRIPTORS}, or LimitNOFILE= in a unit"
                ),
            ),
            limit => Finding::ok(format!(
                "a process may have {} descriptors open",
                limit.map_or_else(|| "any number of".into(), |limit| limit.to_string())
            )),
        };
        let wake_up = self.latest_wake_up.map(|late| {
            let late = short(late);
            Finding::ok(format!("the latest of a second's timers was {late} late"))
        });
        let slept = Finding::ok(format!("it {slept}; leases go on meanwhile"));
        let all = [boot_id, Some(slept), wake_up, Some(descriptors)];
        all.into_iter().flatten().collect()
    }
}

/// Whether this process is in a container, as far as containers tell.
pub(super) fn is_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"]
        .iter()
        .any(|mark| Path::new(mark).exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::report::Mark;

    #[test]
    fn a_machine_is_judged_by_what_it_lacks() {
        let fit = || Machine {
            boot_id: Some("b".into()),
            slept: Duration::ZERO,
            descriptors: Some(1024),
            latest_wake_up: None,
        };
        let worst = |machine: Machine| machine.findings(true).iter().map(|f| f.mark).max();
        assert_eq!(worst(fit()), Some(Mark::Ok));
        for lacking in [
            Machine {
                boot_id: None,
                ..fit()
            },
            Machine {
                descriptors: Some(20),
                ..fit()
            },
        ] {
            assert_eq!(worst(lacking), Some(Mark::Warning));
        }
        let slept = Machine {
            slept: Duration::from_secs(7200),
            ..fit()
        };
        assert!(
            slept
                .findings(false)
                .iter()
                .any(|f| f.says.contains("slept for 2h"))
        );
    }
}
