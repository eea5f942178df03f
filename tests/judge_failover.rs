//! `leader-demo judge`: what each failover took, and which came too late.
#![allow(missing_docs)]

mod common;

use std::time::Duration;

use common::said::{Logs, MS, S, Session, a, b, chaos, fault};
use serde_json::{Value, json};

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
        let took = humantime::format_duration(Duration::from_nanos(bound + 1));
        let words = format!("{took} after {kind} of a (term 1)");
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
fn who_was_killed_before_it_could_say_that_it_leads_is_waited_for() {
    let logs = |term, what| {
        Logs::new()
            .file(&a().lines)
            .file(&Session::of("b").follows(S).follows(13 * S).lines)
            .file(&Session::of("c").follows(S).elected(29 * S, term).lines)
            .file(&[chaos(), what, fault("kill", Some("b"), 14 * S)])
    };
    let stopped = || fault("stop", Some("a"), 4500 * MS);
    logs(3, stopped()).assert_sound();
    // Nobody held it in between.
    logs(2, stopped()).assert_broken("failover", " after stop of a");
    // Nor here, where terms went on far above.
    logs(1002, fault("removed", None, 4500 * MS)).assert_broken("failover", " after");
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
    logs(70 * S).assert_broken("failover", " after kill");
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
    full(70 * S).assert_broken("failover", " after kill");
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
        killed_and(then).assert_broken("failover", "allowed are 2s: ");
    }
    // Each in time: nobody had a lease duration and two periods in peace.
    let mut again: Vec<_> = [6, 22, 38, 54]
        .map(|s| fault("garbage", None, s * S))
        .into();
    killed_and(&again).assert_sound();
    again.remove(1);
    killed_and(&again).assert_broken("failover", "allowed are 16s: ");
}

#[test]
fn a_strangers_file_excuses_nothing_and_ends_nothing() {
    let strangers = |s: u64| fault("stranger", None, s * S);
    let often: Vec<_> = (5..60).map(strangers).collect();
    killed_and(&often).assert_broken("failover", " after kill");
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
    logs(4500 * MS + 16 * S + 1).assert_broken("failover", "allowed are 16s: ");
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
        "after stop of a (term 1) at 4.500000000 s, and still",
    );
    logs(5 * S).assert_sound();
}

/// These are named by no pid, as in a simulation.
fn nameless(kind: &str, node: &str, at: u64) -> Value {
    json!({"event": "fault", "fault": kind, "boottime_ns": at, "node_id": node})
}

#[test]
fn what_befell_another_process_or_election_does_not_count() {
    let mut other = fault("kill", Some("a"), 4500 * MS);
    other["pid"] = 999.into();
    let verdict = Logs::new()
        .file(&a().lines)
        .file(&b(8 * S, 2).lines)
        .file(&[chaos(), other])
        .assert_sound();
    assert_eq!(verdict["failovers"][0]["after"], "unknown");
    let mut elsewhere = fault("garbage", None, 4 * S);
    elsewhere["lock_name"] = "another".into();
    Logs::new()
        .file(&a().lines)
        .file(&b(6500 * MS + 1, 2).lines)
        .file(&[chaos(), elsewhere, fault("kill", Some("a"), 4500 * MS)])
        .assert_broken("failover", "allowed are 2s: ");
}

#[test]
fn the_first_line_says_what_is_allowed() {
    let killed = |field: &str, value: Value, next| {
        let mut chaos = chaos();
        chaos[field] = value;
        Logs::new()
            .file(&a().lines)
            .file(&b(4500 * MS + next, 2).lines)
            .file(&[chaos, fault("kill", Some("a"), 4500 * MS)])
    };
    killed("one_machine", false.into(), 16 * S).assert_sound();
    killed("one_machine", false.into(), 16 * S + 1).assert_broken("failover", "16s: ");
    killed("releases_told", false.into(), 2 * S + 1).assert_broken("failover", "2s: ");
    killed("slack_ns", MS.into(), MS).assert_sound();
    killed("slack_ns", MS.into(), MS + 1).assert_broken("failover", "allowed are 1ms: ");
}

#[test]
fn on_a_server_a_stop_is_told_and_a_death_is_not() {
    let ended = |kind, told: bool, next| {
        let mut chaos = chaos();
        chaos["one_machine"] = false.into();
        chaos["releases_told"] = told.into();
        let a = match kind {
            "term" => a().revoked(4600 * MS, "shutdown"),
            _ => a(),
        };
        Logs::new()
            .file(&a.lines)
            .file(&b(4500 * MS + next, 2).lines)
            .file(&[chaos, fault(kind, Some("a"), 4500 * MS)])
    };
    ended("term", true, 2 * S).assert_sound();
    ended("term", true, 2 * S + 1).assert_broken("failover", "allowed are 2s: ");
    ended("term", false, 16 * S).assert_sound();
    ended("term", false, 16 * S + 1).assert_broken("failover", "allowed are 16s: ");
    ended("kill", true, 16 * S).assert_sound();
    ended("kill", true, 16 * S + 1).assert_broken("failover", "allowed are 16s: ");
}

#[test]
fn where_nobody_sees_a_death_its_lease_is_waited_out() {
    let killed = |one_machine: bool, what: &str, next| {
        let mut chaos = chaos();
        chaos["one_machine"] = one_machine.into();
        let a = a().say(what, 4400 * MS, json!({"role": "leader", "term": 1}));
        Logs::new()
            .file(&a.lines)
            .file(&b(next, 2).lines)
            .file(&[chaos, fault("kill", Some("a"), 4500 * MS)])
    };
    // What it claimed at 4 s holds for 6 s.
    killed(false, "warning", 10 * S).assert_sound();
    killed(false, "warning", 10 * S - 1).assert_broken("one_leader", "both for 1ns");
    killed(true, "warning", 5 * S).assert_sound();
    // It may have given the lease back before it could say so.
    killed(false, "asked", 5 * S).assert_sound();
    killed(false, "stopping", 5 * S).assert_sound();
}

#[test]
fn without_a_first_line_the_longest_durations_count() {
    let started = |node, lease: u64| {
        let more = json!({"lease_duration_ns": lease * S, "retry_period_ns": lease * S / 5});
        Session::of(node).say("started", S / 2, more)
    };
    let logs = |next| {
        Logs::new()
            .file(&started("b", 10).elected(next, 2).lines)
            .file(&started("a", 20).elected(S, 1).leads(4 * S, 1).lines)
            .file(&started("c", 10).lines)
            .file(&[fault("stop", Some("a"), 4500 * MS)])
    };
    logs(34500 * MS).assert_sound();
    logs(34500 * MS + 1).assert_broken("failover", "allowed are 30s: ");
}

#[test]
fn while_nobody_reaches_the_store_nobody_is_late() {
    let logs = |next| {
        let mut chaos = chaos();
        chaos["hangs_ns"] = (5 * S).into();
        Logs::new()
            .file(&a().revoked(10 * S, "renew_deadline").lines)
            .file(&b(next, 2).lines)
            .file(&[
                chaos,
                fault("unreachable", None, 4500 * MS),
                fault("reachable", None, 40 * S),
            ])
    };
    let row = logs(61 * S).assert_sound()["failovers"][0].take();
    assert_eq!(row["after"], "unreachable");
    assert_eq!(row["at_most_ns"], Value::Null);
    assert_eq!(row["worst_ns"], 56500 * MS);
    logs(61 * S + 1).assert_broken("failover", "allowed are 21s: ");
}

#[test]
fn a_frozen_candidate_excuses_itself_and_nobody_else() {
    let logs = |who, next| {
        Logs::new().file(&a().lines).file(&b(next, 2).lines).file(&[
            chaos(),
            fault("stop", Some(who), 4 * S),
            fault("kill", Some("a"), 4500 * MS),
            fault("cont", Some(who), 40 * S),
        ])
    };
    logs("b", 56 * S).assert_sound();
    logs("b", 56 * S + 1).assert_broken("failover", "allowed are 16s: ");
    logs("c", 22 * S).assert_broken("failover", "allowed are 16s: ");
}

#[test]
fn who_was_killed_while_frozen_is_back_when_it_starts_again() {
    let again = Session::of("b").follows(4 * S).elected(60 * S, 2);
    Logs::new()
        .file(&a().lines)
        .file(&again.lines)
        .file(&[
            chaos(),
            nameless("stop", "b", 2 * S),
            nameless("kill", "b", 3 * S),
            nameless("kill", "a", 4500 * MS),
        ])
        .assert_broken("failover", " after kill of a");
}

#[test]
fn who_resigned_stays_out_and_is_not_waited_for() {
    let logs = |out: Value| {
        let more = json!({"ended_ns": 5 * S, "reason": "resigned", "stays_out_until_ns": out});
        let a = a().say("revoked", 5 * S, more);
        Logs::new()
            .file(&a.elected(30 * S, 2).lines)
            .file(&[chaos(), fault("resign", None, 4500 * MS)])
    };
    logs((15 * S).into()).assert_sound();
    logs(Value::Null).assert_broken("failover", " after resigned");
}

#[test]
fn time_counts_from_the_end_where_the_fault_was_over_by_then() {
    let logs = |kind, undone| {
        Logs::new()
            .file(&a().revoked(10 * S, "renew_deadline").lines)
            .file(&b(12 * S, 2).lines)
            .file(&[
                chaos(),
                fault(kind, Some("a"), 4500 * MS),
                fault(undone, Some("a"), 11 * S),
            ])
            .assert_sound()["failovers"][0]
            .take()
    };
    // It could lead on under the second of these, for a while.
    assert_eq!(logs("stop", "cont")["worst_ns"], 7500 * MS);
    assert_eq!(logs("errors", "errors_over")["worst_ns"], 2 * S);
    let short = Logs::new()
        .file(&a().revoked(10 * S, "renew_deadline").lines)
        .file(&b(12 * S, 2).lines)
        .file(&[
            chaos(),
            fault("stop", Some("a"), 4500 * MS),
            fault("cont", Some("a"), 6 * S),
        ])
        .assert_sound()["failovers"][0]
        .take();
    assert_eq!(short["after"], "stop");
    assert_eq!(short["worst_ns"], 2 * S);
}
