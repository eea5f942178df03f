//! Logs for `leader-demo judge`, written by hand: what nodes said, and what was
//! done to them.

use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::binary;

pub const MS: u64 = 1_000_000;
pub const S: u64 = 1000 * MS;

/// Files of lines, each of one node, and of the faults.
pub struct Logs {
    dir: TempDir,
    pub files: Vec<PathBuf>,
}

impl Logs {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            files: Vec::new(),
        }
    }

    pub fn text(mut self, text: &str) -> Self {
        let path = self.dir.path().join(format!("{}.log", self.files.len()));
        std::fs::write(&path, text).unwrap();
        self.files.push(path);
        self
    }

    pub fn file(self, lines: &[Value]) -> Self {
        let lines: Vec<_> = lines.iter().map(|line| format!("{line}\n")).collect();
        self.text(&lines.concat())
    }

    pub fn judge(&self, flags: &[&str]) -> Output {
        let judged = binary()
            .arg("judge")
            .args(flags)
            .args(&self.files)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&judged.stderr), "");
        judged
    }

    #[track_caller]
    pub fn assert_sound(&self) -> Value {
        let judged = self.judge(&["--json"]);
        let verdict: Value = serde_json::from_slice(&judged.stdout).unwrap();
        assert_eq!(judged.status.code(), Some(0), "{verdict:#}");
        verdict
    }

    /// It is caught, by this rule alone, in these words.
    #[track_caller]
    pub fn assert_broken(&self, rule: &str, words: &str) {
        let judged = self.judge(&["--json"]);
        let verdict: Value = serde_json::from_slice(&judged.stdout).unwrap();
        assert_eq!(judged.status.code(), Some(1), "{verdict:#}");
        let breaches = verdict["breaches"].as_array().unwrap();
        assert_eq!(breaches.len(), 1, "{verdict:#}");
        assert_eq!(breaches[0]["rule"], rule, "{verdict:#}");
        let said = breaches[0]["message"].as_str().unwrap();
        assert!(said.contains(words), "{said}");
        let text = self.judge(&[]);
        assert_eq!(text.status.code(), Some(1));
        let text = String::from_utf8(text.stdout).unwrap();
        assert!(text.starts_with("BROKEN: 1 breach among"), "{text}");
        assert!(text.contains(said), "{text}");
    }
}

/// What one session says, line by line.
pub struct Session {
    node: &'static str,
    pub lines: Vec<Value>,
}

impl Session {
    pub fn of(node: &'static str) -> Self {
        let lines = Vec::new();
        Self { node, lines }
    }

    pub fn say(mut self, event: &str, at: u64, more: Value) -> Self {
        let mut line = json!({
            "event": event, "boottime_ns": at, "node_id": self.node, "pid": pid(self.node),
            "session": format!("session of {}", self.node), "boot_id": "boot",
            "lock_name": "lock", "seq": self.lines.len() + 1, "role": "follower",
        });
        let more = more.as_object().unwrap().clone();
        line.as_object_mut().unwrap().extend(more);
        self.lines.push(line);
        self
    }

    pub fn elected(self, at: u64, term: u64) -> Self {
        let more = json!({"term": term, "role": "leader", "valid_until_ns": at + 6 * S});
        self.say("elected", at, more)
    }

    pub fn leads(self, at: u64, term: u64) -> Self {
        let more = json!({"term": term, "role": "leader", "valid_until_ns": at + 6 * S});
        self.say("heartbeat", at, more)
    }

    pub fn follows(self, at: u64) -> Self {
        self.say("heartbeat", at, json!({}))
    }

    pub fn revoked(self, at: u64, reason: &str) -> Self {
        self.say("revoked", at, json!({"ended_ns": at, "reason": reason}))
    }
}

pub fn pid(node: &str) -> u64 {
    u64::from(node.as_bytes()[0])
}

/// The first line of a file of faults: L 10 s, P 2 s.
pub fn chaos() -> Value {
    json!({"event": "chaos", "boottime_ns": 0, "seed": 7, "replay": "make chaos SEED=7",
        "lease_duration_ns": 10 * S, "retry_period_ns": 2 * S, "renew_deadline_ns": 6 * S})
}

pub fn fault(kind: &str, node: Option<&str>, at: u64) -> Value {
    json!({"event": "fault", "fault": kind, "boottime_ns": at, "node_id": node,
        "pid": node.map(pid), "session": null, "message": kind})
}

/// `a` leads from 1 s to 5 s.
pub fn a() -> Session {
    Session::of("a").elected(S, 1).leads(4 * S, 1)
}

/// `b` follows, until it leads at that time.
pub fn b(at: u64, term: u64) -> Session {
    Session::of("b")
        .follows(S)
        .elected(at, term)
        .leads(at + 1, term)
}
