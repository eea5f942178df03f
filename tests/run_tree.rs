//! The next command starts only when all that the one before had started is
//! gone, whoever was killed and however well it hides.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::run::{LONG, Run, Runs, SHORT, eventually, is_alive, pid, send, state};
use rustix::process::{Pid, Signal};

/// How a command keeps something alive: it says `ticking` for every process
/// that is to be gone.
const PLAIN: &str = "exec tick";
const STUBBORN: &str = "trap '' TERM; exec tick";
const ELSEWHERE: &str = "trap '' TERM; setsid tick closed & exec tick";
const DAEMON: &str = "(setsid sh -c 'trap \"\" TERM; tick closed &' &); exec tick";

/// Two nodes; something of the first is killed while it leads.
fn killed(victim: impl Fn(&Run) -> Pid, how_it_ends: Option<i32>) {
    for (script, processes) in [(PLAIN, 1), (STUBBORN, 1), (ELSEWHERE, 2), (DAEMON, 2)] {
        // No alarm rings in this lease: it takes somebody who notices.
        let runs = Runs::new(&[LONG, &["--stop-grace", "200ms"]].concat());
        let mut first = runs.start("first", script);
        for _ in 0..processes {
            first.says("ticking");
        }
        let mut next = runs.follower("next", PLAIN);
        send(victim(&first), Signal::KILL);
        next.says("ticking");
        assert_eq!(first.exit().code(), how_it_ends, "{script}");
        next.signal(Signal::TERM);
        assert_eq!(next.code(), 143);
        assert_eq!(runs.terms_in_order(), [1, 2], "{script}");
        assert!(runs.commands().is_empty(), "{script}");
    }
}

#[test]
fn nothing_is_left_when_the_wrapper_is_killed() {
    killed(Run::wrapper, None);
}

#[test]
fn nothing_is_left_when_the_guard_is_killed() {
    killed(Run::guard, Some(125));
}

#[test]
fn nothing_is_left_when_the_command_is_killed() {
    killed(Run::command, Some(137));
}

/// Every few milliseconds another process, so that none is found twice.
const HOPPER: &str = r#"#!/bin/sh
echo hop >>"$HERE/hops"
setsid hop &
"#;

#[test]
fn what_hops_from_process_to_process_is_gone_when_the_wrapper_says_so() {
    for _ in 0..10 {
        let runs = Runs::new(SHORT);
        let hop = runs.here().join("bin/hop");
        fs::write(&hop, HOPPER).unwrap();
        fs::set_permissions(&hop, fs::Permissions::from_mode(0o700)).unwrap();
        let mut first = runs.start("first", "hop; exec tick");
        first.says("ticking");
        send(first.guard(), Signal::KILL);
        assert_eq!(first.code(), 125);
        // Each process has had this lock from the one before.
        for claim in fs::read_dir(runs.lease().join("claims")).unwrap() {
            let claim = claim.unwrap();
            if claim.file_name().to_string_lossy().starts_with("work-") {
                let claim = fs::File::open(claim.path()).unwrap();
                fs2::FileExt::try_lock_exclusive(&claim).expect("something works on");
            }
        }
    }
}

#[test]
fn what_a_command_leaves_behind_is_gone_before_the_next_starts() {
    let runs = Runs::new(LONG);
    let mut first = runs.start("first", "setsid tick closed & permit; exit 6");
    first.says("ticking");
    let mut next = runs.follower("next", PLAIN);
    runs.permit();
    assert_eq!(first.code(), 6);
    next.says("ticking");
    next.signal(Signal::TERM);
    assert_eq!(next.code(), 143);
    assert_eq!(runs.terms_in_order(), [1, 2]);
    assert!(runs.commands().is_empty());
}

/// Something that has outlived wrapper and guard, killed at one moment.
fn survivor(runs: &Runs) -> Pid {
    let mut first = runs.start("first", "setsid tick & exec sleep 600");
    first.says("ticking");
    let (wrapper, guard, command) = (first.wrapper(), first.guard(), first.command());
    let below = |pid| runs.commands().into_iter().filter(move |p| *p != pid);
    let survivor = below(command)
        .find(|pid| {
            fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid()))
                .unwrap()
                .ends_with(b"bin/tick\0")
        })
        .expect("it ticks");
    // As at one moment: neither can act on the other's death.
    for frozen in [wrapper, guard] {
        send(frozen, Signal::STOP);
        eventually("it is frozen", || state(frozen) == Some('T'));
    }
    for killed in [guard, wrapper] {
        send(killed, Signal::KILL);
    }
    eventually("the command dies with its guard", || !is_alive(command));
    assert!(is_alive(survivor));
    survivor
}

#[test]
fn who_is_elected_beside_a_survivor_says_so_and_waits_for_its_end() {
    let runs = Runs::new(SHORT);
    let survivor = survivor(&runs);
    let mut next = runs.start("next", PLAIN);
    let waits_for = next.until("waiting_for_command")["waits_for"].clone();
    let pids: Vec<_> = waits_for.as_array().unwrap().iter().map(pid).collect();
    assert!(pids.contains(&survivor), "{survivor:?}: {waits_for}");
    // It renews meanwhile, or another would be elected.
    let third = runs
        .start_with("third", &["--wait", "2500ms"], PLAIN)
        .code();
    assert_eq!(third, 124);
    assert!(next.events("command_started").is_empty());
    send(survivor, Signal::KILL);
    next.says("ticking");
    let terms = runs.terms_in_order();
    assert_eq!(terms.len(), 2, "{terms:?}");
}

#[test]
fn who_waits_for_a_survivor_ends_at_once_when_asked() {
    let runs = Runs::new(SHORT);
    let _survivor = survivor(&runs);
    let mut next = runs.start("next", PLAIN);
    next.until("waiting_for_command");
    next.signal(Signal::TERM);
    assert_eq!(next.code(), 143);
}

#[test]
fn who_has_no_patience_waits_for_no_survivor_either() {
    let runs = Runs::new(SHORT);
    let _survivor = survivor(&runs);
    let mut next = runs.start_with("next", &["--wait", "3s"], PLAIN);
    next.until("waiting_for_command");
    assert_eq!(next.code(), 124);
    let mut hurried = runs.start_with("hurried", &["--try", "--skip-ok"], PLAIN);
    assert_eq!(hurried.code(), 0);
    assert!(hurried.events("command_started").is_empty());
}

#[test]
fn start_anyway_after_starts_beside_a_survivor() {
    let runs = Runs::new(SHORT);
    let survivor = survivor(&runs);
    let flags = ["--start-anyway-after", "300ms"];
    let mut next = runs.start_with("next", &flags, "exit 0");
    let elected = common::ns(&next.until("elected"), "boottime_ns");
    next.until("waiting_for_command");
    let anyway = common::ns(&next.until("starting_anyway"), "boottime_ns");
    assert!(anyway.since(elected).as_millis() >= 300);
    next.until("command_started");
    assert_eq!(next.code(), 0);
    assert!(is_alive(survivor));
}

#[test]
fn try_is_elected_when_nothing_of_the_former_leader_is_left() {
    let runs = Runs::new(LONG);
    let mut first = runs.start("first", "exec sleep 600");
    first.until("command_started");
    let all = [first.wrapper(), first.guard(), first.command()];
    for pid in all {
        send(pid, Signal::STOP);
    }
    // The command would die with its guard.
    for pid in all.into_iter().rev() {
        send(pid, Signal::KILL);
    }
    eventually("all are gone", || !all.into_iter().any(is_alive));
    let mut next = runs.start_with("next", &["--try"], "exit 0");
    assert_eq!(next.until("elected")["acquired"], "holder_died");
    assert_eq!(next.code(), 0);
}
