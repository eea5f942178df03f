//! `--http`: what probes are told is true at the moment they ask, and nothing
//! that clients do disturbs the election.
#![cfg(feature = "http")]
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::http::{HTTP, Http, answer};
use common::run::{LONG, Runs, SHORT, eventually};
use common::wedge::Wedged;
use common::{Cluster, Node, binary, ns};
use rustix::process::Signal;

fn with_http(lease: &[&'static str]) -> Cluster {
    Cluster::new(&[lease, HTTP].concat())
}

#[test]
fn a_leader_and_a_follower_say_what_they_are() {
    let cluster = with_http(LONG);
    let a = cluster.leader("a");
    let b = cluster.follower("b");
    let (at_a, at_b) = (Http::of(&a), Http::of(&b));
    assert!(at_a.0.ip().is_loopback());
    for at in [at_a, at_b] {
        for probe in ["/livez", "/readyz"] {
            let answer = at.get(probe);
            assert_eq!((answer.code, answer.body.as_str()), (200, "ok\n"));
        }
        assert_eq!(at.get("/leader").body, "a leads in term 1\n");
    }
    assert_eq!((at_a.code("/leader"), at_b.code("/leader")), (200, 503));
    // For balancers that know another code for "well, but not here".
    assert_eq!(at_b.code("/leader?code=429"), 429);
    assert_eq!(at_b.code("/leader?x=1&code=200"), 200);
    assert_eq!(at_a.code("/leader?code=429"), 200);
    for nonsense in ["", "x", "99", "100", "199", "600", "-200", "4294967496"] {
        let answer = at_b.get(&format!("/leader?code={nonsense}"));
        assert_eq!(answer.code, 400, "{nonsense}");
        assert!(answer.body.contains("/leader?code=429"), "{}", answer.body);
    }
}

#[test]
fn status_is_what_the_node_knows() {
    let cluster = with_http(LONG);
    let a = cluster.leader("a");
    let b = cluster.follower("b");
    let elected = &a.events("elected")[0];
    let (leads, follows) = (Http::of(&a).status(), Http::of(&b).status());
    for field in ["node_id", "session", "pid", "host", "lock_name", "term"] {
        assert_eq!(leads[field], elected[field], "{field}");
    }
    for field in ["lease_duration_ns", "renew_deadline_ns", "retry_period_ns"] {
        assert_eq!(leads[field], a.events("started")[0][field], "{field}");
    }
    let store = format!("file:{}", cluster.dir().display());
    assert_eq!(leads["store"], store.as_str());
    assert_eq!(
        (&leads["role"], &follows["role"]),
        (&"leader".into(), &"follower".into())
    );
    assert_eq!(leads["leader"], follows["leader"]);
    assert_eq!(follows["leader"]["pid"], a.pid());
    assert_eq!(follows["leader"]["node_id"], "a");
    assert_eq!(follows["leader"]["term"], 1);
    let left = leads["lease_remaining_ns"].as_u64().unwrap();
    let until = ns(&leads, "valid_until_ns");
    assert_eq!(
        until.since(ns(&leads, "boottime_ns")),
        Duration::from_nanos(left)
    );
    assert!(follows["valid_until_ns"].is_null() && follows["lease_remaining_ns"].is_null());
    for status in [&leads, &follows] {
        assert_eq!(status["alive"], true);
        assert_eq!(status["ready"], true);
        assert_eq!(status["stopping"], false);
        assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn http_is_spoken_as_it_should_be() {
    let cluster = with_http(LONG);
    let node = cluster.leader("a");
    let at = Http::of(&node);
    let index = at.get("/");
    for path in ["/livez", "/readyz", "/leader", "/status", "/metrics"] {
        assert!(index.body.contains(path), "{}", index.body);
        let got = at.get(path);
        assert_eq!(got.code, 200, "{path}");
        assert!(got.headers.contains("cache-control: no-store"));
        // The same, without its body, which is as long as it says.
        let head = at.request("HEAD", path);
        assert_eq!((head.code, head.body.as_str()), (200, ""), "{path}");
        if path != "/metrics" && path != "/status" {
            let length = format!("content-length: {}\r\n", got.body.len());
            assert!(head.headers.contains(&length), "{}", head.headers);
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let refused = at.request(method, path);
            assert_eq!(refused.code, 405, "{method} {path}");
            assert!(refused.headers.contains("allow: get, head"));
        }
    }
    assert!(
        at.get("/status")
            .headers
            .contains("content-type: application/json")
    );
    let missing = at.get("/leaders");
    assert_eq!(missing.code, 404);
    assert!(missing.body.contains("/leader "), "{}", missing.body);
    // Two on one connection.
    let mut stream = at.connect();
    for _ in 0..2 {
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        let mut got = [0; 12];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"HTTP/1.1 200");
        let mut rest = Vec::new();
        while !rest.ends_with(b"\r\n\r\nok\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            rest.push(byte[0]);
        }
    }
}

#[test]
fn when_the_leader_is_killed_the_probe_of_another_turns() {
    let cluster = with_http(LONG);
    let mut a = cluster.leader("a");
    let b = cluster.follower("b");
    let at = Http::of(&b);
    assert_eq!(at.code("/leader"), 503);
    a.kill();
    eventually("the probe turns", || at.code("/leader") == 200);
    assert_eq!(at.get("/leader").body, "b leads in term 2\n");
}

#[test]
fn a_leader_that_was_frozen_answers_that_it_leads_no_more() {
    let cluster = with_http(SHORT);
    let a = cluster.leader("a");
    let mut b = cluster.follower("b");
    let at = Http::of(&a);
    assert_eq!(at.code("/leader"), 200);
    a.signal(Signal::STOP);
    b.until("elected");
    // Asked while it cannot answer: its first word on waking is the truth.
    let asked: Vec<_> = (0..8).map(|_| at.ask("GET", "/leader")).collect();
    a.signal(Signal::CONT);
    for asked in asked {
        let answer = answer(asked);
        assert_eq!(answer.code, 503, "{}", answer.body);
    }
    assert_eq!(Http::of(&b).code("/leader"), 200);
}

#[test]
fn a_node_whose_loop_is_blocked_says_so_and_does_not_lead() {
    let cluster = with_http(SHORT);
    let a = cluster.leader("a");
    let at = Http::of(&a);
    let Some(wedged) = Wedged::main_thread(a.pid()) else {
        return;
    };
    // Nothing of the election runs any more; only its clock does.
    eventually("its leadership ends", || at.code("/leader") == 503);
    eventually("it is not alive", || at.code("/livez") == 503);
    let why = at.get("/livez").body;
    assert!(why.contains("should have run"), "{why}");
    assert_eq!(at.code("/readyz"), 503);
    let status = at.status();
    assert_eq!(
        (&status["alive"], &status["role"]),
        (&false.into(), &"follower".into())
    );
    assert_eq!(at.metric("leader_demo_is_leader", &[]), 0.0);
    assert_eq!(at.metric("leader_demo_lease_remaining_seconds", &[]), 0.0);
    drop(wedged);
    eventually("it is alive again", || at.code("/livez") == 200);
    eventually("it leads again", || at.code("/leader") == 200);
}

#[test]
fn a_node_is_not_ready_while_its_store_fails() {
    let cluster = with_http(SHORT);
    let mut node = cluster.leader("a");
    let at = Http::of(&node);
    assert_eq!(at.code("/readyz"), 200);
    let newer = loop {
        let next = cluster.next_revision();
        if !next.exists() {
            fs::write(&next, r#"{"version":2}"#).unwrap();
            break next;
        }
    };
    let why = node.until("store_error")["message"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = at.get("/readyz");
    assert_eq!(answer.code, 503);
    assert_eq!(answer.body, format!("store error: {why}\n"));
    // To restart it would help nobody.
    assert_eq!(at.code("/livez"), 200);
    fs::remove_file(newer).unwrap();
    node.until("store_recovered");
    assert_eq!(at.code("/readyz"), 200);
}

/// How many descriptors a process has.
fn descriptors(node: &Node) -> usize {
    fs::read_dir(format!("/proc/{}/fd", node.pid()))
        .unwrap()
        .count()
}

#[test]
fn a_thousand_silent_clients_disturb_nothing() {
    let cluster = with_http(SHORT);
    let mut node = cluster.leader("a");
    let at = Http::of(&node);
    let renewals = || at.metric("leader_demo_renewal_duration_seconds_count", &[]);
    let before = renewals();
    let mut silent = Vec::new();
    for i in 0..1000 {
        let mut stream = at.connect();
        // Some say nothing, some begin and go on for ever.
        if i % 2 == 0 {
            let _ = stream.write_all(b"GET /leader HTTP/1.1\r\nX-Slow: ");
        }
        silent.push(stream);
        if i % 100 == 99 {
            let asked = Instant::now();
            assert_eq!(at.code("/leader"), 200, "after {i} of them");
            let took = asked.elapsed();
            assert!(took < Duration::from_secs(5), "{took:?} after {i} of them");
        }
    }
    assert!(descriptors(&node) < 120, "{}", descriptors(&node));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        for stream in silent.iter_mut().step_by(2) {
            let _ = stream.write_all(b"x");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // It led all the time, in one term, by a lease of a second.
    assert!(renewals() >= before + 10.0);
    assert_eq!(at.get("/leader").body, "a leads in term 1\n");
    assert_eq!(node.events("revoked").len(), 0);
    // Nor do they keep it from ending.
    let start = Instant::now();
    node.stop();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn descriptors_that_run_out_are_taken_from_the_clients() {
    let cluster = Cluster::new(&[]);
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"ulimit -n 32; exec "$0" "$@""#])
        .arg(binary().get_program())
        .args(["--node-id", "a", "--log-format", "json", "--lock-dir"])
        .arg(cluster.dir())
        .args([SHORT, HTTP].concat());
    let mut node = Node::spawn("a", command);
    node.until("elected");
    let at = Http::of(&node);
    // No more than wait to be accepted, or to connect would wait too.
    let silent: Vec<_> = (0..100).map(|_| at.connect()).collect();
    let asked = Instant::now();
    assert_eq!(at.code("/leader"), 200);
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    // Those that were dropped make room, if not all in the same moment.
    while descriptors(&node) >= 32 {
        assert!(
            asked.elapsed() < Duration::from_secs(20),
            "no descriptor is left"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(silent);
    assert_eq!(node.events("revoked").len(), 0);
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    let cluster = with_http(LONG);
    let node = cluster.leader("a");
    let at = Http::of(&node);
    let silent = at.connect();
    let mut slow = at.connect();
    slow.write_all(b"GET /leader HTT").unwrap();
    // One that had an answer, and stays.
    let mut idle = at.connect();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let start = Instant::now();
    for mut stream in [silent, slow, idle] {
        // Until it is closed; the patience of these streams would be an error.
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    // Ten seconds; hyper itself would wait for thirty.
    assert!(start.elapsed() < Duration::from_secs(25));
}

#[test]
fn who_has_nothing_more_to_ask_is_answered_all_the_same() {
    let cluster = with_http(LONG);
    let node = cluster.leader("a");
    let at = Http::of(&node);
    for _ in 0..20 {
        let mut stream = at.connect();
        // The node has begun to read when the rest comes, and the end right after.
        stream.write_all(b"GET /livez HTTP/1.1\r\n").unwrap();
        thread::sleep(Duration::from_millis(20));
        stream.write_all(b"Host: a\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answer(stream).code, 200);
    }
}

#[test]
fn headers_without_end_are_refused() {
    let cluster = with_http(LONG);
    let node = cluster.leader("a");
    let at = Http::of(&node);
    let mut stream = at.connect();
    let line = format!("X-Long: {}\r\n", "x".repeat(1000));
    let mut sent = 0;
    let refused = stream
        .write_all(b"GET /leader HTTP/1.1\r\n")
        .and_then(|()| {
            loop {
                stream.write_all(line.as_bytes())?;
                sent += line.len();
                if sent > 64 << 20 {
                    return Ok(());
                }
            }
        });
    assert!(refused.is_err(), "it took {sent} bytes");
    assert_eq!(at.code("/leader"), 200);
}

#[test]
fn a_port_that_cannot_be_had_is_said_before_the_lease_is_touched() {
    let cluster = Cluster::new(&[]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let foreign = "192.0.2.1:8080";
    let demo: &[&str] = &["--node-id", "a"];
    let run: &[&str] = &["run"];
    for (address, says) in [
        (taken.as_str(), "is in use: choose another"),
        (foreign, "192.0.2.1 is no address of this machine"),
    ] {
        for (command, code) in [(demo, 1), (run, 125)] {
            let mut process = binary();
            process.args(command).arg("--lock-dir").arg(cluster.dir());
            process.args(["--http", address]);
            if command == run {
                process.args(["--", "true"]);
            }
            let output = process.output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(code), "{stderr}");
            let line = format!("error: --http {address}: ");
            assert!(
                stderr.starts_with(&line) && stderr.contains(says),
                "{stderr}"
            );
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
            assert!(!cluster.lease().exists());
        }
    }
}

#[test]
fn run_answers_too_and_its_command_inherits_no_port() {
    let runs = Runs::new(LONG);
    let script = r#"
        trap 'echo asked; permit; exit 0' TERM
        echo "port ${LEADER_DEMO_HTTP-none}"
        echo ready
        while :; do sleep 0.01; done
    "#;
    let mut a = runs.spawn("a", |events| {
        let flags = ["--node-id", "a", "--events", events];
        let mut run = runs.run(&flags, &["sh", "-c", script]);
        run.env("LEADER_DEMO_HTTP", ":0").stderr(Stdio::null());
        run
    });
    a.says("port none");
    a.says("ready");
    let at = Http::of(&a);
    assert_eq!((at.code("/leader"), at.code("/readyz")), (200, 200));
    // While its command takes its time to end, it leads, but wants no more work.
    a.signal(Signal::TERM);
    a.says("asked");
    assert_eq!(at.get("/readyz").body, "stopping\n");
    assert_eq!((at.code("/leader"), at.code("/livez")), (200, 200));
    runs.permit();
    assert_eq!(a.exit().code(), Some(0));
}
