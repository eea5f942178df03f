//! The commands, one file each.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use leader_demo::store::LeaseStore;
use leader_demo::{FileStore, LockName, clock};
use tokio::runtime::{Builder, Runtime};
use tokio::sync;

use crate::cli::{Directory, Election, Place};

pub(crate) mod check;
#[cfg(feature = "completions")]
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod doctor;
mod events;
pub(crate) mod hand_over;
#[cfg(feature = "http")]
mod http;
pub(crate) mod judge;
#[cfg(feature = "completions")]
pub(crate) mod man_pages;
mod notify;
mod operate;
mod picture;
pub(crate) mod run;
#[cfg(feature = "simulate")]
pub(crate) mod simulate;
pub(crate) mod status;
pub(crate) mod watch;

/// How long a stop waits for the store, and then for the terminal.
const PATIENCE: Duration = Duration::from_millis(700);

/// How long who looks once waits for a server.
const ANSWER: Duration = Duration::from_secs(5);

/// A signal that follows so soon is the same one: timeout(1) and make(1) pass
/// on to their child what its whole process group has been sent already.
const ECHO: Duration = Duration::from_millis(100);

/// One thread: the main one, which a command's guard must be started from.
fn runtime() -> Result<Runtime> {
    let mut one_thread = Builder::new_current_thread();
    one_thread
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// A store that was chosen by the flags.
type Store = Arc<dyn LeaseStore>;

/// To take part in an election.
async fn open_store(election: &Election) -> Result<Store> {
    let Election {
        lock_name,
        place,
        timing,
    } = election;
    match place {
        Place::Directory(Directory { dir, shared: true }) => {
            let store = FileStore::open_shared(dir, lock_name);
            Ok(Arc::new(store.context("--lock-dir")?))
        }
        Place::Directory(Directory { dir, .. }) => {
            let store = FileStore::open(dir, lock_name);
            Ok(Arc::new(store.context("--lock-dir")?))
        }
        Place::Server(server) => {
            let store = server.open(lock_name, timing.retry_period());
            let store = store.with_context(|| format!("--store {server}"))?;
            // A server that is away may come back; a wrong password will not.
            match store.read().await {
                Err(e) if e.is_lasting() => Err(e.into()),
                _ => Ok(store),
            }
        }
    }
}

/// To look at a lease that may be there: nothing is created.
fn existing_store(place: &Place, lock_name: &LockName) -> Result<Store> {
    match place {
        Place::Directory(directory) => Ok(Arc::new(existing_directory(directory, lock_name)?)),
        Place::Server(server) => server
            .open(lock_name, ANSWER)
            .with_context(|| format!("--store {server}")),
    }
}

fn existing_directory(place: &Directory, lock_name: &LockName) -> Result<FileStore> {
    let existing = if place.shared {
        FileStore::existing_shared(&place.dir, lock_name)
    } else {
        FileStore::existing(&place.dir, lock_name)
    };
    existing.context("--lock-dir")
}

/// Turns true at the first SIGINT, SIGTERM or SIGHUP; the second ends the process.
fn shutdown_signal() -> Result<sync::watch::Receiver<bool>> {
    let (shutdown, asked) = sync::watch::channel(false);
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

/// Whether stdout shows colours.
fn colours() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !no_color
}

/// All there is to say, on stdout.
fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        // Who reads no further may want the exit code.
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

/// Whether two paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let file = |path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    one == other || matches!((file(one), file(other)), (Ok(one), Ok(other)) if one == other)
}

/// A duration for people.
fn brief(duration: Duration) -> String {
    match duration.as_secs_f64() {
        // Found at one look: less than the time between two.
        ..0.000_05 => "<1 ms".into(),
        short @ ..1.0 => format!("{:.1} ms", short * 1e3),
        long => format!("{long:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_for_people() {
        for (nanos, said) in [
            (0, "<1 ms"),
            (49_000, "<1 ms"),
            (51_000, "0.1 ms"),
            (1_670_000, "1.7 ms"),
            (167_940_000, "167.9 ms"),
            (7_100_000_000, "7.1 s"),
        ] {
            assert_eq!(brief(Duration::from_nanos(nanos)), said);
        }
    }
}
