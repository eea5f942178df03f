//! `--notify-systemd`: what a service manager is told, by sd_notify(3).

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use leader_demo::{Liveness, Node, Readiness};
use tokio::time::{MissedTickBehavior, interval};

/// What it says of this in the environment, which no command is to inherit.
pub(super) const ENV: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// A service manager that wants to be told.
pub(super) struct Systemd {
    socket: UnixDatagram,
    to: SocketAddr,
    /// How often at least it wants to hear that all is well.
    watchdog: Option<Duration>,
}

impl Systemd {
    /// None if none wants to: started by hand, this is no error.
    pub(super) fn here() -> Result<Option<Self>> {
        let [socket, usec, pid] = ENV.map(std::env::var_os);
        let Some(name) = socket.filter(|name| !name.is_empty()) else {
            tracing::debug!("--notify-systemd: NOTIFY_SOCKET is not set, so nobody is told");
            return Ok(None);
        };
        let to = address(&name).with_context(|| {
            format!("--notify-systemd: NOTIFY_SOCKET={name:?} is no address of a socket")
        })?;
        let number = |value: &OsStr| value.to_str()?.parse::<u64>().ok();
        let for_me = pid.is_none_or(|pid| number(&pid) == Some(std::process::id().into()));
        let usec = usec.filter(|_| for_me).and_then(|usec| number(&usec));
        Ok(Some(Self {
            socket: UnixDatagram::unbound()?,
            to,
            watchdog: usec.filter(|usec| *usec > 0).map(Duration::from_micros),
        }))
    }

    /// At once or never: a process that is about to end waits for no manager, and not
    /// for the thread that tells it all else.
    pub(super) fn say_goodbye(&self) {
        let said = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to_addr(b"STOPPING=1", &self.to)
        });
        if let Err(e) = said {
            tracing::debug!("cannot tell systemd: {e}");
        }
    }

    fn send(&self, lines: &[String]) {
        // A manager that restarts is back before long.
        if let Err(e) = self
            .socket
            .send_to_addr(lines.join("\n").as_bytes(), &self.to)
        {
            tracing::debug!("cannot tell systemd: {e}");
        }
    }
}

fn address(name: &OsStr) -> std::io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(std::io::ErrorKind::Unsupported.into()),
    }
}

/// Until the node has ended.
pub(super) async fn tell(systemd: Arc<Systemd>, node: Node) {
    let mut changes = node.watch();
    let (mut ready, mut told) = (false, String::new());
    // Without a watchdog, often enough for a leader that was frozen.
    let period = systemd
        .watchdog
        .map_or(Duration::from_secs(1), |watchdog| watchdog / 2);
    let mut due = interval(period.max(Duration::from_millis(1)));
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut lines = Vec::new();
        tokio::select! {
            biased;
            () = node.settled(), if !ready => {
                ready = true;
                lines.push("READY=1".to_owned());
            }
            // Sent by this thread alone, it would say nothing of the election's.
            _ = due.tick() => if systemd.watchdog.is_some() && node.liveness() == Liveness::Alive {
                lines.push("WATCHDOG=1".to_owned());
            },
            change = changes.next() => if change.is_none() {
                return;
            },
        }
        let status = status(&node);
        if status != told {
            lines.push(format!("STATUS={status}"));
            told = status;
        }
        if !lines.is_empty() {
            systemd.send(&lines);
        }
    }
}

/// Asked for now, as everything here.
fn status(node: &Node) -> String {
    let store = match node.readiness() {
        Readiness::Ready => String::new(),
        Readiness::Unanswered => return "waiting for the store".into(),
        // A line of its own would be a message of its own.
        Readiness::Failing(why) => format!("; store error: {}", why.replace('\n', " ")),
    };
    match (node.term(), node.leader()) {
        (Some(term), _) => format!("leading in term {term}{store}"),
        (None, Some(leader)) => {
            let (id, term) = (&leader.holder.node_id, leader.term);
            format!("following {id}, term {term}{store}")
        }
        (None, None) => format!("nobody leads{store}"),
    }
}
