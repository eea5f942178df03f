//! What a store may do to a node, and what it may not.

use proptest::prelude::*;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_the_leadership_at_the_renew_deadline_exactly() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    let mut changes = a.watch();
    let leadership = a.campaign().await.unwrap();
    let asked_at = world.now();
    store.has(Fault::Hangs);

    sleep(Duration::from_millis(5_999)).await;
    assert!(leadership.leads());
    assert!(timeout(Duration::ZERO, leadership.lost()).await.is_err());
    sleep(Duration::from_millis(1)).await;
    assert!(!leadership.leads() && !a.is_leader() && a.leader().is_none());
    leadership.lost().await;
    // Timers of this runtime tick in milliseconds.
    assert!(world.now().since(asked_at) <= Duration::from_millis(6_002));
    drop(leadership);

    sleep(secs(100)).await;
    store.has(Fault::Nothing);
    sleep(secs(100)).await;
    let mut ended = None;
    let mut reports = Vec::new();
    while let Ok(Some(notice)) = timeout(Duration::ZERO, changes.next()).await {
        match notice.change {
            Change::Revoked { ended: at, .. } => ended = Some(at),
            Change::StoreFailed(_) => reports.push("failed"),
            Change::StoreRecovered => reports.push("recovered"),
            _ => {}
        }
    }
    assert_eq!(ended, Some(asked_at + secs(6)));
    assert_eq!(reports, ["failed", "recovered"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_reported_once_and_again_when_it_recovers() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    store.has(Fault::Fails);
    let mut changes = a.watch();
    sleep(secs(3600)).await;
    assert_eq!(told(&mut changes).await, ["store failed: it fails"]);
    store.has(Fault::Nothing);
    sleep(secs(3600)).await;
    assert_eq!(told(&mut changes).await, ["store recovered"]);
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_costs_nothing() {
    for fault in [Fault::Fails, Fault::LosesReplies, Fault::Slow(secs(3))] {
        let world = World::new();
        let (a, store) = world.node_with_faults("a");
        let b = world.node("b");
        let leadership = a.campaign().await.unwrap();
        b.stand();
        for _ in 0..100 {
            sleep(secs(7)).await;
            store.has(fault);
            sleep(Duration::from_millis(2_500)).await;
            store.has(Fault::Nothing);
        }
        assert!(leadership.leads(), "{fault:?}");
        assert_eq!(world.state(), "a holds 1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_takes_over_one_lease_duration_after_the_last_renewal() {
    for fault in [Fault::Hangs, Fault::Fails, Fault::LosesReplies] {
        let world = World::new();
        let (a, store) = world.node_with_faults("a");
        let b = world.node("b");
        let leadership = a.campaign().await.unwrap();
        let campaign = tokio::spawn(async move { b.campaign().await.unwrap() });
        sleep(secs(100)).await;
        let start = world.now();
        store.has(fault);
        leadership.lost().await;
        let lost = world.now();
        let next = campaign.await.unwrap();
        assert_eq!(next.term(), term(2));
        let margin = world.now().since(lost);
        assert!(
            margin >= secs(3),
            "{fault:?}: lost and taken {margin:?} apart"
        );
        // LosesReplies renews what nobody learns of, for R more.
        let took = world.now().since(start);
        assert!(took <= secs(18), "{fault:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_on_a_store_that_hangs_takes_a_renew_deadline_at_most() {
    // Before it leads, while it leads, and after it took over from another.
    for (predecessor, stand) in [(false, false), (false, true), (true, true)] {
        let world = World::new();
        if predecessor {
            let dead = world.node("dead");
            let leadership = dead.campaign().await.unwrap();
            let last_words = world.record().unwrap();
            leadership.release().await;
            world.overwrite(last_words).await;
        }
        let (a, store) = world.node_with_faults("a");
        if stand {
            a.stand();
            sleep(secs(100)).await;
            assert!(a.is_leader());
        }
        store.has(Fault::Hangs);
        sleep(Duration::from_millis(500)).await;
        let start = world.now();
        assert!(!takes_forever(a.stop()).await);
        let took = world.now().since(start);
        assert!(took <= Duration::from_millis(6_002), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_may_be_dropped_while_the_store_hangs() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    let mut changes = a.watch();
    a.stand();
    sleep(secs(100)).await;
    assert!(a.is_leader());
    store.has(Fault::Hangs);
    drop(a);
    // Until the node has ended; the world looks for a busy loop.
    let start = world.now();
    while changes.next().await.is_some() {}
    assert!(world.now().since(start) <= Duration::from_millis(6_002));
}

#[tokio::test(start_paused = true)]
async fn work_that_outlives_its_leadership_keeps_the_node_from_campaigning() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    a.stand();
    let leadership = a.campaign().await.unwrap();
    store.has(Fault::Hangs);
    leadership.lost().await;
    store.has(Fault::Nothing);
    sleep(secs(3600)).await;
    assert!(!a.is_leader());
    assert_eq!(world.state(), "a holds 1");
    drop(leadership);
    sleep(secs(3)).await;
    assert_eq!(a.term(), Some(term(2)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_also_for_the_work_of_a_leadership_that_was_lost() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    let leadership = a.campaign().await.unwrap();
    store.has(Fault::Hangs);
    leadership.lost().await;
    assert!(timeout(secs(3600), a.stop()).await.is_err());
    drop(leadership);
    timeout(secs(10), a.stop()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn run_cancels_the_work_on_loss_and_campaigns_again() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    let terms = Arc::new(AtomicU32::new(0));
    let running = tokio::spawn({
        let (a, terms) = (a.clone(), terms.clone());
        async move {
            a.run(|leadership| {
                terms.fetch_add(1, Ordering::Relaxed);
                async move {
                    leadership.lost().await;
                    pending::<()>().await
                }
            })
            .await
        }
    });
    for round in 1..=3 {
        sleep(secs(100)).await;
        assert_eq!(terms.load(Ordering::Relaxed), round);
        assert_eq!(a.term(), Some(term(u64::from(round))));
        store.has(Fault::Hangs);
        sleep(secs(7)).await;
        assert!(!a.is_leader());
        store.has(Fault::Nothing);
    }
    a.stop().await;
    assert_eq!(running.await.unwrap(), Err(Stopped));
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Has(Fault),
    Resigns,
}

fn deeds() -> impl Strategy<Value = Vec<(usize, Deed, u64)>> {
    let deed = prop_oneof![
        4 => Just(Deed::Has(Fault::Nothing)),
        1 => Just(Deed::Has(Fault::Fails)),
        1 => Just(Deed::Has(Fault::Hangs)),
        1 => Just(Deed::Has(Fault::LosesReplies)),
        1 => Just(Deed::Has(Fault::Swallows)),
        3 => (0..9_000u64).prop_map(|ms| Deed::Has(Fault::Slow(Duration::from_millis(ms)))),
        1 => Just(Deed::Resigns),
    ];
    prop::collection::vec((0..3usize, deed, 0..15_000u64), 0..40)
}

/// Three nodes on one register, whatever their stores do to them.
async fn race(deeds: Vec<(usize, Deed, u64)>) {
    let world = World::new();
    let nodes = ["a", "b", "c"].map(|name| world.node_with_faults(name));
    let mut streams: Vec<_> = nodes.iter().map(|(node, _)| node.watch()).collect();
    nodes.iter().for_each(|(node, _)| node.stand());
    for (who, deed, ms) in deeds {
        let (node, store) = &nodes[who];
        match deed {
            Deed::Has(fault) => store.has(fault),
            Deed::Resigns => node.resign(),
        }
        sleep(Duration::from_millis(ms)).await;
        let leaders = nodes.iter().filter(|(node, _)| node.is_leader()).count();
        assert!(leaders <= 1, "{leaders} leaders");
    }
    nodes
        .iter()
        .for_each(|(_, store)| store.has(Fault::Nothing));
    sleep(secs(60)).await;
    let leaders = nodes.iter().filter(|(node, _)| node.is_leader()).count();
    assert_eq!(leaders, 1, "with nothing wrong any more");

    // From when to when each leadership was, and its term.
    let mut reigns = Vec::new();
    for changes in &mut streams {
        let mut since = None;
        while let Ok(Some(notice)) = timeout(Duration::ZERO, changes.next()).await {
            match notice.change {
                Change::Elected { term, .. } => since = Some((notice.at, term)),
                Change::Revoked { ended, .. } => {
                    let (from, term) = since.take().unwrap();
                    reigns.push((from, ended, term));
                }
                _ => {}
            }
        }
        reigns.extend(since.map(|(from, term)| (from, BootTime::NEVER, term)));
    }
    reigns.sort();
    for pair in reigns.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "two led at once: {pair:?}");
        assert!(pair[0].2 < pair[1].2, "terms go up: {pair:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn however_the_stores_behave_at_most_one_leads_and_in_the_end_one_does(deeds in deeds()) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(race(deeds));
    }
}
