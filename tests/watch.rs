//! `watch`, line by line: real nodes, real signals, real pipes.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::shell::{Screen, tmux_is_installed};
use common::{Cluster, Node, PATIENCE, binary, ns};
use leader_demo::store::{LeaseStore, Revision, Swap, Witness};
use leader_demo::{FileStore, Holder, LockName, NodeId, Record, State, Term};
use rustix::process::Signal;
use serde_json::Value;

const LONG: &[&str] = &["--lease-duration=10m", "--retry-period=200ms"];
const SHORT: &[&str] = &["--lease-duration=2s"];

fn command(dir: &Path, flags: &[&str]) -> Command {
    let mut command = binary();
    command.args(["watch", "--lock-dir"]).arg(dir).args(flags);
    command
}

/// One that tells in JSON, and has looked for the first time.
fn watch(dir: &Path, flags: &[&str]) -> Node {
    let mut watch = Node::spawn("watch", command(dir, &[&["--json"], flags].concat()));
    let first = watch.next_where(PATIENCE, |_| true);
    assert!(first.is_some(), "it said nothing");
    watch
}

/// What it has said, without the renewals.
fn story(watch: &Node) -> Vec<String> {
    let word = |line: &Value| line["event"].as_str().unwrap().to_owned();
    watch
        .all()
        .iter()
        .map(word)
        .filter(|event| event != "renewed")
        .collect()
}

#[test]
fn a_killed_leader_and_the_next_are_told_with_the_gap() {
    let cluster = Cluster::new(LONG);
    let mut first = cluster.leader("node-1");
    let mut watch = watch(cluster.dir(), &[]);
    let mut second = cluster.follower("node-2");
    first.kill();
    let died = watch.until("holder_died");
    assert_eq!(
        (&died["leader"], &died["term"]),
        (&"node-1".into(), &1.into())
    );
    let elected = watch.until("elected");
    let own = second.until("elected");
    for same in ["term", "session", "host", "lock_name"] {
        assert_eq!(elected[same], own[same], "{same}");
    }
    assert_eq!(elected["leader"], "node-2");
    assert_eq!(elected["pid"], second.pid());
    assert_eq!(elected["acquired"], "holder_died");
    assert_eq!(elected["lease_duration_ns"], 600_000_000_000_u64);
    // The lease was not waited for, and neither was told about it.
    let gap = Duration::from_nanos(elected["gap_ns"].as_u64().unwrap());
    assert!(gap < PATIENCE, "{gap:?}");
    assert!(ns(&died, "boottime_ns") <= ns(&elected, "boottime_ns"));
    watch.stop();
    assert_eq!(story(&watch), ["elected", "holder_died", "elected"]);
}

#[test]
fn a_line_has_every_field_that_is_promised() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    let mut watch = watch(cluster.dir(), &["--renewals"]);
    watch.until("renewed");
    leader.stop();
    watch.until("no_leader");
    let common = "boottime_ns event host leader lease_duration_ns level lock_name pid session term timestamp";
    for (event, more) in [
        ("elected", "acquired gap_ns"),
        ("renewed", "after_ns"),
        ("released", ""),
        ("no_leader", ""),
    ] {
        let line = &watch.events(event)[0];
        let mut expected: Vec<_> = common.split(' ').chain(more.split_whitespace()).collect();
        expected.sort_unstable();
        let mut has: Vec<_> = line.as_object().unwrap().keys().collect();
        has.sort_unstable();
        assert_eq!(has, expected, "{event}");
        let known = event != "no_leader";
        for field in [
            "leader",
            "term",
            "session",
            "pid",
            "host",
            "lease_duration_ns",
        ] {
            assert_eq!(!line[field].is_null(), known, "{field} in {line}");
        }
    }
    // Who led already was not seen to be elected.
    let first = &watch.all()[0];
    assert_eq!(
        (&first["acquired"], &first["gap_ns"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn a_leader_that_is_stopped_gives_the_lease_back() {
    let cluster = Cluster::new(LONG);
    let mut first = cluster.leader("node-1");
    let mut watch = watch(cluster.dir(), &[]);
    let _second = cluster.follower("node-2");
    first.stop();
    assert_eq!(watch.until("released")["leader"], "node-1");
    let elected = watch.until("elected");
    assert_eq!(elected["acquired"], "vacant");
    assert_eq!(elected["term"], 2);
    assert!(elected["gap_ns"].is_u64(), "{elected}");
}

#[test]
fn a_hand_over_names_the_session_it_was_left_to() {
    let cluster = Cluster::new(LONG);
    let _first = cluster.leader("node-1");
    let mut second = cluster.follower("node-2");
    let mut watch = watch(cluster.dir(), &[]);
    let mut asked = binary();
    asked.args(["hand-over", "--to=node-2", "--lock-dir"]);
    let output = asked.arg(cluster.dir()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let handed_over = watch.until("handed_over");
    assert_eq!(handed_over["leader"], "node-1");
    assert_eq!(handed_over["successor"], second.until("elected")["session"]);
    let elected = watch.until("elected");
    assert_eq!(elected["leader"], "node-2");
    assert_eq!(elected["acquired"], "handed_over");
    assert_eq!(story(&watch), ["elected", "handed_over", "elected"]);
}

#[test]
fn a_frozen_leader_expires_and_the_gap_counts_from_its_last_renewal() {
    let cluster = Cluster::new(SHORT);
    let mut first = cluster.leader("node-1");
    let mut watch = watch(cluster.dir(), &["--renewals"]);
    let mut second = cluster.follower("node-2");
    watch.until("renewed");
    first.signal(Signal::STOP);
    let expired = watch.until("expired");
    assert_eq!(expired["leader"], "node-1");
    let elected = watch.until("elected");
    assert_eq!(elected["acquired"], "expired");
    assert_eq!(second.until("elected")["acquired"], "expired");
    let renewed = watch.events("renewed");
    let last = renewed.iter().rfind(|line| line["term"] == 1).unwrap();
    let since = ns(&elected, "boottime_ns").since(ns(last, "boottime_ns"));
    assert_eq!(elected["gap_ns"], since.as_nanos() as u64);
    // A follower may have seen that renewal a moment before.
    assert!(since >= Duration::from_millis(1900), "{since:?}");
    first.signal(Signal::CONT);
    first.until("revoked");
    watch.stop();
    assert_eq!(story(&watch), ["elected", "expired", "elected"]);
}

#[test]
fn who_was_frozen_through_a_failover_makes_up_neither_its_cause_nor_its_gap() {
    let cluster = Cluster::new(SHORT);
    let mut first = cluster.leader("node-1");
    let mut watch = watch(cluster.dir(), &[]);
    let mut second = cluster.follower("node-2");
    watch.signal(Signal::STOP);
    first.kill();
    second.until("elected");
    // Longer than the lease that was not waited for.
    std::thread::sleep(Duration::from_millis(2500));
    watch.signal(Signal::CONT);
    let elected = watch.until("elected");
    assert_eq!(elected["leader"], "node-2");
    assert_eq!(elected["acquired"], Value::Null);
    assert_eq!(elected["gap_ns"], Value::Null);
    assert_eq!(story(&watch), ["elected", "elected"]);
}

#[test]
fn renewals_are_told_to_who_asks_for_them() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    let mut silent = watch(cluster.dir(), &[]);
    let mut watch = watch(cluster.dir(), &["--renewals"]);
    for _ in 0..5 {
        let renewed = watch.until("renewed");
        assert_eq!(renewed["leader"], "node-1");
        assert!(renewed["after_ns"].as_u64().unwrap() < PATIENCE.as_nanos() as u64);
    }
    leader.stop();
    silent.until("released");
    assert_eq!(silent.events("renewed"), [] as [Value; 0]);
}

#[test]
fn it_waits_for_an_election_that_is_not_there_yet_and_makes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("later");
    let mut watch = watch(&dir, &[]);
    assert_eq!(story(&watch), ["no_leader"]);
    assert!(!dir.exists());
    let cluster = Cluster::at(&dir, LONG);
    let mut leader = cluster.start("node-1");
    let elected = watch.until("elected");
    assert_eq!(elected["term"], 1);
    // As it says itself.
    assert_eq!(elected["acquired"], leader.until("elected")["acquired"]);
    assert_eq!(elected["gap_ns"], Value::Null);
}

#[test]
fn two_elections_in_one_directory_are_two() {
    let cluster = Cluster::new(LONG);
    let mut other = watch(cluster.dir(), &["--lock-name=other"]);
    let mut watch = watch(cluster.dir(), &[]);
    let _one = cluster.leader("node-1");
    let mut two = cluster.start_with("node-2", &["--lock-name=other"]);
    two.until("elected");
    assert_eq!(watch.until("elected")["leader"], "node-1");
    let elected = other.until("elected");
    assert_eq!(
        (&elected["leader"], &elected["lock_name"]),
        (&"node-2".into(), &"other".into())
    );
    assert_eq!(story(&watch), ["no_leader", "elected"]);
}

#[test]
fn a_directory_that_is_deleted_is_said_and_the_next_election_followed() {
    let cluster = Cluster::new(SHORT);
    let _leader = cluster.leader("node-1");
    let mut watch = watch(cluster.dir(), &[]);
    // Again if the leader was just making something in it.
    while cluster.lease().exists() {
        let _ = fs::remove_dir_all(cluster.lease());
    }
    let warning = watch.until("warning");
    assert!(
        warning["message"].as_str().unwrap().contains("vanished"),
        "{warning}"
    );
    assert_eq!(warning["level"], "warn");
    watch.until("no_leader");
    assert_eq!(watch.until("elected")["term"], 1_002);
}

#[test]
fn a_directory_that_was_moved_away_and_back_brings_nobody_back_to_life() {
    let cluster = Cluster::new(SHORT);
    let mut leader = cluster.leader("node-1");
    let mut watch = watch(cluster.dir(), &[]);
    leader.kill();
    watch.until("holder_died");
    let away = cluster.dir().join("away");
    fs::rename(cluster.lease(), &away).unwrap();
    watch.until("warning");
    fs::rename(&away, cluster.lease()).unwrap();
    // It looks ten times a second.
    std::thread::sleep(Duration::from_millis(500));
    let _next = cluster.leader("node-2");
    let elected = watch.until("elected");
    assert_eq!(
        (&elected["leader"], &elected["term"]),
        (&"node-2".into(), &2.into())
    );
    assert_eq!(elected["acquired"], "holder_died");
}

#[test]
fn garbage_is_said_and_survived() {
    let cluster = Cluster::new(SHORT);
    let _leader = cluster.leader("node-1");
    let mut watch = watch(cluster.dir(), &[]);
    // Not if the leader was faster: the number is taken then.
    while fs::File::create_new(cluster.next_revision()).is_err() {}
    let warning = watch.until("warning");
    assert!(
        warning["message"].as_str().unwrap().contains("unreadable"),
        "{warning}"
    );
    assert!(watch.until("elected")["term"].as_u64().unwrap() > 1);
}

#[test]
fn a_store_that_fails_is_said_once_and_that_it_answers_again() {
    let uid = rustix::process::geteuid().is_root().then_some(12345);
    let dir = tempfile::tempdir().unwrap();
    let chmod = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
    chmod(0o777 | 0o1000);
    let start = |id: &str, mut command: Command| {
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        Node::spawn(id, command)
    };
    let mut node = binary();
    node.args(["--node-id=node-1", "--log-format=json", "--lock-dir"]);
    node.arg(dir.path()).args(LONG);
    let mut node = start("node-1", node);
    node.until("elected");
    let mut watch = start("watch", command(dir.path(), &["--json"]));
    watch.until("elected");
    chmod(0);
    let error = watch.until("store_error");
    assert_eq!(error["level"], "error");
    assert!(
        error["message"].as_str().unwrap().contains("ermission"),
        "{error}"
    );
    // It is the leader as far as anybody knows.
    assert_eq!(error["leader"], "node-1");
    // It tries again every second.
    std::thread::sleep(Duration::from_millis(2500));
    chmod(0o1777);
    watch.until("store_recovered");
    node.stop();
    watch.until("released");
    assert_eq!(watch.events("store_error").len(), 1);
}

#[test]
fn it_is_stopped_by_a_signal_with_0() {
    let cluster = Cluster::new(LONG);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut watch = watch(cluster.dir(), &[]);
        watch.signal(signal);
        assert_eq!(watch.exit().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn it_ends_when_its_reader_has_gone_although_nothing_happens() {
    let cluster = Cluster::new(&["--lease-duration=10m"]);
    let _leader = cluster.leader("node-1");
    for flags in [&["--json"][..], &[]] {
        let mut watch = command(cluster.dir(), flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut head = BufReader::new(watch.stdout.take().unwrap());
        head.read_line(&mut line).unwrap();
        assert!(line.contains("node-1"), "{line}");
        drop(head);
        let stderr = watch.stderr.take().unwrap();
        assert_ends(watch);
        assert_eq!(std::io::read_to_string(stderr).unwrap(), "");
    }
}

/// With 0, before long.
fn assert_ends(mut child: std::process::Child) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0));
            return;
        }
        if std::time::Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let cluster = Cluster::new(LONG);
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut watch = command(cluster.dir(), &[]);
    let output = watch.stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot write to stdout"), "{error}");
}

/// A leader of the test's own, which renews as often as it is told to.
struct Renewer {
    store: FileStore,
    record: Record,
    at: Option<Revision>,
    /// It lives while this is kept.
    witness: Option<Witness>,
}

impl Renewer {
    fn new(dir: &Path) -> Self {
        let name = LockName::new("leader-election-demo").unwrap();
        let state = State::Held(Holder::here(NodeId::new("node-1").unwrap()).unwrap());
        let (term, lease_duration) = (Term::new(1).unwrap(), Duration::from_secs(600));
        Self {
            store: FileStore::open(dir, &name).unwrap(),
            record: Record {
                term,
                lease_duration,
                state,
            },
            at: None,
            witness: None,
        }
    }

    async fn renews(&mut self, times: u32) {
        for _ in 0..times {
            let swap = self.store.swap(self.at, self.record.clone());
            match swap.await.unwrap() {
                Swap::Swapped { revision, witness } => {
                    (self.at, self.witness) = (Some(revision), witness);
                }
                Swap::Conflict(current) => panic!("{current:?}"),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn lines_that_nobody_takes_are_left_out_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut leader = Renewer::new(dir.path());
    leader.renews(1).await;
    let mut watch = command(dir.path(), &["--json", "--renewals"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A pipe takes 64 KiB, about two hundred lines; a thousand may wait.
    leader.renews(3000).await;
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").unwrap();
        serde_json::from_str(&line).unwrap()
    };
    for _ in 0..500 {
        assert_ne!(next()["event"], "warning");
    }
    leader.renews(1).await;
    let mut taken = 500;
    let warning = loop {
        let line = next();
        if line["event"] == "warning" {
            break line;
        }
        taken += 1;
    };
    let message = warning["message"].as_str().unwrap();
    assert!(message.contains("left out"), "{message}");
    let left_out: u32 = message.split(' ').next().unwrap().parse().unwrap();
    assert!(taken < 1500 && left_out > 1000, "{taken} and {left_out}");
    // What was told after it is not lost.
    assert_eq!(next()["event"], "renewed");
    rustix::process::kill_process(rustix::process::Pid::from_child(&watch), Signal::TERM).unwrap();
    assert_ends(watch);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_keeps_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut leader = Renewer::new(dir.path());
    let watch = command(dir.path(), &["--json", "--renewals"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    leader.renews(500).await;
    rustix::process::kill_process(rustix::process::Pid::from_child(&watch), Signal::TERM).unwrap();
    // It has its pipe still, and never read it.
    assert_ends(watch);
}

#[test]
fn lines_for_people_have_the_time_and_say_it_in_words() {
    let cluster = Cluster::new(LONG);
    let mut first = cluster.leader("node-1");
    let mut watch = command(cluster.dir(), &[])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || {
        let line = lines.next().expect("a line").unwrap();
        let (time, text) = line.split_at("2026/11/20 14:30:25 ".len());
        let shape: String = time
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(shape, "0000/00/00 00:00:00 ", "{line}");
        text.to_owned()
    };
    let pid = first.pid();
    assert!(next().starts_with(&format!("👑 node-1 leads (term 1, pid {pid} on ")));
    let mut second = cluster.follower("node-2");
    first.kill();
    assert_eq!(next(), "node-1 has died (term 1)");
    let elected = next();
    assert!(elected.starts_with("👑 node-2 leads, "), "{elected}");
    assert!(
        elected.contains(" after node-1 died (term 2, pid "),
        "{elected}"
    );
    second.stop();
    assert_eq!(next(), "node-2 gave the lease back (term 2)");
    assert_eq!(next(), "Nobody leads");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn a_dumb_terminal_is_shown_lines() {
    if !tmux_is_installed() {
        return;
    }
    let cluster = Cluster::new(LONG);
    let _leader = cluster.leader("node-1");
    let screen = Screen::new(cluster.dir(), 120, 20);
    let demo = assert_cmd::cargo::cargo_bin!("leader-demo");
    let dir = cluster.dir().display();
    screen.type_line(&format!(
        "TERM=dumb {} watch --lock-dir {dir}",
        demo.display()
    ));
    screen.until_it_shows(&["node-1 leads (term 1"]);
    screen.press("C-c");
    screen.type_line("echo ended with $?");
    screen.until_it_shows(&["ended with 0"]);
}
