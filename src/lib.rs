//! Leader election: several copies run against one lease, exactly one leads.
//!
//! ```no_run
//! use leader_demo::{FileStore, LockName, Node};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let store = FileStore::open("/var/lib/my-service", &LockName::new("my-service")?)?;
//!     let node = Node::builder("node-1").start(store)?;
//!     node.run(|leadership| async move {
//!         // Leading. This is cancelled when the lease is lost.
//!         println!("term {} is mine", leadership.term());
//!         std::future::pending::<()>().await
//!     })
//!     .await?;
//!     // Waits until the lease is given back.
//!     node.stop().await;
//!     Ok(())
//! }
//! ```
//!
//! # The tour
//!
//! All nodes that use one lock name in one store take part in one **election**.
//! The store keeps one **lease record**: who holds it, or that it is vacant, and
//! its **term**. The term counts leaderships and is never reused, so it is the
//! fencing token. A **leader** renews the record every *retry period*; after the
//! *renew deadline* without success it no longer believes, and only after the
//! longer *lease duration* may a **candidate** take the record.
//!
//! | module | what it is |
//! |---|---|
//! | [`Node`], [`Leadership`], [`Hooks`] | what you hold: a participant, its leadership as a scope, callbacks |
//! | [`Observer`], [`glance`] | following an election without taking part, or one look at it |
//! | [`ask`] | requests to the leader: step down, for a named node or for anyone |
//! | [`release_for`] | giving back what a dead session holds |
//! | [`Liveness`], [`Readiness`], [`Tally`] | how a node is, and what it has counted |
//! | [`Timing`] | the three durations and the inequalities between them |
//! | [`Record`], [`Term`], [`Holder`] | the nouns |
//! | `election` | the rules: a pure value, without clock, I/O or async |
//! | `driver` | the one place where clock, election and store meet |
//! | [`store`] | the contract of a store, and those there are: [`FileStore`], [`MemoryStore`] |
//! | `simulation` | all of this on virtual time, under faults (feature `simulate`) |
//! | [`clock`] | the only file that reads a clock |
//!
//! Why it is safe, and what it does not promise, is in `docs/DESIGN.md`.
//!
//! The library installs no signal handler and no logger, keeps no global state,
//! and runs any number of elections in one process. It needs Linux.

#[cfg(not(target_os = "linux"))]
compile_error!("leader-demo needs Linux: CLOCK_BOOTTIME, timerfd and flock(2) with its rules");

pub mod clock;
#[cfg(feature = "simulate")]
pub mod simulation;
pub mod store;

mod change;
mod driver;
mod election;
mod health;
mod hooks;
mod leadership;
mod lease;
mod name;
mod node;
mod observer;
mod release;
mod request;
#[cfg(test)]
mod search;
mod tally;
mod timing;

pub use change::{Acquired, Change, Notice, Reason};
pub use health::{Liveness, Readiness};
pub use hooks::Hooks;
pub use leadership::Leadership;
pub use lease::{DecodeError, Holder, Record, SessionId, State, Term};
pub use name::{LockName, MAX_NAME_LEN, NameError, NodeId};
pub use node::{Changes, Leader, Node, NodeBuilder, StartError, Stopped};
pub use observer::{Glance, Led, Observer, Seen, Sighting, glance};
pub use release::release_for;
pub use request::{Answered, AskError, Asker, Progress, Request, Stage, Wish, ask, successor_node};
pub use store::file::FileStore;
pub use store::memory::{MemoryRegister, MemoryStore};
pub use tally::{Histogram, Tally};
pub use timing::{Timing, TimingError};
