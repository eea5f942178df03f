//! What a leader that was asked to step down says of it, and what is known of
//! who comes next.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::time::Duration;

use common::asking::Asking;
#[cfg(feature = "http")]
use common::http::{HTTP, Http};
use common::{Cluster, ns};
use rustix::process::Signal;

/// A lease so long that nothing here may have waited for it.
const LONG: &[&str] = &["--lease-duration=10m", "--retry-period=200ms"];
const LEASE: Duration = Duration::from_secs(600);

/// A node that talks to people.
fn in_words(cluster: &Cluster, id: &str) -> Asking {
    Asking::start(cluster.dir(), &[&["--node-id", id], LONG].concat())
}

#[test]
fn who_resigned_says_for_how_long_it_stays_out() {
    let cluster = Cluster::new(LONG);
    let mut node = in_words(&cluster, "node-1");
    node.says("BECAME LEADER");
    cluster.ask(&["resign"]).is_done();
    node.says("[node-1] LOST LEADERSHIP - Stepping down");
    node.says("[node-1] Stays out of the election for 10m, as it resigned");
}

#[test]
fn who_asked_it_to_resign_is_told_who_leads_next_or_why_nobody_does() {
    let cluster = Cluster::new(LONG);
    let _first = cluster.leader("node-1");
    let _second = cluster.follower("node-2");
    let answer = cluster.ask(&["resign"]);
    answer.is_done();
    assert_eq!(answer.stdout.last().unwrap(), "node-2 leads in term 2");
    let answer = cluster.ask(&["resign"]);
    answer.is_done();
    assert_eq!(
        answer.stdout.last().unwrap(),
        "nobody leads yet; node-2 stays out for 10m"
    );
}

#[test]
fn a_leader_says_who_asked_it_to_step_down_and_for_whom() {
    let cluster = Cluster::new(LONG);
    let mut first = in_words(&cluster, "node-1");
    first.says("BECAME LEADER");
    let mut second = cluster.follower("node-2");
    let asking = cluster.asks(&["hand-over", "--to=node-2"]);
    let (pid, host) = (asking.pid(), rustix::system::uname());
    let host = host.nodename().to_str().unwrap();
    first.says(&format!(
        "[node-1] Asked by process {pid} on {host} to hand over to node-2"
    ));
    first.says("LOST LEADERSHIP - Stepping down");
    asking.ends().is_done();
    let asking = cluster.asks(&["resign"]);
    let pid = asking.pid();
    let asked = second.until("asked");
    assert_eq!(
        (&asked["wish"], &asked["term"], &asked["role"]),
        (&"resign".into(), &2.into(), &"leader".into())
    );
    assert_eq!(
        (&asked["asker_pid"], &asked["asker_host"]),
        (&pid.into(), &host.into())
    );
    assert!(asked["successor_node"].is_null());
    second.until("revoked");
    asking.ends().is_done();
    assert_eq!(second.events("asked").len(), 1);
}

#[test]
fn who_it_was_handed_over_to_has_a_name() {
    let cluster = Cluster::new(LONG);
    let leader = cluster.leader("node-1");
    let mut target = cluster.follower("node-2");
    let mut watching = cluster.asks(&["watch"]);
    watching.says("node-1 leads");
    // It will find what it agreed to, and nobody there to take it.
    leader.signal(Signal::STOP);
    let mut asking = cluster.asks(&["hand-over"]);
    asking.says("node-2 is there to take over");
    target.kill();
    leader.signal(Signal::CONT);
    asking.says("node-1 has given the lease back");
    watching.says("node-1 left the lease to node-2");
    let status = cluster.ask(&["status"]);
    status.said("nobody: the lease was handed over to node-2");
    let status = cluster.ask(&["status", "--json"]);
    status.said("\"successor_node\":\"node-2\"");
}

#[test]
fn who_only_handed_over_does_not_stay_out() {
    let cluster = Cluster::new(LONG);
    let mut first = cluster.leader("node-1");
    let mut second = cluster.follower("node-2");
    cluster.ask(&["hand-over", "--to=node-2"]).is_done();
    assert!(first.until("revoked")["stays_out_until_ns"].is_null());
    second.until("elected");
    cluster.ask(&["resign"]).is_done();
    let revoked = second.until("revoked");
    let out = ns(&revoked, "stays_out_until_ns").since(ns(&revoked, "boottime_ns"));
    assert_eq!(out, LEASE);
}

#[cfg(feature = "http")]
#[test]
fn probes_are_told_who_stays_out() {
    let cluster = Cluster::new(&[LONG, HTTP].concat());
    let mut node = cluster.leader("node-1");
    let at = Http::of(&node);
    assert!(at.status()["stays_out_until_ns"].is_null());
    cluster.ask(&["resign"]).is_done();
    let until = ns(&node.until("revoked"), "stays_out_until_ns");
    let status = at.status();
    assert_eq!(ns(&status, "stays_out_until_ns"), until);
    // The newest term there was, as the metrics have it.
    assert!(status["leader"].is_null());
    assert_eq!(status["term"], 1);
    assert_eq!(at.metric("leader_demo_term", &[]), 1.0);
    // What it is handed by name, it takes all the same.
    let mut other = cluster.start("node-2");
    other.until("elected");
    cluster.ask(&["hand-over", "--to=node-1"]).is_done();
    assert!(at.status()["stays_out_until_ns"].is_null());
}
