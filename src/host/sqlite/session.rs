//! One caller's conversation with an SQLite store.

use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::Connection;

use super::dialect::Sqlite;
use super::fit::Fitted;
use super::place::Place;
use super::serial::Mark;
use crate::contract::Params;
use crate::host::profile::SpawnParameter;
use crate::host::{
    Columns, Due, Freshness, HostError, Interrupter, Ledger, Query, RunRef, RunRow, Session, Spawned, States,
};

/// Whose connection a session works on, and what its transactions are there.
pub(super) trait Transactions {
    fn connection(&self) -> &Connection;

    /// Starts reading, as [`Session::begin_read`].
    fn begin_read(&mut self) -> Result<(), HostError>;

    /// Starts writing, as [`Session::begin_write`].
    fn begin_write(&mut self) -> Result<(), HostError>;

    /// Ends reading, or gives up what was written.
    fn end(&mut self) -> Result<(), HostError>;

    /// Makes what was written last.
    fn commit(&mut self) -> Result<(), HostError>;

    /// Whether SQLite's `data_version` tells of every change to what the view shows.
    fn sees_every_change(&self) -> bool;

    /// As [`Session::interrupter`].
    fn interrupter(&mut self) -> Option<Interrupter> {
        None
    }
}

/// A session. Dropped in the middle, its transactions leave nothing behind.
pub(super) struct SqliteSession<'p, T> {
    pub(super) place: &'p Place,
    pub(super) fitted: Arc<Fitted>,
    transactions: T,
    /// SQLite's `data_version` at [`Session::begin_read`]: it moves when another connection commits.
    read_at_version: Option<i64>,
    /// The newest row when active runs were looked for.
    looked_until: Option<Mark>,
    /// What was read before the write lock was taken is what is there.
    pub(super) is_unchanged: bool,
    /// The write lock is ours.
    pub(super) is_writing: bool,
    /// The ledger is of an older version.
    pub(super) ledger_is_old: bool,
}

impl<'p, T: Transactions> SqliteSession<'p, T> {
    pub(super) fn new(place: &'p Place, fitted: Arc<Fitted>, transactions: T) -> Self {
        SqliteSession {
            place,
            fitted,
            transactions,
            read_at_version: None,
            looked_until: None,
            is_unchanged: false,
            is_writing: false,
            ledger_is_old: false,
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        self.transactions.connection()
    }

    pub(super) fn execute(&self, doing: &'static str, sql: &str) -> Result<(), HostError> {
        self.connection().execute_batch(sql).map_err(|error| self.place.error(doing, error))
    }

    fn data_version(&self, doing: &'static str) -> Result<i64, HostError> {
        self.connection()
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .map_err(|error| self.place.error(doing, error))
    }
}

impl<T: Transactions> Session for SqliteSession<'_, T> {
    fn begin_read(&mut self) -> Result<(), HostError> {
        self.transactions.begin_read()?;
        self.read_at_version = Some(self.data_version("starting to read")?);
        Ok(())
    }

    fn interrupter(&mut self) -> Option<Interrupter> {
        self.transactions.interrupter()
    }

    fn begin_write(&mut self) -> Result<Freshness, HostError> {
        const DOING: &str = "taking the write lock";
        self.transactions.begin_write()?;
        self.is_writing = true;
        let version = self.data_version(DOING)?;
        self.is_unchanged = self.transactions.sees_every_change() && self.read_at_version == Some(version);
        if self.is_unchanged {
            return Ok(Freshness::Unchanged);
        }
        self.fitted.check_version(self.connection(), self.place)?;
        Ok(Freshness::Changed)
    }

    fn end(&mut self) -> Result<(), HostError> {
        self.is_writing = false;
        self.transactions.end()
    }

    fn commit(&mut self) -> Result<(), HostError> {
        self.transactions.commit()?;
        self.is_writing = false;
        Ok(())
    }

    fn keeps_others_out(&self) -> bool {
        true
    }

    /// Not where an index has each id once, and all ids are of one type: 7 and '7' are two keys to SQLite.
    fn states(&self) -> States {
        self.fitted.view.states.clone()
    }

    fn may_repeat(&mut self, _query: Query<'_>) -> Result<bool, HostError> {
        let kind = self.type_of_ids().map_err(|error| self.place.error("searching its runs", error))?;
        Ok(!self.fitted.seeks.unique || kind.is_none())
    }

    fn runs(
        &mut self,
        query: Query<'_>,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), HostError> {
        const DOING: &str = "searching its runs";
        if matches!(query, Query::Active { new_only: false, .. }) {
            self.looked_until = Mark::of_the_newest(self).map_err(|error| self.place.error(DOING, error))?;
        }
        let mut read = || match query {
            Query::Ids(ids) => self.each_of_ids(ids, columns, each),
            Query::Active { new_only, .. } => {
                let (statement, at) = self.fitted.view.compile(query, columns, &Sqlite::default());
                let statement = match &self.looked_until {
                    Some(mark) if new_only && mark.still_stands(self)? => mark.only_later(statement),
                    _ => statement,
                };
                self.each_of(&statement, &at, each)
            }
            Query::Tasks(_) => {
                let (statement, at) = self.fitted.view.compile(query, columns, &Sqlite::default());
                self.each_of(&statement, &at, each)
            }
            Query::Filter(filter) => {
                let dialect = Sqlite { seek_created_at: self.is_narrow(filter)? };
                let (statement, at) = self.fitted.view.compile(query, columns, &dialect);
                self.each_of(&statement, &at, each)
            }
        };
        read().map_err(|error| self.place.error(DOING, error))
    }

    fn params(
        &mut self,
        runs: &[RunRef<'_>],
        each: &mut dyn FnMut(usize, Option<Params<'_>>),
    ) -> Result<(), HostError> {
        let columns = Columns { params: true, ..Columns::default() };
        let mut params = |index, run: Option<RunRow<'_>>| {
            each(index, run.map(|run| run.params));
            ControlFlow::Continue(())
        };
        self.each_of_runs(runs, columns, &mut params)
            .map_err(|error| self.place.error("reading the runs' parameters", error))
    }

    fn takes_params_as_read(&self) -> bool {
        self.transactions.sees_every_change() && self.fitted.spawn.takes(SpawnParameter::Params)
    }

    fn spawn(
        &mut self,
        sources: &[RunRef<'_>],
        params: Option<&[&Params<'_>]>,
        due: Option<Due>,
        each: &mut dyn FnMut(usize, Spawned),
    ) -> Result<(), HostError> {
        let params = params.filter(|_| self.is_unchanged);
        let spawned = self.spawn_all(sources, params, due)?;
        spawned.into_iter().enumerate().for_each(|(index, spawned)| each(index, spawned));
        Ok(())
    }

    fn has_due_time(&self) -> bool {
        self.fitted.has_due_time()
    }

    fn can_undo(&self) -> bool {
        self.fitted.undo.is_some()
    }

    fn undo(&mut self, runs: &[RunRef<'_>], each: &mut dyn FnMut(usize, bool)) -> Result<(), HostError> {
        self.undo_all(runs, each)
    }

    fn ledger(&mut self) -> Result<Option<&mut dyn Ledger>, HostError> {
        Ok(if self.has_ledger()? { Some(self) } else { None })
    }

    fn create_ledger(&mut self) -> Result<(), HostError> {
        self.migrate_ledger()
    }

    fn drop_ledger(&mut self) -> Result<(), HostError> {
        self.drop_tables()
    }
}
