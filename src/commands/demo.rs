//! The demo: an election, and beside it a printer of heartbeats.

use std::sync::mpsc;

use anyhow::Result;
use leader_demo::{Change, Changes, Node, Notice};
use tokio::sync::watch;

use super::operate::Operation;
use super::{PATIENCE, Store};
use crate::cli::Demo;
use crate::logging;

mod printer;

use printer::{Printer, Say};

pub(crate) fn run(demo: Demo) -> Result<()> {
    let lines = logging::init(demo.log_format, &demo.log_level)?;
    let operation = Operation::prepare(&demo.operate)?;
    let runtime = super::runtime()?;
    let store = runtime.block_on(super::open_store(&demo.election))?;
    let shutdown = super::shutdown_signal()?;
    let ended = runtime.block_on(elect(demo, operation, store, shutdown));
    lines.flush();
    ended
}

async fn elect(
    demo: Demo,
    mut operation: Operation,
    store: Store,
    shutdown: watch::Receiver<bool>,
) -> Result<()> {
    let node = Node::builder(demo.node_id.as_str())
        .timing(demo.election.timing)
        .start(store)?;
    operation.begin(&node, &demo.election)?;
    let (say, inbox) = mpsc::channel();
    let mut printed = Printer::new(&node, &demo, operation.http()).spawn(inbox)?;
    let mut relay = Relay::new(&node, say);
    relay.say(Say::Started);
    node.stand();

    let heard = tokio::select! {
        () = relay.until_told_to_stop(shutdown) => true,
        // Whoever read the lines has gone: stop quietly.
        _ = &mut printed => false,
    };
    operation.stopping();
    if tokio::time::timeout(PATIENCE, async { tokio::join!(node.stop(), relay.rest()) })
        .await
        .is_err()
    {
        tracing::warn!("the store does not answer: leaving without giving the lease back");
    }
    relay.say(Say::Stopped);
    if heard {
        // A terminal that takes no output must not keep the process.
        let _ = tokio::time::timeout(PATIENCE / 2, printed).await;
    }
    Ok(())
}

/// Passes on what happens, to the thread that may be stuck in a write.
struct Relay {
    node: Node,
    changes: Changes,
    say: mpsc::Sender<Say>,
    /// Whether the node leads, by what was passed on.
    leads: bool,
}

impl Relay {
    fn new(node: &Node, say: mpsc::Sender<Say>) -> Self {
        Self {
            node: node.clone(),
            changes: node.watch(),
            say,
            leads: false,
        }
    }

    fn say(&self, say: Say) {
        // The printer is gone only when nobody reads any more.
        let _ = self.say.send(say);
    }

    async fn until_told_to_stop(&mut self, mut shutdown: watch::Receiver<bool>) {
        let (mut asked, mut settled) = (false, false);
        loop {
            let (now, belief) = self.node.belief();
            // A leader that was frozen says that it lost the lease before
            // anything else, also before that it was asked to stop.
            if asked && self.leads == belief.is_some() {
                return self.say(Say::Stopping(now));
            }
            tokio::select! {
                biased;
                notice = self.changes.next() => match notice {
                    Some(notice) => self.pass_on(notice),
                    None => return,
                },
                _ = shutdown.wait_for(|asked| *asked), if !asked => asked = true,
                () = self.node.settled(), if !settled => {
                    settled = true;
                    self.say(Say::Settled);
                }
            }
        }
    }

    /// Until the node has ended.
    async fn rest(&mut self) {
        while let Some(notice) = self.changes.next().await {
            self.pass_on(notice);
        }
    }

    fn pass_on(&mut self, notice: Notice) {
        match notice.change {
            Change::Elected { .. } => self.leads = true,
            Change::Revoked { .. } => self.leads = false,
            _ => {}
        }
        self.say(Say::Notice(notice));
    }
}
