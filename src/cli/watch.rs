//! `leader-demo watch`: follow an election.

use clap::{ArgMatches, Parser};
use leader_demo::LockName;

use super::Place;
use super::election::LeaseFlags;

/// An election to follow.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) lock_name: LockName,
    pub(crate) place: Place,
    pub(crate) json: bool,
    pub(crate) renewals: bool,
}

/// Follow an election: who leads, who takes over, and how long nobody did. A
/// live view on a terminal, one line an event otherwise.
#[derive(Debug, Parser)]
#[command(name = "watch", after_help = AFTER_HELP)]
pub(super) struct Flags {
    /// One JSON object a line, also on a terminal
    #[arg(long)]
    json: bool,

    /// A line for each renewal of the lease too
    #[arg(long)]
    renewals: bool,

    #[command(flatten)]
    lease: LeaseFlags,
}

const AFTER_HELP: &str = "\
It only reads, takes no part, and waits for what is not there yet.

Exit codes: 0 stopped as asked, or nobody reads on; 1 anything else; 2 usage.";

impl Watch {
    pub(super) fn resolve(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags: Flags = super::flags(matches)?;
        let (lock_name, place) = flags.lease.resolve(matches)?;
        Ok(Self {
            lock_name,
            place,
            json: flags.json,
            renewals: flags.renewals,
        })
    }
}
