//! Diagnostics, on stderr. The demo's events are output and go to stdout.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::cli::LogFormat;

pub(crate) fn init(format: LogFormat, level: &Targets) {
    let stderr = fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        LogFormat::Text => stderr.with_filter(level.clone()).boxed(),
        LogFormat::Json => stderr.json().with_filter(level.clone()).boxed(),
    };
    tracing_subscriber::registry().with(layer).init();
}
