//! What can happen to a lock directory under running nodes.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use common::mounts::{Disk, Mounted};
use common::shell::eventually;
use common::unwritable::Unwritable;
use common::{Cluster, Node, assert_one_leader_at_a_time, ns};
use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;

const LEASE: Duration = Duration::from_secs(2);
const SHORT: &[&str] = &["--lease-duration=2s", "--heartbeat-period=50ms"];
const LONG: &[&str] = &[
    "--lease-duration=10m",
    "--retry-period=200ms",
    "--heartbeat-period=50ms",
];

/// By so many terms more than usual does an election go on.
const AFTER_VANISHED: u64 = 1_000;

#[test]
fn a_leader_whose_directory_is_deleted_steps_down_and_the_next_waits_out_the_lease() {
    let cluster = Cluster::new(SHORT);
    let mut leader = cluster.leader("node-1");
    let mut follower = cluster.follower("node-2");
    let removed = leader_demo::clock::now();
    fs::remove_dir_all(cluster.lease()).unwrap();

    assert_eq!(leader.until("revoked")["reason"], "lost");
    let warned = follower.until("warning");
    assert!(
        warned["message"].as_str().unwrap().contains("vanished"),
        "{warned}"
    );
    let elected = either_elected(&mut leader, &mut follower);
    assert!(ns(&elected, "boottime_ns").since(removed) >= LEASE);
    assert_eq!(
        elected["term"],
        AFTER_VANISHED + 2,
        "terms go on above any that was used unseen"
    );
    assert_one_leader_at_a_time(&[&leader, &follower]);
}

#[test]
fn a_directory_that_was_moved_away_is_one_that_is_gone() {
    let cluster = Cluster::new(SHORT);
    let mut leader = cluster.leader("node-1");
    fs::rename(cluster.lease(), cluster.dir().join("elsewhere")).unwrap();
    assert_eq!(leader.until("revoked")["reason"], "lost");
    // A renewal did not bring it back, and the one that comes is a new one.
    assert_eq!(leader.until("elected")["term"], AFTER_VANISHED + 2);
    assert!(cluster.lease().is_dir());
}

fn either_elected(a: &mut Node, b: &mut Node) -> serde_json::Value {
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while std::time::Instant::now() < deadline {
        for node in [&mut *a, &mut *b] {
            let patience = Duration::from_millis(50);
            if let Some(line) = node.next_where(patience, |l| l["event"] == "elected") {
                return line;
            }
        }
    }
    panic!("nobody was elected: {:#?} {:#?}", a.all(), b.all());
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_shared_directory_whose_maker_died_before_it_was_shared_is_shared_now() {
    let cluster = Cluster::new(&["--shared-dir"]);
    fs::create_dir(cluster.lease()).unwrap();
    fs::set_permissions(cluster.lease(), fs::Permissions::from_mode(0o700)).unwrap();
    let _node = cluster.leader("node-1");
    assert_eq!(mode(&cluster.lease()), 0o2770);
    assert_eq!(mode(&cluster.lease().join("claims")), 0o2770);
}

/// A leader whose shell had this umask.
fn leader_under(umask: &str, dir: &Path, flags: &[&str]) -> Node {
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", r#"umask "$0"; exec "$@""#, umask])
        .arg(common::binary().get_program())
        .args(["--node-id=n", "--log-format=json", "--lock-dir"])
        .arg(dir)
        .args(flags);
    let mut node = Node::spawn("n", command);
    node.until("elected");
    node
}

#[test]
fn no_umask_makes_the_lock_directory_everybodys() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b");
    let _node = leader_under("000", &dir, &[]);
    assert_eq!(mode(&dir) & 0o022, 0);
    let cluster = Cluster::at(&dir, &[]);
    assert_eq!(mode(&cluster.lease()), 0o700);
    assert_eq!(mode(&cluster.revisions()[0]), 0o600);
}

#[test]
fn no_umask_keeps_from_a_group_what_is_shared_with_it() {
    let root = tempfile::tempdir().unwrap();
    let _node = leader_under("077", root.path(), &["--shared-dir"]);
    let cluster = Cluster::at(root.path(), &[]);
    assert_eq!(mode(&cluster.lease()), 0o2770);
    assert_eq!(mode(&cluster.lease().join("claims")), 0o2770);
    assert_eq!(mode(&cluster.revisions()[0]), 0o640);
}

/// What a stranger, a torn disk or a bug might leave where the record should be.
type Stranger = (&'static str, fn(&Path));

fn strangers() -> Vec<Stranger> {
    vec![
        ("garbage", |p| fs::write(p, b"\x00\xffgarbage").unwrap()),
        ("empty", |p| fs::write(p, "").unwrap()),
        ("huge", |p| {
            fs::File::create(p).unwrap().set_len(1 << 40).unwrap()
        }),
        ("torn", |p| {
            fs::write(p, r#"{"version":1,"term":7,"lease_dur"#).unwrap();
        }),
        ("a directory", |p| fs::create_dir(p).unwrap()),
        ("a symbolic link", |p| symlink("/etc/passwd", p).unwrap()),
        ("a dangling link", |p| symlink("/nowhere", p).unwrap()),
        ("a FIFO", |p| {
            rustix::fs::mknodat(CWD, p, FileType::Fifo, Mode::RWXU, 0).unwrap();
        }),
        ("deeply nested JSON", |p| {
            let deep = 126;
            let text = format!(
                r#"{{"version":1,"held":{}1{}}}"#,
                r#"{"x":"#.repeat(deep),
                "}".repeat(deep)
            );
            fs::write(p, text).unwrap();
        }),
        ("deeper nested JSON", |p| {
            fs::write(p, "[".repeat(4000)).unwrap()
        }),
        ("an absurd term", |p| {
            let text = r#"{"version":1,"term":18446744073709551615,"lease_duration_ns":1000000000,"vacant":{"successor":null},"device":1,"inode":1}"#;
            fs::write(p, text).unwrap();
        }),
        ("an absurd lease", |p| {
            let text = r#"{"version":1,"term":3,"lease_duration_ns":18446744073709551615,"vacant":{"successor":null},"device":1,"inode":1}"#;
            fs::write(p, text).unwrap();
        }),
    ]
}

#[test]
fn whatever_a_stranger_leaves_as_the_record_costs_a_lease_and_no_more() {
    for (what, put) in strangers() {
        let cluster = Cluster::new(&["--lease-duration=1s", "--heartbeat-period=50ms"]);
        let mut leader = cluster.leader("node-1");
        let mut follower = cluster.follower("node-2");
        // A renewal may be quicker than this hand: then try the next number.
        let put_at = loop {
            let next = cluster.next_revision();
            if !next.exists() {
                put(&next);
                break leader_demo::clock::now();
            }
        };
        let revoked = leader.next_where(common::PATIENCE, |l| l["event"] == "revoked");
        let revoked = revoked.unwrap_or_else(|| panic!("{what}: {:#?}", leader.all()));
        // On a machine that stalls, its deadline may come before its renewal.
        let reason = revoked["reason"].as_str().unwrap();
        assert!(
            ["lost", "renew_deadline"].contains(&reason),
            "{what}: {reason}"
        );
        let elected = either_elected(&mut leader, &mut follower);
        let waited = ns(&elected, "boottime_ns").since(put_at);
        assert!(waited >= Duration::from_secs(1), "{what}: {waited:?}");
        assert!(
            elected["term"].as_u64().unwrap() > 2,
            "{what} may have hidden term 2: {elected}"
        );
        assert_one_leader_at_a_time(&[&leader, &follower]);
        // And it has healed: the next takeover is ordinary.
        let (mut first, mut second) = (leader, follower);
        if elected["node_id"] == "node-2" {
            std::mem::swap(&mut first, &mut second);
        }
        first.stop();
        assert_eq!(second.until("elected")["acquired"], "vacant", "{what}");
    }
}

#[test]
fn a_strangers_file_with_another_name_disturbs_nobody() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    for name in [
        "README",
        "42",
        "99999999999999999999",
        ".hidden",
        "0000000000000000000x",
    ] {
        fs::write(cluster.lease().join(name), "x").unwrap();
    }
    let mut follower = cluster.follower("node-2");
    leader.kill();
    assert_eq!(follower.until("elected")["term"], 2);
}

#[test]
fn a_number_that_no_writer_could_have_reached_is_named_and_can_be_removed() {
    let cluster = Cluster::new(SHORT);
    let mut leader = cluster.leader("node-1");
    let absurd = cluster.lease().join(u64::MAX.to_string());
    fs::write(&absurd, "junk").unwrap();
    let error = leader.until("store_error");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(absurd.to_str().unwrap()), "{message}");
    assert!(message.contains("remove it"), "{message}");
    assert_eq!(leader.until("revoked")["reason"], "renew_deadline");
    fs::remove_file(&absurd).unwrap();
    assert_eq!(leader.until("elected")["term"], 2);
}

#[test]
fn a_record_of_a_newer_version_is_not_judged() {
    let cluster = Cluster::new(SHORT);
    let mut leader = cluster.leader("node-1");
    let newer = loop {
        let next = cluster.next_revision();
        if !next.exists() {
            fs::write(&next, r#"{"version":2,"anything":"else"}"#).unwrap();
            break next;
        }
    };
    let error = leader.until("store_error");
    assert!(
        error["message"].as_str().unwrap().contains("newer version"),
        "{error}"
    );
    assert_eq!(leader.until("revoked")["reason"], "renew_deadline");
    let mut second = cluster.start("node-2");
    second.until("store_error");
    std::thread::sleep(LEASE * 2);
    assert!(leader.events("elected").len() == 1 && second.events("elected").is_empty());
    fs::remove_file(newer).unwrap();
    leader.until("store_recovered");
    second.until("store_recovered");
    assert_one_leader_at_a_time(&[&leader, &second]);
}

#[test]
fn nothing_readable_at_all_is_refused_with_the_directory_to_look_at() {
    let cluster = Cluster::new(SHORT);
    fs::create_dir(cluster.lease()).unwrap();
    fs::set_permissions(cluster.lease(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(cluster.lease().join(format!("{:020}", 7)), "garbage").unwrap();
    let mut node = cluster.start("node-1");
    let error = node.until("store_error");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(cluster.lease().to_str().unwrap()),
        "{message}"
    );
    assert!(message.contains("remove the directory"), "{message}");
    std::thread::sleep(LEASE * 2);
    assert!(node.events("elected").is_empty());
    // Said once, not at every try.
    assert_eq!(node.events("store_error").len(), 1);
}

#[test]
fn a_store_that_fails_ends_a_leadership_in_time_and_recovers() {
    let cluster = Cluster::new(SHORT);
    let mut leader = cluster.leader("node-1");
    // Another tool's file takes the place of the directory.
    let aside = cluster.dir().join("aside");
    fs::rename(cluster.lease(), &aside).unwrap();
    fs::write(cluster.lease(), "pid 1234").unwrap();
    let error = leader.until("store_error");
    assert!(
        error["message"].as_str().unwrap().contains("another tool"),
        "{error}"
    );
    let revoked = leader.until("revoked");
    assert_eq!(revoked["reason"], "renew_deadline");
    fs::remove_file(cluster.lease()).unwrap();
    fs::rename(&aside, cluster.lease()).unwrap();
    leader.until("store_recovered");
    assert_eq!(leader.until("elected")["term"], 2);
    assert_eq!(leader.events("store_error").len(), 1);
}

#[test]
fn a_disk_that_stalls_ends_a_leadership_in_time_and_holds_up_nothing_but_its_own_calls() {
    let Some(disk) = Disk::mount() else { return };
    let cluster = Cluster::at(&disk.path().join("locks"), SHORT);
    let mut leader = cluster.leader("node-1");
    let stalled = disk.stall();
    let revoked = leader.until("revoked");
    assert_eq!(revoked["reason"], "renew_deadline");
    let ended = ns(&revoked, "ended_ns");
    let late = ns(&revoked, "boottime_ns").since(ended);
    assert!(late < LEASE, "said {late:?} late");
    let beat = leader.next_where(common::PATIENCE, |line| line["event"] == "heartbeat");
    assert_eq!(beat.unwrap()["role"], "follower");
    leader.signal(Signal::TERM);
    leader.until("stopped");
    drop(stalled);
    assert_eq!(leader.exit().code(), Some(0));
}

#[test]
fn old_revisions_are_removed_and_the_newest_kept() {
    let cluster = Cluster::new(&["--lease-duration=10s", "--retry-period=2ms"]);
    let _leader = cluster.leader("node-1");
    let deadline = std::time::Instant::now() + common::PATIENCE;
    loop {
        let revisions = cluster.revisions();
        let last = revisions
            .last()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        if last.parse::<u64>().unwrap() > 100 {
            // Seventeen, and what a renewal is adding at this moment.
            assert!((17..=18).contains(&revisions.len()), "{revisions:?}");
            return;
        }
        assert!(std::time::Instant::now() < deadline);
    }
}

#[test]
fn a_full_disk_is_no_other_leader_to_give_up_for() {
    let Some(disk) = Mounted::tmpfs("size=256k,nr_inodes=100,mode=0700") else {
        return;
    };
    let run = |flags: &[&str]| {
        let mut run = common::binary();
        run.args(["run", "--lease-duration=1s", "--lock-dir"]);
        run.arg(disk.path()).args(flags).args(["--", "true"]);
        run.output().unwrap()
    };
    assert_eq!(run(&[]).status.code(), Some(0));
    disk.fill();
    // With --skip-ok, cron would never learn that the job does not run.
    for flags in [&["--try", "--skip-ok"], &["--wait=500ms", "--skip-ok"]] {
        let output = run(flags);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{flags:?}: {said}");
        assert!(said.contains("No space left"), "{flags:?}: {said}");
    }
}

#[test]
fn a_leader_on_a_full_disk_leads_on_and_a_candidate_says_why_it_cannot() {
    let Some(disk) = Mounted::tmpfs("size=256k,nr_inodes=100,mode=0700") else {
        return;
    };
    // Long for a machine with much to do: nothing here waits for its end.
    let cluster = Cluster::at(
        disk.path(),
        &["--lease-duration=15s", "--retry-period=50ms"],
    );
    let mut leader = cluster.leader("node-1");
    eventually("seventeen revisions", || cluster.revisions().len() >= 17);
    disk.fill();
    let full = cluster.revisions().pop();
    let mut follower = cluster.follower("node-2");
    // None of those that were there when it was filled is left.
    eventually("all of them renewed away", || {
        !cluster
            .revisions()
            .iter()
            .any(|at| Some(at) <= full.as_ref())
    });
    assert!(leader.events("revoked").is_empty());
    assert!(follower.events("elected").is_empty());

    leader.kill();
    let error = follower.until("store_error");
    assert!(
        error["message"].as_str().unwrap().contains("No space left"),
        "{error}"
    );
    assert!(follower.events("elected").is_empty());
    disk.make_room();
    follower.until("store_recovered");
    follower.until("elected");
    assert_one_leader_at_a_time(&[&leader, &follower]);
}

#[test]
fn a_leader_whose_directory_turns_unwritable_steps_down_at_its_deadline() {
    let cluster = Cluster::new(SHORT);
    let mut leader = cluster.leader("node-1");
    let Some(writable) = Unwritable::or_skip(&cluster.lease()) else {
        return;
    };
    let error = leader.until("store_error");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("leader-election-demo.lock"),
        "{error}"
    );
    assert_eq!(leader.until("revoked")["reason"], "renew_deadline");
    drop(writable);
    leader.until("store_recovered");
    assert_eq!(leader.until("elected")["term"], 2);
}

#[test]
fn a_leader_with_no_descriptor_left_leads_on() {
    let cluster = Cluster::new(SHORT);
    let mut leader = cluster.leader("node-1");
    let pid = rustix::process::Pid::from_raw(leader.pid() as i32).unwrap();
    let open = fs::read_dir(format!("/proc/{}/fd", leader.pid()))
        .unwrap()
        .count() as u64;
    let full = rustix::process::Rlimit {
        current: Some(open.min(3)),
        maximum: Some(open.min(3)),
    };
    rustix::process::prlimit(Some(pid), rustix::process::Resource::Nofile, full).unwrap();
    let lost = leader.next_where(LEASE * 2, |l| l["event"] == "revoked");
    assert_eq!(lost, None);
    assert_eq!(leader.until("heartbeat")["role"], "leader");
}

#[test]
fn a_blocked_stdout_delays_lines_and_no_renewal() {
    let cluster = Cluster::new(SHORT);
    // A thousand lines a second fill the pipe that nobody reads.
    let mut command = common::binary();
    command
        .args([
            "--node-id=node-1",
            "--lease-duration=2s",
            "--heartbeat-period=1ms",
            "--lock-dir",
        ])
        .arg(cluster.dir())
        .stdout(std::process::Stdio::piped());
    let mut leader = command.spawn().unwrap();
    while cluster.revisions().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut follower = cluster.follower("node-2");
    let taken = follower.next_where(LEASE * 3, |l| l["event"] == "elected");
    assert_eq!(taken, None, "its lease was renewed all the while");
    // It stops in time, too, with nobody reading.
    let pid = rustix::process::Pid::from_child(&leader);
    let asked = std::time::Instant::now();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(leader.wait().unwrap().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert_eq!(follower.until("elected")["acquired"], "vacant");
}
