//! A connection to one server: TCP, TLS, who we are, and whether the server is fit.

use std::collections::HashMap;
use std::pin::Pin;

use redis::aio::{AsyncStream, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, ProtocolVersion, PushInfo};
use redis::{RedisConnectionInfo, Value};
use tokio::sync::mpsc::UnboundedSender;

use super::trouble::{REPLICA, closed, of_io, of_redis};
use crate::store::StoreError;
use crate::store::remote::dial::{Files, dial, server_name};

/// Where the servers are, and who we are to them.
pub(super) struct Place {
    pub(super) hosts: Vec<(String, u16)>,
    /// None: no TLS.
    pub(super) tls: Option<Files>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: u32,
    /// Of keys and channels.
    pub(super) prefix: String,
}

impl Place {
    pub(super) fn host(&self, attempt: usize) -> (&str, u16) {
        let (host, port) = &self.hosts[attempt % self.hosts.len()];
        (host, *port)
    }
}

/// A connection; dropped, it is closed.
pub(in crate::store) struct Link {
    requests: MultiplexedConnection,
    /// Moves the bytes, while somebody waits for some: no task is left behind.
    driver: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Link {
    /// `pushes` gets what the server says unasked.
    pub(super) async fn open(
        place: &Place,
        attempt: usize,
        pushes: Option<UnboundedSender<PushInfo>>,
    ) -> Result<Self, StoreError> {
        let stream = stream(place, attempt).await?;
        // Asks for the protocol of Redis 6, whose answer to it says what we talk to.
        let mut info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
        if place.user.is_some() || place.password.is_some() {
            // A user without a password may log in with any.
            info = info.set_password(place.password.as_deref().unwrap_or_default());
        }
        if let Some(user) = &place.user {
            info = info.set_username(user);
        }
        // Who waits has a limit of his own.
        let mut config = AsyncConnectionConfig::new().set_response_timeout(None);
        if let Some(pushes) = pushes {
            config = config.set_push_sender(pushes);
        }
        let (requests, driver) = MultiplexedConnection::new_with_config(&info, stream, config)
            .await
            .map_err(|e| of_redis(&e, place))?;
        let mut link = Self {
            requests,
            driver: Box::pin(driver),
        };
        let hello = Cmd::new().arg("HELLO").arg(3).take();
        let server: HashMap<String, Value> = link.ask(place, &hello).await?;
        check(&server)?;
        if place.database != 0 {
            let select = Cmd::new().arg("SELECT").arg(place.database).take();
            let _: Value = link.ask(place, &select).await?;
        }
        Ok(link)
    }

    pub(super) async fn ask<T: FromRedisValue>(
        &mut self,
        place: &Place,
        what: &Cmd,
    ) -> Result<T, StoreError> {
        tokio::select! {
            biased;
            answer = what.query_async(&mut self.requests) => answer.map_err(|e| of_redis(&e, place)),
            () = &mut self.driver => Err(closed()),
        }
    }

    /// Why it has ended, when it has.
    pub(super) async fn ended(&mut self) -> StoreError {
        (&mut self.driver).await;
        closed()
    }
}

async fn stream(
    place: &Place,
    attempt: usize,
) -> Result<Box<dyn AsyncStream + Send + Unpin>, StoreError> {
    let (host, port) = place.host(attempt);
    let stream = dial(host, port).await.map_err(|e| of_io(&e))?;
    let Some(files) = &place.tls else {
        return Ok(Box::new(stream));
    };
    let name = server_name(host)?;
    let stream = files.connector().await?.connect(name, stream).await;
    Ok(Box::new(stream.map_err(|e| of_io(&e))?))
}

/// By what it answers to HELLO.
fn check(server: &HashMap<String, Value>) -> Result<(), StoreError> {
    let is = |name: &str, what: &str| {
        let value = server.get(name).cloned();
        value.is_some_and(|value| redis::from_redis_value(value).is_ok_and(|v: String| v == what))
    };
    if is("mode", "sentinel") {
        return Err(StoreError::lasting(
            "it is a Sentinel, which keeps no keys: name the servers that it watches in --store",
        ));
    }
    // One that may be written to would not refuse what is asked.
    if is("role", "replica") {
        return Err(StoreError::new(REPLICA));
    }
    Ok(())
}
