//! What an error means, and what would help.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError};
use tokio_rustls::rustls;

use super::link::Place;
use crate::store::StoreError;

const TOO_OLD: &str = "it is too old: use Redis 6 or newer, or Valkey";

/// What a user of Redis has to be allowed, besides keys and channels.
const COMMANDS: &str = "+eval +persist +type +hmget +hset +hincrby +publish +subscribe +select";

/// Who asks has to do something about it, or it passes: a failover, a slow disk.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    Mended,
    Passed,
}

use Until::{Mended, Passed};

/// The word by which a server tells an error from others, and what is said of it.
const TROUBLES: [(&str, Until, &str); 15] = [
    (
        "WRONGPASS",
        Mended,
        "wrong user or password: see redis://USER:PASSWORD@HOST in --store, or REDISCLI_AUTH",
    ),
    (
        "NOAUTH",
        Mended,
        "it wants a password: give it in REDISCLI_AUTH, or as redis://:PASSWORD@HOST in --store",
    ),
    (
        "DENIED",
        Mended,
        "it is in protected mode, so it serves its own machine alone: give it a password",
    ),
    ("NOPROTO", Mended, TOO_OLD),
    (
        "CROSSSLOT",
        Mended,
        "the cluster keeps the lease and the requests beside it apart: choose a prefix without {}",
    ),
    ("LOADING", Passed, "it is loading its data: wait"),
    (
        "BUSY",
        Passed,
        "it is busy with a script: wait, or end it with SCRIPT KILL",
    ),
    (
        "MASTERDOWN",
        Passed,
        "it is a replica that has lost its primary: wait for a failover, or name the primary in --store",
    ),
    (
        "NOREPLICAS",
        Passed,
        "too few replicas are connected to it (min-replicas-to-write): look after them",
    ),
    (
        "CLUSTERDOWN",
        Passed,
        "the cluster is down: see CLUSTER INFO",
    ),
    ("TRYAGAIN", Passed, "the cluster is moving the keys: wait"),
    (
        "MISCONF",
        Passed,
        "it cannot save to its disk and takes no writes: see its log, is the disk full?",
    ),
    (
        "OOM",
        Passed,
        "its memory is full: raise its maxmemory, or delete something",
    ),
    (
        "MOVED",
        Passed,
        "another node of the cluster has the key: name that one too in --store",
    ),
    (
        "ASK",
        Passed,
        "the key is moving to another node of the cluster: name that one too in --store",
    ),
];

/// Any other copy of the data than the one that takes writes. It may be promoted.
pub(super) fn replica() -> StoreError {
    StoreError::new("it is a replica, which may lag behind: name the primary too in --store")
}

pub(super) fn closed() -> StoreError {
    StoreError::new("it closed the connection: is it restarting, or does it want TLS (rediss://)?")
}

pub(super) fn of_redis(error: &RedisError, place: &Place) -> StoreError {
    let said = error.detail().unwrap_or_default();
    match error.kind() {
        ErrorKind::Io => return io_error(error).map_or_else(closed, of_io),
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
            return StoreError::lasting(
                "what answers there is no Redis, or wants TLS: use rediss://, or another port",
            );
        }
        ErrorKind::RESP3NotSupported => return StoreError::lasting(TOO_OLD),
        _ => {}
    }
    let code = error.code().unwrap_or_default();
    // Redis 6 calls whatever goes wrong in a script ERR, and says after it what it was.
    let is = |word: &str| {
        code == word || code == "ERR" && said.split([' ', ':', '-']).any(|said| said == word)
    };
    if is("READONLY") {
        return replica();
    }
    if is("NOPERM") {
        let (user, prefix) = (place.user.as_deref().unwrap_or("default"), &place.prefix);
        return StoreError::lasting(format!(
            "the user may not do what is needed: ACL SETUSER {user} ~{prefix}* &{prefix}* {COMMANDS}"
        ));
    }
    if let Some((_, until, what)) = TROUBLES.iter().find(|(word, ..)| is(word)) {
        return match until {
            Mended => StoreError::lasting(*what),
            Passed => StoreError::new(*what),
        };
    }
    match said {
        // What follows it is what was sent, and that may be the password.
        _ if said.starts_with("unknown command") => StoreError::lasting(TOO_OLD),
        _ if said.contains("DB index") || said.starts_with("SELECT is not allowed") => {
            StoreError::lasting(format!(
                "it has no database {}: name another in --store, as redis://HOST/0",
                place.database
            ))
        }
        _ => StoreError::new(format!("it answered: {code} {said}")),
    }
}

pub(super) fn of_io(error: &io::Error) -> StoreError {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    if let Some(cause) = cause {
        return of_tls(cause);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            StoreError::new("nobody listens there: is it running, and is --store right?")
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => closed(),
        _ => StoreError::new(error.to_string()),
    }
}

fn of_tls(error: &rustls::Error) -> StoreError {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error as Tls};
    StoreError::lasting(match error {
        Tls::InvalidCertificate(Bad::UnknownIssuer) => {
            "its certificate is from nobody we trust: name a file with its CA in --store, \
             as rediss://HOST?cacert=FILE"
                .into()
        }
        Tls::AlertReceived(Alert::CertificateRequired | Alert::HandshakeFailure) => {
            "it wants a certificate of ours: name it in --store, as rediss://HOST?cert=FILE&key=FILE"
                .into()
        }
        Tls::InvalidMessage(_) => "it does not talk TLS: use redis://, or another port".into(),
        _ => format!("no TLS with it: {error}"),
    })
}

/// As it was, below what redis and `Arc` have put around it.
fn io_error(error: &RedisError) -> Option<&io::Error> {
    let shared: &Arc<dyn Error + Send + Sync> = error.source()?.downcast_ref()?;
    shared.downcast_ref()
}
