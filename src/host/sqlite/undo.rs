//! Takes runs back that no worker has begun, with the profile's own statements.

use chrono::{SecondsFormat, Utc};

use super::dialect::bindable;
use super::session::{SqliteSession, Transactions};
use super::spawn::{declines, text, words};
use super::statements::Told;
use crate::host::profile::{SpawnParameter, UNDOES_MANY, UNDOES_UNSEEN};
use crate::host::{HostError, RunRef};

const DOING: &str = "taking runs back";

impl<T: Transactions> SqliteSession<'_, T> {
    /// Tells of each run whether it was taken back.
    pub(super) fn undo_all(&self, runs: &[RunRef<'_>], each: &mut dyn FnMut(usize, bool)) -> Result<(), HostError> {
        let fail = |error| self.place.error(DOING, error);
        let Some(undo) = &self.fitted.undo else { return Ok(()) };
        let mut statements = undo.prepare(self.connection()).map_err(fail)?;
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        for (index, run) in runs.iter().enumerate() {
            if undo.are_several() {
                self.execute(DOING, "SAVEPOINT one_run")?;
            }
            let before = self.connection().total_changes();
            let told = statements.carry_out(|parameter| match parameter {
                SpawnParameter::Id => bindable(run.id),
                SpawnParameter::TaskName => bindable(run.task_name),
                // There is no other: the statements were checked.
                _ => text(&now),
            });
            match told {
                // SQLite counts no row of a view, whatever its triggers do.
                Ok(Told::Nothing) if !undo.are_several() && self.connection().total_changes() != before => {
                    return Err(self.fitted.broken("undo", UNDOES_UNSEEN));
                }
                Ok(Told::Many) => return Err(self.fitted.broken("undo", UNDOES_MANY)),
                Ok(told) => {
                    let is_taken = matches!(told, Told::One(_));
                    if undo.are_several() {
                        // What the others did is no more than a part of it.
                        let end = if is_taken { "RELEASE one_run" } else { "ROLLBACK TO one_run; RELEASE one_run" };
                        self.execute(DOING, end)?;
                    }
                    each(index, is_taken);
                }
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
