//! What others operate a node by: HTTP, and systemd's notifications.
//!
//! Each has a thread and a runtime of its own. So nothing a client does can
//! delay a renewal, and a node whose own runtime is blocked can still be asked
//! whether it is.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use leader_demo::Node;
use tokio::sync::watch;

use super::notify::{self, Systemd};
use crate::cli::{Election, Operate};

#[cfg(feature = "http")]
use super::http;

pub(super) struct Operation {
    /// Until it is served.
    listener: Option<TcpListener>,
    address: Option<SocketAddr>,
    systemd: Option<Arc<Systemd>>,
    stopping: watch::Sender<bool>,
}

impl Operation {
    /// Before the lease is touched: whoever cannot be asked does not begin.
    pub(super) fn prepare(operate: &Operate) -> Result<Self> {
        let listener = operate.http.map(listen).transpose()?;
        let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        if let Some(address) = address {
            tracing::info!("answering on http://{address}/");
        }
        let systemd = operate.notify_systemd.then(Systemd::here);
        Ok(Self {
            listener,
            address,
            systemd: systemd.transpose()?.flatten().map(Arc::new),
            stopping: watch::Sender::new(false),
        })
    }

    /// Where HTTP is answered: with port 0, the one that was chosen.
    pub(super) fn http(&self) -> Option<SocketAddr> {
        self.address
    }

    pub(super) fn begin(&mut self, node: &Node, election: &Election) -> Result<()> {
        #[cfg(feature = "http")]
        if let Some(listener) = self.listener.take() {
            let desk = http::Desk::new(node, election, self.stopping.subscribe())?;
            beside("http", http::serve(listener, desk))?;
        }
        #[cfg(not(feature = "http"))]
        let _ = (election, self.listener.take());
        if let Some(systemd) = self.systemd.clone() {
            beside("notify", notify::tell(systemd, node.clone()))?;
        }
        Ok(())
    }

    /// The node is about to go.
    pub(super) fn stopping(&self) {
        let before = self.stopping.send_replace(true);
        if let Some(systemd) = self.systemd.as_ref().filter(|_| !before) {
            systemd.say_goodbye();
        }
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listening = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listening.map_err(|e| {
        let port = address.port();
        let why = match e.kind() {
            ErrorKind::AddrInUse => format!(
                "port {port} is in use: choose another, or 0 for any that is free (ss -ltnp \
                 says who has it)"
            ),
            ErrorKind::AddrNotAvailable => format!(
                "{} is no address of this machine: use one that `ip address` lists, or :{port} \
                 for this machine only",
                address.ip()
            ),
            ErrorKind::PermissionDenied => format!(
                "not allowed to use port {port}: choose one from 1024 on, like {}",
                SocketAddr::new(address.ip(), 8080)
            ),
            _ => format!("cannot listen there: {e}"),
        };
        anyhow!("--http {address}: {why}")
    })
}

/// Nobody waits for it: it ends with the process.
fn beside(name: &str, work: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let runtime = super::runtime()?;
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || runtime.block_on(work))
        .with_context(|| format!("cannot start the {name} thread"))?;
    Ok(())
}
