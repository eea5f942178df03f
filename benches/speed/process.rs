//! Nodes, and the places they are measured in.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use tempfile::TempDir;

pub(crate) use crate::common::process::{Figures, Process, clean_up_when_interrupted, time};
use crate::common::process::{filesystem_of, left};
use crate::common::roles;
use crate::table::Table;

impl Process {
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
}

/// One of our commands that does something about an election.
pub(crate) fn ours(command: &str, dir: &Path) -> Command {
    let mut ours = Command::new(env!("CARGO_BIN_EXE_leader-demo"));
    ours.args([command, "--lock-dir"]).arg(dir);
    ours
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
