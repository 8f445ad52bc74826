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
    /// The caller no longer waits for an answer.
    #[error("the search was stopped, because nobody waits for its answer any more; nothing was changed")]
    Cancelled,
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
            HostError::Busy { .. } | HostError::Cancelled => 503,
            _ => 500,
        };
        if let Some(cause) = error.source() {
            tracing::error!(%cause, "{error}");
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
