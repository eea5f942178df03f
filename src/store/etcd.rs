//! A lease in etcd: two keys, compared and set by one transaction, and a watch on both.
//!
//! | file | |
//! |---|---|
//! | `etcd/access.rs` | who we are, and which certificates count |
//! | `etcd/gateway.rs` | JSON over one HTTP connection |
//! | `etcd/settings.rs` | what a member says of itself and of its cluster |

use std::collections::VecDeque;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::json;

use crate::name::LockName;
use crate::store::remote::examined::{travels, yes_or_no};
use crate::store::remote::{Backend, Key, Put, Stored, Told, keys};
use crate::store::server::{Server, ServerError};
use crate::store::trial::Setting;
use crate::store::{Revision, StoreError};

mod access;
mod gateway;
mod settings;

use access::{Access, Login};
use gateway::{Failure, Gateway, Lines, authority};

/// The first whose gateway has `/v3`.
const OLDEST: (u32, u32) = (3, 4);

pub(super) struct Etcd {
    hosts: Vec<(String, u16)>,
    access: Access,
    /// What the keys of all elections begin with.
    prefix: String,
    /// As in [`Key::BOTH`].
    keys: [String; 2],
}

/// A watch, and what it told that nobody has heard yet.
pub(super) struct Watch {
    lines: Lines,
    due: VecDeque<(Key, Option<Stored>)>,
}

impl Etcd {
    pub(super) fn new(server: &Server, lock_name: &LockName) -> Result<Self, ServerError> {
        let prefix = match &*server.path {
            "" => "leader-demo/".to_owned(),
            path => format!("{path}/"),
        };
        let lease = format!("{prefix}{lock_name}");
        Ok(Self {
            hosts: server.hosts.clone(),
            access: Access::new(server, |name| std::env::var(name).ok())?,
            keys: keys(lease),
            prefix,
        })
    }

    fn host(&self, attempt: usize) -> &(String, u16) {
        &self.hosts[attempt % self.hosts.len()]
    }

    async fn log_in(&self, gateway: &mut Gateway, login: &Login) -> Result<(), StoreError> {
        #[derive(Deserialize)]
        struct Admitted {
            token: String,
        }
        let login = json!({"name": login.user, "password": login.password}).to_string();
        match gateway.post("/v3/auth/authenticate", login).await {
            Ok(Admitted { token }) => gateway.token = Some(token),
            // It asks nobody who he is.
            Err(Failure::Said(what)) if what.contains("authentication is not enabled") => {}
            Err(failure) => return Err(self.trouble(failure)),
        }
        Ok(())
    }

    /// What an etcd says, and what would help.
    fn trouble(&self, failure: Failure) -> StoreError {
        let what = match failure {
            Failure::Unsaid(trouble) => return trouble,
            Failure::Said(what) => what.escape_debug().to_string(),
        };
        let help = if what.contains("permission denied") {
            let prefix = &self.prefix;
            format!("etcdctl role grant-permission ROLE readwrite --prefix {prefix} helps")
        } else if what.contains("user name is empty") {
            "write USER:PASSWORD@ before the host in --store, or set ETCDCTL_USER".into()
        } else if what.contains("authentication failed") {
            "put right the user or the password in --store, or in ETCDCTL_USER".into()
        } else if what.contains("database space exceeded") {
            "compact it, defragment it and disarm the alarm, all with etcdctl".into()
        } else {
            return StoreError::new(what);
        };
        StoreError::lasting(format!("{what}: {help}"))
    }

    /// The next line of a watch: whether it says that one of its two halves has begun.
    async fn follow(&self, watch: &mut Watch) -> Result<bool, StoreError> {
        let line = watch.lines.next().await;
        let ended = match line.map_err(|failure| self.trouble(failure))? {
            WatchLine::Result(watched) if !watched.canceled => {
                let has_begun = watched.created;
                watch.due.extend(self.changes(watched));
                return Ok(has_begun);
            }
            WatchLine::Result(watched) => watched.cancel_reason,
            WatchLine::Error { message } => message,
        };
        Err(self.trouble(Failure::Said(format!("the watch ended: {ended}"))))
    }

    fn changes(&self, watched: Watched) -> impl Iterator<Item = (Key, Option<Stored>)> {
        let cluster = watched.header.cluster_id;
        watched.events.into_iter().filter_map(move |event| {
            let is_its = |key: &Key| event.kv.key.0 == self.keys[*key as usize].as_bytes();
            let key = Key::BOTH.into_iter().find(is_its)?;
            let is_deleted = event.kind == "DELETE";
            Some((key, (!is_deleted).then(|| event.kv.stored(cluster))))
        })
    }
}

impl Backend for Etcd {
    type Connection = Gateway;
    type Listener = Watch;

    fn endpoints(&self) -> usize {
        self.hosts.len()
    }

    fn address(&self, attempt: usize) -> String {
        let (host, port) = self.host(attempt);
        format!("etcd at {}", authority(host, *port))
    }

    fn count(revision: Revision) -> u64 {
        revision.parts()[2]
    }

    fn name(&self, key: Key) -> String {
        format!("the key {}", self.keys[key as usize].escape_debug())
    }

    async fn connect(&self, attempt: usize) -> Result<Gateway, StoreError> {
        #[derive(Deserialize)]
        struct Version {
            etcdserver: String,
        }
        let (host, port) = self.host(attempt);
        let mut gateway = Gateway::connect(host, *port, self.access.tls.as_ref()).await?;
        let version = gateway.get("/version").await;
        let Version { etcdserver } = version.map_err(|failure| self.trouble(failure))?;
        check(&etcdserver)?;
        if let Some(login) = &self.access.login {
            self.log_in(&mut gateway, login).await?;
        }
        Ok(gateway)
    }

    async fn ask(&self, on: &mut Gateway, put: Option<&Put>) -> Result<Told, StoreError> {
        let ranges = self
            .keys
            .each_ref()
            .map(|key| json!({"request_range": {"key": encoded(key)}}));
        let request = match put {
            None => json!({"success": ranges}),
            Some(put) => {
                let key = encoded(&self.keys[put.key as usize]);
                // Of a key that is absent it is 0.
                let at = put
                    .expected
                    .map_or(0, |revision| revision.parts()[0])
                    .to_string();
                let value = encoded(&put.value);
                let [lease, requests] = &ranges;
                json!({
                    "compare": [{"key": key, "target": "MOD", "mod_revision": at}],
                    "success": [{"request_put": {"key": key, "value": value}}, lease, requests],
                    "failure": ranges,
                })
            }
        };
        let answer = on.post("/v3/kv/txn", request.to_string()).await;
        let answer: Answer = answer.map_err(|failure| self.trouble(failure))?;
        let now = answer.now()?;
        let Some(put) = put.filter(|_| answer.succeeded) else {
            return Ok(Told { done: None, now });
        };
        // One and the same number means something else there.
        if put
            .expected
            .is_some_and(|at| at.parts()[1] != answer.header.cluster_id)
        {
            return Err(StoreError::new("another cluster answers here than before"));
        }
        let done = now[put.key as usize].as_ref().map(|stored| stored.revision);
        Ok(Told { done, now })
    }

    async fn listen(&self, attempt: usize) -> Result<Watch, StoreError> {
        let gateway = self.connect(attempt).await?;
        let create = |key| json!({"create_request": {"key": encoded(key)}}).to_string();
        let watches = self.keys.each_ref().map(create).concat();
        let lines = gateway.stream("/v3/watch", watches).await;
        let mut watch = Watch {
            lines: lines.map_err(|failure| self.trouble(failure))?,
            due: VecDeque::new(),
        };
        let mut begun = 0;
        while begun < Key::BOTH.len() {
            begun += usize::from(self.follow(&mut watch).await?);
        }
        Ok(watch)
    }

    async fn hear(&self, on: &mut Watch) -> Result<(Key, Option<Stored>), StoreError> {
        loop {
            if let Some(change) = on.due.pop_front() {
                return Ok(change);
            }
            self.follow(on).await?;
        }
    }

    async fn settings(&self, on: &mut Gateway, attempt: usize) -> Result<Vec<Setting>, StoreError> {
        let mut settings = self.of_member(on).await?;
        settings.push(travels(&self.host(attempt).0, self.access.tls.is_some()));
        settings.push(yes_or_no("password", self.access.login.is_some()));
        Ok(settings)
    }

    async fn delete(&self, on: &mut Gateway) -> Result<(), StoreError> {
        let keys = self.keys.each_ref();
        let delete = keys.map(|key| json!({"request_delete_range": {"key": encoded(key)}}));
        let request = json!({"success": delete}).to_string();
        let answer = on.post("/v3/kv/txn", request).await;
        answer
            .map(|_: serde::de::IgnoredAny| ())
            .map_err(|failure| self.trouble(failure))
    }
}

fn check(version: &str) -> Result<(), StoreError> {
    let mut numbers = version.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= OLDEST => Ok(()),
        _ => Err(StoreError::lasting(format!(
            "it is etcd {}: this needs etcd {}.{} or newer",
            version.escape_debug(),
            OLDEST.0,
            OLDEST.1
        ))),
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Of a transaction.
#[derive(Deserialize)]
struct Answer {
    header: Header,
    #[serde(default)]
    succeeded: bool,
    responses: Vec<Response>,
}

impl Answer {
    /// What the two ranges found.
    fn now(&self) -> Result<[Option<Stored>; 2], StoreError> {
        let found = |range: &Range| {
            let kv = range.kvs.first()?;
            Some(kv.stored(self.header.cluster_id))
        };
        let ranges = self
            .responses
            .iter()
            .filter_map(|r| r.response_range.as_ref());
        let now: Vec<_> = ranges.map(found).collect();
        now.try_into()
            .map_err(|_| StoreError::new("its answer is not what was asked for"))
    }
}

#[derive(Deserialize)]
struct Header {
    #[serde(deserialize_with = "number")]
    cluster_id: u64,
}

#[derive(Deserialize)]
struct Response {
    response_range: Option<Range>,
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    key: Bytes,
    #[serde(deserialize_with = "number")]
    mod_revision: u64,
    /// How often it was put since it was made; not told of one that was deleted.
    #[serde(default, deserialize_with = "number")]
    version: u64,
    #[serde(default)]
    value: Bytes,
}

impl KeyValue {
    fn stored(&self, cluster: u64) -> Stored {
        Stored {
            revision: Revision::new([self.mod_revision, cluster, self.version, 0]),
            value: self.value.0.clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WatchLine {
    Result(Watched),
    Error { message: String },
}

#[derive(Deserialize)]
struct Watched {
    header: Header,
    #[serde(default)]
    created: bool,
    #[serde(default)]
    canceled: bool,
    #[serde(default)]
    cancel_reason: String,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    /// Nothing: a put.
    #[serde(rename = "type", default)]
    kind: String,
    kv: KeyValue,
}

#[derive(Default)]
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        BASE64_STANDARD
            .decode(text)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// A 64-bit number, which protobuf's JSON has as a string.
fn number<'de, D: Deserializer<'de>, N: FromStr>(from: D) -> Result<N, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| D::Error::custom("not a number"))
}
