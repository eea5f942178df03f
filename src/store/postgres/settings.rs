//! What the URL and the environment say of a PostgreSQL, as libpq reads them.
//!
//! | `sslmode` | encrypted | by whom it says it is |
//! |---|---|---|
//! | `disable` | never | |
//! | `prefer`, if nothing is said | if the server can | only checked if there is an `sslrootcert` |
//! | `require` | always | only checked if there is an `sslrootcert` |
//! | `verify-full` | always | always checked, by `sslrootcert` or what the system believes in |
//!
//! Where it is checked, its name is too: there is no `verify-ca`. A socket in a
//! directory is never encrypted.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_rustls::rustls::ClientConfig;

use super::passwords;
use super::unverified;
use crate::store::StoreError;
use crate::store::remote::tls::client_config;
use crate::store::server::{Server, ServerError};

const TABLE: &str = "leader_demo_leases";

/// It has a password in it: not to be shown.
pub(super) struct Settings {
    /// Names and addresses, or directories of sockets.
    pub(super) hosts: Vec<(String, u16)>,
    /// As SQL has it.
    pub(super) table: String,
    user: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    database: Option<String>,
    mode: Mode,
    root: Option<PathBuf>,
    cert_and_key: Option<(PathBuf, PathBuf)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyFull,
}

impl FromStr for Mode {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        match text {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(malformed(format!(
                "sslmode={text}: use disable, prefer, require or verify-full"
            ))),
        }
    }
}

impl Settings {
    pub(super) fn new(
        server: &Server,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ServerError> {
        let env = |name| env(name).filter(|value| !value.is_empty());
        let param = |name| server.param(name).map(str::to_owned);
        if server.path.contains('/') {
            return Err(malformed(
                "the path is more than a database: write postgres://HOST/DATABASE",
            ));
        }
        let hosts = match param("host") {
            Some(directory) if directory.starts_with('/') => vec![(directory, server.hosts[0].1)],
            Some(_) => {
                return Err(malformed(
                    "host= is for a directory of sockets, such as /run/postgresql",
                ));
            }
            None => server.hosts.clone(),
        };
        let mode = param("sslmode").or_else(|| env("PGSSLMODE"));
        let mode = mode.as_deref().map_or(Ok(Mode::Prefer), str::parse)?;
        let root = param("sslrootcert").or_else(|| env("PGSSLROOTCERT"));
        let cert_and_key = match (param("sslcert"), param("sslkey")) {
            (Some(cert), Some(key)) if mode == Mode::VerifyFull => Some((cert.into(), key.into())),
            (None, None) => None,
            _ => {
                return Err(malformed(
                    "sslcert= and sslkey= go together, and with sslmode=verify-full",
                ));
            }
        };
        let in_home = || Some(format!("{}/.pgpass", env("HOME")?));
        let user = server.user.clone();
        Ok(Self {
            hosts,
            table: quoted(server.param("table").unwrap_or(TABLE))?,
            user: user.or_else(|| env("PGUSER")).or_else(|| env("USER")),
            password: server.password.clone().or_else(|| env("PGPASSWORD")),
            password_file: env("PGPASSFILE").or_else(in_home).map(PathBuf::from),
            database: Some(server.path.clone()).filter(|path| !path.is_empty()),
            mode,
            root: root.map(PathBuf::from),
            cert_and_key,
        })
    }

    pub(super) fn host(&self, attempt: usize) -> (&str, u16) {
        let (host, port) = &self.hosts[attempt % self.hosts.len()];
        (host, *port)
    }

    /// As SQL has it, to grant something to.
    pub(super) fn grantee(&self) -> String {
        self.user.as_deref().map_or("this user".into(), identifier)
    }

    /// Files are read anew each time: who changes a password need not start us again.
    pub(super) fn config(&self, attempt: usize) -> Config {
        let (host, port) = self.host(attempt);
        let mut config = Config::new();
        config.host(host).port(port).ssl_mode(match self.mode {
            Mode::Disable => SslMode::Disable,
            _ if is_directory(host) => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyFull => SslMode::Require,
        });
        if let Some(database) = &self.database {
            config.dbname(database);
        }
        if let Some(user) = &self.user {
            config.user(user);
        }
        let password = self.password.clone().or_else(|| {
            let user = self.user.as_deref().unwrap_or_default();
            let database = self.database.as_deref().unwrap_or(user);
            let host = if is_directory(host) {
                "localhost"
            } else {
                host
            };
            let port = port.to_string();
            passwords::find(
                self.password_file.as_deref()?,
                [host, &port, database, user],
            )
        });
        if let Some(password) = password {
            config.password(password);
        }
        config
    }

    pub(super) fn has_password(&self, attempt: usize) -> bool {
        self.config(attempt).get_password().is_some()
    }

    /// None where nothing is to be encrypted.
    pub(super) fn tls(&self, attempt: usize) -> Result<Option<ClientConfig>, StoreError> {
        if self.mode == Mode::Disable || is_directory(self.host(attempt).0) {
            return Ok(None);
        }
        if self.mode != Mode::VerifyFull && self.root.is_none() {
            return unverified::client_config().map(Some);
        }
        let pair = self.cert_and_key.as_ref();
        let pair = pair.map(|(cert, key)| (cert.as_path(), key.as_path()));
        let config = client_config(self.root.as_deref(), pair)?;
        Ok(Some((*config).clone()))
    }
}

fn malformed(why: impl Into<String>) -> ServerError {
    ServerError::Malformed(why.into())
}

fn is_directory(host: &str) -> bool {
    Path::new(host).is_absolute()
}

/// `TABLE` or `SCHEMA.TABLE`, whatever is in the names.
fn quoted(table: &str) -> Result<String, ServerError> {
    let names: Vec<_> = table.split('.').collect();
    let is_name = |name: &&str| !name.is_empty() && name.len() < 64 && !name.contains('\0');
    if names.len() > 2 || !names.iter().all(is_name) {
        return Err(malformed(
            "table= is no name of a table: use TABLE or SCHEMA.TABLE",
        ));
    }
    let quoted: Vec<_> = names.into_iter().map(identifier).collect();
    Ok(quoted.join("."))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, env: &[(&str, &str)]) -> Result<Settings, String> {
        let find = |name: &str| {
            let found = env.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        };
        Settings::new(&url.parse().unwrap(), find).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_not_known_is_refused_and_what_is_known_is_listed() {
        for (url, says) in [
            ("postgres://h/db?sslmode=verify-ca", "use disable, prefer"),
            ("postgres://h/a/b", "more than a database"),
            ("postgres://h/db?host=other", "directory of sockets"),
            (
                "postgres://h/db?sslcert=c&sslmode=verify-full",
                "go together",
            ),
            ("postgres://h/db?sslcert=c&sslkey=k", "verify-full"),
            ("postgres://h/db?table=a.b.c", "no name of a table"),
            ("postgres://h/db?table=a.", "no name of a table"),
        ] {
            let error = settings(url, &[]).err().unwrap();
            assert!(error.contains(says), "{url}: {error}");
        }
        let odd = settings("postgres://h", &[("PGSSLMODE", "yes")]).err();
        assert!(odd.unwrap().contains("sslmode=yes"));
    }

    #[test]
    fn the_url_goes_before_the_environment() {
        let env = [
            ("PGUSER", "them"),
            ("PGPASSWORD", "theirs"),
            ("PGSSLMODE", "require"),
        ];
        let url = "postgres://me:mine@h1,h2:7/db?sslmode=disable&table=a.b\"c";
        let said = settings(url, &env).unwrap();
        assert_eq!(said.table, "\"a\".\"b\"\"c\"");
        assert_eq!([said.host(0), said.host(3)], [("h1", 5432), ("h2", 7)]);
        let config = said.config(1);
        assert_eq!(config.get_user(), Some("me"));
        assert_eq!(config.get_password(), Some(&b"mine"[..]));
        assert_eq!(config.get_dbname(), Some("db"));
        assert_eq!(config.get_ssl_mode(), SslMode::Disable);

        let said = settings("postgres://h", &env).unwrap();
        let config = said.config(0);
        assert_eq!(config.get_user(), Some("them"));
        assert_eq!(config.get_password(), Some(&b"theirs"[..]));
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
        assert!(said.tls(0).unwrap().is_some());
    }

    #[test]
    fn a_directory_of_sockets_is_never_encrypted() {
        for url in [
            "postgres://h:7/db?host=/run/pg&sslmode=require",
            "postgres://%2Frun%2Fpg:7/db",
        ] {
            let said = settings(url, &[]).unwrap();
            assert_eq!(said.host(0), ("/run/pg", 7));
            assert_eq!(said.config(0).get_ssl_mode(), SslMode::Disable);
            assert!(said.tls(0).unwrap().is_none());
        }
    }
}
