//! One caller's conversation with an SQLite store.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row, ffi};

use super::dialect::{Sqlite, span};
use super::fit::Fitted;
use super::place::Place;
use crate::contract::{Params, RunFilter};
use crate::host::new_ids::NewIds;
use crate::host::profile::SpawnParameter;
use crate::host::time::read_instant;
use crate::host::view::{Positions, Statement};
use crate::host::{
    Care, Columns, Freshness, HostError, Interrupter, Query, RunRow, Session, Sources, Spawned, Spawning,
};

/// An index on the time of creation pays while a query's window is at most this part of all time:
/// a seek a run costs about five times what a run costs in a full scan.
const INDEX_PAYS_BELOW: f64 = 0.2;

const STARTED_NONE: &str = "the host's statement started no run";
const STARTED_MANY: &str = "it started more than one run for one source run";

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

    /// As [`Session::interrupter`].
    fn interrupter(&mut self) -> Option<Interrupter> {
        None
    }
}

/// A session. Dropped in the middle, its transactions leave nothing behind.
pub(super) struct SqliteSession<'p, T> {
    place: &'p Place,
    fitted: Arc<Fitted>,
    transactions: T,
    /// SQLite's `data_version` at [`Session::begin_read`]: it moves when another connection commits.
    read_at_version: Option<i64>,
}

impl<'p, T: Transactions> SqliteSession<'p, T> {
    pub(super) fn new(place: &'p Place, fitted: Arc<Fitted>, transactions: T) -> Self {
        SqliteSession { place, fitted, transactions, read_at_version: None }
    }

    fn connection(&self) -> &Connection {
        self.transactions.connection()
    }

    fn execute(&self, doing: &'static str, sql: &str) -> Result<(), HostError> {
        self.connection().execute_batch(sql).map_err(|error| self.place.error(doing, error))
    }

    fn data_version(&self, doing: &'static str) -> Result<i64, HostError> {
        self.connection()
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .map_err(|error| self.place.error(doing, error))
    }

    fn each_by_id(
        &self,
        ids: &[&str],
        columns: Columns,
        each: &mut dyn FnMut(usize, Option<RunRow<'_>>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let (sql, at) = self.fitted.view.by_id("id = ?1", columns, &Sqlite::default());
        let mut statement = self.connection().prepare_cached(&sql)?;
        for (index, id) in ids.iter().enumerate() {
            let mut rows = statement.query([id])?;
            let flow = match rows.next()? {
                // A key of another type may compare equal to a text that is not it.
                Some(row) => with_row(row, &at, |run| each(index, (run.id == *id).then_some(run)))?,
                None => each(index, None),
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn each_of(
        &self,
        statement: &Statement,
        at: &Positions,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let mut prepared = self.connection().prepare_cached(&statement.sql)?;
        let mut rows = prepared.query(rusqlite::params_from_iter(&statement.values))?;
        while let Some(row) = rows.next()? {
            let flow = with_row(row, at, |run| match statement.window.contains(run.created_at) {
                true => each(run),
                false => ControlFlow::Continue(()),
            })?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Whether a filter's window is narrow enough to go by the index on the time of creation.
    fn is_narrow(&self, filter: &RunFilter) -> rusqlite::Result<bool> {
        if !self.fitted.created_at_indexed || (filter.created_after, filter.created_before) == (None, None) {
            return Ok(false);
        }
        let mut span = self.connection().prepare_cached(&span(&self.fitted.view))?;
        let (first, last): (Value, Value) = span.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let instant = |value: Value| match value {
            Value::Text(text) => read_instant(&text),
            _ => None,
        };
        let (Some(first), Some(last)) = (instant(first), instant(last)) else { return Ok(false) };
        let from = filter.created_after.unwrap_or(first).max(first);
        let to = filter.created_before.unwrap_or(last).min(last);
        let [window, all] = [to - from, last - first].map(|span| span.num_seconds() as f64);
        Ok(window <= all * INDEX_PAYS_BELOW)
    }

    /// Starts one source run again, whose row is at hand.
    fn start_again(
        &self,
        statement: &mut rusqlite::Statement<'_>,
        source: &Source<'_>,
    ) -> Result<Result<String, String>, HostError> {
        let fail = |error| self.place.error("starting a run", error);
        for (index, parameter) in self.fitted.spawn_parameters.iter().enumerate() {
            match parameter {
                SpawnParameter::Id => statement.raw_bind_parameter(index + 1, source.id),
                SpawnParameter::TaskName => statement.raw_bind_parameter(index + 1, source.task_name),
                SpawnParameter::Params => statement.raw_bind_parameter(index + 1, bindable(source.params)),
                SpawnParameter::NewId | SpawnParameter::NewUuid => {
                    statement.raw_bind_parameter(index + 1, source.new_id)
                }
                SpawnParameter::Now => statement.raw_bind_parameter(index + 1, source.now),
            }
            .map_err(fail)?;
        }
        if statement.column_count() == 0 {
            return match statement.raw_execute() {
                Ok(1) => Ok(Ok(source.new_id.to_owned())),
                Ok(0) => Ok(Err(STARTED_NONE.to_owned())),
                Ok(_) => Err(self.fitted.spawn_error(STARTED_MANY)),
                Err(error) if is_constraint(&error) => self.declined(&error),
                Err(error) => Err(fail(error)),
            };
        }
        let mut rows = statement.raw_query();
        let new_id = match rows.next() {
            Ok(Some(row)) => {
                let value = row.get_ref(0).map_err(fail)?;
                text(value, &mut String::new()).map(str::to_owned)
            }
            Ok(None) => return Ok(Err(STARTED_NONE.to_owned())),
            Err(error) if is_constraint(&error) => return self.declined(&error),
            Err(error) => return Err(fail(error)),
        };
        // Step to the end, so that the statement is complete before its answer counts.
        match rows.next() {
            Ok(None) => {}
            Ok(Some(_)) => return Err(self.fitted.spawn_error(STARTED_MANY)),
            Err(error) if is_constraint(&error) => return self.declined(&error),
            Err(error) => return Err(fail(error)),
        }
        new_id.map(Ok).ok_or_else(|| self.fitted.spawn_error("it returned NULL for the new run's id"))
    }

    /// The same, and nothing is left of it if the host declines.
    fn start_in_a_savepoint(
        &self,
        statement: &mut rusqlite::Statement<'_>,
        source: &Source<'_>,
    ) -> Result<Result<String, String>, HostError> {
        self.execute("starting a run", "SAVEPOINT one_run")?;
        let started = self.start_again(statement, source)?;
        if started.is_err() {
            self.execute("starting a run", "ROLLBACK TO one_run")?;
        }
        self.execute("starting a run", "RELEASE one_run")?;
        Ok(started)
    }

    /// A constraint or a trigger of the host's said no. Where that took the whole transaction
    /// away, nothing may follow.
    fn declined(&self, error: &rusqlite::Error) -> Result<Result<String, String>, HostError> {
        if self.connection().is_autocommit() {
            return Err(self.fitted.spawn_error("the host rolled the transaction back, so no run was started"));
        }
        let message = match error {
            rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
            other => other.to_string(),
        };
        Ok(Err(message))
    }
}

/// What a spawn statement may use of its source run.
struct Source<'a> {
    id: &'a str,
    task_name: &'a str,
    params: &'a Params<'a>,
    new_id: &'a str,
    now: &'a str,
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
        self.transactions.begin_write()?;
        let version = self.data_version("taking the write lock")?;
        let unchanged = self.read_at_version == Some(version);
        Ok(if unchanged { Freshness::Unchanged } else { Freshness::Changed })
    }

    fn end(&mut self) -> Result<(), HostError> {
        self.transactions.end()
    }

    fn commit(&mut self) -> Result<(), HostError> {
        self.transactions.commit()
    }

    fn runs(
        &mut self,
        query: Query<'_>,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), HostError> {
        let mut read = || match query {
            Query::Ids(ids) => {
                self.each_by_id(ids, columns, &mut |_, run| run.map_or(ControlFlow::Continue(()), &mut *each))
            }
            Query::Filter(filter) => {
                let dialect = Sqlite { seek_created_at: self.is_narrow(filter)? };
                let (statement, at) = self.fitted.view.compile(query, columns, &dialect);
                self.each_of(&statement, &at, each)
            }
            Query::Tasks { .. } => {
                let (statement, at) = self.fitted.view.compile(query, columns, &Sqlite::default());
                self.each_of(&statement, &at, each)
            }
        };
        read().map_err(|error| self.place.error("searching its runs", error))
    }

    fn params(&mut self, ids: &[&str], each: &mut dyn FnMut(usize, Option<Params<'_>>)) -> Result<(), HostError> {
        let columns = Columns { params: true, ..Columns::default() };
        let mut params = |index, run: Option<RunRow<'_>>| {
            each(index, run.map(|run| run.params));
            ControlFlow::Continue(())
        };
        self.each_by_id(ids, columns, &mut params)
            .map_err(|error| self.place.error("reading the runs' parameters", error))
    }

    fn spawn(
        &mut self,
        Sources { ids, .. }: Sources<'_>,
        care: Care,
        each: &mut dyn FnMut(usize, Spawned<'_>),
    ) -> Result<Spawning, HostError> {
        let columns = Columns { params: true, ..Columns::default() };
        let fail = |error| self.place.error("starting runs", error);
        let mut statement = self.connection().prepare_cached(&self.fitted.spawn).map_err(fail)?;
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut new_ids = NewIds::new(self.fitted.new_ids);
        let mut spawning = Ok(Spawning::Done);
        self.each_by_id(ids, columns, &mut |index, run| {
            let Some(run) = run else {
                each(index, Spawned::Gone);
                return ControlFlow::Continue(());
            };
            let new_id = new_ids.next();
            let source =
                Source { id: run.id, task_name: run.task_name, params: &run.params, new_id: &new_id, now: &now };
            let started = match care {
                Care::Fast => self.start_again(&mut statement, &source),
                Care::Savepoints => self.start_in_a_savepoint(&mut statement, &source),
            };
            match (started, care) {
                (Ok(Ok(run_id)), _) => each(index, Spawned::New { run_id, params: run.params }),
                (Ok(Err(_)), Care::Fast) => spawning = Ok(Spawning::Unfinished),
                (Ok(Err(detail)), Care::Savepoints) => each(index, Spawned::Refused { params: run.params, detail }),
                (Err(error), _) => spawning = Err(error),
            }
            if matches!(spawning, Ok(Spawning::Done)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .map_err(fail)?;
        spawning
    }
}

/// Reads a row's wanted columns and hands them over. What is not wanted costs nothing: this runs once a row.
fn with_row<T>(row: &Row<'_>, at: &Positions, each: impl FnOnce(RunRow<'_>) -> T) -> rusqlite::Result<T> {
    let mut spare: [String; 6] = Default::default();
    let [id, task_name, unfit, end_reason, phase, triggered_by] = &mut spare;
    let created_at = match row.get_ref(2)? {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().and_then(read_instant),
        _ => None,
    };
    let mut run = RunRow {
        id: text(row.get_ref(0)?, id).unwrap_or_default(),
        task_name: text(row.get_ref(1)?, task_name).unwrap_or_default(),
        created_at,
        ..RunRow::default()
    };
    if let Some(index) = at.params {
        run.params = params(row.get_ref(index)?);
    }
    if let Some(index) = at.unfit {
        run.unfit = text(row.get_ref(index)?, unfit);
    }
    if let Some(index) = at.end_reason {
        run.end_reason = text(row.get_ref(index)?, end_reason);
    }
    if let Some(index) = at.rest {
        run.phase = text(row.get_ref(index)?, phase);
        run.exit_code = row.get_ref(index + 1)?.as_i64().ok();
        run.triggered_by = text(row.get_ref(index + 2)?, triggered_by);
        run.retry_attempt = row.get_ref(index + 3)?.as_i64().ok();
    }
    if let Some(index) = at.is_failure {
        run.is_failure = row.get_ref(index)?.as_i64().ok().map(|mark| mark != 0);
    }
    Ok(each(run))
}

/// A value as text; `spare` holds it where it is not text as it stands.
fn text<'a>(value: ValueRef<'a>, spare: &'a mut String) -> Option<&'a str> {
    match value {
        ValueRef::Null => return None,
        ValueRef::Integer(number) => *spare = number.to_string(),
        ValueRef::Real(number) => *spare = number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => return Some(text),
            Err(_) => *spare = String::from_utf8_lossy(bytes).into_owned(),
        },
    }
    Some(spare)
}

fn params(value: ValueRef<'_>) -> Params<'_> {
    match value {
        ValueRef::Null => Params::None,
        ValueRef::Text(bytes) => Params::Text(Cow::Borrowed(bytes)),
        ValueRef::Blob(bytes) => Params::Blob(Cow::Borrowed(bytes)),
        ValueRef::Integer(number) => Params::Text(Cow::Owned(number.to_string().into_bytes())),
        ValueRef::Real(number) => Params::Text(Cow::Owned(number.to_string().into_bytes())),
    }
}

fn bindable<'a>(params: &'a Params<'_>) -> ToSqlOutput<'a> {
    ToSqlOutput::Borrowed(match params {
        Params::None => ValueRef::Null,
        Params::Text(bytes) => ValueRef::Text(bytes),
        Params::Blob(bytes) => ValueRef::Blob(bytes),
    })
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ffi::ErrorCode::ConstraintViolation)
}
