//! `leader-demo`: the demo.

use std::time::Duration;

use clap::{ArgMatches, Parser};
use leader_demo::NodeId;
use tracing_subscriber::filter::Targets;

use super::election::ElectionFlags;
use super::{Election, LogFormat, Operate, values};

/// What the demo runs with.
#[derive(Debug)]
pub(crate) struct Demo {
    pub(crate) node_id: NodeId,
    pub(crate) election: Election,
    pub(crate) operate: Operate,
    pub(crate) heartbeat_period: Duration,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: Targets,
}

/// Leader election over a lease: start several copies, exactly one leads. Kill
/// it, and another takes over.
#[derive(Debug, Parser)]
#[command(name = "leader-demo", version, after_help = AFTER_HELP)]
pub(super) struct Flags {
    /// Name of this node
    #[arg(long, env = "LEADER_DEMO_NODE_ID", value_name = "NAME")]
    node_id: NodeId,

    #[command(flatten)]
    election: ElectionFlags,

    #[command(flatten)]
    operate: Operate,

    /// How often to print a heartbeat line
    #[arg(
        long, env = "LEADER_DEMO_HEARTBEAT_PERIOD", value_name = "DURATION", default_value = "1s",
        value_parser = values::duration, allow_hyphen_values = true
    )]
    heartbeat_period: Duration,

    /// How to print the events on stdout
    #[arg(
        long,
        env = "LEADER_DEMO_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,

    /// What to print on stderr: error, warn, info, debug, trace, or target=level,..
    #[arg(long, env = "RUST_LOG", value_name = "LEVEL", default_value = "info", value_parser = values::level)]
    log_level: Targets,
}

const AFTER_HELP: &str = "\
Durations are written 500ms, 10s, 1m30s or 1.5s. Flags may be written -node-id=NAME too.

Exit codes: 0 stopped as asked, 2 usage, 1 anything else.";

impl Demo {
    pub(super) fn resolve(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags: Flags = super::flags(matches)?;
        Ok(Self {
            node_id: flags.node_id,
            election: flags.election.resolve(matches)?,
            operate: flags.operate,
            heartbeat_period: flags.heartbeat_period,
            log_format: flags.log_format,
            log_level: flags.log_level,
        })
    }
}
