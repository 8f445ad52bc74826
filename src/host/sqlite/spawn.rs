//! Starts runs again: all in one go, as is expected; where the host declines one, each by itself.

use std::collections::HashSet;
use std::ops::ControlFlow;

use chrono::{SecondsFormat, Utc};
use rusqlite::{CachedStatement, Statement, ffi};

use super::dialect::{Sqlite, bindable};
use super::row::{bindable_params, key};
use super::session::{SqliteSession, Transactions};
use crate::contract::Params;
use crate::host::new_ids::NewIds;
use crate::host::profile::{STARTED_MANY, STARTED_NONE, SpawnParameter};
use crate::host::{Columns, HostError, Key, Query, RunRef, RunRow, Spawned, not_to_be_run};

const DOING: &str = "starting runs";
const LOOKING: &str = "looking at the new runs";

/// The new run's id, or the host's words for why there is none.
type Started = Result<Key<'static>, String>;

/// What is the same for all runs of a call.
struct Call<'s> {
    statement: CachedStatement<'s>,
    new_ids: NewIds,
    now: String,
}

impl<T: Transactions> SqliteSession<'_, T> {
    /// What becomes of each source run.
    pub(super) fn spawn_all(&self, sources: &[RunRef<'_>]) -> Result<Vec<Spawned>, HostError> {
        let statement = self.connection().prepare_cached(&self.fitted.spawn);
        let mut call = Call {
            statement: statement.map_err(|error| self.place.error(DOING, error))?,
            new_ids: NewIds::new(self.fitted.new_ids),
            now: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        };
        self.execute(DOING, "SAVEPOINT all_runs")?;
        let started = match self.start_all(&mut call, sources)? {
            Some(started) => started,
            None => {
                self.execute(DOING, "ROLLBACK TO all_runs")?;
                self.start_each(&mut call, sources)?
            }
        };
        self.execute(DOING, "RELEASE all_runs")?;
        Ok(started)
    }

    /// All of them; `None` if the host declines one, or does not show it afterwards, and none of it may stay.
    fn start_all(&self, call: &mut Call<'_>, sources: &[RunRef<'_>]) -> Result<Option<Vec<Spawned>>, HostError> {
        let mut started = vec![Spawned::Gone; sources.len()];
        let mut new_runs = Vec::with_capacity(sources.len());
        let newest = self.newest()?;
        let mut outcome = Ok(true);
        let mut start = |index: usize, run: RunRef<'_>, params: &Params<'_>| {
            outcome = self.start(call, run, params).map(|new| match new {
                Ok(new_id) => {
                    started[index] = Spawned::New(new_id.to_text());
                    new_runs.push((sources[index].task_name, new_id));
                    true
                }
                Err(_) => false,
            });
            if matches!(outcome, Ok(true)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        if self.is_unchanged && !self.fitted.takes_what_is_read() {
            // They are there, and the statement reads them by itself.
            let _ = sources.iter().enumerate().try_for_each(|(index, run)| start(index, *run, &Params::None));
        } else {
            self.each_source(sources, &mut |index, run| match run {
                Some(run) => start(index, RunRef { task_name: &run.task_name, id: &run.id }, &run.params),
                None => ControlFlow::Continue(()),
            })?;
        }
        Ok((outcome? && self.are_shown(&new_runs, newest)?).then_some(started))
    }

    /// Each in a savepoint of its own, so that a declined one leaves nothing behind.
    fn start_each(&self, call: &mut Call<'_>, sources: &[RunRef<'_>]) -> Result<Vec<Spawned>, HostError> {
        let mut started = vec![Spawned::Gone; sources.len()];
        let mut outcome = Ok(());
        self.each_source(sources, &mut |index, run| {
            let Some(run) = run else { return ControlFlow::Continue(()) };
            match self.start_alone(call, RunRef { task_name: &run.task_name, id: &run.id }, &run.params) {
                Ok(Ok(new_id)) => started[index] = Spawned::New(new_id.to_text()),
                Ok(Err(words)) => started[index] = Spawned::Refused(words),
                Err(error) => {
                    outcome = Err(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        outcome.map(|()| started)
    }

    fn each_source(
        &self,
        sources: &[RunRef<'_>],
        each: &mut dyn FnMut(usize, Option<RunRow<'_>>) -> ControlFlow<()>,
    ) -> Result<(), HostError> {
        let columns = Columns { params: true, ..Columns::default() };
        self.each_of_runs(sources, columns, each).map_err(|error| self.place.error(DOING, error))
    }

    fn start_alone(&self, call: &mut Call<'_>, run: RunRef<'_>, params: &Params<'_>) -> Result<Started, HostError> {
        self.execute(DOING, "SAVEPOINT one_run")?;
        let mut started = self.start(call, run, params)?;
        if let Ok(new_id) = &started
            && let Some(words) = self.is_not_shown(RunRef { id: new_id, ..run })?
        {
            started = Err(words);
        }
        if started.is_err() {
            self.execute(DOING, "ROLLBACK TO one_run")?;
        }
        self.execute(DOING, "RELEASE one_run")?;
        Ok(started)
    }

    /// Starts one run again.
    fn start(&self, call: &mut Call<'_>, run: RunRef<'_>, params: &Params<'_>) -> Result<Started, HostError> {
        let Call { statement, new_ids, now } = call;
        let new_id = new_ids.next();
        let fail = |error| self.place.error("starting a run", error);
        for (index, parameter) in (1..).zip(&self.fitted.spawn_parameters) {
            match parameter {
                SpawnParameter::Id => statement.raw_bind_parameter(index, bindable(run.id)),
                SpawnParameter::TaskName => statement.raw_bind_parameter(index, bindable(run.task_name)),
                SpawnParameter::Params => statement.raw_bind_parameter(index, bindable_params(params)),
                SpawnParameter::NewId | SpawnParameter::NewUuid => statement.raw_bind_parameter(index, &new_id),
                SpawnParameter::Now => statement.raw_bind_parameter(index, &*now),
            }
            .map_err(fail)?;
        }
        match new_run(statement, new_id) {
            Ok(New::One(id)) => match id.fault() {
                None => Ok(Ok(id)),
                Some(fault) => {
                    Err(self.fitted.spawn_error(&format!("the id that it returned for the new run is {fault}")))
                }
            },
            Ok(New::None) => Ok(Err(STARTED_NONE.to_owned())),
            Ok(New::Many) => Err(self.fitted.spawn_error(STARTED_MANY)),
            // Where that took the whole transaction away, nothing may follow.
            Err(error) if self.connection().is_autocommit() => {
                let words = words(&error);
                Err(self
                    .fitted
                    .spawn_error(&format!("the host rolled the transaction back ({words}), so no run was started")))
            }
            Err(error) if declines(&error) => Ok(Err(words(&error))),
            Err(error) => Err(fail(error)),
        }
    }

    /// The number of the newest row, where rows have numbers; `None` as well if there is no row.
    fn newest(&self) -> Result<Option<i64>, HostError> {
        if !self.fitted.view.has("serial") {
            return Ok(None);
        }
        let sql = self.fitted.view.select("max(serial)");
        let newest =
            self.connection().prepare_cached(&sql).and_then(|mut newest| newest.query_row([], |row| row.get(0)));
        newest.map_err(|error| self.place.error(DOING, error))
    }

    /// Whether the host's view shows all of these new runs, and as runs that are to be run.
    fn are_shown(&self, new_runs: &[(&Key<'_>, Key<'_>)], newest: Option<i64>) -> Result<bool, HostError> {
        let new_runs: Vec<_> = new_runs.iter().map(|(task_name, id)| RunRef { task_name, id }).collect();
        if let Some(newest) = newest {
            // They are the rows after the newest one, in their order, and there are no others.
            let query = Query::Active { names: None, new_only: true };
            let (mut statement, at) = self.fitted.view.compile(query, Columns::default(), &Sqlite::default());
            statement.sql += &format!(" AND serial > {newest} ORDER BY serial");
            let mut expected = new_runs.iter();
            let mut are_they = true;
            self.each_of(&statement, &at, &mut |run| {
                are_they &= expected.next().is_some_and(|new| new.is(&run.task_name, &run.id));
                if are_they { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .map_err(|error| self.place.error(LOOKING, error))?;
            if are_they && expected.next().is_none() {
                return Ok(true);
            }
        }
        let mut shown = 0;
        self.each_new(&new_runs, &mut |run| {
            shown += usize::from(run.is_some_and(|run| not_to_be_run(&run).is_none()))
        })?;
        // Two that bear the same id are one.
        let distinct: HashSet<_> = new_runs.iter().map(|new| (new.task_name, new.id)).collect();
        Ok(shown == new_runs.len() && distinct.len() == new_runs.len())
    }

    /// Why a new run is none, if so.
    fn is_not_shown(&self, new: RunRef<'_>) -> Result<Option<String>, HostError> {
        let mut words = None;
        self.each_new(&[new], &mut |run| {
            words = match run {
                Some(run) => not_to_be_run(&run),
                None => Some("the host's view does not show the new run".to_owned()),
            };
        })?;
        Ok(words)
    }

    fn each_new(&self, new_runs: &[RunRef<'_>], each: &mut dyn FnMut(Option<RunRow<'_>>)) -> Result<(), HostError> {
        let columns = Columns { end_reason: true, rest: true, ..Columns::default() };
        let mut each = |_, run: Option<RunRow<'_>>| {
            each(run);
            ControlFlow::Continue(())
        };
        self.each_of_runs(new_runs, columns, &mut each).map_err(|error| self.place.error(LOOKING, error))
    }
}

/// What a spawn statement started.
enum New {
    None,
    One(Key<'static>),
    Many,
}

/// Runs a statement whose parameters are bound. `new_id` is the new run's where the statement returns none.
fn new_run(statement: &mut Statement<'_>, new_id: String) -> rusqlite::Result<New> {
    if statement.column_count() == 0 {
        return Ok(match statement.raw_execute()? {
            0 => New::None,
            1 => New::One(Key::Text(new_id.into_bytes().into())),
            _ => New::Many,
        });
    }
    let mut rows = statement.raw_query();
    let Some(row) = rows.next()? else { return Ok(New::None) };
    let id = key(row.get_ref(0)?).to_owned();
    // Step to the end, so that the statement is complete before its answer counts.
    Ok(if rows.next()?.is_some() { New::Many } else { New::One(id) })
}

/// The host's schema said no to one run: a constraint, a trigger that raises or that fails by itself, a value that does
/// not fit.
fn declines(error: &rusqlite::Error) -> bool {
    use ffi::ErrorCode::{ConstraintViolation, TooBig, TypeMismatch};
    error.sqlite_error().is_some_and(|said| {
        matches!(said.code, ConstraintViolation | TypeMismatch | TooBig) || said.extended_code == ffi::SQLITE_ERROR
    })
}

/// SQLite's own words, or those of the host's trigger.
fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}
