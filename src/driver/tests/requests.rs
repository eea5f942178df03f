//! What comes of requests to step down, for those who lead with the library.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::lease::SessionId;
use crate::request::{Asker, Request, Stage, Wish};
use crate::store::{Content, LeaseStore, Revision};

impl World {
    /// Asks the leader of term 1, and waits for longer than an answer takes.
    async fn asks(&self, wish: Wish) {
        let register = self.register.requests().unwrap();
        let swap = register.swap(None, request(wish).record(term(1), secs(10)));
        assert!(matches!(swap.await.unwrap(), Swap::Swapped { .. }));
        sleep(secs(3)).await;
    }
}

fn request(wish: Wish) -> Request {
    let asker = Asker {
        session: SessionId::from_u128(100),
        host: "h".into(),
        pid: None,
    };
    Request {
        asker,
        wish,
        stage: Stage::Open,
    }
}

fn to(node: &Node) -> Wish {
    Wish::HandOver {
        to: Some(node.me().node_id.clone()),
    }
}

#[tokio::test(start_paused = true)]
async fn work_is_asked_to_end_and_keeps_the_lease_until_it_has() {
    let world = World::new();
    let (a, b) = (world.node("a"), world.node("b"));
    let leadership = a.campaign().await.unwrap();
    let mut changes = a.watch();
    b.stand();
    assert!(takes_forever(leadership.ending()).await);
    world.asks(to(&b)).await;
    leadership.ending().await;
    sleep(secs(3600)).await;
    assert!(leadership.leads() && !b.is_leader());
    let asked = |told: &String| told.starts_with("asked 1 (HandOver");
    assert_eq!(
        told(&mut changes).await.iter().filter(|t| asked(t)).count(),
        1
    );
    leadership.release().await;
    sleep(secs(1)).await;
    assert_eq!(b.term(), Some(term(2)));
}

#[tokio::test(start_paused = true)]
async fn a_standing_node_hands_over_at_once_and_stays_in() {
    let world = World::new();
    let (a, b) = (world.node("a"), world.node("b"));
    let mut changes = a.watch();
    a.stand();
    sleep(secs(1)).await;
    b.stand();
    sleep(secs(3)).await;
    world.asks(to(&b)).await;
    assert_eq!((a.term(), b.term()), (None, Some(term(2))));
    b.stop().await;
    sleep(secs(1)).await;
    assert_eq!(a.term(), Some(term(3)));
    let told = told(&mut changes).await;
    assert!(told[1].starts_with("asked 1 (HandOver"), "{told:?}");
    assert_eq!(told[2], "revoked 1 (HandedOver)");
}

#[tokio::test(start_paused = true)]
async fn run_drops_its_work_when_it_is_asked_to_resign_and_campaigns_again() {
    let world = World::new();
    let a = world.node("a");
    let runs = tokio::spawn({
        let a = a.clone();
        async move {
            a.run(|leadership| async move {
                if leadership.term() == term(1) {
                    std::future::pending::<()>().await;
                }
                leadership.term()
            })
            .await
        }
    });
    sleep(secs(1)).await;
    world.asks(Wish::Resign).await;
    assert_eq!(world.state(), "vacant 1");
    assert_eq!(runs.await.unwrap(), Ok(term(2)));
}

#[tokio::test(start_paused = true)]
async fn who_leads_no_longer_agrees_to_nothing_while_it_gives_the_lease_back() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    let leadership = a.campaign().await.unwrap();
    store.has(Fault::Hangs);
    drop(leadership);
    sleep(Duration::from_millis(1)).await;
    assert!(!a.is_leader());
    world.asks(Wish::Resign).await;
    assert_eq!(world.state(), "a holds 1");
    let seen = world.register.requests().unwrap().read().await.unwrap();
    let Content::Record(record) = seen.unwrap().content else {
        panic!("memory is not garbled")
    };
    let State::Asked(request) = record.state else {
        panic!("it was asked")
    };
    assert_eq!(request.stage, Stage::Open);
}

/// Whoever swaps is told that what it expected is what is in its way.
struct Stubborn(Arc<dyn LeaseStore>);

impl LeaseStore for Stubborn {
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>> {
        self.0.read()
    }

    fn swap(&self, _: Option<Revision>, _: Record) -> Answer<'_, Result<Swap, StoreError>> {
        Box::pin(async { Ok(Swap::Conflict(self.read().await?)) })
    }
}

/// The world notices who spins.
#[tokio::test(start_paused = true)]
async fn a_register_that_takes_no_answer_is_not_asked_again_and_again() {
    let world = World::new();
    let mut stubborn = Plain::new(world.register.clone());
    stubborn.requests = |register| Some(Arc::new(Stubborn(register.requests()?)));
    let a = world.node_on("a", stubborn);
    a.stand();
    sleep(secs(1)).await;
    world.asks(Wish::Resign).await;
    assert!(a.is_leader());
}

/// Its first call is never answered.
struct Deaf(Arc<dyn LeaseStore>, AtomicBool);

impl LeaseStore for Deaf {
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>> {
        match self.1.swap(true, Ordering::Relaxed) {
            true => self.0.read(),
            false => Box::pin(pending()),
        }
    }

    fn swap(&self, seen: Option<Revision>, next: Record) -> Answer<'_, Result<Swap, StoreError>> {
        self.0.swap(seen, next)
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_never_answered_is_given_up_at_the_renew_deadline() {
    let world = World::new();
    let mut store = Plain::new(world.register.clone());
    store.requests = |register| Some(Arc::new(Deaf(register.requests()?, false.into())));
    let a = world.node_on("a", store);
    a.stand();
    sleep(secs(1)).await;
    world.asks(Wish::Resign).await;
    sleep(a.timing().renew_deadline()).await;
    assert_eq!(world.state(), "vacant 1");
}

#[tokio::test(start_paused = true)]
async fn to_step_down_in_another_term_is_asked_of_another() {
    let world = World::new();
    let a = world.node("a");
    let leadership = a.campaign().await.unwrap();
    for (of, ending) in [(2, false), (1, true)] {
        leadership.shared().tell(Command::StepDown {
            term: term(of),
            ending: Ending::Resigned,
            request: request(Wish::Resign),
        });
        let asked_to_end = timeout(secs(1), leadership.ending()).await.is_ok();
        assert_eq!(asked_to_end, ending, "{of}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_of_a_store_that_keeps_none_is_refused() {
    let world = World::new();
    let store = Plain::new(world.register.clone());
    let asked = crate::ask(&store, Wish::Resign, None, pending(), |_| {}).await;
    assert!(matches!(asked, Err(crate::AskError::NotSupported)));
}
