//! `doctor`: is this set-up fit?
//!
//! | file | |
//! |---|---|
//! | `doctor/timing.rs` | what the durations promise: pure arithmetic |
//! | `doctor/advice.rs` | how short a lease may be: pure arithmetic, and why |
//! | `doctor/directory.rs` | the lock directory, with `access.rs` (and `names.rs`), `restart.rs` and `lease.rs` |
//! | `doctor/trial.rs` | a lease of its own, tried and removed; `flock.rs` with a second process |
//! | `doctor/machine.rs` | boot id, clocks, timers |
//! | `doctor/report.rs` | findings, as text and as JSON |

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli;

mod access;
mod advice;
mod directory;
pub(crate) mod flock;
mod interrupt;
mod lease;
mod machine;
mod measured;
mod names;
mod report;
mod restart;
mod timing;
mod trial;

use advice::{Room, Smallest};
use interrupt::Interrupt;
use measured::Measured;
use report::{Finding, Mark, Section, long, short};
use timing::{Cost, Failover, Overlap, Tells};

/// The whole of it, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    fit: bool,
    lock_name: &'a str,
    nodes: u32,
    timing: Durations,
    overlap: Overlap,
    failover: Vec<Failover>,
    /// Calls in a second, at most.
    cost: Cost,
    directory: directory::Directory,
    machine: machine::Machine,
    measured: Option<Measured>,
    smallest: Option<Smallest>,
    sections: Vec<Section>,
}

#[derive(Serialize)]
struct Durations {
    #[serde(serialize_with = "report::nanos")]
    lease_duration_ns: std::time::Duration,
    #[serde(serialize_with = "report::nanos")]
    renew_deadline_ns: std::time::Duration,
    #[serde(serialize_with = "report::nanos")]
    retry_period_ns: std::time::Duration,
    /// None: `run` would refuse the default.
    stop_grace_ns: Option<u64>,
}

/// 0 if it is fit, 1 if it is not to be trusted.
pub(crate) fn run(doctor: &cli::Doctor) -> Result<u8> {
    let interrupt = Interrupt::listen()?;
    let progress = Progress::start("trying the lock directory and the clocks, two seconds ..");
    let examined = super::runtime()?.block_on(directory::examine(&doctor.election, &interrupt));
    let timers = examined.measured.is_some();
    let machine = machine::examine(timers, &interrupt).context("cannot watch the clock")?;
    drop(progress);
    if interrupt.asked() {
        return Ok(interrupt::CODE);
    }
    let report = judge(doctor, examined, machine);
    print(doctor, &report)?;
    Ok(u8::from(!report.fit))
}

fn judge<'a>(
    doctor: &'a cli::Doctor,
    examined: directory::Examined,
    machine: machine::Machine,
) -> Report<'a> {
    let timing = &doctor.election.timing;
    let stop_grace = doctor.stop_grace.ok();
    let measured = examined.measured.map(|measured| Measured {
        wake_up: machine.latest_wake_up.unwrap_or_default(),
        ..measured
    });
    let known = measured.clone().unwrap_or_default();
    let overlap = timing::overlap(timing, stop_grace);
    let tells = Tells {
        at_once: examined.facts.lock_counts,
        here_alone: examined.facts.local,
    };
    let failover = timing::failovers(timing, stop_grace, tells, &known);
    let cost = timing::cost(timing, doctor.nodes, &known);
    let smallest = measured
        .as_ref()
        .map(|m| advice::smallest(timing, stop_grace, m));

    let mut durations = promises(doctor, &overlap);
    durations.push(expense(doctor.nodes, &cost, measured.is_some()));
    let lease = match (&measured, &smallest) {
        (Some(measured), Some(smallest)) => shortest(doctor, measured, smallest),
        _ => Vec::new(),
    };
    let sections = vec![
        section("Durations", durations),
        section("The lock directory", examined.findings),
        section("This machine", machine.findings()),
        section(
            "How long nobody leads, at worst, if",
            outages(&failover, measured.as_ref()),
        ),
        section("The shortest safe lease", lease),
    ];
    Report {
        fit: report::count(&sections, Mark::Refused) == 0,
        lock_name: doctor.election.lock_name.as_str(),
        nodes: doctor.nodes,
        timing: Durations {
            lease_duration_ns: timing.lease_duration(),
            renew_deadline_ns: timing.renew_deadline(),
            retry_period_ns: timing.retry_period(),
            stop_grace_ns: stop_grace.and_then(super::events::nanos),
        },
        overlap,
        failover,
        cost,
        directory: examined.facts,
        machine,
        measured,
        smallest,
        sections,
    }
}

fn section(title: &'static str, findings: Vec<Finding>) -> Section {
    Section { title, findings }
}

fn promises(doctor: &cli::Doctor, overlap: &Overlap) -> Vec<Finding> {
    let timing = &doctor.election.timing;
    let (l, r) = (timing.lease_duration(), timing.renew_deadline());
    let run = match (doctor.stop_grace, overlap.none_below_rates_in_run) {
        (Ok(grace), rates) => Finding::ok(format!(
            "`run`: the command is gone R + G = {} after a renewal was asked for (G is {}), before \
             another leads, up to a ratio of {:.2}",
            long(r + grace),
            long(grace),
            rates.unwrap_or_default(),
        )),
        (Err(e), _) => Finding::warning("`run` would not start with these", e.to_string()),
    };
    vec![
        Finding::ok(format!(
            "lease duration L {}, renew deadline R {}, retry period P {}",
            long(l),
            long(r),
            long(timing.retry_period())
        )),
        Finding::ok(format!(
            "two never lead at once, while no clock runs {:.2} times as fast as another (L/R)",
            overlap.none_below_rates
        )),
        run,
        Finding::note(
            "a leader frozen between asking and acting acts late: no lease prevents that",
            "send the term along, and refuse those lower than the highest seen",
        ),
    ]
}

fn expense(nodes: u32, cost: &Cost, measured: bool) -> Finding {
    let busy = match measured {
        true => format!(": {} of work", short(cost.busy)),
        false => String::new(),
    };
    Finding::ok(format!(
        "{nodes} nodes ask the store for at most {:.1} renewals, {:.1} looks and {:.1} looks for \
         requests a second{busy}",
        cost.renewals, cost.looks, cost.looks_for_requests
    ))
}

fn outages(failovers: &[Failover], measured: Option<&Measured>) -> Vec<Finding> {
    let line = |row: &Failover| {
        let at_most = short(row.at_most);
        Finding::ok(format!("{:<55} {at_most:>7} = {}", row.what, row.formula))
    };
    let mut lines: Vec<_> = failovers.iter().map(line).collect();
    let delays = measured.map_or_else(
        || "which could not be measured".into(),
        |measured| format!("at worst {}", short(timing::delays(measured))),
    );
    lines.push(Finding::ok(format!(
        "delays are two late wake-ups, a look and an acquisition, {delays}"
    )));
    lines
}

fn shortest(doctor: &cli::Doctor, measured: &Measured, smallest: &Smallest) -> Vec<Finding> {
    let timing = &doctor.election.timing;
    let (call, which) = measured.worst_call();
    let wake_up = measured.wake_up;
    let mut findings = vec![Finding::ok(format!(
        "R - P >= {} x (slowest call, {which} {} + latest wake-up {}): L >= {}",
        advice::ROOM,
        short(call),
        short(wake_up),
        short(smallest.to_keep),
    ))];
    let stopping = doctor.stop_grace.ok().map(|grace| {
        findings.push(Finding::ok(format!(
            "`run`: L - R - G >= {} x latest wake-up {}: L >= {}",
            advice::LATE,
            short(wake_up),
            short(smallest.to_stop),
        )));
        advice::room_to_stop(timing, grace, measured)
    });
    let lease = long(smallest.lease_duration);
    let longer = format!("use --lease-duration {lease} or more, or find out what is so slow");
    let found = match advice::room_to_renew(timing, measured) {
        Room::Ample => None,
        Room::Tight => Some(Finding::warning(
            "with these durations a leader may lose its lease when the machine is busier",
            &*longer,
        )),
        Room::None => Some(Finding::refused(
            "with these durations leaders lose their leases as it is",
            &*longer,
        )),
    };
    findings.extend(found);
    let found = match stopping {
        None | Some(Room::Ample) => None,
        Some(Room::Tight) => Some(Finding::warning(
            "with these durations a command of `run` may outlive its lease when the machine is busier",
            &*longer,
        )),
        Some(Room::None) => Some(Finding::refused(
            "with these durations a command of `run` may outlive its lease",
            &*longer,
        )),
    };
    findings.extend(found);
    findings.push(Finding::ok(format!(
        "so L is at least {lease} here and now, with the others in proportion (never below {})",
        long(leader_demo::Timing::SHORTEST)
    )));
    findings
}

fn print(doctor: &cli::Doctor, report: &Report) -> Result<()> {
    let out = if doctor.json {
        serde_json::to_string(report)? + "\n"
    } else {
        let heading = format!(
            "Is {} in {} fit?",
            report.lock_name,
            doctor.election.place.dir.display()
        );
        report::text(&heading, &report.sections, super::colours())
    };
    super::print(&out)
}

/// A word on the terminal for who waits, gone when there is more to say.
struct Progress(bool);

impl Progress {
    fn start(what: &str) -> Self {
        let shown = io::stderr().is_terminal();
        if shown {
            let _ = write!(io::stderr(), "{what}");
        }
        Self(shown)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.0 {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
