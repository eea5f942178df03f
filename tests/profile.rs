//! `make profile`: what it needs, and that a flame graph shows our own functions.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use common::shell::without_the_developers_settings;

const PROGRAM: &str = env!("CARGO_BIN_EXE_leader-demo");

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn what_is_missing_is_named_with_the_way_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    for tool in ["bash", "env", "dirname"] {
        symlink(format!("/usr/bin/{tool}"), dir.path().join(tool)).unwrap();
    }
    let profile = || {
        let mut script = without_the_developers_settings("scripts/profile.sh");
        script.env("PATH", dir.path()).output().unwrap()
    };
    let output = profile();
    assert!(!output.status.success());
    assert!(
        said(&output).contains("perf is missing: apt-get install linux-perf"),
        "{output:?}"
    );

    symlink("/bin/true", dir.path().join("perf")).unwrap();
    let output = profile();
    assert!(!output.status.success());
    assert!(
        said(&output).contains("inferno is missing: cargo install inferno"),
        "{output:?}"
    );
}

#[test]
fn the_flame_graph_shows_where_a_node_spends_its_time() {
    for tool in ["perf", "inferno-flamegraph"] {
        // For whoever wants to profile, not for the gate: a minute to build.
        if Command::new(tool).arg("--help").output().is_err() {
            return common::skip(&format!("{tool} is not installed"));
        }
    }
    let output = without_the_developers_settings("make")
        .args(["profile", "DURATION=2s"])
        .env("LEADER_DEMO_BIN", PROGRAM)
        .output()
        .unwrap();
    if said(&output).contains("perf may not look") {
        return common::skip("perf may not look here");
    }
    assert!(output.status.success(), "{output:?}");
    assert!(
        said(&output).contains("target/profile/flame.svg"),
        "{output:?}"
    );
    let flame = fs::read_to_string("target/profile/flame.svg").unwrap();
    assert!(flame.contains("leader_demo::driver::"), "no name of ours");
}
