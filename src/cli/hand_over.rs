//! `leader-demo hand-over` and `leader-demo resign`: asking the leader to step down.

use std::time::Duration;

use clap::{ArgMatches, Parser};
use leader_demo::{LockName, NodeId, Wish};

use super::election::LeaseFlags;
use super::{Place, values};

/// What to ask of the leader.
#[derive(Debug)]
pub(crate) struct HandOver {
    pub(crate) lock_name: LockName,
    pub(crate) place: Place,
    pub(crate) wish: Wish,
    /// None: the leader's lease duration.
    pub(crate) timeout: Option<Duration>,
}

/// Ask the leader to step down for another node. That node says first that it
/// is there; then the leader stops its work and gives the lease back, and for a
/// lease duration nobody else may take it.
#[derive(Debug, Parser)]
#[command(name = "hand-over", after_help = AFTER_HELP)]
pub(super) struct HandOverFlags {
    /// The node that is to lead [default: whichever says first that it is there]
    #[arg(long, value_name = "NODE")]
    to: Option<NodeId>,

    #[command(flatten)]
    asking: AskingFlags,
}

/// Ask the leader to step down, whoever comes after. It stays out of the
/// election for a lease duration.
#[derive(Debug, Parser)]
#[command(name = "resign", after_help = AFTER_HELP)]
pub(super) struct ResignFlags {
    #[command(flatten)]
    asking: AskingFlags,
}

#[derive(Debug, clap::Args)]
struct AskingFlags {
    #[command(flatten)]
    lease: LeaseFlags,

    /// How long to wait for an answer, and as long again for the leader's work
    /// to stop [default: the leader's lease duration]
    #[arg(
        long, value_name = "DURATION",
        value_parser = values::timeout, allow_hyphen_values = true
    )]
    timeout: Option<Duration>,
}

const AFTER_HELP: &str = "\
Until the leader has agreed, nothing happens to it: if somebody does not answer
in time, or on Ctrl+C, the request is withdrawn and the leader leads on.

Exit codes: 0 done, 1 not done (or not yet), 3 nobody leads, 2 usage.";

impl HandOver {
    pub(super) fn to_another(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags: HandOverFlags = super::flags(matches)?;
        let wish = Wish::HandOver { to: flags.to };
        Self::new(wish, flags.asking, matches)
    }

    pub(super) fn to_anyone(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags: ResignFlags = super::flags(matches)?;
        Self::new(Wish::Resign, flags.asking, matches)
    }

    fn new(wish: Wish, flags: AskingFlags, matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (lock_name, place) = flags.lease.resolve(matches)?;
        Ok(Self {
            lock_name,
            place,
            wish,
            timeout: flags.timeout,
        })
    }
}
