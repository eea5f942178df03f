//! `leader-demo judge`, shown honest logs, and logs that it must not let pass.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use common::said::{Logs, MS, S, Session, a, b, chaos, fault};
use common::{Cluster, Node, binary};
use leader_demo::clock;
use rustix::process::Signal;
use serde_json::{Value, json};

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
    assert!(text.contains("No fault is told of"), "{text}");
}

#[test]
fn two_leaders_for_a_nanosecond_are_caught() {
    Logs::new()
        .file(&a().revoked(5 * S, "shutdown").lines)
        .file(&b(5 * S - 1, 2).lines)
        .assert_broken("one_leader", ": both for 1ns. ");
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
fn what_a_leader_said_is_not_taken_back() {
    // Neither by what it says of its end afterwards,
    let early = json!({"ended_ns": 3 * S, "reason": "lost"});
    Logs::new()
        .file(&a().say("revoked", 5 * S, early).lines)
        .file(&b(4 * S, 2).lines)
        .assert_broken("one_leader", ": both for 1ns. ");
    // nor because it was said in passing,
    let in_passing = |at| a().say("warning", at, json!({"role": "leader", "term": 1}));
    Logs::new()
        .file(&in_passing(8 * S).lines)
        .file(&b(8 * S, 2).lines)
        .assert_broken("one_leader", ": both for 1ns. ");
    // unless the last claim was over by then.
    Logs::new()
        .file(&in_passing(10 * S).lines)
        .file(&b(10 * S, 2).lines)
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
    assert!(text.contains("c (term 3) from 29.000000000 s to"), "{text}");
}

#[test]
fn two_that_are_elected_at_once_and_say_no_more_are_caught() {
    Logs::new()
        .file(&Session::of("a").elected(S, 1).lines)
        .file(&Session::of("b").elected(S, 2).lines)
        .assert_broken("one_leader", ": both for 1ns. ");
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
fn a_term_that_comes_again_is_caught_whatever_happened() {
    let logs = |boot: &str| {
        let mut b = b(5 * S, 1);
        for line in &mut b.lines {
            line["boot_id"] = boot.into();
        }
        Logs::new()
            .file(&a().lines)
            .file(&b.lines)
            .file(&[chaos(), fault("removed", None, 4 * S + 1)])
    };
    logs("boot").assert_broken("terms", "term 1 led again");
    logs("another").assert_broken("terms", "term 1 led on two machines");
}

#[test]
fn a_claim_after_its_end_is_caught() {
    let late = json!({"role": "leader", "term": 1, "valid_until_ns": 5 * S});
    Logs::new()
        .file(&a().say("heartbeat", 5 * S, late).lines)
        .assert_broken("claim", "0s after the end of what it may, 5.000000000 s");
    Logs::new()
        .file(&a().revoked(5 * S, "lost").leads(6 * S, 1).lines)
        .assert_broken("claim", "after its leadership was over, at 6.000000000 s");
    Logs::new()
        .file(&a().leads(5 * S, 2).lines)
        .assert_broken("claim", "another term than its own, 1");
    let no_end = json!({"role": "leader", "term": 1});
    Logs::new()
        .file(&a().say("heartbeat", 5 * S, no_end).lines)
        .assert_broken("claim", "but not until when");
}

#[test]
fn a_claim_beyond_what_may_be_believed_is_caught() {
    let starts = |renew_deadline_ns| {
        let timing = json!({"lease_duration_ns": 10 * S, "renew_deadline_ns": renew_deadline_ns});
        Session::of("node-1").say("started", S, timing)
    };
    let claims = |until| json!({"role": "leader", "term": 1, "valid_until_ns": until});
    Logs::new()
        .file(&starts(6 * S).say("elected", 2 * S, claims(8 * S)).lines)
        .assert_sound();
    Logs::new()
        .file(&starts(6 * S).say("elected", 2 * S, claims(8 * S + 1)).lines)
        .assert_broken("claim", "for 6s 1ns more, and may for 6s at most");
    Logs::new()
        .file(&starts(10 * S).say("elected", 2 * S, claims(8 * S)).lines)
        .assert_broken("claim", "may believe for longer than its lease");
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
fn a_log_that_is_given_twice_is_refused() {
    let mut logs = Logs::new().file(&a().lines);
    logs.files.push(logs.files[0].clone());
    let judged = binary().arg("judge").args(&logs.files).output().unwrap();
    assert_eq!(judged.status.code(), Some(2));
    let said = String::from_utf8(judged.stderr).unwrap();
    assert!(said.contains("0.log is given twice"), "{said}");
}

#[test]
fn no_log_is_read_twice_or_written_over_under_another_name() {
    let logs = Logs::new().file(&a().lines);
    let log = &logs.files[0];
    let link = log.with_extension("link");
    std::os::unix::fs::symlink(log, &link).unwrap();
    let before = std::fs::read(log).unwrap();
    let refused = |flags: &[&std::ffi::OsStr], words: &str| {
        let judged = binary().arg("judge").arg(log).args(flags).output().unwrap();
        assert_eq!(judged.status.code(), Some(2));
        let said = String::from_utf8(judged.stderr).unwrap();
        assert!(said.contains(words), "{said}");
    };
    refused(&[link.as_ref()], "0.link is given twice");
    refused(&["--html".as_ref(), log.as_ref()], "is one of the logs");
    refused(&["--html".as_ref(), link.as_ref()], "is one of the logs");
    assert_eq!(std::fs::read(log).unwrap(), before);
}

#[test]
fn who_was_started_and_says_nothing_is_missed() {
    let logs = |faults: &[Value]| {
        let mut all = vec![chaos(), fault("start", Some("c"), S)];
        all.extend_from_slice(faults);
        for fault in &mut all {
            fault["lock_name"] = a().lines[0]["lock_name"].clone();
        }
        Logs::new()
            .file(&a().lines)
            .file(&b(5 * S, 2).lines)
            .file(&all)
    };
    logs(&[]).assert_broken(
        "evidence",
        "c was started, and nothing that it said is here: ",
    );
    // It had no time to.
    logs(&[fault("kill", Some("c"), 2 * S)]).assert_sound();
    logs(&[fault("kill", Some("b"), 2 * S)]).assert_broken(
        "evidence",
        "c was started, and nothing that it said is here: ",
    );
    logs(&[
        fault("kill", Some("c"), 2 * S),
        fault("start", Some("c"), 2 * S + 1),
    ])
    .assert_broken(
        "evidence",
        "c was started, and nothing that it said is here: ",
    );
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
