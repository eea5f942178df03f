//! What an error means, and what would help.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError};
use tokio_rustls::rustls;

use super::link::Place;
use crate::store::StoreError;
use crate::store::remote::network::{self, is_closed};

const TOO_OLD: &str = "it is too old: use Redis 6 or newer, or Valkey";

/// What a user of Redis has to be allowed, besides keys and channels.
const COMMANDS: &str = "+eval +persist +type +hmget +hset +hincrby +publish +subscribe +select";

/// The word by which a server tells an error from others, and what helps against it.
type Known = (&'static str, &'static str);

const LASTING: [Known; 5] = [
    (
        "WRONGPASS",
        "wrong user or password: see redis://USER:PASSWORD@HOST in --store, or REDISCLI_AUTH",
    ),
    (
        "NOAUTH",
        "it wants a password: give it in REDISCLI_AUTH, or as redis://:PASSWORD@HOST in --store",
    ),
    (
        "DENIED",
        "it is in protected mode, so it serves its own machine alone: give it a password",
    ),
    ("NOPROTO", TOO_OLD),
    (
        "CROSSSLOT",
        "the cluster keeps the lease and the requests beside it apart: choose a prefix without {}",
    ),
];

const PASSING: [Known; 11] = [
    ("READONLY", REPLICA),
    (
        "MASTERDOWN",
        "it is a replica that has lost its primary: wait for a failover, or name the primary too \
         in --store",
    ),
    ("LOADING", "it is loading its data: wait"),
    (
        "BUSY",
        "it is busy with a script: wait, or end that with SCRIPT KILL",
    ),
    (
        "MISCONF",
        "it cannot save to its disk and takes no writes: see its log, is the disk full?",
    ),
    (
        "OOM",
        "its memory is full: raise its maxmemory, or delete something",
    ),
    (
        "NOREPLICAS",
        "too few replicas are connected to it (min-replicas-to-write): look after them",
    ),
    (
        "CLUSTERDOWN",
        "the cluster serves nobody now: see CLUSTER INFO",
    ),
    (
        "MOVED",
        "another node of the cluster has the key: name that one too in --store",
    ),
    (
        "ASK",
        "the key is moving to another node of the cluster: name that one too in --store",
    ),
    ("TRYAGAIN", "the cluster is moving the keys: wait"),
];

/// It may be promoted, and then it serves.
pub(super) const REPLICA: &str =
    "it is a replica, which may lag behind: name the primary too in --store";

pub(super) fn closed() -> StoreError {
    StoreError::new("it closed the connection: is it restarting, or does it want TLS (rediss://)?")
}

pub(super) fn of_redis(error: &RedisError, place: &Place) -> StoreError {
    let said = error.detail().unwrap_or_default();
    match error.kind() {
        ErrorKind::Io => return io_error(error).map_or_else(closed, of_io),
        // Killed while it answered.
        ErrorKind::Parse if said.contains("end of input") => return closed(),
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
    // Redis 7 has that word in all cases but this.
    if is("NOPERM") || said.contains("executing the script can't") {
        let (user, prefix) = (place.user.as_deref().unwrap_or("default"), &place.prefix);
        return StoreError::lasting(format!(
            "the user may not do what is needed: ACL SETUSER {user} ~{prefix}* &{prefix}* {COMMANDS}"
        ));
    }
    let known = |table: &[Known]| table.iter().find(|(word, _)| is(word)).map(|known| known.1);
    if let Some(what) = known(&LASTING) {
        return StoreError::lasting(what);
    }
    if let Some(what) = known(&PASSING) {
        return StoreError::new(what);
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
    match is_closed(error) {
        true => closed(),
        false => network::trouble(error),
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
        _ => format!("no TLS with it: {error}: see cacert, cert and key in --store, and its certificate"),
    })
}

/// As it was, below what redis and `Arc` have put around it.
fn io_error(error: &RedisError) -> Option<&io::Error> {
    let shared: &Arc<dyn Error + Send + Sync> = error.source()?.downcast_ref()?;
    shared.downcast_ref()
}
