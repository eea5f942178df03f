//! `--notify-systemd`: what a service manager hears, on a socket of its kind.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::{Duration, Instant};

use common::run::{LONG, Runs, SHORT};
use common::wedge::Wedged;
use common::{Cluster, Node, PATIENCE, binary};
use rustix::process::Signal;
use tempfile::TempDir;

/// The other end of NOTIFY_SOCKET.
struct Manager {
    socket: UnixDatagram,
    name: String,
    _dir: TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let address = SocketAddr::from_pathname(&path).unwrap();
        Self::at(&address, path.to_str().unwrap().to_owned(), dir)
    }

    fn r#abstract() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("leader-demo{}", dir.path().display());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Self::at(&address, format!("@{name}"), dir)
    }

    fn at(address: &SocketAddr, name: String, dir: TempDir) -> Self {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        Self {
            socket,
            name,
            _dir: dir,
        }
    }

    /// As systemd starts it.
    fn start(&self, cluster: &Cluster, id: &str, lease: &[&str]) -> Node {
        let mut command = self.told_by(binary());
        command
            .args(["--node-id", id, "--log-format", "json", "--notify-systemd"])
            .arg("--lock-dir")
            .arg(cluster.dir())
            .args(lease);
        Node::spawn(id, command)
    }

    fn told_by(&self, mut command: Command) -> Command {
        command
            .env("NOTIFY_SOCKET", &self.name)
            .env("WATCHDOG_USEC", "200000");
        command
    }

    /// The lines that come within this time, until one that is `wanted`.
    fn hears_within(&self, patience: Duration, wanted: &str) -> (bool, Vec<String>) {
        let deadline = Instant::now() + patience;
        let mut heard = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return (false, heard);
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            let mut message = [0; 4096];
            match self.socket.recv(&mut message) {
                Ok(length) => {
                    let text = std::str::from_utf8(&message[..length]).unwrap();
                    heard.extend(text.lines().map(str::to_owned));
                    if text.lines().any(|line| line == wanted) {
                        return (true, heard);
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => panic!("{e}"),
            }
        }
    }

    #[track_caller]
    fn hears(&self, wanted: &str) -> Vec<String> {
        let (found, heard) = self.hears_within(PATIENCE, wanted);
        assert!(found, "never heard {wanted}: {heard:?}");
        heard
    }
}

#[test]
fn a_manager_hears_who_leads_from_start_to_end() {
    let cluster = Cluster::new(&[]);
    let manager = Manager::new();
    let mut a = manager.start(&cluster, "a", LONG);
    let heard = manager.hears("STATUS=leading in term 1");
    let ready = |heard: &[String]| heard.iter().filter(|line| *line == "READY=1").count();
    assert_eq!(ready(&heard), 1, "{heard:?}");
    let others = Manager::r#abstract();
    let mut b = others.start(&cluster, "b", LONG);
    // Who follows is ready too.
    let heard = others.hears("STATUS=following a, term 1");
    let heard = [heard, others.hears("WATCHDOG=1")].concat();
    assert_eq!(ready(&heard), 1, "{heard:?}");
    a.stop();
    let heard = manager.hears("STOPPING=1");
    assert_eq!(ready(&heard), 0, "{heard:?}");
    others.hears("STATUS=leading in term 2");
    b.stop();
    others.hears("STOPPING=1");
}

#[test]
fn the_watchdog_is_fed_while_the_election_goes_on_and_no_longer() {
    let cluster = Cluster::new(&[]);
    let manager = Manager::new();
    let node = manager.start(&cluster, "a", SHORT);
    manager.hears("STATUS=leading in term 1");
    for _ in 0..5 {
        manager.hears("WATCHDOG=1");
    }
    if let Some(wedged) = Wedged::main_thread(node.pid()) {
        // The thread that tells goes on, and tells the truth.
        manager.hears("STATUS=nobody leads");
        let (fed, heard) = manager.hears_within(Duration::from_secs(2), "WATCHDOG=1");
        assert!(!fed, "{heard:?}");
        drop(wedged);
        manager.hears("WATCHDOG=1");
    }
    node.signal(Signal::STOP);
    // What was on its way.
    let _ = manager.hears_within(Duration::from_millis(300), "");
    let (_, heard) = manager.hears_within(Duration::from_secs(1), "");
    assert!(heard.is_empty(), "{heard:?}");
    node.signal(Signal::CONT);
    manager.hears("WATCHDOG=1");
}

#[test]
fn a_node_is_not_ready_before_its_store_has_answered() {
    let cluster = Cluster::new(&[]);
    // What a newer version wrote is not judged.
    std::fs::create_dir_all(cluster.lease().join("claims")).unwrap();
    let newer = cluster.lease().join(format!("{:020}", 7));
    std::fs::write(&newer, r#"{"version":2}"#).unwrap();
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(cluster.lease(), private).unwrap();
    let manager = Manager::new();
    let mut node = manager.start(&cluster, "a", SHORT);
    node.until("store_error");
    let heard = manager.hears("WATCHDOG=1");
    let heard = [heard, manager.hears("WATCHDOG=1")].concat();
    assert!(!heard.contains(&"READY=1".to_owned()), "{heard:?}");
    assert!(
        heard.iter().any(|line| line.contains("store error: ")),
        "{heard:?}"
    );
    std::fs::remove_file(newer).unwrap();
    manager.hears("READY=1");
}

#[test]
fn a_watchdog_that_waits_for_another_process_is_not_fed() {
    let cluster = Cluster::new(&[]);
    let manager = Manager::new();
    let mut command = manager.told_by(binary());
    command.env("WATCHDOG_PID", "1");
    let flags = ["--node-id=a", "--log-format=json", "--notify-systemd"];
    command.args(flags).arg("--lock-dir").arg(cluster.dir());
    let mut node = Node::spawn("a", command);
    let heard = manager.hears("STATUS=leading in term 1");
    node.stop();
    let heard = [heard, manager.hears("STOPPING=1")].concat();
    assert!(heard.contains(&"READY=1".to_owned()), "{heard:?}");
    assert!(!heard.contains(&"WATCHDOG=1".to_owned()), "{heard:?}");
}

#[test]
fn started_by_hand_there_is_nobody_to_tell() {
    let cluster = Cluster::new(&["--notify-systemd"]);
    cluster.leader("a").stop();
}

#[test]
fn a_command_is_not_told_of_the_manager_unless_it_is_to_tell_it_itself() {
    let runs = Runs::new(LONG);
    let script =
        r#"echo "${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none} ${LEADER_DEMO_NOTIFY_SYSTEMD-none}""#;
    let manager = Manager::new();
    let mut said = Vec::new();
    for flag in [&["--notify-systemd"][..], &[]] {
        let mut run = manager.told_by(runs.run(flag, &["sh", "-c", script]));
        if !flag.is_empty() {
            run.env("LEADER_DEMO_NOTIFY_SYSTEMD", "1");
        }
        let output = run.output().unwrap();
        assert!(output.status.success());
        said.push(String::from_utf8(output.stdout).unwrap());
    }
    assert_eq!(said[0], "none none none\n");
    assert_eq!(said[1], format!("{} 200000 none\n", manager.name));
    // The wrapper told it, once.
    let heard = manager.hears("STOPPING=1");
    assert!(heard.contains(&"READY=1".to_owned()), "{heard:?}");
    let (_, more) = manager.hears_within(Duration::from_millis(300), "");
    // How it stood with the lease at the end may overtake the goodbye, or follow it.
    let other = more.iter().find(|line| !line.starts_with("STATUS="));
    assert_eq!(other, None, "{more:?}");
}
