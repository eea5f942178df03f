//! The file store's system calls, in the order that its safety rests on and that
//! its model (`src/store/file/model.rs`) mirrors: strace(1) looks on.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::path::Path;
use std::process::Command;

use common::shell::{eventually, eventually_some, is_installed};
use common::{Cluster, Node, binary, skip};
use rustix::process::Signal;

/// However slow it is made, no call is given up.
const LONG: &[&str] = &["--lease-duration=10m", "--retry-period=100ms"];

const TRACED: &str = "trace=openat,flock,write,fdatasync,fsync,linkat,getdents64,newfstatat,statx";

#[test]
fn a_claim_is_locked_and_synced_before_it_is_linked_and_each_link_is_looked_at_again() {
    if !is_installed("strace") {
        return;
    }
    let Some(calls) = calls_of_a_leader() else {
        return skip("strace may not trace here");
    };
    let told = calls.join("\n");

    let made = calls.iter().position(|call| call == "make").unwrap();
    let acquisition = [
        "make",
        "lock",
        "write",
        "sync",
        "link 1",
        "list",
        "look at 1",
        "look at the path",
        "sync the directory",
    ];
    assert_eq!(calls[made..][..acquisition.len()], acquisition, "{told}");

    let linked = |number: usize| {
        let link = format!("link {number}");
        calls.iter().position(|call| *call == link)
    };
    let last = (1..).take_while(|n| linked(*n).is_some()).last().unwrap();
    assert!(last > 3, "it renewed: {told}");
    for number in 2..=last {
        let at = linked(number).unwrap();
        let before = format!("look at {}", number - 1);
        let again = [
            "list",
            &format!("look at {number}"),
            &before,
            "look at the path",
        ];
        assert_eq!(calls[at + 1..][..again.len()], again, "{told}");
        let first_look = match number == last {
            // The leader has been told to stop, and makes a vacant record.
            true => vec!["list", &before, "make", "write"],
            false => vec!["list", &before],
        };
        assert_eq!(calls[at - first_look.len()..at], first_look, "{told}");
    }
    let synced = calls.iter().filter(|call| call.starts_with("sync"));
    assert_eq!(synced.count(), 2, "no renewal waits for the disk: {told}");
}

/// What the store's thread of a node did, from its start to its end; none where
/// nobody may trace.
fn calls_of_a_leader() -> Option<Vec<String>> {
    let may_trace = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status();
    if !may_trace.unwrap().success() {
        return None;
    }
    let cluster = Cluster::new(&[]);
    let traces = tempfile::tempdir().unwrap();
    let node = binary();
    let mut strace = Command::new("strace");
    for (name, value) in node.get_envs() {
        assert!(value.is_none());
        strace.env_remove(name);
    }
    // A file for each thread, so that no line is torn; the node is our child.
    strace.args(["-D", "-ff", "-s", "60", "-e", TRACED, "-o"]);
    strace
        .arg(traces.path().join("thread"))
        .arg(node.get_program());
    strace.args(["--node-id=traced", "--log-format=json"]);
    strace.args(LONG);
    strace.arg("--lock-dir").arg(cluster.dir());
    let mut node = Node::spawn("traced", strace);
    node.until("elected");
    eventually("it renews", || cluster.revisions().len() > 3);
    node.signal(Signal::TERM);
    node.exit();
    let thread = eventually_some("what its thread did", || store_thread(traces.path()));
    Some(thread.lines().filter_map(call).collect())
}

/// What was said of the thread that links, once that has ended.
fn store_thread(traces: &Path) -> Option<String> {
    let files = std::fs::read_dir(traces).unwrap();
    let mut told = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    told.find(|told| told.contains(" \"00000000000000000001\"") && told.contains("+++ exited"))
}

/// A system call in a word or two, if it is one that matters.
fn call(line: &str) -> Option<String> {
    let (name, rest) = line.split_once('(')?;
    let number = || {
        let mut quoted = rest.split('"').skip(1).step_by(2);
        quoted.find_map(|text| text.parse::<u64>().ok())
    };
    Some(match name {
        "openat" if rest.contains("O_EXCL") => "make".into(),
        "flock" if rest.contains("LOCK_EX") => "lock".into(),
        "write" if rest.contains("version") => "write".into(),
        "fdatasync" => "sync".into(),
        "fsync" => "sync the directory".into(),
        "linkat" => format!("link {}", number()?),
        // The claims are listed into a smaller buffer.
        "getdents64" if rest.contains(", 65536)") && !rest.contains(" 0 entries") => "list".into(),
        "newfstatat" | "statx" => match number() {
            Some(number) => format!("look at {number}"),
            None if rest.contains(".lock\"") => "look at the path".into(),
            None => return None,
        },
        _ => return None,
    })
}
