//! An election, one line an event.

use std::future::pending;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::Result;
use leader_demo::{Observer, Seen, successor_node};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use crate::cli::Watch;
use crate::commands::{Store, runtime, shutdown_signal};

mod outbox;
mod tale;

use outbox::Outbox;
use tale::Teller;

/// How long a name is worth waiting for.
const NAME: Duration = Duration::from_millis(100);

pub(super) fn run(watch: &Watch, store: Store) -> Result<u8> {
    let mut shutdown = shutdown_signal()?;
    runtime()?.block_on(async {
        let mut observer = Observer::new(store.clone())?;
        let mut teller = Teller::new(watch);
        let (mut outbox, mut written) = Outbox::open()?;
        let reader_gone = reader_gone();
        tokio::pin!(reader_gone);
        loop {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|asked| *asked) => break,
                ended = &mut written => return outbox::ended(ended),
                () = &mut reader_gone => return Ok(0),
                sighting = observer.next() => {
                    if let Seen::HandedOver { term, to } = sighting.seen {
                        let named = successor_node(&store, term, to);
                        teller.successor = timeout(NAME, named).await.ok().flatten();
                    }
                    if watch.renewals || !matches!(sighting.seen, Seen::Renewed { .. }) {
                        outbox.send(&mut teller, sighting.at, &sighting.seen)?;
                    }
                }
            }
        }
        outbox.close(written).await
    })
}

/// Ends when whoever read the lines has gone, also while there is none to write.
async fn reader_gone() {
    let watched = || {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        // As in clock.rs: an OwnedFd is nobody else's to close.
        #[allow(deprecated)]
        AsyncFd::with_interest(stdout, Interest::ERROR)
    };
    // A file has no reader that could go.
    let Ok(stdout) = watched() else {
        return pending().await;
    };
    if stdout.ready(Interest::ERROR).await.is_err() {
        pending().await
    }
}
