//! Callbacks: a thin adapter over the stream of changes.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::change::{Change, Reason};
use crate::lease::{Holder, Term};
use crate::node::Node;

type Hook<A> = Box<dyn FnMut(A) + Send>;

/// What to call when things change.
///
/// The calls come in order, once for each change and never two at a time, on a
/// thread of their own: one that is slow delays the next call, one that panics
/// is logged, and neither touches the lease. So by the time a hook runs its
/// news may be old: ask [`Node::term`] before acting on it.
///
/// ```
/// # use leader_demo::{Hooks, LockName, MemoryStore, Node};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = MemoryStore::new().register(&LockName::new("lock")?);
/// let node = Node::builder("node-1").start(store)?;
/// Hooks::new()
///     .on_elected(|term| println!("leading in term {term}"))
///     .on_revoked(|term, why| println!("no longer leading in term {term}: {why:?}"))
///     .on_new_leader(|leader, term| println!("{} leads in term {term}", leader.node_id))
///     .attach(&node)?;
/// node.stand();
/// # Ok(()) }
/// ```
#[derive(Default)]
pub struct Hooks {
    elected: Option<Hook<Term>>,
    revoked: Option<Hook<(Term, Reason)>>,
    new_leader: Option<Hook<(Holder, Term)>>,
    no_leader: Option<Hook<()>>,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

impl Hooks {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// This node leads, in this term.
    pub fn on_elected(mut self, hook: impl FnMut(Term) + Send + 'static) -> Self {
        self.elected = Some(Box::new(hook));
        self
    }

    /// This node's leadership of that term is over.
    pub fn on_revoked(mut self, mut hook: impl FnMut(Term, Reason) + Send + 'static) -> Self {
        self.revoked = Some(Box::new(move |(term, why)| hook(term, why)));
        self
    }

    /// Another node leads, in this term.
    pub fn on_new_leader(mut self, mut hook: impl FnMut(Holder, Term) + Send + 'static) -> Self {
        self.new_leader = Some(Box::new(move |(leader, term)| hook(leader, term)));
        self
    }

    /// Nobody is known to lead.
    pub fn on_no_leader(mut self, mut hook: impl FnMut() + Send + 'static) -> Self {
        self.no_leader = Some(Box::new(move |()| hook()));
        self
    }

    /// Calls them for all that happens to `node` from now on, beginning with
    /// who leads at present; ends with the node.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn attach(mut self, node: &Node) -> io::Result<()> {
        let mut changes = node.watch();
        std::thread::Builder::new()
            .name("leader-hooks".into())
            .spawn(move || {
                while let Some(notice) = changes.blocking_next() {
                    self.call(notice.change);
                }
            })?;
        Ok(())
    }

    fn call(&mut self, change: Change) {
        match change {
            Change::Elected { term, .. } => call(&mut self.elected, term),
            Change::Revoked { term, reason, .. } => call(&mut self.revoked, (term, reason)),
            Change::NewLeader { leader, term } => call(&mut self.new_leader, (leader, term)),
            Change::NoLeader => call(&mut self.no_leader, ()),
            Change::Asked { .. }
            | Change::Warning(_)
            | Change::StoreFailed(_)
            | Change::StoreRecovered => {}
        }
    }
}

fn call<A>(hook: &mut Option<Hook<A>>, about: A) {
    if let Some(hook) = hook
        // What the panic left half done is the hook's own.
        && catch_unwind(AssertUnwindSafe(|| hook(about))).is_err()
    {
        tracing::error!("a hook panicked; the election goes on");
    }
}
