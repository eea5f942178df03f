//! What a benchmark does when it runs itself as another process.

use std::io::Write;

use anyhow::Result;
use leader_demo::clock;

/// The first argument of a process that plays a role; the others are the role's.
pub(crate) const FLAG: &str = "--role";

/// Says when its first line ran, and goes on until it is killed.
pub(crate) const WORK: &str = "work";

/// In the words of the demo's JSON lines, so that both are read alike.
pub(crate) fn say(event: &str, at: clock::BootTime) -> Result<()> {
    let line = format!(
        "{{\"event\":\"{event}\",\"boottime_ns\":{},\"pid\":{}}}\n",
        at.as_nanos(),
        std::process::id()
    );
    Ok(std::io::stdout().write_all(line.as_bytes())?)
}

pub(crate) fn rest() -> ! {
    loop {
        std::thread::park();
    }
}
