//! One node: a process, the next one after its end, and the log of them all.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Result;
use leader_demo::clock::BootTime;
use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::common;
use crate::wall_clock::WallClock;

pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) state: State,
    /// None: it has the machine's.
    pub(crate) clock: Option<WallClock>,
    /// Whether this process has said anything.
    pub(crate) began: bool,
    /// Who leads, and the term, by what it said last.
    pub(crate) view: Option<(String, u64)>,
    /// When it last said that it leads.
    pub(crate) led: BootTime,
    log: PathBuf,
    reader: BufReader<File>,
    /// The beginning of a line that is still being written.
    line: Vec<u8>,
}

pub(crate) enum State {
    Runs(Child),
    /// Stopped, until then.
    Frozen(Child, BootTime),
    /// Asked to end; the next one starts then.
    Ends(Child, BootTime),
    /// The next one starts then.
    Down(BootTime),
}

impl Node {
    pub(crate) fn new(number: usize, logs: &Path, clock: Option<WallClock>) -> Result<Self> {
        let id = format!("node-{number}");
        let log = logs.join(format!("{id}.jsonl"));
        File::create(&log)?;
        Ok(Self {
            id,
            state: State::Down(BootTime::default()),
            clock,
            began: false,
            view: None,
            led: BootTime::default(),
            reader: BufReader::new(File::open(&log)?),
            log,
            line: Vec::new(),
        })
    }

    /// With these flags besides its own.
    pub(crate) fn start(&mut self, lease: Duration, flags: Vec<OsString>) -> Result<()> {
        // It does not outlive us, and our Ctrl+C is not its own.
        let program = common::binary();
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program.get_program())
            .process_group(0);
        for (name, _) in program.get_envs() {
            command.env_remove(name);
        }
        if let Some(clock) = &self.clock {
            clock.preload(&mut command);
        }
        let log = OpenOptions::new().append(true).open(&self.log)?;
        let child = command
            .args(["--node-id", &self.id, "--log-format", "json"])
            .args(["--heartbeat-period", "50ms", "--lease-duration"])
            .arg(humantime::format_duration(lease).to_string())
            .args(flags)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()?;
        (self.began, self.view) = (false, None);
        self.state = State::Runs(child);
        Ok(())
    }

    pub(crate) fn runs(&self) -> bool {
        matches!(self.state, State::Runs(_))
    }

    /// It lives, and has said nothing yet.
    pub(crate) fn begins(&self) -> bool {
        self.child().is_some() && !self.began
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child().map(Child::id)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(child) = self.child() {
            // One that has just ended is found later.
            let _ = rustix::process::kill_process(Pid::from_child(child), signal);
        }
    }

    /// Its end, if that has come.
    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        let ended = match &mut self.state {
            State::Runs(child) | State::Frozen(child, _) | State::Ends(child, _) => {
                child.try_wait()?
            }
            State::Down(_) => None,
        };
        Ok(ended)
    }

    /// `kill -9`; the next one starts at `until`.
    pub(crate) fn kill(&mut self, until: BootTime) -> Result<()> {
        self.signal(Signal::KILL);
        let before = std::mem::replace(&mut self.state, State::Down(until));
        if let State::Runs(mut child) | State::Frozen(mut child, _) | State::Ends(mut child, _) =
            before
        {
            child.wait()?;
            if self.clock.is_some() {
                WallClock::forget(child.id());
            }
            self.forget_torn_line()?;
        }
        Ok(())
    }

    /// Half a line said nothing, and the next process's shall not continue it.
    fn forget_torn_line(&mut self) -> Result<()> {
        self.listen()?;
        let torn = self.line.len() as u64;
        if torn > 0 {
            let log = OpenOptions::new().write(true).open(&self.log)?;
            let whole = log.metadata()?.len() - torn;
            log.set_len(whole)?;
            self.reader.seek(SeekFrom::Start(whole))?;
            self.line.clear();
        }
        Ok(())
    }

    /// It was stopped, until then.
    pub(crate) fn freeze(&mut self, until: BootTime) {
        self.becomes(|child| State::Frozen(child, until));
    }

    pub(crate) fn thaw(&mut self) {
        self.becomes(State::Runs);
    }

    /// It was asked to end.
    pub(crate) fn ends(&mut self, until: BootTime) {
        self.becomes(|child| State::Ends(child, until));
    }

    fn becomes(&mut self, next: impl FnOnce(Child) -> State) {
        let before = std::mem::replace(&mut self.state, State::Down(BootTime::NEVER));
        self.state = match before {
            State::Runs(child) | State::Frozen(child, _) | State::Ends(child, _) => next(child),
            State::Down(until) => State::Down(until),
        };
    }

    /// Takes in what it has said since the last look.
    pub(crate) fn listen(&mut self) -> Result<()> {
        loop {
            self.reader.read_until(b'\n', &mut self.line)?;
            if self.line.last() != Some(&b'\n') {
                return Ok(());
            }
            let line = serde_json::from_slice(&self.line)?;
            self.hear(&line);
            self.line.clear();
        }
    }

    fn hear(&mut self, line: &Value) {
        self.began = true;
        let term = line["term"].as_u64();
        self.view = line["leader"].as_str().map(str::to_owned).zip(term);
        if line["role"] == "leader" {
            self.led = common::ns(line, "boottime_ns");
        }
    }

    fn child(&self) -> Option<&Child> {
        match &self.state {
            State::Runs(child) | State::Frozen(child, _) | State::Ends(child, _) => Some(child),
            State::Down(_) => None,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.kill(BootTime::NEVER);
    }
}
