//! Starts runs again, a batch after the other: with one statement where the profile has one for many runs, else many
//! statements in flight at a time. A batch of which the host declines a run is tried again in parts, the smallest one by
//! one.

use std::collections::HashMap;
use std::ops::ControlFlow;

use chrono::{SecondsFormat, Utc};
use futures_util::future::join;
use futures_util::{StreamExt, stream};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

use super::batch::{Batch, Source, borrowed, text};
use super::error::declines;
use super::fit::Spawn;
use super::session::PostgresSession;
use crate::host::new_ids::NewIds;
use crate::host::profile::SpawnParameter;
use crate::host::{Columns, HostError, Sources, Spawned};

const DOING: &str = "starting runs";

/// Runs that are started between two savepoints. The first ones are few, so that the server has work soon; while it is
/// at them there is time to make more of them, for a statement's own cost to be small beside theirs.
const RUNS_AT_FIRST: usize = 1_000;
const RUNS_AT_ONCE: usize = 10_000;

/// The same for runs that are read first, since their parameters are held in the meantime.
const READ_RUNS_AT_ONCE: usize = 4_000;

/// Where the host declines one of more runs than these, they are tried again in parts; of so few, one by one.
const RUNS_IN_DOUBT: usize = 250;

/// Statements that are under way at a time.
const IN_FLIGHT: usize = 128;

const STARTED_NONE: &str = "the host's statement started no run";
const STARTED_MANY: &str = "it started more than one run for one source run";

/// What is the same for all runs of a call.
struct Call<'c> {
    wanted: Sources<'c>,
    one: Statement,
    many: Option<(Statement, &'c Spawn)>,
    now: String,
    /// Source runs are read before they are started.
    read_first: bool,
}

impl<'c> Call<'c> {
    /// Makes what the statement for many takes of a batch, as soon as all of it is known.
    async fn encode(&self, batch: &mut Batch<'_>) {
        if let Some((statement, many)) = &self.many {
            batch.encode(many.parameters.iter().zip(statement.params()), &self.now).await;
        }
    }

    /// A batch that is as far ready as it can be without the server.
    async fn batch(&self, start: usize, size: usize, new_ids: &mut NewIds) -> Option<Batch<'c>> {
        let most = if self.read_first { READ_RUNS_AT_ONCE } else { RUNS_AT_ONCE };
        let mut batch = Batch::of(start..start + size.min(most), self.wanted, new_ids).await?;
        if !self.read_first {
            self.encode(&mut batch).await;
        }
        Some(batch)
    }
}

/// The new runs' ids in their order, or the host's words for why it declined.
type NewRuns = Result<Vec<String>, String>;

impl PostgresSession<'_> {
    pub(super) fn spawn_all(
        &self,
        wanted: Sources<'_>,
        each: &mut dyn FnMut(usize, Spawned<'_>),
    ) -> Result<(), HostError> {
        // Until the transaction ends.
        self.prefer_indexes(true)?;
        let prepare = |spawn: &Spawn| {
            let prepared = self.connection().wait_for(self.connection().client().prepare(&spawn.sql));
            prepared.map_err(|error| self.error(DOING, error))
        };
        let many = |many| Ok::<_, HostError>((prepare(many)?, many));
        let call = Call {
            wanted,
            one: prepare(&self.fitted.spawn)?,
            many: self.fitted.spawn_many.as_ref().map(many).transpose()?,
            now: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            read_first: wanted.params || self.fitted.must_be_read(),
        };
        self.execute(DOING, "SAVEPOINT batch")?;
        let mut new_ids = NewIds::new(self.fitted.new_ids);
        let mut next = self.connection().wait_for(call.batch(0, RUNS_AT_FIRST, &mut new_ids));
        // The batch before, with its new runs: what became of it is told while the server works on the next.
        let mut done: Option<(Batch<'_>, Vec<String>)> = None;
        while let Some(mut batch) = next {
            if call.read_first {
                self.read(&mut batch)?;
                self.connection().wait_for(call.encode(&mut batch));
            }
            let start = self.start_batch(&call, &batch);
            let meanwhile = async {
                if let Some((batch, new_ids)) = done.take() {
                    batch.tell(new_ids, each).await;
                }
                call.batch(batch.indexes.end, batch.indexes.len() * 2, &mut new_ids).await
            };
            let (started, following) = self.connection().wait_for(join(start, meanwhile));
            next = following;
            match started? {
                Ok(new_ids) => done = Some((batch, new_ids)),
                Err(_) => {
                    self.execute(DOING, "ROLLBACK TO batch")?;
                    if batch.indexes.len() > RUNS_IN_DOUBT {
                        let part = batch.indexes.len() / 4;
                        next = self.connection().wait_for(call.batch(batch.indexes.start, part, &mut new_ids));
                    } else {
                        self.start_one_by_one(&call, &mut batch, each)?;
                    }
                }
            }
        }
        if let Some((batch, new_ids)) = done {
            self.connection().wait_for(batch.tell(new_ids, each));
        }
        Ok(())
    }

    /// Starts a batch in a savepoint, as fast as the profile lets us. It counts only if each source run has got its new
    /// run.
    async fn start_batch(&self, call: &Call<'_>, batch: &Batch<'_>) -> Result<NewRuns, HostError> {
        // In one flight with the batch; the last one is released by the COMMIT.
        let savepoint = self.connection().client().batch_execute("RELEASE batch; SAVEPOINT batch");
        let start = async {
            match &call.many {
                _ if batch.sources.is_empty() => Ok(Ok(Vec::new())),
                Some((statement, many)) => self.start_many(statement, many, batch).await,
                None => self.start_pipelined(call, &batch.sources).await,
            }
        };
        let (saved, started) = join(savepoint, start).await;
        saved.map_err(|error| self.error(DOING, error))?;
        started
    }

    /// Reads the source runs as they are now, and leaves out those that are gone.
    fn read(&self, batch: &mut Batch<'_>) -> Result<(), HostError> {
        let columns = Columns { params: true, ..Columns::default() };
        let ids: Vec<&str> = batch.sources.iter().map(|source| source.id).collect();
        let mut found = HashMap::with_capacity(ids.len());
        let _ = self.each_by_id(&ids, columns, &mut |run| {
            found.insert(run.id.to_owned(), run.params.into_owned());
            ControlFlow::Continue(())
        })?;
        batch.sources.retain_mut(|source| match found.remove(source.id) {
            Some(params) => {
                source.params = params;
                true
            }
            None => false,
        });
        Ok(())
    }

    /// Starts a batch with one statement.
    async fn start_many(&self, statement: &Statement, many: &Spawn, batch: &Batch<'_>) -> Result<NewRuns, HostError> {
        let values: Vec<_> = batch.values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        let started = match self.unless_declined(self.send(statement, many, &values).await)? {
            Ok(started) => started,
            Err(declined) => return Ok(Err(declined)),
        };
        let sources = &batch.sources;
        if started.count() > sources.len() as u64 {
            return Err(self.fitted.spawn_error(STARTED_MANY));
        }
        let of_all: Option<Vec<String>> = match started {
            Started::Count(count) if count < sources.len() as u64 => None,
            // No two runs have the same id, so each source run has got its one.
            Started::Count(_) => Some(sources.iter().map(|source| source.new_id.clone()).collect()),
            Started::Rows(rows) => {
                let pairs = rows.iter().map(|row| Ok((self.id_in(row, 0)?, self.id_in(row, 1)?)));
                let mut new_ids = pairs.collect::<Result<HashMap<_, _>, HostError>>()?;
                sources.iter().map(|source| new_ids.remove(source.id)).collect()
            }
        };
        Ok(of_all.ok_or_else(|| STARTED_NONE.to_owned()))
    }

    /// Starts a batch with a savepoint and a statement for each run.
    fn start_one_by_one(
        &self,
        call: &Call<'_>,
        batch: &mut Batch<'_>,
        each: &mut dyn FnMut(usize, Spawned<'_>),
    ) -> Result<(), HostError> {
        if !call.read_first {
            self.read(batch)?;
        }
        for (index, source) in batch.each() {
            match source {
                Some(source) => self.start_alone(call, source, each)?,
                None => each(index, Spawned::Gone),
            }
        }
        Ok(())
    }

    /// Starts a batch with a statement for each run, many of them under way at a time.
    async fn start_pipelined(&self, call: &Call<'_>, batch: &[Source<'_>]) -> Result<NewRuns, HostError> {
        let start = |source| async move { (source, self.start(call, source).await) };
        let mut started = stream::iter(batch).map(start).buffered(IN_FLIGHT);
        let mut new_ids = Vec::with_capacity(batch.len());
        while let Some((source, started)) = started.next().await {
            let new_id = match self.unless_declined(started)? {
                Ok(started) => self.new_id(source, started)?,
                Err(declined) => return Ok(Err(declined)),
            };
            match new_id {
                Some(new_id) => new_ids.push(new_id),
                None => return Ok(Err(STARTED_NONE.to_owned())),
            }
        }
        Ok(Ok(new_ids))
    }

    /// Starts one run in a savepoint of its own; nothing is left of it if the host declines.
    fn start_alone(
        &self,
        call: &Call<'_>,
        source: &Source<'_>,
        each: &mut dyn FnMut(usize, Spawned<'_>),
    ) -> Result<(), HostError> {
        self.execute(DOING, "SAVEPOINT one_run")?;
        let started = self.connection().wait_for(self.start(call, source));
        let new_id = match self.unless_declined(started)? {
            Ok(rows) => self.new_id(source, rows)?.ok_or_else(|| STARTED_NONE.to_owned()),
            Err(declined) => Err(declined),
        };
        let params = borrowed(&source.params);
        match new_id {
            Ok(run_id) => each(source.index, Spawned::New { run_id, params }),
            Err(detail) => {
                self.execute(DOING, "ROLLBACK TO one_run")?;
                match self.is_there(source.id)? {
                    true => each(source.index, Spawned::Refused { params, detail }),
                    false => each(source.index, Spawned::Gone),
                }
            }
        }
        self.execute(DOING, "RELEASE one_run")
    }

    /// Whether the source run is in the view still: somebody may have deleted it a moment ago.
    fn is_there(&self, id: &str) -> Result<bool, HostError> {
        let mut there = false;
        let _ = self.each_by_id(&[id], Columns::default(), &mut |_| {
            there = true;
            ControlFlow::Continue(())
        })?;
        Ok(there)
    }

    /// Sends the spawn statement for one source run. What is awaited is its answer alone.
    async fn start(&self, call: &Call<'_>, source: &Source<'_>) -> Result<Started, Error> {
        let params = text(&source.params);
        let values: Vec<&(dyn ToSql + Sync)> = self
            .fitted
            .spawn
            .parameters
            .iter()
            .map(|parameter| -> &(dyn ToSql + Sync) {
                match parameter {
                    SpawnParameter::Id => &source.id,
                    SpawnParameter::TaskName => &source.task_name,
                    SpawnParameter::Params => &params,
                    SpawnParameter::NewId | SpawnParameter::NewUuid => &source.new_id,
                    SpawnParameter::Now => &call.now,
                }
            })
            .collect();
        self.send(&call.one, &self.fitted.spawn, &values).await
    }

    async fn send(
        &self,
        statement: &Statement,
        spawn: &Spawn,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Started, Error> {
        let client = self.connection().client();
        Ok(match spawn.returns_ids {
            true => Started::Rows(client.query(statement, values).await?),
            false => Started::Count(client.execute(statement, values).await?),
        })
    }

    /// The new run's id; `None` if no run was started.
    fn new_id(&self, source: &Source<'_>, started: Started) -> Result<Option<String>, HostError> {
        match started {
            Started::Count(0) => Ok(None),
            Started::Count(1) => Ok(Some(source.new_id.clone())),
            Started::Rows(rows) if rows.is_empty() => Ok(None),
            Started::Rows(rows) if rows.len() == 1 => self.id_in(&rows[0], 0).map(Some),
            Started::Rows(_) | Started::Count(_) => Err(self.fitted.spawn_error(STARTED_MANY)),
        }
    }

    fn id_in(&self, row: &Row, column: usize) -> Result<String, HostError> {
        let id = match row.try_get::<_, Option<&str>>(column) {
            Ok(id) => id.map(str::to_owned),
            Err(_) => row.try_get::<_, Option<i64>>(column).ok().flatten().map(|id| id.to_string()),
        };
        id.ok_or_else(|| self.fitted.spawn_error("it returned no text for the new run's id (say id::text), or NULL"))
    }

    /// What the host's schema declines is an answer; all else is an error.
    fn unless_declined<T>(&self, started: Result<T, Error>) -> Result<Result<T, String>, HostError> {
        match started {
            Ok(started) => Ok(Ok(started)),
            Err(error) => match declines(&error) {
                Some(words) => Ok(Err(words)),
                None => Err(self.error(DOING, error)),
            },
        }
    }
}

/// What a spawn statement answered.
enum Started {
    Rows(Vec<Row>),
    Count(u64),
}

impl Started {
    /// How many runs it started.
    fn count(&self) -> u64 {
        match self {
            Started::Rows(rows) => rows.len() as u64,
            Started::Count(count) => *count,
        }
    }
}
