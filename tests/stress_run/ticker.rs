//! The commands: each writes its ticks, and does one thing that makes a
//! command hard to stop.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leader_demo::clock;
use rustix::process::{Signal, getpid, kill_process, setsid};

use crate::{MARK, ROLE, STORE};

const EVERY: Duration = Duration::from_millis(3);

/// What is special about a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// It ignores SIGTERM, and so does what it starts.
    deaf: bool,
    /// What it starts, as a role.
    starts: Option<&'static str>,
    /// That has none of our descriptors.
    bare: bool,
}

pub(crate) const KINDS: [Kind; 9] = [
    kind("plain", false, None, false),
    kind("deaf", true, None, false),
    // Leaves a twin in a session of its own.
    kind("twin", false, Some("twin"), false),
    kind("deaf-twin", true, Some("twin"), false),
    kind("bare-twin", true, Some("twin"), true),
    // Whose parent is gone.
    kind("orphan", false, Some("parent"), false),
    // That is another process every few ticks.
    kind("hopper", true, Some("hop"), false),
    // Ends by itself soon, and leaves its twin.
    kind("brief", false, Some("twin"), false),
    // Stops itself now and then.
    kind("sleepy", false, None, false),
];

const fn kind(name: &'static str, deaf: bool, starts: Option<&'static str>, bare: bool) -> Kind {
    Kind {
        name,
        deaf,
        starts,
        bare,
    }
}

impl Kind {
    /// The command, for a wrapper to run.
    pub(crate) fn command(self) -> Result<Vec<String>> {
        // Who ignores a signal goes on ignoring it after execve(2).
        let before = if self.deaf { "trap '' TERM; " } else { "" };
        self.playing("main", before)
    }

    /// Whether something of it ticks beside the command itself.
    pub(crate) fn has_twin(self) -> bool {
        self.starts.is_some()
    }

    fn playing(self, role: &str, before: &str) -> Result<Vec<String>> {
        let program = std::env::current_exe()?;
        let mut args = match before {
            "" => vec![],
            _ => vec![
                "sh".into(),
                "-c".into(),
                format!("{before}exec \"$@\""),
                "sh".into(),
            ],
        };
        args.push(program.to_str().context("a path in UTF-8")?.to_owned());
        args.extend([ROLE, "tick", self.name, role].map(str::to_owned));
        Ok(args)
    }

    fn start(self, role: &str) -> Result<()> {
        let close = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ";
        let args = self.playing(role, if self.bare { close } else { "" })?;
        Command::new(&args[0]).args(&args[1..]).spawn()?;
        Ok(())
    }
}

pub(crate) fn play(args: &[&str]) -> Result<()> {
    let [kind, role] = args else {
        anyhow::bail!("not to be started by hand");
    };
    let kind = KINDS.into_iter().find(|known| known.name == *kind);
    let kind = kind.context("no such kind")?;
    match *role {
        "main" => {
            let ticks = Ticks::open(kind, "main")?;
            ensure!(has_a_witness()?, "no witness was inherited");
            ticks.write()?;
            if let Some(role) = kind.starts {
                kind.start(role)?;
            }
            match kind.name {
                "brief" => ticks.some(20 + ticks.term * 37 % 100),
                "sleepy" => loop {
                    ticks.some(50)?;
                    kill_process(getpid(), Signal::STOP)?;
                },
                _ => ticks.forever(),
            }
        }
        "parent" => kind.start("twin"),
        "twin" => {
            let ticks = Ticks::open(kind, "twin")?;
            ensure!(
                has_a_witness()? != kind.bare,
                "{} and its witness",
                kind.name
            );
            setsid()?;
            ticks.forever()
        }
        "hop" => {
            let ticks = Ticks::open(kind, "twin")?;
            setsid()?;
            ticks.some(10)?;
            kind.start("hop")
        }
        _ => anyhow::bail!("no such role"),
    }
}

/// Whether this process has inherited what says that it lives, where there is that.
fn has_a_witness() -> Result<bool> {
    if std::env::var_os(STORE).is_some() {
        return Ok(true);
    }
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let target = std::fs::read_link(entry?.path()).unwrap_or_default();
        if target.to_string_lossy().contains("/claims/work-") {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Ticks {
    file: File,
    term: u64,
    /// What every line ends with.
    rest: String,
}

impl Ticks {
    fn open(kind: Kind, role: &str) -> Result<Self> {
        let dir = PathBuf::from(std::env::var_os(MARK).context(MARK)?);
        let file = File::options().append(true).open(dir.join("ticks"))?;
        let term = std::env::var("LEADER_DEMO_TERM")?.parse()?;
        let node = std::env::var("LEADER_DEMO_NODE_ID")?;
        let (pid, kind) = (getpid(), kind.name);
        let rest = format!("{term} {pid} {node} {kind} {role}\n");
        Ok(Self { file, term, rest })
    }

    /// One line in one write, which no other can come between.
    fn write(&self) -> Result<()> {
        let line = format!("{} {}", clock::now().as_nanos(), self.rest);
        Ok((&self.file).write_all(line.as_bytes())?)
    }

    fn some(&self, count: u64) -> Result<()> {
        // A test that is gone has no use for it.
        ensure!(self.file.metadata()?.nlink() > 0, "nobody reads this");
        for _ in 0..count {
            self.write()?;
            sleep(EVERY);
        }
        Ok(())
    }

    fn forever(&self) -> Result<()> {
        loop {
            self.some(100)?;
        }
    }
}
