//! Thousands of seeds: `make sim`. Under `cargo test` a fixed number of them,
//! and one nobody has tried before.
//!
//! SIM_SEEDS says how many, SIM_SEED plays just that one and tells its story.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::panic;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use common::settings::variable;
use leader_demo::clock;
use leader_demo::simulation::{Happening, Moment, Plan, Report, run};

/// So many seeds are played by `cargo test`.
const FIXED: u64 = 200;

/// How often to say how it goes.
const PROGRESS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // `cargo test NAME` asks for other tests than this one.
    let named: Vec<_> = std::env::args().skip(1).collect();
    if named
        .iter()
        .any(|arg| !arg.starts_with('-') && !"simulation".contains(arg.as_str()))
    {
        return ExitCode::SUCCESS;
    }
    if named.iter().any(|arg| arg == "--list") {
        println!("simulation: test");
        return ExitCode::SUCCESS;
    }
    if let Some(seed) = variable("SIM_SEED") {
        return one(seed);
    }
    let fresh = clock::now().as_nanos();
    let seeds = variable("SIM_SEEDS").unwrap_or(FIXED);
    println!("{seeds} seeds from 0 on, and {fresh}, which is new");
    if let Some(seed) = many(seeds, fresh) {
        println!("to replay it: make sim SEED={seed}");
        one(seed);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Plays all of them on every core; the lowest that fails.
fn many(seeds: u64, fresh: u64) -> Option<u64> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let led = AtomicU64::new(0);
    let start = clock::now();
    std::thread::scope(|scope| {
        for core in 0..cores {
            let (next, failed, led) = (&next, &failed, &led);
            scope.spawn(move || {
                let mut said = start;
                loop {
                    let n = next.fetch_add(1, Relaxed);
                    let seed = if n == seeds { fresh } else { n };
                    if n > seeds || failed.load(Relaxed) < seed {
                        return;
                    }
                    match panic::catch_unwind(|| run(&Plan::seeded(seed))) {
                        Ok(report) if report.violations.is_empty() => {
                            led.fetch_add(report.spans.len() as u64, Relaxed);
                        }
                        _ => {
                            failed.fetch_min(seed, Relaxed);
                        }
                    }
                    if core == 0 && clock::now().since(said) > PROGRESS {
                        said = clock::now();
                        println!("{n} of {seeds}");
                    }
                }
            });
        }
    });
    let took = clock::now().since(start);
    let played = next.into_inner().min(seeds + 1);
    println!(
        "{played} runs of a minute and five nodes in {took:.1?}: {:.0} a second and core; {} leaderships",
        played as f64 / busy(),
        led.into_inner(),
    );
    let failed = failed.into_inner();
    (failed < u64::MAX).then_some(failed)
}

/// For how many seconds a core was, since the start.
fn busy() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Tells its story, moment by moment, and draws it.
fn one(seed: u64) -> ExitCode {
    let report = run(&Plan::seeded(seed));
    let Report {
        plan,
        moments,
        violations,
        calm,
        ended,
        ..
    } = &report;
    for Moment { at, node, what, .. } in moments {
        let whom = node.map_or("all".into(), |node| format!("node-{}", node + 1));
        println!("{:>10.3} s  {whom:<7} {}", at.as_secs_f64(), words(what));
    }
    let faults: Vec<_> = plan.faults.iter().map(|fault| fault.as_str()).collect();
    println!(
        "What could go wrong: {}; clocks differ by {}.",
        faults.join(", "),
        plan.clock_ratio
    );
    println!("No fault has any effect from {calm:.3?} on; it ended at {ended:.3?}.\n");
    let drawn = draw(seed);
    for (at, what) in violations {
        println!("WRONG, at {at:?}: {what}");
    }
    match violations.is_empty() && drawn {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// As `leader-demo simulate` does, and judges it; whether that says it is sound.
fn draw(seed: u64) -> bool {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let pages = target.expect("it is below target/").join("sim");
    std::fs::create_dir_all(&pages).expect("target/ is ours");
    let page = pages.join(format!("{seed}.html"));
    let drawn = Command::new(env!("CARGO_BIN_EXE_leader-demo"))
        .args([
            "simulate",
            "--seeded",
            "--seed",
            &seed.to_string(),
            "--html",
        ])
        .arg(&page)
        .status();
    println!("The picture: {}", page.display());
    drawn.is_ok_and(|exit| exit.success())
}

fn words(what: &Happening) -> String {
    match what {
        Happening::Started => "starts".into(),
        Happening::Elected {
            term,
            acquired,
            valid_until,
        } => {
            let how = acquired.as_str();
            format!("LEADS in term {term} ({how}), until {valid_until:.3?} unless it renews")
        }
        Happening::Revoked {
            term,
            reason,
            ended,
            ..
        } => {
            let why = reason.as_str();
            format!("led in term {term} until {ended:.3?} ({why})")
        }
        Happening::Fault(fault) => format!("  {fault}"),
        Happening::Over(fault) => format!("  {fault}: over"),
        Happening::LateWrite => "  a late write takes effect".into(),
        Happening::Stopped => "has ended".into(),
        other => format!("{other:?}"),
    }
}
