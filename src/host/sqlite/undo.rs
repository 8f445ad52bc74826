//! Takes runs back that no worker has begun, with the profile's own statement.

use chrono::{SecondsFormat, Utc};
use rusqlite::Statement;

use super::dialect::bindable;
use super::session::{SqliteSession, Transactions};
use super::spawn::{declines, words};
use crate::host::profile::{SpawnParameter, UNDOES_MANY};
use crate::host::{HostError, RunRef};

impl<T: Transactions> SqliteSession<'_, T> {
    /// Tells of each run whether it was taken back.
    pub(super) fn undo_all(&self, runs: &[RunRef<'_>], each: &mut dyn FnMut(usize, bool)) -> Result<(), HostError> {
        let fail = |error| self.place.error("taking runs back", error);
        let Some(undo) = &self.fitted.undo else { return Ok(()) };
        let mut statement = self.connection().prepare_cached(&undo.sql).map_err(fail)?;
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        for (index, run) in runs.iter().enumerate() {
            for (place, parameter) in (1..).zip(&undo.parameters) {
                match parameter {
                    SpawnParameter::Id => statement.raw_bind_parameter(place, bindable(run.id)),
                    SpawnParameter::TaskName => statement.raw_bind_parameter(place, bindable(run.task_name)),
                    // There is no other: the statement was checked.
                    _ => statement.raw_bind_parameter(place, &*now),
                }
                .map_err(fail)?;
            }
            match taken_back(&mut statement) {
                Ok(taken) if taken > 1 => return Err(self.fitted.broken("undo", UNDOES_MANY)),
                Ok(taken) => each(index, taken == 1),
                Err(error) if declines(&error) => {
                    let message =
                        format!("the host does not let {} be taken back: {}", run.id.to_text(), words(&error));
                    return Err(self.fitted.broken("undo", &message));
                }
                Err(error) => return Err(fail(error)),
            }
        }
        Ok(())
    }
}

/// How many runs a statement, whose parameters are bound, has taken back: the rows that it returns, or has changed.
fn taken_back(statement: &mut Statement<'_>) -> rusqlite::Result<usize> {
    if statement.column_count() == 0 {
        return statement.raw_execute();
    }
    let mut rows = statement.raw_query();
    let mut taken = 0;
    while rows.next()?.is_some() {
        taken += 1;
    }
    Ok(taken)
}
