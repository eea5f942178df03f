//! `leader-demo check`: is a term still the current one?

use clap::{ArgMatches, Parser};
use leader_demo::{LockName, Term};

use super::election::LeaseFlags;
use super::{Place, values};

/// A term to ask about.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) lock_name: LockName,
    pub(crate) place: Place,
    pub(crate) term: Term,
}

/// Say whether a term is still the current one: one quick look, right before a
/// side effect. Inside `run` no flag is needed.
#[derive(Debug, Parser)]
#[command(name = "check", after_help = AFTER_HELP)]
pub(super) struct Flags {
    /// The term to ask about
    #[arg(long, env = "LEADER_DEMO_TERM", value_name = "N", value_parser = values::term)]
    term: Term,

    #[command(flatten)]
    lease: LeaseFlags,
}

const AFTER_HELP: &str = "\
A `yes` can be overtaken before it is acted on: let the resource refuse old terms too.

Exit codes: 0 it is, 1 it is not or nobody knows, 2 usage.";

impl Check {
    pub(super) fn resolve(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags: Flags = super::flags(matches)?;
        let (lock_name, place) = flags.lease.resolve(matches)?;
        Ok(Self {
            lock_name,
            place,
            term: flags.term,
        })
    }
}
