//! A lease that is lost: its command stops in time, whatever the wrapper does,
//! and what `check` says of a term.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::process::Command as Process;
use std::time::Duration;

use common::run::{LONG, Run, Runs, SHORT, eventually, is_alive, send, state};
use leader_demo::store::{LeaseStore, Swap};
use leader_demo::{FileStore, Holder, LockName, NodeId, Record, State, Term};
use rustix::process::Signal;

/// Room to see what is within the grace and what is after it.
const ROOMY: &[&str] = &[
    "--lease-duration=4s",
    "--retry-period=100ms",
    "--renew-deadline=1s",
    "--stop-grace=400ms",
];

const GRACE: Duration = Duration::from_millis(400);

fn boot_time(run: &Run, event: &str, field: &str) -> leader_demo::clock::BootTime {
    common::ns(&run.events(event)[0], field)
}

/// Two nodes, the wrapper of the first frozen past its lease, and the command
/// of the second already there.
fn frozen_out(runs: &Runs, flags: &[&str]) -> (Run, Run) {
    let mut first = runs.start_with("first", flags, "trap '' TERM; exec tick");
    first.says("ticking");
    let command = first.command();
    let mut next = runs.follower("next", "exec tick");
    first.signal(Signal::STOP);
    next.says("ticking");
    assert_eq!(state(first.wrapper()), Some('T'), "it is frozen still");
    assert!(!is_alive(command));
    (first, next)
}

#[test]
fn a_frozen_wrapper_costs_its_command_and_then_campaigns_again() {
    let runs = Runs::new(SHORT);
    let (mut first, mut next) = frozen_out(&runs, &[]);
    first.signal(Signal::CONT);
    assert_eq!(first.until("revoked")["reason"], "renew_deadline");
    assert_eq!(first.until("new_leader")["leader"], "next");
    next.signal(Signal::TERM);
    assert_eq!(next.code(), 143);
    first.says("ticking");
    assert_eq!(first.until("command_started")["term"], 3);
    first.signal(Signal::TERM);
    first.signal(Signal::KILL);
    first.exit();
    assert_eq!(runs.terms_in_order(), [1, 2, 3]);
}

#[test]
fn try_does_not_give_up_for_a_leader_that_is_frozen() {
    let runs = Runs::new(SHORT);
    let mut first = runs.start("first", "exec tick");
    first.says("ticking");
    let command = first.command();
    first.signal(Signal::STOP);
    eventually("its guard stops it", || !is_alive(command));
    // A moment later its lease is over, by any clock.
    std::thread::sleep(Duration::from_secs(1));
    let mut next = runs.start_with("next", &["--try"], "exit 0");
    assert_eq!(next.code(), 0);
    assert_eq!(state(first.wrapper()), Some('T'), "it is frozen still");
}

#[test]
fn a_frozen_guard_holds_up_nobody() {
    let runs = Runs::new(SHORT);
    let mut run = runs.leader("a", "echo ready; permit; exit 5");
    send(run.guard(), Signal::STOP);
    runs.permit();
    assert_eq!(run.code(), 5);
}

#[test]
fn a_frozen_wrapper_ends_with_123_if_it_is_not_to_campaign_again() {
    let runs = Runs::new(SHORT);
    let (mut first, _next) = frozen_out(&runs, &["--exit-on-loss"]);
    first.signal(Signal::CONT);
    assert_eq!(first.code(), 123);
    assert_eq!(first.events("revoked")[0]["reason"], "renew_deadline");
    assert_eq!(runs.terms_in_order(), [1, 2]);
}

/// The wrapper of a command with many processes, all deaf, frozen past its
/// lease: the next leader finds none of them.
fn stopped_in_time(many: &str) {
    let runs = Runs::new(&["--lease-duration=3s"]);
    let mut first = runs.start("first", &format!("trap '' TERM; {many} & exec tick"));
    first.says("ticking");
    let command = first.command();
    first.signal(Signal::STOP);
    let mut next = runs.start("next", "exec tick");
    next.says("ticking");
    assert!(!is_alive(command));
    let waited = next.events("waiting_for_command");
    assert!(waited.is_empty(), "{:#?}, {:#?}", first.all(), next.all());
    assert_eq!(runs.terms_in_order(), [1, 2]);
}

#[test]
fn who_is_never_done_with_starting_processes_is_stopped_in_time() {
    stopped_in_time("for i in $(seq 300); do while :; do sleep 0.2; done & done; wait");
}

#[test]
fn the_command_of_a_frozen_wrapper_has_its_grace() {
    let runs = Runs::new(SHORT);
    let script = "trap 'echo told; exit' TERM; echo ready; while :; do sleep 0.01; done";
    let mut first = runs.leader("first", script);
    let mut next = runs.follower("next", "echo ready");
    first.signal(Signal::STOP);
    first.says("told");
    next.says("ready");
    assert_eq!(next.code(), 0);
    assert_eq!(state(first.wrapper()), Some('T'), "it is frozen still");
}

/// The lease directory moved away, which is noticed at the next renewal.
fn take_away(runs: &Runs) {
    fs::rename(runs.lease(), runs.here().join("aside")).unwrap();
}

#[test]
fn a_command_that_is_told_to_stop_has_its_grace() {
    let runs = Runs::new(ROOMY);
    let mut run = runs.start_with(
        "a",
        &["--exit-on-loss"],
        "trap 'echo told; sleep 0.1; echo done; exit 5' TERM; echo ready
         while :; do sleep 0.01; done",
    );
    run.says("ready");
    take_away(&runs);
    run.says("told");
    run.says("done");
    assert_eq!(run.code(), 123);
    assert_eq!(run.events("revoked")[0]["reason"], "lost");
    assert_eq!(run.events("command_stopping").len(), 1);
    assert_eq!(run.events("command_ended")[0]["exit_code"], 5);
}

#[test]
fn a_command_that_will_not_stop_is_killed_after_its_grace_and_within_the_lease() {
    let runs = Runs::new(ROOMY);
    let script = "trap '' TERM; setsid tick closed & exec tick";
    let mut run = runs.start_with("a", &["--exit-on-loss"], script);
    run.says("ticking");
    run.says("ticking");
    take_away(&runs);
    assert_eq!(run.code(), 123);
    assert!(runs.commands().is_empty());
    assert_eq!(run.events("command_ended")[0]["exit_code"], 137);
    let lost = boot_time(&run, "revoked", "ended_ns");
    let took = boot_time(&run, "command_ended", "boottime_ns").since(lost);
    // The lease goes on for 3 s after a renewal that was the last.
    let within = GRACE..Duration::from_secs(3);
    assert!(within.contains(&took), "{took:?}");
}

#[test]
fn a_store_that_fails_costs_the_command_only_at_the_renew_deadline() {
    let runs = Runs::new(ROOMY);
    let mut run = runs.start_with("a", &["--exit-on-loss"], "exec tick");
    run.says("ticking");
    take_away(&runs);
    fs::write(runs.lease(), "in the way").unwrap();
    let failed = common::ns(&run.until("store_error"), "boottime_ns");
    assert_eq!(run.code(), 123);
    assert_eq!(run.events("revoked")[0]["reason"], "renew_deadline");
    assert_eq!(run.events("command_ended")[0]["exit_code"], 143);
    // A second after the last renewal, which was a tenth before at the most.
    let took = boot_time(&run, "command_stopping", "boottime_ns").since(failed);
    assert!(took >= Duration::from_millis(500), "{took:?}");
}

#[test]
fn a_store_that_fails_and_recovers_costs_nothing() {
    let runs = Runs::new(LONG);
    let mut run = runs.start_with("a", &["--retry-period=50ms"], "echo ready; permit; exit 0");
    run.says("ready");
    take_away(&runs);
    fs::write(runs.lease(), "in the way").unwrap();
    run.until("store_error");
    // There is a moment without anything there, so what is there is exchanged.
    rustix::fs::renameat_with(
        rustix::fs::CWD,
        runs.here().join("aside"),
        rustix::fs::CWD,
        runs.lease(),
        rustix::fs::RenameFlags::EXCHANGE,
    )
    .unwrap();
    run.until("store_recovered");
    runs.permit();
    assert_eq!(run.code(), 0);
    assert_eq!(run.events("elected").len(), 1);
    assert!(run.events("command_stopping").is_empty());
}

#[test]
fn a_stopped_command_is_continued_to_be_told() {
    let runs = Runs::new(ROOMY);
    let script = "trap 'echo told; exit 4' TERM; echo ready; while :; do sleep 0.01; done";
    let mut run = runs.start_with("a", &["--exit-on-loss"], script);
    run.says("ready");
    run.until("command_started");
    send(run.command(), Signal::STOP);
    eventually("it is stopped", || state(run.command()) == Some('T'));
    take_away(&runs);
    run.says("told");
    assert_eq!(run.code(), 123);
}

#[test]
fn try_takes_over_from_a_leader_of_another_boot_that_does_not_renew() {
    let runs = Runs::new(LONG);
    let mut holder = Holder::here(NodeId::new("gone").unwrap()).unwrap();
    holder.boot_id = Some("another".into());
    let record = Record {
        term: Term::new(7).unwrap(),
        // It is the record's that counts.
        lease_duration: Duration::from_millis(600),
        state: State::Held(holder),
    };
    let name = LockName::new("leader-election-demo").unwrap();
    let store = FileStore::open(runs.locks(), &name).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let swapped = runtime.block_on(store.swap(None, record)).unwrap();
    assert!(matches!(swapped, Swap::Swapped { .. }));
    drop((swapped, store));
    let mut run = runs.start_with("a", &["--try"], "echo $LEADER_DEMO_TERM");
    assert_eq!(run.until("elected")["acquired"], "expired");
    run.says("8");
    assert_eq!(run.code(), 0);
}

/// `leader-demo check` with these flags, and none from the environment.
fn check(runs: &Runs, flags: &[&str]) -> Option<i32> {
    let mut check: Process = common::binary();
    check.args(["check", "--lock-dir"]).arg(runs.locks());
    check.args(flags).output().unwrap().status.code()
}

#[test]
fn check_says_yes_while_the_term_is_the_current_one_and_no_after_that() {
    let runs = Runs::new(LONG);
    let mut run = runs.start(
        "a",
        r#"for flags in "" "--term $LEADER_DEMO_TERM" "--term 2" "--lock-name another"; do
            "$demo" check $flags; echo $?
        done
        permit"#,
    );
    for expected in ["0", "0", "1", "1"] {
        run.says(expected);
    }
    // From outside, by flags alone.
    assert_eq!(check(&runs, &["--term", "1"]), Some(0));
    assert_eq!(check(&runs, &["--term", "2"]), Some(1));
    runs.permit();
    assert_eq!(run.code(), 0);
    assert_eq!(check(&runs, &["--term", "1"]), Some(1), "given back");
}

#[test]
fn check_says_no_of_a_holder_that_was_killed() {
    let runs = Runs::new(LONG);
    let mut run = runs.leader("a", "echo ready; exec sleep 600");
    assert_eq!(check(&runs, &["--term", "1"]), Some(0));
    run.signal(Signal::KILL);
    run.exit();
    // The record says as before, but nobody is left to act on it.
    eventually("all of it is gone", || {
        check(&runs, &["--term", "1"]) == Some(1)
    });
    assert!(runs.commands().is_empty());
}

#[test]
fn check_says_no_to_who_was_frozen_out() {
    let runs = Runs::new(SHORT);
    let (_first, _next) = frozen_out(&runs, &[]);
    assert_eq!(check(&runs, &["--term", "1"]), Some(1));
    assert_eq!(check(&runs, &["--term", "2"]), Some(0));
}

#[test]
fn check_says_no_where_there_is_nothing_and_makes_nothing() {
    let runs = Runs::new(LONG);
    assert_eq!(check(&runs, &["--term", "1"]), Some(1));
    assert!(!runs.locks().exists());
    fs::create_dir(runs.locks()).unwrap();
    assert_eq!(check(&runs, &["--term", "1"]), Some(1));
    assert_eq!(fs::read_dir(runs.locks()).unwrap().count(), 0);
}

#[test]
fn check_tells_bad_usage_from_no() {
    let runs = Runs::new(LONG);
    for flags in [
        &[][..],
        &["--term", "-1"],
        &["--term", "soon"],
        &["--term", "1", "stray"],
        &["--term", "1", "--lock-name", "a/b"],
    ] {
        assert_eq!(check(&runs, flags), Some(2), "{flags:?}");
    }
}
