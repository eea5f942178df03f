//! Flags: declared here, checked here once, and never looked at again.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use leader_demo::{LockName, NodeId, Timing};
use tracing_subscriber::filter::Targets;

/// What the demo runs with.
#[derive(Debug)]
pub(crate) struct Demo {
    pub(crate) node_id: NodeId,
    pub(crate) lock_name: LockName,
    pub(crate) lock_dir: PathBuf,
    pub(crate) shared_dir: bool,
    pub(crate) timing: Timing,
    pub(crate) heartbeat_period: Duration,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: Targets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people, in local time.
    Text,
    /// One JSON object a line.
    Json,
}

/// Leader election over a lease: start several copies, exactly one leads. Kill
/// it, and another takes over.
#[derive(Debug, Parser)]
#[command(name = "leader-demo", version, after_help = AFTER_HELP)]
struct Flags {
    /// Name of this node
    #[arg(long, env = "LEADER_DEMO_NODE_ID", value_name = "NAME")]
    node_id: NodeId,

    /// Name of the election; nodes with the same one compete
    #[arg(
        long,
        env = "LEADER_DEMO_LOCK_NAME",
        value_name = "NAME",
        default_value = "leader-election-demo"
    )]
    lock_name: LockName,

    /// Where the lease is kept; created when missing [default: /tmp]
    #[arg(long, env = "LEADER_DEMO_LOCK_DIR", value_name = "DIR")]
    lock_dir: Option<PathBuf>,

    /// Where the lease is kept, as a URL: file:DIR is the same as --lock-dir DIR
    #[arg(long, env = "LEADER_DEMO_STORE", value_name = "URL", value_parser = parse_store)]
    store: Option<PathBuf>,

    /// The lock directory is meant for several users (group, setgid)
    #[arg(long, env = "LEADER_DEMO_SHARED_DIR")]
    shared_dir: bool,

    /// How long a leader's silence must last before others may take over
    #[arg(
        long, env = "LEADER_DEMO_LEASE_DURATION", value_name = "DURATION", default_value = "10s",
        value_parser = parse_duration, allow_hyphen_values = true
    )]
    lease_duration: Duration,

    /// How often a leader renews and the others look [default: 0.2 of the lease duration, 2s]
    #[arg(
        long, env = "LEADER_DEMO_RETRY_PERIOD", value_name = "DURATION",
        value_parser = parse_duration, allow_hyphen_values = true
    )]
    retry_period: Option<Duration>,

    /// How long a leader that cannot renew goes on [default: 0.6 of the lease duration, 6s]
    #[arg(
        long, env = "LEADER_DEMO_RENEW_DEADLINE", value_name = "DURATION",
        value_parser = parse_duration, allow_hyphen_values = true
    )]
    renew_deadline: Option<Duration>,

    /// How often to print a heartbeat line
    #[arg(
        long, env = "LEADER_DEMO_HEARTBEAT_PERIOD", value_name = "DURATION", default_value = "1s",
        value_parser = parse_duration, allow_hyphen_values = true
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
    #[arg(long, env = "RUST_LOG", value_name = "LEVEL", default_value = "info", value_parser = parse_level)]
    log_level: Targets,
}

const AFTER_HELP: &str = "\
Durations are written 500ms, 10s, 1m30s or 1.5s. Flags may be written -node-id=NAME too.

Exit codes: 0 stopped as asked, 2 usage, 1 anything else.";

/// Parses the command line; what is wrong with it ends the process here.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Demo {
    try_parse(args).unwrap_or_else(|error| error.exit())
}

fn try_parse(args: impl IntoIterator<Item = OsString>) -> Result<Demo, clap::Error> {
    let flags = Flags::try_parse_from(accept_single_dash(args))?;
    let usage = |kind, message: String| Flags::command().error(kind, message);
    let timing = Timing::new(
        flags.lease_duration,
        flags.renew_deadline,
        flags.retry_period,
    )
    .map_err(|e| usage(ErrorKind::ValueValidation, e.to_string()))?;
    let lock_dir = match (flags.lock_dir, flags.store) {
        (Some(dir), Some(store)) => {
            return Err(usage(
                ErrorKind::ArgumentConflict,
                format!(
                    "--lock-dir {} and --store file:{} both say where the lease is kept: give one",
                    dir.display(),
                    store.display()
                ),
            ));
        }
        (Some(dir), None) | (None, Some(dir)) => dir,
        (None, None) => "/tmp".into(),
    };
    if lock_dir.as_os_str().is_empty() {
        let message = "--lock-dir '' is empty: name a directory, for example /tmp";
        return Err(usage(ErrorKind::ValueValidation, message.into()));
    }
    Ok(Demo {
        node_id: flags.node_id,
        lock_name: flags.lock_name,
        lock_dir,
        shared_dir: flags.shared_dir,
        timing,
        heartbeat_period: flags.heartbeat_period,
        log_format: flags.log_format,
        log_level: flags.log_level,
    })
}

/// Go's flag package takes `-node-id=x`; so do we, for the flags there are.
fn accept_single_dash(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let command = Flags::command();
    let is_flag = |name: &str| command.get_arguments().any(|a| a.get_long() == Some(name));
    let mut ours = true;
    args.into_iter()
        .map(|arg| {
            ours &= arg != "--";
            match arg.to_str().and_then(|text| text.strip_prefix('-')) {
                Some(flag) if ours && is_flag(flag.split('=').next().unwrap_or_default()) => {
                    format!("--{flag}").into()
                }
                _ => arg,
            }
        })
        .collect()
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| "not a duration: write a number and a unit, like 500ms, 10s or 1m30s")?;
    let allowed = Duration::from_millis(1)..=Timing::LONGEST;
    if allowed.contains(&duration) {
        Ok(duration)
    } else {
        Err("out of range: use 1ms to 24h".into())
    }
}

fn parse_store(url: &str) -> Result<PathBuf, String> {
    match url.split_once(':') {
        Some(("file", dir)) if !dir.is_empty() => Ok(dir.into()),
        Some(("file", _)) => {
            Err("names no directory: write file:DIR, for example file:/tmp".into())
        }
        Some((scheme, _)) => Err(format!("unknown scheme {scheme:?}: use file:DIR")),
        None => Err("not a store URL: use file:DIR, for example file:/tmp".into()),
    }
}

fn parse_level(text: &str) -> Result<Targets, String> {
    text.parse().map_err(|_| {
        "not a level: use error, warn, info, debug, trace, or target=level,..".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(args: &[&str]) -> Result<Demo, clap::Error> {
        try_parse(
            ["leader-demo", "-node-id=n"]
                .iter()
                .chain(args)
                .map(OsString::from),
        )
    }

    #[test]
    fn the_retry_period_follows_the_lease_duration() {
        let periods = |args: &[&str]| {
            let timing = parsed(args).unwrap().timing;
            (timing.retry_period(), timing.renew_deadline())
        };
        let s = Duration::from_secs;
        assert_eq!(periods(&[]), (s(2), s(6)));
        assert_eq!(periods(&["--lease-duration", "20s"]), (s(4), s(12)));
        assert_eq!(
            periods(&["--lease-duration=20s", "--retry-period", "1s"]),
            (s(1), s(12))
        );
    }

    #[test]
    fn a_single_dash_is_accepted_for_flags_and_nothing_else() {
        let go = [
            "-lock-name=my-service",
            "-lease-duration=15s",
            "-retry-period",
            "3s",
            "-lock-dir=/x",
        ];
        let demo = parsed(&go).unwrap();
        assert_eq!(demo.lock_name.as_str(), "my-service");
        assert_eq!(demo.timing.lease_duration(), Duration::from_secs(15));
        assert_eq!(demo.timing.retry_period(), Duration::from_secs(3));
        assert_eq!(demo.lock_dir, PathBuf::from("/x"));
        for wrong in ["-unknown=1", "-n", "-node"] {
            assert!(parsed(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("500ms", Some(ms(500))),
            ("10s", Some(ms(10_000))),
            ("1m30s", Some(ms(90_000))),
            ("1.5s", Some(ms(1500))),
            ("0s", None),
            ("-5s", None),
            ("10", None),
            ("", None),
            ("ten", None),
            ("1000000000000000000000s", None),
            ("25h", None),
        ] {
            assert_eq!(parse_duration(text).ok(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_arguments_are_parsed_without_a_panic(args in prop::collection::vec(".*", 0..5)) {
            let _ = try_parse(args.into_iter().map(OsString::from));
        }

        #[test]
        fn any_flag_values_are_parsed_without_a_panic(
            flag in "--(node-id|lock-name|lease-duration|retry-period|store|log-level)", value in ".*",
        ) {
            let _ = try_parse(["leader-demo".into(), flag.into(), OsString::from(value)]);
        }
    }
}
