//! The demo: an election, and beside it a printer of heartbeats.

use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use leader_demo::{Change, FileStore, Node, Reason, clock};
use tokio::sync::watch;

use crate::cli::Demo;

mod printer;

use printer::{Printer, Say};

/// How long a stop waits for the store, and then for the terminal.
const PATIENCE: Duration = Duration::from_millis(700);

/// A signal that follows so soon is the same one: timeout(1) and make(1) pass
/// on to their child what its whole process group has been sent already.
const ECHO: Duration = Duration::from_millis(100);

pub(crate) fn run(demo: Demo) -> Result<()> {
    let store = if demo.shared_dir {
        FileStore::open_shared(&demo.lock_dir, &demo.lock_name)
    } else {
        FileStore::open(&demo.lock_dir, &demo.lock_name)
    }
    .with_context(|| format!("--lock-dir {}", demo.lock_dir.display()))?;
    let shutdown = shutdown_signal()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(elect(demo, store, shutdown))
}

/// Turns true at the first SIGINT, SIGTERM or SIGHUP; the second ends the process.
fn shutdown_signal() -> Result<watch::Receiver<bool>> {
    let (shutdown, asked) = watch::channel(false);
    let mut first = None;
    ctrlc::set_handler(move || {
        let now = clock::now();
        if now.since(*first.get_or_insert(now)) > ECHO {
            std::process::exit(1);
        }
        shutdown.send_replace(true);
    })
    .context("cannot listen for signals")?;
    Ok(asked)
}

async fn elect(demo: Demo, store: FileStore, mut shutdown: watch::Receiver<bool>) -> Result<()> {
    let node = Node::builder(demo.node_id.as_str())
        .lease_duration(demo.timing.lease_duration())
        .renew_deadline(demo.timing.renew_deadline())
        .retry_period(demo.timing.retry_period())
        .start(store)?;
    let (say, inbox) = mpsc::channel();
    let mut printed = Printer::new(&node, &demo).spawn(inbox)?;
    let relay = tokio::spawn(relay(node.clone(), say.clone()));
    let _ = say.send(Say::Started);
    node.stand();

    let heard = tokio::select! {
        _ = shutdown.wait_for(|asked| *asked) => {
            let _ = say.send(Say::Stopping);
            true
        }
        // Whoever read the lines has gone: stop quietly.
        _ = &mut printed => false,
    };
    if tokio::time::timeout(PATIENCE, async {
        node.stop().await;
        let _ = relay.await;
    })
    .await
    .is_err()
    {
        tracing::warn!("the store does not answer: leaving without giving the lease back");
    }
    let _ = say.send(Say::Stopped);
    if heard {
        // A terminal that takes no output must not keep the process.
        let _ = tokio::time::timeout(PATIENCE / 2, printed).await;
    }
    Ok(())
}

/// Passes on what happens, to the thread that may be stuck in a write.
async fn relay(node: Node, say: mpsc::Sender<Say>) {
    let mut changes = node.watch();
    let mut settled = false;
    loop {
        let said = tokio::select! {
            biased;
            notice = changes.next() => match notice {
                Some(notice) => {
                    if let Change::Revoked { term, reason: why @ (Reason::RenewDeadline | Reason::Lost), .. } = notice.change {
                        tracing::warn!(term = term.get(), reason = printer::reason(why), "lost the lease");
                    }
                    Say::Notice(notice)
                }
                None => return,
            },
            () = node.settled(), if !settled => {
                settled = true;
                Say::Settled
            }
        };
        let _ = say.send(said);
    }
}
