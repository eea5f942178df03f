//! `leader-demo man-pages`: the help, for `man`.

use std::path::PathBuf;

use clap::{ArgMatches, Parser, ValueHint};

pub(super) const NAME: &str = "man-pages";

/// Where to write them.
#[derive(Debug)]
pub(crate) struct ManPages {
    pub(crate) dir: PathBuf,
}

/// Write the man pages, one for each command. `make install` puts them in place.
#[derive(Debug, Parser)]
#[command(name = NAME, after_help = AFTER_HELP)]
pub(super) struct Flags {
    /// Where to write them; created when missing
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: PathBuf,
}

const AFTER_HELP: &str = "\
Exit codes: 0 written, 1 could not be written, 2 usage.";

impl ManPages {
    pub(super) fn resolve(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Flags { dir } = super::flags(matches)?;
        Ok(Self { dir })
    }
}
