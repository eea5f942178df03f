//! What a power failure must not take is on disk before anybody leads by it,
//! and nothing else is waited for. Seen in the system calls.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;
use std::process::Command;

use common::binary;
use common::shell::is_installed;

/// The calls of the thread that keeps the lease, one a line.
fn calls_of_the_store(args: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-ff", "-y", "-e", "trace=linkat,fsync,fdatasync", "-o"]);
    let program = binary();
    strace
        .arg(dir.path().join("calls"))
        .arg(program.get_program())
        .args(["run", "--lock-dir"])
        .arg(dir.path().join("locks"))
        .args(args);
    assert!(strace.status().unwrap().success());
    let threads = fs::read_dir(dir.path()).unwrap();
    let texts = threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path()).ok());
    let mut of_store = texts.filter(|text| text.contains(&numbered(1)));
    let calls = of_store.next().expect("somebody acquires");
    calls.lines().map(str::to_owned).collect()
}

fn numbered(number: u64) -> String {
    format!("\"{number:020}\"")
}

#[test]
fn a_claim_and_its_number_are_on_disk_before_it_leads_and_nothing_else_is_synced() {
    if !is_installed("strace") {
        return;
    }
    let mut calls = calls_of_the_store(&["--", "true"]);
    calls.retain(|call| !call.contains("probe-") && !call.starts_with("+++"));
    let [claim, acquired, number, released] = &calls[..] else {
        panic!("{calls:#?}")
    };
    let name = acquired.split("claims/").nth(1).unwrap();
    let name = &name[..name.find('"').unwrap()];
    assert!(claim.starts_with("fdatasync(") && claim.contains(&format!("claims/{name}>")));
    assert!(acquired.starts_with("linkat(") && acquired.contains(&numbered(1)));
    assert!(number.starts_with("fsync(") && number.contains("leader-election-demo.lock>"));
    assert!(released.starts_with("linkat(") && released.contains(&numbered(2)));
}
