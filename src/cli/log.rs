//! The log, on standard error. Standard output is for results. What can't be logged (a full disk) is lost, and nothing
//! else is: told to, tracing would print of it, on standard error, and panic.

#[cfg(feature = "http")]
mod writer;

use std::io;

use clap::ValueEnum;
use tracing::Level;
#[cfg(feature = "http")]
pub(super) use writer::Written;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

/// For a command that a person or a script waits for: the causes of a failure, which the contract keeps out of answers.
pub(super) fn causes() {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_max_level(Level::WARN)
        .log_internal_errors(false)
        .init();
}

/// For a server: a line for each request, with the time. A thread of its own writes them, so that no request waits for
/// whoever reads them. What is there when this is dropped is written first.
#[cfg(feature = "http")]
pub(super) fn requests(format: LogFormat) -> Written {
    let (written, lines) = writer::begin();
    let log = tracing_subscriber::fmt().with_writer(lines).with_target(false).with_max_level(Level::INFO);
    let log = log.log_internal_errors(false);
    match format {
        LogFormat::Text => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    written
}
