//! Takes runs back that no worker has begun, with the profile's own statement: many of them under way at a time.

use chrono::{SecondsFormat, Utc};
use futures_util::{StreamExt, stream};
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::error::declines;
use super::fit::Undo;
use super::session::PostgresSession;
use super::spawn::{CONFLICTS_MAX, IN_FLIGHT};
use crate::host::profile::{SpawnParameter, UNDOES_MANY};
use crate::host::{HostError, RunRef};

const DOING: &str = "taking runs back";

impl PostgresSession<'_> {
    /// Of each run whether it was taken back.
    pub(super) fn undo_all(&self, runs: &[RunRef<'_>]) -> Result<Vec<bool>, HostError> {
        let Some(undo) = &self.fitted.undo else { return Ok(vec![false; runs.len()]) };
        let statement = self.connection().wait_for(self.connection().client().prepare(&undo.sql));
        let statement = statement.map_err(|error| self.error(DOING, error))?;
        self.execute(DOING, "SAVEPOINT undo")?;
        for _ in 0..CONFLICTS_MAX {
            match self.connection().wait_for(self.undo_once(&statement, undo, runs)) {
                // A worker was at the same runs in another order, and the server gave our work up for its sake.
                Err(HostError::Conflict) => self.execute(DOING, "ROLLBACK TO undo")?,
                done => return done,
            }
        }
        Err(HostError::Conflict)
    }

    async fn undo_once(&self, statement: &Statement, undo: &Undo, runs: &[RunRef<'_>]) -> Result<Vec<bool>, HostError> {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let now = now.as_str();
        let take_back = |run: &RunRef<'_>| {
            let [id, task_name] = [run.id, run.task_name].map(|key| key.spelled().unwrap_or_default().into_owned());
            async move {
                let value = |parameter: &SpawnParameter| -> &(dyn ToSql + Sync) {
                    match parameter {
                        SpawnParameter::Id => &id,
                        SpawnParameter::TaskName => &task_name,
                        // There is no other: the statement was checked.
                        _ => &now,
                    }
                };
                let values: Vec<&(dyn ToSql + Sync)> = undo.parameters.iter().map(value).collect();
                match statement.columns() {
                    [] => self.connection().client().execute(statement, &values).await,
                    _ => self.connection().client().query(statement, &values).await.map(|rows| rows.len() as u64),
                }
            }
        };
        let mut answers = stream::iter(runs).map(take_back).buffered(IN_FLIGHT);
        let mut taken = Vec::with_capacity(runs.len());
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(0) => taken.push(false),
                Ok(1) => taken.push(true),
                Ok(_) => return Err(self.fitted.broken("undo", UNDOES_MANY)),
                Err(error) => {
                    return Err(match declines(&error) {
                        Some(words) => {
                            self.fitted.broken("undo", &format!("the host does not let a run be taken back: {words}"))
                        }
                        None => self.error(DOING, error),
                    });
                }
            }
        }
        Ok(taken)
    }
}
