//! Real servers: free ports on loopback, and directories that are gone afterwards.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leader_demo::clock;
use rustix::process::Signal;

use crate::common::process::{Figures, Owned};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Etcd,
    Redis,
    ZooKeeper,
    Postgres,
}

impl Kind {
    /// Those that `leader-demo` knows too.
    pub(crate) const STORES: [Self; 3] = [Self::Etcd, Self::Redis, Self::Postgres];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Redis => "Redis",
            Self::ZooKeeper => "ZooKeeper",
            Self::Postgres => "PostgreSQL",
        }
    }

    pub(crate) fn is_installed(self) -> bool {
        match self {
            Self::Etcd => has("etcd") && has("etcdctl"),
            Self::Redis => has("redis-server") && has("redis-cli"),
            Self::ZooKeeper => has("java") && Path::new(ZOOKEEPER).exists(),
            Self::Postgres => postgres_program("postgres").is_some(),
        }
    }
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}

/// A server that is stopped when this is dropped.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    process: Owned,
    pub(crate) port: u16,
}

/// One of each kind, for all tools that use it.
pub(crate) struct Servers {
    dir: PathBuf,
    started: Vec<Rc<Server>>,
}

impl Servers {
    pub(crate) fn new(dir: PathBuf) -> Self {
        let started = Vec::new();
        Self { dir, started }
    }

    pub(crate) fn all(&self) -> &[Rc<Server>] {
        &self.started
    }

    /// Starts it when it is first asked for.
    pub(crate) fn of(&mut self, kind: Kind) -> Result<Rc<Server>> {
        let mut started = self.started.iter();
        if let Some(server) = started.find(|server| server.kind == kind) {
            return Ok(server.clone());
        }
        eprintln!("starting {}", kind.name());
        let own = self.dir.join(kind.name());
        std::fs::create_dir_all(&own)?;
        let start = match kind {
            Kind::Etcd => etcd,
            Kind::Redis => redis,
            Kind::ZooKeeper => zookeeper,
            Kind::Postgres => postgres,
        };
        let server = Rc::new(start(&own).with_context(|| kind.name().to_owned())?);
        self.started.push(server.clone());
        Ok(server)
    }
}

/// Longer than any takes to start.
const PATIENCE: Duration = Duration::from_secs(60);

fn etcd(dir: &Path) -> Result<Server> {
    let (port, peers) = (free_port()?, free_port()?);
    let url = |port| format!("http://127.0.0.1:{port}");
    let mut etcd = Command::new("etcd");
    etcd.arg("--data-dir").arg(dir);
    for (flag, value) in [
        ("listen-client-urls", url(port)),
        ("advertise-client-urls", url(port)),
        ("listen-peer-urls", url(peers)),
        ("initial-advertise-peer-urls", url(peers)),
        ("initial-cluster", format!("default={}", url(peers))),
    ] {
        etcd.arg(format!("--{flag}={value}"));
    }
    Server::start(Kind::Etcd, &mut etcd, port, || {
        let mut health = Command::new("etcdctl");
        health.args(["endpoint", "health", "--endpoints", &url(port)]);
        health.env("ETCDCTL_API", "3");
        health
    })
}

fn redis(dir: &Path) -> Result<Server> {
    let port = free_port()?;
    let mut redis = Command::new("redis-server");
    redis.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    redis.args(["--port", &port.to_string(), "--dir"]).arg(dir);
    Server::start(Kind::Redis, &mut redis, port, || Command::new("true"))
}

const ZOOKEEPER: &str = "/usr/share/java/zookeeper.jar";

fn zookeeper(dir: &Path) -> Result<Server> {
    let port = free_port()?;
    let settings = dir.join("zoo.cfg");
    // A session lasts at most 20 ticks.
    let text = format!(
        "tickTime=500\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\n\
         admin.enableServer=false\n",
        dir.display()
    );
    std::fs::write(&settings, text)?;
    let mut java = Command::new("java");
    java.args(["-Xmx128m", "-cp"])
        .arg(format!("{}:{ZOOKEEPER}", dir.display()))
        .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
        .arg(settings);
    Server::start(Kind::ZooKeeper, &mut java, port, || Command::new("true"))
}

/// Debian keeps PostgreSQL's programs out of the path.
pub(crate) fn postgres_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let debians = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")));
    std::env::split_paths(&path)
        .chain(debians.into_iter().flatten())
        .map(|dir| dir.join(name))
        .find(|program| program.exists())
}

fn postgres(dir: &Path) -> Result<Server> {
    let port = free_port()?;
    let program = |name: &str| {
        let program = postgres_program(name).with_context(|| format!("no {name}"))?;
        Ok::<_, anyhow::Error>(as_nobody(&program))
    };
    // It refuses to run as root.
    if rustix::process::geteuid().is_root() {
        const NOBODY: u32 = 65534;
        chown(dir, Some(NOBODY), Some(NOBODY))?;
    }
    let made = program("initdb")?
        .args(["--auth=trust", "--username=postgres", "--pgdata"])
        .arg(dir)
        .stdout(Stdio::null())
        .status()?;
    ensure!(made.success(), "initdb: {made}");
    let mut postgres = program("postgres")?;
    postgres.arg("-D").arg(dir).arg("-k").arg(dir);
    postgres.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    // Each of ours that waits has two.
    postgres.args(["-c", "max_connections=300"]);
    let ready = postgres_program("pg_isready").context("no pg_isready")?;
    Server::start(Kind::Postgres, &mut postgres, port, || {
        let mut ready = Command::new(&ready);
        ready.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        ready
    })
}

fn as_nobody(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut setpriv = Command::new("setpriv");
    setpriv
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .arg(program);
    setpriv
}

impl Server {
    /// For `--store`.
    pub(crate) fn url(&self) -> String {
        let port = self.port;
        match self.kind {
            Kind::Etcd => format!("etcd://127.0.0.1:{port}"),
            Kind::Redis => format!("redis://127.0.0.1:{port}"),
            Kind::ZooKeeper => format!("zookeeper://127.0.0.1:{port}"),
            Kind::Postgres => format!("postgres://postgres@127.0.0.1:{port}/postgres"),
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures::of(self.process.pid)
    }

    /// Starts it, and waits until its port answers and then `ready` succeeds.
    fn start(
        kind: Kind,
        command: &mut Command,
        port: u16,
        ready: impl Fn() -> Command,
    ) -> Result<Self> {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // All of them stop in good order at a SIGINT; PostgreSQL leaves memory otherwise.
        let process = Owned::spawn(command, Signal::INT)?;
        let mut server = Self {
            kind,
            process,
            port,
        };
        let started = clock::now();
        loop {
            let answers = TcpStream::connect(("127.0.0.1", port)).is_ok();
            let quiet = |command: &mut Command| {
                command.stdout(Stdio::null()).stderr(Stdio::null()).status()
            };
            if answers && quiet(&mut ready())?.success() {
                return Ok(server);
            }
            if server.process.has_ended() || clock::now().since(started) > PATIENCE {
                bail!("{command:?} does not start");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
