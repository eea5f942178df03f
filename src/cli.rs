//! Flags: declared here, checked here once, and never looked at again.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use leader_demo::{LockName, NodeId, Timing};
use tracing_subscriber::filter::{LevelFilter, Targets};

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
    #[arg(
        long, env = "LEADER_DEMO_SHARED_DIR", value_name = "BOOL",
        action = clap::ArgAction::Set, value_parser = BoolishValueParser::new(),
        num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true"
    )]
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
    let args: Vec<_> = args.into_iter().collect();
    try_parse(args.clone()).unwrap_or_else(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        // Once more, for the words alone: a terminal must not obey what was typed.
        let args = args.iter().map(|arg| make_visible(&arg.to_string_lossy()));
        let error = try_parse(args.map(OsString::from)).err().unwrap_or(error);
        eprintln!("{}", one_line(&error));
        std::process::exit(2)
    })
}

/// Control characters as Unicode's pictures of them, ␛ for an escape.
fn make_visible(text: &str) -> String {
    let visible = |c: char| match c {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('�'),
        '\x7f' => '␡',
        // These only change the direction of what follows.
        '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '�',
        c if c.is_control() => '�',
        c => c,
    };
    text.chars().map(visible).collect()
}

/// What clap has to say, without the usage that it adds.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let words: Vec<_> = said
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    make_visible(&words.join(" "))
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
    let too_long = || "too long: use at most 24h".to_owned();
    let duration = humantime::parse_duration(text).map_err(|e| match e {
        humantime::DurationError::NumberOverflow => too_long(),
        _ => "not a duration: write a number and a unit, like 500ms, 10s or 1m30s".into(),
    })?;
    if duration.is_zero() {
        return Err("too short: it must be longer than that, for example 10s".into());
    }
    if duration > Timing::LONGEST {
        return Err(too_long());
    }
    Ok(duration)
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
    // An empty RUST_LOG is one that is not set; a word that is no level would
    // be taken for a target.
    let text = if text.is_empty() { "info" } else { text };
    let known = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    let levels = text.parse().ok().filter(|_| text.split(',').all(known));
    levels.ok_or_else(|| {
        "not a level: use off, error, warn, info, debug, trace, or target=level,..".to_owned()
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
