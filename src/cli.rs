//! Flags: declared here, checked here once, and never looked at again.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches, ValueEnum};

use crate::logging::complain;

mod check;
#[cfg(feature = "completions")]
mod completions;
mod demo;
mod doctor;
mod election;
mod hand_over;
mod judge;
#[cfg(feature = "completions")]
mod man_pages;
mod operate;
mod place;
mod run;
#[cfg(feature = "simulate")]
mod simulate;
mod status;
mod values;
mod watch;

pub(crate) use check::Check;
#[cfg(feature = "completions")]
pub(crate) use completions::Completions;
pub(crate) use demo::Demo;
pub(crate) use doctor::Doctor;
pub(crate) use election::Election;
pub(crate) use hand_over::HandOver;
pub(crate) use judge::Judge;
#[cfg(feature = "completions")]
pub(crate) use man_pages::ManPages;
pub(crate) use operate::Operate;
pub(crate) use place::{Directory, PASSWORD, Place, with_its_password};
pub(crate) use run::{EventsTo, Patience, Run};
#[cfg(feature = "simulate")]
pub(crate) use simulate::Simulate;
pub(crate) use status::Status;
pub(crate) use watch::Watch;

/// What there is to do.
#[derive(Debug)]
pub(crate) enum Command {
    Demo(Demo),
    Run(Run),
    Check(Check),
    HandOver(HandOver),
    Doctor(Doctor),
    Judge(Judge),
    #[cfg(feature = "completions")]
    Completions(Completions),
    #[cfg(feature = "completions")]
    ManPages(ManPages),
    #[cfg(feature = "simulate")]
    Simulate(Simulate),
    Status(Status),
    Watch(Watch),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Parses the command line; what is wrong with it ends the process here.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Command {
    let args: Vec<_> = args.into_iter().collect();
    place::hide_password(&args);
    try_parse(args.clone()).unwrap_or_else(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        // Once more, for the words alone: a terminal must not obey what was typed.
        let visible = args.iter().map(|arg| make_visible(&arg.to_string_lossy()));
        let error = try_parse(visible.map(OsString::from))
            .err()
            .unwrap_or(error);
        // Under `run`, 2 is the command's own to use.
        let run = args.get(1).is_some_and(|arg| arg == run::NAME);
        let hint = match error.kind() {
            ErrorKind::UnknownArgument if run => ": the command stands after --",
            _ if cfg!(not(feature = "simulate"))
                && args.get(1).is_some_and(|arg| arg == "simulate") =>
            {
                ": this build simulates nothing: build with --features simulate"
            }
            _ => "",
        };
        complain(format_args!("{}{hint}", one_line(&error)));
        std::process::exit(if run { 125 } else { 2 })
    })
}

/// Control characters as Unicode's pictures of them, ␛ for an escape.
pub(crate) fn make_visible(text: &str) -> String {
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
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        // What follows -- is the command, and no value of ours.
        .filter(|line| !line.contains("tip: to pass"));
    let words: Vec<_> = said
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    make_visible(&words.join(" "))
}

fn try_parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let args = accept_single_dash(args);
    run::insist_on_dashes(&args)?;
    let matches = tree().try_get_matches_from(args)?;
    Ok(match matches.subcommand() {
        Some((run::NAME, matches)) => Command::Run(Run::resolve(matches)?),
        Some(("hand-over", matches)) => Command::HandOver(HandOver::to_another(matches)?),
        Some(("resign", matches)) => Command::HandOver(HandOver::to_anyone(matches)?),
        Some((doctor::NAME, matches)) => Command::Doctor(Doctor::resolve(matches)?),
        #[cfg(feature = "completions")]
        Some((completions::NAME, matches)) => Command::Completions(Completions::resolve(matches)?),
        #[cfg(feature = "completions")]
        Some((man_pages::NAME, matches)) => Command::ManPages(ManPages::resolve(matches)?),
        #[cfg(feature = "simulate")]
        Some((simulate::NAME, matches)) => Command::Simulate(Simulate::resolve(matches)?),
        Some(("judge", matches)) => Command::Judge(Judge::resolve(matches)?),
        Some(("status", matches)) => Command::Status(Status::resolve(matches)?),
        Some(("watch", matches)) => Command::Watch(Watch::resolve(matches)?),
        Some((_, matches)) => Command::Check(Check::resolve(matches)?),
        None => Command::Demo(Demo::resolve(&matches)?),
    })
}

/// The demo itself has no name; the other commands are below it.
pub(crate) fn tree() -> clap::Command {
    let tree = demo::Flags::command()
        .subcommands([
            run::Flags::command(),
            check::Flags::command(),
            hand_over::HandOverFlags::command(),
            hand_over::ResignFlags::command(),
            doctor::Flags::command(),
            judge::Flags::command(),
            status::Flags::command(),
            watch::Flags::command(),
        ])
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true);
    #[cfg(feature = "completions")]
    let tree = tree.subcommands([completions::Flags::command(), man_pages::Flags::command()]);
    #[cfg(feature = "simulate")]
    let tree = tree.subcommand(simulate::Flags::command());
    tree
}

/// The flags of one command, and a way to refuse them.
fn flags<F: FromArgMatches + CommandFactory>(matches: &ArgMatches) -> Result<F, clap::Error> {
    F::from_arg_matches(matches).map_err(|e| e.format(&mut F::command()))
}

fn refuse(kind: ErrorKind, message: impl std::fmt::Display) -> clap::Error {
    tree().error(kind, message)
}

/// Go's flag package takes `-node-id=x`; so do we, for the flags there are.
fn accept_single_dash(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let tree = tree();
    let commands: Vec<_> = tree.get_subcommands().chain([&tree]).collect();
    let mut flags = commands.iter().flat_map(|c| c.get_arguments());
    let flags: Vec<_> = flags.by_ref().filter_map(clap::Arg::get_long).collect();
    let is_flag = |name: &str| flags.contains(&name);
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use proptest::prelude::*;

    fn parsed(args: &[&str]) -> Result<Demo, clap::Error> {
        let args = ["leader-demo", "-node-id=n"].iter().chain(args);
        match try_parse(args.map(OsString::from))? {
            Command::Demo(demo) => Ok(demo),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_retry_period_follows_the_lease_duration() {
        let periods = |args: &[&str]| {
            let timing = parsed(args).unwrap().election.timing;
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
        assert_eq!(demo.election.lock_name.as_str(), "my-service");
        assert_eq!(
            demo.election.timing.lease_duration(),
            Duration::from_secs(15)
        );
        assert_eq!(demo.election.timing.retry_period(), Duration::from_secs(3));
        let Place::Directory(place) = demo.election.place else {
            panic!("{:?}", demo.election.place)
        };
        assert_eq!(place.dir, PathBuf::from("/x"));
        for wrong in ["-unknown=1", "-n", "-node"] {
            assert!(parsed(&[wrong]).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_arguments_are_parsed_without_a_panic(args in prop::collection::vec(".*", 0..5)) {
            let _ = try_parse(args.into_iter().map(OsString::from));
        }

        #[test]
        fn any_flag_values_are_parsed_without_a_panic(
            flag in "--(node-id|lock-name|lease-duration|retry-period|store|log-level|stop-grace|events|term|http|notify-systemd)", value in ".*",
        ) {
            for command in [None, Some("run"), Some("check"), Some("doctor"), Some("status"), Some("watch")] {
                let args = ["leader-demo"].into_iter().chain(command).map(OsString::from);
                let _ = try_parse(args.chain([flag.clone().into(), OsString::from(&value)]));
            }
        }
    }
}
