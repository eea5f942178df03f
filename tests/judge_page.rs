//! The page of `leader-demo judge --html`: what is on it, and that it is whole.
#![allow(missing_docs)]

mod common;

use std::path::{Path, PathBuf};

use common::binary;
use common::page::{assert_fits_a_phone, assert_self_contained, assert_well_formed};
use serde_json::{Value, json};
use tempfile::TempDir;

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;
const START: u64 = 900 * S;

fn said(node: &str, seq: u64, event: &str, at: u64, term: u64) -> Value {
    let role = if event == "revoked" {
        "follower"
    } else {
        "leader"
    };
    json!({"event": event, "boottime_ns": START + at, "node_id": node, "pid": seq, "lock_name": "lock",
        "session": format!("of {node}"), "boot_id": "boot", "seq": seq, "role": role, "term": term,
        "ended_ns": START + at, "reason": "shutdown", "valid_until_ns": START + at + 6 * S})
}

/// Two nodes that lead in turn, a second each, and 1.5 ms in between.
fn turns(dir: &Path, names: [&str; 2], turns: u64) -> Vec<PathBuf> {
    let mut logs = [String::new(), String::new()];
    for turn in 0..turns {
        let (who, seq) = ((turn % 2) as usize, turn / 2 * 2 + 1);
        let at = turn * S;
        let elected = said(names[who], seq, "elected", at, turn + 1);
        let revoked = said(
            names[who],
            seq + 1,
            "revoked",
            at + S - 1500 * 1000,
            turn + 1,
        );
        logs[who] += &format!("{elected}\n{revoked}\n");
    }
    let header = json!({"event": "chaos", "boottime_ns": START, "seed": 7,
        "replay": "make chaos SEED=7 && echo <done>", "lease_duration_ns": S,
        "retry_period_ns": 200 * MS, "started": "2026-11-21T17:00:00Z"});
    let fault = json!({"event": "fault", "fault": "disk_full", "boottime_ns": START + S / 2,
        "node_id": null, "pid": null, "message": "\"full\" & <over>"});
    let healed = json!({"event": "fault", "fault": "disk_free", "boottime_ns": START + S / 2 + MS,
        "node_id": null, "pid": null});
    let faults = format!("{header}\n{fault}\n{healed}\n");
    let write = |(i, text): (usize, &String)| {
        let path = dir.join(format!("{i}.log"));
        std::fs::write(&path, text).unwrap();
        path
    };
    logs.iter()
        .chain([&faults])
        .enumerate()
        .map(write)
        .collect()
}

fn page(names: [&str; 2], count: u64) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let logs = turns(dir.path(), names, count);
    let page = judged(dir.path(), &logs, 0);
    (dir, page)
}

fn judged(dir: &Path, logs: &[PathBuf], code: i32) -> String {
    let judged = binary()
        .args(["judge", "--html"])
        .arg(dir.join("page.html"))
        .args(logs)
        .output()
        .unwrap();
    assert_eq!(judged.status.code(), Some(code), "{judged:?}");
    std::fs::read_to_string(dir.join("page.html")).unwrap()
}

#[test]
fn the_page_has_all_that_it_must() {
    let (_dir, page) = page(["node-1", "node-2"], 4);
    assert_well_formed(&page);
    for wanted in [
        "<title>Chaos, seed 7</title>",
        "Sound: 4 leaderships by 2 nodes",
        "make chaos SEED=7 &amp;&amp; echo &lt;done&gt;",
        "2026-11-21T17:00:00Z",
        "<dt>page made</dt>",
        ">node-1<title>",
        ">node-2<title>",
        ">4</text>",
        ">1.5 ms</text>",
        "nobody led for 1.5 ms after shutdown",
        "disk full at 0:00.500: &quot;full&quot; &amp; &lt;over&gt;",
        "<tr><td>shutdown</td><td>3</td><td>1.5 ms</td>",
        "prefers-color-scheme: dark",
        "@media print",
        "width=device-width",
    ] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    assert_self_contained(&page);
}

#[test]
fn each_row_of_the_table_is_drawn_beside_its_limit() {
    let (_dir, page) = page(["node-1", "node-2"], 4);
    // Three times 1.5 ms are one bar.
    assert_eq!(page.matches("<rect class=\"times\"").count(), 1);
    assert_eq!(page.matches("<path class=\"limit\"").count(), 1);
}

#[test]
fn a_breach_leads_to_where_it_happened() {
    let dir = tempfile::tempdir().unwrap();
    let mut logs = turns(dir.path(), ["node-1", "node-2"], 4);
    let third = dir.path().join("third.log");
    let elected = said("node-3", 1, "elected", 100 * MS, 9);
    std::fs::write(&third, format!("{elected}\n")).unwrap();
    logs.push(third);
    let page = judged(dir.path(), &logs, 1);
    assert_well_formed(&page);
    assert!(page.contains("<a href=\"#breach-0\">two leaders: node-1"));
    let mark = page.split("id=\"breach-0\"").nth(1).expect("a mark");
    let title = mark.split("</title>").next().unwrap();
    assert!(
        title.contains("a rule broken at 0:00.100: two leaders"),
        "{title}"
    );
}

#[test]
fn several_elections_have_a_heading_each() {
    let dir = tempfile::tempdir().unwrap();
    let mut logs = turns(dir.path(), ["node-1", "node-2"], 4);
    let other = dir.path().join("other.log");
    let mine = std::fs::read_to_string(&logs[0]).unwrap();
    let theirs = mine.replace("\"lock\"", "\"other\"");
    std::fs::write(&other, theirs.replace("of node-1", "of another")).unwrap();
    logs.push(other);
    let page = judged(dir.path(), &logs, 0);
    assert_well_formed(&page);
    for (i, name) in ["lock", "other"].iter().enumerate() {
        let heading = format!("<h2 id=\"election-{i}\">{name}</h2>");
        assert!(page.contains(&heading), "{heading}");
        let link = format!("<a href=\"#election-{i}\">{name}</a>");
        assert!(page.contains(&link), "{link}");
    }
    assert!(page.contains("Sound: 6 leaderships by 3 nodes"));
}

#[test]
fn of_a_day_a_part_is_drawn_and_said_to_be_one() {
    let (_dir, page) = page(["node-1", "node-2"], 10_000);
    assert_well_formed(&page);
    let strips = page.matches("<div class=\"strip\">").count();
    assert_eq!(strips, 800);
    assert!(page.contains("1200 more strips of 5.0 s are left out."));
}

#[test]
fn names_from_logs_are_no_markup() {
    let (_dir, page) = page(["<script>alert(1)</script>", "\"&'\u{1b}\u{ffff}"], 4);
    assert_well_formed(&page);
    assert!(!page.contains("<script"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains('\u{1b}'));
}

#[test]
fn an_hour_is_cut_into_strips() {
    let (_dir, page) = page(["node-1", "node-2"], 3600);
    assert_well_formed(&page);
    let strips = page.matches("<div class=\"strip\">").count();
    assert!((100..=800).contains(&strips), "{strips} strips");
    assert!(page.len() < 4_000_000, "{} bytes", page.len());
    // Each gap has its label once.
    assert_eq!(page.matches(">1.5 ms</text>").count(), 3599);
}

#[test]
fn a_browser_shows_it_on_a_phone_without_scrolling_sideways() {
    let (dir, page) = page(["a-node-with-a-rather-long-name", "node-2"], 40);
    assert_fits_a_phone(dir.path(), &page);
}
