//! What `run` does when it is asked to step down: its command ends first,
//! whatever time that takes, and only then another's begins.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::time::Duration;

use common::asking::{Answer, Asking};
use common::ns;
use common::run::{Run, Runs, eventually, is_alive, send};
use rustix::process::Signal;

/// So long that nobody waits it out; asked for often.
const LONG: &[&str] = &["--lease-duration=10m", "--retry-period=100ms"];
const SHORT: &[&str] = &["--lease-duration=1s", "--retry-period=50ms"];
const LEASE: Duration = Duration::from_secs(1);

/// Ends when it is allowed to, and not when it is told to.
const SLOW: &str = r#"
    trap 'trap "" TERM; echo told; until [ -e "$HERE/go" ]; do sleep 0.01; done; echo done; exit 7' TERM
    echo ready; while :; do sleep 0.01; done
"#;

fn asks(runs: &Runs, args: &[&str]) -> Asking {
    Asking::start(runs.locks(), args)
}

fn ask(runs: &Runs, args: &[&str]) -> Answer {
    asks(runs, args).ends()
}

fn assert_in_order(earlier: &Run, ended: &str, later: &Run, began: &str) {
    let ended = ns(earlier.events(ended).last().unwrap(), "boottime_ns");
    let began = ns(later.events(began).last().unwrap(), "boottime_ns");
    assert!(ended <= began, "{ended:?}, then {began:?}");
}

#[test]
fn a_command_has_all_the_time_it_takes_and_keeps_the_lease_meanwhile() {
    let runs = Runs::new(SHORT);
    let mut first = runs.leader("first", SLOW);
    let mut next = runs.follower("next", "exec tick");
    let asking = asks(&runs, &["hand-over", "--to=next", "--timeout=600ms"]);
    first.says("told");
    let told = first.until("stepping_down");
    assert_eq!(
        (&told["role"], &told["term"]),
        (&"leader".into(), &1.into())
    );
    let answer = asking.ends();
    answer.said("first stops its work");
    let why = "first has agreed, but its work has not stopped yet; it steps down once it has";
    answer.is_refused(1, why);
    // Longer than any lease that is not renewed, and than the stop grace.
    std::thread::sleep(LEASE * 2);
    assert!(next.events("elected").is_empty());
    assert!(first.events("command_stopping").is_empty());
    assert!(is_alive(first.command()));
    let again = ask(&runs, &["resign"]);
    again.is_refused(1, "first is stepping down already");

    runs.permit();
    first.says("done");
    next.says("ticking");
    assert_eq!(first.until("command_ended")["exit_code"], 7);
    assert_eq!(first.until("revoked")["reason"], "handed_over");
    assert_eq!(next.events("elected")[0]["acquired"], "handed_over");
    assert_in_order(&first, "command_ended", &next, "elected");
    // It campaigns again.
    assert_eq!(first.until("new_leader")["leader"], "next");
    next.signal(Signal::TERM);
    assert_eq!(next.code(), 143);
    first.says("ready");
}

#[test]
fn commands_that_are_handed_round_never_meet() {
    let runs = Runs::new(LONG);
    // One of its processes does not even hear of it.
    let script = "(trap '' TERM; exec sleep 600) & exec tick";
    let flags = ["--stop-grace=100ms"];
    let mut first = runs.start_with("first", &flags, script);
    first.says("ticking");
    let mut next = runs.start_with("next", &flags, script);
    next.until("new_leader");
    for _ in 0..3 {
        ask(&runs, &["hand-over", "--to=next"]).is_done();
        next.says("ticking");
        assert!(next.events("waiting_for_command").is_empty());
        ask(&runs, &["hand-over", "--to=first"]).is_done();
        first.says("ticking");
    }
    assert_eq!(runs.terms_in_order(), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn who_is_to_exit_on_loss_exits_when_it_has_handed_over() {
    let runs = Runs::new(LONG);
    let mut first = runs.start_with("first", &["--exit-on-loss"], "echo ready; exec sleep 600");
    first.says("ready");
    let mut next = runs.follower("next", "echo ready");
    ask(&runs, &["hand-over"]).is_done();
    assert_eq!(first.code(), 123);
    assert_eq!(first.events("command_ended")[0]["exit_code"], 143);
    next.says("ready");
    assert_eq!(next.code(), 0);
}

#[test]
fn who_resigned_runs_its_command_again_after_a_lease_duration() {
    let runs = Runs::new(SHORT);
    let mut run = runs.leader("alone", "echo ready; exec sleep 600");
    ask(&runs, &["resign"]).is_done();
    let revoked = run.until("revoked");
    assert_eq!(revoked["reason"], "resigned");
    run.says("ready");
    let elected = run.until("elected");
    let out = ns(&elected, "boottime_ns").since(ns(&revoked, "boottime_ns"));
    assert!(out >= LEASE, "{out:?}");
}

#[test]
fn a_command_that_had_ended_by_itself_keeps_its_status() {
    // It looks for requests more often than it renews, which wakes the guard.
    let runs = Runs::new(&["--lease-duration=10m"]);
    let flags = ["--exit-on-loss", "--retry-period=6s"];
    let mut first = runs.start_with("first", &flags, "echo ready; permit; exit 5");
    first.says("ready");
    let mut next = runs.start_with("next", &["--retry-period=100ms"], "echo ready");
    next.until("new_leader");
    let asking = asks(&runs, &["hand-over"]);
    // That it has ended is not heard of before it is told to step down.
    let command = first.command();
    send(first.guard(), Signal::STOP);
    runs.permit();
    eventually("it has ended", || !is_alive(command));
    assert_eq!(first.code(), 5);
    next.says("ready");
    // Unless a renewal came first.
    let answer = asking.ends();
    let stepped_down = !first.events("stepping_down").is_empty();
    assert_eq!(answer.code == Some(0), stepped_down, "{answer:?}");
}

#[test]
fn a_lease_that_is_only_kept_is_handed_over_at_once() {
    let runs = Runs::new(LONG);
    let mut first = runs.start_with("first", &["--hold-for=10m"], "echo ready");
    first.until("holding");
    let mut next = runs.follower("next", "echo ready");
    ask(&runs, &["hand-over", "--to=next"]).is_done();
    assert_eq!(first.code(), 0);
    assert_eq!(first.events("revoked")[0]["reason"], "handed_over");
    next.says("ready");
}

#[test]
fn who_waits_for_an_earlier_command_hands_the_waiting_over() {
    let runs = Runs::new(SHORT);
    let orphan = "(trap '' TERM; echo ready; exec sleep 600) & wait";
    let mut first = runs.leader("first", orphan);
    let command = first.command();
    send(first.guard(), Signal::KILL);
    first.kill();
    eventually("the command is killed", || !is_alive(command));

    let mut second = runs.start("second", "echo ready");
    second.until("waiting_for_command");
    let mut third = runs.follower("third", "echo ready; exec sleep 600");
    ask(&runs, &["hand-over", "--to=third"]).is_done();
    assert_eq!(third.until("elected")["acquired"], "handed_over");
    assert_eq!(second.until("new_leader")["leader"], "third");
    third.until("waiting_for_command");
    for left in runs.commands() {
        send(left, Signal::KILL);
    }
    third.says("ready");
    assert!(second.events("command_started").is_empty());
}

#[test]
fn a_wrapper_that_is_told_to_end_while_it_steps_down_does_both() {
    let runs = Runs::new(LONG);
    let mut first = runs.leader("first", SLOW);
    let mut next = runs.follower("next", "echo ready");
    let asking = asks(&runs, &["hand-over", "--to=next"]);
    first.says("told");
    first.signal(Signal::TERM);
    runs.permit();
    asking.ends().is_done();
    assert_eq!(first.code(), 7);
    assert_eq!(first.events("revoked")[0]["reason"], "handed_over");
    assert_eq!(next.until("elected")["acquired"], "handed_over");
    assert_in_order(&first, "command_ended", &next, "elected");
}
