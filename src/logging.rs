//! Diagnostics, on stderr. The demo's events are output and go to stdout.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc;
use std::time::Duration;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::cli::LogFormat;

/// How long the last lines may take at the end.
const PATIENCE: Duration = Duration::from_millis(300);

/// Writes what it is sent from a thread of its own, a message a write: a
/// terminal that takes no output (Ctrl+S) delays lines, never a renewal.
#[derive(Clone)]
pub(crate) struct Lines(mpsc::Sender<Message>);

enum Message {
    Line(Vec<u8>),
    Flush(mpsc::Sender<()>),
}

impl Lines {
    /// `open` may wait, as for the reader of a FIFO; what is said meanwhile is kept.
    pub(crate) fn to<W: Write>(
        open: impl FnOnce() -> io::Result<W> + Send + 'static,
        name: &str,
    ) -> io::Result<Self> {
        let (sender, inbox) = mpsc::channel();
        std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                let Ok(mut sink) = open() else { return };
                for message in inbox {
                    match message {
                        // Nobody is left to be told of an error here.
                        Message::Line(line) => drop(sink.write_all(&line)),
                        Message::Flush(done) => drop(done.send(())),
                    }
                }
            })?;
        Ok(Self(sender))
    }

    pub(crate) fn send(&self, line: Vec<u8>) {
        let _ = self.0.send(Message::Line(line));
    }

    /// Waits until all is written, but not for ever.
    pub(crate) fn flush(&self) {
        let (done, flushed) = mpsc::channel();
        let _ = self.0.send(Message::Flush(done));
        let _ = flushed.recv_timeout(PATIENCE);
    }
}

/// One message, which tracing writes in one piece.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.send(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A last word on stderr, if that can be written to.
pub(crate) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// What is logged goes to stderr from here on; flush it before the end.
pub(crate) fn init(format: LogFormat, level: &Targets) -> io::Result<Lines> {
    let lines = Lines::to(|| Ok(io::stderr()), "log")?;
    let writer = lines.clone();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let stderr = fmt::layer()
        .with_writer(move || writer.clone())
        .with_target(format == LogFormat::Json)
        .with_ansi(io::stderr().is_terminal() && !no_color);
    let layer = match format {
        LogFormat::Text => stderr.with_filter(level.clone()).boxed(),
        LogFormat::Json => stderr.json().with_filter(level.clone()).boxed(),
    };
    tracing_subscriber::registry().with(layer).init();
    Ok(lines)
}
