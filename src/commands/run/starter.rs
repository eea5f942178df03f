//! The starter: the process that becomes the command. It is made while its
//! node waits, so that once elected there is nothing left to do but `execve(2)`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use rustix::io::FdFlags;
use rustix::process::{Pid, Signal};

use super::wire::{self, Go};
use super::{helper, signals};
use crate::logging::complain;

pub(super) const NAME: &str = "__start";

pub(super) fn main(mut args: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    helper::call_oneself("leader-starter");
    let guard = Pid::from_raw(helper::number(&mut args)?);
    let blocked = helper::number(&mut args)?;
    // The command inherits this: it does not outlive its guard. The guard has
    // but one thread, whose end is the guard's.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != guard {
        return Ok(ExitCode::FAILURE);
    }
    let program = args.next().context("no command")?;
    let mut command = Command::new(&program);
    command.args(args);
    let Some((Go { term }, descriptors)) = wire::receive(io::stdin())? else {
        return Ok(ExitCode::FAILURE);
    };
    let (stdin, witnesses) = descriptors.split_first().context("no stdin")?;
    rustix::stdio::dup2_stdin(stdin)?;
    for witness in witnesses {
        rustix::io::fcntl_setfd(witness, FdFlags::empty())?;
    }
    signals::block_only(blocked)?;
    let failed = command.env("LEADER_DEMO_TERM", term.to_string()).exec();
    complain(format_args!(
        "leader-demo: cannot run {program:?}: {failed}"
    ));
    // As the shell's.
    Ok(ExitCode::from(match failed.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    }))
}
