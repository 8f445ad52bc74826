//! Opens a store's file, and refuses what must not be opened.

use std::fs;
use std::io::ErrorKind;
use std::path::{self, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::binding;
use super::functions;
use super::place::Place;
use super::pool::{self, Copies, Pooled, Refusal};
use super::presence::{FileId, file_id};
use crate::contract::nearest;
use crate::host::HostError;

/// The statements of a session and their variants stay prepared between calls.
const STATEMENTS_KEPT: usize = 32;

/// As long as SQLite can wait: 24 days. It counts milliseconds in a C `int`.
const BUSY_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// A store's file, as one plugin uses it.
pub(super) struct Store {
    pub(super) place: Place,
    /// The host promises that it uses the same copy of SQLite.
    shared: bool,
    /// The file that the path led to last; `None` until it is opened.
    file: Mutex<Option<FileId>>,
}

impl Store {
    pub(super) fn new(path: PathBuf, busy_timeout: Duration, shared: bool) -> Self {
        // Absolute from now on: the process may change its folder. And then SQLite never reads it as an URI (`file:`).
        let path = path::absolute(&path).unwrap_or(path);
        let place = Place { path, busy_timeout: busy_timeout.min(BUSY_TIMEOUT_MAX) };
        Store { place, shared, file: Mutex::default() }
    }

    /// A connection that nobody uses, else a new one.
    pub(super) fn connect(&self) -> Result<(FileId, Pooled), HostError> {
        let file = self.find()?;
        let copies = self.copies();
        {
            let mut known = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            if *known != Some(file) {
                if let Some(old) = *known {
                    // They still read the old file. Closed first: SQLite then sees that the file has moved on.
                    pool::close_resting(old);
                    self.refuse_a_foreign_log()?;
                    pool::release(old);
                }
                *known = Some(file);
                pool::hold(file, copies);
            }
        }
        let open = || self.open().map_err(|error| self.place.error("opening it", error));
        let connection = pool::take(file, copies, |refusal| self.refusal(refusal), open)?;
        // A pooled one was another plugin's before.
        connection.busy_timeout(self.place.busy_timeout).map_err(|error| self.place.error("opening it", error))?;
        Ok((file, connection))
    }

    /// Whether the path still leads to this file.
    pub(super) fn check_same(&self, file: FileId) -> Result<(), HostError> {
        if self.find()? == file { Ok(()) } else { Err(self.place.replaced()) }
    }

    /// Whether the connection may still be used in this process.
    pub(super) fn check_alone(&self, connection: &Pooled) -> Result<(), HostError> {
        connection.check().map_err(|refusal| self.refusal(refusal))
    }

    /// Whether another copy of SQLite may be at work in this process.
    fn copies(&self) -> Copies {
        if self.shared || binding::IS_THE_ONLY_COPY { Copies::One } else { Copies::Unknown }
    }

    /// SQLite would play the log of the old file into the new one.
    fn refuse_a_foreign_log(&self) -> Result<(), HostError> {
        let mut log = self.place.path.clone().into_os_string();
        log.push("-wal");
        if fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0) {
            return Err(HostError::Unusable(format!(
                "the store {path} was replaced by another file, and {path}-wal, which may be the old one's log, is \
                 still there: stop what has the store open and move that log away; if it belongs to the new store, \
                 restart this process",
                path = self.place.path.display()
            )));
        }
        Ok(())
    }

    /// Looks at the path without opening it: SQLite would say no more than "unable to open".
    fn find(&self) -> Result<FileId, HostError> {
        let path = self.place.path.display();
        let metadata = fs::metadata(&self.place.path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                HostError::Unusable(format!("there is no store at {path}: no such file{}", self.beside()))
            }
            ErrorKind::PermissionDenied => HostError::Unusable(format!(
                "the store {path} can't be reached: {error}; this user may not enter one of the folders above it"
            )),
            _ => HostError::Unusable(format!("the store {path} can't be reached: {error}")),
        })?;
        if metadata.is_dir() {
            let inside = [".runwisp/runwisp.db", "runwisp.db"].map(|name| self.place.path.join(name));
            let hint = inside.iter().find(|path| path.is_file());
            let hint = hint.map(|path| format!("did you mean {}?", path.display()));
            let hint = hint.unwrap_or_else(|| "name the runner's database in it".to_owned());
            return Err(HostError::Unusable(format!("{path} is a folder, not a store; {hint}")));
        }
        if metadata.len() == 0 {
            return Err(HostError::Unusable(format!(
                "{path} is an empty file, not a store: a mistyped path may have left it there, or the runner has not begun \
                 to use it"
            )));
        }
        Ok(file_id(&metadata))
    }

    /// What may be meant where nothing is: the file beside it whose name is most like it.
    fn beside(&self) -> String {
        const LOOKED_AT: usize = 1_000;
        let folder = self.place.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Ok(entries) = fs::read_dir(folder) else {
            return format!(", and no folder {}", folder.display());
        };
        let files = entries.flatten().take(LOOKED_AT).filter(|entry| entry.path().is_file());
        let names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        let is_own = |name: &&str| ["-wal", "-shm", "-journal"].iter().any(|end| name.ends_with(end));
        let name = self.place.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let meant = nearest(name, names.iter().map(String::as_str).filter(|name| !is_own(name)));
        meant
            .map(|name| format!("; did you mean {}?", self.place.path.with_file_name(name).display()))
            .unwrap_or_default()
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        // Never CREATE: a mistyped path must not leave an empty file behind.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.place.path, flags)?;
        // What the runner's schema says holds for us; whether it is the default depends on how this SQLite was built.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
        functions::register(&connection)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(connection)
    }

    fn refusal(&self, refusal: Refusal) -> HostError {
        let store = self.place.path.display().to_string();
        match refusal {
            Refusal::OpenHere => HostError::OpenInProcess { store, sqlite: binding::library() },
            Refusal::Forked => HostError::Unusable(format!(
                "this process was forked while a call on {store} was under way, so SQLite believes here in locks that \
                 only the parent has; fork between two calls, or start a new program in the child"
            )),
            Refusal::Unknown(cause) => HostError::Unusable(format!(
                "nobody can tell whether another SQLite in this process has {store} open, since the process's own \
                 descriptors can't be listed: {cause}; mount /proc, or promise it with \"sqlite\": \"shared\""
            )),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let known = self.file.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(file) = known {
            pool::release(file);
        }
    }
}
