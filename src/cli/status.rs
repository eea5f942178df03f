//! `leader-demo status`: who leads?

use clap::{ArgMatches, Parser};
use leader_demo::LockName;

use super::Place;
use super::election::LeaseFlags;

/// An election to look at.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) lock_name: LockName,
    pub(crate) place: Place,
    pub(crate) json: bool,
}

/// Say who leads, after one look. Inside `run` no flag is needed.
#[derive(Debug, Parser)]
#[command(name = "status", after_help = AFTER_HELP)]
pub(super) struct Flags {
    /// One JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    lease: LeaseFlags,
}

const AFTER_HELP: &str = "\
It only reads, and creates nothing. One look goes by time stamps where the leader runs
on another machine; `leader-demo watch` sees it renew.

Exit codes: 0 somebody leads, 3 nobody does, 1 there is no telling, 2 usage.";

impl Status {
    pub(super) fn resolve(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags: Flags = super::flags(matches)?;
        let (lock_name, place) = flags.lease.resolve(matches)?;
        Ok(Self {
            lock_name,
            place,
            json: flags.json,
        })
    }
}
