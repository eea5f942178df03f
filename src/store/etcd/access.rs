//! How to get in: who we are, and which certificates count. What the URL leaves out
//! comes from the environment, as `etcdctl` takes it.

use std::path::PathBuf;

use crate::store::remote::dial::Files;
use crate::store::server::{Server, ServerError};

/// It has no Debug: it knows the password.
pub(super) struct Access {
    pub(super) login: Option<Login>,
    /// None: no TLS.
    pub(super) tls: Option<Files>,
}

pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

impl Access {
    pub(super) fn new(
        server: &Server,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ServerError> {
        Ok(Self {
            login: login(server, &env)?,
            tls: tls(server, &env)?,
        })
    }
}

fn login(
    server: &Server,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<Login>, ServerError> {
    let (user, password) = match &server.user {
        Some(user) => (user.clone(), server.password.clone()),
        None => match env("ETCDCTL_USER") {
            None if server.password.is_some() => {
                return Err(malformed(
                    "it has a password and no user: write USER:PASSWORD@",
                ));
            }
            None => return Ok(None),
            Some(both) => match both.split_once(':') {
                Some((user, password)) => (user.to_owned(), Some(password.to_owned())),
                None => (both, None),
            },
        },
    };
    let password = password.or_else(|| env("ETCDCTL_PASSWORD"));
    let Some(password) = password else {
        return Err(malformed(
            "it has a user and no password: write USER:PASSWORD@, or set ETCDCTL_PASSWORD",
        ));
    };
    Ok(Some(Login { user, password }))
}

fn tls(
    server: &Server,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Option<Files>, ServerError> {
    const PARAMS: [(&str, &str); 3] = [
        ("cacert", "ETCDCTL_CACERT"),
        ("cert", "ETCDCTL_CERT"),
        ("key", "ETCDCTL_KEY"),
    ];
    if let Some((name, _)) = server.params.first().filter(|_| !server.tls) {
        return Err(malformed(format!("{name} is for TLS: write etcds://")));
    }
    if !server.tls {
        return Ok(None);
    }
    let [cacert, cert, key] = PARAMS.map(|(name, variable)| {
        let path = server.param(name).map(str::to_owned);
        path.or_else(|| env(variable)).map(PathBuf::from)
    });
    let cert_and_key = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return Err(malformed("cert and key go together: give both or none")),
    };
    Ok(Some(Files {
        ca: cacert,
        cert_and_key,
    }))
}

fn malformed(why: impl Into<String>) -> ServerError {
    ServerError::Malformed(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(url: &str, env: &[(&str, &str)]) -> Result<Access, String> {
        let value = |name: &str| {
            let found = env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Access::new(&url.parse().unwrap(), value).map_err(|e| e.to_string())
    }

    #[test]
    fn the_url_comes_before_the_environment() {
        let both = [("ETCDCTL_USER", "env:e:x")];
        let apart = [("ETCDCTL_USER", "env"), ("ETCDCTL_PASSWORD", "apart")];
        for (url, env, expected) in [
            ("etcd://h", &[][..], None),
            ("etcd://h", &both, Some(("env", "e:x"))),
            ("etcd://h", &apart, Some(("env", "apart"))),
            ("etcd://u:p@h", &both, Some(("u", "p"))),
            ("etcd://u@h", &apart, Some(("u", "apart"))),
        ] {
            let login = access(url, env).unwrap().login;
            let login = login.as_ref().map(|l| (&*l.user, &*l.password));
            assert_eq!(login, expected, "{url} {env:?}");
        }
        let env = [
            ("ETCDCTL_CACERT", "a"),
            ("ETCDCTL_CERT", "b"),
            ("ETCDCTL_KEY", "c"),
        ];
        assert_eq!(access("etcd://h", &env).unwrap().tls, None);
        let tls = access("etcds://h?cacert=/x%20y&key=k", &env).unwrap().tls;
        let expected = Files {
            ca: Some("/x y".into()),
            cert_and_key: Some(("b".into(), "k".into())),
        };
        assert_eq!(tls, Some(expected));
        assert_eq!(
            access("etcds://h", &[]).unwrap().tls,
            Some(Files::default())
        );
    }

    #[test]
    fn what_is_no_way_in_is_refused_without_the_password() {
        for (url, says) in [
            ("etcd://u@h", "ETCDCTL_PASSWORD"),
            ("etcd://:secret@h", "no user"),
            ("etcd://u:secret@h?cacert=x", "write etcds://"),
            ("etcds://u:secret@h?cert=x", "give both"),
        ] {
            let error = access(url, &[]).err().expect(url);
            assert!(error.contains(says), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
