//! One caller's conversation with an SQLite store.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::Connection;

use super::dialect::{End, Sqlite, bindable, forms, times_at};
use super::fit::Fitted;
use super::place::Place;
use super::plan::{OF_A_TASK_AND_AN_ID, OF_AN_ID, first_by_id};
use super::row::with_row;
use super::serial::Mark;
use crate::contract::{Instant, Params, RunFilter};
use crate::host::profile::SpawnParameter;
use crate::host::time::read_instant;
use crate::host::view::{Positions, Statement};
use crate::host::{
    Columns, Due, Freshness, HostError, Interrupter, Key, Ledger, Query, RunRef, RunRow, Session, Spawned,
};

/// An index on the time of creation pays while a query's window is at most this part of all time:
/// a seek a run costs about five times what a run costs in a full scan.
const INDEX_PAYS_BELOW: f64 = 0.2;

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

    /// All ids are numbers, or texts, or blobs, as the first one is; `None` where they are mixed, or nobody can tell without reading them all.
    fn type_of_ids(&self) -> rusqlite::Result<Option<String>> {
        if !self.fitted.seeks.ordered {
            return Ok(None);
        }
        let end = |order| -> rusqlite::Result<Option<String>> {
            let mut statement = self.connection().prepare_cached(&first_by_id(&self.fitted.view, order))?;
            let mut rows = statement.query([])?;
            rows.next()?.map(|row| row.get(0)).transpose()
        };
        let first = end("ASC")?;
        Ok(if first == end("DESC")? { first } else { None })
    }

    /// The runs that bear one of these ids, which are sorted.
    pub(super) fn each_of_ids(
        &self,
        ids: &[&str],
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let is_one = |id: &Key<'_>| {
            id.bytes().is_some_and(|bytes| ids.binary_search_by(|known| known.as_bytes().cmp(&bytes)).is_ok())
        };
        if !self.fitted.seeks.by_id && ids.len() > 1 {
            return self
                .each_run(columns, &mut |run| if is_one(&run.id) { each(run) } else { ControlFlow::Continue(()) });
        }
        let kind = self.type_of_ids()?;
        let is_of_the_kind = |form: &Key<'_>| match kind.as_deref() {
            None => true,
            Some("text") => matches!(form, Key::Text(_)),
            Some("blob") => matches!(form, Key::Blob(_)),
            // Numbers with a fraction stand between the others.
            Some(_) => matches!(form, Key::Integer(_) | Key::Real(_)),
        };
        for id in ids {
            let forms: Vec<_> = forms(&Key::text(id)).into_iter().filter(is_of_the_kind).collect();
            let condition = match forms.len() {
                0 => continue,
                1 => OF_AN_ID,
                2 => "id IN (?1, ?2)",
                _ => "id IN (?1, ?2, ?3)",
            };
            let (sql, at) = self.fitted.view.by_id(condition, columns, &Sqlite::default());
            let mut statement = self.connection().prepare_cached(&sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(forms.iter().map(bindable)))?;
            while let Some(row) = rows.next()? {
                // What SQLite takes for the same may be another: 007 is 7 to a column of numbers.
                let meant = |run: RunRow<'_>| if run.id.is(id) { each(run) } else { ControlFlow::Continue(()) };
                if with_row(row, &at, meant)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Each of these runs, with its index; `None` for one that is gone.
    pub(super) fn each_of_runs(
        &self,
        runs: &[RunRef<'_>],
        columns: Columns,
        each: &mut dyn FnMut(usize, Option<RunRow<'_>>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        if !self.fitted.seeks.by_task_and_id && runs.len() > 1 {
            return self.each_of_runs_in_one_pass(runs, columns, each);
        }
        let (sql, at) = self.fitted.view.by_id(OF_A_TASK_AND_AN_ID, columns, &Sqlite::default());
        let mut statement = self.connection().prepare_cached(&sql)?;
        for (index, wanted) in runs.iter().enumerate() {
            let mut rows = statement.query([bindable(wanted.id), bindable(wanted.task_name)])?;
            let mut found = None;
            while let (None, Some(row)) = (found, rows.next()?) {
                found = with_row(row, &at, |run| wanted.is(&run.task_name, &run.id).then(|| each(index, Some(run))))?;
            }
            let found = match found {
                None => self.in_another_form(*wanted, columns, &mut |run| each(index, Some(run)))?,
                found => found,
            };
            if found.unwrap_or_else(|| each(index, None)).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// A run whose name or id is stored as another type than the one that a run of its group bears: as bytes, say.
    fn in_another_form(
        &self,
        wanted: RunRef<'_>,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<Option<ControlFlow<()>>> {
        let (ids, names) = (forms(wanted.id), forms(wanted.task_name));
        let places = |from: usize, count: usize| {
            (from + 1..=from + count).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ")
        };
        let condition =
            format!("id IN ({}) AND task_name IN ({})", places(0, ids.len()), places(ids.len(), names.len()));
        let (sql, at) = self.fitted.view.by_id(&condition, columns, &Sqlite::default());
        let mut statement = self.connection().prepare_cached(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(ids.iter().chain(&names).map(bindable)))?;
        let mut found = None;
        while let (None, Some(row)) = (found, rows.next()?) {
            found = with_row(row, &at, |run| wanted.is(&run.task_name, &run.id).then(|| each(run)))?;
        }
        Ok(found)
    }

    /// The same where no index serves an id: one look at every row, and not one for each run.
    fn each_of_runs_in_one_pass(
        &self,
        runs: &[RunRef<'_>],
        columns: Columns,
        each: &mut dyn FnMut(usize, Option<RunRow<'_>>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let indexes: HashMap<(&Key<'_>, &Key<'_>), usize> =
            runs.iter().enumerate().map(|(index, run)| ((run.task_name, run.id), index)).collect();
        let mut is_missing = vec![true; runs.len()];
        let mut flow = ControlFlow::Continue(());
        self.each_run(columns, &mut |run| {
            if let Some(&index) = indexes.get(&(&run.task_name, &run.id))
                && std::mem::take(&mut is_missing[index])
            {
                flow = each(index, Some(run));
            }
            flow
        })?;
        let missing = is_missing.iter().enumerate().filter(|(_, is_missing)| **is_missing);
        for (index, _) in missing {
            if flow.is_break() {
                break;
            }
            flow = each(index, None);
        }
        Ok(())
    }

    /// Every run.
    fn each_run(&self, columns: Columns, each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>) -> rusqlite::Result<()> {
        let (statement, at) = self.fitted.view.compile(Query::Tasks(None), columns, &Sqlite::default());
        self.each_of(&statement, &at, each)
    }

    pub(super) fn each_of(
        &self,
        statement: &Statement,
        at: &Positions,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let mut prepared = self.connection().prepare_cached(&statement.sql)?;
        let mut rows = prepared.query(rusqlite::params_from_iter(&statement.values))?;
        while let Some(row) = rows.next()? {
            let flow = with_row(row, at, |run| match statement.means(&run) {
                true => each(run),
                false => ControlFlow::Continue(()),
            })?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The time of creation at one end, as far as it can be read.
    fn time_at(&self, end: End) -> rusqlite::Result<Option<Instant>> {
        let mut statement = self.connection().prepare_cached(&times_at(&self.fitted.view, end))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(time) = row.get_ref(0)?.as_str().ok().and_then(read_instant) {
                return Ok(Some(time));
            }
        }
        Ok(None)
    }

    /// Whether a filter's window is narrow enough to go by the index on the time of creation.
    pub(super) fn is_narrow(&self, filter: &RunFilter) -> rusqlite::Result<bool> {
        if !self.fitted.seeks.by_time || (filter.created_after, filter.created_before) == (None, None) {
            return Ok(false);
        }
        let (Some(first), Some(last)) = (self.time_at(End::First)?, self.time_at(End::Last)?) else { return Ok(false) };
        let from = filter.created_after.unwrap_or(first).max(first);
        let to = filter.created_before.unwrap_or(last).min(last);
        let [window, all] = [to - from, last - first].map(|span| span.num_seconds() as f64);
        Ok(window <= all * INDEX_PAYS_BELOW)
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
    fn may_repeat(&mut self) -> Result<bool, HostError> {
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

    fn spawn(
        &mut self,
        sources: &[RunRef<'_>],
        due: Option<Due>,
        each: &mut dyn FnMut(usize, Spawned),
    ) -> Result<(), HostError> {
        self.spawn_all(sources, due)?.into_iter().enumerate().for_each(|(index, spawned)| each(index, spawned));
        Ok(())
    }

    fn has_due_time(&self) -> bool {
        self.fitted.spawn_parameters.contains(&SpawnParameter::Due)
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
