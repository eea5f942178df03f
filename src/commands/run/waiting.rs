//! Until the command may start: waiting to be elected, and then for the end of
//! what an earlier leader's command has left.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use leader_demo::clock;
use leader_demo::store::{Content, LeaseStore, Life, Observed, Work};
use leader_demo::{Change, Leadership, Node};
use tokio::time::{sleep, timeout};

use super::guarded::Guarded;
use super::voice::Tell;
use super::wire::Report;
use super::{Done, Wrapper, by_signal, exit};
use crate::cli::Patience;

/// An earlier command that is gone within this time is not worth a word.
const MOMENT: Duration = Duration::from_millis(50);

impl Wrapper {
    /// Waits to be elected.
    pub(super) async fn elected(&self, guarded: &mut Guarded) -> Result<Leadership, Done> {
        let give_up_at = self.give_up_at;
        let failure = RefCell::new(None);
        let mut changes = self.node.watch();
        let listen = async {
            while let Some(notice) = changes.next().await {
                match notice.change {
                    Change::StoreFailed(why) => {
                        failure.replace(Some(anyhow!(why)));
                        if self.run.patience == Patience::None {
                            return;
                        }
                    }
                    Change::NewLeader { .. } => drop(failure.take()),
                    _ => {}
                }
            }
            std::future::pending().await
        };
        let not_elected = async {
            match self.run.patience {
                Patience::None => another_leads(&self.node, &self.store).await,
                Patience::Limited(_) | Patience::Forever => {
                    sleep(give_up_at.since(clock::now())).await;
                    Ok(())
                }
            }
        };
        let gave_up = tokio::select! {
            biased;
            sent = self.signals.asked_to_end() => {
                return Err(Done::Exit(by_signal(sent?.signal)));
            }
            error = standby_ended(guarded) => return Err(error.into()),
            leadership = self.node.campaign() => return Ok(leadership?),
            () = listen => Ok(()),
            gave_up = not_elected => gave_up,
        };
        gave_up?;
        // Because of whom, or of what?
        match failure.take() {
            Some(failure) => Err(failure.context("not elected").into()),
            None => Err(self.not_elected()),
        }
    }

    fn not_elected(&self) -> Done {
        Done::Exit(match self.lost {
            // Not a job that was left to another, but one cut short.
            true => exit::LOST,
            false if self.run.skip_ok => 0,
            false => exit::NOT_ELECTED,
        })
    }

    /// Waits until nothing of an earlier leader's command is left on this machine.
    pub(super) async fn begin(
        &self,
        leadership: &Leadership,
        guarded: &mut Guarded,
    ) -> Result<Work, Done> {
        let give_up_at = self.give_up_at;
        tokio::select! {
            biased;
            sent = self.signals.asked_to_end() => Err(Done::Exit(by_signal(sent?.signal))),
            error = standby_ended(guarded) => Err(error.into()),
            () = leadership.ending() => Err(self.after_loss()),
            begun = self.settle(leadership) => begun,
            () = sleep(give_up_at.since(clock::now())) => Err(self.not_elected()),
        }
    }

    async fn settle(&self, leadership: &Leadership) -> Result<Work, Done> {
        let timing = self.run.election.timing;
        let give_way_at = clock::now() + timing.lease_duration();
        let mut start_anyway = false;
        loop {
            let work = match self.store.begin_work(leadership.record()).await {
                Ok(work) if work.before.is_empty() || start_anyway => return Ok(work),
                Ok(work) => work,
                Err(e) => {
                    self.voice.tell(Tell::NotStarted(e.to_string()));
                    if clock::now() >= give_way_at {
                        // Whatever it is, another node may not have it.
                        self.node.resign();
                        return Err(Done::Again);
                    }
                    sleep(timing.retry_period()).await;
                    continue;
                }
            };
            // Whoever only waits says nothing of work of its own: frozen now, it
            // would hold up all that come after it.
            let Work { witness, before } = work;
            drop(witness);
            let settled = async {
                for remains in &before {
                    // Most often it is about to end.
                    if timeout(MOMENT, remains.gone()).await.is_ok() {
                        continue;
                    }
                    self.voice.tell(Tell::WaitsFor(remains.clone()));
                    remains.gone().await;
                }
            };
            match self.run.start_anyway_after {
                Some(patience) => start_anyway = timeout(patience, settled).await.is_err(),
                None if self.run.patience == Patience::None => return Err(self.not_elected()),
                None => settled.await,
            }
            if start_anyway {
                self.voice.tell(Tell::StartsAnyway);
            }
        }
    }
}

/// Ends only if something is wrong.
async fn standby_ended(guarded: &mut Guarded) -> anyhow::Error {
    loop {
        match guarded.next().await {
            Some(Report::Ready { .. }) => {}
            _ => return anyhow!("the process that was to become the command has ended"),
        }
    }
}

/// Ends when it is known that another leads *and lives*: its lock says so, or
/// it is seen to renew. A dead leader's record is no reason to give up.
async fn another_leads(node: &Node, store: &impl LeaseStore) -> Result<()> {
    let mut before: Option<Observed> = None;
    loop {
        let seen = store.read().await.context("--try")?;
        if let Some(seen) = &seen
            && let Content::Record(record) = &seen.content
            && let Some(holder) = record.holder()
            && holder.session != node.me().session
        {
            let renewed = before.is_some_and(|before| {
                before.content == seen.content && before.revision != seen.revision
            });
            if renewed || store.life(seen.revision).await.context("--try")? == Life::Alive {
                return Ok(());
            }
        }
        before = seen;
        sleep(node.timing().retry_period() / 4).await;
    }
}
