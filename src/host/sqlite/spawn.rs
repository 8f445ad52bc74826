//! Starts runs again: all in one go, as is expected; where the host declines one, each in a savepoint of its own. A new run
//! that is not to be seen afterwards is none, and then all is done once more without it.

use std::ops::ControlFlow;

use chrono::{SecondsFormat, Utc};
use rusqlite::ffi;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};

use super::dialect::{Sqlite, bindable};
use super::row::bindable_params;
use super::session::{SqliteSession, Transactions};
use super::statements::{Prepared, Told};
use crate::contract::Params;
use crate::host::new_ids::NewIds;
use crate::host::profile::{NEVER_THE_SAME, STARTED_MANY, STARTED_NONE, SpawnParameter, TOLD_MANY};
use crate::host::{Columns, Due, HostError, Key, Query, RunRef, RunRow, Spawned, not_shown, not_to_be_run};

const DOING: &str = "starting runs";

/// How often it is tried to start runs that are all there afterwards.
const ATTEMPTS: usize = 10;

/// The new run's id, or the host's words for why there is none.
type Started = Result<Key<'static>, String>;

/// What is the same for all runs of a call.
struct Call<'s> {
    statements: Prepared<'s>,
    new_ids: NewIds,
    now: String,
    due: Option<Due>,
}

/// What became of one source run so far.
#[derive(Clone)]
enum Outcome {
    New(Key<'static>),
    Gone,
    Refused(String),
}

impl<T: Transactions> SqliteSession<'_, T> {
    /// What becomes of each source run. `params`: theirs, where they are known.
    pub(super) fn spawn_all(
        &self,
        sources: &[RunRef<'_>],
        params: Option<&[&Params<'_>]>,
        due: Option<Due>,
    ) -> Result<Vec<Spawned>, HostError> {
        let statements = self.fitted.spawn.prepare(self.connection());
        let mut call = Call {
            statements: statements.map_err(|error| self.place.error(DOING, error))?,
            new_ids: NewIds::new(self.fitted.new_ids),
            now: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            due,
        };
        // What is known from an attempt before: a run of which the new one is not to be seen is not started again.
        let mut known = vec![Outcome::Gone; sources.len()];
        let mut declines_are_expected = false;
        let newest = self.newest()?;
        self.execute(DOING, "SAVEPOINT all_runs")?;
        for _ in 0..ATTEMPTS {
            let mut outcomes = known.clone();
            if self.start_all(&mut call, sources, params, &mut outcomes, declines_are_expected)? {
                let hidden = self.hidden(sources, &outcomes, newest)?;
                if hidden.is_empty() {
                    self.execute(DOING, "RELEASE all_runs")?;
                    return Ok(outcomes.into_iter().map(Spawned::from).collect());
                }
                for (index, words) in hidden {
                    known[index] = Outcome::Refused(words);
                }
            } else {
                declines_are_expected = true;
            }
            self.execute(DOING, "ROLLBACK TO all_runs")?;
        }
        Err(self.fitted.spawn_error(NEVER_THE_SAME))
    }

    /// Starts all that are not refused yet; false if the host declines one unexpectedly, and none of it may stay.
    fn start_all(
        &self,
        call: &mut Call<'_>,
        sources: &[RunRef<'_>],
        params: Option<&[&Params<'_>]>,
        outcomes: &mut [Outcome],
        declines_are_expected: bool,
    ) -> Result<bool, HostError> {
        let mut failed = None;
        let mut start = |index: usize, run: RunRef<'_>, params: &Params<'_>| {
            if matches!(outcomes[index], Outcome::Refused(_)) {
                return ControlFlow::Continue(());
            }
            let started = match declines_are_expected {
                true => self.start_in_a_savepoint(call, index, run, params),
                false => self.start(call, index, run, params),
            };
            match started {
                Ok(Ok(new_id)) => outcomes[index] = Outcome::New(new_id),
                Ok(Err(words)) if declines_are_expected => outcomes[index] = Outcome::Refused(words),
                Ok(Err(_)) => failed = Some(Ok(false)),
                Err(error) => failed = Some(Err(error)),
            }
            if failed.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        if let Some(params) = params {
            // They are there, as the search has read them.
            let mut known = sources.iter().zip(params).enumerate();
            let _ = known.try_for_each(|(index, (run, params))| start(index, *run, params));
        } else if self.is_unchanged && !self.fitted.takes_what_is_read() && !declines_are_expected {
            // They are there, and the statement reads them by itself.
            let _ = sources.iter().enumerate().try_for_each(|(index, run)| start(index, *run, &Params::None));
        } else {
            let columns = Columns { params: true, ..Columns::default() };
            let mut start = |index: usize, run: Option<RunRow<'_>>| match run {
                Some(run) => start(index, RunRef { task_name: &run.task_name, id: &run.id }, &run.params),
                None => ControlFlow::Continue(()),
            };
            self.each_of_runs(sources, columns, &mut start).map_err(|error| self.place.error(DOING, error))?;
        }
        failed.unwrap_or_else(|| Ok(declines_are_expected || !self.owes_a_key()))
    }

    /// Nothing is left of it if the host declines.
    fn start_in_a_savepoint(
        &self,
        call: &mut Call<'_>,
        index: usize,
        run: RunRef<'_>,
        params: &Params<'_>,
    ) -> Result<Started, HostError> {
        let owed_before = self.owes_a_key();
        self.execute(DOING, "SAVEPOINT one_run")?;
        let mut started = self.start(call, index, run, params)?;
        if started.is_ok() && self.owes_a_key() && !owed_before {
            started = Err("FOREIGN KEY constraint failed (it is looked at when the transaction ends)".to_owned());
        }
        if started.is_err() {
            self.execute(DOING, "ROLLBACK TO one_run")?;
        }
        self.execute(DOING, "RELEASE one_run")?;
        Ok(started)
    }

    /// Whether a foreign key that is looked at only when the transaction ends is not met so far: then nothing could be
    /// committed.
    fn owes_a_key(&self) -> bool {
        let (mut owed, mut highest) = (0, 0);
        // SAFETY: the handle is open for as long as the connection is borrowed, and both numbers are ours.
        let asked = unsafe {
            let handle = self.connection().handle();
            ffi::sqlite3_db_status(handle, ffi::SQLITE_DBSTATUS_DEFERRED_FKS, &mut owed, &mut highest, 0)
        };
        asked == ffi::SQLITE_OK && owed != 0
    }

    /// Starts one run again, the one with this index.
    fn start(
        &self,
        call: &mut Call<'_>,
        index: usize,
        run: RunRef<'_>,
        params: &Params<'_>,
    ) -> Result<Started, HostError> {
        let Call { statements, new_ids, now, due } = call;
        let new_id = new_ids.next();
        let due = due.map(|due| due.of(index));
        let told = statements.carry_out(|parameter| match parameter {
            SpawnParameter::Id => bindable(run.id),
            SpawnParameter::TaskName => bindable(run.task_name),
            SpawnParameter::Params => bindable_params(params),
            SpawnParameter::NewId | SpawnParameter::NewUuid | SpawnParameter::NewRun => text(&new_id),
            SpawnParameter::Now => text(now),
            SpawnParameter::Due => due.as_deref().map_or(ToSqlOutput::Owned(Value::Null), text),
        });
        let fail = |error| self.place.error("starting a run", error);
        match told {
            Ok(Told::One(id)) => {
                let id = id.unwrap_or_else(|| Key::Text(new_id.into_bytes().into()));
                match id.fault() {
                    None => Ok(Ok(id)),
                    Some(fault) => {
                        Err(self.fitted.spawn_error(&format!("the id that it returned for the new run is {fault}")))
                    }
                }
            }
            Ok(Told::Nothing) => Ok(Err(STARTED_NONE.to_owned())),
            Ok(Told::Many) if self.fitted.spawn.are_several() => Err(self.fitted.spawn_error(TOLD_MANY)),
            Ok(Told::Many) => Err(self.fitted.spawn_error(STARTED_MANY)),
            // Where that took the whole transaction away, nothing may follow.
            Err(error) if self.connection().is_autocommit() => {
                // A full disk does, and so does one that fails: not the host's doing.
                if is_the_disks(&error) {
                    return Err(fail(error));
                }
                let words = words(&error);
                Err(self
                    .fitted
                    .spawn_error(&format!("the host rolled the transaction back ({words}), so no run was started")))
            }
            Err(error) if declines(&error) => Ok(Err(words(&error))),
            Err(error) => Err(fail(error)),
        }
    }

    /// The number of the newest row, where rows have numbers; `None` as well if there is no row, or no higher number.
    fn newest(&self) -> Result<Option<i64>, HostError> {
        if !self.fitted.view.has("serial") {
            return Ok(None);
        }
        let sql = self.fitted.view.select("max(serial)");
        let newest =
            self.connection().prepare_cached(&sql).and_then(|mut newest| newest.query_row([], |row| row.get(0)));
        let newest: Option<i64> = newest.map_err(|error| self.place.error(DOING, error))?;
        Ok(newest.filter(|newest| *newest < i64::MAX))
    }

    /// The new runs that the host's view does not show as runs that are to be run, and how it shows them.
    fn hidden(
        &self,
        sources: &[RunRef<'_>],
        outcomes: &[Outcome],
        newest: Option<i64>,
    ) -> Result<Vec<(usize, String)>, HostError> {
        const LOOKING: &str = "looking at the new runs";
        let new = outcomes.iter().enumerate().filter_map(|(index, outcome)| match outcome {
            Outcome::New(id) => Some((index, RunRef { task_name: sources[index].task_name, id })),
            Outcome::Gone | Outcome::Refused(_) => None,
        });
        let (indexes, new_runs): (Vec<usize>, Vec<RunRef<'_>>) = new.unzip();
        if let Some(newest) = newest {
            // They are the rows after the newest one, and there are no others.
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
                return Ok(Vec::new());
            }
        }
        let mut hidden = Vec::new();
        let columns = Columns { end_reason: true, rest: true, ..Columns::default() };
        self.each_of_runs(&new_runs, columns, &mut |place, run| {
            let words = run.map_or_else(|| Some(not_shown(new_runs[place].id)), |run| not_to_be_run(&run));
            hidden.extend(words.map(|words| (indexes[place], words)));
            ControlFlow::Continue(())
        })
        .map_err(|error| self.place.error(LOOKING, error))?;
        Ok(hidden)
    }
}

impl From<Outcome> for Spawned {
    fn from(outcome: Outcome) -> Spawned {
        match outcome {
            Outcome::New(id) => Spawned::New(id.to_text()),
            Outcome::Gone => Spawned::Gone,
            Outcome::Refused(words) => Spawned::Refused(words),
        }
    }
}

pub(super) fn text(text: &str) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))
}

/// The host's schema said no to one run: a constraint, a trigger that raises or that fails by itself, a value that does
/// not fit.
pub(super) fn declines(error: &rusqlite::Error) -> bool {
    use ffi::ErrorCode::{ConstraintViolation, TooBig, TypeMismatch};
    error.sqlite_error().is_some_and(|said| {
        matches!(said.code, ConstraintViolation | TypeMismatch | TooBig) || said.extended_code == ffi::SQLITE_ERROR
    })
}

fn is_the_disks(error: &rusqlite::Error) -> bool {
    use ffi::ErrorCode::{DatabaseCorrupt, DiskFull, OutOfMemory, SystemIoFailure};
    error
        .sqlite_error()
        .is_some_and(|said| matches!(said.code, DiskFull | SystemIoFailure | OutOfMemory | DatabaseCorrupt))
}

/// SQLite's own words, or those of the host's trigger.
pub(super) fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}
