//! This program as another process, which wants the same lease on a server and hears
//! of its changes; and what the two say to each other, in lines of JSON.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use leader_demo::clock;
use leader_demo::store::{Content, LeaseStore, Observed, Revision, Server, StoreError, Swap, Wake};
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::calls::{disturbed, following};
use crate::commands::run::helper;
use crate::commands::{ANSWER, runtime};

pub(crate) const NAME: &str = "__rival";

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// For the lease, until the next order.
    Compete,
    /// For changes of it, from the next one on.
    Watch,
    /// And say what is there.
    Look,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// What is there, if anything.
    Sees(Option<[u64; 4]>),
    Competed(Contest),
    /// Of this revision, at this time since the boot.
    Heard([u64; 4], u64),
    Failed(String),
}

/// What became of one process's swaps.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Contest {
    pub(super) wins: Vec<Win>,
    pub(super) conflicts: usize,
}

/// A swap that was answered: what was expected, and what came of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Win {
    pub(super) expected: [u64; 4],
    pub(super) made: [u64; 4],
}

/// The other process: obeys, until its standard input ends.
pub(crate) fn main(mut args: impl Iterator<Item = OsString>) -> Result<()> {
    helper::call_oneself("leader-doctor");
    // Nobody else would end it where it waits for a server.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let number = helper::number(&mut args)?;
    let server: Server = std::env::var("LEADER_DEMO_STORE")?.parse()?;
    runtime()?.block_on(async {
        let trial = server.trial(number, ANSWER)?;
        let mut orders = lines(io::stdin());
        if let Err(e) = obey(&*trial.store(), &mut orders).await {
            say(&Said::Failed(e.to_string()));
        }
        Ok(())
    })
}

async fn obey(
    store: &dyn LeaseStore,
    orders: &mut UnboundedReceiver<Order>,
) -> Result<(), StoreError> {
    see(store).await?;
    let mut order = orders.recv().await;
    loop {
        order = match order {
            None => return Ok(()),
            Some(Order::Compete) => {
                let is_over = || !orders.is_empty() || orders.is_closed();
                say(&Said::Competed(compete(store, is_over).await?));
                orders.recv().await
            }
            Some(Order::Watch | Order::Look) => watch(store, orders).await?,
        };
    }
}

/// Says what it sees, what it hears, and what it sees when it is told to look.
async fn watch(
    store: &dyn LeaseStore,
    orders: &mut UnboundedReceiver<Order>,
) -> Result<Option<Order>, StoreError> {
    let mut seen = see(store).await?;
    loop {
        let order = tokio::select! {
            biased;
            order = orders.recv() => order,
            wake = store.changed(seen) => {
                let at = clock::now().as_nanos();
                seen = match wake {
                    Wake::Changed(Some(now)) => now.revision,
                    Wake::Changed(None) | Wake::HolderDied(_) => look(store).await?.revision,
                };
                say(&Said::Heard(seen.parts(), at));
                continue;
            }
        };
        let Some(Order::Look) = order else {
            return Ok(order);
        };
        seen = see(store).await?;
    }
}

/// One swap after the other, each over what the last one found.
pub(super) async fn compete(
    store: &dyn LeaseStore,
    mut is_over: impl FnMut() -> bool,
) -> Result<Contest, StoreError> {
    let mut contest = Contest::default();
    let mut seen = look(store).await?;
    while !is_over() {
        let Content::Record(record) = &seen.content else {
            return Err(disturbed());
        };
        let next = following(record);
        let expected = seen.revision;
        seen = match store.swap(Some(expected), next.clone()).await? {
            Swap::Swapped { revision, .. } => {
                contest.wins.push(Win {
                    expected: expected.parts(),
                    made: revision.parts(),
                });
                Observed {
                    revision,
                    content: Content::Record(next),
                }
            }
            Swap::Conflict(now) => {
                contest.conflicts += 1;
                now.ok_or_else(vanished)?
            }
        };
    }
    Ok(contest)
}

/// Says what is there.
async fn see(store: &dyn LeaseStore) -> Result<Revision, StoreError> {
    let seen = store.read().await?.map(|seen| seen.revision);
    say(&Said::Sees(seen.map(Revision::parts)));
    seen.ok_or_else(vanished)
}

pub(super) async fn look(store: &dyn LeaseStore) -> Result<Observed, StoreError> {
    store.read().await?.ok_or_else(vanished)
}

fn vanished() -> StoreError {
    StoreError::new("the lease it is tried with has vanished")
}

fn say(what: &Said) {
    if let Ok(line) = serde_json::to_string(what) {
        let _ = writeln!(io::stdout(), "{line}");
    }
}

/// All that is said there, read in a thread of its own.
fn lines<T: DeserializeOwned + Send + 'static>(
    from: impl Read + Send + 'static,
) -> UnboundedReceiver<T> {
    let (tell, told) = unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let Ok(what) = serde_json::from_str(&line) else {
                return;
            };
            if tell.send(what).is_err() {
                return;
            }
        }
    });
    told
}

/// The other process, from here; killed when this is dropped.
pub(super) struct Rival {
    process: Child,
    orders: ChildStdin,
    said: UnboundedReceiver<Said>,
}

impl Rival {
    /// It wants the lease with this number; where, its environment says, which nobody
    /// else may read.
    pub(super) fn start(server: &Server, number: u32) -> io::Result<Self> {
        let mut process = Command::new(helper::PROGRAM)
            .arg(NAME)
            .arg(number.to_string())
            .env("LEADER_DEMO_STORE", server.reveal())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (orders, out) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            process,
            orders,
            said: lines(out),
        })
    }

    pub(super) fn order(&mut self, what: Order) -> io::Result<()> {
        writeln!(self.orders, "{}", serde_json::to_string(&what)?)
    }

    /// The next it says; none if it says nothing for so long.
    pub(super) async fn hear(&mut self, patience: Duration) -> Result<Option<Said>, StoreError> {
        match timeout(patience, self.said.recv()).await {
            Err(_) => Ok(None),
            Ok(None) => Err(StoreError::new("the other process ended")),
            Ok(Some(Said::Failed(why))) => Err(StoreError::new(why)),
            Ok(Some(said)) => Ok(Some(said)),
        }
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
