//! Hosts that keep their runs in an SQLite file.

#[cfg(feature = "shared-sqlite")]
pub(crate) mod binding;
#[cfg(not(feature = "shared-sqlite"))]
#[path = "compiled_in.rs"]
mod binding;
#[cfg(feature = "capi")]
mod borrowed;
mod connection;
mod dialect;
#[cfg(test)]
mod explain_tests;
mod fit;
pub(crate) mod functions;
mod ledger;
mod loaders;
mod newer;
mod own;
mod place;
mod plan;
mod pool;
mod presence;
mod read;
mod row;
mod serial;
mod session;
mod spawn;
mod statements;
mod undo;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

#[cfg(feature = "capi")]
use self::borrowed::Borrowed;
use self::connection::Store;
use self::fit::Fitted;
use self::own::Own;
use self::place::Place;
use self::presence::{FileId, open_in};
use self::session::{SqliteSession, Transactions};
use super::profile::{Engine, Profile, SchemaVersion};
use super::{Host, HostError, Particulars, Session, StoreInfo};

/// A runner's SQLite store, seen through a profile.
pub struct SqliteHost {
    store: Store,
    fitting: Fitting,
}

/// The profiles that may fit, and what did when a store was seen last.
struct Fitting {
    /// The one that was asked for; else any of the built-in ones.
    given: Option<Profile>,
    fitted: Mutex<Option<(Seen, Arc<Fitted>)>>,
}

/// Which file, and which version of its schema: runners are upgraded, and stores restored, while we run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    file: FileId,
    schema_version: i64,
}

impl Fitting {
    fn new(given: Option<Profile>) -> Result<Self, HostError> {
        given.iter().try_for_each(|profile| profile.check_engine(Engine::Sqlite))?;
        Ok(Fitting { given, fitted: Mutex::default() })
    }

    /// The profile's generation that fits the store as it is now.
    fn fit(&self, file: FileId, connection: &Connection, place: &Place) -> Result<Arc<Fitted>, HostError> {
        let schema_version = connection
            .pragma_query_value(None, "schema_version", |row| row.get(0))
            .map_err(|error| place.error("reading its schema", error))?;
        let seen = Seen { file, schema_version };
        let mut fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        // A migration may change no table, and the schema's own version all the same.
        if let Some((when, known)) = &*fitted
            && *when == seen
            && known.check_version(connection, place).is_ok()
        {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(match &self.given {
            Some(profile) => fit::given(connection, profile, place)?,
            None => fit::built_in(connection, place)?,
        });
        *fitted = Some((seen, Arc::clone(&new)));
        Ok(new)
    }
}

impl SqliteHost {
    /// Opens the store at `path`: with the given profile, else with the built-in one that fits.
    /// `shared`: the process promises that all of it uses one copy of SQLite, as far as the store goes;
    /// where SQLite is compiled in, it is taken for granted.
    ///
    /// # Errors
    ///
    /// There is no store, it can't be used, or no profile fits. No file is ever created.
    pub fn open(
        path: impl Into<PathBuf>,
        profile: Option<Profile>,
        busy_timeout: Duration,
        shared: bool,
    ) -> Result<Self, HostError> {
        let fitting = Fitting::new(profile)?;
        binding::bind()?;
        let host = SqliteHost { store: Store::new(path.into(), busy_timeout, shared), fitting };
        host.connect()?;
        Ok(host)
    }

    /// A connection, and what of the profile fits what it leads to.
    fn connect(&self) -> Result<(Own<'_>, Arc<Fitted>), HostError> {
        let (file, connection) = self.store.connect()?;
        let fitted = self.fitting.fit(file, &connection, &self.store.place)?;
        Ok((Own::new(&self.store, file, connection), fitted))
    }

    fn info(&self) -> Result<StoreInfo, HostError> {
        let (own, fitted) = self.connect()?;
        let connection = own.connection();
        let fail = |error| self.store.place.error("reading its settings", error);
        let pragma = |name: &str, connection: &Connection| -> rusqlite::Result<_> {
            connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
        };
        let text = |value| match value {
            rusqlite::types::Value::Text(text) => text,
            _ => String::new(),
        };
        let version = match pragma("user_version", connection).map_err(fail)? {
            rusqlite::types::Value::Integer(version) if version != 0 => Some(SchemaVersion(version.to_string())),
            _ => None,
        };
        let journal_mode = text(pragma("journal_mode", connection).map_err(fail)?);
        let writable = !connection.is_readonly(rusqlite::MAIN_DB).map_err(fail)?;
        let (open_in, hidden) = open_in(&self.store.place.path, &fitted.profile);
        let outlook = fitted.profile.outlook(&open_in, hidden);
        #[cfg(all(unix, feature = "daemon"))]
        let daemon = super::daemon::listening(&fitted.profile, &self.store.place.path);
        #[cfg(not(all(unix, feature = "daemon")))]
        let daemon = None;
        Ok(StoreInfo {
            store: self.store.place.path.display().to_string(),
            engine: format!("SQLite {}", rusqlite::version()),
            profile: fitted.profile.name.clone(),
            runner: fitted.profile.runner.clone(),
            parameters: fitted.profile.settings.clone(),
            tried_with: fitted.profile.tried_with,
            generation: fitted.generation.name.clone(),
            schema_version: version,
            particulars: Particulars::Sqlite { journal_mode },
            lacks: fitted.view.lacks.clone(),
            ledger: ledger::version(connection).map_err(fail)?,
            has_due_time: fitted.has_due_time(),
            writable,
            not_found_by_its_id: fitted.not_found_by_its_id(connection)?,
            read_whole_for_an_id: plan::read_whole_for_an_id(connection, &fitted.view).map_err(fail)?,
            open_in,
            runner_state: outlook.runner,
            runner_unknown: outlook.unknown,
            start: outlook.start,
            daemon,
        })
    }
}

/// A runner's store behind a connection of the caller's: its main database.
#[cfg(feature = "capi")]
pub(crate) struct CallersStore {
    place: Place,
    fitting: Fitting,
}

#[cfg(feature = "capi")]
impl CallersStore {
    /// The store that the connection is to, with the given profile, else with the built-in one that fits.
    ///
    /// # Errors
    ///
    /// The profile is for another engine.
    pub(crate) fn new(connection: &Connection, profile: Option<Profile>) -> Result<Self, HostError> {
        let path = connection.path().filter(|path| !path.is_empty()).unwrap_or("the main database in memory");
        let busy_timeout: u32 = connection.pragma_query_value(None, "busy_timeout", |row| row.get(0)).unwrap_or(0);
        let place = Place { path: PathBuf::from(path), busy_timeout: Duration::from_millis(busy_timeout.into()) };
        Ok(CallersStore { place, fitting: Fitting::new(profile)? })
    }

    /// A session on the connection, inside whatever transaction the caller is in. It leaves no statement
    /// and no transaction of its own behind.
    pub(crate) fn session<'c>(&'c self, connection: &'c Connection) -> Result<Box<dyn Session + 'c>, HostError> {
        let fitted = self.fitting.fit(FileId::default(), connection, &self.place)?;
        // A temporary table goes before one of the store's, and would be read in its place.
        let hides = "SELECT EXISTS (SELECT 1 FROM sqlite_temp_schema WHERE lower(name) = lower(?1))";
        for (table, _) in fitted.tables() {
            let hidden = connection.query_row(hides, [table], |row| row.get(0));
            if hidden.map_err(|error| self.place.error("reading its schema", error))? {
                return Err(HostError::Unusable(format!(
                    "the connection has a temporary table {table}, which hides the store's own; drop or rename it"
                )));
            }
        }
        let borrowed = Borrowed::new(connection, &self.place, fitted.tables().next())?;
        Ok(Box::new(SqliteSession::new(&self.place, fitted, borrowed)))
    }
}

impl Host for SqliteHost {
    fn session(&self) -> Result<Box<dyn Session + '_>, HostError> {
        let (own, fitted) = self.connect()?;
        Ok(Box::new(SqliteSession::new(&self.store.place, fitted, own)))
    }

    fn describe(&self) -> Result<StoreInfo, HostError> {
        self.info()
    }

    fn brief_session(&self, time: Duration) -> Result<Option<Box<dyn Session + '_>>, HostError> {
        let (mut own, fitted) = self.connect()?;
        own.be_brief(time).map_err(|error| self.store.place.error("opening it", error))?;
        Ok(Some(Box::new(SqliteSession::new(&self.store.place, fitted, own))))
    }
}
