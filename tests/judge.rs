//! `leader-demo judge`, shown honest logs, and logs that it must not let pass.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::path::PathBuf;
use std::process::Output;

use common::{Cluster, Node, binary};
use leader_demo::clock;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;

/// Files of lines, each of one node, and of the faults.
struct Logs {
    dir: TempDir,
    files: Vec<PathBuf>,
}

impl Logs {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            files: Vec::new(),
        }
    }

    fn text(mut self, text: &str) -> Self {
        let path = self.dir.path().join(format!("{}.log", self.files.len()));
        std::fs::write(&path, text).unwrap();
        self.files.push(path);
        self
    }

    fn file(self, lines: &[Value]) -> Self {
        let lines: Vec<_> = lines.iter().map(|line| format!("{line}\n")).collect();
        self.text(&lines.concat())
    }

    fn judge(&self, flags: &[&str]) -> Output {
        let judged = binary()
            .arg("judge")
            .args(flags)
            .args(&self.files)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&judged.stderr), "");
        judged
    }

    #[track_caller]
    fn assert_sound(&self) -> Value {
        let judged = self.judge(&["--json"]);
        let verdict: Value = serde_json::from_slice(&judged.stdout).unwrap();
        assert_eq!(judged.status.code(), Some(0), "{verdict:#}");
        verdict
    }

    /// It is caught, by this rule alone, in these words.
    #[track_caller]
    fn assert_broken(&self, rule: &str, words: &str) {
        let judged = self.judge(&["--json"]);
        let verdict: Value = serde_json::from_slice(&judged.stdout).unwrap();
        assert_eq!(judged.status.code(), Some(1), "{verdict:#}");
        let breaches = verdict["breaches"].as_array().unwrap();
        assert_eq!(breaches.len(), 1, "{verdict:#}");
        assert_eq!(breaches[0]["rule"], rule, "{verdict:#}");
        let said = breaches[0]["message"].as_str().unwrap();
        assert!(said.contains(words), "{said}");
        let text = self.judge(&[]);
        assert_eq!(text.status.code(), Some(1));
        let text = String::from_utf8(text.stdout).unwrap();
        assert!(text.starts_with("BROKEN: 1 breach among"), "{text}");
        assert!(text.contains(said), "{text}");
    }
}

/// What one session says, line by line.
struct Session {
    node: &'static str,
    lines: Vec<Value>,
}

impl Session {
    fn of(node: &'static str) -> Self {
        let lines = Vec::new();
        Self { node, lines }
    }

    fn say(mut self, event: &str, at: u64, more: Value) -> Self {
        let mut line = json!({
            "event": event, "boottime_ns": at, "node_id": self.node, "pid": pid(self.node),
            "session": format!("session of {}", self.node), "boot_id": "boot",
            "lock_name": "lock", "seq": self.lines.len() + 1, "role": "follower",
        });
        let more = more.as_object().unwrap().clone();
        line.as_object_mut().unwrap().extend(more);
        self.lines.push(line);
        self
    }

    fn elected(self, at: u64, term: u64) -> Self {
        let more = json!({"term": term, "role": "leader", "valid_until_ns": at + 6 * S});
        self.say("elected", at, more)
    }

    fn leads(self, at: u64, term: u64) -> Self {
        let more = json!({"term": term, "role": "leader", "valid_until_ns": at + 6 * S});
        self.say("heartbeat", at, more)
    }

    fn follows(self, at: u64) -> Self {
        self.say("heartbeat", at, json!({}))
    }

    fn revoked(self, at: u64, reason: &str) -> Self {
        self.say("revoked", at, json!({"ended_ns": at, "reason": reason}))
    }
}

fn pid(node: &str) -> u64 {
    u64::from(node.as_bytes()[0])
}

/// The first line of a file of faults: L 10 s, P 2 s.
fn chaos() -> Value {
    json!({"event": "chaos", "boottime_ns": 0, "seed": 7, "replay": "make chaos SEED=7",
        "lease_duration_ns": 10 * S, "retry_period_ns": 2 * S, "renew_deadline_ns": 6 * S})
}

fn fault(kind: &str, node: Option<&str>, at: u64) -> Value {
    json!({"event": "fault", "fault": kind, "boottime_ns": at, "node_id": node,
        "pid": node.map(pid), "session": null, "message": kind})
}

/// `a` leads from 1 s to 5 s.
fn a() -> Session {
    Session::of("a").elected(S, 1).leads(4 * S, 1)
}

/// `b` follows, until it leads at that time.
fn b(at: u64, term: u64) -> Session {
    Session::of("b")
        .follows(S)
        .elected(at, term)
        .leads(at + 1, term)
}

#[test]
fn one_after_the_other_is_sound() {
    let logs = Logs::new()
        .file(&a().revoked(5 * S, "shutdown").lines)
        .file(&b(5 * S, 2).lines);
    let verdict = logs.assert_sound();
    assert_eq!(verdict["leaderships"], 2);
    assert_eq!(verdict["nodes"], 2);
    let text = String::from_utf8(logs.judge(&[]).stdout).unwrap();
    assert!(text.starts_with("Sound: 2 leaderships by 2 nodes in 6 lines, never two at one time."));
    assert!(text.contains("No faults were given"), "{text}");
}

#[test]
fn two_leaders_for_a_nanosecond_are_caught() {
    Logs::new()
        .file(&a().revoked(5 * S, "shutdown").lines)
        .file(&b(5 * S - 1, 2).lines)
        .assert_broken("one_leader", ": 1 ns of both. ");
    // At the very moment that a killed one said so last.
    Logs::new()
        .file(&a().lines)
        .file(&b(4 * S, 2).lines)
        .assert_broken("one_leader", "1.log:2 to ");
    Logs::new()
        .file(&a().lines)
        .file(&b(4 * S + 1, 2).lines)
        .assert_sound();
}

#[test]
fn one_leader_inside_the_span_of_another_hides_no_third() {
    let judged = Logs::new()
        .file(&a().revoked(30 * S, "shutdown").lines)
        .file(&b(5 * S, 2).revoked(6 * S, "shutdown").lines)
        .file(&Session::of("c").elected(29 * S, 3).lines)
        .judge(&[]);
    let text = String::from_utf8(judged.stdout).unwrap();
    assert!(text.contains("2 breaches"), "{text}");
    assert!(text.contains("c (term 3) from 29000000000"), "{text}");
}

#[test]
fn two_that_are_elected_at_once_and_say_no_more_are_caught() {
    Logs::new()
        .file(&Session::of("a").elected(S, 1).lines)
        .file(&Session::of("b").elected(S, 2).lines)
        .assert_broken("one_leader", ": 1 ns of both. ");
}

#[test]
fn a_term_that_comes_twice_is_caught() {
    Logs::new()
        .file(&a().lines)
        .file(&b(5 * S, 1).lines)
        .assert_broken("terms", "term 1 led again: ");
}

#[test]
fn a_term_that_falls_is_caught() {
    Logs::new()
        .file(&a().lines)
        .file(&b(5 * S, 3).lines)
        .file(&Session::of("c").elected(7 * S, 2).lines)
        .assert_broken("terms", "term 2 led after a higher one: b (term 3)");
}

#[test]
fn terms_start_again_only_where_the_directory_was_removed() {
    let logs = |at| {
        Logs::new()
            .file(&a().lines)
            .file(&b(5 * S, 1).lines)
            .file(&[chaos(), fault("removed", None, at)])
    };
    logs(4 * S + 1).assert_sound();
    logs(5 * S + 1).assert_broken("terms", "term 1 led again");
}

#[test]
fn a_claim_after_its_end_is_caught() {
    let late = json!({"role": "leader", "term": 1, "valid_until_ns": 5 * S});
    Logs::new()
        .file(&a().say("heartbeat", 5 * S, late).lines)
        .assert_broken("claim", "0 ns after the end of what it may, 5000000000");
    Logs::new()
        .file(&a().revoked(5 * S, "lost").leads(6 * S, 1).lines)
        .assert_broken("claim", "after its leadership was over, at 6000000000");
    Logs::new()
        .file(&a().leads(5 * S, 2).lines)
        .assert_broken("claim", "another term than its own, 1");
    let no_end = json!({"role": "leader", "term": 1});
    Logs::new()
        .file(&a().say("heartbeat", 5 * S, no_end).lines)
        .assert_broken("claim", "but not until when");
}

#[test]
fn lines_that_are_missing_are_caught() {
    let mut without = a().leads(5 * S, 1).leads(6 * S, 1);
    without.lines.remove(2);
    Logs::new()
        .file(&without.lines)
        .assert_broken("evidence", "a says line 4 of its session after line 2");
}

#[test]
fn lines_that_are_missing_at_the_beginning_are_caught() {
    let mut without = a().leads(5 * S, 1);
    without.lines = Session::of("a").follows(1).lines;
    without = without.elected(S, 1);
    without.lines.remove(0);
    Logs::new()
        .file(&without.lines)
        .assert_broken("evidence", "a says line 2 of its session first");
}

#[test]
fn a_session_that_changes_sides_is_caught() {
    // It would lead beside `a`, but elsewhere, and as somebody else.
    for (field, value) in [
        ("lock_name", "another"),
        ("boot_id", "another"),
        ("node_id", "c"),
    ] {
        let mut b = Session::of("b").follows(S).elected(2 * S, 2);
        b = b.revoked(3 * S, "shutdown");
        for line in &mut b.lines[1..] {
            line[field] = value.into();
        }
        let judged = Logs::new()
            .file(&a().lines)
            .file(&b.lines)
            .judge(&["--json"]);
        assert_eq!(judged.status.code(), Some(1), "{field}");
        let verdict: Value = serde_json::from_slice(&judged.stdout).unwrap();
        let breaches = verdict["breaches"].as_array().unwrap();
        let said = |breach: &Value| breach["message"].as_str().unwrap().contains("was another");
        let evidence: Vec<_> = breaches.iter().filter(|b| said(b)).collect();
        assert_eq!(evidence.len(), 1, "{field}: {verdict:#}");
        assert_eq!(evidence[0]["rule"], "evidence");
    }
}

#[test]
fn a_line_torn_in_the_middle_is_caught_and_at_the_end_is_not() {
    let whole: Vec<_> = a().lines.iter().map(Value::to_string).collect();
    let torn = format!("{}\n{}\n{{\"event\":\"hea", whole[0], whole[1]);
    let verdict = Logs::new().text(&torn).assert_sound();
    assert_eq!(verdict["torn_ends"], 1);
    Logs::new()
        .text(&format!("{torn}\n"))
        .assert_broken("evidence", "0.log:3 is no whole line");
}

#[test]
fn what_others_say_is_counted_and_left_aside() {
    let watch = json!({"event": "elected", "boottime_ns": 1, "leader": "z", "session": "s",
        "lock_name": "lock", "term": 9});
    let lines = format!("{watch}\nhello\n{{\"a\":1}}\n[]\n");
    let logs = Logs::new().file(&a().lines).text(&lines);
    assert_eq!(logs.assert_sound()["unknown_lines"], 4);
    let text = String::from_utf8(logs.judge(&[]).stdout).unwrap();
    assert!(text.contains("4 lines of others left aside"), "{text}");
}

#[test]
fn machines_are_judged_by_themselves_but_for_their_terms() {
    let elsewhere = |term| {
        let mut b = b(2 * S, term);
        for line in &mut b.lines {
            line["boot_id"] = "another".into();
        }
        Logs::new().file(&a().lines).file(&b.lines)
    };
    assert_eq!(elsewhere(2).assert_sound()["boots"], 2);
    let text = String::from_utf8(elsewhere(2).judge(&[]).stdout).unwrap();
    assert!(text.contains("of 2 boots or machines"), "{text}");
    elsewhere(1).assert_broken("terms", "term 1 led on two machines");
}

/// `a` is hurt at 4.5 s, and `b` leads at `next`.
fn hurt(kind: &str, next: u64) -> Logs {
    let a = match kind {
        "kill" => a(),
        "term" => a().revoked(4500 * MS + 1, "shutdown"),
        _ => a()
            .say(
                "revoked",
                40 * S,
                json!({"ended_ns": 10 * S, "reason": "renew_deadline"}),
            )
            .follows(41 * S),
    };
    Logs::new()
        .file(&a.lines)
        .file(&b(next, 2).lines)
        .file(&[chaos(), fault(kind, Some("a"), 4500 * MS)])
}

#[test]
fn a_late_failover_is_caught_for_each_kind_of_fault() {
    for (kind, bound) in [
        ("kill", 2 * S),
        ("term", 2 * S),
        ("stop", 16 * S),
        ("partition", 16 * S),
    ] {
        let verdict = hurt(kind, 4500 * MS + bound).assert_sound();
        let row = &verdict["failovers"][0];
        assert_eq!(row["after"], kind);
        assert_eq!(row["worst_ns"], bound, "{kind}");
        assert_eq!(row["at_most_ns"], bound, "{kind}");
        let words = format!("{} ns after {kind} of a (term 1)", bound + 1);
        hurt(kind, 4500 * MS + bound + 1).assert_broken("failover", &words);
    }
}

#[test]
fn what_comes_after_the_end_did_not_end_it() {
    let verdict = Logs::new()
        .file(&a().revoked(5 * S, "lost").lines)
        .file(&b(8 * S, 2).lines)
        .file(&[chaos(), fault("stop", Some("a"), 6 * S)])
        .assert_sound();
    let row = &verdict["failovers"][0];
    // From the end, although the fault in between keeps that from being judged.
    assert_eq!(row["after"], "several");
    assert_eq!(row["worst_ns"], 3 * S);
    assert_eq!(row["at_most_ns"], Value::Null);
}

#[test]
fn a_failover_that_never_comes_is_caught() {
    let waits = |until: u64| {
        let b = (1..=until).fold(Session::of("b"), |b, s| b.follows(s * S));
        Logs::new()
            .file(&a().lines)
            .file(&b.lines)
            .file(&[chaos(), fault("kill", Some("a"), 5 * S)])
    };
    waits(7).assert_sound();
    waits(8).assert_broken("failover", "and still nobody led");
}

#[test]
fn where_nobody_is_left_nobody_is_late() {
    let b = Session::of("b")
        .follows(S)
        .say("stopping", 4600 * MS, json!({}))
        .say("stopped", 20 * S, json!({}));
    Logs::new()
        .file(&a().lines)
        .file(&b.lines)
        .file(&[chaos(), fault("kill", Some("a"), 4500 * MS)])
        .assert_sound();
}

#[test]
fn time_does_not_count_while_nobody_could_take_over() {
    let b = |next| Session::of("b").follows(50 * S).elected(next, 2);
    let logs = |next: u64| {
        Logs::new()
            .file(&a().lines)
            .file(&b(next).lines)
            .file(&[chaos(), fault("kill", Some("a"), 4500 * MS)])
    };
    logs(60 * S).assert_sound();
    logs(70 * S).assert_broken("failover", "ns after kill");
    let full = |next: u64| {
        Logs::new()
            .file(&a().lines)
            .file(&Session::of("b").follows(S).elected(next, 2).lines)
            .file(&[
                chaos(),
                fault("disk_full", None, 2 * S),
                fault("kill", Some("a"), 4500 * MS),
                fault("disk_free", None, 50 * S),
            ])
    };
    full(60 * S).assert_sound();
    full(70 * S).assert_broken("failover", "ns after kill");
}

/// `a` is killed, then this happens, and `b` leads at 60 s.
fn killed_and(then: &[Value]) -> Logs {
    let faults = [chaos(), fault("kill", Some("a"), 4500 * MS)];
    Logs::new()
        .file(&a().lines)
        .file(&b(60 * S, 2).lines)
        .file(&[&faults, then].concat())
}

#[test]
fn what_comes_too_late_excuses_nothing() {
    let frozen = [
        fault("stop", Some("c"), 58 * S),
        fault("cont", Some("c"), 59 * S),
    ];
    let full = [
        fault("disk_full", None, 30 * S),
        fault("disk_free", None, 59 * S),
    ];
    for then in [&[fault("garbage", None, 59 * S)][..], &frozen, &full] {
        killed_and(then).assert_broken("failover", "allowed are 2000000000: ");
    }
    // Each in time: nobody had a lease duration and two periods in peace.
    let mut again: Vec<_> = [6, 22, 38, 54]
        .map(|s| fault("garbage", None, s * S))
        .into();
    killed_and(&again).assert_sound();
    again.remove(1);
    killed_and(&again).assert_broken("failover", "allowed are 16000000000: ");
}

#[test]
fn a_strangers_file_excuses_nothing_and_ends_nothing() {
    let strangers = |s: u64| fault("stranger", None, s * S);
    let often: Vec<_> = (5..60).map(strangers).collect();
    killed_and(&often).assert_broken("failover", "ns after kill");
    let verdict = Logs::new()
        .file(&a().revoked(5 * S, "lost").lines)
        .file(&b(6 * S, 2).lines)
        .file(&[chaos(), strangers(3)])
        .assert_sound();
    assert_eq!(verdict["failovers"][0]["after"], "lost");
}

#[test]
fn what_was_long_over_did_not_end_it() {
    let logs = |garbage| {
        Logs::new()
            .file(&a().leads(40 * S, 1).revoked(41 * S, "lost").lines)
            .file(&b(42 * S, 2).lines)
            .file(&[chaos(), fault("garbage", None, garbage)])
            .assert_sound()["failovers"][0]
            .take()
    };
    assert_eq!(logs(40 * S)["after"], "garbage");
    assert_eq!(logs(40 * S)["worst_ns"], 2 * S);
    assert_eq!(logs(2 * S)["after"], "lost");
}

#[test]
fn what_an_earlier_fault_excuses_is_kept_apart() {
    let logs = |next| {
        Logs::new().file(&a().lines).file(&b(next, 2).lines).file(&[
            chaos(),
            fault("garbage", None, 4 * S),
            fault("kill", Some("a"), 4500 * MS),
        ])
    };
    let row = |next| logs(next).assert_sound()["failovers"][0].take();
    assert_eq!(row(6500 * MS)["after"], "kill");
    assert_eq!(row(6500 * MS + 1)["after"], "several");
    logs(4500 * MS + 16 * S).assert_sound();
    logs(4500 * MS + 16 * S + 1).assert_broken("failover", "allowed are 16000000000: ");
}

#[test]
fn a_frozen_leader_that_nobody_replaces_is_caught() {
    let logs = |cont: u64| {
        let b = (1..=40).fold(Session::of("b"), |b, s| b.follows(s * S));
        Logs::new().file(&a().lines).file(&b.lines).file(&[
            chaos(),
            fault("stop", Some("a"), 4500 * MS),
            fault("cont", Some("a"), cont),
        ])
    };
    logs(41 * S).assert_broken(
        "failover",
        "after stop of a (term 1) at 4500000000, and still",
    );
    logs(5 * S).assert_sound();
}

#[test]
fn there_must_be_something_to_judge() {
    for lines in [vec![], Session::of("a").follows(S).lines] {
        let logs = Logs::new().file(&lines);
        let judged = binary().arg("judge").args(&logs.files).output().unwrap();
        assert_eq!(judged.status.code(), Some(2));
        let error = String::from_utf8(judged.stderr).unwrap();
        assert!(error.contains("nothing to judge"), "{error}");
    }
    let judged = binary().args(["judge", "/nowhere"]).output().unwrap();
    assert_eq!(judged.status.code(), Some(2));
    let error = String::from_utf8(judged.stderr).unwrap();
    assert!(error.contains("/nowhere: No such file"), "{error}");
}

#[test]
fn names_from_logs_do_not_reach_the_terminal_as_they_are() {
    let mut two = b(2 * S, 2);
    for line in &mut two.lines {
        line["node_id"] = "\u{1b}[31mb".into();
    }
    let judged = Logs::new().file(&a().lines).file(&two.lines).judge(&[]);
    let text = String::from_utf8(judged.stdout).unwrap();
    assert!(text.contains("␛[31mb"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn three_real_nodes_killed_frozen_and_stopped_are_sound() {
    let cluster = Cluster::new(&["--lease-duration", "1s", "--heartbeat-period", "100ms"]);
    let mut nodes = vec![cluster.leader("node-1")];
    nodes.extend(["node-2", "node-3"].map(|id| cluster.follower(id)));
    let mut gone: Vec<Node> = Vec::new();
    let mut faults = vec![json!({"event": "chaos", "boottime_ns": 0,
        "lease_duration_ns": S, "retry_period_ns": 200 * MS})];
    let mut harm = |kind: &str, node: &Node| {
        let at = clock::now().as_nanos();
        faults.push(json!({"event": "fault", "fault": kind, "boottime_ns": at,
            "node_id": node.id, "pid": node.pid()}));
    };

    // The leader is killed, and comes back.
    harm("kill", &nodes[0]);
    let mut first = nodes.remove(0);
    first.kill();
    gone.push(first);
    let leads = leader_of(&mut nodes);
    nodes.push(cluster.follower("node-1"));

    // The next one is frozen for longer than its lease.
    let mut frozen = nodes.remove(leads);
    harm("stop", &frozen);
    frozen.signal(Signal::STOP);
    let leads = leader_of(&mut nodes);
    harm("cont", &frozen);
    frozen.signal(Signal::CONT);
    frozen.until("revoked");

    // And the one after it is stopped.
    let mut stopped = nodes.remove(leads);
    harm("term", &stopped);
    stopped.stop();
    gone.push(stopped);
    nodes.push(frozen);
    leader_of(&mut nodes);
    gone.extend(nodes);

    let logs = gone
        .iter()
        .fold(Logs::new(), |logs, node| logs.file(&node.all()))
        .file(&faults);
    let verdict = logs.assert_sound();
    assert_eq!(verdict["leaderships"], 4, "{verdict:#}");
    let mut after: Vec<_> = verdict["failovers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["after"].as_str().unwrap())
        .collect();
    after.sort_unstable();
    assert_eq!(after, ["kill", "stop", "term"], "{verdict:#}");
}

/// Which of these is elected next.
fn leader_of(nodes: &mut [Node]) -> usize {
    loop {
        for (i, node) in nodes.iter_mut().enumerate() {
            let patience = std::time::Duration::from_millis(20);
            if node
                .next_where(patience, |line| line["event"] == "elected")
                .is_some()
            {
                return i;
            }
        }
    }
}
