//! What can go wrong with a host, and what a client is told about it.

use std::error::Error;
use std::time::Duration;

use crate::contract::ErrorModel;

/// A failure of a host or its store.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The store can't be used, for a reason that its owner can mend. The text says how.
    #[error("{0}")]
    Unusable(String),
    /// Somebody else holds the store's lock for longer than we wait.
    #[error(
        "the store is busy: another process has held its lock for more than {}; nothing was changed, so try again, \
         or wait longer with a larger busy time-out",
        humanize(*waited)
    )]
    Busy {
        /// How long we waited.
        waited: Duration,
    },
    /// Two copies of SQLite in one process, on one file, lose each other's locks
    /// (<https://www.sqlite.org/howtocorrupt.html>).
    #[error(
        "store_open_in_process: this process has {store} open already, and maybe through another copy of SQLite than \
         bulk_rerun's ({sqlite}): two copies lose each other's locks, and that destroys stores. Nothing was changed. \
         Either load the library into the connection that you have (`SELECT load_extension('libbulk_rerun')`, then \
         `SELECT bulk_rerun('{{…}}')`), or hand it callbacks of yours (`bulk_rerun_attach`), or run the command line \
         tool `bulk-rerun` as a child process; if your program uses that very copy, say \"sqlite\": \"shared\" in the \
         config"
    )]
    OpenInProcess {
        /// Where the store is.
        store: String,
        /// The file of the copy in use.
        sqlite: String,
    },
    /// The caller's own transaction can only read.
    #[error(
        "the transaction that this was called in began to read before somebody else wrote, and can't write any more; \
         roll it back, begin again with BEGIN IMMEDIATE, and repeat the call; nothing was changed"
    )]
    Outdated,
    /// The caller no longer waits for an answer.
    #[error("the call was cancelled, and its search was stopped; nothing was changed")]
    Cancelled,
    /// The store can't do it now, and may in a moment. The text says what to do besides.
    #[error("{0}")]
    TryAgain(String),
    /// The store gave the whole transaction up for another one's sake. It is tried again.
    #[error(
        "the store gave the transaction up for another one's sake, several times; nothing was changed, so try again"
    )]
    Conflict,
    /// The profile does not fit its own rules or the store.
    #[error("{file}: {part}: {message}")]
    Profile {
        /// The profile's file or built-in name.
        file: String,
        /// Which part of it.
        part: String,
        /// What is wrong, and how to mend it.
        message: String,
    },
    /// A callback of the host failed.
    #[error("the host's `{callback}` callback failed: {message}")]
    Callback {
        /// Which one.
        callback: &'static str,
        /// What the host says of it.
        message: String,
    },
    /// The engine failed.
    #[error("the store failed while {doing}; nothing was changed")]
    Failed {
        /// What we were doing.
        doing: &'static str,
        /// The engine's own error: for the log, not for a client.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl From<HostError> for ErrorModel {
    fn from(error: HostError) -> Self {
        let status = match &error {
            HostError::Busy { .. }
            | HostError::Outdated
            | HostError::Cancelled
            | HostError::TryAgain(_)
            | HostError::Conflict => 503,
            _ => 500,
        };
        match error.source() {
            Some(cause) => tracing::error!(%cause, "{error}"),
            // The answer has it all; a server's log has it, too.
            None if status == 500 => tracing::info!("{error}"),
            None => {}
        }
        ErrorModel::new(status, error.to_string())
    }
}

fn humanize(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}
