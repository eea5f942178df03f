//! `leader-demo doctor`: is this set-up fit?

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, Parser};
use leader_demo::TimingError;

use super::election::ElectionFlags;
use super::{Election, refuse, values};

pub(super) const NAME: &str = "doctor";

/// A set-up to judge.
#[derive(Debug)]
pub(crate) struct Doctor {
    pub(crate) election: Election,
    /// What `run` would say to the one that was not given.
    pub(crate) stop_grace: Result<Duration, TimingError>,
    pub(crate) nodes: u32,
    pub(crate) json: bool,
}

/// Say whether a set-up is fit: how long each failure takes and why, what the lock
/// directory or the server and this machine are good for, and the shortest lease
/// that is safe here. Takes the nodes' own flags; leaves nothing behind.
#[derive(Debug, Parser)]
#[command(name = NAME, after_help = AFTER_HELP)]
pub(super) struct Flags {
    #[command(flatten)]
    election: ElectionFlags,

    /// How long the command of `run` may take to end once the lease is lost
    /// [default: 0.3 of the lease duration, 3s]
    #[arg(
        long, env = "LEADER_DEMO_STOP_GRACE", value_name = "DURATION",
        value_parser = values::duration_or_none, allow_hyphen_values = true
    )]
    stop_grace: Option<Duration>,

    /// How many nodes there will be, for what they cost the store
    #[arg(
        long, value_name = "N", default_value = "3",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    nodes: u32,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
It takes about two seconds, on a server three. There it tries a lease of its own, also with a second
process, and looks for settings that weaken what is promised. Run it as the user, and under the
load, that the nodes will have.

Exit codes: 0 fit, perhaps with warnings; 1 not to be trusted, and it says why; 2 usage.";

impl Doctor {
    pub(super) fn resolve(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags: Flags = super::flags(matches)?;
        let election = flags.election.resolve(matches)?;
        let stop_grace = election.timing.stop_grace(flags.stop_grace);
        if let (Err(e), Some(_)) = (stop_grace, flags.stop_grace) {
            return Err(refuse(ErrorKind::ValueValidation, e));
        }
        Ok(Self {
            election,
            stop_grace,
            nodes: flags.nodes,
            json: flags.json,
        })
    }
}
