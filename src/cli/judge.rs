//! `leader-demo judge`: was there one leader at a time?

use std::path::PathBuf;

use clap::{ArgMatches, Parser, ValueHint};

/// Logs to judge.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) logs: Vec<PathBuf>,
    pub(crate) json: bool,
    pub(crate) html: Option<PathBuf>,
}

/// Say whether there was one leader at a time: an independent check of what
/// nodes said with `--log-format json` or `run --events`, and a picture of it.
#[derive(Debug, Parser)]
#[command(name = "judge", after_help = AFTER_HELP)]
pub(super) struct Flags {
    /// The verdict as one JSON object
    #[arg(long)]
    json: bool,

    /// Draw it too: one page for a browser, with all it needs
    #[arg(long, value_name = "PAGE", value_hint = ValueHint::FilePath)]
    html: Option<PathBuf>,

    /// JSON lines of nodes, and of who did them harm
    #[arg(value_name = "LOG", required = true, value_hint = ValueHint::FilePath)]
    logs: Vec<PathBuf>,
}

const AFTER_HELP: &str = "\
A torn last line is what a killed process leaves; one in the middle is a breach.

Exit codes: 0 sound, 1 a rule was broken, 2 usage or nothing to judge.";

impl Judge {
    pub(super) fn resolve(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags: Flags = super::flags(matches)?;
        Ok(Self {
            logs: flags.logs,
            json: flags.json,
            html: flags.html,
        })
    }
}
