//! `/metrics`: Prometheus takes them, and they are what happened.
#![cfg(feature = "http")]
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::http::{HTTP, Http};
use common::run::{LONG, SHORT, eventually};
use common::shell::is_installed;
use common::{Cluster, ns};
use rustix::process::Signal;

const ALERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/alerts.yml");

fn with_http(lease: &[&'static str]) -> Cluster {
    Cluster::new(&[lease, HTTP].concat())
}

/// Prometheus' own tool, with this on its stdin.
fn promtool(args: &[&str], stdin: &str) -> Option<String> {
    if !is_installed("promtool") {
        return None;
    }
    let mut child = Command::new("promtool")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "promtool {args:?}: {said}");
    Some(said)
}

#[test]
fn prometheus_has_no_complaints() {
    let cluster = with_http(SHORT);
    let mut a = cluster.leader("a");
    let b = cluster.follower("b");
    a.kill();
    let at = Http::of(&b);
    eventually("a renewal", || {
        at.code("/leader") == 200
            && at.metric("leader_demo_renewal_duration_seconds_count", &[]) > 0.0
    });
    let page = at.get("/metrics");
    assert!(
        page.headers
            .contains("content-type: text/plain; version=0.0.4; charset=utf-8")
    );
    if let Some(said) = promtool(&["check", "metrics"], &page.body) {
        assert_eq!(said, "");
    }
}

#[test]
fn all_there_is_to_count_is_there_before_it_happens() {
    let cluster = with_http(LONG);
    let node = cluster.leader("a");
    let at = Http::of(&node);
    for sample in at.metrics() {
        let labels = "lock_name=\"leader-election-demo\",node_id=\"a\"";
        assert!(sample.labels.starts_with(labels), "{}", sample.labels);
    }
    for reason in [
        "renew_deadline",
        "lost",
        "resigned",
        "handed_over",
        "shutdown",
    ] {
        let reason = format!("reason=\"{reason}\"");
        assert_eq!(at.metric("leader_demo_losses_total", &[&reason]), 0.0);
    }
    for name in [
        "transitions_total",
        "store_errors_total",
        "failover_gap_seconds_count",
    ] {
        assert_eq!(
            at.metric(&format!("leader_demo_{name}"), &[]),
            0.0,
            "{name}"
        );
    }
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert_eq!(at.metric("leader_demo_build_info", &[&version]), 1.0);
}

#[test]
fn a_killed_leader_is_a_transition_and_a_gap_of_the_next_one() {
    let cluster = with_http(&["--lease-duration", "20s", "--retry-period", "200ms"]);
    let mut a = cluster.leader("a");
    let mut b = cluster.follower("b");
    let mut c = cluster.follower("c");
    let renewals = |at: Http| at.metric("leader_demo_renewal_duration_seconds_count", &[]);
    let (at_a, at_b, at_c) = (Http::of(&a), Http::of(&b), Http::of(&c));
    // A first sight is no sign of life; a renewal is.
    let seen = renewals(at_a);
    eventually("renewals that b and c have seen", || {
        renewals(at_a) >= seen + 3.0
    });
    assert!(at_a.metric("leader_demo_renewal_duration_seconds_sum", &[]) < 10.0);
    let left = at_a.metric("leader_demo_lease_remaining_seconds", &[]);
    assert!(left > 0.0 && left <= 12.0, "{left}");
    assert_eq!(at_b.metric("leader_demo_is_leader", &[]), 0.0);
    assert_eq!((renewals(at_b), renewals(at_c)), (0.0, 0.0));
    a.kill();
    eventually("one of them leads", || {
        [at_b, at_c].iter().any(|at| at.code("/leader") == 200)
    });
    let (next, at_next, at_other) = match at_b.code("/leader") {
        200 => (&mut b, at_b, at_c),
        _ => (&mut c, at_c, at_b),
    };
    next.until("elected");
    eventually("the other sees it", || {
        at_other.metric("leader_demo_term", &[]) == 2.0
    });
    for at in [at_next, at_other] {
        assert_eq!(at.metric("leader_demo_transitions_total", &[]), 1.0);
        assert_eq!(at.metric("leader_demo_term", &[]), 2.0);
    }
    assert_eq!(at_next.metric("leader_demo_is_leader", &[]), 1.0);
    // One node counts it, as long as its own events say it was.
    assert_eq!(
        at_other.metric("leader_demo_failover_gap_seconds_count", &[]),
        0.0
    );
    assert_eq!(
        at_next.metric("leader_demo_failover_gap_seconds_count", &[]),
        1.0
    );
    let elected = ns(&next.events("elected")[0], "boottime_ns");
    let gone = ns(&next.events("no_leader")[0], "boottime_ns");
    let gap = at_next.metric("leader_demo_failover_gap_seconds_sum", &[]);
    let expected = elected.since(gone).as_secs_f64();
    assert!((gap - expected).abs() < 1e-6, "{gap} {expected}");
    assert!(gap < 5.0, "a lease is 20 s: {gap}");
    let in_time = at_next.metric("leader_demo_failover_gap_seconds_bucket", &["le=\"5\""]);
    assert_eq!(in_time, 1.0);
    next.stop();
}

#[test]
fn a_leader_that_froze_lost_by_its_renew_deadline() {
    let cluster = with_http(SHORT);
    let mut a = cluster.leader("a");
    let mut b = cluster.follower("b");
    let at = Http::of(&a);
    let seen = at.metric("leader_demo_renewal_duration_seconds_count", &[]);
    eventually("renewals that b has seen", || {
        at.metric("leader_demo_renewal_duration_seconds_count", &[]) >= seen + 3.0
    });
    a.signal(Signal::STOP);
    b.until("elected");
    // From the last renewal that b saw: about the whole lease, never less than R.
    let gap = Http::of(&b).metric("leader_demo_failover_gap_seconds_sum", &[]);
    assert!((0.6..30.0).contains(&gap), "{gap}");
    a.signal(Signal::CONT);
    assert_eq!(a.until("revoked")["reason"], "renew_deadline");
    let lost = at.metric("leader_demo_losses_total", &["reason=\"renew_deadline\""]);
    assert_eq!(lost, 1.0);
    eventually("it sees the other", || {
        at.metric("leader_demo_transitions_total", &[]) == 1.0
    });
    // It was not elected, so this is no failover of its.
    assert_eq!(
        at.metric("leader_demo_failover_gap_seconds_count", &[]),
        0.0
    );
}

#[test]
fn calls_that_fail_are_counted() {
    let cluster = with_http(SHORT);
    let mut node = cluster.leader("a");
    let at = Http::of(&node);
    let newer = loop {
        let next = cluster.next_revision();
        if !next.exists() {
            fs::write(&next, r#"{"version":2}"#).unwrap();
            break next;
        }
    };
    node.until("store_error");
    let errors = || at.metric("leader_demo_store_errors_total", &[]);
    assert!(errors() >= 1.0);
    // The event is told once, each call is counted.
    eventually("more of them", || errors() >= 3.0);
    assert_eq!(node.events("store_error").len(), 1);
    fs::remove_file(newer).unwrap();
    node.until("store_recovered");
    let then = errors();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(errors(), then);
}

/// What the alerts are to make of series that no test can wait for.
const CASES: &str = r#"
rule_files: [ALERTS]
evaluation_interval: 10s
tests:
  - interval: 10s
    input_series:
      - {series: 'leader_demo_is_leader{lock_name="x",node_id="a"}', values: '1x60'}
      - {series: 'leader_demo_is_leader{lock_name="x",node_id="b"}', values: '0x60'}
      - {series: 'leader_demo_transitions_total{lock_name="x",node_id="b"}', values: '0x30 1x30'}
      - {series: 'leader_demo_store_errors_total{lock_name="x",node_id="b"}', values: '0x60'}
    alert_rule_test:
      - {eval_time: 10m, alertname: NobodyLeads}
      - {eval_time: 10m, alertname: LeaderKeepsChanging}
      - {eval_time: 10m, alertname: StoreFails}
  - interval: 10s
    input_series:
      - {series: 'leader_demo_is_leader{lock_name="x",node_id="a"}', values: '1x30 0x30'}
      - {series: 'leader_demo_is_leader{lock_name="x",node_id="b"}', values: '0x60'}
      - {series: 'leader_demo_transitions_total{lock_name="x",node_id="b"}', values: '0+1x60'}
      - {series: 'leader_demo_store_errors_total{lock_name="x",node_id="b"}', values: '0+1x60'}
    promql_expr_test:
      - expr: count(ALERTS{alertstate="firing"}) by (alertname, lock_name)
        eval_time: 10m
        exp_samples:
          - {labels: '{alertname="NobodyLeads",lock_name="x"}', value: 1}
          - {labels: '{alertname="LeaderKeepsChanging",lock_name="x"}', value: 1}
          - {labels: '{alertname="StoreFails",lock_name="x"}', value: 1}
  - interval: 10s
    input_series: []
    promql_expr_test:
      - expr: count(ALERTS{alertname="NobodyLeads",alertstate="firing"})
        eval_time: 10m
        exp_samples: [{labels: '{}', value: 1}]
"#;

#[test]
fn the_alerts_fire_when_they_should_and_only_then() {
    let dir = tempfile::tempdir().unwrap();
    let cases = dir.path().join("cases.yml");
    fs::write(
        &cases,
        CASES.replacen("[ALERTS]", &format!("[{ALERTS}]"), 1),
    )
    .unwrap();
    if promtool(&["check", "rules", ALERTS], "").is_some() {
        promtool(&["test", "rules", cases.to_str().unwrap()], "");
    }
    // What they ask for is there.
    let cluster = with_http(LONG);
    let node = cluster.leader("a");
    let page = Http::of(&node).get("/metrics").body;
    for name in ["is_leader", "transitions_total", "store_errors_total"] {
        let name = format!("leader_demo_{name}");
        assert!(fs::read_to_string(ALERTS).unwrap().contains(&name));
        assert!(page.contains(&format!("\n{name}{{")), "{name}");
    }
}
