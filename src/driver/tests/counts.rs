//! What is counted, and what a node says of how it is.

use super::*;
use crate::health::{Liveness, Readiness};
use crate::tally::Tally;

fn losses(tally: &Tally) -> Vec<(&'static str, u64)> {
    let lost = tally.losses().filter(|(_, times)| *times > 0);
    lost.map(|(reason, times)| (reason.as_str(), times))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn renewals_are_timed_and_nothing_else_is() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    a.stand();
    sleep(secs(1)).await;
    assert!(a.is_leader());
    // To look, to acquire and to release are no renewals.
    assert_eq!(a.tally().renewals.count(), 0);
    store.has(Fault::Slow(Duration::from_millis(80)));
    sleep(secs(20)).await;
    store.has(Fault::Nothing);
    a.stop().await;
    let renewals = a.tally().renewals;
    // Every 1.5 to 2 seconds.
    assert!((9..=13).contains(&renewals.count()), "{renewals:?}");
    let each = renewals.sum() / u32::try_from(renewals.count()).unwrap();
    let expected = Duration::from_millis(70)..Duration::from_millis(90);
    assert!(expected.contains(&each), "{each:?}");
    let within = |millis| {
        let bound = Duration::from_millis(millis);
        renewals.cumulative().find(|(b, _)| *b == bound).unwrap().1
    };
    assert!(within(50) <= 1, "{renewals:?}");
    assert_eq!(within(100), renewals.count());
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_lands_too_late_is_timed_too() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    a.stand();
    sleep(secs(1)).await;
    // Belief ends first, a second before the call would be abandoned.
    store.has(Fault::Slow(Duration::from_millis(5_500)));
    sleep(secs(7)).await;
    assert!(!a.is_leader());
    store.has(Fault::Nothing);
    assert_eq!(a.tally().renewals.count(), 1);
    assert_eq!(losses(&a.tally()), [("renew_deadline", 1)]);
    assert_eq!(a.tally().store_errors, 0);
}

#[tokio::test(start_paused = true)]
async fn each_loss_has_its_reason() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    assert_eq!(a.tally().losses().count(), 5);
    a.stand();
    sleep(secs(1)).await;
    assert_eq!(losses(&a.tally()), []);
    a.resign();
    sleep(secs(15)).await;
    assert!(a.is_leader());
    let mut record = world.record().unwrap();
    record.state = State::Vacant { successor: None };
    world.overwrite(record).await;
    sleep(secs(3)).await;
    assert_eq!(losses(&a.tally()), [("lost", 1), ("resigned", 1)]);
    assert!(a.is_leader());
    store.has(Fault::Fails);
    sleep(secs(7)).await;
    store.has(Fault::Nothing);
    sleep(secs(30)).await;
    assert!(a.is_leader());
    a.stop().await;
    assert_eq!(
        losses(&a.tally()),
        [
            ("renew_deadline", 1),
            ("lost", 1),
            ("resigned", 1),
            ("shutdown", 1)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_and_calls_that_hang_are_store_errors() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    sleep(secs(1)).await;
    assert_eq!(a.tally().store_errors, 0);
    store.has(Fault::Fails);
    sleep(secs(3)).await;
    let failed = a.tally().store_errors;
    assert!(failed >= 1);
    store.has(Fault::Hangs);
    sleep(secs(30)).await;
    assert!(a.tally().store_errors > failed);
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_counted_by_who_was_elected() {
    let world = World::new();
    let ((a, store), b, c) = (
        world.node_with_faults("a"),
        world.node("b"),
        world.node("c"),
    );
    a.stand();
    sleep(secs(1)).await;
    b.stand();
    sleep(secs(10)).await;
    // It falls silent: the gap is all of that silence.
    store.has(Fault::Hangs);
    sleep(secs(20)).await;
    assert!(b.is_leader());
    let gaps = b.tally().failover_gaps;
    assert_eq!(gaps.count(), 1);
    assert!(
        (secs(10)..secs(13)).contains(&gaps.sum()),
        "{:?}",
        gaps.sum()
    );
    for other in [&a, &c] {
        assert_eq!(other.tally().failover_gaps.count(), 0);
    }
    // It gives the lease back: the gap is the moment until that was seen and used.
    store.has(Fault::Nothing);
    sleep(secs(10)).await;
    b.stop().await;
    sleep(secs(1)).await;
    let gaps = a.tally().failover_gaps;
    assert_eq!(gaps.count(), 1);
    assert!(gaps.sum() < secs(1), "{:?}", gaps.sum());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_returns_counts_from_the_end_of_its_own_belief() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    a.stand();
    sleep(secs(1)).await;
    store.has(Fault::Fails);
    sleep(secs(30)).await;
    store.has(Fault::Nothing);
    sleep(secs(30)).await;
    assert_eq!(a.term(), Some(term(2)));
    let gap = a.tally().failover_gaps.sum();
    // From 6 s after the last renewal until the store answered again, and a bit.
    assert!((secs(20)..secs(35)).contains(&gap), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_slept_counts_its_sleep_too() {
    let world = World::new();
    let a = world.node("a");
    a.stand();
    sleep(secs(1)).await;
    tokio::time::advance(secs(30)).await;
    sleep(secs(20)).await;
    assert_eq!(a.term(), Some(term(2)));
    // Not from when it woke, and waited for its own leftover.
    let gap = a.tally().failover_gaps.sum();
    assert!((secs(30)..secs(40)).contains(&gap), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn no_gap_is_made_of_a_time_in_which_others_led() {
    let world = World::new();
    let (_, store) = world.node_with_faults("unused");
    // It sees only what it looks for.
    let unwoken = Plain::new(store.clone());
    let (a, b) = (world.node_on("a", unwoken), world.node("b"));
    a.stand();
    sleep(secs(1)).await;
    b.stand();
    sleep(secs(10)).await;
    // All that it misses is b's leadership.
    store.has(Fault::Hangs);
    sleep(secs(30)).await;
    assert!(b.is_leader());
    b.stop().await;
    store.has(Fault::Nothing);
    sleep(secs(20)).await;
    assert_eq!(a.term(), Some(term(3)));
    assert_eq!(a.tally().failover_gaps.count(), 0);
    assert_eq!(a.tally().transitions, 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_never_seen_to_live_makes_no_gap() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    a.stand();
    sleep(secs(1)).await;
    store.has(Fault::Hangs);
    sleep(secs(3600)).await;
    // Its record is all that the next one ever sees of it.
    let b = world.node("b");
    b.stand();
    sleep(secs(20)).await;
    assert!(b.is_leader());
    assert_eq!(b.tally().failover_gaps.count(), 0);
    assert_eq!(b.tally().transitions, 1);
}

/// A store that knows from the start that the holder is dead.
#[tokio::test(start_paused = true)]
async fn a_leader_that_was_dead_when_it_was_first_seen_makes_no_gap() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    a.stand();
    sleep(secs(1)).await;
    store.has(Fault::Hangs);
    sleep(secs(3600)).await;
    let mut mortuary = Plain::new(world.register.clone());
    mortuary.changed = |register| {
        Box::pin(async {
            sleep(secs(1)).await;
            Wake::HolderDied(register.read().await.unwrap().unwrap())
        })
    };
    let b = world.node_on("b", mortuary);
    b.stand();
    sleep(secs(2)).await;
    assert!(b.is_leader());
    assert_eq!(b.tally().failover_gaps.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn transitions_are_leaderships_that_follow_another() {
    let world = World::new();
    let (a, b) = (world.node("a"), world.node("b"));
    a.stand();
    sleep(secs(1)).await;
    b.stand();
    sleep(secs(100)).await;
    for node in [&a, &b] {
        assert_eq!((node.tally().transitions, node.tally().term), (0, term(1)));
    }
    a.resign();
    sleep(secs(10)).await;
    for node in [&a, &b] {
        assert_eq!((node.tally().transitions, node.tally().term), (1, term(2)));
    }
    b.resign();
    sleep(secs(10)).await;
    for node in [&a, &b] {
        assert_eq!((node.tally().transitions, node.tally().term), (2, term(3)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_is_ready_while_its_store_answers() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    store.has(Fault::Hangs);
    assert_eq!(a.readiness(), Readiness::Unanswered);
    sleep(secs(5)).await;
    assert_eq!(a.readiness(), Readiness::Unanswered);
    sleep(secs(2)).await;
    let failing = |why: &str| Readiness::Failing(why.into());
    assert_eq!(
        a.readiness(),
        failing("no answer within the renew deadline")
    );
    store.has(Fault::Fails);
    sleep(secs(10)).await;
    assert_eq!(a.readiness(), failing("it fails"));
    store.has(Fault::Nothing);
    sleep(secs(10)).await;
    assert_eq!(a.readiness(), Readiness::Ready);
    // A store that fails is no reason to restart the node.
    assert_eq!(a.liveness(), Liveness::Alive);
}

#[tokio::test(start_paused = true)]
async fn a_node_is_alive_until_it_ends() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    assert_eq!(a.liveness(), Liveness::Alive);
    for _ in 0..100 {
        sleep(Duration::from_millis(777)).await;
        assert_eq!(a.liveness(), Liveness::Alive);
    }
    store.has(Fault::Hangs);
    a.stand();
    for _ in 0..100 {
        sleep(Duration::from_millis(777)).await;
        assert_eq!(a.liveness(), Liveness::Alive);
    }
    a.stop().await;
    assert_eq!(a.liveness(), Liveness::Ended);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_has_ended() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    sleep(secs(1)).await;
    store.has(Fault::Panics);
    sleep(secs(10)).await;
    assert_eq!(a.liveness(), Liveness::Ended);
}
