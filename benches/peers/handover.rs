//! How long a planned hand-over takes on a server, and what it is made of: round
//! trips to that server, and the time in which it tells who waits.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use leader_demo::clock;
use leader_demo::store::{LeaseStore, Revision, Server as Store, Swap};
use leader_demo::{Holder, Leadership, LockName, Node, NodeId, Record, State, Term, Timing};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::common::samples::Samples;
use crate::common::turns;
use crate::server::{Kind, Server};

/// Whoever waits has heard of the last change and gone to sleep.
const PAUSE: Duration = Duration::from_millis(30);

/// What it is made of, and what it took.
pub(crate) struct Trips {
    pub(crate) kind: Kind,
    pub(crate) read: Samples,
    pub(crate) write: Samples,
    /// From the answer to a write until another one hears of it; often before that.
    pub(crate) told: Samples,
    /// From the leader's release until the next one leads.
    pub(crate) handed: Samples,
}

impl Trips {
    /// Two round trips, of which one at the least writes to disk where the server
    /// does, and the notification.
    pub(crate) fn promised(&self) -> Duration {
        2 * self.write.p50() + self.told.p50()
    }
}

/// In turns, on all servers.
pub(crate) fn of(servers: &[Rc<Server>], rounds: usize) -> Result<Vec<Trips>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stores = servers
        .iter()
        .filter(|server| Kind::STORES.contains(&server.kind));
    let mut all: Vec<Contest<'_>> = stores
        .map(|server| Contest::new(&runtime, server))
        .collect::<Result<_>>()?;
    for round in 0..rounds {
        eprint!("\rhand-over: round {} of {rounds} ", round + 1);
        for turn in turns(round, all.len()) {
            all[turn].round()?;
        }
    }
    eprintln!();
    Ok(all.into_iter().map(|contest| contest.trips).collect())
}

struct Contest<'a> {
    runtime: &'a Runtime,
    trips: Trips,
    /// Of a register that nobody leads by.
    writer: Arc<dyn LeaseStore>,
    listener: Arc<dyn LeaseStore>,
    record: Record,
    revision: Revision,
    /// The leader, and who is to be the next.
    nodes: [Node; 2],
    leadership: Option<Leadership>,
}

impl<'a> Contest<'a> {
    fn new(runtime: &'a Runtime, server: &Server) -> Result<Self> {
        let url: Store = server.url().parse()?;
        let patience = Timing::default().retry_period();
        let open = |name| anyhow::Ok(url.open(&LockName::new(name)?, patience)?);
        let node = |name| anyhow::Ok(Node::builder(name).start(open("handed")?)?);
        runtime.block_on(async {
            let (writer, listener) = (open("trips")?, open("trips")?);
            let record = Record {
                term: Term::new(1).context("a term")?,
                lease_duration: Timing::LONGEST,
                state: State::Held(Holder::here(NodeId::new("writer")?)?),
            };
            let revision = done(writer.swap(None, record.clone()).await?)?;
            let nodes = [node("first")?, node("second")?];
            let leadership = Some(nodes[0].campaign().await?);
            let trips = Trips {
                kind: server.kind,
                read: Samples::default(),
                write: Samples::default(),
                told: Samples::default(),
                handed: Samples::default(),
            };
            let mut contest = Self {
                runtime,
                trips,
                writer,
                listener,
                record,
                revision,
                nodes,
                leadership,
            };
            // With the first change it begins to listen.
            contest.tell().await?;
            Ok(contest)
        })
    }

    fn round(&mut self) -> Result<()> {
        self.runtime.block_on(async {
            let asked = clock::now();
            self.writer.read().await?;
            self.trips.read.push(clock::now().since(asked));
            let (write, told) = self.tell().await?;
            self.trips.write.push(write);
            self.trips.told.push(told);
            let handed = self.hand_over().await?;
            self.trips.handed.push(handed);
            Ok(())
        })
    }

    /// How long a write took, and from its answer on until it was heard of.
    async fn tell(&mut self) -> Result<(Duration, Duration)> {
        let heard = async {
            self.listener.changed(self.revision).await;
            clock::now()
        };
        let written = async {
            sleep(PAUSE).await;
            let asked = clock::now();
            let swap = self.writer.swap(Some(self.revision), self.record.clone());
            let revision = done(swap.await?)?;
            anyhow::Ok((revision, asked, clock::now()))
        };
        let (heard, written) = tokio::join!(heard, written);
        let (revision, asked, answered) = written?;
        self.revision = revision;
        Ok((answered.since(asked), heard.since(answered)))
    }

    async fn hand_over(&mut self) -> Result<Duration> {
        let next = self.nodes[1].clone();
        let mut elected = pin!(next.campaign());
        tokio::select! {
            _ = &mut elected => bail!("two lead at a time"),
            () = sleep(PAUSE) => {}
        }
        let released = clock::now();
        self.leadership = None;
        self.leadership = Some(elected.await?);
        let took = clock::now().since(released);
        self.nodes.reverse();
        Ok(took)
    }
}

fn done(swap: Swap) -> Result<Revision> {
    match swap {
        Swap::Swapped { revision, .. } => Ok(revision),
        other => bail!("somebody else writes there: {other:?}"),
    }
}
