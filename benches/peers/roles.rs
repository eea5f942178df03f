//! What this benchmark is when it runs itself: the commands that the holders run,
//! and many nodes in one process.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use leader_demo::store::Server;
use leader_demo::{LockName, Node, Timing, clock};

use crate::common::process::Process;
use crate::common::roles::{FLAG, WORK, rest, say};

/// Says every 5 ms that it is there, until it is killed.
pub(crate) const WRITE: &str = "write";

/// Nodes that stand for election, as many as it is told; it says when all of them
/// know where they stand.
pub(crate) const STAND: &str = "stand";

pub(crate) fn nodes(url: &str, count: usize) -> Result<Process> {
    let mut nodes = Command::new(std::env::current_exe()?);
    nodes.args([FLAG, STAND, url, &count.to_string()]);
    Process::spawn(&mut nodes)
}

pub(crate) fn play(args: &[String]) -> Result<()> {
    let started = clock::now();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [WORK] => {
            say("works", started)?;
            rest()
        }
        [WRITE] => {
            say("works", started)?;
            loop {
                std::thread::sleep(Duration::from_millis(5));
                say("still", clock::now())?;
            }
        }
        [STAND, url, count] => stand(&url.parse()?, count.parse()?),
        _ => bail!("no such role: {args:?}"),
    }
}

fn stand(server: &Server, count: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut nodes = Vec::new();
        for n in 0..count {
            // Each as if it were alone: with connections of its own.
            let store = server.open(&LockName::new(STAND)?, Timing::default().retry_period())?;
            let node = Node::builder(format!("node-{n}")).start(store)?;
            node.stand();
            nodes.push(node);
        }
        for node in &nodes {
            node.settled().await;
        }
        say(STAND, clock::now())?;
        std::future::pending().await
    })
}
