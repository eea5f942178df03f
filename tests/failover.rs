//! Real processes, real signals: who leads, and who takes over when.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::time::{Duration, Instant};

use common::shell::eventually;
use common::{Cluster, assert_one_leader_at_a_time, ns};
use rustix::process::Signal;

/// A lease so long that nothing here may have waited for it.
const LONG: &[&str] = &[
    "--lease-duration=10m",
    "--retry-period=200ms",
    "--heartbeat-period=50ms",
];
/// A lease that a test can wait for.
const SHORT: &[&str] = &["--lease-duration=2s", "--heartbeat-period=50ms"];
const LEASE: Duration = Duration::from_secs(2);

#[test]
fn three_nodes_have_one_leader_and_agree_on_it() {
    let cluster = Cluster::new(LONG);
    let leader = cluster.leader("node-1");
    for id in ["node-2", "node-3"] {
        let mut follower = cluster.start(id);
        let news = follower.until("new_leader");
        assert_eq!(news["leader"], "node-1");
        assert_eq!(news["term"], 1);
        assert!(follower.events("elected").is_empty());
    }
    assert_eq!(leader.events("elected")[0]["acquired"], "vacant");
}

#[test]
fn a_killed_leader_is_replaced_at_once() {
    let cluster = Cluster::new(LONG);
    let mut first = cluster.leader("node-1");
    let mut second = cluster.follower("node-2");
    first.kill();
    let elected = second.until("elected");
    assert_eq!(elected["acquired"], "holder_died");
    assert_eq!(elected["term"], 2);
    assert_one_leader_at_a_time(&[&first, &second]);
}

#[test]
fn however_often_a_lease_is_renewed_a_follower_waits_for_its_holder_in_one_thread() {
    let cluster = Cluster::new(&["--lease-duration=10s", "--retry-period=5ms"]);
    let _leader = cluster.leader("node-1");
    let follower = cluster.follower("node-2");
    let far = cluster.lease().join(format!("{:020}", 100));
    eventually("a hundred renewals", || far.exists());
    let threads = std::fs::read_dir(format!("/proc/{}/task", follower.pid())).unwrap();
    let waits = threads.filter(|thread| {
        let name = thread.as_ref().unwrap().path().join("comm");
        std::fs::read_to_string(name).is_ok_and(|name| name == "lease-waiter\n")
    });
    assert_eq!(waits.count(), 1);
}

#[test]
fn a_leader_that_is_killed_again_and_again_is_replaced_each_time() {
    let cluster = Cluster::new(LONG);
    let mut gone = Vec::new();
    let mut leader = cluster.leader("node-0");
    for round in 1..=10 {
        let mut next = cluster.follower(&format!("node-{round}"));
        leader.kill();
        assert_eq!(next.until("elected")["term"], round + 1);
        gone.push(std::mem::replace(&mut leader, next));
    }
    gone.push(leader);
    assert_one_leader_at_a_time(&gone.iter().collect::<Vec<_>>());
    // What the dead left behind was collected, but for the last of them.
    let claims = std::fs::read_dir(cluster.lease().join("claims")).unwrap();
    assert!(claims.count() <= 3);
}

#[test]
fn a_leader_asked_to_stop_hands_the_lease_back() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let cluster = Cluster::new(LONG);
        let mut first = cluster.leader("node-1");
        let mut second = cluster.follower("node-2");
        let asked = Instant::now();
        first.signal(signal);
        assert_eq!(first.exit().code(), Some(0));
        assert!(asked.elapsed() < Duration::from_secs(10));
        let elected = second.until("elected");
        assert_eq!(elected["acquired"], "vacant");
        assert_eq!(elected["term"], 2);
        let last: Vec<_> = first.all().split_off(first.all().len() - 3);
        assert_eq!(last[0]["event"], "stopping");
        assert_eq!(last[1]["event"], "revoked");
        assert_eq!(last[1]["reason"], "shutdown");
        assert_eq!(last[2]["event"], "stopped");
        assert_one_leader_at_a_time(&[&first, &second]);
    }
}

#[test]
fn a_followers_end_leaves_the_leader_alone() {
    let cluster = Cluster::new(SHORT);
    let mut leader = cluster.leader("node-1");
    let mut killed = cluster.follower("node-2");
    let mut stopped = cluster.follower("node-3");
    killed.kill();
    stopped.stop();
    let later = leader.next_where(LEASE * 2, |line| line["event"] == "revoked");
    assert_eq!(later, None);
    assert_eq!(leader.until("heartbeat")["role"], "leader");
}

#[test]
fn a_frozen_leader_is_replaced_after_the_lease_and_says_lost_before_anything_else() {
    let cluster = Cluster::new(SHORT);
    let mut first = cluster.leader("node-1");
    let mut second = cluster.follower("node-2");
    first.until("heartbeat");
    first.signal(Signal::STOP);
    let said_before = first.all().len();
    let last_renewal = first
        .all()
        .iter()
        .filter(|line| line["role"] == "leader")
        // The leader believes for 0.6 of the lease from each renewal.
        .map(|line| ns(line, "valid_until_ns").as_nanos() - LEASE.as_nanos() as u64 * 6 / 10)
        .max()
        .unwrap();
    let elected = second.until("elected");
    assert_eq!(elected["acquired"], "expired");
    assert_eq!(elected["term"], 2);
    let waited = elected["boottime_ns"].as_u64().unwrap() - last_renewal;
    assert!(waited >= LEASE.as_nanos() as u64, "{waited} ns");

    first.signal(Signal::CONT);
    let revoked = first.until("revoked");
    assert_eq!(revoked["reason"], "renew_deadline");
    assert_eq!(first.all()[said_before], revoked);
    assert!(ns(&revoked, "ended_ns") < ns(&elected, "boottime_ns"));
    assert_eq!(first.until("new_leader")["leader"], "node-2");
    assert_eq!(first.until("heartbeat")["role"], "follower");
    assert_one_leader_at_a_time(&[&first, &second]);
}

#[test]
fn a_frozen_leader_that_was_told_to_stop_says_first_that_it_lost_the_lease() {
    for _ in 0..3 {
        let cluster = Cluster::new(&["--lease-duration=500ms", "--heartbeat-period=50ms"]);
        let mut first = cluster.leader("node-1");
        let mut second = cluster.follower("node-2");
        first.signal(Signal::STOP);
        let elected = ns(&second.until("elected"), "boottime_ns");
        first.signal(Signal::TERM);
        first.signal(Signal::CONT);
        assert_eq!(first.exit().code(), Some(0));
        let all = first.all();
        // What it said before may be read as late as now.
        let since = all
            .iter()
            .skip_while(|line| ns(line, "boottime_ns") < elected);
        let since: Vec<_> = since.collect();
        assert_eq!(since[0]["event"], "revoked", "{all:#?}");
        for line in &since {
            assert_eq!(line["role"], "follower", "{line}");
        }
        assert!(ns(since[0], "ended_ns") <= elected);
    }
}

#[test]
fn what_a_node_says_on_its_way_out_was_true_when_it_was_decided() {
    let cluster = Cluster::new(LONG);
    for round in 0..8 {
        let mut node = cluster.leader(&format!("node-{round}"));
        node.stop();
        let (stopping, revoked) = (node.until("stopping"), node.until("revoked"));
        assert_eq!(stopping["role"], "leader");
        assert!(ns(&stopping, "boottime_ns") <= ns(&revoked, "ended_ns"));
    }
}

#[test]
fn a_leader_frozen_for_less_than_its_lease_leads_on() {
    let cluster = Cluster::new(&["--lease-duration=20s", "--heartbeat-period=50ms"]);
    let mut first = cluster.leader("node-1");
    let second = cluster.follower("node-2");
    first.signal(Signal::STOP);
    std::thread::sleep(Duration::from_millis(500));
    let said = first.all().len();
    first.signal(Signal::CONT);
    while first.all().len() < said + 3 {
        assert_eq!(first.until("heartbeat")["role"], "leader");
    }
    assert!(first.events("revoked").is_empty());
    assert!(second.events("elected").is_empty());
}

#[test]
fn a_frozen_candidate_hinders_nobody() {
    let cluster = Cluster::new(LONG);
    let mut first = cluster.leader("node-1");
    let frozen = cluster.follower("node-2");
    let mut third = cluster.follower("node-3");
    frozen.signal(Signal::STOP);
    first.kill();
    assert_eq!(third.until("elected")["term"], 2);
    frozen.signal(Signal::CONT);
    assert_one_leader_at_a_time(&[&first, &frozen, &third]);
}

#[test]
fn the_leaders_lease_duration_counts_for_everybody() {
    let cluster = Cluster::new(&["--heartbeat-period=50ms"]);
    let mut leader = cluster.start_with("patient", &["--lease-duration=4s"]);
    leader.until("elected");
    let mut hasty = cluster.start_with("hasty", &["--lease-duration=300ms"]);
    hasty.until("new_leader");
    leader.until("heartbeat");
    leader.signal(Signal::STOP);
    let frozen = leader_demo::clock::now();
    let elected = hasty.until("elected");
    let waited = ns(&elected, "boottime_ns").since(frozen);
    // It may have renewed up to a retry period (0.8 s) before.
    assert!(waited >= Duration::from_millis(3200), "{waited:?}");
}

#[test]
fn two_nodes_with_one_id_are_two_sessions_and_a_warning_says_so() {
    let cluster = Cluster::new(SHORT);
    let mut first = cluster.leader("twin");
    let mut second = cluster.start("twin");
    let warning = second.until("warning");
    let message = warning["message"].as_str().unwrap();
    assert!(message.contains("twin"), "{message}");
    assert!(
        message.contains(&format!("pid {}", first.pid())),
        "{message}"
    );
    assert!(second.events("elected").is_empty());
    first.kill();
    assert_eq!(second.until("elected")["term"], 2);
    assert_one_leader_at_a_time(&[&first, &second]);
}

#[test]
fn a_hundred_candidates_have_one_leader_and_the_next_is_one_of_them() {
    let cluster = Cluster::new(&["--lease-duration=10m", "--retry-period=10s"]);
    let mut nodes: Vec<_> = (0..100)
        .map(|i| cluster.start(&format!("node-{i}")))
        .collect();
    for term in 1..=3 {
        let leader = wait_for_leader(&nodes, term);
        nodes[leader].kill();
    }
    wait_for_leader(&nodes, 4);
    assert_one_leader_at_a_time(&nodes.iter().collect::<Vec<_>>());
}

/// The index of the node that leads in `term`.
fn wait_for_leader(nodes: &[common::Node], term: u64) -> usize {
    let deadline = Instant::now() + common::PATIENCE;
    loop {
        let leads = |node: &common::Node| node.events("elected").iter().any(|e| e["term"] == term);
        if let Some(leader) = nodes.iter().position(leads) {
            return leader;
        }
        assert!(Instant::now() < deadline, "nobody leads in term {term}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn elections_with_other_names_in_one_directory_do_not_meet() {
    let cluster = Cluster::new(LONG);
    let _one = cluster.leader("node-1");
    let mut other = cluster.start_with("node-1", &["--lock-name=another"]);
    assert_eq!(other.until("elected")["term"], 1);
}
