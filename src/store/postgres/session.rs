//! One connection to a PostgreSQL, and what its errors mean.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, Error, NoTls, SimpleQueryMessage, SimpleQueryRow,
    Socket,
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls;

use super::settings::Settings;
use crate::store::StoreError;
use crate::store::remote::network;
use crate::store::remote::{APART, IDLE, QUESTIONS};

/// What it takes: a first version that is still looked after by anybody.
const OLDEST: u32 = 10;

pub(in crate::store) struct Session {
    client: Client,
    notices: mpsc::UnboundedReceiver<Result<String, Error>>,
    driver: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    pub(super) async fn open(settings: &Settings, attempt: usize) -> Result<Self, StoreError> {
        let mut config = settings.config(attempt);
        // A dead peer is noticed in some ten seconds.
        config
            .application_name("leader-demo")
            .keepalives_idle(IDLE)
            .keepalives_interval(APART)
            .keepalives_retries(QUESTIONS)
            .tcp_user_timeout(Duration::from_secs(10));
        match settings.tls(attempt)? {
            None => Self::over(NoTls, &config).await,
            Some(tls) => Self::over(MakeRustlsConnect::new(tls), &config).await,
        }
    }

    async fn over<T>(tls: T, config: &Config) -> Result<Self, StoreError>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        let (client, connection) = config.connect(tls).await.map_err(|e| trouble(&e))?;
        check_version(connection.parameter("server_version").unwrap_or_default())?;
        let (tell, notices) = mpsc::unbounded_channel();
        Ok(Self {
            client,
            notices,
            driver: tokio::spawn(drive(connection, tell)).abort_handle(),
        })
    }

    /// Of all statements of this text, which is one transaction.
    pub(super) async fn rows(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, Error> {
        let answer = self.client.simple_query(sql).await?;
        let rows = answer.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The next one, on whatever channel.
    pub(super) async fn notice(&mut self) -> Result<String, StoreError> {
        match self.notices.recv().await {
            Some(Ok(notice)) => Ok(notice),
            Some(Err(e)) => Err(trouble(&e)),
            None => Err(StoreError::new("the connection was closed")),
        }
    }
}

async fn drive<S>(
    mut connection: Connection<Socket, S>,
    tell: mpsc::UnboundedSender<Result<String, Error>>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(message) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
        let is_last = message.is_err();
        // Nobody may be there to hear it: to answer requests it goes on.
        let _ = match message {
            Ok(AsyncMessage::Notification(notice)) => tell.send(Ok(notice.payload().to_owned())),
            Ok(_) => Ok(()),
            Err(e) => tell.send(Err(e)),
        };
        // Asked again, it would say the same for ever.
        if is_last {
            return;
        }
    }
}

/// Of `server_version`, such as "15.2 (Debian 15.2-1)" or "9.6.24".
fn check_version(version: &str) -> Result<(), StoreError> {
    let major = version.split(|c: char| !c.is_ascii_digit()).next();
    match major.and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major < OLDEST => Err(StoreError::lasting(format!(
            "it is version {version}, which is too old: use {OLDEST} or newer"
        ))),
        _ => Ok(()),
    }
}

/// One line that says what is wrong and, if it does not pass by itself, what helps.
pub(super) fn trouble(e: &Error) -> StoreError {
    let Some(db) = e.as_db_error() else {
        return match e.source() {
            None => StoreError::new(e.to_string()),
            Some(source) => of_this_side(e, source),
        };
    };
    let what = one_line(db.message());
    let remedy = match db.code().code() {
        "28P01" => "give user and password in --store, PGPASSWORD or ~/.pgpass",
        code if code.starts_with("28") => "let this user in, or choose another in --store",
        "3D000" => "create the database, or name another in --store",
        "3F000" => "create the schema, or name another in table= of --store",
        "42501" if what.contains(" for database ") => "GRANT this user CONNECT on the database",
        "42501" if what.contains(" for schema ") => "GRANT this user USAGE on the schema",
        "42501" => "GRANT this user SELECT, INSERT and UPDATE on the table",
        code => return passing(code, what),
    };
    StoreError::lasting(format!("{what}: {remedy}"))
}

/// What the server may say otherwise the next time.
fn passing(code: &str, what: String) -> StoreError {
    let remedy = match code {
        // All that we ask for and not every server has: to write, on a standby.
        "0A000" => "name the primary in --store",
        "53300" => "end other sessions, or allow for more",
        "55P03" => "somebody has locked the row or the table: wait, or see pg_locks",
        // Among others a table that was dropped this moment: the next one creates it.
        _ => return StoreError::new(what),
    };
    StoreError::new(format!("{what}: {remedy}"))
}

/// Neither the server's word nor the network's is about how we are set up.
fn of_this_side(e: &Error, source: &(dyn std::error::Error + 'static)) -> StoreError {
    let io = source.downcast_ref::<io::Error>();
    let inner = io.and_then(io::Error::get_ref);
    if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return StoreError::lasting(format!(
            "TLS failed: {}: see sslmode= and sslrootcert= of --store",
            one_line(&tls.to_string())
        ));
    }
    let what = one_line(&format!("{e}: {source}"));
    match (io, source.to_string().as_str()) {
        (Some(io), _) => network::trouble(io),
        (None, "password missing") => StoreError::lasting(
            "it asks for a password: give one in --store, PGPASSWORD or ~/.pgpass (of mode 600)",
        ),
        (None, _) => StoreError::lasting(format!("{what}: see sslmode= of --store")),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_too_old_is_refused() {
        for version in ["9.6.24", "8.4", "9.5beta1"] {
            let error = check_version(version).unwrap_err();
            assert!(error.is_lasting() && error.to_string().contains(version));
        }
        for version in ["10.0", "15.2 (Debian 15.2-1)", "18beta1", "16devel", ""] {
            check_version(version).unwrap();
        }
    }
}
