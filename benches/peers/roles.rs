//! The commands that the holders run.

use std::time::Duration;

use anyhow::{Result, bail};
use leader_demo::clock;

use crate::common::roles::{WORK, rest, say};

/// Says every 5 ms that it is there, until it is killed.
pub(crate) const WRITE: &str = "write";

pub(crate) fn play(args: &[String]) -> Result<()> {
    let started = clock::now();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [WORK] => {
            say("works", started)?;
            rest()
        }
        [WRITE] => {
            say("works", started)?;
            loop {
                std::thread::sleep(Duration::from_millis(5));
                say("still", clock::now())?;
            }
        }
        _ => bail!("no such role: {args:?}"),
    }
}
