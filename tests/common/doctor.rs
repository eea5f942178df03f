//! Asks `doctor`, and sees to it that it leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{binary, skip};

/// What it said as JSON.
pub struct Report {
    pub code: i32,
    pub json: Value,
}

/// A command that asks about a directory.
pub fn doctor(dir: &Path) -> Command {
    let mut command = binary();
    command.args(["doctor", "--json", "--lock-dir"]).arg(dir);
    command
}

/// Asks, and sees to it that nothing has changed in `dir`.
pub fn ask(dir: &Path, command: &mut Command) -> Report {
    let before = files_in(dir);
    let output = command.output().unwrap();
    assert_eq!(files_in(dir), before, "it left something behind");
    told(output)
}

/// What came of it.
pub fn told(output: Output) -> Report {
    let text = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(complaint, "", "{text}");
    let json: Value = serde_json::from_str(&text).expect(&text);
    let code = output.status.code().unwrap();
    assert_eq!(code == 0, json["fit"].as_bool().unwrap(), "{json:#}");
    let report = Report { code, json };
    for finding in report.findings() {
        let needs_remedy = ["note", "warning"].contains(&finding["mark"].as_str().unwrap());
        assert!(!needs_remedy || finding["remedy"].is_string(), "{finding}");
    }
    report
}

pub fn judged(dir: &Path, flags: &[&str]) -> Report {
    ask(dir, doctor(dir).args(flags))
}

/// All that is in a directory, but for a live election's own.
pub fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

impl Report {
    pub fn findings(&self) -> impl Iterator<Item = &Value> {
        let sections = self.json["sections"].as_array().unwrap();
        sections
            .iter()
            .flat_map(|s| s["findings"].as_array().unwrap())
    }

    pub fn says(&self, mark: &str, what: &str) {
        let mut found = self.findings();
        let found = found.any(|f| {
            let says = [&f["says"], &f["remedy"]]
                .map(|v| v.as_str().unwrap_or_default())
                .join(" -> ");
            f["mark"] == mark && says.contains(what)
        });
        assert!(found, "no {mark} says {what:?}: {:#}", self.json);
    }

    pub fn fit(self) -> Self {
        assert_eq!(self.code, 0, "{:#}", self.json);
        self
    }

    pub fn refused(self, what: &str) -> Self {
        assert_eq!(self.code, 1, "{:#}", self.json);
        self.says("refused", what);
        self
    }

    pub fn directory(&self, field: &str) -> &Value {
        &self.json["directory"][field]
    }

    pub fn server(&self, field: &str) -> &Value {
        &self.json["server"][field]
    }

    pub fn at_most(&self, case: &str) -> Duration {
        let rows = self.json["failover"].as_array().unwrap();
        let row = rows.iter().find(|row| row["case"] == case).expect(case);
        Duration::from_nanos(row["at_most_ns"].as_u64().unwrap())
    }
}

/// A directory that only its owner may write to.
pub fn private() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    chmod(dir.path(), 0o755);
    dir
}

pub fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip("this needs root");
    }
    root
}

/// Asks about a server.
pub fn judged_on(url: &str, flags: &[&str]) -> Report {
    let mut command = binary();
    command
        .args(["doctor", "--json", "--store", url])
        .args(flags);
    told(command.output().unwrap())
}
