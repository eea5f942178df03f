//! A node that has nothing to do, and one that has just been started.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use leader_demo::clock;

use crate::Plan;
use crate::look;
use crate::process::{Figures, Place, Process};
use crate::roles;
use crate::table::{Bound, Samples, Table, show, verdict};

/// Until everybody has looked twice at the default retry period.
const SETTLE: Duration = Duration::from_secs(5);

/// The shares of a core that several processes used while nothing happened.
pub(crate) fn shares(processes: &[Figures], what: &str, seconds: u64) -> Result<Vec<f64>> {
    let before = processes
        .iter()
        .map(|p| p.cpu_time())
        .collect::<Result<Vec<_>>>()?;
    let start = clock::now();
    for second in 0..seconds {
        eprint!("\r{what}: second {} of {seconds} ", second + 1);
        std::thread::sleep(Duration::from_secs(1));
    }
    eprintln!();
    let passed = clock::now().since(start).as_secs_f64();
    processes
        .iter()
        .zip(before)
        .map(|(process, before)| {
            let used = process.cpu_time()?.saturating_sub(before);
            Ok(100.0 * used.as_secs_f64() / passed)
        })
        .collect()
}

pub(crate) fn at_rest(plan: &Plan, table: &mut Table) -> Result<()> {
    let place = &plan.places[0];
    let dir = place.fresh()?;
    let leader = Process::node(&dir, &[])?;
    leader.next("elected")?;
    let follower = Process::node(&dir, &[])?;
    follower.next("new_leader")?;
    let tick = Process::role::<&str>(roles::TICK, &[])?;
    std::thread::sleep(SETTLE);
    let both = [leader.figures(), follower.figures()];
    let shares = shares(&[tick.figures(), both[0], both[1]], "idle", plan.seconds)?;
    let tick = shares[0];
    table.title(&format!(
        "idle for {} s, defaults but for JSON lines",
        plan.seconds
    ));
    // What a wake-up costs differs tenfold between machines, and on one machine
    // between busy and quiet: so the target alone says little.
    table.figure(
        "a process that writes a line a second",
        &place.name,
        format!("{tick:.4} %"),
        "the baseline",
    );
    for ((process, share), name) in both.iter().zip(&shares[1..]).zip(["leader", "follower"]) {
        let remark = format!(
            "{:.1}x of the baseline; target 0.02 %: {}",
            share / tick,
            verdict(*share < 0.02)
        );
        let figure = format!("{share:.4} %");
        table.figure(&format!("{name}: of one core"), &place.name, figure, remark);
        let (rss, own) = (process.status("VmRSS")?, process.status("RssAnon")?);
        table.figure(
            &format!("{name}: resident memory"),
            &place.name,
            format!("{:.2} MB", rss as f64 / 1000.0),
            format!(
                "{:.2} MB of it not shared; {} threads; target 5 MB: {}",
                own as f64 / 1000.0,
                process.status("Threads")?,
                verdict(rss < 5000)
            ),
        );
    }
    watching(plan, place, &dir, tick, table)
}

/// Who watches that election, but not while the nodes are measured: what is not
/// at rest keeps the machine warm for others.
fn watching(plan: &Plan, place: &Place, dir: &Path, tick: f64, table: &mut Table) -> Result<()> {
    let watch = look::watcher(dir, &[])?;
    let view = look::view(dir)?;
    std::thread::sleep(SETTLE);
    let mut both = vec![watch.figures()];
    match &view {
        Some(view) => both.push(view.figures().child()?),
        None => table.note("script(1) is not installed: the live view of watch is not measured"),
    }
    let shares = shares(&both, "watch, idle", plan.seconds.div_ceil(3))?;
    for (share, name) in shares.iter().zip(["watch", "watch, the live view"]) {
        let remark = format!(
            "{:.1}x of the baseline; target 1 %: {}",
            share / tick,
            verdict(*share < 1.0)
        );
        let figure = format!("{share:.4} %");
        table.figure(&format!("{name}: of one core"), &place.name, figure, remark);
    }
    Ok(())
}

pub(crate) fn start(plan: &Plan, table: &mut Table) -> Result<()> {
    table.title("start on a free lock");
    for place in &plan.places {
        let (mut bare, mut ours) = (Samples::default(), Samples::default());
        let rounds = plan.rounds.div_ceil(2);
        for round in 0..rounds {
            eprint!("\rstart, {}: round {} of {rounds}", place.name, round + 1);
            let spawned = clock::now();
            let stamp = Process::role::<&str>(roles::STAMP, &[])?;
            bare.push(stamp.next("elected")?.at().since(spawned));
            let dir = place.fresh()?;
            let spawned = clock::now();
            let node = Process::node(&dir, &["--heartbeat-period=1h"])?;
            ours.push(node.next("elected")?.at().since(spawned));
        }
        eprintln!();
        let none = "the baseline";
        table.samples("any process: its first line", &place.name, &bare, none);
        if place.in_memory {
            let bound = Bound {
                against: "the target",
                baseline: Duration::from_millis(5),
                times: 1.0,
            };
            table.judged("spawned -> first elected", &place.name, &ours, &bound);
        } else {
            let more = ours.p50().saturating_sub(bare.p50());
            let remark = format!("{} more than any process", show(more));
            table.samples("spawned -> first elected", &place.name, &ours, remark);
        }
    }
    Ok(())
}
