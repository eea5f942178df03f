//! How fast: every figure next to the baseline it is relative to, measured in
//! one run, so that a busy or slow machine is slow for both.
//!
//! ```text
//! make bench                                # all of it, some minutes
//! make bench ARGS=--quick                   # fewer rounds
//! make bench ARGS='failover idle'           # only these: failover, frozen, hand-over, status, watch,
//!                                           # idle, start, renewal, growth, run, guard
//! ```
//!
//! `BENCH_ROUNDS` (200) and `BENCH_SECONDS` (30) set how long, `BENCH_DISK` where
//! the disk is (the target directory). `BENCH_AGAINST` names another build of
//! `leader-demo` to measure failover and run with, turn by turn.

use std::process::ExitCode;

use anyhow::{Result, bail};

#[path = "../common/mod.rs"]
mod common;
mod failover;
mod handover;
mod idle;
mod look;
mod process;
mod renewal;
mod roles;
mod run;
mod table;

use process::Place;
use table::Table;

/// What is measured, and how thoroughly.
pub(crate) struct Plan {
    /// Where: memory and a disk, as far as this machine has them.
    pub(crate) places: Vec<Place>,
    /// Kills of each kind.
    pub(crate) rounds: usize,
    pub(crate) freezes: usize,
    pub(crate) seconds: u64,
}

type Part = fn(&Plan, &mut Table) -> Result<()>;

const PARTS: [(&str, Part); 11] = [
    ("failover", failover::kill_and_terminate),
    ("frozen", failover::freeze),
    ("hand-over", handover::on_purpose),
    ("status", look::status),
    ("watch", look::watch),
    ("idle", idle::at_rest),
    ("start", idle::start),
    ("renewal", renewal::cost),
    ("growth", renewal::growth),
    ("run", run::hand_off),
    ("guard", run::guard),
];

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let done = if args.first().is_some_and(|a| a == roles::FLAG) {
        roles::play(&args[1..])
    } else if let Some(at) = args.iter().position(|a| a == "--bench") {
        args.remove(at);
        bench(&args)
    } else {
        // `cargo test --all-targets` runs benches too.
        eprintln!("nothing is measured but by `make bench`");
        Ok(())
    };
    common::ended(done)
}

fn bench(args: &[String]) -> Result<()> {
    let quick = args.iter().any(|a| a == "--quick");
    let wanted: Vec<&String> = args.iter().filter(|a| *a != "--quick").collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|w| PARTS.iter().all(|(name, _)| name != *w))
    {
        let parts = PARTS.map(|(name, _)| name).join(", ");
        bail!("{unknown}: no such part; use --quick and any of {parts}");
    }
    process::clean_up_when_interrupted()?;
    let mut table = Table::default();
    let plan = Plan {
        places: Place::all(&mut table)?,
        rounds: number("BENCH_ROUNDS", if quick { 20 } else { 200 })?,
        freezes: if quick { 3 } else { 10 },
        seconds: number("BENCH_SECONDS", if quick { 5 } else { 30 })?,
    };
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|w| *w == name) {
            part(&plan, &mut table)?;
        }
    }
    print!("{table}");
    Ok(())
}

fn number<T: std::str::FromStr>(variable: &str, default: T) -> Result<T> {
    match std::env::var(variable) {
        Ok(text) => match text.parse() {
            Ok(number) => Ok(number),
            Err(_) => bail!("{variable}={text}: not a number"),
        },
        Err(_) => Ok(default),
    }
}
