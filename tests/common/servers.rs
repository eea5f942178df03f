//! Real servers to keep leases on: started on free loopback ports, with their data in
//! temporary directories, and stopped by pid.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::run::eventually;
use super::skip;

pub mod etcd;
pub mod postgres;
pub mod proxy;
pub mod redis;

/// For who catches Ctrl+C and stops them itself: it is sent to a whole process group.
pub static OWN_GROUPS: AtomicBool = AtomicBool::new(false);

/// A process that is killed when this is dropped.
pub struct Process {
    child: Child,
    /// What it said, for who wonders why it failed.
    log: PathBuf,
}

impl Process {
    /// Its output goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let out = File::options().create(true).append(true).open(log).unwrap();
        if OWN_GROUPS.load(Ordering::Relaxed) {
            command.process_group(0);
        }
        let child = command
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Self {
            child,
            log: log.to_owned(),
        }
    }

    /// Waits until it is `ready`.
    #[track_caller]
    pub fn until(self, ready: impl Fn() -> bool) -> Self {
        let this = std::cell::RefCell::new(self);
        eventually("the server is ready", || {
            let this = &mut *this.borrow_mut();
            if let Some(status) = this.child.try_wait().unwrap() {
                let log = std::fs::read_to_string(&this.log).unwrap_or_default();
                panic!("the server ended with {status}: {log}");
            }
            ready()
        });
        this.into_inner()
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on. Another may take it before it is used; so it is
/// taken from those that the kernel gives nobody by itself.
pub fn free_port() -> u16 {
    static NEXT: Mutex<u16> = Mutex::new(0);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let offset = (std::process::id() as u16)
            .wrapping_mul(37)
            .wrapping_add(*next)
            % 12_000;
        *next += 1;
        let port = 20_000 + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Whether this program is here. In CI it must be; elsewhere a test that needs it is
/// skipped, and says so.
pub fn is_installed(program: &str, package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{program} is missing: apt-get install {package}"
    );
    skip(&format!("{program} is missing: apt-get install {package}"));
    false
}

/// One for all tests that run at the time: the last to let go of it stops it.
pub fn shared<S>(one: &Mutex<Weak<S>>, start: impl FnOnce() -> S) -> Arc<S> {
    let mut one = one.lock().unwrap_or_else(PoisonError::into_inner);
    one.upgrade().unwrap_or_else(|| {
        let server = Arc::new(start());
        *one = Arc::downgrade(&server);
        server
    })
}

/// A server, for as long as this is kept, and its URL.
pub struct Started {
    pub url: String,
    _server: Option<Box<dyn std::any::Any>>,
}

/// One of this kind of its own, `etcd` say, or the one with this URL.
pub fn start(store: &str) -> Started {
    let (url, server): (_, Box<dyn std::any::Any>) = match store {
        "etcd" => {
            let etcd = etcd::Etcd::start(3, &[]);
            (etcd.url(), Box::new(etcd))
        }
        "redis" => {
            let redis = redis::Redis::start(&[]);
            (redis.url(), Box::new(redis))
        }
        "postgres" => {
            let postgres = postgres::Postgres::start("");
            (postgres.url("postgres", ""), Box::new(postgres))
        }
        url => {
            return Started {
                url: url.to_owned(),
                _server: None,
            };
        }
    };
    Started {
        url,
        _server: Some(server),
    }
}

/// Whether somebody listens there.
pub fn listens(port: u16) -> bool {
    let address = ([127, 0, 0, 1], port).into();
    std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}
