//! `run -- COMMAND`: exit codes, bad input, what the command is given, and
//! what the wrapper tells.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command as Process, Output, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use common::PATIENCE;
use common::run::{LONG, Runs, SHORT};
use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;
use serde_json::Value;

/// To its end, with whatever it printed.
fn ended(process: Process) -> Output {
    Command::from_std(process)
        .timeout(PATIENCE)
        .output()
        .unwrap()
}

fn code(process: Process) -> Option<i32> {
    ended(process).status.code()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let runs = Runs::new(LONG);
    for own in ["0", "2", "7", "123", "255"] {
        let exit = format!("exit {own}");
        let code = code(runs.run(&[], &["sh", "-c", &exit]));
        assert_eq!(code, own.parse().ok());
    }
}

#[test]
fn a_command_killed_by_a_signal_is_told_as_128_and_its_number() {
    let runs = Runs::new(LONG);
    for (signal, expected) in [("KILL", 137), ("TERM", 143), ("ALRM", 142)] {
        let kill = format!("kill -{signal} $$");
        let code = code(runs.run(&[], &["sh", "-c", &kill]));
        assert_eq!(code, Some(expected), "{signal}");
    }
}

#[test]
fn who_is_not_elected_gives_up_with_124_or_for_cron_with_0() {
    let runs = Runs::new(LONG);
    let _leader = runs.leader("a", "echo ready; exec sleep 600");
    for (flags, expected) in [
        (&["--try"][..], 124),
        (&["--try", "--skip-ok"], 0),
        (&["--wait", "200ms"], 124),
        (&["--wait", "200ms", "--skip-ok"], 0),
    ] {
        let begun = Instant::now();
        let output = ended(runs.run(flags, &["echo", "ran"]));
        assert_eq!(output.status.code(), Some(expected), "{flags:?}");
        assert_eq!(text(&output.stdout), "", "{flags:?}");
        // Not a retry period, which is two minutes.
        assert!(begun.elapsed() < Duration::from_secs(20), "{flags:?}");
    }
}

#[test]
fn what_is_wrong_is_told_in_a_line_and_125() {
    let runs = Runs::new(&[]);
    let here = |name: &str| runs.here().join(name).to_str().unwrap().to_owned();
    let (file, locks) = (here("file"), here("locks"));
    fs::write(&file, "").unwrap();
    let [in_file, nowhere] = [&file, &here("nowhere")].map(|dir| format!("{dir}/inside"));
    let cases: &[(&[&str], &[&str])] = &[
        (&["--lock-dir", &locks, "true"], &["-- is missing"]),
        (&["--no-such-flag", "--", "true"], &["--no-such-flag"]),
        (&["stray", "--", "true"], &["stray"]),
        (&["--"], &["no command", "-- COMMAND"]),
        (&["--", ""], &["no command"]),
        (&["--try", "--wait=1s", "--", "true"], &["--try", "--wait"]),
        (&["--wait", "soon", "--", "true"], &["--wait", "'soon'"]),
        (&["--node-id", "a b", "--", "true"], &["--node-id"]),
        (&["--lock-dir", &file, "--", "true"], &["--lock-dir", &file]),
        (&["--lock-dir", &in_file, "--", "true"], &["--lock-dir"]),
        (
            &["--stop-grace=5s", "--", "true"],
            &["--renew-deadline 6s + --stop-grace 5s + 1s", "= 12s"],
        ),
        (
            &["--events", &nowhere, "--", "true"],
            &["--events", &nowhere],
        ),
        (&["--events=fd:77", "--", "true"], &["--events", "fd:77"]),
        (&["--events=fd:x", "--", "true"], &["--events", "fd:N"]),
    ];
    for (args, words) in cases {
        let mut process = runs.program(common::binary().get_program().to_str().unwrap());
        process.env("LEADER_DEMO_LOCK_DIR", &locks);
        process.arg("run").args(*args);
        let output = ended(process);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        for word in *words {
            assert!(said.contains(word), "{args:?}: no {word:?} in: {said}");
        }
    }
}

#[test]
fn a_lock_directory_may_have_any_name() {
    let runs = Runs::new(&[]);
    for name in [&b"a b"[..], b"a:b", b"\xff\n"] {
        let dir = runs.here().join(OsStr::from_bytes(name));
        let mut process = runs.program(common::binary().get_program().to_str().unwrap());
        process.args(["run", "--lock-dir"]).arg(dir);
        process.args(["--", "sh", "-c", "exec \"$demo\" check"]);
        assert_eq!(code(process), Some(0), "{}", name.escape_ascii());
    }
}

#[test]
fn the_numbers_that_are_said_to_fit_do() {
    let runs = Runs::new(&[]);
    for flags in [
        &["--stop-grace=5s"][..],
        &["--stop-grace=301ms", "--lease-duration=1s"],
        &["--renew-deadline=8500ms"],
        &["--lease-duration=7s", "--stop-grace=6s"],
    ] {
        let output = ended(runs.run(flags, &["true"]));
        assert_eq!(output.status.code(), Some(125), "{flags:?}");
        let said = text(&output.stderr);
        let (_, ways) = said.split_once(": use ").expect(said);
        let ways: Vec<_> = ways.trim().split(", ").collect();
        assert!(!ways.is_empty(), "{said}");
        for way in ways {
            let mut words = way.trim_start_matches("or ").split(' ');
            let instead = [words.next().unwrap(), words.next().unwrap()];
            // What is given again counts instead of what it was.
            let kept = flags.iter().filter(|flag| !flag.starts_with(instead[0]));
            let flags: Vec<_> = kept.copied().chain(instead).collect();
            assert_eq!(code(runs.run(&flags, &["true"])), Some(0), "{flags:?}");
        }
    }
}

#[test]
fn a_command_that_cannot_be_run_is_126_or_127_and_keeps_nobody_waiting() {
    let runs = Runs::new(LONG);
    let plain = runs.here().join("plain");
    fs::write(&plain, "true\n").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o600)).unwrap();
    let cases = [
        ("no-such-command", 127),
        ("./no/such/command", 127),
        (plain.to_str().unwrap(), 126),
        (runs.here().to_str().unwrap(), 126),
    ];
    let mut leader = runs.leader("leader", "echo ready; exec sleep 600");
    let waiting: Vec<_> = (0..)
        .zip(cases)
        .map(|(n, (command, expected))| {
            let mut run = runs.spawn(&format!("waits-{n}"), |events| {
                let mut run = runs.run(&["--events", events], &[command]);
                run.stderr(Stdio::piped());
                run
            });
            run.until("new_leader");
            (command, expected, run)
        })
        .collect();
    leader.signal(Signal::TERM);
    assert_eq!(leader.code(), 143);
    // Each leads in its turn; were one to keep its lease, it would be for minutes.
    for (command, expected, mut run) in waiting {
        assert_eq!(run.until("elected")["acquired"], "vacant", "{command}");
        assert_eq!(run.code(), expected, "{command}");
        let said = run.stderr();
        assert!(said.contains(command), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn our_exit_codes_stay_ours_where_stderr_cannot_be_written() {
    let runs = Runs::new(LONG);
    for (flags, command, expected) in [
        (&[][..], "no-such-command", 127),
        (&["--bogus"], "true", 125),
        (&["--stop-grace", "9m"], "true", 125),
        (&["--store", "file:/dev/null"], "true", 125),
    ] {
        let mut run = runs.run(flags, &[command]);
        run.stderr(fs::File::options().write(true).open("/dev/full").unwrap());
        assert_eq!(code(run), Some(expected), "{flags:?} {command}");
    }
}

#[test]
fn events_that_nobody_reads_hold_up_nothing() {
    let runs = Runs::new(LONG);
    let fifo = runs.here().join("unread");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let run = runs.run(
        &["--events", fifo.to_str().unwrap()],
        &["sh", "-c", "exit 7"],
    );
    assert_eq!(code(run), Some(7));
}

#[test]
fn a_command_that_cannot_be_run_is_not_tried_again_with_keep() {
    let runs = Runs::new(LONG);
    let mut run = runs.run(&["--keep"], &["no-such-command"]);
    run.stderr(Stdio::null());
    assert_eq!(code(run), Some(127));
}

#[test]
fn the_level_of_the_commands_own_log_is_not_ours() {
    let runs = Runs::new(LONG);
    let mut run = runs.run(
        &[],
        &["sh", "-c", "test \"$RUST_LOG\" = 'my_crate[span]=debug'"],
    );
    run.env("RUST_LOG", "my_crate[span]=debug");
    assert_eq!(code(run), Some(0));
}

#[test]
fn the_command_is_run_as_given_and_by_no_shell() {
    let runs = Runs::new(LONG);
    let args = [
        "two words",
        "",
        "$HOME",
        "`id`",
        "*",
        "'\"\\",
        ";",
        "a\nb",
        "--try",
        "--",
        "-lock-name=x",
    ];
    let mut run = runs.run(&[], &["printf", "%s|"]);
    run.args(args).arg(OsStr::from_bytes(b"\xff\xfe"));
    let expected = [args.join("|").as_bytes(), b"|\xff\xfe|"].concat();
    let printed = ended(run).stdout;
    assert_eq!(printed, expected, "{}", String::from_utf8_lossy(&printed));
}

#[test]
fn stdin_stdout_and_stderr_are_the_commands() {
    let runs = Runs::new(LONG);
    let megabytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let script = "cat; echo that was all >&2";
    let mut command = Command::from_std(runs.run(&[], &["sh", "-c", script]));
    let output = command
        .write_stdin(megabytes.clone())
        .timeout(PATIENCE)
        .output()
        .unwrap();
    assert!(output.stdout == megabytes, "{} bytes", output.stdout.len());
    assert_eq!(text(&output.stderr), "that was all\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_command_inherits_descriptors_directory_and_environment() {
    let runs = Runs::new(LONG);
    let script = r#"exec 8>out; echo handed down | {
        exec 7<&0 "$demo" run --lock-dir locks -- sh -c 'cat <&7 >&8; pwd >&8; echo "$MINE" >&8'
    }"#;
    let mut shell = runs.program("sh");
    shell.args(["-c", script]).current_dir(runs.here());
    shell.env("MINE", "and only mine");
    assert_eq!(code(shell), Some(0));
    let here = fs::canonicalize(runs.here()).unwrap();
    let expected = format!("handed down\n{}\nand only mine\n", here.display());
    let out = fs::read_to_string(runs.here().join("out")).unwrap();
    assert_eq!(out, expected);
}

#[test]
fn the_command_is_told_its_term_and_where_its_lease_is() {
    let runs = Runs::new(LONG);
    assert_eq!(code(runs.run(&["--lock-name=jobs"], &["true"])), Some(0));
    let show = r#"for name in TERM NODE_ID LOCK_NAME STORE LOCK_DIR; do
        eval "echo \"$name=\${LEADER_DEMO_$name-}\""
    done"#;
    // By a path that means something only here.
    let mut run = runs.program(common::binary().get_program().to_str().unwrap());
    run.args(["run", "--lock-name=jobs", "--", "sh", "-c", show])
        .env("LEADER_DEMO_LOCK_DIR", "locks")
        .current_dir(runs.here())
        .stdout(Stdio::piped());
    let child = run.spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    let host = rustix::system::uname();
    let host = host.nodename().to_str().unwrap().to_owned();
    let locks = fs::canonicalize(runs.locks()).unwrap();
    let expected = format!(
        "TERM=2\nNODE_ID={host}-{pid}\nLOCK_NAME=jobs\nSTORE=file:{}\nLOCK_DIR=\n",
        locks.display()
    );
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn a_command_that_leaves_its_directory_can_still_check() {
    let runs = Runs::new(LONG);
    let check = r#"cd / && "$demo" check"#;
    for (place, by_environment) in [("locks", false), ("locks", true), ("./locks/.", false)] {
        let mut run = runs.program(common::binary().get_program().to_str().unwrap());
        run.arg("run").current_dir(runs.here());
        if by_environment {
            run.env("LEADER_DEMO_LOCK_DIR", place);
        } else {
            // What is typed counts, and the command must not see the other.
            run.env("LEADER_DEMO_LOCK_DIR", runs.here().join("elsewhere"));
            run.args(["--lock-dir", place]);
        }
        run.args(["--", "sh", "-c", check]);
        assert_eq!(code(run), Some(0), "{place} {by_environment}");
    }
}

#[test]
fn with_keep_the_others_get_their_turn_before_it_is_run_again() {
    let runs = Runs::new(SHORT);
    let script = "echo $LEADER_DEMO_TERM; permit";
    let mut a = runs.start_with("a", &["--keep"], script);
    a.says("1");
    let mut b = runs.start_with("b", &["--keep"], script);
    b.until("new_leader");
    runs.permit();
    b.says("2");
    a.says("3");
}

#[test]
fn with_keep_a_command_that_ends_at_once_is_run_once_in_a_lease_duration() {
    let runs = Runs::new(&["--lease-duration", "400ms"]);
    let mut run = runs.start_with("a", &["--keep"], "exit 1");
    let elected: Vec<_> = (0..4)
        .map(|_| {
            let elected = common::ns(&run.until("elected"), "boottime_ns");
            run.until("command_started");
            elected
        })
        .collect();
    for pair in elected.windows(2) {
        let apart = pair[1].since(pair[0]);
        assert!(apart >= Duration::from_millis(400), "{apart:?}");
    }
    run.until("revoked");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 143);
}

#[test]
fn hold_for_keeps_the_others_out_after_a_success() {
    let runs = Runs::new(LONG);
    let flags = ["--hold-for", "700ms"];
    let mut a = runs.start_with("a", &flags, "echo ready; permit");
    a.says("ready");
    let mut b = runs.follower("b", "exit 0");
    runs.permit();
    let since = common::ns(&a.until("holding"), "boottime_ns");
    let elected = common::ns(&b.until("elected"), "boottime_ns");
    // What is told is told a moment later.
    let held = elected.since(since);
    assert!(held >= Duration::from_millis(600), "{held:?}");
    assert_eq!([a.code(), b.code()], [0, 0]);
}

#[test]
fn hold_for_keeps_nobody_out_after_a_failure() {
    let runs = Runs::new(LONG);
    let flags = ["--hold-for", "10m"];
    let mut a = runs.start_with("a", &flags, "echo ready; permit; exit 7");
    a.says("ready");
    let mut b = runs.follower("b", "exit 0");
    runs.permit();
    assert_eq!([a.code(), b.code()], [7, 0]);
}

#[test]
fn sigterm_ends_a_hold_at_once_and_in_success() {
    let runs = Runs::new(LONG);
    let mut run = runs.start_with("a", &["--hold-for", "10m"], "exit 0");
    run.until("holding");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0);
    assert_eq!(code(runs.run(&["--try"], &["true"])), Some(0), "given back");
}

#[test]
fn events_are_lines_added_to_a_file_in_the_order_of_what_happened() {
    let runs = Runs::new(LONG);
    let file = runs.here().join("events");
    fs::write(&file, "what was there before\n").unwrap();
    let flags = ["--node-id=a", "--events", file.to_str().unwrap()];
    assert_eq!(code(runs.run(&flags, &["sh", "-c", "exit 3"])), Some(3));
    let text = fs::read_to_string(&file).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("what was there before"));
    let lines: Vec<Value> = lines.map(|l| serde_json::from_str(l).expect(l)).collect();
    let names: Vec<_> = lines
        .iter()
        .map(|l| l["event"].as_str().unwrap())
        .filter(|name| *name != "no_leader")
        .collect();
    let story = [
        "started",
        "elected",
        "command_started",
        "command_ended",
        "revoked",
        "stopped",
    ];
    assert_eq!(names, story);
    for (n, line) in (1..).zip(&lines) {
        assert_eq!(line["seq"], n, "{line}");
        assert_eq!(line["node_id"], "a", "{line}");
        assert_eq!(line["lock_name"], "leader-election-demo", "{line}");
        for field in ["timestamp", "level", "role", "session", "host"] {
            assert!(line[field].is_string(), "{field} in {line}");
        }
        for field in ["pid", "boottime_ns"] {
            assert!(line[field].is_u64(), "{field} in {line}");
        }
    }
    let of = |event| lines.iter().find(|l| l["event"] == event).unwrap();
    assert_eq!(of("started")["stop_grace_ns"], 180_000_000_000u64);
    assert_eq!(of("command_started")["term"], 1);
    assert!(of("command_started")["command_pid"].is_u64());
    assert_eq!(of("command_ended")["exit_code"], 3);
    assert_eq!(of("command_ended")["role"], "leader");
    assert_eq!(of("revoked")["reason"], "resigned");
    assert!(lines.is_sorted_by_key(|l| l["boottime_ns"].as_u64()));
}

/// It is the guard that knows, and the election may be faster than that.
#[test]
fn events_always_say_which_process_was_started() {
    let runs = Runs::new(LONG);
    for round in 0..30 {
        let mut run = runs.start(&round.to_string(), "echo $$");
        let told = run.until("command_started")["command_pid"].clone();
        assert_eq!(run.line(), told.to_string());
        assert_eq!(run.code(), 0);
    }
}

#[test]
fn events_may_go_to_a_descriptor() {
    let runs = Runs::new(LONG);
    let script = r#"exec "$demo" run --lock-dir "$HERE/locks" --events fd:9 -- true 9>"$HERE/out""#;
    let mut shell = runs.program("sh");
    shell.args(["-c", script]);
    assert_eq!(code(shell), Some(0));
    let out = fs::read_to_string(runs.here().join("out")).unwrap();
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!([&first["event"], &last["event"]], ["started", "stopped"]);
}

#[test]
fn a_flood_of_output_costs_no_lease() {
    let runs = Runs::new(SHORT);
    let flags = ["--events", &format!("{}/events", runs.here().display())];
    let output = ended(runs.run(&flags, &["sh", "-c", "yes | head -c 50000000"]));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout.len(), 50_000_000);
    let events = fs::read_to_string(runs.here().join("events")).unwrap();
    assert_eq!(events.matches("elected").count(), 1, "{events}");
    assert!(!events.contains(r#""reason":"renew_deadline""#), "{events}");
}

#[test]
fn a_stderr_that_takes_nothing_costs_no_lease() {
    let runs = Runs::new(SHORT);
    let (_nobody_reads, full) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&full, true).unwrap();
    while (&full).write(&[b'x'; 4096]).is_ok() {}
    while (&full).write(b"x").is_ok() {}
    rustix::io::ioctl_fionbio(&full, false).unwrap();
    let mut run = runs.spawn("a", |events| {
        let flags = ["--log-level", "trace", "--events", events];
        // Two and a half times as long as a lease that is not renewed.
        let mut run = runs.run(&flags, &["sleep", "2.5"]);
        run.stderr(full);
        run
    });
    assert_eq!(run.code(), 0);
    assert_eq!(run.until("revoked")["reason"], "resigned");
}
