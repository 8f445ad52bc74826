//! A store as messages name it, and what an SQLite error means to its owner.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::ffi;

use crate::host::HostError;

/// What fails when a file system has no locks, or no memory that processes share.
const OF_LOCKS: [i32; 7] = [
    ffi::SQLITE_IOERR_LOCK,
    ffi::SQLITE_IOERR_RDLOCK,
    ffi::SQLITE_IOERR_UNLOCK,
    ffi::SQLITE_IOERR_CHECKRESERVEDLOCK,
    ffi::SQLITE_IOERR_SHMOPEN,
    ffi::SQLITE_IOERR_SHMLOCK,
    ffi::SQLITE_IOERR_SHMMAP,
];

/// Where a store is, and how long it is waited for.
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) busy_timeout: Duration,
}

impl Place {
    /// What an SQLite error means to the store's owner.
    pub(super) fn error(&self, doing: &'static str, error: rusqlite::Error) -> HostError {
        let path = self.path.display();
        let code = error.sqlite_error().map(|error| (error.code, error.extended_code));
        match code {
            Some((ffi::ErrorCode::DatabaseBusy | ffi::ErrorCode::DatabaseLocked, _)) => {
                HostError::Busy { waited: self.busy_timeout }
            }
            Some((ffi::ErrorCode::OperationInterrupted, _)) => HostError::Cancelled,
            Some((ffi::ErrorCode::NotADatabase, _)) => HostError::Unusable(format!(
                "{path} is not an SQLite database (or it is encrypted): is that the runner's store?"
            )),
            Some((ffi::ErrorCode::DiskFull, _)) => HostError::Unusable(format!(
                "the disk of {path} is full: what was to be written did not fit, and nothing was changed; make room \
                 there, and try again"
            )),
            Some((ffi::ErrorCode::ReadOnly, ffi::SQLITE_READONLY_DBMOVED)) => self.replaced(),
            Some((ffi::ErrorCode::ReadOnly, extended)) if extended != ffi::SQLITE_READONLY => {
                HostError::Unusable(format!(
                    "the store {path} can't even be read: in WAL mode, or after a crash, this user needs to write it and \
                     its folder for that"
                ))
            }
            Some((ffi::ErrorCode::ReadOnly, _)) => HostError::Unusable(format!(
                "the store {path} can't be written: it, its folder or its disk is read-only for this user; a dry run \
                 still works"
            )),
            Some((ffi::ErrorCode::CannotOpen | ffi::ErrorCode::PermissionDenied, _)) => HostError::Unusable(format!(
                "the store {path} can't be opened: this user needs to read and write it and its folder"
            )),
            Some((ffi::ErrorCode::FileLockingProtocolFailed, _)) => self.has_no_locks(),
            Some((ffi::ErrorCode::SystemIoFailure, extended)) if OF_LOCKS.contains(&extended) => self.has_no_locks(),
            Some((ffi::ErrorCode::DatabaseCorrupt, _)) => HostError::Unusable(format!(
                "the store {path} is damaged; `PRAGMA integrity_check` tells more, and nothing was changed"
            )),
            _ => HostError::Failed { doing, source: Box::new(error) },
        }
    }

    /// The file system says no to locks, or its locks don't do what SQLite needs.
    fn has_no_locks(&self) -> HostError {
        HostError::Unusable(format!(
            "the store {} can't be locked: its file system has no locks that SQLite can use, as is usual over a network \
             (NFS, SMB); keep the store on a local disk, or run this on the machine that has it; nothing was changed",
            self.path.display()
        ))
    }

    /// Another file has taken its place.
    pub(super) fn replaced(&self) -> HostError {
        let path = self.path.display();
        HostError::Unusable(format!("the store {path} was replaced by another file meanwhile; nothing was changed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_locks_is_named() {
        let place = Place { path: PathBuf::from("/mnt/runs.db"), busy_timeout: Duration::ZERO };
        for code in OF_LOCKS.into_iter().chain([ffi::SQLITE_PROTOCOL]) {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let said = place.error("opening it", error).to_string();
            assert!(said.contains("/mnt/runs.db can't be locked") && said.contains("NFS"), "{code}: {said}");
        }
    }
}
