//! Whatever stands in the logs that `judge` reads, it comes to a verdict: two
//! leaders stay two, and a line that cannot be read is missed.

use std::fs;

use serde_json::Value;

use crate::common::binary;
use crate::fuzz::fuzz;

const LOGS: &str = include_str!("corpus/logs.txt");

/// While `a` leads.
const ANOTHER: &str = r#"{"event":"elected","boottime_ns":3000000000,"node_id":"c","pid":99,"session":"session of c","boot_id":"boot","lock_name":"lock","seq":1,"role":"leader","term":3,"valid_until_ns":9000000000}"#;

/// What takes the place of this line is damaged.
const REPLACED: usize = 1;

#[test]
fn logs() {
    fuzz("logs", LOGS, |input| {
        let two = judge(&[LOGS.as_bytes(), input, b"\n", ANOTHER.as_bytes()].concat());
        assert_eq!(two["sound"], false, "{two}");

        let mut lines: Vec<&[u8]> = LOGS.lines().map(str::as_bytes).collect();
        let kept = parsed(lines[REPLACED]).unwrap();
        lines[REPLACED] = input;
        let there = input.split(|byte| *byte == b'\n').any(|line| {
            parsed(line).is_some_and(|line| {
                ["session", "seq"]
                    .iter()
                    .all(|field| line[*field] == kept[*field])
            })
        });
        let one = judge(&lines.join(&b'\n'));
        assert!(there || one["sound"] == false, "{one}");
    });
}

#[test]
fn the_corpus_is_sound() {
    assert_eq!(judge(LOGS.as_bytes())["sound"], true);
}

fn parsed(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).ok()
}

fn judge(log: &[u8]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    fs::write(&path, log).unwrap();
    let mut judge = binary();
    judge
        .args(["judge", "--json", "--html", "/dev/null"])
        .arg(path);
    let judged = judge.output().unwrap();
    let verdict = parsed(&judged.stdout).unwrap_or_else(|| panic!("{judged:?}"));
    let sound = judged.status.code() == Some(0);
    assert_eq!(verdict["sound"], sound, "{judged:?}");
    verdict
}
