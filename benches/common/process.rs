//! Processes that are gone when the benchmark is, however it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use leader_demo::clock::{self, BootTime};
use rustix::process::{Pid, Signal};
use serde::Deserialize;

/// What is left to clean up when a signal ends the benchmark.
static LEFT: Mutex<Left> = Mutex::new(Left {
    processes: BTreeMap::new(),
    dirs: BTreeSet::new(),
});

pub(crate) struct Left {
    /// Each with the signal that it is to be ended by.
    processes: BTreeMap<i32, Signal>,
    pub(crate) dirs: BTreeSet<PathBuf>,
}

pub(crate) fn left() -> MutexGuard<'static, Left> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn clean_up_when_interrupted() -> Result<()> {
    ctrlc::set_handler(|| {
        let left = left();
        let all = || {
            left.processes
                .iter()
                .filter_map(|(pid, end)| Some((Pid::from_raw(*pid)?, *end)))
        };
        for (pid, end) in all().filter(|(_, end)| *end != Signal::KILL) {
            let _ = rustix::process::kill_process(pid, end);
        }
        if all().any(|(_, end)| end != Signal::KILL) {
            std::thread::sleep(Duration::from_secs(1));
        }
        for (pid, _) in all() {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        for dir in &left.dirs {
            let _ = std::fs::remove_dir_all(dir);
        }
        std::process::exit(130);
    })
    .context("cannot listen for signals")
}

/// A process that is ended when this is dropped, with all that it started. It
/// has a process group of its own, so a Ctrl+C ends the benchmark alone, and
/// that all the others.
pub(crate) struct Owned {
    child: Child,
    pub(crate) pid: Pid,
    end: Signal,
}

impl Owned {
    /// One that is killed, or first gets this signal and some time to obey it.
    pub(crate) fn spawn(command: &mut Command, end: Signal) -> Result<Self> {
        let mut left = left();
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        let pid = Pid::from_child(&child);
        left.processes.insert(pid.as_raw_pid(), end);
        Ok(Self { child, pid, end })
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // No longer to be killed by anybody else: once reaped, its number is free.
        left().processes.remove(&self.pid.as_raw_pid());
        if self.end != Signal::KILL && !self.has_ended() {
            let _ = rustix::process::kill_process(self.pid, self.end);
            let asked = clock::now();
            while !self.has_ended() && clock::now().since(asked) < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A process whose lines are read, and that is killed when this is dropped.
pub(crate) struct Process {
    owned: Owned,
    pub(crate) pid: Pid,
    lines: Receiver<Line>,
}

/// A line of the demo's JSON output, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) event: String,
    boottime_ns: u64,
    /// When it was read here.
    #[serde(skip)]
    pub(crate) read: BootTime,
    /// Who says so: not the process that was spawned, if that spawned another.
    /// In a line of `watch`, who leads.
    pid: Option<i32>,
    #[serde(default)]
    pub(crate) acquired: Option<String>,
    #[serde(default)]
    pub(crate) ended_ns: Option<u64>,
}

impl Line {
    pub(crate) fn at(&self) -> BootTime {
        BootTime::from_nanos(self.boottime_ns)
    }

    pub(crate) fn pid(&self) -> Result<Pid> {
        self.pid.and_then(Pid::from_raw).context("a pid")
    }
}

/// Longer than anything here takes: a hang becomes an error.
const PATIENCE: Duration = Duration::from_secs(60);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let mut owned = Owned::spawn(command.stdout(Stdio::piped()), Signal::KILL)?;
        let pid = owned.pid;
        let stdout = owned.child.stdout.take().context("stdout is piped")?;
        let (to, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let read = clock::now();
                match serde_json::from_str(&line) {
                    // Whoever asked may have gone.
                    Ok(line) => drop(to.send(Line { read, ..line })),
                    Err(e) => eprintln!("not understood: {line}: {e}"),
                }
            }
        });
        Ok(Self { owned, pid, lines })
    }

    /// Waits for the next line about this event; those before it are passed over.
    pub(crate) fn next(&self, event: &str) -> Result<Line> {
        self.next_of(&[event])
    }

    /// As [`next`](Self::next), about any of these.
    pub(crate) fn next_of(&self, events: &[&str]) -> Result<Line> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).with_context(|| {
                format!("process {} says none of {events:?}", self.pid.as_raw_pid())
            })?;
            if events.contains(&&*line.event) {
                return Ok(line);
            }
        }
    }

    /// The next line, if it has been written by now.
    pub(crate) fn line_so_far(&self) -> Option<Line> {
        self.lines.try_recv().ok()
    }

    /// Sends it a signal and says what time it was just before.
    pub(crate) fn signal(&self, signal: Signal) -> Result<BootTime> {
        let before = clock::now();
        rustix::process::kill_process(self.pid, signal)?;
        Ok(before)
    }

    /// What the kernel says of it.
    pub(crate) fn figures(&self) -> Figures {
        Figures::of(self.pid)
    }
}

/// Runs it, and says how long it took from its start to its end.
pub(crate) fn time(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = clock::now();
    let status = command.status()?;
    let took = clock::now().since(start);
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(took)
}

/// What the kernel says of a process, which need not be a child of this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures(i32);

impl Figures {
    /// Those of its only child.
    pub(crate) fn child(self) -> Result<Self> {
        match self.children()?[..] {
            [child] => Ok(child),
            ref children => bail!(
                "process {} has not one child, but {}",
                self.0,
                children.len()
            ),
        }
    }

    pub(crate) fn children(self) -> Result<Vec<Self>> {
        let family = family()?.into_iter();
        let children = family.filter(|(_, parent)| *parent == self.0 as u64);
        Ok(children.map(|(child, _)| child).collect())
    }

    /// Itself, its children, and theirs.
    pub(crate) fn tree(self) -> Result<Vec<Self>> {
        let family = family()?;
        let mut tree = vec![self];
        let mut next = 0;
        while let Some(Self(pid)) = tree.get(next).copied() {
            let children = family.iter().filter(|(_, parent)| *parent == pid as u64);
            tree.extend(children.map(|(child, _)| *child));
            next += 1;
        }
        Ok(tree)
    }

    pub(crate) fn of(pid: Pid) -> Self {
        Self(pid.as_raw_pid())
    }

    pub(crate) fn pid(self) -> Option<Pid> {
        Pid::from_raw(self.0)
    }

    /// What its threads have run so far, to the nanosecond.
    pub(crate) fn cpu_time(self) -> Result<Duration> {
        let mut nanos = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0))? {
            // A thread may end between the two.
            if let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) {
                let run = text.split_whitespace().next().context("schedstat")?;
                nanos += run.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// A figure of `/proc/PID/status`, like "VmRSS".
    pub(crate) fn status(self, name: &str) -> Result<u64> {
        self.figure("status", name)
    }

    /// A figure of `/proc/PID/smaps_rollup`, like "Pss".
    pub(crate) fn memory(self, name: &str) -> Result<u64> {
        self.figure("smaps_rollup", name)
    }

    fn figure(self, file: &str, name: &str) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.0))?;
        let figure = text.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?.strip_prefix(':')?;
            rest.split_whitespace().next()
        });
        Ok(figure.with_context(|| format!("no {name}"))?.parse()?)
    }
}

/// All processes, each with its parent's number.
fn family() -> Result<Vec<(Figures, u64)>> {
    let mut family = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(figures) = name.to_str().and_then(|n| n.parse().ok()).map(Figures)
            // It may have ended since it was listed.
            && let Ok(parent) = figures.status("PPid")
        {
            family.push((figures, parent));
        }
    }
    Ok(family)
}

/// What is mounted there.
pub(crate) fn filesystem_of(dir: &Path) -> Result<String> {
    let kind = rustix::fs::statfs(dir)?.f_type as u64 & 0xffff_ffff;
    Ok(match kind {
        0x0102_1994 => "tmpfs".into(),
        0xef53 => "ext4".into(),
        0x5846_5342 => "xfs".into(),
        0x9123_683e => "btrfs".into(),
        0x794c_7630 => "overlayfs".into(),
        other => format!("fs {other:#x}"),
    })
}
