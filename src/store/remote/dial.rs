//! Connections of our own: TCP whose other end is known to be there, and TLS over it.

use std::io;
use std::path::PathBuf;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::tls::client_config;
use super::{APART, IDLE, QUESTIONS};
use crate::store::StoreError;

pub(in crate::store) async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(&stream, IDLE)?;
    sockopt::set_tcp_keepintvl(&stream, APART)?;
    sockopt::set_tcp_keepcnt(&stream, QUESTIONS)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    Ok(stream)
}

/// PEM files for TLS: the authorities to believe, else those that this machine does;
/// and what to show, with its key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::store) struct Files {
    pub(in crate::store) ca: Option<PathBuf>,
    pub(in crate::store) cert_and_key: Option<(PathBuf, PathBuf)>,
}

impl Files {
    /// Read anew for each connection, as they are renewed; and not in the runtime's
    /// thread, as that may take long.
    pub(in crate::store) async fn connector(&self) -> Result<TlsConnector, StoreError> {
        let Self { ca, cert_and_key } = self.clone();
        let config = spawn_blocking(move || {
            let pair = cert_and_key.as_ref();
            let pair = pair.map(|(cert, key)| (cert.as_path(), key.as_path()));
            client_config(ca.as_deref(), pair)
        });
        let config = config.await.map_err(|e| StoreError::new(e.to_string()))?;
        Ok(config?.into())
    }
}

/// As certificates name it.
pub(in crate::store) fn server_name(host: &str) -> Result<ServerName<'static>, StoreError> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| StoreError::lasting(format!("{host:?} is no name for a TLS certificate")))
}
