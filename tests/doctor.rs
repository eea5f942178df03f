//! `doctor`: what is fit is called fit, what is not is named, with a way out;
//! and nothing is left behind.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::doctor::{Report, ask, chmod, doctor, files_in, is_root, judged, private};
use common::mounts::{Fat, Mounted};
use common::{Cluster, binary, run_as};

const NOBODY: u32 = 65534;

fn as_nobody(dir: &Path) -> Report {
    ask(dir, run_as(&mut doctor(dir), NOBODY, NOBODY))
}

#[test]
fn a_directory_in_memory_is_fit_but_does_not_survive() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let report = judged(dir.path(), &["--nodes=5"]).fit();
    assert_eq!(report.directory("filesystem"), "tmpfs");
    assert_eq!(report.directory("flock"), "honest");
    assert_eq!(report.directory("lock_counts"), true);
    assert_eq!(report.directory("survives_restart"), "no");
    report.says("warning", "does not survive a restart");
    assert!(report.at_most("leader_killed") < Duration::from_secs(5));
    assert!(report.at_most("leader_frozen") > Duration::from_secs(12));
    assert!(report.at_most("store_back") > Duration::from_secs(14));
    let measured = &report.json["measured"];
    for call in ["read", "renewal", "acquisition", "release"] {
        let [p50, p99, max] =
            ["p50_ns", "p99_ns", "max_ns"].map(|p| measured[call][p].as_u64().unwrap());
        assert!(0 < p50 && p50 <= p99 && p99 <= max, "{call}: {measured}");
        assert!(measured[call]["count"].as_u64().unwrap() > 0);
    }
    assert!(measured["wake_up_ns"].as_u64().unwrap() > 0);
    // Five nodes, one of which leads; each looks for requests every half second.
    let cost = |what| report.json["cost"][what].as_f64().unwrap();
    assert!((cost("looks") / cost("renewals") - 4.0).abs() < 1e-6);
    assert!((cost("looks_for_requests") - 10.0).abs() < 1e-6);
}

#[test]
fn a_report_is_readable_and_names_every_kind_of_failure() {
    let dir = private();
    let output = binary()
        .args(["doctor", "--lock-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "Durations",
        "L 10s, renew deadline R 6s, retry period P 2s",
        "1.67 times",
        "The lock directory",
        "hard links work",
        "flock",
        "free",
        "This machine",
        "boot id",
        "timers",
        "How long nobody leads",
        "killed",
        "`run` is killed",
        "machine dies",
        "frozen",
        "hands over",
        "store fails",
        "The shortest safe lease",
        "R - P >= 4 x",
        "\nFit",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(
        !text.contains('\x1b'),
        "colours are for terminals: {text:?}"
    );
}

#[test]
fn what_is_missing_is_not_made() {
    let root = private();
    let report = judged(&root.path().join("a/b"), &[]).fit();
    assert_eq!(report.directory("exists"), false);
    report.says("ok", "will be made");
    assert_eq!(files_in(root.path()), Vec::<PathBuf>::new());
}

#[test]
fn what_a_node_would_refuse_is_refused() {
    let root = private();
    let at = |name: &str| {
        let path = root.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let everybody = at("everybody");
    chmod(&everybody, 0o777);
    judged(&everybody, &[]).refused("without the sticky bit");
    judged(&everybody, &["--shared-dir"]).refused("chmod +t");
    // And whoever may move the directory may as well remove it.
    let below = everybody.join("below");
    fs::create_dir(&below).unwrap();
    judged(&below, &[]).refused("move it away");
    chmod(&everybody, 0o1777);
    judged(&below, &[]).fit();
    judged(&everybody, &[])
        .fit()
        .says("note", "remove only their own");

    let tool = at("tool");
    fs::write(tool.join("leader-election-demo.lock"), "pid 1").unwrap();
    judged(&tool, &[]).refused("is in the way");
    let linked = at("linked");
    symlink("/tmp", linked.join("leader-election-demo.lock")).unwrap();
    judged(&linked, &[]).refused("symbolic link");
    let open = at("open");
    fs::create_dir(open.join("leader-election-demo.lock")).unwrap();
    chmod(&open.join("leader-election-demo.lock"), 0o777);
    judged(&open, &[]).refused("chmod go-w");

    fs::write(root.path().join("file"), "").unwrap();
    judged(&root.path().join("file"), &[]).refused("not a directory");
    symlink("/nowhere", root.path().join("dangling")).unwrap();
    judged(&root.path().join("dangling"), &[]).refused("cannot be made there");
    judged(Path::new("/proc/nowhere"), &[]).refused("cannot be made");

    let group = at("group");
    chmod(&group, 0o775);
    judged(&group, &[]).fit().says("warning", "--shared-dir");
    judged(&group, &["--shared-dir"]).fit();
}

#[test]
fn what_belongs_to_another_user_is_named() {
    if !is_root() {
        return;
    }
    let root = private();
    as_nobody(root.path()).refused("you (nobody) may not write to it: it is root's, mode 755");
    as_nobody(&root.path().join("missing")).refused("cannot be made");

    let theirs = root.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(NOBODY), None).unwrap();
    judged(&theirs, &[]).refused("belongs to nobody");
    as_nobody(&theirs).fit();

    // Made by root, for nobody: a node of that user can use it.
    let lease = root.path().join("leader-election-demo.lock");
    fs::create_dir_all(lease.join("claims")).unwrap();
    for dir in [&lease, &lease.join("claims")] {
        chmod(dir, 0o700);
        chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    as_nobody(root.path()).fit();
    assert_eq!(files_in(&lease), [lease.join("claims")]);
    let report = judged(root.path(), &[]).refused("belongs to user 65534");
    report.says("refused", "run this as that user");
}

#[test]
fn what_cannot_be_seen_is_not_called_fine() {
    if !is_root() {
        return;
    }
    let cluster = Cluster::new(&[]);
    chmod(cluster.dir(), 0o700);
    let _leader = cluster.leader("node-1");
    let report = as_nobody(cluster.dir()).refused("it is root's, mode 700");
    report.says(
        "refused",
        "cannot be seen whether there is such an election",
    );
    let claims =
        |says: &str| says.contains("may write to it (") || says.contains("no such election");
    for finding in report.findings().filter(|finding| finding["mark"] == "ok") {
        assert!(!claims(finding["says"].as_str().unwrap()), "{finding}");
    }

    let inside = cluster.dir().join("inside");
    let report = as_nobody(&inside).refused("cannot be seen whether");
    assert!(report.directory("exists").is_null());

    // What an unknown filesystem keeps is not known.
    let report = judged(Path::new("/proc/1"), &[]).refused("it is yours, mode 555");
    report.says("warning", "may not survive a restart");
}

#[test]
fn a_filesystem_without_hard_links_is_refused() {
    let Some(fat) = Fat::mount() else { return };
    let report = judged(fat.path(), &[]).refused("no hard links");
    assert_eq!(report.directory("hard_links"), false);
    assert_eq!(report.directory("local"), false);
    assert!(report.json["measured"].is_null());
}

#[test]
fn on_overlayfs_a_crash_costs_the_lease() {
    let Some(overlay) = Mounted::overlay() else {
        return;
    };
    let report = judged(overlay.path(), &[]).fit();
    assert_eq!(report.directory("filesystem"), "overlayfs");
    assert_eq!(report.directory("lock_counts"), false);
    report.says("warning", "a crash costs the lease");
    report.says("warning", "may not survive");
    assert!(report.at_most("leader_killed") > Duration::from_secs(12));
    assert!(report.at_most("leader_stopped") > Duration::from_secs(2));
}

#[test]
fn where_nobody_can_be_elected_is_refused() {
    let Some(full) = Mounted::tmpfs("size=64k,nr_inodes=20,mode=0700") else {
        return;
    };
    for n in 0.. {
        if fs::write(full.path().join(n.to_string()), "").is_err() {
            break;
        }
    }
    let report = judged(full.path(), &[]).refused("No space left");
    report.says("warning", "0 inodes");
    let Some(ro) = Mounted::tmpfs("mode=0700") else {
        return;
    };
    ro.read_only();
    judged(ro.path(), &[]).refused("read-only");
}

#[test]
fn a_running_election_is_named_and_not_disturbed() {
    let cluster = Cluster::new(&["--lease-duration=5s"]);
    chmod(cluster.dir(), 0o755);
    let report = judged(cluster.dir(), &["--lock-name=other"]).fit();
    assert!(report.directory("lease").is_null());
    let mut leader = cluster.leader("node-1");
    let report = judged(cluster.dir(), &[]).fit();
    let held = report.directory("lease");
    assert_eq!(held["term"], 1);
    assert_eq!(held["leader"]["node_id"], "node-1");
    assert_eq!(held["leader"]["pid"], leader.pid());
    if report.directory("lock_counts") == true {
        assert_eq!(held["leader"]["alive"], true);
    }
    report.says("note", "promised 5s, not 10s");
    // Another's is named too, and harms nothing; what is no election's is not.
    fs::create_dir(cluster.dir().join("\x1b[2J.lock")).unwrap();
    let report = judged(cluster.dir(), &["--lock-name=other"]).fit();
    assert_eq!(
        *report.directory("other_elections"),
        serde_json::json!(["leader-election-demo"])
    );
    assert!(leader.events("revoked").is_empty());
    leader.stop();
    assert!(leader.events("warning").is_empty(), "{:#?}", leader.all());
    judged(cluster.dir(), &[])
        .fit()
        .says("ok", "nobody leads; the last term was 1");
}

#[test]
fn what_cannot_be_configured_is_usage() {
    let dir = private();
    for (flags, says) in [
        (&["--nodes=0"][..], "--nodes"),
        (&["--stop-grace=9s"], "--stop-grace 9s"),
        (&["--lease-duration=1ms"], "--lease-duration"),
        (&["--lock-name=a/b"], "--lock-name"),
    ] {
        let output = doctor(dir.path()).args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(says), "{flags:?}: {stderr}");
    }
    // Fit for the demo, but not for `run`.
    let report = judged(dir.path(), &["--renew-deadline=9s"]).fit();
    report.says("warning", "--stop-grace 0s");
    assert!(report.json["timing"]["stop_grace_ns"].is_null());
}
