//! Processes and places that are gone when the benchmark is, however it ends.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use leader_demo::clock::{self, BootTime};
use rustix::process::{Pid, Signal};
use serde::Deserialize;
use tempfile::TempDir;

use crate::roles;
use crate::table::Table;

/// What is left to clean up when a signal ends the benchmark.
static LEFT: Mutex<Left> = Mutex::new(Left {
    pids: BTreeSet::new(),
    dirs: BTreeSet::new(),
});

struct Left {
    pids: BTreeSet<i32>,
    dirs: BTreeSet<PathBuf>,
}

fn left() -> MutexGuard<'static, Left> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn clean_up_when_interrupted() -> Result<()> {
    ctrlc::set_handler(|| {
        let left = left();
        for pid in left.pids.iter().copied().filter_map(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        for dir in &left.dirs {
            let _ = std::fs::remove_dir_all(dir);
        }
        std::process::exit(130);
    })
    .context("cannot listen for signals")
}

/// A process that is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
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
        let mut left = left();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        let pid = Pid::from_child(&child);
        left.pids.insert(pid.as_raw_nonzero().get());
        let stdout = child.stdout.take().context("stdout is piped")?;
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
        Ok(Self { child, pid, lines })
    }

    /// A node of the demo.
    pub(crate) fn node(dir: &Path, args: &[&str]) -> Result<Self> {
        Self::node_of(Path::new(env!("CARGO_BIN_EXE_leader-demo")), dir, args)
    }

    /// A node of this build of the demo.
    pub(crate) fn node_of(program: &Path, dir: &Path, args: &[&str]) -> Result<Self> {
        static COUNT: Mutex<u64> = Mutex::new(0);
        let count = {
            let mut count = COUNT.lock().unwrap_or_else(PoisonError::into_inner);
            *count += 1;
            *count
        };
        let mut command = Command::new(program);
        command
            .args(["--log-format=json", "--log-level=error"])
            .arg(format!("--node-id=node-{count}"))
            .arg("--lock-dir")
            .arg(dir)
            .args(args);
        Self::spawn(&mut command)
    }

    /// This binary in one of its [`roles`].
    pub(crate) fn role<S: AsRef<OsStr>>(role: &str, args: &[S]) -> Result<Self> {
        Self::spawn(
            Command::new(std::env::current_exe()?)
                .args([roles::FLAG, role])
                .args(args),
        )
    }

    /// Waits for the next line about this event; those before it are passed over.
    pub(crate) fn next(&self, event: &str) -> Result<Line> {
        self.next_of(&[event])
    }

    /// As [`next`](Self::next), about any of these.
    pub(crate) fn next_of(&self, events: &[&str]) -> Result<Line> {
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .with_context(|| format!("process {} says none of {events:?}", self.child.id()))?;
            if events.contains(&&*line.event) {
                return Ok(line);
            }
        }
    }

    /// Sends it a signal and says what time it was just before.
    pub(crate) fn signal(&self, signal: Signal) -> Result<BootTime> {
        let before = clock::now();
        rustix::process::kill_process(self.pid, signal)?;
        Ok(before)
    }

    /// What the kernel says of it.
    pub(crate) fn figures(&self) -> Figures {
        Figures(self.pid.as_raw_pid())
    }
}

/// One of our commands that does something about an election.
pub(crate) fn ours(command: &str, dir: &Path) -> Command {
    let mut ours = Command::new(env!("CARGO_BIN_EXE_leader-demo"));
    ours.args([command, "--lock-dir"]).arg(dir);
    ours
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
        let Self(pid) = self;
        let mut children = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let Some(other) = entry?.file_name().to_str().and_then(|n| n.parse().ok()) else {
                continue;
            };
            let other = Self(other);
            // It may have ended since it was listed.
            if other
                .status("PPid")
                .is_ok_and(|parent| parent == pid as u64)
            {
                children.push(other);
            }
        }
        match children[..] {
            [child] => Ok(child),
            _ => bail!("process {pid} has not one child, but {}", children.len()),
        }
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

impl Drop for Process {
    fn drop(&mut self) {
        // No longer to be killed by anybody else: once reaped, its number is free.
        left().pids.remove(&self.pid.as_raw_nonzero().get());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A filesystem to measure on.
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) in_memory: bool,
    dir: TempDir,
}

impl Place {
    /// Memory first, then the disk; what this machine lacks is said, not guessed.
    pub(crate) fn all(table: &mut Table) -> Result<Vec<Self>> {
        let disk = std::env::var_os("BENCH_DISK").map(PathBuf::from);
        let disk = disk.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
        std::fs::create_dir_all(&disk)?;
        let mut places = Vec::new();
        for (dir, in_memory) in [(Path::new("/dev/shm"), true), (&disk, false)] {
            let name = filesystem_of(dir)?;
            if (name == "tmpfs") == in_memory {
                let dir = tempfile::Builder::new()
                    .prefix("leader-demo-bench-")
                    .tempdir_in(dir)?;
                left().dirs.insert(dir.path().to_owned());
                places.push(Self {
                    name,
                    in_memory,
                    dir,
                });
            } else if in_memory {
                table.note("/dev/shm is no tmpfs: nothing is measured in memory");
            } else {
                table.note(format!(
                    "{} is a tmpfs: nothing is measured on disk; set BENCH_DISK",
                    dir.display()
                ));
            }
        }
        if places.is_empty() {
            bail!("neither a tmpfs nor a disk to measure on");
        }
        Ok(places)
    }

    /// A directory of its own in this place.
    pub(crate) fn fresh(&self) -> Result<PathBuf> {
        let dir = tempfile::tempdir_in(self.dir.path())?;
        Ok(dir.keep())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        left().dirs.remove(self.dir.path());
    }
}

fn filesystem_of(dir: &Path) -> Result<String> {
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
