//! This program as its own helper: how one process starts the next.

use std::ffi::OsString;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result};

use super::{guard, releaser, starter};
use crate::commands::doctor::{flock, rival};
use crate::logging::complain;

/// This very program, also if its file has been replaced since.
pub(crate) const PROGRAM: &str = "/proc/self/exe";

/// Does a helper's work, if this process was started to be one.
pub(super) fn assist() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let ended = match args.next()?.to_str()? {
        guard::NAME => guard::main(args).map(|()| ExitCode::SUCCESS),
        starter::NAME => starter::main(args),
        releaser::NAME => releaser::main(args).map(|()| ExitCode::SUCCESS),
        flock::NAME => flock::main(args).map(|()| ExitCode::SUCCESS),
        rival::NAME => rival::main(args).map(|()| ExitCode::SUCCESS),
        _ => return None,
    };
    Some(ended.unwrap_or_else(|error| {
        complain(format_args!("leader-demo: {error:#}"));
        ExitCode::from(125)
    }))
}

/// What `ps` and `top` show; the program's path would say no more than "exe".
pub(crate) fn call_oneself(name: &str) {
    let _ = std::fs::write("/proc/self/comm", name);
}

pub(crate) fn number<T: FromStr>(args: &mut impl Iterator<Item = OsString>) -> Result<T> {
    let number = args.next().and_then(|arg| arg.to_str()?.parse().ok());
    number.context("not to be started by hand")
}
