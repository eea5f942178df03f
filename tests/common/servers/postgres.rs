//! A PostgreSQL of one's own, or one that all tests of a binary share.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use super::super::run::eventually;
use super::{Process, free_port, is_installed, listens, shared};

/// Who may come in how. Whoever is not named may not.
const HBA: &str = "\
local all all trust
hostssl all secure 127.0.0.1/32 trust
host all secret 127.0.0.1/32 scram-sha-256
host all postgres,plain,reader 127.0.0.1/32 trust
host replication postgres 127.0.0.1/32 trust
";

const ROLES: &str = "\
CREATE ROLE secure LOGIN; \
CREATE ROLE secret LOGIN PASSWORD 'right'; \
CREATE ROLE plain LOGIN; \
CREATE ROLE reader LOGIN; \
GRANT CREATE ON SCHEMA public TO secure, secret";

/// Stopped when it is dropped.
pub struct Postgres {
    process: Mutex<Option<Process>>,
    dir: TempDir,
    pub port: u16,
}

pub fn is_here() -> bool {
    program("postgres").is_some() || is_installed("postgres", "postgresql")
}

/// Debian has them beside the path.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    dirs.extend(versions.flatten().map(|version| version.path().join("bin")));
    let mut found = dirs.iter().map(|dir| dir.join(name));
    found.find(|path| path.is_file())
}

/// It refuses to be run by root.
pub fn command(name: &str) -> Command {
    let program = program(name).unwrap_or_else(|| panic!("{name} is missing"));
    as_nobody(Command::new(program))
}

fn as_nobody(mut command: Command) -> Command {
    command.current_dir("/").env("LC_ALL", "C");
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

const NOBODY: u32 = 65534;

fn succeeds(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

fn own_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    if geteuid().is_root() {
        chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    dir
}

impl Postgres {
    pub fn shared() -> Arc<Self> {
        static ONE: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        shared(&ONE, || Self::start(""))
    }

    /// With these lines of `postgresql.conf`.
    pub fn start(conf: &str) -> Self {
        let dir = own_dir();
        let data = dir.path().join("data");
        succeeds(
            command("initdb")
                .args(["--username=postgres", "--auth=trust", "--no-sync"])
                .args(["--encoding=UTF8", "--no-locale", "--pgdata"])
                .arg(&data),
        );
        std::fs::write(data.join("pg_hba.conf"), HBA).unwrap();
        let this = Self::on(dir, conf, free_port());
        this.sql(ROLES);
        this
    }

    /// It shows this certificate.
    pub fn start_with_tls(certificate: &str, key: &str) -> Self {
        let this = Self::start("");
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = this.dir().join("data").join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            if geteuid().is_root() {
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        this.sql("ALTER SYSTEM SET ssl = on");
        this.kill();
        this.start_again();
        this
    }

    /// A hot standby of this one.
    pub fn standby(&self) -> Self {
        self.standby_at(free_port())
    }

    /// On this port.
    pub fn standby_at(&self, port: u16) -> Self {
        let dir = own_dir();
        let here = self.port.to_string();
        succeeds(
            command("pg_basebackup")
                .args(["-h", "127.0.0.1", "-U", "postgres", "-p", &here])
                .args([
                    "--write-recovery-conf",
                    "--checkpoint=fast",
                    "--no-sync",
                    "-D",
                ])
                .arg(dir.path().join("data")),
        );
        let standby = Self::on(dir, "", port);
        eventually("it follows", || {
            self.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") != "0"
        });
        standby
    }

    fn on(dir: TempDir, conf: &str, port: u16) -> Self {
        let usual = format!(
            "max_connections = 600\nshared_buffers = 16MB\nlisten_addresses = '127.0.0.1'\n\
             unix_socket_directories = '{}'\n{conf}\n",
            dir.path().display()
        );
        let path = dir.path().join("data/postgresql.conf");
        let given = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, given + &usual).unwrap();
        let this = Self {
            process: Mutex::new(None),
            dir,
            port,
        };
        this.start_again();
        this
    }

    /// A PgBouncer before it that gives each transaction one of two sessions; and its
    /// port.
    pub fn pooler(&self) -> (Process, u16) {
        let port = free_port();
        let settings = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n\
             max_client_conn = 500\n",
            self.port
        );
        let path = self.dir().join("pgbouncer.ini");
        std::fs::write(&path, settings).unwrap();
        let mut pgbouncer = as_nobody(Command::new("pgbouncer"));
        let process = Process::start(pgbouncer.arg(&path), &self.dir().join("pooler"));
        (process.until(|| listens(port)), port)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `USER[:PASSWORD]` and what comes after the host.
    pub fn url(&self, user: &str, rest: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{rest}", self.port)
    }

    /// What psql prints of it.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        let output = self.psql(sql).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A session of a stranger's.
    pub fn psql(&self, sql: &str) -> Command {
        let mut psql = Command::new("psql");
        psql.args(["-h", "127.0.0.1", "-U", "postgres", "-d", "postgres"])
            .args(["-p", &self.port.to_string(), "-XAtqc", sql])
            .stdin(Stdio::null());
        psql
    }

    fn is_ready(&self) -> bool {
        let output = self.psql("SELECT 1").output().unwrap();
        output.status.success()
    }

    /// `kill -9` to all of it.
    pub fn kill(&self) {
        let all = self.processes();
        let shared = self.shared_memory();
        self.process().take();
        for pid in &all {
            // Those that saw it die are gone already.
            let _ = kill_process(*pid, Signal::KILL);
        }
        eventually("all its processes are gone", || {
            all.iter()
                .all(|pid| !Path::new(&format!("/proc/{}", pid.as_raw_pid())).exists())
        });
        // It would have removed that itself.
        if let Some(id) = shared {
            let _ = Command::new("ipcrm").args(["-m", &id]).output();
        }
    }

    /// The id of what its processes share, as in its own notes.
    fn shared_memory(&self) -> Option<String> {
        let notes = std::fs::read_to_string(self.dir.path().join("data/postmaster.pid")).ok()?;
        let shared = notes.lines().nth(6)?.split_whitespace().nth(1)?;
        Some(shared.to_owned())
    }

    /// On the same port, with what it had.
    pub fn start_again(&self) {
        let mut command = command("postgres");
        command
            .arg("-D")
            .arg(self.dir().join("data"))
            .args(["-p", &self.port.to_string()]);
        let process = Process::start(&mut command, &self.dir().join("log"));
        *self.process() = Some(process.until(|| self.is_ready()));
    }

    /// To all of its processes.
    pub fn signal(&self, signal: Signal) {
        for pid in self.processes() {
            let _ = kill_process(pid, signal);
        }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first is the parent of the others.
    fn processes(&self) -> Vec<Pid> {
        let file = std::fs::read_to_string(self.dir().join("data/postmaster.pid"));
        let file = file.unwrap_or_default();
        let first = file.lines().next().unwrap_or_default();
        let children = format!("/proc/{first}/task/{first}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        [first]
            .into_iter()
            .chain(children.split_whitespace())
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}
