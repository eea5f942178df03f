//! The README's tasks, run as they are written there.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use common::Cluster;
use common::shell::without_the_developers_settings;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What stands between fences below a heading.
fn blocks(heading: &str) -> Vec<String> {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let (_, section) = readme.split_once(&format!("\n{heading}\n")).unwrap();
    let (section, _) = section.split_once("\n##").unwrap();
    let fenced = section.split("```\n").skip(1).step_by(2);
    fenced.map(str::to_owned).collect()
}

/// What a user's shell prints, having gone through all of it without an error.
fn shell(place: &Path, lock_dir: &Path, script: &str) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_leader-demo")).parent();
    let path = std::env::var("PATH").unwrap();
    let output = without_the_developers_settings("bash")
        .args(["-ec", script])
        .env("PATH", format!("{}:{path}", bin.unwrap().display()))
        .env("LEADER_DEMO_LOCK_DIR", lock_dir)
        .current_dir(place)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn run_a_command() {
    let place = tempfile::tempdir().unwrap();
    let reads = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
    let examples = Path::new(ROOT).join("examples");
    std::os::unix::fs::symlink(examples, place.path().join("examples")).unwrap();
    let blocks = blocks("## Run a command");
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        // Nobody waits a minute here.
        let block = block.replace("--hold-for 1m", "--hold-for 1ms");
        shell(place.path(), &place.path().join("locks"), &block);
    }
    let migrated = "term 1\nversion 2\nalice,active\nbob,active\n";
    assert_eq!(reads("accounts"), migrated);
    assert!(reads("report").starts_with("term 1\n"));
}

#[test]
fn who_leads() {
    let cluster = Cluster::new(&[]);
    let _leader = cluster.leader("node-1");
    let said = shell(cluster.dir(), cluster.dir(), "leader-demo status");
    assert!(said.contains("node-1"), "{said}");
    // What the README shows of a watcher, it says: but for the moment.
    let shown = blocks("### Who leads?").remove(0);
    let watch = "leader-demo watch | cat";
    assert!(shown.starts_with(&format!("$ {watch}\n")));
    let first = shown.lines().nth(1).unwrap();
    let said = shell(
        cluster.dir(),
        cluster.dir(),
        "timeout 1 leader-demo watch | cat",
    );
    let words = |line: &str| {
        let is_word =
            |word: &&str| !word.contains(|c: char| c.is_ascii_digit()) || word.starts_with("node-");
        let words = line.split(' ').filter(is_word).map(str::to_owned);
        words.collect::<Vec<_>>()
    };
    let said = words(said.lines().next().unwrap());
    for word in words(first) {
        assert!(word == "vm," || said.contains(&word), "{word}: {said:?}");
    }
}

#[test]
fn hand_over_before_a_deploy() {
    let cluster = Cluster::new(&["--retry-period=200ms"]);
    let _first = cluster.leader("node-1");
    let mut second = cluster.follower("node-2");
    let blocks = blocks("### Hand over before a deploy");
    assert_eq!(blocks.len(), 1);
    shell(cluster.dir(), cluster.dir(), &blocks[0]);
    assert_eq!(second.until("elected")["acquired"], "handed_over");
    shell(cluster.dir(), cluster.dir(), &blocks[0]);
    assert_eq!(second.events("elected").len(), 1);
}

#[cfg(feature = "simulate")]
#[test]
fn what_happens_with_my_timings() {
    let place = tempfile::tempdir().unwrap();
    let blocks = blocks("### What happens with my timings?");
    assert_eq!(blocks.len(), 1);
    let said = shell(place.path(), place.path(), &blocks[0]);
    assert!(said.contains("\nSound: "), "{said}");
    assert!(place.path().join("page.html").exists());
}

#[cfg(feature = "http")]
#[test]
fn probe_and_alert() {
    if without_the_developers_settings("curl")
        .arg("-V")
        .output()
        .is_err()
    {
        return common::skip("curl is not installed");
    }
    let place = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let blocks = blocks("### Probe and alert");
    assert_eq!(blocks.len(), 1);
    let node = "node=$!; trap 'kill $node; wait' EXIT";
    let script = blocks[0]
        .replace("8080", &port)
        .replace("&\n", &format!("&\n{node}\n"));
    let said = shell(place.path(), &place.path().join("locks"), &script);
    assert!(said.contains("node-1"), "{said}");
}
