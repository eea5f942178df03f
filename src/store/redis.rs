//! A lease kept in a Redis or a Valkey: `redis://` and `rediss://`.
//!
//! Each register is a hash of three fields: `revision` counts its changes, `nonce` is
//! a random number drawn for each of them, `record` is what it says. Both are compared,
//! so what was deleted and made anew, restored or lost in a failover never shows a
//! revision twice. One script on the server is all that is ever asked of it.
//!
//! Redis copies to its replicas after it has answered. One that is promoted may have
//! missed the last swaps, and a primary that is cut off from the others goes on for as
//! long as `min-replicas-to-write` and `min-replicas-max-lag` let it: set them.
//!
//! | | |
//! |---|---|
//! | `redis/ask.lua` | compares, sets, tells who listens, and says what is there |
//! | `redis/link.rs` | a connection: TCP, TLS, who we are, and whether the server is fit |
//! | `redis/settings.rs` | what a server says of itself |
//! | `redis/trouble.rs` | what an error means, and what would help |

use std::path::PathBuf;
use std::sync::LazyLock;

use ::redis::{Cmd, PushInfo, PushKind, Value};
use tokio::sync::mpsc;

use super::remote::dial::Files;
use super::remote::examined::{travels, yes_or_no};
use super::remote::{Backend, Key, Put, Stored, Told, keys, nonce};
use super::server::{Server, ServerError};
use super::trial::Setting;
use super::{Revision, StoreError};
use crate::name::LockName;

mod link;
mod settings;
mod trouble;

use link::{Link, Place};

/// Sent whole each time: a script that the server knows by its hash alone is
/// forgotten when it restarts.
static ASK: LazyLock<String> = LazyLock::new(|| {
    let lines = include_str!("redis/ask.lua").lines().map(str::trim);
    let code: Vec<_> = lines.filter(|line| !line.starts_with("--")).collect();
    code.join("\n")
});

const PREFIX: &str = "leader-demo:";

pub(super) struct Redis {
    place: Place,
    /// Of the keys, as in [`Key::BOTH`].
    keys: [String; 2],
}

impl Redis {
    pub(super) fn new(server: &Server, lock_name: &LockName) -> Result<Self, ServerError> {
        let malformed = |why: String| Err(ServerError::Malformed(why));
        let database = match server.path.as_str() {
            "" => 0,
            path => match path.parse() {
                Ok(database) => database,
                Err(_) => {
                    return malformed(format!(
                        "/{path} is no database: Redis has numbers for them, such as /0"
                    ));
                }
            },
        };
        let prefix = server.param("prefix").unwrap_or(PREFIX).to_owned();
        let [ca, cert, key] =
            ["cacert", "cert", "key"].map(|name| server.param(name).map(PathBuf::from));
        let cert_and_key = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return malformed("cert and key go together: give both or neither".into()),
        };
        if !server.tls && (ca.is_some() || cert_and_key.is_some()) {
            return malformed("cacert, cert and key are for TLS: use rediss://".into());
        }
        // One hash tag, and so one node of a cluster for both.
        let lease = format!("{prefix}{{{lock_name}}}");
        let password = server.password.clone();
        Ok(Self {
            keys: keys(lease),
            place: Place {
                hosts: server.hosts.clone(),
                tls: server.tls.then_some(Files { ca, cert_and_key }),
                user: server.user.clone(),
                password: password.or_else(|| std::env::var("REDISCLI_AUTH").ok()),
                database,
                prefix,
            },
        })
    }

    /// Where changes of this key are told: databases share their channels.
    fn channel(&self, key: Key) -> String {
        format!("{}@{}", self.keys[key as usize], self.place.database)
    }
}

impl Backend for Redis {
    type Connection = Link;
    type Listener = Listener;

    fn endpoints(&self) -> usize {
        self.place.hosts.len()
    }

    fn address(&self, attempt: usize) -> String {
        let (host, port) = self.place.host(attempt);
        format!("Redis at {host}:{port}")
    }

    fn name(&self, key: Key) -> String {
        format!("the key {}", self.keys[key as usize])
    }

    async fn connect(&self, attempt: usize) -> Result<Link, StoreError> {
        Link::open(&self.place, attempt, None).await
    }

    async fn ask(&self, on: &mut Link, put: Option<&Put>) -> Result<Told, StoreError> {
        let mut ask = ::redis::cmd("EVAL");
        ask.arg(ASK.as_str()).arg(self.keys.len()).arg(&self.keys);
        if let Some(put) = put {
            // Lua counts from one.
            ask.arg(put.key as usize + 1).arg(self.channel(put.key));
            ask.arg(nonce()?).arg(&put.value);
            if let Some(expected) = put.expected {
                let [revision, nonce, ..] = expected.parts();
                ask.arg(revision).arg(nonce);
            }
        }
        let (done, lease, requests): (bool, Fields, Fields) = on.ask(&self.place, &ask).await?;
        let now = [stored(lease), stored(requests)];
        let put = put.filter(|_| done).map(|put| &now[put.key as usize]);
        let done = put.and_then(|put| put.as_ref().map(|put| put.revision));
        Ok(Told { done, now })
    }

    async fn settings(&self, on: &mut Link, attempt: usize) -> Result<Vec<Setting>, StoreError> {
        let mut settings = settings::of_server(on, &self.place).await?;
        let host = self.place.host(attempt).0;
        settings.push(travels(host, self.place.tls.is_some()));
        settings.push(yes_or_no("password", self.place.password.is_some()));
        Ok(settings)
    }

    async fn delete(&self, on: &mut Link) -> Result<(), StoreError> {
        let delete = Cmd::new().arg("DEL").arg(&self.keys).take();
        let _: Value = on.ask(&self.place, &delete).await?;
        Ok(())
    }

    async fn listen(&self, attempt: usize) -> Result<Listener, StoreError> {
        let (pushes, heard) = mpsc::unbounded_channel();
        let mut link = Link::open(&self.place, attempt, Some(pushes)).await?;
        for key in Key::BOTH {
            let subscribe = Cmd::new().arg("SUBSCRIBE").arg(self.channel(key)).take();
            let _: Value = link.ask(&self.place, &subscribe).await?;
        }
        Ok(Listener { link, heard })
    }

    /// Of a key that was deleted by hand nobody is told: who looks next will see it,
    /// a retry period later at most.
    async fn hear(&self, on: &mut Listener) -> Result<(Key, Option<Stored>), StoreError> {
        loop {
            let push = tokio::select! {
                biased;
                Some(push) = on.heard.recv() => push,
                trouble = on.link.ended() => return Err(trouble),
            };
            if let Some((channel, said)) = message(push) {
                let key = Key::BOTH
                    .into_iter()
                    .find(|key| self.channel(*key) == channel);
                if let Some(key) = key {
                    return Ok((key, stored(fields(&said))));
                }
            }
        }
    }
}

pub(super) struct Listener {
    link: Link,
    heard: mpsc::UnboundedReceiver<PushInfo>,
}

fn message(push: PushInfo) -> Option<(String, Vec<u8>)> {
    match push.kind {
        PushKind::Message => ::redis::from_redis_value(Value::Array(push.data)).ok(),
        _ => None,
    }
}

/// Revision, nonce and record; or nothing, of a key that is not there.
type Fields = Vec<Option<Vec<u8>>>;

fn fields(said: &[u8]) -> Fields {
    let parts = said.splitn(3, |byte| *byte == b' ');
    parts.map(|part| Some(part.to_vec())).collect()
}

fn stored(fields: Fields) -> Option<Stored> {
    if fields.is_empty() {
        return None;
    }
    let number = |n: usize| {
        let digits = std::str::from_utf8(fields.get(n)?.as_ref()?).ok()?;
        digits.parse().ok()
    };
    let stored = match (number(0), number(1), fields.get(2)) {
        (Some(revision), Some(nonce), Some(Some(record))) => Stored {
            revision: Revision::new([revision, nonce, 0, 0]),
            value: record.clone(),
        },
        // Somebody else's: no record is empty.
        _ => Stored {
            revision: Revision::new([0; 4]),
            value: Vec::new(),
        },
    };
    Some(stored)
}
