//! The log, on standard error. Standard output is for results. What can't be logged (a full disk) is lost, and nothing
//! else is: told to, tracing would print of it, on standard error, and panic.

use std::io;

use clap::ValueEnum;
use tracing::Level;

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

/// For a server: a line for each request, with the time.
#[cfg(feature = "http")]
pub(super) fn requests(format: LogFormat) {
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_target(false).with_max_level(Level::INFO);
    let log = log.log_internal_errors(false);
    match format {
        LogFormat::Text => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
