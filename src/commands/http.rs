//! `--http`: probes, state and metrics over HTTP/1.1.
//!
//! It has a thread of its own (see `operate.rs`), so it can only ever be slow
//! itself. What it needs is bounded: connections, headers, and the time a
//! client may take to send them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::{AbortHandle, yield_now};

mod answer;
mod desk;
mod metrics;

pub(super) use desk::Desk;

/// How many may be connected at once. Another one takes the place of the
/// oldest: whoever connects and says nothing keeps out nobody.
const MOST: usize = 64;

/// How long a client may take for its headers, and stay between two requests.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much it may send in headers; hyper takes no less.
const HEADERS: usize = 8192;

pub(super) async fn serve(listener: TcpListener, desk: Desk) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(e) => return tracing::error!("--http: cannot wait for clients: {e}"),
    };
    let desk = Arc::new(desk);
    let mut guests: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                guests.retain(|guest| !guest.is_finished());
                if guests.len() >= MOST
                    && let Some(oldest) = guests.pop_front()
                {
                    oldest.abort();
                    // Its descriptor is free before the next one is taken.
                    yield_now().await;
                }
                guests.push_back(tokio::spawn(converse(stream, desk.clone())).abort_handle());
            }
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => {}
            // No descriptors: the election needs them more.
            Err(_) => {
                guests.drain(..).for_each(|guest| guest.abort());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: tokio::net::TcpStream, desk: Arc<Desk>) {
    let service = service_fn(|request| {
        let answer = answer::answer(&desk, &request);
        async { Ok::<_, Infallible>(answer) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // Who has asked may say that it has nothing more to ask: `nc -N` does.
        .half_close(true)
        .header_read_timeout(PATIENCE)
        .max_headers(64)
        .max_buf_size(HEADERS);
    // A client that goes away, or talks nonsense, is its own affair.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}
