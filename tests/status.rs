//! `status`: who leads, after one look that leaves nothing behind.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use assert_cmd::Command;
use common::{Cluster, PATIENCE};
use rustix::process::Signal;
use serde_json::{Value, json};

const LONG: &[&str] = &["--lease-duration=10m", "--retry-period=200ms"];

/// What was said, and the exit code.
#[derive(Debug)]
struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Answer {
    fn object(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.err))
    }

    fn says(&self, code: i32, words: &[&str]) {
        let said = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, code, "{said}");
        for word in words {
            assert!(said.contains(word), "does not say {word}: {said}");
        }
    }
}

fn ask_as(uid: Option<u32>, dir: &Path, flags: &[&str]) -> Answer {
    let mut command = common::binary();
    command.args(["status", "--lock-dir"]).arg(dir).args(flags);
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    let output = Command::from_std(command)
        .timeout(PATIENCE)
        .output()
        .unwrap();
    Answer {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn ask(dir: &Path, flags: &[&str]) -> Answer {
    ask_as(None, dir, flags)
}

fn ask_json(dir: &Path) -> (i32, Value) {
    let answer = ask(dir, &["--json"]);
    (answer.code, answer.object())
}

/// Asks until it says so: a process that was killed takes its time to go.
fn until(dir: &Path, code: i32, reason: &str) -> Value {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let answer = ask_json(dir);
        if answer.0 == code && answer.1["reason"] == reason {
            return answer.1;
        }
        assert!(std::time::Instant::now() < deadline, "{answer:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_leader_is_named_with_all_there_is_to_know() {
    let cluster = Cluster::new(LONG);
    let leader = cluster.leader("node-1");
    let (code, answer) = ask_json(cluster.dir());
    assert_eq!(code, 0, "{answer}");
    let elected = &leader.events("elected")[0];
    let ago = answer["renewed_ago_ns"].as_u64().unwrap();
    assert!(ago < PATIENCE.as_nanos() as u64, "{ago}");
    // All of it: fields are only ever added.
    let expected = json!({
        "lock_name": "leader-election-demo",
        "store": format!("file:{}", cluster.dir().display()),
        "led": true,
        "state": "held",
        "reason": null,
        "message": null,
        "leader": "node-1",
        "term": 1,
        "session": elected["session"],
        "pid": leader.pid(),
        "host": elected["host"],
        "lease_duration_ns": 600_000_000_000_u64,
        "renewed_ago_ns": ago,
        "life": "alive",
        "successor": null,
        "successor_node": null,
    });
    assert_eq!(answer, expected);
    let words = [
        "leader   node-1\n",
        "term     1\n",
        "10m, renewed",
        "is alive",
    ];
    ask(cluster.dir(), &[]).says(0, &words);
    let pid = leader.pid().to_string();
    ask(cluster.dir(), &[]).says(0, &[&pid, cluster.dir().to_str().unwrap()]);
}

#[test]
fn a_reader_that_leaves_changes_no_exit_code_and_a_full_disk_does() {
    let cluster = Cluster::new(LONG);
    let _leader = cluster.leader("node-1");
    let ask = |stdout: Stdio| {
        let mut command = common::binary();
        command.args(["status", "--lock-dir"]).arg(cluster.dir());
        let output = command.stdout(stdout).stderr(Stdio::piped()).output();
        let output = output.unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(ask(writer.into()), (Some(0), String::new()));
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let (code, said) = ask(full.into());
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot write to stdout"), "{said}");
}

#[test]
fn an_election_that_never_was_is_absent() {
    let cluster = Cluster::new(LONG);
    let (code, answer) = ask_json(cluster.dir());
    assert_eq!(
        (code, &answer["state"], &answer["led"]),
        (3, &json!("absent"), &json!(false))
    );
    ask(cluster.dir(), &[]).says(3, &["nobody: there is no such election in"]);
    let missing = cluster.dir().join("missing");
    ask(&missing, &[]).says(3, &["nobody: the directory", "missing does not exist"]);
    assert_eq!(ask_json(&missing).0, 3);
    assert!(!missing.exists());
}

#[test]
fn who_gave_the_lease_back_leads_no_longer() {
    let cluster = Cluster::new(LONG);
    cluster.leader("node-1").stop();
    let (code, answer) = ask_json(cluster.dir());
    assert_eq!(code, 3, "{answer}");
    assert_eq!(answer["state"], "vacant");
    assert_eq!(answer["reason"], "released");
    assert_eq!(answer["term"], 1);
    for unknown in ["leader", "life", "renewed_ago_ns"] {
        assert_eq!(answer[unknown], Value::Null, "{answer}");
    }
    ask(cluster.dir(), &[]).says(3, &["nobody: the lease was given back"]);
}

#[test]
fn a_lease_that_was_left_to_a_session_has_no_leader_yet() {
    let cluster = Cluster::new(LONG);
    cluster.leader("node-1").stop();
    let claim = fs::read_to_string(cluster.revisions().pop().unwrap()).unwrap();
    let session = "0123456789abcdef0123456789abcdef";
    let left = claim.replace(
        "\"successor\":null",
        &format!("\"successor\":\"{session}\""),
    );
    assert_ne!(left, claim);
    fs::write(cluster.next_revision(), left).unwrap();
    let (code, answer) = ask_json(cluster.dir());
    assert_eq!(code, 3, "{answer}");
    assert_eq!(answer["reason"], "handed_over");
    assert_eq!(answer["successor"], session);
    ask(cluster.dir(), &[]).says(3, &["nobody: the lease was handed over to", session]);
}

#[test]
fn a_killed_leader_is_known_to_be_gone() {
    let cluster = Cluster::new(LONG);
    cluster.leader("node-1").kill();
    let answer = until(cluster.dir(), 3, "holder_died");
    assert_eq!(answer["life"], "dead");
    assert_eq!(answer["state"], "held");
    assert_eq!(answer["led"], false);
    assert_eq!(answer["leader"], "node-1");
    ask(cluster.dir(), &[]).says(3, &["nobody: node-1 has died", "is gone"]);
}

#[test]
fn a_frozen_leader_lives_and_does_not_lead() {
    let cluster = Cluster::new(&["--lease-duration=1s"]);
    let leader = cluster.leader("node-1");
    leader.signal(Signal::STOP);
    // It was not frozen for long: there is no telling yet.
    assert_eq!(ask(cluster.dir(), &[]).code, 0);
    let answer = until(cluster.dir(), 3, "silent");
    assert_eq!(answer["life"], "silent");
    assert!(answer["renewed_ago_ns"].as_u64().unwrap() >= 1_000_000_000);
    let words = [
        "nobody: node-1 has been silent for longer than its lease",
        "is alive, but silent",
    ];
    ask(cluster.dir(), &[]).says(3, &words);
    leader.signal(Signal::CONT);
}

#[test]
fn a_leader_that_did_not_renew_when_it_should_have_is_said_to_be_late() {
    let cluster = Cluster::new(&["--lease-duration=5s"]);
    let leader = cluster.leader("node-1");
    let look = || ask(cluster.dir(), &[]);
    assert!(!look().out.contains("late"), "{:?}", look());
    leader.signal(Signal::STOP);
    let deadline = std::time::Instant::now() + PATIENCE;
    let late = loop {
        let answer = look();
        if answer.code != 0 || answer.out.contains("late") {
            break answer;
        }
        assert!(std::time::Instant::now() < deadline, "{answer:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    leader.signal(Signal::CONT);
    let words = ["ago by clocks on walls, which is late\n", "is alive\n"];
    late.says(0, &words);
    let ago = late.out.split("renewed ").nth(1).unwrap();
    assert!(ago.starts_with("3.") || ago.starts_with("4."), "{ago}");
}

#[test]
fn a_leader_on_another_machine_is_judged_by_its_renewals_alone() {
    let cluster = Cluster::new(&["--lease-duration=1s"]);
    cluster.leader("node-1").kill();
    let claim = fs::read_to_string(cluster.revisions().pop().unwrap()).unwrap();
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let elsewhere = claim.replace(boot_id.trim(), "00000000-0000-0000-0000-000000000000");
    assert_ne!(elsewhere, claim);
    fs::write(cluster.next_revision(), elsewhere).unwrap();
    let (code, answer) = ask_json(cluster.dir());
    assert_eq!((code, &answer["life"]), (0, &json!("unknown")), "{answer}");
    ask(cluster.dir(), &[]).says(0, &["leader   node-1\n", "cannot be seen from here"]);
    let answer = until(cluster.dir(), 3, "silent");
    assert_eq!(answer["life"], "unknown");
}

#[test]
fn what_cannot_be_read_is_no_answer_and_the_message_helps() {
    let cluster = Cluster::new(LONG);
    let leader = cluster.leader("node-1");
    fs::write(cluster.next_revision(), "rubbish").unwrap();
    let answer = ask(cluster.dir(), &["--json"]);
    let said = answer.object();
    assert_eq!(
        (&said["led"], &said["state"]),
        (&Value::Null, &json!("unreadable"))
    );
    assert_eq!(said["reason"], "unreadable");
    let lease = cluster.lease();
    answer.says(1, &[lease.to_str().unwrap(), "remove"]);
    ask(cluster.dir(), &[]).says(1, &["unknown", "remove"]);
    drop(leader);
    // Nothing at all is readable: the store says so itself.
    for revision in cluster.revisions() {
        fs::remove_file(&revision).unwrap();
    }
    fs::write(lease.join("00000000000000000001"), "rubbish").unwrap();
    let answer = ask(cluster.dir(), &["--json"]);
    let said = answer.object();
    assert_eq!(said["reason"], "store_error");
    assert_eq!(said["led"], Value::Null);
    assert!(answer.err.contains(said["message"].as_str().unwrap()));
    answer.says(1, &["remove the directory once no node runs"]);
}

#[test]
fn two_elections_in_one_directory_are_two() {
    let cluster = Cluster::new(LONG);
    let mut other = cluster.start_with("node-2", &["--lock-name=other"]);
    other.until("elected");
    let _leader = cluster.leader("node-1");
    assert_eq!(ask_json(cluster.dir()).1["leader"], "node-1");
    let theirs = ask(cluster.dir(), &["--json", "--lock-name=other"]).object();
    assert_eq!(theirs["leader"], "node-2");
    assert_eq!(theirs["lock_name"], "other");
    ask(cluster.dir(), &["--lock-name=third"]).says(3, &["no such election"]);
}

/// Every path, with its mode, size and times.
fn tree(dir: &Path) -> Vec<(PathBuf, u32, u64, i64, i64)> {
    let mut all = Vec::new();
    let meta = fs::symlink_metadata(dir).unwrap();
    let times = (meta.mtime_nsec(), meta.ctime_nsec());
    all.push((dir.to_owned(), meta.mode(), meta.size(), times.0, times.1));
    if meta.is_dir() {
        for entry in fs::read_dir(dir).unwrap() {
            all.extend(tree(&entry.unwrap().path()));
        }
    }
    all.sort();
    all
}

#[test]
fn a_look_changes_nothing() {
    let cluster = Cluster::new(LONG);
    let empty = tree(cluster.dir());
    ask(cluster.dir(), &[]);
    assert_eq!(tree(cluster.dir()), empty);
    // One that was killed, so that nobody else changes anything.
    cluster.leader("node-1").kill();
    until(cluster.dir(), 3, "holder_died");
    let before = tree(cluster.dir());
    ask(cluster.dir(), &[]);
    ask(cluster.dir(), &["--json", "--shared-dir"]);
    ask(cluster.dir(), &["--lock-name=other"]);
    assert_eq!(tree(cluster.dir()), before);
}

#[test]
fn who_may_only_read_can_look() {
    let uid = rustix::process::geteuid().is_root().then_some(12345);
    let cluster = Cluster::new(LONG);
    cluster.leader("node-1").kill();
    until(cluster.dir(), 3, "holder_died");
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        if uid.is_some() {
            std::os::unix::fs::chown(path, uid, uid).unwrap();
        }
    };
    let all: Vec<_> = tree(cluster.dir())
        .into_iter()
        .map(|entry| entry.0)
        .collect();
    for path in all.iter().rev() {
        chmod(path, if path.is_dir() { 0o500 } else { 0o400 });
    }
    let before = tree(cluster.dir());
    let answer = ask_as(uid, cluster.dir(), &["--json"]);
    answer.says(3, &["holder_died"]);
    assert_eq!(tree(cluster.dir()), before);
    for path in &all {
        chmod(path, 0o700);
    }
}

#[test]
fn another_users_election_is_refused_unless_it_is_shared() {
    if !rustix::process::geteuid().is_root() {
        common::skip("only root can be two users");
        return;
    }
    const THEIRS: u32 = 12345;
    const MINE: u32 = 23456;
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(THEIRS), Some(THEIRS)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let start = |flags: &[&str], group: u32| {
        let mut command = common::binary();
        command.args(["--node-id=theirs", "--log-format=json", "--lock-dir"]);
        command.arg(dir.path()).args(flags).uid(THEIRS).gid(group);
        let mut node = common::Node::spawn("theirs", command);
        node.until("elected");
        node
    };
    let _private = start(&["--lock-name=private"], THEIRS);
    let private = ["--lock-name=private", "--json"];
    let answer = ask_as(Some(MINE), dir.path(), &private);
    answer.says(1, &["private.lock", "--shared-dir"]);
    assert_eq!(answer.object()["led"], Value::Null);
    // Root may read it, but another could take it away.
    ask(dir.path(), &private).says(1, &["belongs to user 12345", "--shared-dir"]);
    // Of one group, and meant for several users.
    let _shared = start(&["--lock-name=shared", "--shared-dir"], MINE);
    let answer = ask_as(
        Some(MINE),
        dir.path(),
        &["--lock-name=shared", "--shared-dir", "--json"],
    );
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert_eq!(answer.object()["leader"], "theirs");
}

#[test]
fn inside_run_no_flag_is_needed() {
    let cluster = Cluster::new(&[]);
    let mut command = common::binary();
    let demo = command.get_program().to_owned();
    command
        .args(["run", "--node-id=node-1", "--lock-name=mine", "--lock-dir"])
        .arg(cluster.dir())
        .arg("--")
        .arg(demo)
        .args(["status", "--json"]);
    let output = Command::from_std(command)
        .timeout(PATIENCE)
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{answer}");
    assert_eq!(answer["leader"], "node-1");
    assert_eq!(answer["lock_name"], "mine");
}

#[test]
fn wrong_usage_is_2() {
    let dir = tempfile::tempdir().unwrap();
    ask(dir.path(), &["--term=7"]).says(2, &["--term"]);
    ask(dir.path(), &["--lock-name=a/b"]).says(2, &["--lock-name"]);
    ask(dir.path(), &["--store=file:/x"]).says(2, &["--store", "--lock-dir"]);
}
