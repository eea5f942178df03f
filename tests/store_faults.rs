//! Elections on real servers, across a network that fails.
#![cfg(any(feature = "etcd", feature = "postgres", feature = "redis"))]
#![allow(missing_docs, clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Duration;

use leader_demo::store::{Content, LeaseStore, Observed, Server, Swap};
use leader_demo::{Change, LockName, Node, SessionId, Term, Timing, clock};

use rustix::time::{ClockId, clock_gettime};

mod common;

use common::PATIENCE;
use common::record::held;
use common::servers::proxy::{Network, Proxy};

/// Where leases are kept.
trait Place: Send + Sync + 'static {
    fn is_here() -> bool;
    fn shared() -> Arc<Self>;
    fn port(&self) -> u16;
    /// Of what is behind another port.
    fn url(&self, port: u16) -> String;
}

#[cfg(feature = "etcd")]
impl Place for common::servers::etcd::Etcd {
    fn is_here() -> bool {
        common::servers::etcd::is_here()
    }

    fn shared() -> Arc<Self> {
        Self::shared()
    }

    fn port(&self) -> u16 {
        Self::port(self, 0)
    }

    fn url(&self, port: u16) -> String {
        format!("etcd://127.0.0.1:{port}")
    }
}

#[cfg(feature = "redis")]
impl Place for common::servers::redis::Redis {
    fn is_here() -> bool {
        Self::is_here()
    }

    fn shared() -> Arc<Self> {
        Self::shared()
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn url(&self, port: u16) -> String {
        format!("redis://127.0.0.1:{port}")
    }
}

#[cfg(feature = "postgres")]
impl Place for common::servers::postgres::Postgres {
    fn is_here() -> bool {
        common::servers::postgres::is_here()
    }

    fn shared() -> Arc<Self> {
        Self::shared()
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn url(&self, port: u16) -> String {
        self.url("postgres", "")
            .replace(&self.port.to_string(), &port.to_string())
    }
}

/// A lock of its own, and a network for each who takes part.
struct World<P> {
    place: Arc<P>,
    lock_name: LockName,
}

/// 2 s for others to wait, 1.2 s for a leader to believe, a look every 400 ms.
fn timing() -> Timing {
    Timing::new(Duration::from_secs(2), None, None).unwrap()
}

impl<P: Place> World<P> {
    fn new() -> Self {
        Self {
            place: P::shared(),
            lock_name: LockName::new(&SessionId::random().unwrap().to_string()).unwrap(),
        }
    }

    fn network(&self) -> Proxy {
        Proxy::to(self.place.port())
    }

    fn store(&self, network: &Proxy, timing: &Timing) -> Arc<dyn LeaseStore> {
        let server: Server = self.place.url(network.port()).parse().unwrap();
        server.open(&self.lock_name, timing.retry_period()).unwrap()
    }

    fn node(&self, id: &str, network: &Proxy) -> Node {
        self.node_with(id, network, timing())
    }

    fn node_with(&self, id: &str, network: &Proxy, timing: Timing) -> Node {
        let store = self.store(network, &timing);
        let node = Node::builder(id).timing(timing).start(store).unwrap();
        node.stand();
        node
    }
}

/// Waits for what must come, and sees that two never lead meanwhile.
#[track_caller]
fn until<'a>(
    what: &'a str,
    nodes: &'a [&'a Node],
    holds: impl Fn() -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let deadline = clock::now() + PATIENCE;
    async move {
        while !holds() {
            assert!(clock::now() < deadline, "never: {what}");
            let leaders = nodes.iter().filter(|node| node.is_leader());
            assert!(leaders.count() <= 1, "two lead, while waiting for: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn an_answer_that_is_lost_leaves_a_conflict_with_oneself<P: Place>() {
    let world = World::<P>::new();
    let network = world.network();
    let store = world.store(&network, &timing());
    let first = held(1);
    let Swap::Swapped { revision, .. } = store.swap(None, first.clone()).await.unwrap() else {
        panic!("nobody else is here")
    };
    network.becomes(Network::NoAnswers);
    let next = held(2);
    let e = store.swap(Some(revision), next.clone()).await.unwrap_err();
    assert!(!e.is_lasting(), "{e}");
    network.becomes(Network::Well);
    let Swap::Conflict(Some(now)) = store.swap(Some(revision), next.clone()).await.unwrap() else {
        panic!("it had taken effect")
    };
    assert_eq!(now.content, Content::Record(next));
    assert_eq!(store.read().await.unwrap(), Some(now));
}

async fn a_request_that_was_given_up_lands_late_and_undoes_nothing<P: Place>() {
    let world = World::<P>::new();
    let (bad, good) = (world.network(), world.network());
    let (late, other) = (world.store(&bad, &timing()), world.store(&good, &timing()));
    let Swap::Swapped { revision, .. } = late.swap(None, held(1)).await.unwrap() else {
        panic!("nobody else is here")
    };
    bad.becomes(Network::Parted);
    late.swap(Some(revision), held(2)).await.unwrap_err();
    let third = held(3);
    let Swap::Swapped { revision: at, .. } =
        other.swap(Some(revision), third.clone()).await.unwrap()
    else {
        panic!("nothing has landed")
    };
    bad.becomes(Network::Well);
    // It arrives now, if its connection was not closed before.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let expected = Observed {
        revision: at,
        content: Content::Record(third),
    };
    assert_eq!(late.read().await.unwrap(), Some(expected));
}

async fn a_leader_that_is_cut_off_steps_down_before_another_leads<P: Place>() {
    for fault in [Network::Parted, Network::NoAnswers] {
        let world = World::<P>::new();
        let (bad, good) = (world.network(), world.network());
        let first = world.node("first", &bad);
        until("it leads", &[&first], || first.is_leader()).await;
        let next = world.node("next", &good);
        let nodes = [&first, &next];
        until("the other follows", &nodes, || next.leader().is_some()).await;
        bad.becomes(fault);
        let cut_off = clock::now();
        until("the other leads", &nodes, || next.is_leader()).await;
        let waited = clock::now().since(cut_off);
        assert!(
            waited > timing().lease_duration() / 2,
            "too early: {waited:?}"
        );
        bad.becomes(Network::Well);
        until("it follows", &nodes, || first.leader().is_some()).await;
        assert!(next.is_leader());
        assert_eq!(next.term().map(Term::get), Some(2));
    }
}

async fn a_store_that_is_away_for_longer_than_a_lease_has_a_leader_again<P: Place>() {
    let world = World::<P>::new();
    let network = world.network();
    let (a, b) = (world.node("a", &network), world.node("b", &network));
    let nodes = [&a, &b];
    let one_leads = || a.is_leader() || b.is_leader();
    until("one leads", &nodes, one_leads).await;
    network.becomes(Network::Parted);
    until("nobody leads", &nodes, || !one_leads()).await;
    tokio::time::sleep(timing().lease_duration()).await;
    assert!(!one_leads());
    network.becomes(Network::Well);
    let back = clock::now();
    until("one leads again", &nodes, one_leads).await;
    let waited = clock::now().since(back);
    let bound = timing().lease_duration() + timing().retry_period() * 2;
    // Twice that: this machine has other things to do.
    assert!(waited < bound * 2, "{waited:?}");
}

/// In one thread, as the program has it: who spins there steps down never.
async fn a_store_that_is_gone_is_noticed_and_costs_nothing<P: Place>() {
    let thread = std::thread::spawn(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(async {
            let busy = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
            let world = World::<P>::new();
            let network = world.network();
            // Nobody asks again on this one's connection.
            let idle = world.store(&network, &timing());
            idle.read().await.unwrap();
            let node = world.node("a", &network);
            until("it leads", &[&node], || node.is_leader()).await;
            // Until it listens.
            tokio::time::sleep(timing().retry_period() * 2).await;
            let mut changes = node.watch();
            network.becomes(Network::Gone);
            let revoked = async {
                while let Some(notice) = changes.next().await {
                    if matches!(notice.change, Change::Revoked { .. }) {
                        return;
                    }
                }
                panic!("the node has ended");
            };
            tokio::time::timeout(PATIENCE, revoked).await.unwrap();
            let before = busy();
            tokio::time::sleep(Duration::from_secs(2)).await;
            let took = busy() - before;
            assert!(took < Duration::from_millis(500), "{took:?} of 2 s");
            network.becomes(Network::Well);
            until("it leads again", &[&node], || node.is_leader()).await;
        });
    });
    tokio::task::spawn_blocking(|| thread.join().unwrap())
        .await
        .unwrap();
}

async fn a_slow_store_costs_no_leadership<P: Place>() {
    let world = World::<P>::new();
    let network = world.network();
    // Long enough that only the store is slow, and not this machine.
    let timing = Timing::new(Duration::from_secs(5), None, None).unwrap();
    let node = world.node_with("a", &network, timing);
    until("it leads", &[&node], || node.is_leader()).await;
    network.becomes(Network::Slow(timing.retry_period() / 8));
    let until_then = clock::now() + timing.renew_deadline() * 2;
    while clock::now() < until_then {
        assert!(node.is_leader(), "in term {:?}", node.term());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(node.term().map(Term::get), Some(1));
}

async fn who_waits_is_woken_and_asks_seldom<P: Place>() {
    const PERIOD: Duration = Duration::from_secs(2);
    let world = World::<P>::new();
    let patient = Timing::new(Duration::from_secs(60), None, Some(PERIOD)).unwrap();
    let (one, other) = (world.network(), world.network());
    let first = world.node_with("first", &one, patient);
    until("it leads", &[&first], || first.is_leader()).await;
    let next = world.node_with("next", &other, patient);
    until("the other follows", &[&first, &next], || {
        next.leader().is_some()
    })
    .await;
    // Until it listens, and has looked about.
    tokio::time::sleep(PERIOD).await;
    let before = other.requests();
    tokio::time::sleep(PERIOD * 3).await;
    let asked = other.requests() - before;
    // A retry period is up to a fifth shorter than it says.
    assert!(asked <= 4, "{asked} requests in three retry periods");
    let given_back = clock::now();
    let stopped = tokio::spawn(async move { first.stop().await });
    until("the next leads", &[&next], || next.is_leader()).await;
    let waited = clock::now().since(given_back);
    assert!(waited < PERIOD / 2, "{waited:?}: it was not woken");
    let _ = stopped.await;
}

macro_rules! every_place {
    ($($(#[$on:meta])* $module:ident: $place:ty;)*) => {$(
        $(#[$on])*
        mod $module {
            use super::*;
            every_place!(@cases $place:
                an_answer_that_is_lost_leaves_a_conflict_with_oneself
                a_request_that_was_given_up_lands_late_and_undoes_nothing
                a_leader_that_is_cut_off_steps_down_before_another_leads
                a_store_that_is_away_for_longer_than_a_lease_has_a_leader_again
                a_slow_store_costs_no_leadership
                a_store_that_is_gone_is_noticed_and_costs_nothing
                who_waits_is_woken_and_asks_seldom
            );
        }
    )*};
    (@cases $place:ty: $($case:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            if <$place as Place>::is_here() {
                super::$case::<$place>().await;
            }
        }
    )*};
}

every_place! {
    #[cfg(feature = "etcd")]
    etcd: common::servers::etcd::Etcd;
    #[cfg(feature = "redis")]
    redis: common::servers::redis::Redis;
    #[cfg(feature = "postgres")]
    postgres: common::servers::postgres::Postgres;
}
