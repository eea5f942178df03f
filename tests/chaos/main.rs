//! Real nodes, and everything done to them that an election must survive: they
//! are killed, stopped, frozen and asked to step down, their wall clocks jump,
//! their disk is full, their directory goes away, their servers are cut off, die
//! and are replaced. All of it is drawn from one seed, for several elections at a
//! time. They write JSON logs, and those alone are judged.
//!
//! ```text
//! make chaos DURATION=10m ELECTIONS=24 NODES=5 SEED=7 STORE=file:/mnt/somewhere
//! make chaos STORE=etcd        # or redis, postgres: servers of each election's own
//! ```
//!
//! | file | |
//! |---|---|
//! | `settings.rs` | how long, how many, which random numbers, which store |
//! | `plan.rs` | what will be done to whom, and when |
//! | `arena.rs` | one election: the nodes, and the place of their lease |
//! | `hurt.rs` | what is done to them |
//! | `node.rs` | one node: a process, the next one after its end, their log |
//! | `place.rs` | where a lease can be, and what that has in common |
//! | `directory.rs` | the lock directory, and what is done to it |
//! | `server.rs` | the servers, and what is done to them: its tour is there |
//! | `wall_clock.rs` | wall clocks that jump |
//! | `tally.rs` | how often what was done, and what never was |
//! | `busy.rs` | how busy that kept the machine |
//! | `story.rs` | what was done, as JSON lines |
//! | `judge.rs` | `leader-demo judge` |
#![allow(missing_docs, clippy::disallowed_methods)]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use leader_demo::clock;

mod arena;
mod busy;
#[path = "../common/mod.rs"]
mod common;
mod directory;
mod hurt;
mod judge;
mod networks;
mod node;
mod place;
mod plan;
mod scene;
mod server;
mod settings;
mod story;
mod tally;
mod wall_clock;

use arena::Arena;
use busy::Busy;
use judge::judge;
use plan::{Fault, Plan};
use settings::{Settings, Store};
use tally::Tally;

/// Ctrl+C ends a run early, and what was done is judged.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

#[test]
fn at_most_one_leads_whatever_is_done_to_them() {
    let settings = Settings::from_environment();
    if let Store::Own(kind) = settings.store
        && !server::is_here(kind)
    {
        return;
    }
    println!("chaos: {}", settings.replay());
    common::servers::OWN_GROUPS.store(true, Ordering::Relaxed);
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).unwrap();
    let page = settings.page();
    let ran = chaos(&settings);
    // Also of a run that broke off: what was said until then shows why.
    let judged = settings.all_logs().and_then(|logs| judge(&logs, &page));
    println!("The picture: {}", page.display());
    match (ran, judged) {
        (Ok(()), Ok(verdict)) => println!("{verdict}"),
        (ran, judged) => {
            for error in [ran.err(), judged.err()].into_iter().flatten() {
                println!("{error:#}");
            }
            panic!("it did not go well. Again: {}", settings.replay());
        }
    }
}

#[test]
fn a_second_leader_in_the_logs_is_found() {
    // Nobody's choice.
    let settings = Settings::small(u64::MAX);
    chaos(&settings).unwrap();
    let mut logs = settings.all_logs().unwrap();
    judge(&logs, &settings.page()).unwrap();
    let said = logs.iter().map(|log| fs::read_to_string(log).unwrap());
    let honest = { said }.find(|said| said.contains("\"elected\"")).unwrap();
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

/// What the nodes said, and what was done to them, is in files then.
fn chaos(settings: &Settings) -> Result<()> {
    let logs = settings.logs();
    let _ = fs::remove_dir_all(&logs);
    fs::create_dir_all(&logs).with_context(|| format!("{}", logs.display()))?;
    let tally = Tally::expecting(settings.store.cards().into_iter().map(|(fault, _)| fault));
    if !wall_clock::is_installed() {
        common::shell::missing("libfaketime");
        tally.cannot(Fault::Clock, "nothing else makes a wall clock jump");
    }
    let busy = Busy::begin()?;
    thread::scope(|scope| {
        let run = |number| {
            let done = election(settings, number, &tally);
            tally.failed.fetch_or(done.is_err(), Ordering::Relaxed);
            done.with_context(|| format!("election {}", number + 1))
        };
        let runs: Vec<_> = (0..settings.elections)
            .map(|number| scope.spawn(move || run(number)))
            .collect();
        let pause = (settings.duration / 12).max(Duration::from_secs(5));
        let started = clock::now();
        let mut next_line = started + pause;
        while runs.iter().any(|run| !run.is_finished()) {
            thread::sleep(Duration::from_millis(20));
            if clock::now() >= next_line && clock::now().since(started) <= settings.duration {
                let seconds = clock::now().since(started).as_secs();
                println!("{seconds:4} s: {tally}");
                next_line = next_line + pause;
            }
        }
        let ended = runs.into_iter().map(|run| match run.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect::<Result<()>>()
    })?;
    println!("{tally}");
    println!("processors kept busy: {:.1}", busy.processors()?);
    if !INTERRUPTED.load(Ordering::Relaxed) {
        tally.is_complete(settings.is_long())?;
    }
    Ok(())
}

fn election(settings: &Settings, number: usize, tally: &Tally) -> Result<()> {
    let mut arena = Arena::open(settings, number, tally)?;
    arena.agreed(1)?;
    let end = clock::now() + settings.duration;
    for step in Plan::new(settings, number) {
        arena.live_until(clock::now() + step.after)?;
        let over = [&INTERRUPTED, &tally.failed].map(|over| over.load(Ordering::Relaxed));
        if clock::now() >= end || over.contains(&true) {
            break;
        }
        arena.play(&step).with_context(|| format!("{step:?}"))?;
    }
    arena.recovers()?;
    arena.close()
}
