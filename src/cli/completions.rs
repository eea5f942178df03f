//! `leader-demo completions`: what a shell must know to complete our flags.

use clap::{ArgMatches, Parser};
use clap_complete::Shell;

pub(super) const NAME: &str = "completions";

/// A shell to write for.
#[derive(Debug)]
pub(crate) struct Completions {
    pub(crate) shell: Shell,
}

/// Print the completions for a shell. `make install` puts them in place.
#[derive(Debug, Parser)]
#[command(name = NAME, after_help = AFTER_HELP)]
pub(super) struct Flags {
    /// The shell to print them for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

const AFTER_HELP: &str = "\
In bash, for this shell alone: source <(leader-demo completions bash)

Exit codes: 0 printed, 1 could not be printed, 2 usage.";

impl Completions {
    pub(super) fn resolve(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Flags { shell } = super::flags(matches)?;
        Ok(Self { shell })
    }
}
