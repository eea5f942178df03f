//! What this binary does when it runs itself as another process.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};
use leader_demo::clock;
use leader_demo::{FileStore, LockName, Node};
use rustix::fs::FlockOperation;
use rustix::process::{Resource, Rlimit, Signal};

pub(crate) use crate::common::roles::{FLAG, WORK};
use crate::common::roles::{rest, say};

/// Waits for an flock and then holds it: all that the kernel's hand-off needs.
pub(crate) const HOLD: &str = "hold";
/// Writes a line a second and does nothing else: what a heartbeat costs by itself.
pub(crate) const TICK: &str = "tick";
/// Says when its first line ran, and ends.
pub(crate) const STAMP: &str = "stamp";
/// Many candidates for one lock.
pub(crate) const CANDIDATES: &str = "candidates";
/// Many elections, each with a leader.
pub(crate) const LEADERS: &str = "leaders";

pub(crate) fn play(args: &[String]) -> Result<()> {
    let started = clock::now();
    // Whatever happens to the benchmark, its processes go with it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [STAMP] => say("elected", started),
        [WORK] => {
            say("works", started)?;
            rest()
        }
        [TICK] => tick(),
        [HOLD, file] => hold(Path::new(file)),
        [CANDIDATES, count, dir] => many(count.parse()?, Path::new(dir), |_| "lock".to_owned()),
        [LEADERS, count, dir] => many(count.parse()?, Path::new(dir), |i| format!("lock-{i}")),
        _ => bail!("no such role: {args:?}"),
    }
}

fn hold(file: &Path) -> Result<()> {
    let file = File::create(file)?;
    say("new_leader", clock::now())?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    say("elected", clock::now())?;
    rest()
}

fn tick() -> Result<()> {
    loop {
        say("tick", clock::now())?;
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

/// So many nodes, with a store each, at the default timing.
fn many(count: usize, dir: &Path, lock: impl Fn(usize) -> String) -> Result<()> {
    // A timer, a directory, a claim, and a waiter's file and directory.
    const FILES_OF_A_NODE: u64 = 6;
    raise_descriptor_limit(count as u64 * FILES_OF_A_NODE + 64)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let mut nodes = Vec::new();
            for i in 0..count {
                let store = FileStore::open(dir, &LockName::new(&lock(i))?)?;
                let node = Node::builder(format!("node-{i}")).start(store)?;
                node.stand();
                nodes.push(node);
            }
            for node in &nodes {
                node.settled().await;
                while node.leader().is_none() {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
            }
            say("settled", clock::now())?;
            std::future::pending().await
        })
}

fn raise_descriptor_limit(needed: u64) -> Result<()> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|most| most < needed) {
        bail!(
            "needs {needed} open files, and the hard limit is {:?}",
            limit.maximum
        );
    }
    let raised = Rlimit {
        current: limit.current.map(|now| now.max(needed)),
        ..limit
    };
    rustix::process::setrlimit(Resource::Nofile, raised).context("cannot raise the file limit")
}
