//! etcd: one member, or several that are a cluster.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, Weak};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Process, free_port, is_installed, listens, shared};

pub fn is_here() -> bool {
    is_installed("etcd", "etcd-server") && is_installed("etcdctl", "etcd-client")
}

pub struct Etcd {
    members: Vec<Member>,
    /// What else each of them is started with.
    flags: Vec<String>,
    tls: Option<Certificates>,
    dir: TempDir,
}

struct Member {
    name: String,
    port: u16,
    peers: String,
    process: Mutex<Option<Process>>,
}

impl Etcd {
    /// One for the whole test program, for who breaks nothing.
    pub fn shared() -> std::sync::Arc<Self> {
        static ONE: Mutex<Weak<Etcd>> = Mutex::new(Weak::new());
        shared(&ONE, || Self::start(1, &[]))
    }

    pub fn start(members: usize, flags: &[&str]) -> Self {
        Self::new(members, flags, None)
    }

    /// Over TLS.
    pub fn secure(tls: Certificates, flags: &[&str]) -> Self {
        Self::new(1, flags, Some(tls))
    }

    fn new(members: usize, flags: &[&str], tls: Option<Certificates>) -> Self {
        let member = |n| Member {
            name: format!("m{n}"),
            port: free_port(),
            peers: format!("http://127.0.0.1:{}", free_port()),
            process: Mutex::new(None),
        };
        let this = Self {
            members: (0..members).map(member).collect(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            tls,
            dir: tempfile::tempdir().unwrap(),
        };
        for n in 0..members {
            this.revive(n);
        }
        for n in 0..members {
            this.ready(n);
        }
        this
    }

    pub fn port(&self, n: usize) -> u16 {
        self.members[n].port
    }

    pub fn hosts(&self) -> String {
        let hosts = self.members.iter();
        let hosts: Vec<_> = hosts.map(|m| format!("127.0.0.1:{}", m.port)).collect();
        hosts.join(",")
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "etcds" } else { "etcd" };
        format!("{scheme}://{}", self.hosts())
    }

    pub fn signal(&self, n: usize, signal: Signal) {
        let process = self.members[n].process.lock().unwrap();
        process.as_ref().unwrap().signal(signal);
    }

    /// `kill -9`.
    pub fn kill(&self, n: usize) {
        *self.members[n].process.lock().unwrap() = None;
    }

    /// On the same port and data, or for the first time. It may not be ready yet.
    pub fn revive(&self, n: usize) {
        self.revive_with(n, &[]);
    }

    pub fn revive_with(&self, n: usize, flags: &[&str]) {
        let Member {
            name, port, peers, ..
        } = &self.members[n];
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let clients = format!("{scheme}://127.0.0.1:{port}");
        let all = self.members.iter();
        let all: Vec<_> = all.map(|m| format!("{}={}", m.name, m.peers)).collect();
        let mut command = Command::new("etcd");
        command
            .args(["--name", name, "--data-dir"])
            .arg(self.dir.path().join(name))
            .args(["--listen-client-urls", &clients])
            .args(["--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", peers])
            .args(["--initial-advertise-peer-urls", peers])
            .args(["--initial-cluster", &all.join(",")])
            .args(&self.flags)
            .args(flags);
        if let Some(tls) = &self.tls {
            let [cert, key] = [&tls.cert, &tls.key];
            command
                .arg("--cert-file")
                .arg(cert)
                .arg("--key-file")
                .arg(key);
        }
        let log = self.dir.path().join(format!("{name}.log"));
        *self.members[n].process.lock().unwrap() = Some(Process::start(&mut command, &log));
    }

    /// Waits until it answers.
    #[track_caller]
    pub fn ready(&self, n: usize) {
        let port = self.port(n);
        let mut process = self.members[n].process.lock().unwrap();
        let started = process.take().unwrap();
        let answers = || {
            let here = format!("--endpoints=127.0.0.1:{port}");
            listens(port)
                && self
                    .etcdctl(&[&here, "endpoint", "status"])
                    .status()
                    .unwrap()
                    .success()
        };
        *process = Some(started.until(|| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            answers()
        }));
    }

    /// As if it had never been.
    pub fn forget(&self, n: usize) {
        std::fs::remove_dir_all(self.dir.path().join(&self.members[n].name)).unwrap();
    }

    /// Which member leads the others.
    pub fn leader(&self) -> usize {
        let status = |n| {
            let here = format!("--endpoints=127.0.0.1:{}", self.port(n));
            let said = self.ctl(&[&here, "endpoint", "status", "-w", "json"]);
            let said: serde_json::Value = serde_json::from_str(&said).unwrap();
            let status = &said[0]["Status"];
            status["leader"] == status["header"]["member_id"]
        };
        (0..self.members.len()).find(|n| status(*n)).unwrap()
    }

    /// What `etcdctl` says; it must succeed.
    #[track_caller]
    pub fn ctl(&self, args: &[&str]) -> String {
        let output = self.etcdctl(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "etcdctl {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether it could be done.
    pub fn try_ctl(&self, args: &[&str]) -> bool {
        self.etcdctl(args).output().unwrap().status.success()
    }

    fn etcdctl(&self, args: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("ETCDCTL_API", "3");
        // One flag is not to be said in two ways.
        if !args.iter().any(|arg| arg.starts_with("--endpoints")) {
            command.env("ETCDCTL_ENDPOINTS", self.hosts());
        }
        if let Some(tls) = &self.tls {
            command
                .env("ETCDCTL_CACERT", &tls.ca)
                .env("ETCDCTL_CERT", &tls.cert)
                .env("ETCDCTL_KEY", &tls.key);
        }
        command.args(args);
        command.stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped());
        command
    }
}

/// A CA, and what it signed: for 127.0.0.1, at either end.
#[derive(Clone)]
pub struct Certificates {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Certificates {
    pub fn make(dir: &Path) -> Self {
        let openssl = |args: &str| {
            let output = Command::new("openssl")
                .args(args.split(' '))
                .current_dir(dir)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "openssl {args}: {said}");
        };
        let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        std::fs::write(
            dir.join("extensions"),
            "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
        )
        .unwrap();
        openssl(&format!(
            "req -x509 {new} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"
        ));
        openssl(&format!(
            "req {new} -keyout its.key -out its.csr -subj /CN=its"
        ));
        openssl(
            "x509 -req -in its.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile extensions -out its.pem",
        );
        Self {
            ca: dir.join("ca.pem"),
            cert: dir.join("its.pem"),
            key: dir.join("its.key"),
        }
    }
}
