//! A small cluster of real processes, so that a test reads like sentences.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::disallowed_methods)]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use leader_demo::clock::{self, BootTime};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

pub mod asking;
pub mod deck;
pub mod doctor;
pub mod http;
pub mod mounts;
pub mod page;
pub mod record;
pub mod run;
pub mod said;
pub mod servers;
pub mod settings;
pub mod shell;
pub mod unwritable;
pub mod wedge;

/// Far longer than anything here takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn binary() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("leader-demo"));
    // What the developer's shell happens to have set is not under test.
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|n| n.starts_with("LEADER_DEMO_"));
        if ours || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// As another user, of whom only root can ask that.
pub fn run_as(command: &mut Command, uid: u32, gid: u32) -> &mut Command {
    // `make test-coverage` counts in a directory that is not theirs.
    let command = command.env("LLVM_PROFILE_FILE", "/dev/null");
    command.uid(uid).gid(gid)
}

/// Says why a test does not run here, past the capture of its output.
pub fn skip(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// The lines of a program's output, as they come.
pub fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (say, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = say.send(line);
        }
    });
    lines
}

/// One lock directory, or one lock on a server, and the nodes that compete for it.
pub struct Cluster {
    dir: Root,
    /// On a server, in a build that has it; and the lock's name there.
    store: Option<[String; 2]>,
    flags: Vec<String>,
}

enum Root {
    Temporary(TempDir),
    Given(PathBuf),
}

impl Cluster {
    pub fn new(flags: &[&str]) -> Self {
        Self {
            dir: Root::Temporary(tempfile::tempdir().unwrap()),
            store: None,
            flags: flags.iter().map(|f| (*f).to_owned()).collect(),
        }
    }

    pub fn at(dir: &Path, flags: &[&str]) -> Self {
        Self {
            dir: Root::Given(dir.to_owned()),
            ..Self::new(flags)
        }
    }

    /// The lock is this one's alone.
    pub fn on(store: &str, flags: &[&str]) -> Self {
        let name = format!("{}-{}", std::process::id(), clock::now().as_nanos());
        Self {
            store: Some([store.to_owned(), name]),
            ..Self::new(flags)
        }
    }

    /// The flags that say where the lease is.
    pub fn place(&self) -> Vec<&OsStr> {
        match &self.store {
            Some([url, name]) => ["--store", url, "--lock-name", name].map(OsStr::new).into(),
            None => vec!["--lock-dir".as_ref(), self.dir().as_os_str()],
        }
    }

    /// One of the program's commands, about this election.
    pub fn command(&self, name: &str) -> Command {
        let mut command = binary();
        command.arg(name).args(self.place());
        command
    }

    pub fn dir(&self) -> &Path {
        match &self.dir {
            Root::Temporary(dir) => dir.path(),
            Root::Given(dir) => dir,
        }
    }

    /// The directory of the lease itself.
    pub fn lease(&self) -> PathBuf {
        self.dir().join("leader-election-demo.lock")
    }

    /// The revisions there are, ascending.
    pub fn revisions(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.lease()) else {
            return Vec::new();
        };
        let mut found: Vec<_> = entries
            .map(|e| e.unwrap().path())
            .filter(|p| p.file_name().unwrap() != "claims" && p.extension().is_none())
            .collect();
        found.sort();
        found
    }

    /// The path of the revision after the current one.
    pub fn next_revision(&self) -> PathBuf {
        let last = self.revisions().pop().expect("there is a record");
        let number: u64 = last.file_name().unwrap().to_str().unwrap().parse().unwrap();
        self.lease().join(format!("{:020}", number + 1))
    }

    pub fn start(&self, id: &str) -> Node {
        self.start_with(id, &[])
    }

    pub fn start_with(&self, id: &str, flags: &[&str]) -> Node {
        let mut command = binary();
        command
            .args(["--node-id", id, "--log-format", "json"])
            .args(self.place())
            .args(&self.flags)
            .args(flags);
        Node::spawn(id, command)
    }

    /// A node that leads, in a cluster that had no leader.
    pub fn leader(&self, id: &str) -> Node {
        let mut node = self.start(id);
        node.until("elected");
        node
    }

    /// A node that follows and has had the time to get ready to take over.
    pub fn follower(&self, id: &str) -> Node {
        let mut node = self.start(id);
        node.until("new_leader");
        node
    }
}

/// One running process, and what it has said.
pub struct Node {
    pub id: String,
    child: Child,
    said: Arc<Said>,
    /// How much of that the test has looked at.
    read: usize,
}

#[derive(Default)]
struct Said {
    lines: Mutex<(Vec<Value>, bool)>,
    more: Condvar,
}

impl Node {
    pub fn spawn(id: &str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        Self::hear(id, child, move || stdout)
    }

    /// A process that tells its events somewhere; where is asked in a thread.
    pub fn hear<R: Read>(
        id: &str,
        child: Child,
        events: impl FnOnce() -> R + Send + 'static,
    ) -> Self {
        let said = Arc::new(Said::default());
        let heard = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(events()).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect(&line);
                heard.lines.lock().unwrap().0.push(value);
                heard.more.notify_all();
            }
            heard.lines.lock().unwrap().1 = true;
            heard.more.notify_all();
        });
        Self {
            id: id.to_owned(),
            child,
            said,
            read: 0,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the next line that says `event`, and returns it.
    pub fn until(&mut self, event: &str) -> Value {
        let found = self.next_where(PATIENCE, |line| line["event"] == event);
        found.unwrap_or_else(|| panic!("{} never said {event}: {:#?}", self.id, self.all()))
    }

    /// The next line that is `wanted`, within `patience`.
    pub fn next_where(
        &mut self,
        patience: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let deadline = Instant::now() + patience;
        let mut lines = self.said.lines.lock().unwrap();
        loop {
            while self.read < lines.0.len() {
                self.read += 1;
                if wanted(&lines.0[self.read - 1]) {
                    return Some(lines.0[self.read - 1].clone());
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.1 {
                return None;
            }
            lines = self.said.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Everything it has said.
    pub fn all(&self) -> Vec<Value> {
        self.said.lines.lock().unwrap().0.clone()
    }

    pub fn events(&self, event: &str) -> Vec<Value> {
        let mut all = self.all();
        all.retain(|line| line["event"] == event);
        all
    }

    /// Waits for its end.
    pub fn exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // The reader sees the end of the pipe a moment later.
                let mut lines = self.said.lines.lock().unwrap();
                while !lines.1 {
                    lines = self.said.more.wait(lines).unwrap();
                }
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not end", self.id);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.exit();
    }

    /// SIGTERM, and a clean end.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.exit().code(), Some(0), "{:#?}", self.all());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn ns(line: &Value, field: &str) -> BootTime {
    BootTime::from_nanos(
        line[field]
            .as_u64()
            .unwrap_or_else(|| panic!("{field} in {line}")),
    )
}

/// Asserts what must hold whatever happened: no two of these processes said
/// that they led at one moment, and no term was led twice.
pub fn assert_one_leader_at_a_time(nodes: &[&Node]) {
    let mut spans = Vec::new();
    for node in nodes {
        let mut open: Option<(u64, BootTime, BootTime)> = None;
        for line in node.all() {
            match line["event"].as_str().unwrap() {
                "elected" => {
                    assert!(open.is_none(), "{} elected twice", node.id);
                    let at = ns(&line, "boottime_ns");
                    open = Some((line["term"].as_u64().unwrap(), at, at));
                }
                "heartbeat" if line["role"] == "leader" => {
                    let at = ns(&line, "boottime_ns");
                    assert!(
                        at < ns(&line, "valid_until_ns"),
                        "outside its lease: {line}"
                    );
                    let span = open.as_mut().expect("a leader was elected");
                    span.2 = at;
                }
                "revoked" => {
                    let (term, from, _) = open.take().expect("revoked without elected");
                    spans.push((term, from, ns(&line, "ended_ns"), node.id.clone()));
                }
                _ => {}
            }
        }
        if let Some((term, from, to)) = open {
            spans.push((term, from, to, node.id.clone()));
        }
    }
    spans.sort();
    for pair in spans.windows(2) {
        let [before, after] = pair else {
            unreachable!()
        };
        assert!(before.0 < after.0, "one term twice: {before:?} {after:?}");
        assert!(before.2 <= after.1, "two leaders: {before:?} {after:?}");
    }
}
