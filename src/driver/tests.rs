//! What nodes and leaderships promise, on virtual time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::RecvTimeoutError;

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;
use crate::change::Reason;
use crate::hooks::Hooks;
use crate::lease::{Record, State};
use crate::node::{Node, Stopped};
use world::*;

mod counts;
mod faults;
mod requests;
pub(crate) mod world;

fn term(number: u64) -> Term {
    Term::new(number).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_first_leads_in_term_1_and_the_second_waits() {
    let world = World::new();
    let (a, b) = (world.node("a"), world.node("b"));
    assert!(!a.is_leader());
    let leadership = a.campaign().await.unwrap();
    assert_eq!(leadership.term(), term(1));
    assert!(takes_forever(b.campaign()).await);

    assert!(leadership.leads() && a.is_leader() && !b.is_leader());
    assert_eq!((a.term(), b.term()), (Some(term(1)), None));
    for node in [&a, &b] {
        let leader = node.leader().unwrap();
        assert_eq!((&leader.holder, leader.term), (a.me(), term(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_there_for_the_other_at_once() {
    let world = World::new();
    let (a, b) = (world.node("a"), world.node("b"));
    let leadership = a.campaign().await.unwrap();
    let waiting = tokio::spawn(async move { b.campaign().await.unwrap() });
    sleep(secs(100)).await;
    let start = world.now();
    drop(leadership);
    let next = waiting.await.unwrap();
    assert_eq!(next.term(), term(2));
    let took = world.now().since(start);
    assert!(took < secs(1), "{took:?}");
    assert!(!a.is_leader());
}

#[tokio::test(start_paused = true)]
async fn release_waits_until_the_lease_is_given_back() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    let leadership = a.campaign().await.unwrap();
    store.has(Fault::Slow(secs(1)));
    let start = world.now();
    leadership.release().await;
    assert_eq!(world.state(), "vacant 1");
    assert!(world.now().since(start) >= secs(1));
    // Who only releases may have it again.
    store.has(Fault::Nothing);
    assert_eq!(a.campaign().await.unwrap().term(), term(2));
    assert!(world.now().since(start) < secs(4));
}

#[tokio::test(start_paused = true)]
async fn who_resigns_stays_out_for_one_lease_duration() {
    let world = World::new();
    let a = world.node("a");
    let mut changes = a.watch();
    a.campaign().await.unwrap().resign().await;
    let start = world.now();
    let leadership = a.campaign().await.unwrap();
    let out = world.now().since(start);
    assert!((secs(10)..secs(14)).contains(&out), "{out:?}");
    assert_eq!(leadership.term(), term(2));
    assert_eq!(
        told(&mut changes).await,
        [
            "elected 1 (Vacant)",
            "revoked 1 (Resigned)",
            "no leader",
            "elected 2 (Vacant)"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_standing_node_leads_without_a_scope_and_can_be_made_to_resign() {
    let world = World::new();
    let (a, b) = (world.node("a"), world.node("b"));
    a.stand();
    sleep(secs(1)).await;
    b.stand();
    sleep(secs(3600)).await;
    assert_eq!(a.term(), Some(term(1)));
    a.resign();
    sleep(secs(1)).await;
    assert_eq!((a.term(), b.term()), (None, Some(term(2))));
    // And back, for the other has to stay out now.
    b.resign();
    sleep(secs(20)).await;
    assert_eq!((a.term(), b.term()), (Some(term(3)), None));
}

#[tokio::test(start_paused = true)]
async fn of_several_who_wait_on_one_node_one_at_a_time_leads() {
    let world = World::new();
    let a = world.node("a");
    let first = a.campaign().await.unwrap();
    let second = tokio::spawn({
        let a = a.clone();
        async move { a.campaign().await.unwrap() }
    });
    sleep(secs(3600)).await;
    assert!(first.leads() && !second.is_finished());
    drop(first);
    assert_eq!(second.await.unwrap().term(), term(2));
}

#[tokio::test(start_paused = true)]
async fn run_gives_back_once_the_work_has_ended() {
    let world = World::new();
    let a = world.node("a");
    let output = a
        .run(|leadership| async move {
            sleep(secs(100)).await;
            assert!(leadership.leads());
            leadership.term()
        })
        .await;
    assert_eq!(output, Ok(term(1)));
    sleep(secs(1)).await;
    assert_eq!(world.state(), "vacant 1");
}

/// What the register said when the work was dropped.
struct SaysOnDrop<'a>(&'a World, mpsc::UnboundedSender<String>);

impl Drop for SaysOnDrop<'_> {
    fn drop(&mut self) {
        let _ = self.1.send(self.0.state());
    }
}

#[tokio::test(start_paused = true)]
async fn run_releases_only_after_the_work_has_been_dropped() {
    let world = World::new();
    let a = world.node("a");
    let (said, mut dropped) = mpsc::unbounded_channel();
    let running = a.run(|leadership| {
        let on_drop = SaysOnDrop(&world, said.clone());
        async move {
            // A field that is dropped later would prove nothing.
            let _keep = (on_drop, leadership);
            pending::<()>().await
        }
    });
    let asking = async {
        sleep(secs(100)).await;
        a.resign();
        assert_eq!(dropped.recv().await.unwrap(), "a holds 1");
        sleep(secs(1)).await;
        assert_eq!(world.state(), "vacant 1");
        sleep(secs(20)).await;
        // It campaigned again.
        assert_eq!(a.term(), Some(term(2)));
        a.stop().await;
        assert_eq!(dropped.recv().await.unwrap(), "a holds 2");
    };
    let (ended, ()) = tokio::join!(running, asking);
    assert_eq!(ended, Err(Stopped));
    assert_eq!(world.state(), "vacant 2");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_campaign_ends_it() {
    let world = World::new();
    let (a, b) = (world.node("a"), world.node("b"));
    let leadership = a.campaign().await.unwrap();
    assert!(timeout(secs(5), b.campaign()).await.is_err());
    leadership.release().await;
    sleep(secs(3600)).await;
    assert!(!b.is_leader());
    assert_eq!(world.state(), "vacant 1");
}

#[tokio::test(start_paused = true)]
async fn an_acquisition_under_way_when_the_campaign_is_dropped_is_given_back() {
    for fault in [Fault::Slow(secs(1)), Fault::Swallows] {
        let world = World::new();
        let (a, store) = world.node_with_faults("a");
        let mut changes = a.watch();
        a.settled().await;
        store.has(fault);
        assert!(
            timeout(Duration::from_millis(500), a.campaign())
                .await
                .is_err()
        );
        if matches!(fault, Fault::Swallows) {
            assert_eq!(world.state(), "a holds 1");
            store.has(Fault::Nothing);
        }
        sleep(secs(3600)).await;
        assert!(!a.is_leader());
        let told = told(&mut changes).await;
        assert!(!told.iter().any(|t| t.starts_with("elected")), "{told:?}");
        // What is given back is vacant; of what nobody knew, others wait out L.
        if matches!(fault, Fault::Slow(_)) {
            assert_eq!(world.state(), "vacant 1");
        }
        let b = world.node("b");
        assert!(!takes_forever(b.campaign()).await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_won_as_the_campaign_is_dropped_is_given_back() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    a.settled().await;
    store.has(Fault::Slow(secs(1)));
    // The answer arrives at the moment that it is no longer waited for.
    assert!(timeout(secs(1), a.campaign()).await.is_err());
    sleep(secs(10)).await;
    assert!(!a.is_leader());
    assert_eq!(world.state(), "vacant 1");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_work_and_the_lease_is_renewed_until_then() {
    let world = World::new();
    let (a, b) = (world.node("a"), world.node("b"));
    let mut changes = a.watch();
    let leadership = a.campaign().await.unwrap();
    b.stand();
    let stopping = tokio::spawn({
        let a = a.clone();
        async move { a.stop().await }
    });
    leadership.ending().await;
    assert!(takes_forever(leadership.lost()).await);
    assert!(leadership.leads() && !b.is_leader() && !stopping.is_finished());

    drop(leadership);
    stopping.await.unwrap();
    sleep(secs(1)).await;
    assert!(!a.is_leader() && b.is_leader());
    assert_eq!(
        told(&mut changes).await,
        ["elected 1 (Vacant)", "revoked 1 (Shutdown)"]
    );
    assert_eq!(changes.next().await, None);
    // To whom nobody listens any more.
    assert_eq!(a.campaign().await.map(drop), Err(Stopped));
    a.stop().await;
}

#[tokio::test(start_paused = true)]
async fn ending_comes_before_lost() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    let leadership = a.campaign().await.unwrap();
    assert!(takes_forever(leadership.ending()).await);
    a.resign();
    leadership.ending().await;
    assert!(takes_forever(leadership.lost()).await);
    store.has(Fault::Hangs);
    leadership.lost().await;
    leadership.ending().await;
    assert!(!leadership.leads());
}

#[tokio::test(start_paused = true)]
async fn each_renewal_moves_the_end_of_belief_and_a_loss_ends_the_wait_for_one() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    let leadership = a.campaign().await.unwrap();
    let elected = world.now();
    let first = leadership.renewed(BootTime::default()).await.unwrap();
    assert_eq!((world.now(), first), (elected, elected + secs(6)));
    let second = leadership.renewed(first).await.unwrap();
    assert!(world.now() > elected && world.now() <= elected + secs(2));
    assert_eq!(a.belief().1, Some((term(1), second)));
    // Over several renewals, too.
    let later = leadership.renewed(second + secs(100)).await.unwrap();
    assert!(later > second + secs(100) && later <= second + secs(102));

    store.has(Fault::Fails);
    assert_eq!(leadership.renewed(later).await, None);
    assert_eq!(world.now(), later);
    assert_eq!(leadership.renewed(BootTime::default()).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_leadership_knows_its_record_and_its_witness() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    let kept = store.will_give_a_witness();
    let leadership = a.campaign().await.unwrap();
    assert_eq!(Some(leadership.record()), world.record());
    let witness = leadership.witness().unwrap().file();
    assert!(std::ptr::eq(witness, &*kept.upgrade().unwrap()));

    let other = World::new();
    let leadership = other.node("b").campaign().await.unwrap();
    assert_eq!(leadership.witness(), None);
}

#[tokio::test(start_paused = true)]
async fn dropping_all_handles_gives_back_but_not_while_a_leadership_lives() {
    let world = World::new();
    let a = world.node("a");
    let leadership = a.campaign().await.unwrap();
    drop(a);
    assert!(takes_forever(leadership.lost()).await);
    assert!(leadership.leads());
    drop(leadership);
    sleep(secs(1)).await;
    assert_eq!(world.state(), "vacant 1");

    let a = world.node("a");
    a.stand();
    sleep(secs(100)).await;
    assert!(a.is_leader());
    drop(a);
    sleep(secs(1)).await;
    assert_eq!(world.state(), "vacant 2");
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_once_in_order_and_late_comers_learn_who_leads() {
    let world = World::new();
    let (a, b) = (world.node("a"), world.node("b"));
    let mut early = b.watch();
    let leadership = a.campaign().await.unwrap();
    sleep(secs(100)).await;
    let mut late = b.watch();
    assert_eq!(told(&mut late).await, ["new leader a 1"]);
    let mut of_a = a.watch();
    assert_eq!(told(&mut of_a).await, ["elected 1 (Vacant)"]);

    drop(leadership);
    sleep(secs(100)).await;
    assert_eq!(told(&mut late).await, ["no leader"]);
    let leadership = b.campaign().await.unwrap();
    sleep(secs(100)).await;
    drop((leadership, b));
    let story = ["elected 2 (Vacant)", "revoked 2 (Resigned)", "no leader"];
    assert_eq!(told(&mut late).await, story);
    let before = ["new leader a 1", "no leader"];
    assert_eq!(told(&mut early).await, [&before[..], &story].concat());
    // The node has ended, and so have its streams.
    assert_eq!(early.next().await, None);
    assert_eq!(
        told(&mut of_a).await,
        [
            "revoked 1 (Resigned)",
            "no leader",
            "new leader b 2",
            "no leader"
        ]
    );
    assert_eq!(told(&mut a.watch()).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn hooks_are_called_in_order_and_once_and_a_panic_changes_nothing() {
    let world = World::new();
    let (a, b) = (world.node("a"), world.node("b"));
    let (call, calls) = std::sync::mpsc::channel();
    let says = |what: &'static str| {
        let call = call.clone();
        move |term: Term| call.send(format!("{what} {term}")).unwrap()
    };
    let (elected, revoked) = (says("elected"), says("revoked"));
    let (new, none) = (says("new"), says("none"));
    Hooks::new()
        .on_elected(move |term| {
            elected(term);
            panic!("this hook panics, as the test wants");
        })
        .on_revoked(move |term, why| {
            assert_eq!(why, Reason::Resigned);
            revoked(term);
        })
        .on_new_leader(move |leader, term| {
            assert_eq!(leader.node_id.as_str(), "b");
            new(term);
        })
        .on_no_leader(move || none(Term::ZERO))
        .attach(&a)
        .unwrap();
    drop(call);
    let leadership = a.campaign().await.unwrap();
    sleep(secs(100)).await;
    assert!(leadership.leads());
    leadership.resign().await;
    let leadership = b.campaign().await.unwrap();
    sleep(secs(100)).await;
    leadership.release().await;
    sleep(secs(100)).await;
    a.stop().await;
    // The hooks end with the node.
    let calls: Vec<_> = calls.into_iter().collect();
    assert_eq!(
        calls,
        ["elected 1", "revoked 1", "none 0", "new 2", "none 0"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_blocks_its_thread_does_not_cost_the_lease() {
    let world = World::new();
    let a = world.node("a");
    let (entered, is_inside) = std::sync::mpsc::channel();
    let (leave, may_leave) = std::sync::mpsc::channel::<()>();
    let (left, has_left) = std::sync::mpsc::channel();
    Hooks::new()
        .on_elected(move |_| {
            entered.send(()).unwrap();
            // In real time, so that the test ends also where nothing else can go on.
            let _ = left.send(may_leave.recv_timeout(secs(30)));
        })
        .attach(&a)
        .unwrap();
    let leadership = a.campaign().await.unwrap();
    is_inside.recv().unwrap();
    assert!(takes_forever(leadership.lost()).await);
    assert!(leadership.leads());
    drop(leave);
    assert_eq!(has_left.recv(), Ok(Err(RecvTimeoutError::Disconnected)));
}

#[tokio::test(start_paused = true)]
async fn settled_once_the_store_has_answered_and_the_node_knows_where_it_stands() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    store.has(Fault::Slow(secs(1)));
    a.stand();
    // One second to look, and one to acquire.
    a.settled().await;
    assert_eq!(world.now(), BootTime::default() + secs(2));
    assert!(a.is_leader());

    let (b, store) = world.node_with_faults("b");
    store.has(Fault::Hangs);
    assert!(takes_forever(b.settled()).await);
    store.has(Fault::Nothing);
    b.settled().await;
    assert_eq!(b.leader(), a.leader());
    assert!(b.leader().is_some());
}

#[tokio::test(start_paused = true)]
async fn many_elections_run_in_one_process() {
    let worlds: Vec<_> = std::iter::repeat_with(World::new).take(100).collect();
    let nodes = |name: &str| -> Vec<Node> { worlds.iter().map(|w| w.node(name)).collect() };
    let (all_a, all_b) = (nodes("a"), nodes("b"));
    let mut leaderships = Vec::new();
    for a in &all_a {
        leaderships.push(a.campaign().await.unwrap());
    }
    all_b.iter().for_each(Node::stand);
    sleep(secs(60)).await;
    assert!(leaderships.iter().all(|l| l.leads() && l.term() == term(1)));
    // Each is an election of its own.
    let gone = leaderships.drain(..50).count();
    sleep(secs(1)).await;
    let taken: Vec<_> = all_b.iter().map(Node::is_leader).collect();
    assert_eq!(taken, [vec![true; gone], vec![false; 100 - gone]].concat());
}

#[tokio::test(start_paused = true)]
async fn while_the_work_of_a_lost_leadership_runs_no_new_one_is_begun() {
    let world = World::new();
    let a = world.node("a");
    a.stand();
    let leadership = a.campaign().await.unwrap();
    // Somebody took the lease, and has given it back already.
    let vacant = Record {
        term: term(7),
        state: State::Vacant { successor: None },
        ..world.record().unwrap()
    };
    world.overwrite(vacant).await;
    leadership.lost().await;
    sleep(secs(3600)).await;
    assert_eq!(world.state(), "vacant 7");
    drop(leadership);
    sleep(secs(3)).await;
    assert_eq!(a.term(), Some(term(8)));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_scope_that_nobody_received_ends_no_other() {
    let world = World::new();
    let a = world.node("a");
    let shared = a.campaign().await.unwrap().shared();
    let election = Election::new(a.me().clone(), a.timing());
    let (standing, _) = watch::channel(Standing::default());
    let (_, inbox) = mpsc::unbounded_channel();
    let shared = Arc::downgrade(&shared);
    let health = Arc::new(Health::new(world.now()));
    let mut driver = Driver::new(election, world.clock(), inbox, standing, health, shared);
    // The first went away after the last time that anybody looked.
    let (first, _) = oneshot::channel();
    let (second, mut waits) = oneshot::channel();
    driver.campaigns.extend([first, second]);
    // Its scope has ended already, and the driver will hear of that: it must
    // not take it for the end of the second one's.
    assert!(driver.grant(term(7)));
    assert_eq!(driver.scope, Some(term(7)));
    assert!(waits.try_recv().is_err());
    assert_eq!(driver.campaigns.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_frees_nothing_under_running_work() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    let witness = store.will_give_a_witness();
    let leadership = a.campaign().await.unwrap();
    store.has(Fault::Panics);
    leadership.lost().await;
    assert!(world.now() < BootTime::default() + secs(3));
    // Belief lasts as long as it did, and ends by itself.
    sleep(secs(2)).await;
    assert!(leadership.leads());
    sleep(secs(3)).await;
    assert!(!leadership.leads() && !a.is_leader());
    assert_eq!(a.campaign().await.map(drop), Err(Stopped));
    sleep(secs(3600)).await;
    assert!(witness.upgrade().is_some());
    drop((leadership, a));
    assert!(witness.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_frees_nothing_that_a_standing_node_believes_in() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    let witness = store.will_give_a_witness();
    a.stand();
    sleep(secs(1)).await;
    store.has(Fault::Panics);
    sleep(secs(3)).await;
    assert!(a.is_leader() && witness.upgrade().is_some());
    assert_eq!(a.campaign().await.map(drop), Err(Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_lets_the_leader_it_saw_expire() {
    let world = World::new();
    let (a, (b, store)) = (world.node("a"), world.node_with_faults("b"));
    a.stand();
    sleep(secs(100)).await;
    store.has(Fault::Panics);
    sleep(secs(4)).await;
    assert_eq!(b.leader(), a.leader());
    sleep(secs(10)).await;
    assert!(a.is_leader() && b.leader().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_witness_is_kept_while_the_work_may_run_and_no_longer() {
    let world = World::new();
    let (a, store) = world.node_with_faults("a");
    let witness = store.will_give_a_witness();
    let leadership = a.campaign().await.unwrap();
    store.has(Fault::Hangs);
    leadership.lost().await;
    sleep(secs(3600)).await;
    assert!(witness.upgrade().is_some());
    drop(leadership);
    sleep(secs(1)).await;
    assert!(witness.upgrade().is_none());

    store.has(Fault::Nothing);
    let witness = store.will_give_a_witness();
    let leadership = a.campaign().await.unwrap();
    assert!(witness.upgrade().is_some());
    leadership.release().await;
    sleep(secs(1)).await;
    assert!(witness.upgrade().is_none());
}
