//! Diagnostics, on stderr. The demo's events are output and go to stdout.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::cli::LogFormat;

pub(crate) fn init(format: LogFormat, level: &Targets) {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let stderr = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !no_color);
    let layer = match format {
        LogFormat::Text => stderr.with_filter(level.clone()).boxed(),
        LogFormat::Json => stderr.json().with_filter(level.clone()).boxed(),
    };
    tracing_subscriber::registry().with(layer).init();
}
