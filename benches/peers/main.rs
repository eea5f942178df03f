//! `run` beside what others use for the same: who follows a holder that is
//! killed, stopped or frozen, after how long, and does the old command end?
//!
//! ```text
//! make deps-peers                        # once: Debian packages
//! make bench-peers                       # fifteen minutes; writes docs/PEERS.md and docs/peers.svg,
//!                                        # and figures into docs/STORES.md and README.md
//! make bench-peers ARGS=--quick          # eight, and what it writes is below target
//! make bench-peers ARGS='--quick redis'  # these alone: those whose names contain that
//! ```
//!
//! All in one run on one machine, in turns. `BENCH_DISK` says where locks and
//! servers keep their files (below the temporary directory).

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

mod chart;
#[path = "../common/mod.rs"]
mod common;
mod counted;
mod docs;
mod handover;
mod idle;
mod load;
mod report;
mod roles;
mod rounds;
mod server;
mod stores;
mod tool;

use common::process::{clean_up_when_interrupted, left};
use report::{Machine, Report, Row};
use rounds::Harm;
use server::{Server, Servers};
use stores::Stores;
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
    let mut servers = Servers::new(dir.path().join("servers"));
    for tool in TOOLS.into_iter().filter(is_wanted) {
        if tool.is_installed() {
            let own = dir.path().join(format!("{tool:?}"));
            std::fs::create_dir(&own)?;
            tools.push(Installed::start(tool, own, &mut servers)?);
        } else {
            eprintln!("SKIPPED: {} is not installed: make deps-peers", tool.name());
        }
    }
    if tools.is_empty() {
        bail!("none of {}", TOOLS.map(Tool::name).join(", "));
    }

    let report = measure(&tools, servers.all(), quick, dir.path())?;
    println!("{}", report.table());
    println!("{}", report.stores.trips_table());
    println!("{}", report.stores.load_table());
    let all = !quick && tools.len() == TOOLS.len();
    write(&report, all)
}

fn measure(tools: &[Installed], servers: &[Rc<Server>], quick: bool, dir: &Path) -> Result<Report> {
    let machine = Machine::here(dir)?;
    let seconds = |long, short| Duration::from_secs(if quick { short } else { long });
    let rounds = |harm, long| rounds::of(tools, harm, seconds(long, 10));
    let mut killed = rounds(Harm::KillBoth, 60)?.into_iter();
    let mut killed_alone = rounds(Harm::KillWrapper, 45)?.into_iter();
    let mut stopped = rounds(Harm::TerminateBoth, 40)?.into_iter();
    let mut alone = rounds(Harm::TerminateWrapper, 40)?.into_iter();
    let mut frozen = rounds(Harm::FreezeWrapper, 45)?.into_iter();
    let mut idle = idle::of(tools, seconds(10, 3))?.into_iter();
    let trips = handover::of(servers, if quick { 20 } else { 100 })?;
    let loads = load::of(tools, seconds(20, 10))?;
    let mut rows = Vec::new();
    for tool in tools {
        rows.push(Row {
            tool: tool.tool,
            killed: of(&mut killed)?,
            killed_alone: of(&mut killed_alone)?,
            stopped: of(&mut stopped)?,
            alone: of(&mut alone)?,
            frozen: of(&mut frozen)?,
            idle: of(&mut idle)?,
        });
    }
    Ok(Report::new(machine, rows, Stores { trips, loads }))
}

/// What was found of the tool whose turn it is.
fn of<T>(found: &mut impl Iterator<Item = T>) -> Result<T> {
    found.next().context("as many as there are tools")
}

/// Into the documentation, if nothing is missing.
fn write(report: &Report, complete: bool) -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let there = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let into = if complete { here } else { &there };
    std::fs::create_dir_all(into.join("docs"))?;
    let write = |name, text: String| {
        let file = into.join(name);
        eprintln!("writing {}", file.display());
        std::fs::write(file, text)
    };
    write("docs/PEERS.md", report.page()?)?;
    write("docs/peers.svg", report.chart())?;
    let (all, most) = (report.figures(), report.figures().first(3));
    for (name, figures) in [("docs/STORES.md", all), ("README.md", most)] {
        write(name, figures.put_into(&here.join(name))?)?;
    }
    Ok(())
}
