//! Reads runs: a statement's rows as they come, the runs that bear an id, and runs by their tasks and ids.

use std::mem;
use std::ops::ControlFlow;
use std::pin::pin;

use futures_util::StreamExt;
use futures_util::future::join;
use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::dialect::Bound;
use super::row::read;
use super::session::PostgresSession;
use crate::host::{Columns, HostError, RunRef, RunRow};

/// Up to so many ids are sought in the key's index, one by one; of more, how they are found is the planner's choice.
const IDS_TO_SEEK: usize = 1_000;

/// Runs that are sought in one statement, by their tasks and their ids.
const RUNS_AT_ONCE: usize = 4_000;

/// For statements that seek runs by their ids: the key's index, though the planner may think a scan as cheap. A scan that
/// can't be done without then counts as dear enough to compile the statement (`jit`), which takes the server longer than
/// all it has to do.
pub(super) const PREFER_INDEXES: &str = "SET LOCAL enable_seqscan = off; SET LOCAL jit = off";
const PREFER_AS_USUAL: &str = "SET LOCAL enable_seqscan = DEFAULT; SET LOCAL jit = DEFAULT";

/// Rows that are taken from the stream at once, where so many have arrived.
const ROWS_AT_ONCE: usize = 256;

impl PostgresSession<'_> {
    /// Streams a statement's rows, in flat memory. Broken off, the stream is stopped at the server, and the
    /// transaction has to end.
    pub(super) fn each_row(
        &self,
        sql: &str,
        values: Vec<Bound<'_>>,
        each: &mut dyn FnMut(&Row) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, HostError> {
        const DOING: &str = "searching its runs";
        let fail = |error| self.error(DOING, error);
        let (connection, client) = (self.connection(), self.connection().client());
        // Unnamed, and so planned with its values at hand.
        let stream = self.after_settings(client.query_typed_raw(sql, values)).map_err(fail)?;
        let mut chunks = pin!(stream.ready_chunks(ROWS_AT_ONCE));
        while let Some(rows) = connection.wait_for(chunks.next()) {
            if self.is_cancelled() {
                return Err(HostError::Cancelled);
            }
            for row in rows {
                if each(&row.map_err(fail)?).is_break() {
                    self.is_spoilt.set(true);
                    connection.wait_for(self.server().address.cancel(client.cancel_token())).map_err(fail)?;
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// From the next statement on.
    pub(super) fn prefer_indexes(&self, prefer: bool) {
        self.settings.set(if prefer { PREFER_INDEXES } else { PREFER_AS_USUAL });
    }

    /// Waits for a statement, before which the settings go that it needs; nobody waits for those by themselves.
    pub(super) fn after_settings<T>(&self, statement: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let (connection, settings) = (self.connection(), self.settings.take());
        if settings.is_empty() {
            return connection.wait_for(statement);
        }
        // What is polled first is sent first.
        let (set, answer) = connection.wait_for(join(connection.client().batch_execute(settings), statement));
        set.and(answer)
    }

    /// The runs that bear one of these ids, in no order.
    pub(super) fn each_of_ids(
        &self,
        ids: &[&str],
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, HostError> {
        let kind = &self.fitted.id_type;
        let (sql, at) = self.fitted.view.by_id(&self.fitted.ids().condition(), columns, &self.fitted.dialect());
        let foreign = self.foreign(ids.iter().copied())?;
        let ids: Vec<&str> = ids.iter().copied().filter(|id| kind.has(id) && !foreign.contains(*id)).collect();
        let ids = self.that_come_apart(&ids)?;
        if ids.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        self.prefer_indexes(ids.len() <= IDS_TO_SEEK);
        let ids: Bound<'_> = (Box::new(ids), Type::TEXT_ARRAY);
        self.each_row(&sql, vec![ids], &mut |row| each(read(row, &at)))
    }

    /// Those of the ids that can be taken apart, where ids are: one for which that fails is no run's.
    fn that_come_apart<'i>(&self, ids: &[&'i str]) -> Result<Vec<&'i str>, HostError> {
        if ids.is_empty() || self.fitted.view.key.is_empty() || self.come_apart(ids)? {
            return Ok(ids.to_vec());
        }
        let (some, others) = match ids.len() {
            1 => return Ok(Vec::new()),
            several => ids.split_at(several / 2),
        };
        Ok([self.that_come_apart(some)?, self.that_come_apart(others)?].concat())
    }

    /// Whether each of them can be taken apart.
    fn come_apart(&self, ids: &[&str]) -> Result<bool, HostError> {
        const DOING: &str = "taking ids apart";
        self.execute(DOING, "SAVEPOINT ids")?;
        let (sql, client) = (self.fitted.ids().take_apart(), self.connection().client());
        match self.connection().wait_for(client.query_typed(&sql, &[(&ids, Type::TEXT_ARRAY)])) {
            Ok(_) => self.execute(DOING, "RELEASE ids").map(|()| true),
            // All errors of class 22 are about data.
            Err(error) if error.code().is_some_and(|code| code.code().starts_with("22")) => {
                self.execute(DOING, "ROLLBACK TO ids; RELEASE ids").map(|()| false)
            }
            Err(error) => Err(self.error(DOING, error)),
        }
    }

    /// These runs, each with its index, in no order; those that are gone are left out.
    pub(super) fn each_of_runs(
        &self,
        runs: &[RunRef<'_>],
        columns: Columns,
        each: &mut dyn FnMut(usize, RunRow<'_>),
    ) -> Result<(), HostError> {
        let kind = &self.fitted.id_type;
        let (sql, at) = self.fitted.view.joined(&self.fitted.ids().join(), columns, &self.fitted.dialect());
        for (start, runs) in (0..).step_by(RUNS_AT_ONCE).zip(runs.chunks(RUNS_AT_ONCE)) {
            let tasks: Vec<_> = runs.iter().map(|run| run.task_name.spelled()).collect();
            let ids: Vec<_> = runs.iter().map(|run| run.id.spelled().filter(|id| kind.has(id))).collect();
            let values: Vec<Bound<'_>> = vec![(Box::new(tasks), Type::TEXT_ARRAY), (Box::new(ids), Type::TEXT_ARRAY)];
            let mut is_missing = vec![true; runs.len()];
            let _ = self.each_row(&sql, values, &mut |row| {
                let place: Option<i64> = row.try_get("place").ok();
                let index = place.and_then(|place| usize::try_from(place - 1).ok()).unwrap_or(usize::MAX);
                let run = read(row, &at);
                // Names that a collation takes for equal are not the same.
                if runs.get(index).is_some_and(|wanted| wanted.is(&run.task_name, &run.id))
                    && mem::take(&mut is_missing[index])
                {
                    each(start + index, run);
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }
}
