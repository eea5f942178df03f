//! The page of `leader-demo judge --html`: what is on it, and that it is whole.
#![allow(missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{binary, skip};
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

/// Each element that begins ends, inside the one that it began in.
fn assert_well_formed(page: &str) {
    let mut open = Vec::new();
    let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
    for tag in body.split('<').skip(1) {
        let (tag, text) = tag
            .split_once('>')
            .unwrap_or_else(|| panic!("a tag does not end: {tag}"));
        assert!(
            !text.contains('>') || open.last() == Some(&"style"),
            "{text}"
        );
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        for entity in text.split('&').skip(1) {
            let name = entity.split(';').next().unwrap();
            assert!(["amp", "lt", "gt", "quot"].contains(&name), "{text}");
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
    }
    assert!(open.is_empty(), "{open:?} do not end");
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
    // It needs nothing from elsewhere, and nothing in it runs.
    let elsewhere = page.replace("xmlns=\"http://www.w3.org/1999/xhtml\"", "");
    for unwanted in ["http:", "https:", "<script", "<link", "@import", "url(/"] {
        assert!(!elsewhere.contains(unwanted), "{unwanted}");
    }
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
    // The page says of itself how wide it became.
    let measure = "<script>var all = document.documentElement; \
        document.title = all.scrollWidth - all.clientWidth + ' too wide'</script></body>";
    let measured = dir.path().join("measured.html");
    std::fs::write(&measured, page.replace("</body>", measure)).unwrap();
    let browser = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok());
    let Some(browser) = browser else {
        assert!(std::env::var_os("CI").is_none(), "CI needs chromium");
        return skip("no chromium to look at the page with");
    };
    let shown = Command::new("timeout")
        .args(["60", browser, "--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--window-size=500,900", "--dump-dom"])
        .arg(format!(
            "--user-data-dir={}",
            dir.path().join("p").display()
        ))
        .arg(format!("file://{}", measured.display()))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains("<title>0 too wide</title>"), "{shown:.400}");
}
