//! Who is compared, and how each runs a command while it holds its lock.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Pid;

use crate::LEASE;
use crate::common::process::{Figures, Process};
use crate::common::roles;
use crate::server::{Kind, Server, Servers, postgres_program};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tool {
    Ours,
    OursOn(Kind),
    Flock,
    EtcdLock,
    EtcdElect,
    Redis,
    ZooKeeper,
    Postgres,
}

/// Whoever shares a server is beside each other.
pub(crate) const TOOLS: [Tool; 10] = [
    Tool::Ours,
    Tool::Flock,
    Tool::OursOn(Kind::Postgres),
    Tool::Postgres,
    Tool::ZooKeeper,
    Tool::OursOn(Kind::Redis),
    Tool::Redis,
    Tool::OursOn(Kind::Etcd),
    Tool::EtcdLock,
    Tool::EtcdElect,
];

/// Debian's, which has Debian's libraries.
const PYTHON: &str = "/usr/bin/python3";
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "leader-demo run",
            Self::OursOn(Kind::Etcd) => "leader-demo run on etcd",
            Self::OursOn(Kind::Redis) => "leader-demo run on Redis",
            Self::OursOn(Kind::Postgres) => "leader-demo run on PostgreSQL",
            Self::OursOn(Kind::ZooKeeper) => "leader-demo run on ZooKeeper",
            Self::Flock => "flock(1)",
            Self::EtcdLock => "etcdctl lock",
            Self::EtcdElect => "etcdctl elect",
            Self::Redis => "Redis, redis-py Lock",
            Self::ZooKeeper => "ZooKeeper, kazoo Lock",
            Self::Postgres => "PostgreSQL advisory lock",
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::OursOn(_))
    }

    /// What the system at hand has by itself.
    pub(crate) fn own_of(kind: Kind) -> Self {
        match kind {
            Kind::Etcd => Self::EtcdLock,
            Kind::Redis => Self::Redis,
            Kind::ZooKeeper => Self::ZooKeeper,
            Kind::Postgres => Self::Postgres,
        }
    }

    /// In a word.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Ours | Self::OursOn(_) => "run",
            Self::Flock => "flock",
            Self::EtcdLock => "etcdctl lock",
            Self::EtcdElect => "etcdctl elect",
            Self::Redis => "redis-py",
            Self::ZooKeeper => "kazoo",
            Self::Postgres => "advisory lock",
        }
    }

    fn server(self) -> Option<Kind> {
        match self {
            Self::Ours | Self::Flock => None,
            Self::OursOn(kind) => Some(kind),
            Self::EtcdLock | Self::EtcdElect => Some(Kind::Etcd),
            Self::Redis => Some(Kind::Redis),
            Self::ZooKeeper => Some(Kind::ZooKeeper),
            Self::Postgres => Some(Kind::Postgres),
        }
    }

    /// How it was set, for the reader.
    pub(crate) fn settings(self) -> &'static str {
        match self {
            Self::Ours => "its defaults: lease 10 s; built with `--features full`",
            Self::OursOn(_) => "the same with `--store`, on the server that the tool below it has",
            Self::Flock => "`flock FILE COMMAND`; it has no lease",
            Self::EtcdLock => "one member; `etcdctl lock`, its default `--ttl=10`",
            Self::EtcdElect => {
                "one member; `etcdctl elect`, whose lease is 60 s and cannot be set; \
                 `benches/peers/elect.sh` runs the command"
            }
            Self::Redis => {
                "one server, no persistence; `Lock(timeout=10)` with its default poll every 0.1 s; \
                 `benches/peers/candidate.py` renews it every 3.3 s and runs the command"
            }
            Self::ZooKeeper => {
                "one server, `tickTime=500`; `Lock` in a session of 10 s, kazoo's default; \
                 `benches/peers/candidate.py` runs the command"
            }
            Self::Postgres => {
                "one server, `max_connections=300`; `pg_advisory_lock` in a session of its own, \
                 without a lease; `benches/peers/candidate.py` runs the command"
            }
        }
    }

    /// How long the others wait for one that is silent, at most.
    pub(crate) fn lease(self) -> Duration {
        match self {
            Self::EtcdElect => Duration::from_secs(60),
            _ => LEASE,
        }
    }

    pub(crate) fn is_installed(self) -> bool {
        let client = match self {
            Self::Flock => "command -v flock",
            Self::Redis => "/usr/bin/python3 -c 'import redis'",
            Self::ZooKeeper => "/usr/bin/python3 -c 'import kazoo'",
            Self::Postgres => "/usr/bin/python3 -c 'import psycopg2'",
            Self::Ours | Self::OursOn(_) | Self::EtcdLock | Self::EtcdElect => "true",
        };
        let found = Command::new("sh")
            .args(["-c", client])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        found.is_ok_and(|status| status.success()) && self.server().is_none_or(Kind::is_installed)
    }

    pub(crate) fn version(self) -> Result<String> {
        let python = |server: &str, library: &str| {
            format!(
                "{server}; /usr/bin/python3 -c 'import {library}; print(\"{library}\", {library}.__version__.split()[0])'"
            )
        };
        let script = match self {
            Self::Ours | Self::OursOn(_) => {
                return Ok(format!("leader-demo {}", env!("CARGO_PKG_VERSION")));
            }
            Self::Flock => "flock --version".to_owned(),
            Self::EtcdLock | Self::EtcdElect => {
                "ETCDCTL_API=3 etcdctl version | head -n1".to_owned()
            }
            Self::Redis => python("redis-server --version | cut -d' ' -f1-3", "redis"),
            Self::ZooKeeper => python(
                "basename /usr/share/java/zookeeper-[0-9]*.jar .jar",
                "kazoo",
            ),
            Self::Postgres => {
                let postgres = postgres_program("postgres").context("no postgres")?;
                python(&format!("{} --version", postgres.display()), "psycopg2")
            }
        };
        let output = Command::new("sh").args(["-c", &script]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout)
            .trim()
            .replace('\n', ", "))
    }
}

/// A tool, where it keeps its locks, and its server, if it has one.
pub(crate) struct Installed {
    pub(crate) tool: Tool,
    dir: PathBuf,
    pub(crate) server: Option<Rc<Server>>,
}

impl Installed {
    pub(crate) fn start(tool: Tool, dir: PathBuf, servers: &mut Servers) -> Result<Self> {
        let server = tool.server().map(|kind| servers.of(kind)).transpose()?;
        Ok(Self { tool, dir, server })
    }

    /// One that runs this benchmark in a role once it holds the lock of that name.
    pub(crate) fn candidate(&self, name: &str, role: &str) -> Result<Process> {
        let lease = LEASE.as_secs().to_string();
        let port = self
            .server
            .as_ref()
            .map_or(0, |server| server.port)
            .to_string();
        let python = |lock| {
            let mut python = Command::new(PYTHON);
            python.arg(Path::new(PEERS).join("candidate.py"));
            python.args([lock, name, &port, &lease]);
            python
        };
        let mut candidate = match self.tool {
            Tool::Ours | Tool::OursOn(_) => {
                let mut run = Command::new(env!("CARGO_BIN_EXE_leader-demo"));
                run.args(["run", "--log-level=error", "--lock-name", name]);
                match &self.server {
                    Some(server) => run.args(["--store", &server.url()]),
                    None => run.arg("--lock-dir").arg(&self.dir),
                };
                run.arg("--");
                run
            }
            Tool::Flock => {
                let mut flock = Command::new("flock");
                flock.arg(self.dir.join(name));
                flock
            }
            Tool::EtcdLock => {
                let mut etcdctl = Command::new("etcdctl");
                etcdctl.args(["lock", name, "--"]);
                // It tells how its command ended, in every round.
                etcdctl.stderr(Stdio::null());
                etcdctl
            }
            Tool::EtcdElect => {
                let mut elect = Command::new(Path::new(PEERS).join("elect.sh"));
                // `etcdctl lock` has its keys below the name, too.
                elect.arg(format!("{name}-elect"));
                elect
            }
            Tool::Redis => python("redis"),
            Tool::ZooKeeper => python("zookeeper"),
            Tool::Postgres => python("postgres"),
        };
        candidate
            .env("ETCDCTL_API", "3")
            .env("ETCDCTL_ENDPOINTS", format!("http://127.0.0.1:{port}"));
        candidate
            .arg(std::env::current_exe()?)
            .args([roles::FLAG, role]);
        Process::spawn(&mut candidate)
    }

    /// What holds the lock beside the command: of ours only the wrapper, not the
    /// guard that is there to outlive it.
    pub(crate) fn wrapper(&self, holder: &Process, command: Pid) -> Result<Vec<Pid>> {
        if self.tool.is_ours() {
            return Ok(vec![holder.pid]);
        }
        let tree = holder.figures().tree()?;
        let pids = tree.into_iter().filter_map(Figures::pid);
        Ok(pids.filter(|pid| *pid != command).collect())
    }
}
