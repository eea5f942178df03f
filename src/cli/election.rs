//! The flags that every node has: which election, where, and how fast.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueHint};
use leader_demo::{LockName, Timing};

use super::place::{Directory, Place, StoreUrl};
use super::{refuse, values};

/// An election to take part in.
#[derive(Debug)]
pub(crate) struct Election<P = Place> {
    pub(crate) lock_name: LockName,
    pub(crate) place: P,
    pub(crate) timing: Timing,
}

#[derive(Debug, Args)]
pub(super) struct ElectionFlags {
    #[command(flatten)]
    lease: LeaseFlags,

    #[command(flatten)]
    timing: TimingFlags,
}

#[derive(Debug, Args)]
pub(super) struct TimingFlags {
    /// How long a leader's silence must last before others may take over
    #[arg(
        long, env = "LEADER_DEMO_LEASE_DURATION", value_name = "DURATION", default_value = "10s",
        value_parser = values::duration, allow_hyphen_values = true
    )]
    lease_duration: Duration,

    /// How often a leader renews and the others look [default: 0.2 of the lease duration, 2s]
    #[arg(
        long, env = "LEADER_DEMO_RETRY_PERIOD", value_name = "DURATION",
        value_parser = values::duration, allow_hyphen_values = true
    )]
    retry_period: Option<Duration>,

    /// How long a leader that cannot renew goes on [default: 0.6 of the lease duration, 6s]
    #[arg(
        long, env = "LEADER_DEMO_RENEW_DEADLINE", value_name = "DURATION",
        value_parser = values::duration, allow_hyphen_values = true
    )]
    renew_deadline: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct LeaseFlags {
    /// Name of the election; nodes with the same one compete
    #[arg(
        long,
        env = "LEADER_DEMO_LOCK_NAME",
        value_name = "NAME",
        default_value = "leader-election-demo"
    )]
    lock_name: LockName,

    /// Where the lease is kept; nodes create it when missing [default: /tmp]
    #[arg(long, env = "LEADER_DEMO_LOCK_DIR", value_name = "DIR", value_hint = ValueHint::DirPath)]
    lock_dir: Option<PathBuf>,

    /// Where the lease is kept, as a URL: file:DIR is the same as --lock-dir DIR; on
    /// servers etcd://HOST, redis://HOST or postgres://HOST/DB, in builds that have them
    #[arg(
        long, env = "LEADER_DEMO_STORE", value_name = "URL", hide_env_values = true,
        value_hint = ValueHint::Other
    )]
    store: Option<OsString>,

    /// The lock directory is meant for several users (group, setgid)
    #[arg(
        long, env = "LEADER_DEMO_SHARED_DIR", value_name = "BOOL",
        action = clap::ArgAction::Set, value_parser = BoolishValueParser::new(),
        num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true"
    )]
    shared_dir: bool,
}

impl<P> Election<P> {
    /// The same, where it is known what kind of place that is.
    pub(crate) fn at<Q>(&self, place: Q) -> Election<Q> {
        Election {
            lock_name: self.lock_name.clone(),
            place,
            timing: self.timing,
        }
    }
}

impl ElectionFlags {
    pub(super) fn resolve(self, matches: &ArgMatches) -> Result<Election, clap::Error> {
        let timing = self.timing.resolve()?;
        let (lock_name, place) = self.lease.resolve(matches)?;
        Ok(Election {
            lock_name,
            place,
            timing,
        })
    }
}

impl TimingFlags {
    pub(super) fn resolve(self) -> Result<Timing, clap::Error> {
        Timing::new(self.lease_duration, self.renew_deadline, self.retry_period)
            .map_err(|e| refuse(ErrorKind::ValueValidation, e))
    }
}

impl LeaseFlags {
    pub(super) fn resolve(self, matches: &ArgMatches) -> Result<(LockName, Place), clap::Error> {
        let typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let store = self.store.as_deref().map(StoreUrl::parse).transpose();
        let store = store.map_err(|e| refuse(ErrorKind::ValueValidation, e))?;
        let store = match (self.lock_dir, store) {
            // What is typed counts, whatever the environment says: under `run`
            // there is a store in it.
            (Some(dir), Some(_)) if typed("lock_dir") && !typed("store") => StoreUrl::File(dir),
            (Some(_), Some(store)) if typed("store") && !typed("lock_dir") => store,
            (Some(dir), Some(store)) => {
                let message = format!(
                    "--lock-dir {} and --store {store} both say where the lease is kept: give one",
                    dir.display(),
                );
                return Err(refuse(ErrorKind::ArgumentConflict, message));
            }
            (Some(dir), None) => StoreUrl::File(dir),
            (None, Some(store)) => store,
            (None, None) => StoreUrl::File("/tmp".into()),
        };
        let place = match store {
            StoreUrl::File(dir) if dir.as_os_str().is_empty() => {
                let message = "--lock-dir '' is empty: name a directory, for example /tmp";
                return Err(refuse(ErrorKind::ValueValidation, message));
            }
            StoreUrl::File(dir) => Place::Directory(Directory {
                dir,
                shared: self.shared_dir,
            }),
            StoreUrl::Server(server) => {
                if self.shared_dir && typed("shared_dir") {
                    let message = format!(
                        "--shared-dir is about a lock directory, and --store {server} is none: \
                         leave it out"
                    );
                    return Err(refuse(ErrorKind::ArgumentConflict, message));
                }
                Place::Server(server)
            }
        };
        Ok((self.lock_name, place))
    }
}
