//! Hosts that keep their runs in an SQLite file.

mod connection;
#[cfg(test)]
mod explain_tests;
mod fit;
mod session;
mod view;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use self::connection::{FileId, Store, open_in};
use self::fit::Fitted;
use super::profile::Profile;
use super::{HostError, StoreInfo};

/// A runner's SQLite store, seen through a profile.
pub struct SqliteHost {
    store: Store,
    profiles: Profiles,
    /// What fits the store as it was seen last.
    fitted: Mutex<Option<(Seen, Arc<Fitted>)>>,
}

/// The profiles that may fit.
enum Profiles {
    /// The one that was asked for.
    Given(Box<Profile>),
    /// Any of the built-in ones.
    BuiltIn,
}

/// Which file, and which version of its schema: runners are upgraded, and stores restored, while we run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    file: FileId,
    schema_version: i64,
}

impl SqliteHost {
    /// Opens the store at `path`: with the given profile, else with the built-in one that fits.
    ///
    /// # Errors
    ///
    /// There is no store, it can't be used, or no profile fits. No file is ever created.
    pub fn open(path: impl Into<PathBuf>, profile: Option<Profile>, busy_timeout: Duration) -> Result<Self, HostError> {
        let host = SqliteHost {
            store: Store::new(path.into(), busy_timeout),
            profiles: profile.map_or(Profiles::BuiltIn, |profile| Profiles::Given(Box::new(profile))),
            fitted: Mutex::default(),
        };
        let (file, connection) = host.store.connect()?;
        host.fit(file, &connection)?;
        host.store.give_back(file, connection);
        Ok(host)
    }

    /// The profile's generation that fits the store as it is now.
    fn fit(&self, file: FileId, connection: &Connection) -> Result<Arc<Fitted>, HostError> {
        let schema_version = connection
            .pragma_query_value(None, "schema_version", |row| row.get(0))
            .map_err(|error| self.store.error("reading its schema", error))?;
        let seen = Seen { file, schema_version };
        let mut fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, known)) = &*fitted
            && *when == seen
        {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(match &self.profiles {
            Profiles::Given(profile) => fit::given(connection, profile, &self.store)?,
            Profiles::BuiltIn => fit::built_in(connection, &self.store)?,
        });
        *fitted = Some((seen, Arc::clone(&new)));
        Ok(new)
    }

    fn info(&self) -> Result<StoreInfo, HostError> {
        let (file, connection) = self.store.connect()?;
        let fitted = self.fit(file, &connection)?;
        let fail = |error| self.store.error("reading its settings", error);
        let pragma = |name: &str, connection: &Connection| -> rusqlite::Result<_> {
            connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
        };
        let text = |value| match value {
            rusqlite::types::Value::Text(text) => text,
            _ => String::new(),
        };
        let version = match pragma("user_version", &connection).map_err(fail)? {
            rusqlite::types::Value::Integer(version) if version != 0 => Some(version),
            _ => None,
        };
        let journal_mode = text(pragma("journal_mode", &connection).map_err(fail)?);
        let writable = !connection.is_readonly(rusqlite::MAIN_DB).map_err(fail)?;
        self.store.give_back(file, connection);
        let open_in = open_in(&self.store.path);
        let start = if open_in.is_empty() { &fitted.profile.start.stopped } else { &fitted.profile.start.running };
        Ok(StoreInfo {
            store: self.store.path.display().to_string(),
            engine: format!("SQLite {}", rusqlite::version()),
            profile: fitted.profile.name.clone(),
            runner: fitted.profile.runner.clone(),
            generation: fitted.generation.clone(),
            schema_version: version,
            journal_mode,
            writable,
            start: start.clone(),
            open_in,
        })
    }
}
