//! One HTTP connection to etcd's JSON gateway, which every member has by itself
//! ([its manual]).
//!
//! [its manual]: https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/

use std::error::Error;
use std::io;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_rustls::rustls;

use crate::store::StoreError;
use crate::store::remote::dial::{Files, dial, server_name};
use crate::store::remote::network::{self, is_closed};

/// Closed when dropped.
pub(in crate::store) struct Gateway {
    requests: SendRequest<Full<Bytes>>,
    /// Moves the bytes, until it is dropped.
    driver: Driver,
    host: String,
    /// Says who asks.
    pub(super) token: Option<String>,
}

type Driver = JoinSet<Result<(), hyper::Error>>;

/// Why there is no answer.
pub(super) enum Failure {
    /// The server says so.
    Said(String),
    /// There is no word of the server's.
    Unsaid(StoreError),
}

/// An address as URLs have it.
pub(super) fn authority(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

impl Gateway {
    pub(super) async fn connect(
        host: &str,
        port: u16,
        tls: Option<&Files>,
    ) -> Result<Self, StoreError> {
        let stream = dial(host, port).await.map_err(|e| lost(&e))?;
        let (requests, driver) = match tls {
            None => drive(stream).await?,
            Some(files) => {
                let name = server_name(host)?;
                let stream = files.connector().await?.connect(name, stream).await;
                drive(stream.map_err(|e| lost(&e))?).await?
            }
        };
        Ok(Self {
            requests,
            driver,
            host: authority(host, port),
            token: None,
        })
    }

    pub(super) async fn get<A: DeserializeOwned>(&mut self, path: &str) -> Result<A, Failure> {
        let answer = self.send(Method::GET, path, String::new()).await?;
        understood(&whole(answer).await?)
    }

    /// A page of text.
    pub(super) async fn page(&mut self, path: &str) -> Result<String, Failure> {
        let answer = self.send(Method::GET, path, String::new()).await?;
        Ok(String::from_utf8_lossy(&whole(answer).await?).into_owned())
    }

    pub(super) async fn post<A: DeserializeOwned>(
        &mut self,
        path: &str,
        body: String,
    ) -> Result<A, Failure> {
        let answer = self.send(Method::POST, path, body).await?;
        understood(&whole(answer).await?)
    }

    /// For an answer that comes piece by piece.
    pub(super) async fn stream(mut self, path: &str, body: String) -> Result<Lines, Failure> {
        let answer = self.send(Method::POST, path, body).await?;
        Ok(Lines {
            body: answer.into_body(),
            read: Vec::new(),
            _from: self,
        })
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json")
            // Of a member that has lost sight of the others, nothing is to be had.
            .header("Grpc-Metadata-hasleader", "true");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request.body(Full::from(body)).map_err(|e| lost(&e))?;
        let answer = match self.requests.ready().await {
            Ok(()) => self.requests.send_request(request).await,
            Err(e) => Err(e),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(e) => return Err(self.ended(&e).await.into()),
        };
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status => Err(refused(status, &whole(answer).await?)),
        }
    }

    /// Between two requests the driver alone has seen why.
    async fn ended(&mut self, trouble: &hyper::Error) -> StoreError {
        if (trouble.is_closed() || trouble.is_canceled())
            && let Some(Ok(Err(why))) = self.driver.join_next().await
        {
            return lost(&why);
        }
        lost(trouble)
    }
}

impl From<StoreError> for Failure {
    fn from(trouble: StoreError) -> Self {
        Self::Unsaid(trouble)
    }
}

/// An answer of many lines, each of them JSON.
pub(super) struct Lines {
    body: Incoming,
    read: Vec<u8>,
    _from: Gateway,
}

impl Lines {
    /// It may be dropped and called again: what was read is kept.
    pub(super) async fn next<A: DeserializeOwned>(&mut self) -> Result<A, Failure> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return understood(&line);
            }
            let Some(frame) = self.body.frame().await else {
                return Err(StoreError::new("it ended the watch").into());
            };
            if let Ok(data) = frame.map_err(|e| lost(&e))?.into_data() {
                self.read.extend_from_slice(&data);
            }
        }
    }
}

async fn drive<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: T,
) -> Result<(SendRequest<Full<Bytes>>, Driver), StoreError> {
    let (requests, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|e| lost(&e))?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    Ok((requests, driver))
}

async fn whole(answer: Response<Incoming>) -> Result<Bytes, StoreError> {
    let body = answer.into_body().collect().await;
    Ok(body.map_err(|e| lost(&e))?.to_bytes())
}

fn understood<A: DeserializeOwned>(json: &[u8]) -> Result<A, Failure> {
    serde_json::from_slice(json).map_err(|e| {
        let no_etcd = format!("its answer is not etcd's ({e}): is --store the address of an etcd?");
        StoreError::lasting(no_etcd).into()
    })
}

fn refused(status: StatusCode, body: &[u8]) -> Failure {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    match serde_json::from_slice(body) {
        Ok(Refusal { message }) => Failure::Said(message),
        Err(_) if status == StatusCode::NOT_FOUND => StoreError::lasting(
            "it has no JSON gateway: start etcd with --enable-grpc-gateway, or give the address \
             of an etcd in --store",
        )
        .into(),
        Err(_) => StoreError::new(format!("it answers {status}")).into(),
    }
}

/// A connection that is no more, or never was.
fn lost(trouble: &(dyn Error + 'static)) -> StoreError {
    let causes = || std::iter::successors(Some(trouble), |cause| (*cause).source());
    let tls = causes().find_map(|cause| {
        let within = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        within.and_then(|within| within.downcast_ref::<rustls::Error>())
    });
    match tls {
        Some(rustls::Error::InvalidMessage(_)) => {
            StoreError::lasting("it speaks no TLS: write etcd:// in --store")
        }
        Some(e) => StoreError::lasting(format!(
            "no TLS: {e}: see cacert, cert and key in --store, and the server's certificate"
        )),
        None if causes().any(is_closing) => StoreError::new(
            "it closed the connection: it restarts, or only one end speaks TLS (write etcd:// or \
             etcds:// in --store)",
        ),
        None => match causes().find_map(<dyn Error>::downcast_ref) {
            Some(io) => network::trouble(io),
            None => {
                let causes: Vec<_> = causes().map(ToString::to_string).collect();
                StoreError::new(causes.join(": "))
            }
        },
    }
}

fn is_closing(cause: &(dyn Error + 'static)) -> bool {
    if let Some(io) = cause.downcast_ref::<io::Error>() {
        return is_closed(io);
    }
    let hyper = cause.downcast_ref::<hyper::Error>();
    hyper.is_some_and(|e| e.is_incomplete_message() || e.is_closed() || e.is_canceled())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_in_a_url() {
        assert_eq!(authority("10.0.0.1", 1), "10.0.0.1:1");
        assert_eq!(authority("::1", 1), "[::1]:1");
    }
}
