//! A node: one participant in one election, and what library users hold.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{mpsc, oneshot, watch};

use crate::change::Notice;
use crate::clock::{BootTime, Clock, SystemClock};
use crate::driver::{Command, Driver, Standing};
use crate::election::Election;
use crate::health::{Health, Liveness, Readiness};
use crate::leadership::{Leadership, belief_ended};
use crate::lease::{Holder, Record, State, Term};
use crate::name::{NameError, NodeId};
use crate::request::{Part, attend};
use crate::store::LeaseStore;
use crate::tally::Tally;
use crate::timing::{Timing, TimingError};

/// A running participant. Clones are handles to the same one; when the last is
/// dropped, and the last [`Leadership`], it gives back what it holds and ends.
///
/// From the start it *observes*: it knows who leads. It campaigns only while
/// somebody asks it to: [`campaign`](Self::campaign) and [`run`](Self::run) for
/// as long as they are awaited, [`stand`](Self::stand) for good.
#[derive(Clone, Debug)]
pub struct Node {
    shared: Arc<Shared>,
}

/// What all handles of a node look at.
pub(crate) struct Shared {
    me: Holder,
    timing: Timing,
    clock: Arc<dyn Clock>,
    standing: watch::Receiver<Standing>,
    health: Arc<Health>,
    commands: mpsc::UnboundedSender<Command>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

/// Says who a node is and how it keeps time; see [`Node::builder`].
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    node_id: String,
    lease_duration: Duration,
    renew_deadline: Option<Duration>,
    retry_period: Option<Duration>,
}

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The node id is none.
    #[error("node id {0:?} {1}")]
    NodeId(String, #[source] NameError),
    /// The durations do not fit together.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The machine lacks what a node needs: random numbers, or a timer.
    #[error("cannot start a node")]
    Machine(#[from] std::io::Error),
}

/// The node has been stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has been stopped")]
pub struct Stopped;

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leader {
    /// The node.
    pub holder: Holder,
    /// The number of its leadership.
    pub term: Term,
}

impl NodeBuilder {
    /// How long others must see this node's lease unrenewed before they may
    /// take it (default 10 s). The other two follow it unless given.
    pub fn lease_duration(mut self, duration: Duration) -> Self {
        self.lease_duration = duration;
        self
    }

    /// How long after asking for its last successful renewal this node may
    /// still believe it leads (default 0.6 of the lease duration).
    pub fn renew_deadline(mut self, duration: Duration) -> Self {
        self.renew_deadline = Some(duration);
        self
    }

    /// How often it renews or looks, at the least (default 0.2 of the lease duration).
    pub fn retry_period(mut self, duration: Duration) -> Self {
        self.retry_period = Some(duration);
        self
    }

    /// All three durations, checked before.
    pub fn timing(self, timing: Timing) -> Self {
        Self {
            lease_duration: timing.lease_duration(),
            renew_deadline: Some(timing.renew_deadline()),
            retry_period: Some(timing.retry_period()),
            ..self
        }
    }

    /// Starts the node, as a task of the current tokio runtime. Do not block
    /// that runtime: a renewal that comes too late costs the leadership.
    ///
    /// # Errors
    /// [`StartError`]: a name or a duration that will not do.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one without its I/O driver
    /// ([`enable_io`](tokio::runtime::Builder::enable_io)).
    pub fn start(self, store: impl LeaseStore) -> Result<Node, StartError> {
        self.start_with(store, Arc::new(SystemClock))
    }

    pub(crate) fn start_with(
        self,
        store: impl LeaseStore,
        clock: Arc<dyn Clock>,
    ) -> Result<Node, StartError> {
        let node_id =
            NodeId::new(&self.node_id).map_err(|e| StartError::NodeId(self.node_id.clone(), e))?;
        let timing = Timing::new(self.lease_duration, self.renew_deadline, self.retry_period)?;
        let me = Holder::here(node_id)?;
        let timer = clock.timer()?;
        let (shared, driver) = Shared::new(me, timing, clock.clone());
        if let Some(requests) = store.requests() {
            let timer = clock.timer()?;
            tokio::spawn(attend(Arc::downgrade(&shared), requests, clock, timer));
        }
        tokio::spawn(driver.drive(store, timer));
        Ok(Node { shared })
    }
}

impl Node {
    /// A node with this name and a lease duration of 10 seconds.
    ///
    /// ```
    /// # use leader_demo::{LockName, MemoryStore, Node};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = MemoryStore::new().register(&LockName::new("lock")?);
    /// let node = Node::builder("node-1")
    ///     .lease_duration(Duration::from_secs(15))
    ///     .start(store)?;
    /// assert!(!node.is_leader());
    /// # Ok(()) }
    /// ```
    pub fn builder(node_id: impl Into<String>) -> NodeBuilder {
        NodeBuilder {
            node_id: node_id.into(),
            lease_duration: Timing::default().lease_duration(),
            renew_deadline: None,
            retry_period: None,
        }
    }

    /// Waits until this node leads.
    ///
    /// Dropping the future ends the campaign. A node has one leadership at a
    /// time: of several that wait here, one gets it.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn campaign(&self) -> Result<Leadership, Stopped> {
        let (to, leadership) = oneshot::channel();
        self.shared.tell(Command::Campaign(to));
        // Declared first, so dropped last: the channel is closed by then.
        let mut nudge = NudgeOnDrop(Some(&self.shared));
        let leadership = leadership;
        let elected = leadership.await.map_err(|_| Stopped);
        nudge.0 = None;
        elected
    }

    /// Does `work` whenever this node leads.
    ///
    /// The work owns its [`Leadership`]. When that is lost, or the node is
    /// asked to resign or stop, the work is dropped, which cancels it at its
    /// next `await`, and the node campaigns again. Until the work is gone the
    /// lease is kept; tasks it spawned are its own to stop.
    ///
    /// Ends with the work's output when the work ends by itself. The lease is
    /// given back in the background: [`stop`](Self::stop) before the process
    /// ends, to be sure that it is.
    ///
    /// ```
    /// # use leader_demo::{LockName, MemoryStore, Node};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = MemoryStore::new().register(&LockName::new("lock")?);
    /// # let node = Node::builder("node-1").start(store)?;
    /// let migrated = node
    ///     .run(|leadership| async move { format!("done in term {}", leadership.term()) })
    ///     .await?;
    /// assert_eq!(migrated, "done in term 1");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn run<W, F>(&self, mut work: W) -> Result<F::Output, Stopped>
    where
        W: FnMut(Leadership) -> F,
        F: Future,
    {
        loop {
            let leadership = self.campaign().await?;
            let (shared, term) = (leadership.shared(), leadership.term());
            tokio::select! {
                biased;
                () = shared.when(|s| s.ending || belief_ended(s, term)) => {}
                output = work(leadership) => return Ok(output),
            }
        }
    }

    /// Campaigns from now on, for good: leads whenever possible, without a
    /// scope (a scope that ends still gives the lease back). Learn of it from [`watch`](Self::watch) or [`Hooks`](crate::Hooks),
    /// and ask [`term`](Self::term) before each step of the work.
    pub fn stand(&self) {
        self.shared.tell(Command::Stand);
    }

    /// Steps down, if this node leads, so that somebody else does: once the
    /// work has stopped (a [`Leadership`] that was handed out is dropped), the
    /// lease is given back, and this node stays out for one lease duration.
    pub fn resign(&self) {
        self.shared.tell(Command::Resign);
    }

    /// Stops: waits until the work has stopped, gives back the lease, and ends.
    /// A store that does not answer delays this by a renew deadline at most.
    pub async fn stop(&self) {
        self.shared.tell(Command::Stop);
        self.shared.ended().await;
    }

    /// Whether this node leads *now*.
    pub fn is_leader(&self) -> bool {
        self.term().is_some()
    }

    /// The number of this node's leadership, if it leads *now*.
    pub fn term(&self) -> Option<Term> {
        self.shared.leads()
    }

    /// Who leads now, as far as this node can tell.
    pub fn leader(&self) -> Option<Leader> {
        let now = self.shared.clock.now();
        if let Some((term, _)) = self.shared.belief_at(now) {
            let holder = self.shared.me.clone();
            return Some(Leader { holder, term });
        }
        let standing = self.shared.standing.borrow();
        let (holder, term, until) = standing.other.clone()?;
        (now < until).then_some(Leader { holder, term })
    }

    /// Until when this node stays out of the election that it wants to win,
    /// because it resigned.
    pub fn stays_out_until(&self) -> Option<BootTime> {
        let now = self.shared.clock.now();
        let from = self.shared.standing.borrow().candidate_from;
        from.filter(|from| now < *from && self.shared.belief_at(now).is_none())
    }

    /// [`term`](Self::term) with the end of belief, and the moment at which that
    /// was so: for those who put it on record, like the demo's JSON lines.
    pub fn belief(&self) -> (BootTime, Option<(Term, BootTime)>) {
        self.shared.belief()
    }

    /// Every change from now on, beginning with who leads at present, and with
    /// the store's failure if it fails.
    pub fn watch(&self) -> Changes {
        let (to, inbox) = mpsc::unbounded_channel();
        self.shared.tell(Command::Watch(to));
        Changes { inbox }
    }

    /// Waits until the store has answered and this node knows where it stands.
    pub async fn settled(&self) {
        self.shared.when(|s| s.settled).await;
    }

    /// Whether the election goes on: its loop knows when it has to run next, and
    /// is late if it has not by a retry period after that. This looks from
    /// outside, so ask in a thread of your own: a runtime that is blocked
    /// answers nothing.
    pub fn liveness(&self) -> Liveness {
        let Shared { clock, timing, .. } = &*self.shared;
        if self.shared.commands.is_closed() {
            return Liveness::Ended;
        }
        let overdue = self
            .shared
            .health
            .overdue(clock.now(), timing.retry_period());
        overdue.map_or(Liveness::Alive, Liveness::Overdue)
    }

    /// Whether the store has answered, and how it went last. A store that does
    /// not answer at all fails after a renew deadline.
    pub fn readiness(&self) -> Readiness {
        let health = &self.shared.health;
        health.findings(|found| found.readiness.clone())
    }

    /// What was counted since the node started.
    pub fn tally(&self) -> Tally {
        let health = &self.shared.health;
        health.findings(|found| found.tally.clone())
    }

    /// This node, as others see it.
    pub fn me(&self) -> &Holder {
        &self.shared.me
    }

    /// The durations it keeps to.
    pub fn timing(&self) -> Timing {
        self.shared.timing
    }
}

impl Shared {
    /// A node, and what makes it one once it is driven.
    pub(crate) fn new(me: Holder, timing: Timing, clock: Arc<dyn Clock>) -> (Arc<Self>, Driver) {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (publish, standing) = watch::channel(Standing::default());
        let health = Arc::new(Health::new(clock.now()));
        let shared = Arc::new(Self {
            me: me.clone(),
            timing,
            clock: clock.clone(),
            standing,
            health: health.clone(),
            commands,
        });
        let election = Election::new(me, timing);
        let weak = Arc::downgrade(&shared);
        let driver = Driver::new(election, clock, inbox, publish, health, weak);
        (shared, driver)
    }

    pub(crate) fn tell(&self, command: Command) {
        // A driver that is gone has nothing left to be told.
        let _ = self.commands.send(command);
    }

    /// Rule 9: asked at the moment of use.
    pub(crate) fn leads(&self) -> Option<Term> {
        self.belief_at(self.clock.now()).map(|(term, _)| term)
    }

    fn belief(&self) -> (BootTime, Option<(Term, BootTime)>) {
        // The clock is read while nobody can change what is believed: what was
        // renewed after that moment does not belong to it.
        let standing = self.standing.borrow();
        let now = self.clock.now();
        (now, self.believes(&standing, now))
    }

    pub(crate) fn belief_at(&self, now: BootTime) -> Option<(Term, BootTime)> {
        self.believes(&self.standing.borrow(), now)
    }

    fn believes(&self, standing: &Standing, now: BootTime) -> Option<(Term, BootTime)> {
        // A forked child has a copy of the belief, but nobody renews it there.
        if self.me.pid.map(std::num::NonZeroU32::get) != Some(std::process::id()) {
            return None;
        }
        let belief = standing.belief.as_ref()?;
        (now < belief.valid_until).then_some((belief.term, belief.valid_until))
    }

    /// Ends when the node stands so, or is gone.
    pub(crate) async fn when(&self, mut so: impl FnMut(&Standing) -> bool) {
        self.first(|s| so(s).then_some(())).await;
    }

    /// The first that is found in how the node stands; none once it is gone.
    pub(crate) async fn first<T>(&self, mut find: impl FnMut(&Standing) -> Option<T>) -> Option<T> {
        let mut found = None;
        let so = |s: &Standing| {
            found = find(s);
            found.is_some()
        };
        let _ = self.standing.clone().wait_for(so).await;
        found
    }

    pub(crate) fn me(&self) -> &Holder {
        &self.me
    }

    pub(crate) fn timing(&self) -> Timing {
        self.timing
    }

    /// Ends when the node has ended.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + use<> {
        let mut standing = self.standing.clone();
        async move { while standing.changed().await.is_ok() {} }
    }

    /// Where it stands as far as requests go.
    pub(crate) fn part(&self) -> Part {
        let leads = self.leads();
        let standing = self.standing.borrow();
        Part {
            leads,
            // Also where it may be silent: then nothing comes of it.
            follows: standing.other.as_ref().map(|(_, term, _)| *term),
            candidate_from: standing.candidate_from,
        }
    }

    /// What this node's election writes when it leads in this term.
    pub(crate) fn record(&self, term: Term) -> Record {
        Record {
            term,
            lease_duration: self.timing.lease_duration(),
            state: State::Held(self.me.clone()),
        }
    }
}

struct NudgeOnDrop<'a>(Option<&'a Shared>);

impl Drop for NudgeOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            shared.tell(Command::CampaignDropped);
        }
    }
}

/// The stream of an election's changes, in order, each once.
#[derive(Debug)]
pub struct Changes {
    inbox: mpsc::UnboundedReceiver<Notice>,
}

impl Changes {
    /// The next change; none once the node has ended.
    pub async fn next(&mut self) -> Option<Notice> {
        self.inbox.recv().await
    }

    /// As [`next`](Self::next), for threads outside any runtime.
    ///
    /// # Panics
    /// Inside an asynchronous task.
    pub fn blocking_next(&mut self) -> Option<Notice> {
        self.inbox.blocking_recv()
    }
}

impl Stream for Changes {
    type Item = Notice;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Notice>> {
        self.inbox.poll_recv(cx)
    }
}
