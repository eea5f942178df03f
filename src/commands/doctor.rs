//! `doctor`: is this set-up fit?
//!
//! | file | |
//! |---|---|
//! | `doctor/timing.rs` | what the durations promise: pure arithmetic |
//! | `doctor/advice.rs` | how short a lease may be: pure arithmetic, and why |
//! | `doctor/directory.rs` | the lock directory, with `access.rs` (and `names.rs`), `restart.rs` and `lease.rs` |
//! | `doctor/trial.rs` | a lease of its own in it, tried and removed; `flock.rs` with a second process |
//! | `doctor/server.rs` | a server: its settings, and a lease of its own there, tried and deleted |
//! | `doctor/probe.rs` | what a server promises, tried with a second process, `rival.rs` |
//! | `doctor/calls.rs` | the calls that nodes make, timed |
//! | `doctor/machine.rs` | boot id, clocks, timers |
//! | `doctor/sentences.rs` | what the numbers mean |
//! | `doctor/report.rs` | findings, as text and as JSON |

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::{self, Place};

mod access;
mod advice;
mod calls;
mod directory;
pub(crate) mod flock;
mod interrupt;
mod lease;
mod machine;
mod measured;
mod names;
mod probe;
mod report;
mod restart;
pub(crate) mod rival;
mod sentences;
mod server;
mod timing;
mod trial;

use advice::Smallest;
use directory::Directory;
use interrupt::Interrupt;
use measured::Measured;
use report::{Finding, Mark, Section};
use server::Server;
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
    #[serde(flatten)]
    place: Facts,
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

/// What was found out about where the lease is kept.
struct Examined {
    facts: Facts,
    findings: Vec<Finding>,
    /// None: no call could be made.
    measured: Option<Measured>,
    tells: Tells,
    /// No other machine has this place.
    here_alone: bool,
}

/// One of them.
#[derive(Serialize)]
struct Facts {
    directory: Option<Directory>,
    server: Option<Server>,
}

impl Facts {
    fn of_directory(directory: Directory) -> Self {
        Self {
            directory: Some(directory),
            server: None,
        }
    }

    fn title(&self) -> &'static str {
        match self.directory {
            Some(_) => "The lock directory",
            None => "The server",
        }
    }

    fn of_server(server: Server) -> Self {
        Self {
            directory: None,
            server: Some(server),
        }
    }
}

/// 0 if it is fit, 1 if it is not to be trusted.
pub(crate) fn run(doctor: &cli::Doctor) -> Result<u8> {
    let interrupt = Interrupt::listen()?;
    let election = &doctor.election;
    let examined = async {
        match &election.place {
            Place::Directory(place) => directory::examine(&election.at(place), &interrupt).await,
            Place::Server(place) => server::examine(&election.at(place), &interrupt).await,
        }
    };
    let progress = Progress::start(match election.place {
        Place::Directory(_) => "trying the lock directory and the clocks, two seconds ..",
        Place::Server(_) => "trying the server and the clocks, three seconds ..",
    });
    let examined = super::runtime()?.block_on(examined);
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

fn judge(doctor: &cli::Doctor, examined: Examined, machine: machine::Machine) -> Report<'_> {
    let timing = &doctor.election.timing;
    let stop_grace = doctor.stop_grace.ok();
    let measured = examined.measured.map(|measured| Measured {
        wake_up: machine.latest_wake_up.unwrap_or_default(),
        ..measured
    });
    let known = measured.clone().unwrap_or_default();
    let overlap = timing::overlap(timing, stop_grace);
    let (tells, here_alone) = (examined.tells, examined.here_alone);
    let failover = timing::failovers(timing, stop_grace, tells, here_alone, &known);
    let cost = timing::cost(timing, doctor.nodes, tells, &known);
    let smallest = measured
        .as_ref()
        .map(|m| advice::smallest(timing, stop_grace, m));

    let mut durations = sentences::promises(doctor, &overlap);
    durations.push(sentences::expense(doctor.nodes, &cost, measured.is_some()));
    let lease = match (&measured, &smallest) {
        (Some(measured), Some(smallest)) => sentences::shortest(doctor, measured, smallest),
        _ => Vec::new(),
    };
    let sections = vec![
        section("Durations", durations),
        section(examined.facts.title(), examined.findings),
        section(
            "This machine",
            machine.findings(examined.facts.directory.is_some()),
        ),
        section(
            "How long nobody leads, at worst, if",
            sentences::outages(&failover, measured.as_ref()),
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
        place: examined.facts,
        machine,
        measured,
        smallest,
        sections,
    }
}

fn section(title: &'static str, findings: Vec<Finding>) -> Section {
    Section { title, findings }
}

fn print(doctor: &cli::Doctor, report: &Report) -> Result<()> {
    let out = if doctor.json {
        serde_json::to_string(report)? + "\n"
    } else {
        let heading = match &doctor.election.place {
            Place::Directory(place) => format!("{} in {}", report.lock_name, place.dir.display()),
            Place::Server(server) => format!("{} on {server}", report.lock_name),
        };
        let heading = format!("Is {heading} fit?");
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
