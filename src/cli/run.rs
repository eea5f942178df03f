//! `leader-demo run -- COMMAND`: a command that runs while this node leads.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, Parser, ValueHint};
use leader_demo::NodeId;
use tracing_subscriber::filter::Targets;

use super::election::ElectionFlags;
use super::{Election, LogFormat, Operate, refuse, values};

pub(super) const NAME: &str = "run";

const USAGE: &str = "leader-demo run [OPTIONS] -- COMMAND [ARGS]...";

/// What to run, and when to give up.
#[derive(Debug)]
pub(crate) struct Run {
    /// None: the host's name and the process's number.
    pub(crate) node_id: Option<NodeId>,
    pub(crate) election: Election,
    pub(crate) operate: Operate,
    pub(crate) stop_grace: Duration,
    pub(crate) patience: Patience,
    pub(crate) skip_ok: bool,
    pub(crate) keep: bool,
    pub(crate) hold_for: Duration,
    pub(crate) exit_on_loss: bool,
    pub(crate) start_anyway_after: Option<Duration>,
    pub(crate) events: Option<EventsTo>,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: Targets,
    pub(crate) command: Vec<OsString>,
}

/// How long to wait to be elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Forever,
    Limited(Duration),
    /// Not at all for a leader that lives.
    None,
}

/// Where the events go, as JSON lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventsTo {
    File(PathBuf),
    Descriptor(u32),
}

/// Run a command while this node leads: at most one copy of it at a time, and
/// none that outlives its lease.
#[derive(Debug, Parser)]
#[command(name = NAME, after_help = AFTER_HELP, override_usage = USAGE)]
pub(super) struct Flags {
    /// Name of this node [default: host name and pid]
    #[arg(long, env = "LEADER_DEMO_NODE_ID", value_name = "NAME")]
    node_id: Option<NodeId>,

    #[command(flatten)]
    election: ElectionFlags,

    #[command(flatten)]
    operate: Operate,

    /// How long the command may take to end once the lease is lost, between
    /// SIGTERM and SIGKILL [default: 0.3 of the lease duration, 3s]
    #[arg(
        long, env = "LEADER_DEMO_STOP_GRACE", value_name = "DURATION",
        value_parser = values::duration_or_none, allow_hyphen_values = true
    )]
    stop_grace: Option<Duration>,

    /// Give up with 124 when the command could not be started in this time
    #[arg(
        long, value_name = "DURATION", conflicts_with = "try",
        value_parser = values::duration, allow_hyphen_values = true
    )]
    wait: Option<Duration>,

    /// Give up with 124 as soon as it is known that another leads
    #[arg(long = "try")]
    r#try: bool,

    /// Give up with 0, for cron
    #[arg(long)]
    skip_ok: bool,

    /// When the command has ended, give the lease back, stay out for a lease
    /// duration and campaign again
    #[arg(long)]
    keep: bool,

    /// Keep the lease for this long after a successful end, so that nobody
    /// repeats the job at once
    #[arg(
        long, value_name = "DURATION", default_value = "0s", hide_default_value = true,
        value_parser = values::duration_or_none, allow_hyphen_values = true
    )]
    hold_for: Duration,

    /// Exit with 123 when the lease is lost, instead of campaigning again
    #[arg(long)]
    exit_on_loss: bool,

    /// Start even if an earlier leader's command still runs on this machine
    /// after this time
    #[arg(
        long, value_name = "DURATION",
        value_parser = values::duration_or_none, allow_hyphen_values = true
    )]
    start_anyway_after: Option<Duration>,

    /// Where to write the events, as JSON lines: FILE or fd:N
    #[arg(long, value_name = "FILE|fd:N", value_parser = parse_events, value_hint = ValueHint::FilePath)]
    events: Option<EventsTo>,

    /// How to print what goes to stderr
    #[arg(
        long,
        env = "LEADER_DEMO_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,

    /// What to print on stderr: error, warn, info, debug, trace, or target=level,..
    // Not RUST_LOG, which is the command's.
    #[arg(
        long, env = "LEADER_DEMO_LOG_LEVEL", value_name = "LEVEL", default_value = "warn",
        value_parser = values::level
    )]
    log_level: Targets,

    /// The command and its arguments, as they are: no shell looks at them
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandName)]
    command: Vec<OsString>,
}

const AFTER_HELP: &str = "\
The command's environment has LEADER_DEMO_TERM, the fencing token, and
LEADER_DEMO_NODE_ID, _LOCK_NAME, _STORE and _SHARED_DIR, which `leader-demo
check` reads. A run inside a run needs a lock name of its own.

Exit codes: the command's own, 128+n when signal n killed it; 123 lost the lease
(--exit-on-loss); 124 not elected (--wait, --try; 0 with --skip-ok); 125 could
not run at all; 126 the command cannot be executed; 127 it is not found.";

/// Said before anything else that is wrong: without `--`, the command's own
/// flags would be taken for ours.
pub(super) fn insist_on_dashes(args: &[OsString]) -> Result<(), clap::Error> {
    let helped = |arg: &OsString| ["--", "--help", "-h"].iter().any(|known| arg == known);
    if args.get(1).is_some_and(|arg| arg == NAME) && !args.iter().any(helped) {
        let message = format!("-- is missing before the command: write {USAGE}");
        return Err(refuse(ErrorKind::MissingRequiredArgument, message));
    }
    Ok(())
}

impl Run {
    pub(super) fn resolve(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags: Flags = super::flags(matches)?;
        if flags
            .command
            .first()
            .is_none_or(|command| command.is_empty())
        {
            let message = format!("no command: write {USAGE}");
            return Err(refuse(ErrorKind::MissingRequiredArgument, message));
        }
        let election = flags.election.resolve(matches)?;
        let stop_grace = election
            .timing
            .stop_grace(flags.stop_grace)
            .map_err(|e| refuse(ErrorKind::ValueValidation, e))?;
        Ok(Self {
            node_id: flags.node_id,
            election,
            operate: flags.operate,
            stop_grace,
            patience: match flags.wait {
                _ if flags.r#try => Patience::None,
                Some(limit) => Patience::Limited(limit),
                None => Patience::Forever,
            },
            skip_ok: flags.skip_ok,
            keep: flags.keep,
            hold_for: flags.hold_for,
            exit_on_loss: flags.exit_on_loss,
            start_anyway_after: flags.start_anyway_after,
            events: flags.events,
            log_format: flags.log_format,
            log_level: flags.log_level,
            command: flags.command,
        })
    }
}

fn parse_events(text: &str) -> Result<EventsTo, String> {
    match text.strip_prefix("fd:") {
        Some(number) => number.parse().map(EventsTo::Descriptor).map_err(|_| {
            "not a descriptor: use fd:N with the number of an open one, like fd:3".to_owned()
        }),
        None if text.is_empty() => Err("empty: name a file, or a descriptor as fd:N".to_owned()),
        None => Ok(EventsTo::File(text.into())),
    }
}
