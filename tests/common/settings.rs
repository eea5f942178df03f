//! What a run at random is told by its environment, mostly by `make`.

use std::fmt::Display;
use std::io::Write;
use std::str::FromStr;

/// `None` where it is not set; one line and the end where it makes no sense.
pub fn variable<T: FromStr<Err: Display>>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    let value = text.parse();
    Some(value.unwrap_or_else(|why| refuse(name, &format!("{text:?}: {why}"))))
}

/// Past the capture of a test's output, and without its backtrace.
pub fn refuse(name: &str, why: &str) -> ! {
    // As `make` spells it.
    let word = name.rsplit('_').next().unwrap_or(name);
    let _ = writeln!(std::io::stderr(), "error: {word} ({name}): {why}");
    std::process::exit(2)
}
