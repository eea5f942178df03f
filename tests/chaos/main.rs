//! Real nodes, and everything done to them that an election must survive: they
//! are killed, stopped, frozen and asked to step down, their wall clocks jump,
//! their disk is full, their directory goes away. All of it is drawn from one
//! seed. They write JSON logs, and those alone are judged.
//!
//! ```text
//! make chaos DURATION=10m NODES=5 SEED=7 STORE=file:/mnt/somewhere
//! ```
//!
//! | file | |
//! |---|---|
//! | `settings.rs` | how long, how many, which random numbers |
//! | `plan.rs` | what will be done to whom, and when |
//! | `arena.rs` | the nodes, and what is done to them |
//! | `node.rs` | one node: a process, the next one after its end, their log |
//! | `directory.rs` | the lock directory, and what is done to it |
//! | `wall_clock.rs` | wall clocks that jump |
//! | `story.rs` | what was done, as JSON lines |
//! | `judge.rs` | `leader-demo judge` |
#![allow(missing_docs, clippy::disallowed_methods)]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use leader_demo::clock;

mod arena;
#[path = "../common/mod.rs"]
mod common;
mod directory;
mod judge;
mod node;
mod plan;
mod settings;
mod story;
mod wall_clock;

use arena::Arena;
use judge::judge;
use plan::Plan;
use settings::Settings;

/// Short, so that a run is full of faults and not of waiting.
const LEASE: Duration = Duration::from_secs(1);

/// Ctrl+C ends a run early, and what was done is judged.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

#[test]
fn at_most_one_leads_whatever_is_done_to_them() {
    let settings = Settings::from_environment().unwrap();
    println!("chaos: {}", settings.replay());
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).unwrap();
    let page = settings.page();
    let sound = chaos(&settings).and_then(|logs| judge(&logs, &page));
    match sound {
        Ok(verdict) => println!("{verdict}"),
        Err(error) => panic!("{error:#}\nAgain: {}", settings.replay()),
    }
    println!("The picture: {}", page.display());
}

#[test]
fn a_second_leader_in_the_logs_is_found() {
    let settings = Settings {
        duration: Duration::from_secs(1),
        nodes: 2,
        // Nobody's choice.
        seed: u64::MAX,
        dir: None,
    };
    let mut logs = chaos(&settings).unwrap();
    judge(&logs, &settings.page()).unwrap();
    let honest = fs::read_to_string(&logs[1]).unwrap();
    let session = honest.split("\"session\":\"").nth(1).unwrap();
    let session = &session[..session.find('"').unwrap()];
    let twin = format!("x{}", &session[1..]);
    logs.push(settings.logs().join("twin.jsonl"));
    let doctored = honest.replace(session, &twin);
    fs::write(logs.last().unwrap(), doctored).unwrap();
    let error = judge(&logs, &settings.page()).expect_err("it let this pass");
    let error = error.to_string();
    assert!(error.contains("BROKEN"), "{error}");
}

/// Returns the logs: that of the faults, and those of the nodes.
fn chaos(settings: &Settings) -> Result<Vec<PathBuf>> {
    let logs = settings.logs();
    let _ = fs::remove_dir_all(&logs);
    fs::create_dir_all(&logs).with_context(|| format!("{}", logs.display()))?;
    let mut arena = Arena::open(settings)?;
    arena.agreed(1)?;
    let started = clock::now();
    let end = started + settings.duration;
    let pause = (settings.duration / 12).max(Duration::from_secs(5));
    let mut next_line = started + pause;
    for step in Plan::new(settings.seed, settings.nodes) {
        arena.live_until(clock::now() + step.after)?;
        if clock::now() >= end || INTERRUPTED.load(Ordering::Relaxed) {
            break;
        }
        arena.play(&step).with_context(|| format!("{step:?}"))?;
        if clock::now() >= next_line {
            let seconds = clock::now().since(started).as_secs();
            println!("{seconds:4} s: {}", progress(&arena));
            next_line = next_line + pause;
        }
    }
    let soon = arena.recovers()?;
    println!("all healed: a leader after {soon:?}");
    arena.close()?;
    println!("{}", progress(&arena));
    let logs = arena.nodes.iter().map(|node| node.log.clone());
    Ok([arena.story.path.clone()].into_iter().chain(logs).collect())
}

fn progress(arena: &Arena) -> String {
    let counts: Vec<_> = arena
        .story
        .counts
        .iter()
        .map(|(fault, n)| format!("{n} {fault}"))
        .collect();
    let terms = arena.nodes.iter().map(|node| node.elected).max();
    format!(
        "term {}; {}; {} did not fit",
        terms.unwrap_or(0),
        counts.join(", "),
        arena.skipped
    )
}
