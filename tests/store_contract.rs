//! The promises of `LeaseStore`, checked for every store there is.
//!
//! A new store adds one line at the end.
#![allow(missing_docs, clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Duration;

use leader_demo::store::{Content, LeaseStore, Life, Observed, Revision, Swap, Wake};
use leader_demo::{FileStore, Holder, LockName, MemoryStore, Node, NodeId, Record, SessionId};
use tokio::time::timeout;

mod common;
#[path = "store_contract/watching.rs"]
mod watching;

use common::PATIENCE;
use common::record::{held, held_by, observed, swapped, vacant};
use watching::*;

/// Somewhere to open one register as often as there are participants, as
/// different processes would.
trait Home: Send + Sync + 'static {
    type Store: LeaseStore;
    /// Whether what it needs is installed.
    fn is_here() -> bool {
        true
    }
    fn new() -> Self;
    fn open(&self) -> Self::Store;
}

struct Files(tempfile::TempDir);

impl Home for Files {
    type Store = FileStore;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> FileStore {
        FileStore::open(self.0.path(), &LockName::new("contract").unwrap()).unwrap()
    }
}

/// A store that was chosen at run time.
struct Chosen(Files);

impl Home for Chosen {
    type Store = Arc<dyn LeaseStore>;

    fn new() -> Self {
        Self(Files::new())
    }

    fn open(&self) -> Self::Store {
        Arc::new(self.0.open())
    }
}

struct Memory(MemoryStore);

impl Home for Memory {
    type Store = leader_demo::MemoryRegister;

    fn new() -> Self {
        Self(MemoryStore::new())
    }

    fn open(&self) -> Self::Store {
        self.0.register(&LockName::new("contract").unwrap())
    }
}

#[cfg(feature = "etcd")]
struct Etcd(Arc<common::servers::etcd::Etcd>, LockName);

#[cfg(feature = "etcd")]
impl Home for Etcd {
    type Store = Arc<dyn LeaseStore>;

    fn is_here() -> bool {
        common::servers::etcd::is_here()
    }

    fn new() -> Self {
        Self(common::servers::etcd::Etcd::shared(), lock_of_its_own())
    }

    fn open(&self) -> Self::Store {
        open(&self.0.url(), &self.1)
    }
}

#[cfg(feature = "redis")]
struct Redis(Arc<common::servers::redis::Redis>, LockName);

#[cfg(feature = "redis")]
impl Home for Redis {
    type Store = Arc<dyn LeaseStore>;

    fn is_here() -> bool {
        common::servers::redis::Redis::is_here()
    }

    fn new() -> Self {
        Self(common::servers::redis::Redis::shared(), lock_of_its_own())
    }

    fn open(&self) -> Self::Store {
        open(&self.0.url(), &self.1)
    }
}

#[cfg(feature = "postgres")]
struct Postgres(Arc<common::servers::postgres::Postgres>, LockName);

#[cfg(feature = "postgres")]
impl Home for Postgres {
    type Store = Arc<dyn LeaseStore>;

    fn is_here() -> bool {
        common::servers::postgres::is_here()
    }

    fn new() -> Self {
        Self(
            common::servers::postgres::Postgres::shared(),
            lock_of_its_own(),
        )
    }

    fn open(&self) -> Self::Store {
        open(&self.0.url("postgres", ""), &self.1)
    }
}

/// On a server that others use at the time.
#[cfg(any(feature = "etcd", feature = "postgres", feature = "redis"))]
fn lock_of_its_own() -> LockName {
    LockName::new(&SessionId::random().unwrap().to_string()).unwrap()
}

#[cfg(any(feature = "etcd", feature = "postgres", feature = "redis"))]
fn open(url: &str, lock_name: &LockName) -> Arc<dyn LeaseStore> {
    let server: leader_demo::store::Server = url.parse().unwrap();
    server.open(lock_name, Duration::from_secs(2)).unwrap()
}

fn holder() -> Holder {
    Holder::here(NodeId::new("n").unwrap()).unwrap()
}

async fn conflict(
    store: &impl LeaseStore,
    expected: Option<Revision>,
    next: Record,
) -> Option<Observed> {
    match store.swap(expected, next).await.unwrap() {
        Swap::Conflict(current) => current,
        Swap::Swapped { .. } => panic!("swapped from {expected:?}"),
    }
}

async fn what_was_never_written_is_absent<H: Home>() {
    let home = H::new();
    assert_eq!(home.open().read().await.unwrap(), None);
}

async fn everybody_reads_what_was_swapped_in<H: Home>() {
    let home = H::new();
    let (a, b) = (home.open(), home.open());
    let mut at = None;
    for record in [
        held(1),
        vacant(1, None),
        vacant(2, Some(SessionId::from_u128(7))),
    ] {
        let revision = swapped(&a, at, &record).await;
        assert_ne!(Some(revision), at);
        assert_eq!(a.read().await.unwrap(), observed(revision, &record));
        assert_eq!(b.read().await.unwrap(), observed(revision, &record));
        at = Some(revision);
    }
}

async fn a_conflict_carries_the_current_record<H: Home>() {
    let home = H::new();
    let (a, b) = (home.open(), home.open());
    let (first, second) = (held(1), held(2));
    let one = swapped(&a, None, &first).await;
    assert_eq!(conflict(&b, None, held(5)).await, observed(one, &first));
    let two = swapped(&b, Some(one), &second).await;
    // From a revision that is over, to one's own record or another's.
    assert_eq!(
        conflict(&a, Some(one), first.clone()).await,
        observed(two, &second)
    );
    assert_eq!(
        conflict(&b, Some(one), second.clone()).await,
        observed(two, &second)
    );
    assert_eq!(conflict(&a, None, first).await, observed(two, &second));
    assert_eq!(a.read().await.unwrap(), observed(two, &second));
}

async fn an_equal_record_makes_a_new_revision<H: Home>() {
    let home = H::new();
    let store = home.open();
    let record = held(1);
    let Swap::Swapped {
        revision: mut at,
        witness: _kept,
    } = store.swap(None, record.clone()).await.unwrap()
    else {
        panic!("nobody else is here")
    };
    for _ in 0..100 {
        let next = swapped(&store, Some(at), &record).await;
        assert_ne!(next, at);
        assert_eq!(
            conflict(&store, Some(at), record.clone()).await,
            observed(next, &record)
        );
        at = next;
    }
}

async fn a_release_keeps_the_term<H: Home>() {
    let home = H::new();
    let store = home.open();
    let one = swapped(&store, None, &held(41)).await;
    let two = swapped(&store, Some(one), &vacant(41, None)).await;
    let Some(Observed {
        content: Content::Record(record),
        ..
    }) = store.read().await.unwrap()
    else {
        panic!("there is a record")
    };
    assert_eq!(record.term.get(), 41);
    assert_eq!(record.holder(), None);
    swapped(&home.open(), Some(two), &held(42)).await;
}

/// Fifty writers count in the term field. No two successes may have started
/// from one revision: they would have counted to the same number.
async fn swaps_are_linearizable_under_fifty_writers<H: Home>() {
    const WRITERS: u64 = 50;
    const EACH: usize = 4;
    let home = Arc::new(H::new());
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let home = home.clone();
            tokio::spawn(async move {
                let store = home.open();
                let me = holder();
                let mut mine = Vec::new();
                let mut seen = store.read().await.unwrap();
                while mine.len() < EACH {
                    let (at, term) = (seen.as_ref().map(|o| o.revision), count(&seen));
                    match store.swap(at, held_by(me.clone(), term + 1)).await.unwrap() {
                        Swap::Swapped { .. } => {
                            mine.push(term + 1);
                            seen = store.read().await.unwrap();
                            assert!(count(&seen) > term, "a read older than a swap");
                        }
                        Swap::Conflict(current) => seen = current,
                    }
                }
                mine
            })
        })
        .collect();
    let mut successes = Vec::new();
    for writer in writers {
        successes.extend(
            timeout(PATIENCE, writer)
                .await
                .expect("no livelock")
                .unwrap(),
        );
    }
    let last = count(&home.open().read().await.unwrap());
    assert!(successes.iter().all(|s| *s <= last), "a success was undone");
    successes.sort_unstable();
    successes.dedup();
    assert_eq!(
        successes.len(),
        WRITERS as usize * EACH,
        "two successes from one revision"
    );
}

fn count(seen: &Option<Observed>) -> u64 {
    match seen {
        None => 0,
        Some(Observed {
            content: Content::Record(record),
            ..
        }) => record.term.get(),
        other => panic!("{other:?}"),
    }
}

async fn a_wait_ends_when_the_record_changes_hands<H: Home>() {
    let home = H::new();
    let (a, b) = (home.open(), home.open());
    let record = held(1);
    let Swap::Swapped { revision, witness } = a.swap(None, record).await.unwrap() else {
        panic!("nobody else is here")
    };
    let mut wait = b.changed(revision);
    assert!(timeout(Duration::from_millis(50), &mut wait).await.is_err());
    let given_back = vacant(1, None);
    let next = swapped(&a, Some(revision), &given_back).await;
    drop(witness);
    let wake = timeout(PATIENCE, wait).await.expect("a wake-up");
    // Given back, which is not the same as dead.
    let Wake::Changed(seen) = wake else {
        panic!("{wake:?}")
    };
    assert!(
        seen.is_none() || seen == observed(next, &given_back),
        "{seen:?}"
    );
}

async fn a_hundred_candidates_elect_one<H: Home>() {
    let home = H::new();
    let nodes: Vec<_> = (0..100)
        .map(|i| {
            let node = Node::builder(format!("node-{i}"))
                .lease_duration(Duration::from_secs(600))
                .retry_period(Duration::from_secs(1))
                .start(home.open())
                .unwrap();
            node.stand();
            node
        })
        .collect();
    let agreed = async {
        loop {
            let leaders: Vec<_> = nodes
                .iter()
                .map(|n| n.leader().map(|l| l.holder.session))
                .collect();
            if leaders[0].is_some() && leaders.iter().all(|l| *l == leaders[0]) {
                return;
            }
            assert!(nodes.iter().filter(|n| n.is_leader()).count() <= 1);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, agreed).await.expect("agreement");
    assert_eq!(nodes.iter().filter(|n| n.is_leader()).count(), 1);
}

async fn an_abandoned_call_does_no_harm<H: Home>() {
    let home = H::new();
    let store = home.open();
    let me = holder();
    for term in 1..50 {
        drop(store.swap(None, held_by(me.clone(), term)));
        drop(store.read());
    }
    // It may have taken effect, once, or not.
    assert!(count(&store.read().await.unwrap()) < 50);
}

async fn work_is_found_by_later_terms_while_its_witness_is_kept<H: Home>() {
    let home = H::new();
    let (a, b) = (home.open(), home.open());
    let Swap::Swapped {
        revision: first,
        witness,
    } = a.swap(None, held(1)).await.unwrap()
    else {
        panic!("nobody else is here")
    };
    let work = a.begin_work(held(1)).await.unwrap();
    assert!(work.before.is_empty(), "there was none: {work:?}");
    assert_eq!(work.witness.is_some(), witness.is_some());
    swapped(&b, Some(first), &held(2)).await;
    let before = b.begin_work(held(2)).await.unwrap().before;
    let terms: Vec<_> = before.iter().map(|remains| remains.term.get()).collect();
    let Some(witness) = work.witness else {
        return assert!(terms.is_empty(), "what has no witness cannot be found");
    };
    assert_eq!(terms, [1]);
    let mut gone = Box::pin(before[0].gone());
    assert!(timeout(Duration::from_millis(50), &mut gone).await.is_err());
    drop(witness);
    timeout(PATIENCE, gone).await.expect("the end of the work");
}

async fn nobody_is_taken_for_what_it_is_not<H: Home>() {
    let home = H::new();
    let (a, b) = (home.open(), home.open());
    let Swap::Swapped {
        revision: first,
        witness,
    } = a.swap(None, held(1)).await.unwrap()
    else {
        panic!("nobody else is here")
    };
    let is_known = witness.is_some();
    let life = b.life(first).await.unwrap();
    let lives = if is_known { Life::Alive } else { Life::Unknown };
    assert_eq!(life, lives);
    let second = swapped(&a, Some(first), &vacant(1, None)).await;
    assert_eq!(b.life(second).await.unwrap(), Life::Unknown);
    drop(witness);
    // It has given back, and is not dead for that.
    assert_ne!(b.life(first).await.unwrap(), Life::Dead);
    assert_eq!(b.life(second).await.unwrap(), Life::Unknown);
    let never = Revision::new([7; 4]);
    assert_eq!(b.life(never).await.unwrap(), Life::Unknown);
}

macro_rules! every_store {
    ($($(#[$on:meta])* $module:ident: $home:ty;)*) => {$(
        $(#[$on])*
        mod $module {
            use super::*;
            every_store!(@cases $home:
                what_was_never_written_is_absent
                everybody_reads_what_was_swapped_in
                a_conflict_carries_the_current_record
                an_equal_record_makes_a_new_revision
                a_release_keeps_the_term
                swaps_are_linearizable_under_fifty_writers
                a_wait_ends_when_the_record_changes_hands
                a_hundred_candidates_elect_one
                an_abandoned_call_does_no_harm
                work_is_found_by_later_terms_while_its_witness_is_kept
                nobody_is_taken_for_what_it_is_not
                who_watches_is_told_of_every_swap
                what_was_between_is_all_there_or_not_said
                requests_are_a_register_of_their_own
            );
        }
    )*};
    (@cases $home:ty: $($case:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            if <$home>::is_here() {
                super::$case::<$home>().await;
            }
        }
    )*};
}

every_store! {
    file: Files;
    memory: Memory;
    chosen: Chosen;
    #[cfg(feature = "etcd")]
    etcd: Etcd;
    #[cfg(feature = "redis")]
    redis: Redis;
    #[cfg(feature = "postgres")]
    postgres: Postgres;
}
