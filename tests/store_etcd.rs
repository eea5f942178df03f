//! A lease in etcd: real members, and everything that may happen to them.
#![allow(missing_docs, clippy::disallowed_methods)]
#![cfg(feature = "etcd")]

mod common;
#[path = "store_etcd/proxy.rs"]
mod proxy;
#[path = "store_etcd/refused.rs"]
mod refused;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::PATIENCE;
use common::record::{held, observed, swapped};
use common::servers::etcd::{Etcd, is_here};
use leader_demo::store::{Content, LeaseStore, Observed, Server, StoreError, Swap, Wake};
use leader_demo::{LockName, Node, Term};
use proxy::Proxy;
use rustix::process::Signal;
use tokio::time::{sleep, timeout};

/// What the stores have with a server.
const ANSWER: Duration = Duration::from_secs(2);

fn lock() -> LockName {
    LockName::new("lock").unwrap()
}

fn open(url: &str) -> Arc<dyn LeaseStore> {
    url.parse::<Server>()
        .unwrap()
        .open(&lock(), ANSWER)
        .unwrap()
}

/// Until it can be read again.
async fn recovered(store: &impl LeaseStore) -> Option<Observed> {
    let read = async {
        loop {
            match store.read().await {
                Ok(seen) => return seen,
                Err(e) => assert!(!e.is_lasting(), "{e}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, read).await.expect("an answer")
}

async fn refusal(store: &impl LeaseStore) -> StoreError {
    let error = store.read().await.expect_err("an error");
    let said = error.to_string();
    assert!(said.starts_with("etcd at 127.0.0.1:"), "{said}");
    assert!(!said.contains('\n') && !said.contains("secret"), "{said}");
    error
}

/// One that leads, with a lease of `LEASE`.
async fn leader(store: impl LeaseStore) -> Node {
    let node = Node::builder("leader")
        .lease_duration(LEASE)
        .retry_period(Duration::from_millis(500))
        .start(store)
        .unwrap();
    node.stand();
    let leads = async {
        while !node.is_leader() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, leads).await.expect("a leader");
    node
}

const LEASE: Duration = Duration::from_secs(8);

/// Longer than it could without a renewal.
async fn leads_on(node: &Node) {
    let until = Instant::now() + LEASE + Duration::from_secs(2);
    while Instant::now() < until {
        assert_eq!(node.term(), Term::new(1), "lost its lease");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_told_the_new_record_at_once() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &[]);
    let (a, b) = (open(&etcd.url()), open(&etcd.url()));
    let mut at = swapped(&a, None, &held(1)).await;
    b.read().await.unwrap();
    let (mut calls, mut wakes) = (Vec::new(), Vec::new());
    let began = Instant::now();
    b.read().await.unwrap();
    let read = began.elapsed();
    for term in 2..42 {
        let (seen, waiter) = (at, b.clone());
        let wait = tokio::spawn(async move { (waiter.changed(seen).await, Instant::now()) });
        sleep(Duration::from_millis(20)).await;
        let record = held(term);
        let began = Instant::now();
        at = swapped(&a, Some(at), &record).await;
        calls.push(began.elapsed());
        let (wake, told) = timeout(PATIENCE, wait).await.expect("a wake-up").unwrap();
        wakes.push(told - began);
        assert_eq!(wake, Wake::Changed(observed(at, &record)));
    }
    calls.sort_unstable();
    wakes.sort_unstable();
    let (call, wake) = (calls[20], wakes[20]);
    println!("a read takes {read:?}, a swap {call:?}; others know after {wake:?}");
    assert!(wake < call * 10, "{wake:?} after a swap of {call:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_one_round_trip() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &[]);
    let proxy = Proxy::to(etcd.port(0)).await;
    let store = open(&proxy.url());
    store.read().await.unwrap();
    let before = proxy.asked();
    let mut at = None;
    for term in 1..=10 {
        at = Some(swapped(&store, at, &held(term)).await);
        store.read().await.unwrap();
    }
    assert_eq!(proxy.asked() - before, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_store_that_was_dropped() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &[]);
    let proxy = Proxy::to(etcd.port(0)).await;
    let store = open(&proxy.url());
    let at = swapped(&store, None, &held(1)).await;
    let short = Duration::from_millis(200);
    assert!(timeout(short, store.changed(at)).await.is_err());
    assert_eq!(proxy.open(), 2, "one to ask and one to listen");
    drop(store);
    let gone = async {
        while proxy.open() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("their ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_whose_answer_was_lost_is_found_to_be_ones_own() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &[]);
    let proxy = Proxy::to(etcd.port(0)).await;
    let store = open(&proxy.url());
    store.read().await.unwrap();
    let record = held(1);
    proxy.lose_an_answer();
    let swap = store.swap(None, record.clone()).await.unwrap();
    let Swap::Conflict(Some(current)) = swap else {
        panic!("{swap:?}")
    };
    assert_eq!(current.content, Content::Record(record));
    assert_eq!(open(&etcd.url()).read().await.unwrap(), Some(current));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_outlives_a_restart_of_the_server() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &[]);
    let node = leader(open(&etcd.url())).await;
    etcd.kill(0);
    etcd.revive(0);
    etcd.ready(0);
    leads_on(&node).await;
    // Who listens does so again.
    let watcher = open(&etcd.url());
    let seen = watcher.read().await.unwrap().unwrap().revision;
    timeout(PATIENCE, watcher.changed(seen))
        .await
        .expect("a renewal");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_listens_again_after_a_restart() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &[]);
    let (a, b) = (open(&etcd.url()), open(&etcd.url()));
    let first = swapped(&a, None, &held(1)).await;
    let waiter = b.clone();
    let wait = tokio::spawn(async move { waiter.changed(first).await });
    sleep(Duration::from_millis(200)).await;
    etcd.kill(0);
    sleep(Duration::from_millis(200)).await;
    assert!(!wait.is_finished());
    etcd.revive(0);
    etcd.ready(0);
    let next = held(2);
    let second = swapped(&a, Some(first), &next).await;
    let wake = timeout(PATIENCE, wait).await.expect("a wake-up").unwrap();
    assert_eq!(wake, Wake::Changed(observed(second, &next)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_an_error_and_then_none() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &[]);
    let store = open(&etcd.url());
    assert_eq!(store.read().await.unwrap(), None);
    etcd.signal(0, Signal::STOP);
    for _ in 0..2 {
        let began = Instant::now();
        let error = refusal(&store).await;
        assert!(error.to_string().contains("no answer within 2s"), "{error}");
        assert!(!error.is_lasting());
        assert!(began.elapsed() < ANSWER * 2);
    }
    etcd.signal(0, Signal::CONT);
    assert_eq!(recovered(&store).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_lease_is_named_until_it_is_deleted() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &[]);
    let store = open(&format!("{}/team/a", etcd.url()));
    etcd.ctl(&["put", "team/a/lock", "mine"]);
    let error = refusal(&store).await;
    assert!(error.is_lasting());
    assert!(
        error
            .to_string()
            .contains("the key team/a/lock holds something that is not"),
        "{error}"
    );
    etcd.ctl(&["put", "team/a/lock", ""]);
    assert!(refusal(&store).await.is_lasting());
    etcd.ctl(&["del", "team/a/lock"]);
    assert_eq!(store.read().await.unwrap(), None);
    swapped(&store, None, &held(1)).await;
    let keys = etcd.ctl(&["get", "--prefix", "", "--keys-only"]);
    assert_eq!(keys.trim(), "team/a/lock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_told_that_the_key_was_deleted() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &[]);
    let store = open(&etcd.url());
    let at = swapped(&store, None, &held(1)).await;
    let waiter = store.clone();
    let wait = tokio::spawn(async move { waiter.changed(at).await });
    sleep(Duration::from_millis(200)).await;
    // No business of ours, however much they look like it.
    etcd.ctl(&["put", "leader-demo/loc", "x"]);
    etcd.ctl(&["put", "leader-demo/lock2", "x"]);
    etcd.ctl(&["put", "leader-demo/lock:request2", "x"]);
    sleep(Duration::from_millis(200)).await;
    assert!(!wait.is_finished());
    etcd.ctl(&["del", "leader-demo/lock"]);
    let wake = timeout(PATIENCE, wait).await.expect("a wake-up").unwrap();
    assert_eq!(wake, Wake::Changed(None));
    assert!(
        timeout(Duration::from_millis(200), store.moved_on(None))
            .await
            .is_err(),
        "it is gone, and stays so"
    );
    // Made again, it is not what it was.
    let again = swapped(&store, None, &held(1)).await;
    assert_ne!(again, at);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_takes_nothing_from_who_waits() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &[]);
    let (a, b) = (open(&etcd.url()), open(&etcd.url()));
    let first = swapped(&a, None, &held(1)).await;
    let waiter = b.clone();
    let wait = tokio::spawn(async move { waiter.changed(first).await });
    sleep(Duration::from_millis(200)).await;
    for _ in 0..5 {
        etcd.ctl(&["put", "other", "x"]);
    }
    let now = first.parts()[0] + 5;
    etcd.ctl(&["compact", "--physical", &now.to_string()]);
    sleep(Duration::from_millis(200)).await;
    assert!(!wait.is_finished());
    let next = held(2);
    let second = swapped(&a, Some(first), &next).await;
    let wake = timeout(PATIENCE, wait).await.expect("a wake-up").unwrap();
    assert_eq!(wake, Wake::Changed(observed(second, &next)));
}

/// At the same address and with the same numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_is_not_taken_for_the_same() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &[]);
    let store = open(&etcd.url());
    let first = swapped(&store, None, &held(1)).await;
    etcd.kill(0);
    etcd.forget(0);
    etcd.revive_with(0, &["--initial-cluster-token", "another"]);
    etcd.ready(0);
    let second = swapped(&open(&etcd.url()), None, &held(2)).await;
    assert_eq!(second.parts()[0], first.parts()[0], "the case in question");
    assert_ne!(second, first);
    let swap = store.swap(Some(first), held(3)).await;
    let error = swap.expect_err("nobody knows").to_string();
    assert!(error.contains("another cluster"), "{error}");
    // It is as it says: it did take effect.
    let seen = store.read().await.unwrap().unwrap();
    swapped(&store, Some(seen.revision), &held(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_outlives_a_member_and_the_leader_of_the_members() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(3, &[]);
    let node = leader(open(&etcd.url())).await;
    // The one that it is connected to, and later the one that leads.
    for _ in 0..2 {
        etcd.kill(0);
        leads_on(&node).await;
        etcd.revive(0);
        etcd.ready(0);
        let leader = etcd.leader();
        etcd.kill(leader);
        leads_on(&node).await;
        etcd.revive(leader);
        etcd.ready(leader);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_frozen_member_one_goes_on_to_another() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(3, &[]);
    let store = open(&etcd.url());
    let record = held(1);
    let at = swapped(&store, None, &record).await;
    etcd.signal(0, Signal::STOP);
    // It may have led the others, who then have to agree on another.
    assert_eq!(recovered(&store).await, observed(at, &record));
    let began = Instant::now();
    assert_eq!(store.read().await.unwrap(), observed(at, &record));
    assert!(began.elapsed() < ANSWER / 2, "it stays with the other");
    etcd.signal(0, Signal::CONT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_there_is_no_answer_and_with_one_there_is() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(3, &[]);
    let store = open(&etcd.url());
    let record = held(1);
    let at = swapped(&store, None, &record).await;
    etcd.kill(1);
    etcd.kill(2);
    // What it has was the truth, and it is not asked for that.
    for _ in 0..3 {
        assert!(!refusal(&store).await.is_lasting());
        let error = store
            .swap(Some(at), held(2))
            .await
            .expect_err("no majority");
        assert!(!error.is_lasting(), "{error}");
    }
    // A member alone says so, soon.
    let alone = open(&format!("etcd://127.0.0.1:{}", etcd.port(0)));
    let says_so = async { while !refusal(&alone).await.to_string().contains("no leader") {} };
    timeout(PATIENCE, says_so).await.expect("a word");
    etcd.revive(1);
    let seen = recovered(&store).await.expect("it is there");
    // The swaps that nobody could answer may have taken effect, one of them.
    let next = swapped(&store, Some(seen.revision), &held(3)).await;
    assert_eq!(store.read().await.unwrap().unwrap().revision, next);
}
