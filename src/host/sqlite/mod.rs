//! Hosts that keep their runs in an SQLite file.

mod connection;
#[cfg(test)]
mod explain_tests;
mod fit;
mod session;
mod time;
mod view;

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;

use self::connection::{Store, open_in};
use self::view::View;
use super::profile::{Profile, Start};
use super::{HostError, StoreInfo};

/// A runner's SQLite store, seen through a profile.
pub struct SqliteHost {
    store: Store,
    view: View,
    spawn: String,
    profile: ProfileName,
    start: Start,
}

/// What the profile in use is called.
struct ProfileName {
    file: String,
    name: String,
    runner: String,
    generation: String,
}

impl SqliteHost {
    /// Opens the store at `path`: with the given profile, else with the built-in one that fits.
    ///
    /// # Errors
    ///
    /// There is no store, it can't be used, or no profile fits. No file is ever created.
    pub fn open(path: impl Into<PathBuf>, profile: Option<Profile>, busy_timeout: Duration) -> Result<Self, HostError> {
        let store = Store::new(path.into(), busy_timeout);
        let (file, connection) = store.connect()?;
        let explicit = profile.is_some();
        let candidates = match profile {
            Some(profile) => vec![profile],
            None => Profile::built_in_names().filter_map(Profile::built_in).collect(),
        };
        let fitted = fit::choose(&connection, candidates, explicit, &store)?;
        store.give_back(file, connection);
        let fit::Fitted { profile, generation, view, spawn } = fitted;
        Ok(SqliteHost {
            store,
            view,
            spawn,
            start: profile.start,
            profile: ProfileName { file: profile.file, name: profile.name, runner: profile.runner, generation },
        })
    }

    /// A rule that the profile's spawn statement broke while it ran.
    fn spawn_error(&self, message: &str) -> HostError {
        HostError::Profile {
            file: self.profile.file.clone(),
            part: format!("spawn (generation \"{}\")", self.profile.generation),
            message: format!("{message}; nothing was changed"),
        }
    }

    fn info(&self) -> Result<StoreInfo, HostError> {
        let (file, connection) = self.store.connect()?;
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
        let start = if open_in.is_empty() { &self.start.stopped } else { &self.start.running };
        Ok(StoreInfo {
            store: self.store.path.display().to_string(),
            engine: format!("SQLite {}", rusqlite::version()),
            profile: self.profile.name.clone(),
            runner: self.profile.runner.clone(),
            generation: self.profile.generation.clone(),
            schema_version: version,
            journal_mode,
            writable,
            start: start.clone(),
            open_in,
        })
    }
}
