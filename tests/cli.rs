//! The command line: flags, errors, exit codes, and the shape of what is printed.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use common::mounts::Fat;
use common::{Cluster, ns};
use predicates::prelude::*;
use rustix::process::{Pid, Signal};

fn leader_demo(args: &[&str]) -> Command {
    let mut command = Command::from_std(common::binary());
    command.args(args).timeout(common::PATIENCE);
    command
}

#[test]
fn help_names_every_flag_and_exit_code() {
    let mut assert = leader_demo(&["--help"]).assert().success();
    for flag in [
        "--node-id",
        "--lock-name",
        "--lock-dir",
        "--store",
        "--lease-duration",
        "--retry-period",
        "--renew-deadline",
        "--heartbeat-period",
        "--shared-dir",
        "--log-format",
        "--log-level",
        "LEADER_DEMO_NODE_ID",
        "RUST_LOG",
        "0 stopped as asked, 2 usage, 1 anything else",
    ] {
        assert = assert.stdout(predicate::str::contains(flag));
    }
}

#[test]
fn bad_usage_is_told_with_the_flag_the_value_and_what_would_do() {
    let long = "x".repeat(129);
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &["--node-id"]),
        (
            &["--node-id", ""],
            &["--node-id", "''", "empty", "letters, digits"],
        ),
        (
            &["--node-id", &long],
            &["--node-id", "129 characters", "at most 128"],
        ),
        (&["--node-id", "a\u{7}b"], &["--node-id", "'a␇b'", "'␇'"]),
        (&["--node-id", "a b"], &["--node-id", "'a b'", "' '"]),
        (
            &["--node-id=n", "--lock-name", "a/b"],
            &["--lock-name", "'a/b'", "'/'"],
        ),
        (
            &["--node-id=n", "--lock-name", ".."],
            &["--lock-name", "'..'", "dot"],
        ),
        (
            &["--node-id=n", "--lock-name", ""],
            &["--lock-name", "empty"],
        ),
        (
            &["--node-id=n", "--lease-duration", "0s"],
            &["--lease-duration", "'0s'", "longer"],
        ),
        (
            &["--node-id=n", "--lease-duration", "50ms"],
            &["--lease-duration 50ms", "100ms"],
        ),
        (
            &["--node-id=n", "--lease-duration", "-5s"],
            &["--lease-duration", "'-5s'", "10s"],
        ),
        (
            &["--node-id=n", "--lease-duration", "9999h"],
            &["--lease-duration", "'9999h'", "24h"],
        ),
        (
            &["--node-id=n", "--lease-duration", "10"],
            &["--lease-duration", "'10'", "unit"],
        ),
        (
            &["--node-id=n", "--lease-duration", "soon"],
            &["--lease-duration", "'soon'", "10s"],
        ),
        (
            &["--node-id=n", "--retry-period", "6s"],
            &["--retry-period 6s", "--renew-deadline 6s", "2s"],
        ),
        (
            &["--node-id=n", "--renew-deadline", "10s"],
            &["--renew-deadline 10s", "--lease-duration 10s", "9s"],
        ),
        (
            &["--node-id=n", "--heartbeat-period", "0s"],
            &["--heartbeat-period", "'0s'"],
        ),
        (&["--node-id=n", "--lock-dir", ""], &["--lock-dir"]),
        (
            &["--node-id=n", "--store", "mysql://h"],
            &["--store", "unknown scheme", "\"mysql\"", "file:DIR"],
        ),
        (
            &["--node-id=n", "--store", "/tmp"],
            &["--store", "not a URL", "file:DIR"],
        ),
        (
            &["--node-id=n", "--store", "etcd://u:secret@h:port"],
            &["--store", "after h is no port"],
        ),
        (
            &["--node-id=n", "--store", "etcd://h", "--shared-dir"],
            &["--store etcd://h:2379", "--shared-dir"],
        ),
        (
            &["--node-id=n", "--store", "file:"],
            &["--store", "file:/tmp"],
        ),
        (
            &["--node-id=n", "--store", "file:/a", "--lock-dir", "/b"],
            &["--store file:/a", "--lock-dir /b"],
        ),
        (
            &["--node-id=n", "--log-format", "xml"],
            &["--log-format", "'xml'", "json"],
        ),
        (
            &["--node-id=n", "--log-level", "lots=of=it"],
            &["--log-level", "'lots=of=it'", "debug"],
        ),
        (
            &["--node-id=n", "--log-level", "loud"],
            &["--log-level", "'loud'", "debug"],
        ),
        (&["--node-id=n", "--unknown"], &["--unknown"]),
        (&["--node-id=n", "stray"], &["stray"]),
    ];
    for (args, says) in cases {
        let output = leader_demo(args).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(error.starts_with("error: "), "{args:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(!error.trim_end().contains(char::is_control), "{error:?}");
        for word in *says {
            assert!(
                error.contains(word),
                "{args:?} does not say {word}: {error}"
            );
        }
    }
}

/// Runs as `uid`, expects exit 1 and one line that says all of `says`.
fn refused(dir: &Path, uid: Option<u32>, flags: &[&str], says: &[&str]) {
    let mut command = common::binary();
    command
        .args(["--node-id=n", "--lock-dir"])
        .arg(dir)
        .args(flags);
    if let Some(uid) = uid {
        common::run_as(&mut command, uid, uid);
    }
    let output = Command::from_std(command)
        .timeout(common::PATIENCE)
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}: {error}", dir.display());
    assert!(output.stdout.is_empty());
    assert_eq!(error.lines().count(), 1, "{error}");
    for word in says.iter().chain(&["--lock-dir"]) {
        assert!(error.contains(word), "does not say {word}: {error}");
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_lock_directory_that_will_not_do_is_refused_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);

    fs::write(at("file"), "").unwrap();
    refused(&at("file"), None, &[], &["not a directory"]);
    refused(&at("file/below"), None, &[], &["file/below"]);

    fs::create_dir(at("tool")).unwrap();
    fs::write(at("tool/leader-election-demo.lock"), "pid 1").unwrap();
    refused(
        &at("tool"),
        None,
        &[],
        &["leader-election-demo.lock", "another tool's", "remove it"],
    );
    assert_eq!(
        fs::read(at("tool/leader-election-demo.lock")).unwrap(),
        b"pid 1"
    );

    fs::create_dir_all(at("linked/elsewhere")).unwrap();
    symlink(
        at("linked/elsewhere"),
        at("linked/leader-election-demo.lock"),
    )
    .unwrap();
    refused(&at("linked"), None, &[], &["symbolic link"]);

    fs::create_dir(at("everybody")).unwrap();
    chmod(&at("everybody"), 0o777);
    refused(&at("everybody"), None, &[], &["sticky", "chmod +t"]);

    fs::create_dir_all(at("open/leader-election-demo.lock")).unwrap();
    chmod(&at("open/leader-election-demo.lock"), 0o770);
    refused(
        &at("open"),
        None,
        &[],
        &["writable by others", ": say --shared-dir if", "chmod g-w"],
    );
    chmod(&at("open/leader-election-demo.lock"), 0o777);
    refused(
        &at("open"),
        None,
        &[],
        &["writable by others", "chmod go-w"],
    );
    refused(
        &at("open"),
        None,
        &["--shared-dir"],
        &["writable by others", "chmod o-w"],
    );

    refused(Path::new("/proc"), None, &[], &["/proc"]);
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        common::skip("only root can be two users");
        return;
    }
    const NOBODY: u32 = 65534;
    let root = tempfile::tempdir().unwrap();
    chmod(root.path(), 0o755);
    let at = |name: &str| root.path().join(name);

    fs::create_dir(at("mine")).unwrap();
    refused(&at("mine"), Some(NOBODY), &[], &["may not write"]);

    let theirs = at("theirs/leader-election-demo.lock");
    fs::create_dir_all(&theirs).unwrap();
    std::os::unix::fs::chown(&theirs, Some(NOBODY), None).unwrap();
    refused(
        &at("theirs"),
        None,
        &[],
        &["belongs to user 65534", "--shared-dir"],
    );

    fs::create_dir(at("target")).unwrap();
    symlink(at("target"), at("link")).unwrap();
    std::os::unix::fs::lchown(at("link"), Some(NOBODY), None).unwrap();
    refused(&at("link"), None, &[], &["symbolic link", "65534"]);
}

#[test]
fn a_filesystem_without_hard_links_is_refused() {
    let Some(fat) = Fat::mount() else { return };
    let says = ["no hard links", "another one"];
    refused(fat.path(), None, &[], &says);
}

#[test]
fn the_lock_directory_is_made_when_missing_and_private() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b/c");
    let cluster = Cluster::at(&dir, &[]);
    let _node = cluster.leader("node-1");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&cluster.lease()), 0o700);
    assert_eq!(mode(&cluster.lease().join("claims")), 0o700);
    assert_eq!(mode(&cluster.revisions()[0]), 0o600);

    let shared = Cluster::at(&root.path().join("shared"), &["--shared-dir"]);
    let _node = shared.leader("node-1");
    assert_eq!(mode(&shared.lease()), 0o2770);
    assert_eq!(mode(&shared.revisions()[0]), 0o640);
}

#[test]
fn two_users_can_share_a_directory_on_purpose() {
    if !rustix::process::geteuid().is_root() {
        common::skip("only root can be two users");
        return;
    }
    const GROUP: u32 = 65534;
    let root = tempfile::tempdir().unwrap();
    chmod(root.path(), 0o2770);
    std::os::unix::fs::chown(root.path(), None, Some(GROUP)).unwrap();
    let start = |uid: u32| {
        let mut command = common::binary();
        command
            .args(["--shared-dir", "--log-format=json", "--lease-duration=10m"])
            .args([
                "--retry-period=200ms",
                &format!("--node-id=user-{uid}"),
                "--lock-dir",
            ])
            .arg(root.path());
        common::run_as(&mut command, uid, GROUP);
        common::Node::spawn(&format!("user-{uid}"), command)
    };
    let mut first = start(12345);
    first.until("elected");
    let mut second = start(23456);
    second.until("new_leader");
    first.kill();
    assert_eq!(second.until("elected")["acquired"], "holder_died");
    // And back again, over files that the other user made.
    let mut third = start(12345);
    third.until("new_leader");
    second.stop();
    assert_eq!(third.until("elected")["term"], 3);
}

#[test]
fn an_error_shows_what_was_typed_with_nothing_that_a_terminal_would_obey() {
    let hostile = "a\u{1b}]0;title\u{7}\u{1b}[31mred\nline2\u{202e}";
    let mut by_environment = leader_demo(&[]);
    by_environment.env("LEADER_DEMO_NODE_ID", hostile);
    for mut command in [leader_demo(&["--node-id", hostile]), by_environment] {
        let output = command.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("--node-id"), "{error}");
        let line = error.trim_end();
        assert!(
            !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{line:?}"
        );
    }
    let not_text = std::os::unix::ffi::OsStringExt::from_vec(b"n\xff".to_vec());
    let args: [std::ffi::OsString; 2] = ["--node-id".into(), not_text];
    let output = leader_demo(&[]).args(args).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("--node-id"), "{error}");
}

#[test]
fn a_switch_can_be_spelled_in_many_ways() {
    for (args, shared) in [
        (&["--shared-dir"][..], true),
        (&["-shared-dir=true"], true),
        (&["--shared-dir=1"], true),
        (&["-shared-dir=false"], false),
    ] {
        let cluster = Cluster::new(args);
        let _node = cluster.leader("n");
        let mode = fs::metadata(cluster.lease()).unwrap().permissions().mode();
        assert_eq!(mode & 0o020 != 0, shared, "{args:?}");
    }
}

#[test]
fn every_flag_has_an_environment_variable() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = common::binary();
    command.envs([
        ("LEADER_DEMO_NODE_ID", "from-env"),
        ("LEADER_DEMO_LOCK_NAME", "env-lock"),
        ("LEADER_DEMO_LOCK_DIR", dir.path().to_str().unwrap()),
        ("LEADER_DEMO_LEASE_DURATION", "20s"),
        ("LEADER_DEMO_RETRY_PERIOD", "1s"),
        ("LEADER_DEMO_RENEW_DEADLINE", "11s"),
        ("LEADER_DEMO_HEARTBEAT_PERIOD", "20ms"),
        ("LEADER_DEMO_SHARED_DIR", "true"),
        ("LEADER_DEMO_LOG_FORMAT", "json"),
        ("RUST_LOG", "off"),
    ]);
    let mut node = common::Node::spawn("from-env", command);
    let started = node.until("started");
    assert_eq!(started["node_id"], "from-env");
    assert_eq!(started["lock_name"], "env-lock");
    assert_eq!(started["lease_duration_ns"], 20_000_000_000_u64);
    assert_eq!(started["retry_period_ns"], 1_000_000_000);
    assert_eq!(started["renew_deadline_ns"], 11_000_000_000_u64);
    node.until("elected");
    let first = node.until("heartbeat");
    let second = node.until("heartbeat");
    let between = ns(&second, "boottime_ns").since(ns(&first, "boottime_ns"));
    assert!(between < Duration::from_secs(1), "{between:?}");
    let mode = fs::metadata(dir.path().join("env-lock.lock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o2770);
}

#[test]
fn go_style_flags_and_the_store_url_work_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = common::binary();
    command.args([
        "-node-id=my-node",
        "-lock-name=my-service",
        "-lease-duration=15s",
    ]);
    command.args(["-retry-period=3s", "-log-format=json"]);
    command.arg(format!("-store=file:{}", dir.path().display()));
    let mut node = common::Node::spawn("my-node", command);
    assert_eq!(
        node.until("started")["lease_duration_ns"],
        15_000_000_000_u64
    );
    node.until("elected");
    assert!(dir.path().join("my-service.lock").is_dir());
}

/// All digits as zeros, so that shapes can be compared.
fn shape(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect()
}

#[test]
fn the_lines_for_people_have_exactly_the_documented_shape() {
    let dir = tempfile::tempdir().unwrap();
    let start = |id: &str| {
        let mut command = common::binary();
        command
            .args([
                "--lease-duration=10m",
                "--retry-period=50ms",
                "--heartbeat-period=100ms",
            ])
            .args(["--node-id", id, "--lock-dir"])
            .arg(dir.path())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines.map(|l| shape(&l.unwrap())))
    };
    let (first, mut first_lines) = start("node-a");
    let expected = [
        "0000/00/00 00:00:00 Starting leader election demo for node: node-a",
        "0000/00/00 00:00:00 ✅ [node-a] Leader election started. Press Ctrl+C to stop",
        "0000/00/00 00:00:00 [node-a] Successfully acquired leadership",
        "0000/00/00 00:00:00 🎉 [node-a] BECAME LEADER - Starting leadership duties",
        "0000/00/00 00:00:00 👑 [node-a] Status: LEADER - Heartbeat at 00:00:00 (term 0)",
        "0000/00/00 00:00:00 👑 [node-a] Status: LEADER - Heartbeat at 00:00:00 (term 0)",
    ];
    for line in expected {
        assert_eq!(first_lines.next().unwrap(), line);
    }
    let (mut second, second_lines) = start("node-b");
    let mut second_lines = second_lines.skip(2);
    let mut follower: BTreeSet<_> = (0..2).map(|_| second_lines.next().unwrap()).collect();
    assert!(follower.remove(
        "0000/00/00 00:00:00 👥 [node-b] Status: FOLLOWER - Heartbeat at 00:00:00 (leader node-a, term 0)"
    ), "{follower:?}");
    assert!(
        follower.remove("0000/00/00 00:00:00 [node-b] New leader: node-a (term 0)"),
        "{follower:?}"
    );

    rustix::process::kill_process(Pid::from_child(&first), Signal::TERM).unwrap();
    let rest: Vec<_> = first_lines.filter(|l| !l.contains("Heartbeat")).collect();
    assert_eq!(
        rest,
        [
            "0000/00/00 00:00:00 🛑 [node-a] Received shutdown signal, stopping...",
            "0000/00/00 00:00:00 😞 [node-a] LOST LEADERSHIP - Stepping down",
            "0000/00/00 00:00:00 👋 [node-a] Shutdown complete",
        ]
    );
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(0));
    let mut news = second_lines.filter(|l| !l.contains("FOLLOWER"));
    assert_eq!(
        news.next().unwrap(),
        "0000/00/00 00:00:00 [node-b] No leader"
    );
    assert_eq!(
        news.next().unwrap(),
        expected[2].replace("node-a", "node-b")
    );
    second.kill().unwrap();
    second.wait().unwrap();
}

#[test]
fn json_lines_have_the_documented_fields() {
    let cluster = Cluster::new(&["--lease-duration=5s", "--heartbeat-period=50ms"]);
    let mut first = cluster.leader("node-1");
    let mut second = cluster.follower("node-2");
    first.until("heartbeat");
    first.stop();
    second.until("elected");
    second.stop();

    let always = [
        "timestamp",
        "level",
        "event",
        "node_id",
        "session",
        "pid",
        "host",
        "boot_id",
        "seq",
        "lock_name",
        "role",
        "term",
        "leader",
        "boottime_ns",
    ];
    let mut last = std::collections::HashMap::new();
    for node in [&first, &second] {
        for (n, line) in node.all().iter().enumerate() {
            let mut fields: BTreeSet<_> = line
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            for field in always {
                assert!(fields.remove(field), "{field} is missing in {line}");
            }
            let (event, leads) = (line["event"].as_str().unwrap(), line["role"] == "leader");
            let more: &[&str] = match event {
                "started" => &["lease_duration_ns", "renew_deadline_ns", "retry_period_ns"],
                "elected" => &["acquired", "valid_until_ns"],
                "heartbeat" if leads => &["valid_until_ns"],
                "revoked" => &["ended_ns", "stays_out_until_ns", "reason"],
                _ => &[],
            };
            assert_eq!(fields, more.iter().copied().collect(), "{line}");
            assert_eq!(line["seq"], n + 1);
            assert_eq!(line["pid"], node.pid());
            assert_eq!(line["node_id"], *node.id);
            let time = line["timestamp"].as_str().unwrap();
            assert_eq!(shape(time), "0000-00-00T00:00:00.000000Z");
            if leads {
                assert_eq!(line["leader"], *node.id);
                assert!(line["term"].is_u64());
            }
            if let Some(until) = line.get("valid_until_ns") {
                last.insert(node.pid(), until.as_u64().unwrap());
            }
            if event == "revoked" {
                assert!(line["ended_ns"].as_u64().unwrap() <= last[&node.pid()]);
            }
        }
    }
    assert_eq!(
        second.events("no_leader")[0]["leader"],
        serde_json::Value::Null
    );
}

#[test]
fn the_log_level_is_for_stderr_and_changes_no_event() {
    let cluster = Cluster::new(&["--log-level=off"]);
    let mut node = cluster.leader("node-1");
    node.stop();
    assert_eq!(node.all()[0]["event"], "started");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = common::binary();
    command
        .args(["--node-id=n", "--heartbeat-period=1ms", "--lock-dir"])
        .arg(dir.path())
        .stdout(Stdio::piped());
    let mut node = command.spawn().unwrap();
    // With nobody reading, the end waits a while for the last lines to go out.
    while fs::read_dir(dir.path()).unwrap().count() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_secs(2));
    let pid = Pid::from_child(&node);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    std::thread::sleep(Duration::from_millis(150));
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(node.wait().unwrap().code(), Some(1));
}

#[test]
fn an_echo_of_the_first_signal_is_no_second_one() {
    // timeout(1) signals its child and then its whole group.
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.args(["--preserve-status", "1"]);
    command.arg(common::binary().get_program());
    command.args(["--node-id=n", "--lock-dir"]).arg(dir.path());
    for _ in 0..5 {
        let output = command.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{printed}");
        assert!(printed.ends_with("Shutdown complete\n"), "{printed}");
    }
}

#[test]
fn a_reader_that_goes_away_is_a_quiet_stop() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = common::binary();
    command
        .args(["--node-id=n", "--heartbeat-period=10ms", "--lock-dir"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut node = command.spawn().unwrap();
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    while !lines
        .next()
        .unwrap()
        .unwrap()
        .contains("LEADER - Heartbeat")
    {}
    drop(lines);
    let asked = Instant::now();
    assert_eq!(node.wait().unwrap().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10));
    let mut error = String::new();
    node.stderr
        .take()
        .unwrap()
        .read_to_string(&mut error)
        .unwrap();
    assert_eq!(error, "");
    // It gave the lease back: the next need not wait.
    let mut next = Cluster::at(dir.path(), &[]).start("next");
    assert_eq!(next.until("elected")["acquired"], "vacant");
}

#[cfg(not(any(feature = "etcd", feature = "postgres", feature = "redis")))]
#[test]
fn a_store_that_is_not_built_in_is_told_with_the_feature_that_has_it() {
    for (url, feature) in [
        ("etcds://u:secret@h", "etcd"),
        ("rediss://:secret@h", "redis"),
        ("postgres://u:secret@h/db", "postgres"),
    ] {
        let output = common::binary()
            .args(["--node-id=n", "--store", url])
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(&format!("--features {feature},")), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
