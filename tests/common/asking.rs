//! `hand-over` and `resign`, as somebody at a terminal uses them.

use std::io::Read;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use rustix::process::{Pid, Signal};

use super::{Cluster, Node, PATIENCE, binary, lines_of, ns};

/// One run of such a command.
pub struct Asking {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
}

/// How it ended.
#[derive(Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: Vec<String>,
    pub stderr: String,
}

impl Asking {
    pub fn start(locks: &Path, args: &[&str]) -> Self {
        let mut child = binary()
            .args(args)
            .arg("--lock-dir")
            .arg(locks)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        Self {
            child,
            lines,
            heard: Vec::new(),
        }
    }

    /// Waits until it says a line with this in it.
    #[track_caller]
    pub fn says(&mut self, what: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.heard.last().is_some_and(|line| line.contains(what)) {
            match self.lines.recv_timeout(until - Instant::now()) {
                Ok(line) => self.heard.push(line),
                Err(e) => panic!("never said {what:?}: {e}: {:?}", self.heard),
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub fn ends(mut self) -> Answer {
        self.heard.extend(self.lines.iter());
        let mut stderr = String::new();
        let pipe = self.child.stderr.as_mut().unwrap();
        pipe.read_to_string(&mut stderr).unwrap();
        let status: ExitStatus = self.child.wait().unwrap();
        Answer {
            code: status.code(),
            stdout: std::mem::take(&mut self.heard),
            stderr,
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    #[track_caller]
    pub fn is_done(&self) {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.stderr, "", "{self:?}");
    }

    #[track_caller]
    pub fn is_refused(&self, code: i32, why: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(why), "no {why:?}: {self:?}");
    }

    #[track_caller]
    pub fn said(&self, what: &str) {
        let said = self.stdout.iter().any(|line| line.contains(what));
        assert!(said, "no {what:?}: {self:?}");
    }
}

impl Cluster {
    pub fn asks(&self, args: &[&str]) -> Asking {
        Asking::start(self.dir(), args)
    }

    /// Asks, and waits for what comes of it.
    pub fn ask(&self, args: &[&str]) -> Answer {
        self.asks(args).ends()
    }
}

/// It has led all the time since it was elected, and goes on for some looks at
/// what it is asked for.
#[track_caller]
pub fn leads_on(leader: &mut Node) {
    let heard = leader.all().len() as u64;
    // Time for a look at the requests, and more.
    for _ in 0..8 {
        while leader.until("heartbeat")["seq"].as_u64().unwrap() <= heard {}
    }
    let all = leader.all();
    let elected = all.iter().rposition(|line| line["event"] == "elected");
    let led = &all[elected.expect("it was elected")..];
    assert!(led.iter().all(|line| line["role"] == "leader"), "{led:#?}");
    let mut beats = led.to_vec();
    beats.retain(|line| line["event"] == "heartbeat");
    for pair in beats.windows(2) {
        let at = ns(&pair[1], "boottime_ns");
        assert!(at < ns(&pair[0], "valid_until_ns"), "a lapse: {pair:#?}");
    }
}
