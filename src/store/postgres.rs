//! The PostgreSQL store: a lease is a row, compared and set by its revision.
//!
//! Each request is one message of several statements, and so one round trip and one
//! transaction. It relies on nothing that a session keeps: a pooler may give every
//! request to another one. A row is no lock that a session holds, either: to lose the
//! connection means nothing. Only notices of changes need a session; where a pooler
//! keeps them back, they are found by looking, as each request shows both rows.
//!
//! A row that was deleted and made again counts from one again, and a failover may
//! take back what was counted. So with each change a number is drawn at random, and
//! compared as well.
//!
//! | file | |
//! |---|---|
//! | `postgres/table.rs` | the table and its rows, in SQL |
//! | `postgres/session.rs` | one connection, and what its errors mean |
//! | `postgres/settings.rs` | what the URL and the environment say |
//! | `postgres/passwords.rs` | the password file |
//! | `postgres/unverified.rs` | TLS with who knows whom |

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Error, SimpleQueryRow};

use super::StoreError;
use super::remote::examined::{travels, yes_or_no};
use super::remote::{Backend, Key, Put, Stored, Told, nonce};
use super::server::{Server, ServerError};
use super::trial::Setting;
use crate::name::LockName;

mod passwords;
mod session;
mod settings;
mod table;
mod unverified;

use session::{Session, trouble};
use settings::Settings;
use table::Table;

/// Leases in a table.
pub(super) struct Postgres {
    settings: Settings,
    table: Table,
    /// The table was missing.
    made_it: AtomicBool,
}

/// A session that listens.
pub(super) struct Listener(Session);

impl Postgres {
    /// `patience`: for one answer.
    pub(super) fn new(
        server: &Server,
        lock_name: &LockName,
        patience: Duration,
    ) -> Result<Self, ServerError> {
        let settings = Settings::new(server, |name| std::env::var(name).ok())?;
        let table = Table::new(settings.table.clone(), lock_name, patience);
        Ok(Self {
            settings,
            table,
            made_it: AtomicBool::new(false),
        })
    }

    async fn exchange(&self, on: &Session, put: Option<(&Put, i64)>) -> Result<Told, Error> {
        let mut now = [None, None];
        for row in on.rows(&self.table.request(put)).await? {
            if let Some((key, stored)) = self.row(&row) {
                now[key as usize] = Some(stored);
            }
        }
        let done = put.and_then(|(put, nonce)| {
            let now = now[put.key as usize].as_ref()?.revision;
            (now.parts()[1] == nonce as u64).then_some(now)
        });
        Ok(Told { done, now })
    }

    /// None if it answers another statement.
    fn row(&self, row: &SimpleQueryRow) -> Option<(Key, Stored)> {
        let column = |name| row.try_get(name).ok().flatten();
        let (name, record) = (column("name")?, column("record")?);
        self.table
            .row([name, column("revision")?, column("nonce")?, record])
    }

    async fn create(&self, on: &Session) -> Result<(), StoreError> {
        let Err(e) = on.rows(&self.table.create()).await else {
            self.made_it.store(true, Ordering::Relaxed);
            return Ok(());
        };
        // Another one was quicker: IF NOT EXISTS looks before it locks.
        let there_is = [
            &SqlState::UNIQUE_VIOLATION,
            &SqlState::DUPLICATE_OBJECT,
            &SqlState::DUPLICATE_TABLE,
        ];
        if e.code().is_some_and(|code| there_is.contains(&code)) {
            return Ok(());
        }
        if e.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
            return Err(StoreError::lasting(format!(
                "there is no table {table}, and this user may not create it: \
                 as one who may, run: {migration}; \
                 GRANT SELECT, INSERT, UPDATE ON {table} TO {user}",
                table = self.table.name,
                migration = self.table.migration(),
                user = self.settings.grantee(),
            )));
        }
        Err(trouble(&e))
    }

    /// Of what was done to the table.
    fn trouble(&self, e: &Error) -> StoreError {
        let code = e.code().map_or("", SqlState::code);
        let is_known = ["42501", "42P01"].contains(&code);
        match e.as_db_error() {
            Some(db) if code.starts_with("42") && !is_known => StoreError::lasting(format!(
                "the table {} is not ours ({}): name another as table= in --store",
                self.table.name,
                db.message(),
            )),
            _ => trouble(e),
        }
    }

    async fn listen_on(&self, session: &Session) -> Result<(), Error> {
        let rows = session.rows(&self.table.schema()).await?;
        let schema = rows.first().and_then(|row| row.get(0));
        let listen = self.table.listen(schema.unwrap_or_default());
        session.rows(&listen).await.map(drop)
    }
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
        let row = &self.table.rows[key as usize];
        format!("the row {row} of table {}", self.table.name)
    }

    async fn connect(&self, attempt: usize) -> Result<Session, StoreError> {
        Session::open(&self.settings, attempt).await
    }

    async fn ask(&self, on: &mut Session, put: Option<&Put>) -> Result<Told, StoreError> {
        let put = match put {
            Some(put) => Some((put, nonce()?.cast_signed())),
            None => None,
        };
        let mut told = self.exchange(on, put).await;
        let no_table = Some(&SqlState::UNDEFINED_TABLE);
        if told.as_ref().is_err_and(|e| e.code() == no_table) {
            if put.is_none() {
                // Who only looks creates nothing.
                let now = [None, None];
                return Ok(Told { done: None, now });
            }
            self.create(on).await?;
            told = self.exchange(on, put).await;
        }
        told.map_err(|e| self.trouble(&e))
    }

    async fn listen(&self, attempt: usize) -> Result<Listener, StoreError> {
        let session = self.connect(attempt).await?;
        match self.listen_on(&session).await {
            Ok(()) => Ok(Listener(session)),
            Err(e) => Err(trouble(&e)),
        }
    }

    async fn settings(&self, on: &mut Session, attempt: usize) -> Result<Vec<Setting>, StoreError> {
        let rows = match on.rows(&self.table.settings()).await {
            Err(e) if is_not_for_us(&e) => Vec::new(),
            rows => rows.map_err(|e| trouble(&e))?,
        };
        let said = |name: &&str| {
            let row = rows.iter().find(|row| row.get("name") == Some(*name))?;
            Some(row.get("setting")?.to_owned())
        };
        let settings = table::SETTINGS.iter();
        let mut settings: Vec<_> = settings.map(|name| (*name, said(name))).collect();
        // A pooler answers for what is between it and the server.
        settings.push(match said(&"ssl") {
            Some(ssl) => travels(self.settings.host(attempt).0, ssl == "true"),
            None => ("travels", None),
        });
        settings.push(yes_or_no("password", self.settings.has_password(attempt)));
        Ok(settings)
    }

    async fn delete(&self, on: &mut Session) -> Result<(), StoreError> {
        let made_it = self.made_it.load(Ordering::Relaxed);
        match on.rows(&self.table.delete(made_it)).await {
            // Another one that made it was quicker.
            Err(e) if e.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(()),
            deleted => deleted.map(drop).map_err(|e| trouble(&e)),
        }
    }

    async fn hear(&self, on: &mut Listener) -> Result<(Key, Option<Stored>), StoreError> {
        loop {
            if let Some((key, stored)) = self.table.notice(&on.0.notice().await?) {
                return Ok((key, Some(stored)));
            }
        }
    }
}

/// What this user may not see, or this server has not.
fn is_not_for_us(e: &Error) -> bool {
    let codes = [
        &SqlState::INSUFFICIENT_PRIVILEGE,
        &SqlState::UNDEFINED_TABLE,
        &SqlState::UNDEFINED_COLUMN,
    ];
    e.code().is_some_and(|code| codes.contains(&code))
}
