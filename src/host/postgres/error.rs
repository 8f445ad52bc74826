//! What an error of the server means to the store's owner.

use tokio_postgres::error::{DbError, SqlState};

use super::address::in_words;
use super::connection::Server;
use crate::host::HostError;

impl Server {
    /// What went wrong on a connection. Statements and values are for the log, never for a client.
    pub(super) fn error(&self, doing: &'static str, error: tokio_postgres::Error) -> HostError {
        match error.as_db_error() {
            Some(said) => {
                self.meaning(doing, said).unwrap_or_else(|| HostError::Failed { doing, source: Box::new(error) })
            }
            None if is_lost(&error) => HostError::Unusable(format!(
                "the connection to the store {} was lost while {doing} ({}); nothing was changed, so try again once \
                 the server is there",
                self.address,
                in_words(&error)
            )),
            None => HostError::Failed { doing, source: Box::new(error) },
        }
    }

    /// What the server said, where its owner can do something about it.
    pub(super) fn meaning(&self, doing: &'static str, said: &DbError) -> Option<HostError> {
        let address = &self.address;
        let code = said.code();
        Some(match code {
            &SqlState::LOCK_NOT_AVAILABLE => HostError::Busy { waited: self.busy_timeout },
            &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED => HostError::Conflict,
            &SqlState::QUERY_CANCELED => HostError::TryAgain(format!(
                "the server stopped {doing}: {}; nothing was changed. Where that is statement_timeout, narrow the \
                 selector, or raise it with ?options=-cstatement_timeout%3D60s",
                said.message()
            )),
            &SqlState::TOO_MANY_CONNECTIONS => HostError::TryAgain(format!(
                "the store {address} has no connection to spare: {}; nothing was changed, so try again",
                said.message()
            )),
            &SqlState::CANNOT_CONNECT_NOW | &SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN => {
                HostError::TryAgain(format!(
                    "the server of the store {address} is stopping or starting ({}); nothing was changed, so try again",
                    said.message()
                ))
            }
            &SqlState::READ_ONLY_SQL_TRANSACTION => HostError::Unusable(format!(
                "the store {address} can't be written: it is a standby, or read-only ({}); a dry run still works, and \
                 the primary takes the re-run",
                said.message()
            )),
            &SqlState::INSUFFICIENT_PRIVILEGE => HostError::Unusable(format!(
                "the store {address} does not let this role do it: {}; nothing was changed. `bulk-rerun check` lists \
                 the rights that are missing, and the GRANT for each",
                said.message()
            )),
            &SqlState::DISK_FULL => HostError::Unusable(format!(
                "the disk of {address} is full: the new runs did not fit, and nothing was changed"
            )),
            _ => return None,
        })
    }
}

/// The host's schema said no to one run: a constraint, or a trigger that raises.
pub(super) fn declines(error: &tokio_postgres::Error) -> Option<String> {
    let said = error.as_db_error()?;
    let code = said.code();
    // Class 23 is "integrity constraint violation".
    (code.code().starts_with("23") || *code == SqlState::RAISE_EXCEPTION).then(|| said.message().to_owned())
}

/// The tables are no longer those that the profile was fitted to.
pub(super) fn is_of_another_schema(error: &tokio_postgres::Error) -> bool {
    let schema = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::UNDEFINED_OBJECT,
        SqlState::DATATYPE_MISMATCH,
    ];
    error.code().is_some_and(|code| schema.contains(code))
}

/// The server is no longer there, or no longer knows us.
pub(super) fn is_lost(error: &tokio_postgres::Error) -> bool {
    let is_io = |error: &tokio_postgres::Error| {
        std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>())
    };
    let shut_down = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN];
    error.is_closed() || is_io(error) || error.code().is_some_and(|code| shut_down.contains(code))
}
