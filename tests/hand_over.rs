//! `hand-over` and `resign`: who leads next, and that a leader that is asked in
//! vain leads on.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::time::Duration;

use common::asking::{Asking, leads_on};
use common::{Cluster, Node, assert_one_leader_at_a_time, ns};
use rustix::process::Signal;
use serde_json::Value;

/// A lease so long that nothing here may have waited for it.
const LONG: &[&str] = &[
    "--lease-duration=10m",
    "--retry-period=200ms",
    "--heartbeat-period=50ms",
];
/// A lease that a test can wait for, of a leader that a moment's freeze does no harm.
const SHORT: &[&str] = &[
    "--lease-duration=4s",
    "--renew-deadline=3500ms",
    "--retry-period=100ms",
    "--heartbeat-period=50ms",
];
const LEASE: Duration = Duration::from_secs(4);

fn between(earlier: &Value, later: &Value) -> Duration {
    ns(later, "boottime_ns").since(ns(earlier, "boottime_ns"))
}

#[test]
fn the_named_node_leads_next_and_nobody_else() {
    let cluster = Cluster::new(LONG);
    let mut first = cluster.leader("node-1");
    let second = cluster.follower("node-2");
    let mut third = cluster.follower("node-3");
    let answer = cluster.ask(&["hand-over", "--to=node-3"]);
    answer.is_done();
    answer.said("asked node-1, which leads in term 1");
    answer.said("node-3 is there to take over");
    answer.said("node-1 stops its work");
    answer.said("node-1 has given the lease back");
    answer.said("node-3 leads in term 2; between the two, nobody led for at most ");
    let revoked = first.until("revoked");
    assert_eq!(revoked["reason"], "handed_over");
    assert_eq!(revoked["term"], 1);
    let elected = third.until("elected");
    assert_eq!(elected["acquired"], "handed_over");
    assert_eq!(elected["term"], 2);
    assert_eq!(first.until("new_leader")["leader"], "node-3");
    leads_on(&mut third);
    assert!(second.events("elected").is_empty());
    assert_one_leader_at_a_time(&[&first, &second, &third]);
}

#[test]
fn without_a_name_whoever_is_there_leads_next() {
    let cluster = Cluster::new(LONG);
    let mut first = cluster.leader("node-1");
    let mut second = cluster.follower("node-2");
    cluster.ask(&["hand-over"]).is_done();
    assert_eq!(first.until("revoked")["reason"], "handed_over");
    assert_eq!(second.until("elected")["acquired"], "handed_over");
    assert_one_leader_at_a_time(&[&first, &second]);
}

#[test]
fn the_lease_can_be_handed_round_and_who_gave_it_away_may_have_it_again_at_once() {
    let cluster = Cluster::new(LONG);
    let mut first = cluster.leader("node-1");
    let mut second = cluster.follower("node-2");
    for round in 0..5 {
        cluster.ask(&["hand-over", "--to=node-2"]).is_done();
        assert_eq!(second.until("elected")["term"], 2 * round + 2);
        cluster.ask(&["hand-over", "--to=node-1"]).is_done();
        let elected = first.until("elected");
        // The first of its lines is about its first election.
        let elected = if elected["term"] == 1 {
            first.until("elected")
        } else {
            elected
        };
        assert_eq!(elected["term"], 2 * round + 3);
    }
    cluster.ask(&["hand-over", "--to=node-2"]).is_done();
    // It stayed in, so it takes over from the dead at once.
    second.kill();
    assert_eq!(first.until("elected")["acquired"], "holder_died");
    assert_one_leader_at_a_time(&[&first, &second]);
}

/// Nobody else may take a lease that is handed over, so nobody is about to
/// look who has it now. These look only every eight seconds.
#[test]
fn a_leader_that_is_killed_right_after_it_took_over_is_replaced_at_once() {
    let cluster = Cluster::new(&["--lease-duration=10m", "--retry-period=8s"]);
    let mut first = cluster.leader("node-1");
    let mut second = cluster.follower("node-2");
    cluster.ask(&["hand-over", "--to=node-2"]).is_done();
    second.until("elected");
    second.kill();
    is_elected_at_once(&mut first, 3);

    let mut bystander = cluster.follower("node-3");
    let mut second = cluster.follower("node-2");
    cluster.ask(&["hand-over", "--to=node-2"]).is_done();
    second.until("elected");
    first.kill();
    second.kill();
    is_elected_at_once(&mut bystander, 5);
}

fn is_elected_at_once(node: &mut Node, term: u64) {
    let soon = Duration::from_secs(3);
    let elected = node.next_where(soon, |line| {
        line["event"] == "elected" && line["term"] == term
    });
    let elected = elected.expect("elected long before its next look");
    assert_eq!(elected["acquired"], "holder_died");
}

#[test]
fn who_resigns_leaves_the_lease_to_the_others_at_once_and_stays_out() {
    let cluster = Cluster::new(SHORT);
    let mut first = cluster.leader("node-1");
    let mut second = cluster.follower("node-2");
    let answer = cluster.ask(&["resign"]);
    answer.is_done();
    answer.said("node-1 has given the lease back");
    let revoked = first.until("revoked");
    assert_eq!(revoked["reason"], "resigned");
    let elected = second.until("elected");
    assert_eq!(elected["acquired"], "vacant");
    assert_eq!(elected["term"], 2);
    assert!(between(&revoked, &elected) < LEASE / 2);
    second.kill();
    // A dead leader is no reason to come back sooner.
    let again = first.until("new_leader");
    assert_eq!(again["leader"], "node-2");
    let again = first.until("elected");
    let out = between(&revoked, &again);
    assert!(out >= LEASE, "out for {out:?}");
    assert_one_leader_at_a_time(&[&first, &second]);
}

#[test]
fn who_resigns_alone_leads_again_after_one_lease_duration() {
    let cluster = Cluster::new(SHORT);
    let mut node = cluster.leader("node-1");
    cluster.ask(&["resign"]).is_done();
    let revoked = node.until("revoked");
    let elected = node.until("elected");
    assert_eq!(elected["term"], 2);
    let out = between(&revoked, &elected);
    assert!((LEASE..LEASE * 2).contains(&out), "out for {out:?}");
}

#[test]
fn who_stays_out_takes_what_is_handed_to_it_by_name() {
    let cluster = Cluster::new(LONG);
    let mut first = cluster.leader("node-1");
    let mut second = cluster.follower("node-2");
    cluster.ask(&["resign"]).is_done();
    second.until("elected");
    first.until("new_leader");
    let anyone = cluster.ask(&["hand-over", "--timeout=600ms"]);
    anyone.is_refused(1, "no other node confirmed that it is there");
    cluster.ask(&["hand-over", "--to=node-1"]).is_done();
    assert_eq!(first.until("elected")["term"], 3);
}

/// In vain: the leader leads on, and says so.
fn asked_in_vain(cluster: &Cluster, target: &str) {
    let answer = cluster.ask(&["hand-over", "--to", target, "--timeout=600ms"]);
    answer.is_refused(
        1,
        &format!(
            "{target} did not confirm that it is there to take over within 600ms: node-1 leads on"
        ),
    );
}

#[test]
fn a_target_that_is_unknown_or_stopped_or_frozen_costs_the_leader_nothing() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    asked_in_vain(&cluster, "node-9");
    leads_on(&mut leader);

    let mut stopped = cluster.follower("node-2");
    stopped.stop();
    asked_in_vain(&cluster, "node-2");
    leads_on(&mut leader);

    let mut frozen = cluster.follower("node-3");
    frozen.signal(Signal::STOP);
    asked_in_vain(&cluster, "node-3");
    // What was withdrawn is not carried out later.
    frozen.signal(Signal::CONT);
    leads_on(&mut leader);
    assert!(
        frozen
            .next_where(Duration::ZERO, |l| l["event"] == "elected")
            .is_none()
    );
}

#[test]
fn nobody_else_there_is_nobody_to_hand_over_to() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    let answer = cluster.ask(&["hand-over", "--timeout=600ms"]);
    answer.is_refused(1, "no other node confirmed that it is there to take over");
    leads_on(&mut leader);
}

#[test]
fn a_frozen_leader_does_not_answer_and_carries_out_nothing_that_was_withdrawn() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    let _next = cluster.follower("node-2");
    for asked in [&["hand-over", "--to=node-2"][..], &["resign"]] {
        leader.signal(Signal::STOP);
        let answer = cluster.ask(&[asked, &["--timeout=600ms"]].concat());
        answer.is_refused(
            1,
            "node-1, which leads, did not react within 600ms: the request is withdrawn",
        );
        leader.signal(Signal::CONT);
        leads_on(&mut leader);
    }
}

#[test]
fn a_leader_that_is_killed_while_it_is_asked_is_replaced_as_ever() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    let mut next = cluster.follower("node-2");
    leader.signal(Signal::STOP);
    let mut asking = cluster.asks(&["hand-over", "--to=node-2"]);
    asking.says("node-2 is there to take over");
    leader.kill();
    assert_eq!(next.until("elected")["acquired"], "holder_died");
    let answer = asking.ends();
    answer.is_refused(1, "node-1 no longer leads: it ended before it could answer");
    // What it was asked concerns nobody after it.
    leads_on(&mut next);
}

#[test]
fn a_target_that_dies_once_it_was_promised_the_lease_costs_a_lease_duration() {
    let cluster = Cluster::new(SHORT);
    let mut leader = cluster.leader("node-1");
    let mut target = cluster.follower("node-2");
    let mut third = cluster.follower("node-3");
    leader.signal(Signal::STOP);
    let mut asking = cluster.asks(&["hand-over", "--to=node-2", "--timeout=2s"]);
    asking.says("node-2 is there to take over");
    target.kill();
    leader.signal(Signal::CONT);
    let revoked = leader.until("revoked");
    assert_eq!(revoked["reason"], "handed_over");
    let answer = asking.ends();
    answer.is_refused(
        1,
        "node-1 has given the lease back, but nobody has taken it yet",
    );
    // Nobody but the named one, dead or not; then anybody.
    let led = |node: &mut Node| node.next_where(LEASE * 2, |line| line["event"] == "elected");
    let elected = led(&mut third);
    let elected = elected.or_else(|| {
        let first = leader.next_where(Duration::from_secs(1), |l| l["event"] == "elected");
        first.filter(|line| line["term"] == 2)
    });
    let elected = elected.expect("somebody leads in the end");
    assert_eq!(elected["acquired"], "expired");
    assert_eq!(elected["term"], 2);
    let waited = between(&revoked, &elected);
    assert!((LEASE..LEASE * 2).contains(&waited), "{waited:?}");
    assert_one_leader_at_a_time(&[&leader, &target, &third]);
}

#[test]
fn nobody_leads_and_nothing_is_made() {
    let root = tempfile::tempdir().unwrap();
    let cluster = Cluster::at(&root.path().join("none"), LONG);
    for asked in ["hand-over", "resign"] {
        cluster.ask(&[asked]).is_refused(3, "nobody leads");
    }
    assert!(!cluster.dir().exists());

    let mut node = cluster.leader("node-1");
    let requests = cluster.lease().join("request.lock");
    assert!(!requests.exists(), "nobody asked for anything yet");
    node.stop();
    cluster.ask(&["resign"]).is_refused(3, "nobody leads");
    let mut node = cluster.leader("node-2");
    node.kill();
    cluster.ask(&["hand-over"]).is_refused(3, "nobody leads");
    assert!(!requests.exists());
}

#[test]
fn the_leader_itself_has_the_lease_already() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    let answer = cluster.ask(&["hand-over", "--to=node-1"]);
    answer.is_done();
    answer.said("node-1 leads already");
    leads_on(&mut leader);
}

#[test]
fn who_asks_later_replaces_who_asked_before() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    let mut earlier = cluster.asks(&["hand-over", "--to=node-8"]);
    earlier.says("asked node-1");
    let mut later = cluster.asks(&["hand-over", "--to=node-9"]);
    later.says("asked node-1");
    earlier
        .ends()
        .is_refused(1, "replaced by another request, from process ");
    leads_on(&mut leader);
    // And of the two, the later is the one that is answered.
    let not_wanted = cluster.follower("node-8");
    let mut wanted = cluster.start("node-9");
    wanted.until("elected");
    later.ends().is_done();
    assert!(not_wanted.events("elected").is_empty());
}

#[test]
fn a_request_whose_asker_died_lapses() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    let mut asking = cluster.asks(&["hand-over", "--to=node-2", "--timeout=500ms"]);
    asking.says("asked node-1");
    asking.signal(Signal::KILL);
    asking.ends();
    // The leader has known of it for longer than it stands.
    let seen = leader.until("heartbeat");
    while between(&seen, &leader.until("heartbeat")) < Duration::from_secs(1) {}
    // Who starts now sees it for the first time, and confirms.
    let target = cluster.follower("node-2");
    leads_on(&mut leader);
    assert!(target.events("elected").is_empty());
}

#[test]
fn ctrl_c_withdraws() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    for signal in [Signal::INT, Signal::TERM] {
        let mut asking = cluster.asks(&["hand-over", "--to=node-2"]);
        asking.says("asked node-1");
        asking.signal(signal);
        asking.ends().is_refused(1, "withdrawn: node-1 leads on");
    }
    let target = cluster.follower("node-2");
    leads_on(&mut leader);
    assert!(target.events("elected").is_empty());
}

#[test]
fn elections_in_one_directory_know_nothing_of_each_other() {
    let cluster = Cluster::new(LONG);
    let mut first = cluster.leader("node-1");
    let mut other = cluster.start_with("node-1", &["--lock-name=other"]);
    other.until("elected");
    let mut follows_other = cluster.start_with("node-2", &["--lock-name=other"]);
    follows_other.until("new_leader");
    let ask = |args: &[&str]| Asking::start(cluster.dir(), args).ends();
    ask(&["hand-over", "--lock-name=other"]).is_done();
    assert_eq!(follows_other.until("elected")["term"], 2);
    asked_in_vain(&cluster, "node-2");
    leads_on(&mut first);
}
