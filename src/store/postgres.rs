//! The PostgreSQL store: a lease is a row, compared and set by its revision.
//!
//! Each request is one message of several statements, and so one round trip and one
//! transaction. It relies on nothing that a session keeps: a pooler may give every
//! request to another one. A row is no lock that a session holds, either: to lose the
//! connection means nothing.
//!
//! A row that was deleted and made again counts from one again, and a failover may
//! take back what was counted. So with each change a number is drawn at random, and
//! compared as well.
//!
//! | file | |
//! |---|---|
//! | `postgres/settings.rs` | what the URL and the environment say |
//! | `postgres/passwords.rs` | the password file |
//! | `postgres/session.rs` | one connection, and what its errors mean |
//! | `postgres/unverified.rs` | TLS with who knows whom |

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Error, SimpleQueryMessage, SimpleQueryRow};

use super::remote::{Backend, Key, Put, Stored, Told};
use super::server::{Server, ServerError};
use super::{Revision, StoreError};
use crate::name::LockName;

mod passwords;
mod session;
mod settings;
mod unverified;

use session::{Session, trouble};
use settings::Settings;

/// Leases in a table.
pub(super) struct Postgres {
    settings: Settings,
    /// Of the rows, as in [`Key::BOTH`].
    names: [String; 2],
    /// Where changes of both are told; the schema follows.
    channel: String,
    /// For one answer.
    patience: Duration,
}

/// A session that listens.
pub(super) struct Listener(Session);

impl Postgres {
    pub(super) fn new(
        server: &Server,
        lock_name: &LockName,
        patience: Duration,
    ) -> Result<Self, ServerError> {
        let settings = Settings::new(server, |name| std::env::var(name).ok())?;
        let hash = fnv1a(&format!("{} {lock_name}", settings.table));
        Ok(Self {
            names: [lock_name.to_string(), format!("{lock_name}.request")],
            channel: format!("leader_demo_{hash:016x}_"),
            settings,
            patience,
        })
    }

    /// What creates the table: for somebody who may, where we may not.
    pub(super) fn migration(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, revision bigint NOT NULL, \
             nonce bigint NOT NULL, record text NOT NULL, \
             written_at timestamptz NOT NULL DEFAULT now())",
            self.settings.table
        )
    }

    /// How each transaction begins, whatever the settings of the role.
    ///
    /// Each statement of READ COMMITTED sees what was committed when it began. A
    /// standby refuses READ WRITE, so not even a read is answered by one. A lease that
    /// was taken survives a crash. And who waits for a lock gives up before we do:
    /// nothing that was given up takes effect later.
    fn begin(&self) -> String {
        let patience = self.patience.as_millis().max(2);
        format!(
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; \
             SET LOCAL synchronous_commit = on; \
             SET LOCAL lock_timeout = {}; \
             SET LOCAL statement_timeout = {patience};",
            patience / 2
        )
    }

    /// One transaction that makes this change, if it still can be made.
    async fn exchange(&self, on: &Session, put: Option<(&Put, i64)>) -> Result<Told, Error> {
        let change = put.map(|(put, nonce)| self.change(put, nonce));
        let request = format!(
            "{begin} {change} \
             SELECT name, revision, nonce, record FROM {table} WHERE name IN ({lease}, {requests})",
            begin = self.begin(),
            change = change.as_deref().unwrap_or_default(),
            table = self.settings.table,
            lease = literal(&self.names[0]),
            requests = literal(&self.names[1]),
        );
        let mut now = [None, None];
        for message in on.client.simple_query(&request).await? {
            if let SimpleQueryMessage::Row(row) = message
                && let Some((key, stored)) = self.row(&row)
            {
                now[key as usize] = Some(stored);
            }
        }
        // Nobody else draws this number.
        let done = put.and_then(|(put, nonce)| {
            let now = now[put.key as usize].as_ref()?.revision;
            (now.parts()[1] == nonce as u64).then_some(now)
        });
        Ok(Told { done, now })
    }

    fn change(&self, put: &Put, nonce: i64) -> String {
        let table = &self.settings.table;
        let name = literal(&self.names[put.key as usize]);
        let record = literal(&String::from_utf8_lossy(&put.value));
        let change = match put.expected.map(Revision::parts) {
            None => format!(
                "INSERT INTO {table} (name, revision, nonce, record) \
                 VALUES ({name}, 1, {nonce}, {record}) ON CONFLICT (name) DO NOTHING"
            ),
            Some([revision, expected, ..]) => format!(
                "UPDATE {table} SET revision = revision + 1, nonce = {nonce}, \
                 record = {record}, written_at = now() \
                 WHERE name = {name} AND revision = {} AND nonce = {}",
                revision as i64, expected as i64
            ),
        };
        // Told when it is committed.
        format!(
            "WITH changed AS ({change} RETURNING tableoid, *) SELECT pg_catalog.pg_notify(\
             '{}' || (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = changed.tableoid), \
             pg_catalog.concat_ws(' ', name, revision, nonce, record)) FROM changed;",
            self.channel
        )
    }

    /// Where such changes are told: tables of one name in several schemas have one each.
    async fn channel(&self, on: &Session) -> Result<String, Error> {
        let schema = format!(
            "SELECT coalesce((SELECT relnamespace FROM pg_catalog.pg_class \
             WHERE oid = to_regclass({})), current_schema()::regnamespace::oid)",
            literal(&self.settings.table)
        );
        let answer = on.client.simple_query(&schema).await?;
        let schema = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(format!("{}{}", self.channel, schema.unwrap_or_default()))
    }

    /// None if it is not one of ours.
    fn row(&self, row: &SimpleQueryRow) -> Option<(Key, Stored)> {
        let column = |name| row.try_get(name).ok().flatten();
        let numbers = [column("revision")?, column("nonce")?];
        self.stored(column("name")?, numbers, column("record")?)
    }

    fn stored(&self, name: &str, numbers: [&str; 2], record: &str) -> Option<(Key, Stored)> {
        let key = Key::BOTH
            .into_iter()
            .find(|key| self.names[*key as usize] == name)?;
        let [revision, nonce] = numbers.map(|number| number.parse::<i64>());
        let stored = Stored {
            revision: Revision::new([revision.ok()? as u64, nonce.ok()? as u64, 0, 0]),
            value: record.into(),
        };
        Some((key, stored))
    }

    /// What [`change`](Self::change) told.
    fn notice(&self, text: &str) -> Option<(Key, Stored)> {
        let mut parts = text.splitn(4, ' ');
        let name = parts.next()?;
        let numbers = [parts.next()?, parts.next()?];
        self.stored(name, numbers, parts.next()?)
    }

    async fn create(&self, on: &Session) -> Result<(), StoreError> {
        let (begin, migration) = (self.begin(), self.migration());
        let request = format!("{begin} {migration}");
        match on.client.batch_execute(&request).await {
            Ok(()) => Ok(()),
            // Another one was quicker: IF NOT EXISTS looks before it locks.
            Err(e) if created_meanwhile(&e) => Ok(()),
            Err(e) if e.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                Err(StoreError::lasting(format!(
                    "there is no table {table}, and this user may not create it: \
                     as one who may, run: {migration}; \
                     GRANT SELECT, INSERT, UPDATE ON {table} TO {user}",
                    table = self.settings.table,
                    user = self.settings.grantee(),
                )))
            }
            Err(e) => Err(trouble(&e)),
        }
    }

    async fn session(&self, attempt: usize) -> Result<Session, StoreError> {
        Session::open(&self.settings, attempt).await
    }
}

fn created_meanwhile(e: &Error) -> bool {
    [
        &SqlState::UNIQUE_VIOLATION,
        &SqlState::DUPLICATE_TABLE,
        &SqlState::DUPLICATE_OBJECT,
    ]
    .into_iter()
    .any(|code| e.code() == Some(code))
}

impl Backend for Postgres {
    type Connection = Session;
    type Listener = Listener;

    fn endpoints(&self) -> usize {
        self.settings.hosts.len()
    }

    fn address(&self, attempt: usize) -> String {
        let (host, port) = self.settings.host(attempt);
        match host.contains(':') {
            true => format!("PostgreSQL at [{host}]:{port}"),
            false => format!("PostgreSQL at {host}:{port}"),
        }
    }

    fn name(&self, key: Key) -> String {
        let name = &self.names[key as usize];
        format!("the row {name} of table {}", self.settings.table)
    }

    async fn connect(&self, attempt: usize) -> Result<Session, StoreError> {
        self.session(attempt).await
    }

    async fn ask(&self, on: &mut Session, put: Option<&Put>) -> Result<Told, StoreError> {
        let put = match put {
            Some(put) => Some((put, nonce()?)),
            None => None,
        };
        match self.exchange(on, put).await {
            Err(e) if e.code() == Some(&SqlState::UNDEFINED_TABLE) => match put {
                // Who only looks creates nothing.
                None => Ok(Told {
                    done: None,
                    now: [None, None],
                }),
                Some(_) => {
                    self.create(on).await?;
                    self.exchange(on, put).await.map_err(|e| trouble(&e))
                }
            },
            told => told.map_err(|e| trouble(&e)),
        }
    }

    async fn listen(&self, attempt: usize) -> Result<Listener, StoreError> {
        let session = self.session(attempt).await?;
        let listening = async {
            let channel = self.channel(&session).await?;
            let listen = format!("LISTEN {channel}");
            session.client.batch_execute(&listen).await
        };
        match listening.await {
            Ok(()) => Ok(Listener(session)),
            Err(e) => Err(trouble(&e)),
        }
    }

    async fn hear(&self, on: &mut Listener) -> Result<(Key, Option<Stored>), StoreError> {
        loop {
            if let Some((key, stored)) = self.notice(&on.0.notice().await?) {
                return Ok((key, Some(stored)));
            }
        }
    }
}

fn nonce() -> Result<i64, StoreError> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| StoreError::new(format!("no random numbers: {e}")))?;
    Ok(i64::from_ne_bytes(bytes))
}

/// A string, whatever `standard_conforming_strings` is set to.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The same in every build of every version, as nodes of several must meet.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres() -> Postgres {
        let server: Server = "postgres://u:secret@h/db".parse().unwrap();
        let name = LockName::new("name").unwrap();
        Postgres::new(&server, &name, Duration::from_secs(1)).unwrap()
    }

    #[test]
    fn what_is_quoted_is_a_string_and_nothing_else() {
        assert_eq!(literal(r"a'; DROP \"), r"E'a''; DROP \\'");
    }

    #[test]
    fn a_notice_is_read_as_it_was_told_and_others_are_not() {
        let postgres = postgres();
        let (key, stored) = postgres.notice("name.request 3 -7 {\"a\": 1}\n").unwrap();
        assert_eq!(key, Key::Requests);
        assert_eq!(stored.revision.parts(), [3, -7_i64 as u64, 0, 0]);
        assert_eq!(stored.value, b"{\"a\": 1}\n");
        for foreign in ["", "name", "name 1 2", "other 1 2 3", "name a 2 3"] {
            assert!(postgres.notice(foreign).is_none(), "{foreign}");
        }
    }

    #[test]
    fn a_channel_is_what_versions_agree_on() {
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        let longest = format!("{}{}", postgres().channel, u32::MAX);
        assert!(longest.len() < 64);
    }
}
