//! A server that keeps leases, by its URL.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::name::LockName;
use crate::store::LeaseStore;
use crate::store::trial::{Register, Trial};

/// `SCHEME://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]..][/PATH][?NAME=VALUE&..]`,
/// for an etcd, Redis or PostgreSQL.
///
/// What is shown of it, with `{}` and `{:?}`, has no password.
///
/// ```
/// # use leader_demo::store::Server;
/// let server: Server = "etcd://me:secret@10.0.0.1,10.0.0.2:2379/team".parse()?;
/// assert_eq!(server.to_string(), "etcd://me@10.0.0.1:2379,10.0.0.2:2379/team");
/// assert!("etcd://me:secret@10.0.0.1:port".parse::<Server>().is_err());
/// # Ok::<(), leader_demo::store::ServerError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    pub(super) kind: Kind,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// At least one, each with its port.
    pub(super) hosts: Vec<(String, u16)>,
    /// Without the slash it begins with.
    pub(super) path: String,
    pub(super) params: Vec<(String, String)>,
}

/// What answers at a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `etcd://`
    Etcd,
    /// `redis://`: a Redis or a Valkey.
    Redis,
    /// `postgres://`
    Postgres,
}

/// Each scheme, what it stands for, whether over TLS, and its port.
const SCHEMES: [(&str, Kind, bool, u16); 6] = [
    ("etcd", Kind::Etcd, false, 2379),
    ("etcds", Kind::Etcd, true, 2379),
    ("redis", Kind::Redis, false, 6379),
    ("rediss", Kind::Redis, true, 6379),
    ("postgres", Kind::Postgres, false, 5432),
    ("postgresql", Kind::Postgres, false, 5432),
];

/// Why a URL names no server that this build can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// None of these: nothing is known of such a store.
    #[error("unknown scheme {0:?}: use etcd, etcds, redis, rediss or postgres")]
    UnknownScheme(String),
    /// It was left out of this build.
    #[error("this build has no {0}: build it with --features {0}, or with --features full")]
    NotBuiltIn(&'static str),
    /// Not a URL, or not one for this store; never with the password in it.
    #[error("{0}")]
    Malformed(String),
}

fn malformed<T>(why: impl Into<String>) -> Result<T, ServerError> {
    Err(ServerError::Malformed(why.into()))
}

impl Server {
    /// The register that the nodes of this election share. Connects when it is
    /// first asked for something; a server that gives no answer within `patience`
    /// is taken to have failed (a retry period is a good choice).
    ///
    /// # Errors
    /// [`ServerError`]: the URL asks for what this build, or this store, has not.
    pub fn open(
        &self,
        lock_name: &LockName,
        patience: Duration,
    ) -> Result<Arc<dyn LeaseStore>, ServerError> {
        Ok(self.register(lock_name, patience)?)
    }

    /// To try it out, with a lease of nobody's: whoever tries at the same time takes
    /// another `number`.
    ///
    /// # Errors
    /// As from [`open`](Self::open).
    pub fn trial(&self, number: u32, patience: Duration) -> Result<Trial, ServerError> {
        let lock_name = Trial::lock_name(number);
        Ok(Trial(self.register(&lock_name, patience)?))
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    fn register(
        &self,
        lock_name: &LockName,
        patience: Duration,
    ) -> Result<Arc<dyn Register>, ServerError> {
        let _ = (lock_name, patience);
        match self.kind {
            #[cfg(feature = "etcd")]
            Kind::Etcd => {
                let backend = super::etcd::Etcd::new(self, lock_name)?;
                Ok(Arc::new(super::remote::Register::new(backend, patience)))
            }
            #[cfg(not(feature = "etcd"))]
            Kind::Etcd => Err(ServerError::NotBuiltIn("etcd")),
            #[cfg(feature = "redis")]
            Kind::Redis => {
                let backend = super::redis::Redis::new(self, lock_name)?;
                Ok(Arc::new(super::remote::Register::new(backend, patience)))
            }
            #[cfg(not(feature = "redis"))]
            Kind::Redis => Err(ServerError::NotBuiltIn("redis")),
            #[cfg(feature = "postgres")]
            Kind::Postgres => {
                let backend = super::postgres::Postgres::new(self, lock_name, patience)?;
                Ok(Arc::new(super::remote::Register::new(backend, patience)))
            }
            #[cfg(not(feature = "postgres"))]
            Kind::Postgres => Err(ServerError::NotBuiltIn("postgres")),
        }
    }

    /// The URL, password and all: for a process that is to use it, too.
    pub fn reveal(&self) -> String {
        self.text(self.password.as_deref())
    }

    /// The password, if it has one.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The same with this password.
    #[must_use]
    pub fn with_password(self, password: String) -> Self {
        Self {
            password: Some(password),
            ..self
        }
    }

    /// The last with this name counts.
    #[cfg(any(feature = "etcd", feature = "postgres", feature = "redis"))]
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        let mut given = self.params.iter().rev();
        let found = given.find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    fn text(&self, password: Option<&str>) -> String {
        use fmt::Write;
        let mut text = format!("{}://", self.scheme());
        if let Some(user) = &self.user {
            text += &encoded(user);
        }
        if let Some(password) = password {
            text += ":";
            text += &encoded(password);
        }
        if self.user.is_some() || password.is_some() {
            text += "@";
        }
        for (n, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let _ = match host.contains(':') {
                true => write!(text, "{comma}[{host}]:{port}"),
                false => write!(text, "{comma}{}:{port}", encoded(host)),
            };
        }
        if !self.path.is_empty() {
            let parts: Vec<_> = self.path.split('/').map(encoded).collect();
            text += "/";
            text += &parts.join("/");
        }
        for (n, (name, value)) in self.params.iter().enumerate() {
            let mark = if n == 0 { '?' } else { '&' };
            let _ = write!(text, "{mark}{}={}", encoded(name), encoded(value));
        }
        text
    }

    fn scheme(&self) -> &'static str {
        let mut schemes = SCHEMES.iter();
        let known = schemes.find(|(_, kind, tls, _)| (*kind, *tls) == (self.kind, self.tls));
        known.map_or("", |(scheme, ..)| scheme)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(None))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Server {
    type Err = ServerError;

    fn from_str(url: &str) -> Result<Self, ServerError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return malformed("not a URL: write etcd://HOST:PORT, redis://HOST or postgres://HOST");
        };
        let known = SCHEMES
            .iter()
            .find(|(known, ..)| scheme.eq_ignore_ascii_case(known));
        let Some((_, kind, tls, port)) = known else {
            return Err(ServerError::UnknownScheme(scheme.into()));
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains('@') || query.contains('@') {
            return malformed(
                "an @ comes after the host: in a password / is written %2F and ? is written %3F, \
                 and @ elsewhere is %40",
            );
        }
        // A password may have an @ in it, a host has none.
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':').ok_or(login)) {
            Some(Ok((user, password))) => (Some(decoded(user)?), Some(decoded(password)?)),
            Some(Err(user)) => (Some(decoded(user)?), None),
            None => (None, None),
        };
        let params = query
            .split('&')
            .filter(|param| !param.is_empty())
            .map(|param| kind.param(param))
            .collect::<Result<Vec<_>, _>>()?;
        let hosts = match hosts {
            // As libpq takes it: what is meant is a directory of sockets.
            port if (port.is_empty() || port.starts_with(':'))
                && *kind == Kind::Postgres
                && params.iter().any(|(name, _)| name == "host") =>
            {
                format!("localhost{port}")
            }
            hosts => hosts.to_owned(),
        };
        let hosts = hosts
            .split(',')
            .map(|host| host_and_port(host, *port))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            kind: *kind,
            tls: *tls,
            user: user.filter(|user| !user.is_empty()),
            password,
            hosts,
            path: decoded(path.trim_end_matches('/'))?,
            params,
        })
    }
}

impl Kind {
    /// Those that it knows, by name.
    fn params(self) -> &'static [&'static str] {
        match self {
            Self::Etcd => &["cacert", "cert", "key"],
            Self::Redis => &["cacert", "cert", "key", "prefix"],
            Self::Postgres => &[
                "host",
                "sslcert",
                "sslkey",
                "sslmode",
                "sslrootcert",
                "table",
            ],
        }
    }

    /// A name and its value; what is not known is not shown, as it may be a password.
    fn param(self, param: &str) -> Result<(String, String), ServerError> {
        let (name, value) = param.split_once('=').unwrap_or((param, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        let known = self.params();
        if !known.contains(&&*name) {
            let known = known.join(", ");
            return malformed(format!(
                "it has an unknown parameter: there are {known}; user and password go before \
                 the host, as USER:PASSWORD@"
            ));
        }
        if value.is_empty() {
            return malformed(format!(
                "{name}= has no value: give it one, or leave it out"
            ));
        }
        Ok((name, value))
    }
}

fn host_and_port(text: &str, usual: u16) -> Result<(String, u16), ServerError> {
    let brackets = text.strip_prefix('[');
    let (host, port) = match brackets.and_then(|text| text.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None => return malformed(format!("what follows [{host}] is no port")),
        },
        None if brackets.is_some() => return malformed("a [ has no ]: write [::1], or [::1]:PORT"),
        None => match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return malformed("an IPv6 address goes into brackets: write [::1], or [::1]:PORT");
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let host = decoded(host)?;
    if host.is_empty() {
        return malformed("it names no host: write it as SCHEME://HOST:PORT");
    }
    let port = match port.map(str::parse) {
        None => usual,
        Some(Ok(port @ 1..)) => port,
        Some(_) => return malformed(format!("the port after {host} is no port")),
    };
    Ok((host, port))
}

/// As RFC 3986 section 2.1 has it.
fn decoded(text: &str) -> Result<String, ServerError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            // Not what it is: it may be a password.
            _ => {
                return malformed("a % in it is not followed by two hexadecimal digits: write %25");
            }
        }
    }
    String::from_utf8(bytes).or_else(|_| malformed("it has bytes in it that are no UTF-8"))
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_back_as_they_were_but_for_the_password() {
        for (url, shown) in [
            ("etcd://h", "etcd://h:2379"),
            ("etcds://h:1,i/a/b/", "etcds://h:1,i:2379/a/b"),
            ("redis://:p%40ss@[::1]:7", "redis://[::1]:7"),
            ("rediss://u:p@h/2", "rediss://u@h:6379/2"),
            ("postgres://u%20v:a@b:c@h/db", "postgres://u%20v@h:5432/db"),
            (
                "PostgreSQL://h/db?sslmode=require&",
                "postgres://h:5432/db?sslmode=require",
            ),
            (
                "postgres:///db?host=/run/pg",
                "postgres://localhost:5432/db?host=%2Frun%2Fpg",
            ),
            (
                "postgres://u@:7/db?host=/run/pg",
                "postgres://u@localhost:7/db?host=%2Frun%2Fpg",
            ),
        ] {
            let server: Server = url.parse().unwrap();
            assert_eq!(server.to_string(), shown);
            assert_eq!(format!("{server:?}"), shown);
            assert_eq!(server.reveal().parse(), Ok(server), "{url}");
        }
        let server: Server = "redis://:p%40s@h".parse().unwrap();
        assert_eq!(server.password(), Some("p@s"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, says) in [
            ("h:2379", "not a URL"),
            ("mysql://u:secret@h", "unknown scheme \"mysql\""),
            ("etcd://u:secret@", "names no host"),
            ("etcd://u:secret@h,", "names no host"),
            ("postgres://u:secret@?table=x", "names no host"),
            ("postgres://h/db?password=secret", "as USER:PASSWORD@"),
            ("redis://h?secret", "there are cacert, cert, key, prefix"),
            ("etcd://h?cacert=", "cacert= has no value"),
            ("redis://u:7/secret@h", "is written %2F"),
            ("redis://u:7?secret@h", "is written %2F"),
            ("etcd://u:secret@[::1", "a [ has no ]"),
            ("etcd://u:secret@[::1]2379", "is no port"),
            ("etcd://u:secret@h:0", "after h is no port"),
            ("etcd://u:secret@::1", "into brackets"),
            ("etcd://u:secret@fe80::1:2379", "into brackets"),
            ("etcd://u:secret@h:x", "after h is no port"),
            ("etcd://u:secret@h:65536", "after h is no port"),
            ("etcd://u:secret%zz@h", "write %25"),
            ("etcd://u:secret%ff@h", "no UTF-8"),
        ] {
            let error = url.parse::<Server>().unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
