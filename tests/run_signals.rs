//! What `run` makes of the signals it is sent, and that it is in no hurry when
//! it is asked to end.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::run::{LONG, Run, Runs, SHORT, eventually, send, state};
use rustix::process::{Pid, Signal};

/// More than what passes for one and the same signal.
const NO_ECHO: Duration = Duration::from_millis(150);

/// Says which signals it gets, and does nothing else about them.
const LISTENER: &str = r#"
    for signal in HUP INT QUIT USR1 USR2 ALRM TERM; do trap "echo $signal" $signal; done
    echo ready
    while :; do sleep 0.01; done
"#;

/// A mask of proc_pid_status(5), as the numbers of the signals in it.
fn signals(pid: Pid, mask: &str) -> Vec<i32> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(mask));
    let mask = line.unwrap().trim_start_matches(':').trim();
    let mask = u64::from_str_radix(mask, 16).unwrap();
    (1..=64).filter(|n| mask & (1 << (n - 1)) != 0).collect()
}

#[test]
fn who_waits_ends_at_once_by_any_signal_that_ends_a_process() {
    let runs = Runs::new(LONG);
    let _leader = runs.leader("leader", "echo ready; exec sleep 600");
    for (signal, expected) in [
        (Signal::HUP, 129),
        (Signal::INT, 130),
        (Signal::QUIT, 131),
        (Signal::USR1, 138),
        (Signal::USR2, 140),
        (Signal::ALARM, 142),
        (Signal::TERM, 143),
    ] {
        let mut run = runs.follower(&expected.to_string(), "echo it ran");
        run.signal(Signal::WINCH);
        run.signal(signal);
        assert_eq!(run.code(), expected);
        assert!(run.rest().is_empty(), "the command was not run");
    }
}

#[test]
fn what_asks_for_the_end_reaches_all_and_the_code_is_the_commands() {
    let runs = Runs::new(LONG);
    // A shell has its background jobs ignore two of them.
    let script = r#"
        for s in INT QUIT TERM; do trap "wait; echo parent $s; exit 9" $s; done
        env --default-signal=INT,QUIT sh -c '
            for s in INT QUIT TERM; do trap "echo child $s; exit" $s; done
            echo ready; while :; do sleep 0.01; done
        ' &
        while :; do sleep 0.01; done
    "#;
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
    ] {
        let mut run = runs.leader(name, script);
        run.signal(signal);
        run.says(&format!("child {name}"));
        run.says(&format!("parent {name}"));
        assert_eq!(run.code(), 9);
        assert!(runs.commands().is_empty());
    }
}

#[test]
fn other_signals_reach_the_command_and_nothing_below_it() {
    let runs = Runs::new(LONG);
    let script = format!("sh -c 'exec >\"$HERE/child\"; {LISTENER}' & permit; {LISTENER}");
    let mut run = runs.start("a", &script);
    let child = runs.here().join("child");
    let childs_word = || fs::read_to_string(&child).unwrap_or_default();
    eventually("the child is ready", || childs_word() == "ready\n");
    runs.permit();
    run.says("ready");
    for (signal, name) in [
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::ALARM, "ALRM"),
        (Signal::HUP, "HUP"),
    ] {
        run.signal(signal);
        run.says(name);
    }
    run.signal(Signal::TERM);
    run.says("TERM");
    eventually("the child hears of TERM", || childs_word() != "ready\n");
    assert_eq!(childs_word(), "ready\nTERM\n");
    std::thread::sleep(NO_ECHO);
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 137);
}

#[test]
fn the_command_hears_of_its_end_once() {
    let runs = Runs::new(LONG);
    // A shell that waits hears at once: two of a kind are not taken for one.
    let mut run = runs.leader(
        "a",
        "trap 'echo parent' TERM
         sh -c 'trap \"sleep 0.1; echo child; exit\" TERM; echo ready; while :; do sleep 0.01; done' &
         while kill -0 $!; do wait $!; done; exit 3",
    );
    run.signal(Signal::TERM);
    run.says("parent");
    run.says("child");
    assert_eq!(run.code(), 3);
    assert!(run.rest().is_empty(), "it hears no more");
}

#[test]
fn a_second_sigterm_kills_what_the_first_did_not_end() {
    let runs = Runs::new(LONG);
    let mut run = runs.leader(
        "a",
        "trap '' TERM; setsid sleep 600 & trap 'echo asked' TERM; echo ready
         while :; do sleep 0.01; done",
    );
    run.signal(Signal::TERM);
    run.says("asked");
    std::thread::sleep(NO_ECHO);
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 137);
    assert!(runs.commands().is_empty());
}

#[test]
fn a_stopped_command_hears_of_the_end() {
    let runs = Runs::new(LONG);
    let mut run = runs.leader(
        "a",
        "trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done",
    );
    send(run.command(), Signal::STOP);
    eventually("it is stopped", || state(run.command()) == Some('T'));
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 4);
}

#[test]
fn an_inherited_ignored_signal_stays_ignored() {
    let runs = Runs::new(LONG);
    let nohup = |id: &str| {
        runs.spawn(id, |events| {
            let script = r#"trap '' HUP; exec "$demo" run --lock-dir "$HERE/locks" \
                --events "$0" -- sh -c 'trap "echo USR1" USR1; echo ready; while :; do sleep 0.01; done'"#;
            let mut shell = runs.program("sh");
            shell.args(["-c", script, events]);
            shell
        })
    };
    let mut leads = nohup("leads");
    leads.says("ready");
    let mut waits = nohup("waits");
    waits.until("new_leader");
    let hup = Signal::HUP.as_raw();
    for pid in [leads.wrapper(), waits.wrapper(), leads.command()] {
        assert!(signals(pid, "SigIgn").contains(&hup));
    }
    for run in [&leads, &waits] {
        run.signal(Signal::HUP);
    }
    leads.signal(Signal::USR1);
    leads.says("USR1");
    leads.signal(Signal::TERM);
    assert_eq!(leads.code(), 143);
    waits.says("ready");
}

#[test]
fn the_command_starts_with_the_signals_as_the_wrapper_found_them() {
    let runs = Runs::new(LONG);
    let run = runs.leader("a", "echo ready; exec sleep 600");
    let command = run.command();
    eventually("it is the command", || {
        fs::read(format!("/proc/{}/cmdline", command.as_raw_pid())).unwrap() == b"sleep\x00600\0"
    });
    for mask in ["SigBlk", "SigIgn"] {
        // But for SIGPIPE, which Rust programs ignore, and what the C library
        // keeps for itself, which its posix_spawn(3) leaves ignored.
        let of = |pid| {
            let mut signals = signals(pid, mask);
            signals.retain(|n| *n != Signal::PIPE.as_raw() && !(32..=33).contains(n));
            signals
        };
        let here = rustix::process::getpid();
        assert_eq!(of(command), of(here), "{mask}");
    }
}

#[test]
fn where_children_are_ignored_it_refuses_and_says_what_to_do() {
    let runs = Runs::new(LONG);
    let start = |how: &[&str]| {
        let run = runs.run(&[], &["true"]);
        let mut env = runs.program("env");
        env.args(how).args(run.get_args()).output().unwrap()
    };
    let ignored = "--ignore-signal=CHLD";
    let refused = start(&[ignored]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(125), "{said}");
    let way = ["env", "--default-signal=CHLD"];
    assert!(
        said.contains(&format!("{} leader-demo run ..", way.join(" "))),
        "{said}"
    );
    let heeded = start(&[&[ignored][..], &way].concat());
    assert_eq!(heeded.status.code(), Some(0));
}

/// The grace is for stops that a loss forces.
#[test]
fn a_slow_end_that_was_asked_for_takes_its_time_within_the_lease() {
    let runs = Runs::new(SHORT);
    let mut slow = runs.leader(
        "slow",
        "trap 'echo asked; sleep 2; echo done; exit 3' TERM; echo ready
         while :; do sleep 0.01; done",
    );
    let mut next = runs.follower("next", "exit 0");
    slow.signal(Signal::TERM);
    slow.says("asked");
    slow.says("done");
    assert_eq!(slow.code(), 3);
    assert_eq!(next.until("elected")["acquired"], "vacant");
    assert_eq!(slow.until("command_ended")["role"], "leader");
    let revoked = slow.until("revoked");
    assert_eq!(revoked["reason"], "resigned");
    let elected = next.events("elected").remove(0);
    assert!(common::ns(&revoked, "ended_ns") < common::ns(&elected, "boottime_ns"));
}

#[test]
fn who_may_not_be_signalled_is_named_and_waited_for() {
    let runs = Runs::new(LONG);
    let [demo, become_root] = ["demo", "become-root"].map(|name| runs.here().join(name));
    let nobody = |program: &Path| {
        let mut nobody = runs.program("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        nobody.arg(program);
        nobody
    };
    // By this program nobody becomes root, and can be signalled by root alone.
    fs::copy("/usr/bin/setpriv", &become_root).unwrap();
    fs::copy(common::binary().get_program(), &demo).unwrap();
    for (path, mode) in [(&*become_root, 0o4755), (runs.here(), 0o777)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let probe = nobody(&become_root).args(["--reuid=0", "true"]).output();
    if !probe.unwrap().status.success() {
        return common::skip("nobody cannot become root here");
    }
    let mut run = runs.spawn("a", |events| {
        fs::set_permissions(events, Permissions::from_mode(0o666)).unwrap();
        let script = r#"echo ready; exec "$HERE/become-root" --reuid=0 "$HERE/bin/permit""#;
        let run = runs.run(&["--events", events], &["sh", "-c", script]);
        let mut nobody = nobody(&demo);
        nobody.args(run.get_args().skip(1)).stderr(Stdio::null());
        nobody
    });
    run.says("ready");
    let command = run.command();
    let cmdline = format!("/proc/{}/cmdline", command.as_raw_pid());
    eventually("it is root's", || {
        fs::read(&cmdline).unwrap().starts_with(b"/bin/sh")
    });
    run.signal(Signal::TERM);
    let message = run.until("warning")["message"].to_string();
    assert!(message.contains(&command.to_string()), "{message}");
    runs.permit();
    assert_eq!(run.code(), 0);
}

/// A command that has ended, and left something that is slow to stop.
fn leaves_something(runs: &Runs, flags: &[&str]) -> Run {
    let flags = [flags, &["--stop-grace", "1s"]].concat();
    let script = "trap '' TERM; setsid sleep 600 & exit 0";
    let mut run = runs.start_with("a", &flags, script);
    run.until("command_ended");
    run
}

#[test]
fn to_be_asked_while_the_rest_is_stopped_ends_a_keep() {
    let runs = Runs::new(LONG);
    let mut run = leaves_something(&runs, &["--keep"]);
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0);
    assert_eq!(run.events("command_started").len(), 1);
    assert!(runs.commands().is_empty());
}

#[test]
fn to_be_asked_while_the_rest_is_stopped_forgoes_the_hold() {
    let runs = Runs::new(LONG);
    let mut run = leaves_something(&runs, &["--hold-for", "10m"]);
    run.signal(Signal::INT);
    assert_eq!(run.code(), 0);
    assert!(run.events("holding").is_empty());
}

/// What the guard had not read when it ended was once taken for its violent
/// death. When exactly that is, is up to luck.
#[test]
fn a_signal_that_comes_as_the_command_ends_makes_no_failure() {
    let runs = Runs::new(LONG);
    for round in 0..40 {
        let mut run = runs.leader(&round.to_string(), "echo ready; exit 5");
        std::thread::sleep(Duration::from_micros(100 * (round % 10)));
        run.signal(Signal::TERM);
        let code = run.code();
        assert!([5, 143].contains(&code), "{code} in round {round}");
        assert!(run.events("guard_died").is_empty());
    }
}
