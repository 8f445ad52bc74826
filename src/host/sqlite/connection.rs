//! Opens a store's file, keeps idle connections, and tells what an SQLite error means.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, ffi};

use crate::host::HostError;

/// How many idle connections are kept: as many as callers usually come at once.
const IDLE_MAX: usize = 8;

/// The statements of a session and their variants stay prepared between calls.
const STATEMENTS_KEPT: usize = 32;

/// A store's file and the connections to it.
pub(super) struct Store {
    pub(super) path: PathBuf,
    pub(super) busy_timeout: Duration,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The file that the connections are to; `None` until the first is opened.
    file: Option<FileId>,
    connections: Vec<Connection>,
}

/// Which file a path leads to; another one may take its place while we run.
pub(super) type FileId = (u64, u64);

impl Store {
    pub(super) fn new(path: PathBuf, busy_timeout: Duration) -> Self {
        Store { path, busy_timeout, idle: Mutex::default() }
    }

    /// An idle connection, else a new one.
    pub(super) fn connect(&self) -> Result<(FileId, Connection), HostError> {
        let file = self.find()?;
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.file.is_some_and(|known| known != file) {
                // They still read the old file. Closed first: SQLite then sees that the file has moved on.
                idle.connections.clear();
                self.refuse_a_foreign_log()?;
            }
            idle.file = Some(file);
            idle.connections.pop()
        };
        match idle {
            Some(connection) => Ok((file, connection)),
            None => Ok((file, self.open()?)),
        }
    }

    /// Keeps a connection for the next session.
    pub(super) fn give_back(&self, file: FileId, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.file == Some(file) && idle.connections.len() < IDLE_MAX {
            idle.connections.push(connection);
        }
    }

    /// Whether the path still leads to this file.
    pub(super) fn check_same(&self, file: FileId) -> Result<(), HostError> {
        if self.find()? == file { Ok(()) } else { Err(self.replaced()) }
    }

    fn replaced(&self) -> HostError {
        let path = self.path.display();
        HostError::Unusable(format!("the store {path} was replaced by another file meanwhile; nothing was changed"))
    }

    /// SQLite would play the log of the old file into the new one.
    fn refuse_a_foreign_log(&self) -> Result<(), HostError> {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        if fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0) {
            return Err(HostError::Unusable(format!(
                "the store {path} was replaced by another file, and {path}-wal, which may be the old one's log, is \
                 still there: stop what has the store open and move that log away; if it belongs to the new store, \
                 restart this process",
                path = self.path.display()
            )));
        }
        Ok(())
    }

    /// Looks at the path without opening it: SQLite would say no more than "unable to open".
    fn find(&self) -> Result<FileId, HostError> {
        let path = self.path.display();
        let metadata = fs::metadata(&self.path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => HostError::Unusable(format!("there is no store at {path}: no such file")),
            _ => HostError::Unusable(format!("the store {path} can't be reached: {error}")),
        })?;
        if metadata.is_dir() {
            let inside = [".runwisp/runwisp.db", "runwisp.db"].map(|name| self.path.join(name));
            let hint = inside.iter().find(|path| path.is_file());
            let hint = hint.map(|path| format!("; did you mean {}?", path.display())).unwrap_or_default();
            return Err(HostError::Unusable(format!("{path} is a folder, not a store{hint}")));
        }
        if metadata.len() == 0 {
            return Err(HostError::Unusable(format!("{path} is an empty file, not a store")));
        }
        Ok(file_id(&metadata))
    }

    fn open(&self) -> Result<Connection, HostError> {
        // Never CREATE: a mistyped path must not leave an empty file behind.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let doing = "opening it";
        // An absolute path never begins with `file:`, which SQLite would read as an URI.
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let connection = Connection::open_with_flags(path, flags).map_err(|error| self.error(doing, error))?;
        connection.busy_timeout(self.busy_timeout).map_err(|error| self.error(doing, error))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        // The file is first read here.
        connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .map_err(|error| self.error(doing, error))?;
        Ok(connection)
    }

    /// What an SQLite error means to the store's owner.
    pub(super) fn error(&self, doing: &'static str, error: rusqlite::Error) -> HostError {
        let path = self.path.display();
        let code = error.sqlite_error().map(|error| (error.code, error.extended_code));
        match code {
            Some((ffi::ErrorCode::DatabaseBusy | ffi::ErrorCode::DatabaseLocked, _)) => {
                HostError::Busy { waited: self.busy_timeout }
            }
            Some((ffi::ErrorCode::OperationInterrupted, _)) => HostError::Cancelled,
            Some((ffi::ErrorCode::NotADatabase, _)) => {
                HostError::Unusable(format!("{path} is not an SQLite database (or it is encrypted)"))
            }
            Some((ffi::ErrorCode::DiskFull, _)) => HostError::Unusable(format!(
                "the disk of {path} is full: the new runs did not fit, and nothing was changed"
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
            Some((ffi::ErrorCode::DatabaseCorrupt, _)) => HostError::Unusable(format!(
                "the store {path} is damaged; `PRAGMA integrity_check` tells more, and nothing was changed"
            )),
            _ => HostError::Failed { doing, source: Box::new(error) },
        }
    }
}

#[cfg(unix)]
fn file_id(metadata: &fs::Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn file_id(_: &fs::Metadata) -> FileId {
    (0, 0)
}

/// The processes other than this one that have the file open, as far as this user may see
/// (Linux only: elsewhere none are found).
pub(super) fn open_in(path: &Path) -> Vec<crate::host::Process> {
    let Ok(file) = fs::metadata(path).map(|metadata| file_id(&metadata)) else { return Vec::new() };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let has_it_open = |pid: u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        // The links are followed, never opened: closing the file would drop locks on it.
        descriptors.filter_map(|fd| fs::metadata(fd.path()).ok()).any(|open| file_id(&open) == file)
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid| pid != std::process::id() && has_it_open(pid))
        .map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            crate::host::Process { pid, name: name.trim_end().to_owned() }
        })
        .collect()
}
