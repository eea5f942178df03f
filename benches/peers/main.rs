//! `run` beside what others use for the same: who follows a holder that is
//! killed, stopped or frozen, after how long, and does the old command end?
//!
//! ```text
//! make deps-peers                        # once: Debian packages
//! make bench-peers                       # nine minutes; writes docs/PEERS.md and docs/peers.svg
//! make bench-peers ARGS=--quick          # three, and what it writes is below target
//! make bench-peers ARGS='--quick redis'  # these alone: those whose names contain that
//! ```
//!
//! All in one run on one machine, in turns. `BENCH_DISK` says where locks and
//! servers keep their files (below the temporary directory).

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

mod chart;
#[path = "../common/mod.rs"]
mod common;
mod idle;
mod report;
mod roles;
mod rounds;
mod server;
mod tool;

use common::process::{clean_up_when_interrupted, left};
use report::{Machine, Report, Row};
use rounds::Harm;
use tool::{Installed, TOOLS, Tool};

/// Of all that have one and let it be set: the default of ours, and of theirs.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// Everybody waits in line: ours has looked twice at its default retry period,
/// scripts have started.
pub(crate) const SETTLE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == common::roles::FLAG) {
        // It writes until nobody reads any more.
        let _ = roles::play(&args[1..]);
        return ExitCode::SUCCESS;
    }
    let Some(at) = args.iter().position(|a| a == "--bench") else {
        // `cargo test --all-targets` runs benches too.
        eprintln!("nothing is measured but by `make bench-peers`");
        return ExitCode::SUCCESS;
    };
    args.remove(at);
    common::ended(bench(&args))
}

fn bench(args: &[String]) -> Result<()> {
    let quick = args.iter().any(|a| a == "--quick");
    let wanted: Vec<&String> = args.iter().filter(|a| *a != "--quick").collect();
    let is_wanted = |tool: &Tool| {
        let name = tool.name().to_lowercase();
        wanted.is_empty() || wanted.iter().any(|w| name.contains(&w.to_lowercase()))
    };
    clean_up_when_interrupted()?;
    let dir = tempfile::Builder::new()
        .prefix("leader-demo-peers-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(
            std::env::var_os("BENCH_DISK").map_or_else(std::env::temp_dir, PathBuf::from),
        )?;
    left().dirs.insert(dir.path().to_owned());

    let mut tools = Vec::new();
    for tool in TOOLS.into_iter().filter(is_wanted) {
        if tool.is_installed() {
            eprintln!("starting {}", tool.name());
            let own = dir.path().join(format!("{tool:?}"));
            std::fs::create_dir(&own)?;
            let started = Installed::start(tool, own);
            tools.push(started.with_context(|| tool.name().to_owned())?);
        } else {
            eprintln!("SKIPPED: {} is not installed: make deps-peers", tool.name());
        }
    }
    if tools.is_empty() {
        bail!("none of {}", TOOLS.map(Tool::name).join(", "));
    }

    let report = measure(&tools, quick, dir.path())?;
    println!("{}", report.table());
    let all = !quick && tools.len() == TOOLS.len();
    write(&report, all)
}

fn measure(tools: &[Installed], quick: bool, dir: &Path) -> Result<Report> {
    let machine = Machine::here(dir)?;
    let seconds = |long, short| Duration::from_secs(if quick { short } else { long });
    let killed = rounds::of(tools, Harm::KillBoth, seconds(100, 10))?;
    let stopped = rounds::of(tools, Harm::TerminateBoth, seconds(40, 10))?;
    let alone = rounds::of(tools, Harm::TerminateWrapper, seconds(40, 10))?;
    let frozen = rounds::of(tools, Harm::FreezeWrapper, seconds(60, 10))?;
    let idle = idle::of(tools, seconds(15, 3))?;
    let mut rows = Vec::new();
    let figures = killed
        .into_iter()
        .zip(stopped)
        .zip(alone)
        .zip(frozen)
        .zip(idle);
    for (tool, ((((killed, stopped), alone), frozen), idle)) in tools.iter().zip(figures) {
        rows.push(Row {
            tool: tool.tool,
            killed,
            stopped,
            alone,
            frozen,
            idle,
        });
    }
    Ok(Report::new(machine, rows))
}

/// Into the documentation, if nothing is missing.
fn write(report: &Report, complete: bool) -> Result<()> {
    let docs = if complete {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
    } else {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers")
    };
    std::fs::create_dir_all(&docs)?;
    for (name, text) in [("PEERS.md", report.page()?), ("peers.svg", report.chart())] {
        let file = docs.join(name);
        std::fs::write(&file, text)?;
        eprintln!("wrote {}", file.display());
    }
    Ok(())
}
