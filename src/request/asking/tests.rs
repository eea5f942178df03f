//! An asker whose leader and store are played by hand, in virtual time.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::driver::tests::world::{Fault, Faulty, World, secs};
use crate::lease::{SessionId, Term};
use crate::name::NodeId;
use crate::store::memory::MemoryRegister;
use crate::store::{Answer, Revision};

/// A lease that can be made to misbehave, and requests with which somebody
/// meddles at the worst moment.
#[derive(Clone)]
struct Played {
    lease: Faulty,
    requests: Arc<Meddled>,
}

struct Meddled {
    requests: Arc<dyn LeaseStore>,
    lease: MemoryRegister,
    /// Before the next read, the lease is given back and another asks.
    overtakes: AtomicBool,
    /// The next swap takes effect, and is answered as one that came too late.
    repeats: AtomicBool,
}

impl LeaseStore for Played {
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>> {
        self.lease.read()
    }

    fn swap(
        &self,
        expected: Option<Revision>,
        next: Record,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        self.lease.swap(expected, next)
    }

    fn requests(&self) -> Option<Arc<dyn LeaseStore>> {
        Some(self.requests.clone())
    }
}

impl LeaseStore for Meddled {
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>> {
        Box::pin(async {
            if self.overtakes.swap(false, Ordering::Relaxed) {
                let successor = None;
                write(&self.lease, lease(State::Vacant { successor })).await;
                write(&*self.requests, request(Stage::Open)).await;
            }
            self.requests.read().await
        })
    }

    fn swap(
        &self,
        expected: Option<Revision>,
        next: Record,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        Box::pin(async move {
            let swap = self.requests.swap(expected, next).await?;
            match self.repeats.swap(false, Ordering::Relaxed) {
                true => Ok(Swap::Conflict(self.requests.read().await?)),
                false => Ok(swap),
            }
        })
    }
}

fn lease(state: State) -> Record {
    Record {
        term: Term::new(1).unwrap(),
        lease_duration: secs(10),
        state,
    }
}

fn holder(session: u128) -> Holder {
    Holder {
        node_id: NodeId::new("a").unwrap(),
        session: SessionId::from_u128(session),
        host: "h".into(),
        pid: None,
        boot_id: None,
    }
}

/// Of another asker, about the first leadership.
fn request(stage: Stage) -> Record {
    let asker = Asker {
        session: SessionId::from_u128(100),
        host: "h".into(),
        pid: None,
    };
    let wish = Wish::Resign;
    Request { asker, wish, stage }.record(Term::new(1).unwrap(), secs(10))
}

async fn write(register: &dyn LeaseStore, record: Record) {
    let seen = register.read().await.unwrap();
    let swap = register.swap(seen.map(|seen| seen.revision), record).await;
    assert!(matches!(swap.unwrap(), Swap::Swapped { .. }));
}

/// Node `a` leads in term 1, and reacts to nothing.
async fn played() -> (World, Played) {
    let world = World::new();
    let register = world.register.clone();
    write(&register, lease(State::Held(holder(1)))).await;
    let requests = Meddled {
        requests: register.requests().unwrap(),
        lease: register.clone(),
        overtakes: AtomicBool::new(false),
        repeats: AtomicBool::new(false),
    };
    let played = Played {
        lease: Faulty::new(register),
        requests: Arc::new(requests),
    };
    (world, played)
}

/// The leader's part, played by hand: it agrees to step down.
async fn accept(store: &Played, successor: Option<SessionId>) {
    let seen = store.requests.read().await.unwrap();
    let mut accepted = record(seen.as_ref()).unwrap().clone();
    let State::Asked(asked) = &mut accepted.state else {
        panic!("it was asked")
    };
    asked.stage = Stage::Accepted { successor };
    write(&*store.requests, accepted).await;
}

fn to_b() -> Wish {
    Wish::HandOver {
        to: Some(NodeId::new("b").unwrap()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_not_waited_for_for_ever() {
    let (world, store) = played().await;
    store.lease.has(Fault::Hangs);
    let (from, never) = (world.now(), pending());
    let asked = ask_by(&*world.clock(), &store, to_b(), None, never, |_| {}).await;
    assert!(matches!(asked, Err(AskError::Store(_))), "{asked:?}");
    assert_eq!(world.now().since(from), ANSWER);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_asked_again_until_the_request_stands_no_longer() {
    let (world, store) = played().await;
    let breaks = |_| store.lease.has(Fault::Fails);
    let from = world.now();
    let asked = ask_by(&*world.clock(), &store, to_b(), None, pending(), breaks).await;
    assert!(matches!(asked, Err(AskError::Store(_))), "{asked:?}");
    let took = world.now().since(from);
    assert!((secs(10)..=secs(10) + LOOK).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_withdrawn_the_moment_it_stands_no_longer() {
    let (world, store) = played().await;
    // No multiple of the pause between two looks.
    let patience = secs(10) + Duration::from_millis(7);
    let from = world.now();
    let clock = world.clock();
    let asked = ask_by(&*clock, &store, to_b(), Some(patience), pending(), |_| {}).await;
    assert!(
        matches!(asked, Err(AskError::NotConfirmed { .. })),
        "{asked:?}"
    );
    assert_eq!(world.now().since(from), patience);
}

#[tokio::test(start_paused = true)]
async fn who_leads_in_the_end_is_the_successor_or_said_to_be_another() {
    for (leads, handed_over) in [(2, true), (3, false)] {
        let (world, store) = played().await;
        let clock = world.clock();
        let asks = ask_by(&*clock, &store, to_b(), None, pending(), |_| {});
        let goes_on = async {
            tokio::time::sleep(secs(1)).await;
            accept(&store, Some(SessionId::from_u128(2))).await;
            let next = Record {
                term: Term::new(2).unwrap(),
                ..lease(State::Held(holder(leads)))
            };
            write(&world.register, next).await;
        };
        let (asked, ()) = tokio::join!(asks, goes_on);
        match asked {
            Ok(Answered::HandedOver { to, .. }) if handed_over => {
                assert_eq!(to.holder, holder(leads));
            }
            Err(AskError::AnotherLeads { now, .. }) if !handed_over => {
                assert_eq!(now.holder, holder(leads));
            }
            asked => panic!("{asked:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_cancels_is_heard_also_while_the_store_fails_or_hangs() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let (world, store) = played().await;
        let cancel = async {
            tokio::time::sleep(secs(60)).await;
        };
        let breaks = |_| store.lease.has(fault);
        let day = Some(Timing::LONGEST);
        let from = world.now();
        let asked = ask_by(&*world.clock(), &store, to_b(), day, cancel, breaks).await;
        // Nobody knows what comes of it.
        assert!(matches!(asked, Err(AskError::Store(_))), "{asked:?}");
        let took = world.now().since(from);
        assert!((secs(60)..=secs(60) + ANSWER).contains(&took), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_stands_for_a_time_that_others_believe() {
    for (patience, stands) in [
        (Some(Duration::ZERO), Timing::SHORTEST),
        (Some(Duration::MAX), Timing::LONGEST),
        (None, secs(10)),
    ] {
        let (world, store) = played().await;
        let mut told = Vec::new();
        let cancel = tokio::time::sleep(secs(1));
        let clock = world.clock();
        let asked = ask_by(&*clock, &store, to_b(), patience, cancel, |p| told.push(p)).await;
        assert!(asked.is_err());
        assert!(
            matches!(&told[..], [Progress::Asked(_, s)] if *s == stands),
            "{told:?}"
        );
        let left = store.requests.read().await.unwrap();
        let left = record(left.as_ref()).unwrap().encode();
        assert!(Record::decode(&left).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_granted_is_said_to_be_although_another_has_asked_since() {
    let (world, store) = played().await;
    let (told, tell) = (Mutex::new(Vec::new()), store.requests.clone());
    let clock = world.clock();
    let asks = ask_by(&*clock, &store, Wish::Resign, None, pending(), |progress| {
        // Between a look at the lease and one at the request.
        let accepted = progress == Progress::Accepted;
        tell.overtakes.store(accepted, Ordering::Relaxed);
        told.lock().unwrap().push(progress);
    });
    let accepts = async {
        tokio::time::sleep(secs(1)).await;
        accept(&store, None).await;
    };
    let (asked, ()) = tokio::join!(asks, accepts);
    assert!(matches!(asked, Ok(Answered::Resigned)), "{asked:?}");
    assert_eq!(
        told.lock().unwrap()[1..],
        [Progress::Accepted, Progress::Released]
    );
}

#[tokio::test(start_paused = true)]
async fn its_own_withdrawal_is_nobody_s_confirmation() {
    let (world, store) = played().await;
    let mut told = 0;
    let clock = world.clock();
    let asked = ask_by(&*clock, &store, to_b(), None, pending(), |_| {
        store.requests.repeats.store(true, Ordering::Relaxed);
        told += 1;
    })
    .await;
    assert!(
        matches!(asked, Err(AskError::NotConfirmed { .. })),
        "{asked:?}"
    );
    assert_eq!(told, 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_in_a_directory_made_again_is_another_although_its_term_is_the_same() {
    let (world, store) = played().await;
    let clock = world.clock();
    let asks = ask_by(&*clock, &store, to_b(), None, pending(), |_| {});
    let made_again = async {
        tokio::time::sleep(secs(1)).await;
        write(&world.register, lease(State::Held(holder(2)))).await;
    };
    let (asked, ()) = tokio::join!(asks, made_again);
    assert!(matches!(asked, Err(AskError::Ended { .. })), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_agreed_is_waited_for_as_long_again() {
    let (world, store) = played().await;
    let (clock, from) = (world.clock(), world.now());
    let asks = ask_by(&*clock, &store, Wish::Resign, None, pending(), |_| {});
    let accepts = async {
        tokio::time::sleep(secs(5)).await;
        accept(&store, None).await;
    };
    let (asked, ()) = tokio::join!(asks, accepts);
    assert!(
        matches!(asked, Err(AskError::StillWorking { .. })),
        "{asked:?}"
    );
    assert!(world.now().since(from) >= secs(15));
}

#[tokio::test(start_paused = true)]
async fn what_a_leader_has_agreed_to_keeps_its_place_and_no_longer_than_it_leads() {
    for (term, kept) in [(1, true), (2, false)] {
        let (world, store) = played().await;
        let accepted = Record {
            term: Term::new(term).unwrap(),
            ..request(Stage::Accepted { successor: None })
        };
        write(&*store.requests, accepted.clone()).await;
        let cancel = tokio::time::sleep(secs(1));
        let asked = ask_by(&*world.clock(), &store, to_b(), None, cancel, |_| {}).await;
        let refused = matches!(asked, Err(AskError::SteppingDown { .. }));
        assert_eq!(refused, kept, "{asked:?}");
        let left = store.requests.read().await.unwrap();
        assert_eq!(record(left.as_ref()) == Some(&accepted), kept);
    }
}
