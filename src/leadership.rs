//! Leadership as a scope: while the value lives, the lease is kept.

use std::sync::Arc;

use crate::clock::BootTime;
use crate::driver::{Command, Standing};
use crate::lease::{Record, Term};
use crate::node::Shared;
use crate::store::Witness;

/// One leadership, from [`Node::campaign`](crate::Node::campaign).
///
/// Whoever does a leader's work owns this value, and drops it when the work has
/// stopped: only then is the lease given back. It is renewed all the while,
/// until it is lost; [`lost`](Self::lost) says when, [`leads`](Self::leads)
/// answers at any moment.
///
/// ```
/// # use leader_demo::{LockName, MemoryStore, Node};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = MemoryStore::new().register(&LockName::new("lock")?);
/// let node = Node::builder("node-1").start(store)?;
/// let leadership = node.campaign().await?;
/// tokio::select! {
///     () = leadership.lost() => println!("somebody else may lead now: stop"),
///     () = the_work(leadership.term()) => leadership.release().await,
/// }
/// # Ok(()) }
/// # async fn the_work(fencing_token: leader_demo::Term) { assert_eq!(fencing_token.get(), 1) }
/// ```
#[derive(Debug)]
#[must_use = "the lease is given back when this is dropped"]
pub struct Leadership {
    shared: Arc<Shared>,
    term: Term,
    resign: bool,
    /// Kept while the work may run: to others on this machine it means just that.
    witness: Option<Witness>,
}

impl Leadership {
    pub(crate) fn new(shared: Arc<Shared>, term: Term, witness: Option<Witness>) -> Self {
        Self {
            shared,
            term,
            resign: false,
            witness,
        }
    }

    /// The number of this leadership: the fencing token. Send it along with
    /// whatever the leader does, and let the resource refuse lower ones.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Whether this leadership holds *now*. Ask right before it matters; a
    /// process frozen between asking and acting still acts late, which is what
    /// [`term`](Self::term) is for.
    pub fn leads(&self) -> bool {
        self.shared.leads() == Some(self.term)
    }

    /// Ends when the leadership is lost: the work must stop.
    pub async fn lost(&self) {
        let term = self.term;
        self.shared.when(|s| belief_ended(s, term)).await;
    }

    /// Ends when the work should stop: the leadership is lost, or somebody
    /// asked the node to resign or stop. In the latter case there is time: the
    /// lease is renewed until this value is dropped.
    pub async fn ending(&self) {
        let term = self.term;
        self.shared
            .when(|s| s.ending || belief_ended(s, term))
            .await;
    }

    /// Gives the lease back and waits until that is done, or was tried for as
    /// long as it made sense. Dropping does the same without waiting.
    pub async fn release(self) {
        let (shared, term) = (self.shared.clone(), self.term);
        drop(self);
        shared.when(|s| s.holds != Some(term)).await;
    }

    /// As [`release`](Self::release), so that *somebody else* leads: this node
    /// stays out of the election for one lease duration.
    pub async fn resign(mut self) {
        self.resign = true;
        self.release().await;
    }

    /// Waits until the belief in this leadership ends later than `after`, and
    /// says when it ends. None once it is lost, as [`lost`](Self::lost) says.
    pub async fn renewed(&self, after: BootTime) -> Option<BootTime> {
        let end = |standing: &Standing| {
            let belief = standing.belief.as_ref()?;
            (belief.term == self.term).then_some(belief.valid_until)
        };
        self.shared
            .first(|s| end(s).is_none_or(|end| end > after).then(|| end(s)))
            .await?
    }

    /// The record by which others know of this leadership; what
    /// [`LeaseStore::begin_work`](crate::store::LeaseStore::begin_work) asks for.
    pub fn record(&self) -> Record {
        self.shared.record(self.term)
    }

    /// What proves to the store that this leadership lives, if the store has
    /// such a thing. A child process that does the leader's work may inherit
    /// it, so that nobody on this machine takes the holder for dead while the
    /// work is alive.
    pub fn witness(&self) -> Option<&Witness> {
        self.witness.as_ref()
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }
}

pub(crate) fn belief_ended(standing: &Standing, term: Term) -> bool {
    standing.belief.as_ref().is_none_or(|b| b.term != term)
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.shared.tell(Command::ScopeEnded {
            term: self.term,
            resign: self.resign,
        });
    }
}
