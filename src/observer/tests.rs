//! An observer of real nodes, in virtual time.

use tokio::sync::Notify;

use super::*;
use crate::driver::tests::world::{Fault, Faulty, World, secs};
use crate::lease::Record;
use crate::node::Node;
use crate::store::memory::MemoryRegister;
use crate::store::{Answer, Swap};

/// What it sees within a while, as lines.
async fn sees<S: LeaseStore>(observer: &mut Observer<S>, within: Duration) -> Vec<String> {
    let mut seen = Vec::new();
    let all = async {
        loop {
            seen.push(word(observer.next().await.seen));
        }
    };
    let _: Result<(), _> = tokio::time::timeout(within, all).await;
    seen
}

fn word(seen: Seen) -> String {
    match seen {
        Seen::Elected { leader, term, .. } => format!("{} elected {term}", leader.node_id),
        Seen::Renewed { leader, .. } => format!("{} renewed", leader.node_id),
        Seen::Released { term } => format!("{term} released"),
        Seen::Expired { term } => format!("{term} expired"),
        Seen::NoLeader => "no leader".into(),
        Seen::StoreFailed(why) => format!("store failed: {why}"),
        Seen::StoreRecovered => "store recovered".into(),
        other => format!("{other:?}"),
    }
}

fn observer<S: LeaseStore>(world: &World, store: S) -> Observer<S> {
    Observer::with_clock(store, world.clock()).unwrap()
}

async fn leader(world: &World, name: &str) -> Node {
    let node = world.node(name);
    node.stand();
    let mut changes = node.watch();
    while !node.is_leader() {
        changes.next().await;
    }
    node
}

#[tokio::test(start_paused = true)]
async fn an_election_is_followed_from_before_it_is_there() {
    let world = World::new();
    let mut observer = observer(&world, world.register.clone());
    assert_eq!(sees(&mut observer, secs(5)).await, ["no leader"]);
    let a = leader(&world, "a").await;
    assert_eq!(sees(&mut observer, secs(1)).await, ["a elected 1"]);
    let renewals = sees(&mut observer, secs(20)).await;
    assert!((10..30).contains(&renewals.len()), "{renewals:?}");
    assert!(renewals.iter().all(|line| line == "a renewed"));
    a.stop().await;
    assert_eq!(
        sees(&mut observer, secs(5)).await,
        ["1 released", "no leader"]
    );
    let _b = leader(&world, "b").await;
    assert_eq!(sees(&mut observer, secs(1)).await, ["b elected 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_the_moment_it_happens() {
    let world = World::new();
    let a = leader(&world, "a").await;
    let mut observer = observer(&world, world.register.clone());
    sees(&mut observer, Duration::from_millis(130)).await;
    let at = world.now();
    a.stop().await;
    let seen = observer.next().await;
    assert_eq!(
        seen.seen,
        Seen::Released {
            term: Term::new(1).unwrap()
        }
    );
    assert_eq!(seen.at, at);
}

/// A store that never says when to look.
#[tokio::test(start_paused = true)]
async fn without_a_word_from_the_store_it_looks_ten_times_a_second() {
    let world = World::new();
    let a = leader(&world, "a").await;
    let mut observer = observer(&world, Faulty::new(world.register.clone()));
    sees(&mut observer, Duration::from_millis(130)).await;
    a.stop().await;
    let seen = sees(&mut observer, Duration::from_millis(110)).await;
    assert_eq!(seen, ["1 released"]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_falls_silent_has_expired() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    a.stand();
    let mut observer = observer(&world, world.register.clone());
    while word(observer.next().await.seen) != "a elected 1" {}
    store.has(Fault::Hangs);
    let from = world.now();
    assert_eq!(word(observer.next().await.seen), "1 expired");
    let waited = world.now().since(from);
    assert!((secs(9)..=secs(10)).contains(&waited), "{waited:?}");
    // It steps down, and comes back as soon as it can.
    assert_eq!(word(observer.next().await.seen), "no leader");
    store.has(Fault::Nothing);
    assert_eq!(word(observer.next().await.seen), "a elected 2");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_or_hangs_is_said_once_and_hides_no_expiry() {
    for (fault, why) in [(Fault::Fails, "it fails"), (Fault::Hangs, "no answer")] {
        let world = World::new();
        let a = leader(&world, "a").await;
        let store = Faulty::new(world.register.clone());
        let mut observer = observer(&world, store.clone());
        sees(&mut observer, secs(1)).await;
        store.has(fault);
        // The leader goes on renewing, but nobody here could know.
        assert_eq!(
            sees(&mut observer, secs(60)).await,
            [
                format!("store failed: {why}").as_str(),
                "1 expired",
                "no leader"
            ]
        );
        store.has(Fault::Nothing);
        let seen = sees(&mut observer, secs(7)).await;
        assert_eq!(seen[..2], ["store recovered", "a elected 1"]);
        store.has(fault);
        let again = sees(&mut observer, secs(8)).await;
        assert!(again.contains(&format!("store failed: {why}")), "{again:?}");
        a.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_loses_nothing() {
    let world = World::new();
    let mut observer = observer(&world, world.register.clone());
    let _a = leader(&world, "a").await;
    let mut seen = Vec::new();
    // Polled once and dropped, as in a select! that something else wins.
    for _ in 0..1000 {
        tokio::select! {
            biased;
            sighting = observer.next() => seen.push(word(sighting.seen)),
            () = tokio::time::sleep(Duration::from_millis(7)) => {}
        }
    }
    assert_eq!(seen[0], "a elected 1");
    assert!((2..6).contains(&seen.len()), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn who_slept_past_the_end_of_a_lease_looks_before_it_says_so() {
    let world = World::new();
    let a = leader(&world, "a").await;
    let store = Faulty::new(world.register.clone());
    store.has(Fault::Slow(Duration::from_millis(1)));
    let mut observer = observer(&world, store);
    assert_eq!(sees(&mut observer, secs(1)).await[0], "a elected 1");
    // Nobody polls it, as if the process was frozen.
    tokio::time::sleep(secs(60)).await;
    assert_eq!(sees(&mut observer, secs(1)).await[0], "a renewed");
    a.stop().await;
}

/// Nobody polls it for a minute, from the middle of a look on.
async fn freezes_while_it_looks<S: LeaseStore>(
    observer: &mut Observer<S>,
    thaw: impl FnOnce(),
) -> String {
    let next = observer.next();
    tokio::pin!(next);
    let awake = tokio::time::timeout(Duration::from_millis(50), &mut next);
    assert!(awake.await.is_err(), "nothing has happened yet");
    tokio::time::sleep(secs(60)).await;
    thaw();
    word(next.await.seen)
}

#[tokio::test(start_paused = true)]
async fn who_slept_while_it_looked_blames_neither_store_nor_leader() {
    // The answer is still to come.
    let world = World::new();
    let _a = leader(&world, "a").await;
    let store = Faulty::new(world.register.clone());
    let mut one = observer(&world, store.clone());
    assert_eq!(word(one.next().await.seen), "a elected 1");
    store.has(Fault::Hangs);
    let seen = freezes_while_it_looks(&mut one, || store.has(Fault::Nothing)).await;
    assert_eq!(seen, "a renewed");
    // It has come, and is old.
    let mut store = Knowing::new(&world);
    store.takes = Duration::from_millis(80);
    let mut other = observer(&world, store);
    assert_eq!(word(other.next().await.seen), "a elected 1");
    let seen = freezes_while_it_looks(&mut other, || ()).await;
    assert_eq!(seen, "a renewed");
}

/// A store that knows more than memory does.
struct Knowing {
    register: MemoryRegister,
    /// When the holder of the record has died.
    died: Arc<Notify>,
    life: Life,
    between: Option<Vec<Observed>>,
    /// Where it tells of all changes: that there is one.
    news: Option<Arc<Notify>>,
    /// How long its answers are on their way.
    takes: Duration,
}

impl Knowing {
    fn new(world: &World) -> Self {
        Self {
            register: world.register.clone(),
            died: Arc::new(Notify::new()),
            life: Life::Alive,
            between: None,
            news: None,
            takes: Duration::ZERO,
        }
    }
}

impl LeaseStore for Knowing {
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>> {
        Box::pin(async {
            let seen = self.register.read().await;
            tokio::time::sleep(self.takes).await;
            seen
        })
    }

    fn swap(
        &self,
        expected: Option<Revision>,
        next: Record,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        self.register.swap(expected, next)
    }

    fn changed(&self, _: Revision) -> Answer<'_, Wake> {
        Box::pin(async {
            self.died.notified().await;
            self.died.notify_one();
            Wake::HolderDied(self.read().await.unwrap().unwrap())
        })
    }

    fn moved_on(&self, _: Option<Revision>) -> Answer<'_, ()> {
        Box::pin(async {
            match &self.news {
                Some(news) => news.notified().await,
                None => std::future::pending().await,
            }
        })
    }

    fn tells(&self) -> bool {
        self.news.is_some()
    }

    fn between(
        &self,
        _: Revision,
        _: Revision,
    ) -> Answer<'_, Result<Option<Vec<Observed>>, StoreError>> {
        Box::pin(async { Ok(self.between.clone()) })
    }

    fn life(&self, _: Revision) -> Answer<'_, Result<Life, StoreError>> {
        Box::pin(async { Ok(self.life) })
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_dead_or_silent_at_the_first_look_is_no_leader() {
    for (life, first) in [
        (Life::Alive, "a elected 1"),
        (Life::Unknown, "a elected 1"),
        (Life::Silent, "no leader"),
        (Life::Dead, "no leader"),
    ] {
        let world = World::new();
        let _a = leader(&world, "a").await;
        let store = Knowing::new(&world);
        let mut observer = observer(&world, Knowing { life, ..store });
        assert_eq!(word(observer.next().await.seen), first, "{life:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_store_has_kept_is_seen_too() {
    let world = World::new();
    let _a = leader(&world, "a").await;
    let mut released = world.record().unwrap();
    released.state = State::Vacant { successor: None };
    let between = Some(vec![Observed {
        revision: Revision::new([100, 0, 0, 0]),
        content: Content::Record(released.clone()),
    }]);
    let store = Knowing::new(&world);
    let mut observer = observer(&world, Knowing { between, ..store });
    assert_eq!(word(observer.next().await.seen), "a elected 1");
    let mut next = world.record().unwrap();
    next.term = Term::new(2).unwrap();
    world.overwrite(next).await;
    let seen = sees(&mut observer, Duration::from_millis(500)).await;
    assert_eq!(seen[..2], ["1 released", "a elected 2"]);
}

/// A store that tells is looked at once in a second; what it tells of is new all the same.
#[tokio::test(start_paused = true)]
async fn what_is_told_has_just_happened() {
    let world = World::new();
    let _a = leader(&world, "a").await;
    let news = Arc::new(Notify::new());
    let store = Knowing::new(&world);
    let mut observer = observer(
        &world,
        Knowing {
            news: Some(news.clone()),
            ..store
        },
    );
    assert_eq!(word(observer.next().await.seen), "a elected 1");
    let mut record = world.record().unwrap();
    let held = record.state.clone();
    let ms = Duration::from_millis;
    let (seen, ()) = tokio::join!(observer.next(), async {
        tokio::time::sleep(ms(800)).await;
        record.state = State::Vacant { successor: None };
        world.overwrite(record.clone()).await;
        news.notify_one();
    });
    assert_eq!(word(seen.seen), "1 released");
    let (seen, ()) = tokio::join!(observer.next(), async {
        tokio::time::sleep(ms(700)).await;
        (record.state, record.term) = (held, Term::new(2).unwrap());
        world.overwrite(record.clone()).await;
        news.notify_one();
    });
    let Seen::Elected { gap, acquired, .. } = seen.seen else {
        panic!("somebody leads")
    };
    assert_eq!(gap, Some(ms(700)));
    assert_eq!(acquired, Some(Acquired::Vacant));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_right_after_a_renewal_is_seen_to_have_died() {
    let world = World::new();
    let store = Knowing::new(&world);
    let died = store.died.clone();
    let mut observer = observer(&world, store);
    let _a = leader(&world, "a").await;
    assert_eq!(sees(&mut observer, secs(1)).await, ["a elected 1"]);
    let dies = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        // The store is asked about the revision before.
        world.overwrite(world.record().unwrap()).await;
        died.notify_one();
    };
    let (seen, ()) = tokio::join!(sees(&mut observer, Duration::from_millis(500)), dies);
    assert_eq!(seen[0], "a renewed");
    assert!(seen[1].starts_with("Died"), "{seen:?}");
    assert_eq!(seen.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_glance_leaves_open_what_this_store_cannot_know() {
    let world = World::new();
    let look = || glance(&world.register);
    assert_eq!(look().await.unwrap().led(), Led::No);
    let a = leader(&world, "a").await;
    assert_eq!(look().await.unwrap().led(), Led::Unclear);
    a.stop().await;
    assert_eq!(look().await.unwrap().led(), Led::No);
}

#[test]
fn who_leads_by_one_look() {
    let held = |life, age: Option<u64>| {
        let glance = Glance {
            current: Some(Observed {
                revision: Revision::new([1, 0, 0, 0]),
                content: Content::Record(crate::lease::Record {
                    term: Term::new(1).unwrap(),
                    lease_duration: secs(10),
                    state: crate::lease::State::Held(
                        Holder::here(crate::name::NodeId::new("a").unwrap()).unwrap(),
                    ),
                }),
            }),
            life,
            age: age.map(secs),
        };
        glance.led()
    };
    for (life, age, led) in [
        (Life::Alive, Some(1), Led::Yes),
        (Life::Alive, None, Led::Yes),
        (Life::Silent, Some(11), Led::No),
        (Life::Dead, Some(1), Led::No),
        (Life::Unknown, Some(9), Led::Yes),
        (Life::Unknown, Some(10), Led::No),
        (Life::Unknown, None, Led::Unclear),
    ] {
        assert_eq!(held(life, age), led, "{life:?} {age:?}");
    }
    let garbled = Glance {
        current: Some(Observed {
            revision: Revision::new([1, 0, 0, 0]),
            content: Content::Garbled {
                floor: Term::ZERO,
                lease_duration: None,
            },
        }),
        life: Life::Unknown,
        age: Some(secs(1)),
    };
    assert_eq!(garbled.led(), Led::Unclear);
}
