//! Starts runs again, a batch after the other: with one statement where the profile has one for many runs, else many
//! statements in flight at a time. A batch of which the host declines a run is tried again in parts, the smallest one by
//! one.

use std::collections::HashMap;

use chrono::{SecondsFormat, Utc};
use futures_util::future::join;
use futures_util::{StreamExt, stream};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

use super::batch::{Batch, Starting, cannot_be_sent, text};
use super::error::declines;
use super::fit::Spawn;
use super::read::PREFER_INDEXES;
use super::row::key;
use super::session::PostgresSession;
use crate::host::new_ids::NewIds;
use crate::host::profile::{NEVER_THE_SAME, STARTED_MANY, STARTED_NONE, SpawnParameter};
use crate::host::{Columns, Due, HostError, RunRef, Spawned};

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
pub(super) const IN_FLIGHT: usize = 128;

const NOT_UTF8: &str = "its parameters are not UTF-8, and a new run is never started without its own";

/// How often a spawn begins anew after a deadlock.
pub(super) const CONFLICTS_MAX: u32 = 3;

/// How often it is tried in all to start runs that are all there afterwards.
const ATTEMPTS: usize = 10;

/// What is the same for all runs of a call.
struct Call<'c> {
    wanted: &'c [RunRef<'c>],
    one: Statement,
    many: Option<(Statement, &'c Spawn)>,
    now: String,
    due: Option<Due>,
    /// Starting runs are read before they are started.
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
        let mut batch = Batch::of(start..start + size.min(most), self.wanted, self.due, new_ids).await?;
        if !self.read_first {
            self.encode(&mut batch).await;
        }
        Some(batch)
    }
}

/// The new runs' ids in their order, or the host's words for why it declined.
type NewRuns = Result<Vec<String>, String>;

impl PostgresSession<'_> {
    /// What becomes of each source run.
    pub(super) fn spawn_all(&self, wanted: &[RunRef<'_>], due: Option<Due>) -> Result<Vec<Spawned>, HostError> {
        self.execute(DOING, "SAVEPOINT all_runs")?;
        // A run of which the new one is not to be seen afterwards is not started again.
        let mut known: Vec<Option<Spawned>> = vec![None; wanted.len()];
        let watch = self.watch()?;
        let mut conflicts = 0;
        for _ in 0..ATTEMPTS {
            let left: Vec<usize> = (0..wanted.len()).filter(|&index| known[index].is_none()).collect();
            let runs: Vec<RunRef<'_>> = left.iter().map(|&index| wanted[index]).collect();
            match self.spawn_once(&runs, due) {
                Ok(spawned) => {
                    let hidden = self.hidden(watch, &runs, &spawned)?;
                    if hidden.is_empty() {
                        left.into_iter().zip(spawned).for_each(|(index, spawned)| known[index] = Some(spawned));
                        return Ok(known.into_iter().map(|spawned| spawned.unwrap_or(Spawned::Gone)).collect());
                    }
                    for (index, words) in hidden {
                        known[left[index]] = Some(Spawned::Refused(words));
                    }
                }
                // The server gave our work up for another transaction's sake.
                Err(HostError::Conflict) if conflicts < CONFLICTS_MAX => conflicts += 1,
                Err(error) => return Err(error),
            }
            self.execute(DOING, "ROLLBACK TO all_runs")?;
        }
        Err(self.fitted.spawn_error(NEVER_THE_SAME))
    }

    fn spawn_once(&self, wanted: &[RunRef<'_>], due: Option<Due>) -> Result<Vec<Spawned>, HostError> {
        // Until the transaction ends: what an earlier statement left to be set must not come after it.
        self.settings.set("");
        self.execute(DOING, PREFER_INDEXES)?;
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
            due,
            read_first: self.must_read_first(),
        };
        // What is not told otherwise is gone.
        let mut spawned = vec![Spawned::Gone; wanted.len()];
        self.execute(DOING, "SAVEPOINT batch")?;
        let mut new_ids = NewIds::new(self.fitted.new_ids);
        let mut next = self.connection().wait_for(call.batch(0, RUNS_AT_FIRST, &mut new_ids));
        while let Some(mut batch) = next {
            if call.read_first {
                self.read(&mut batch)?;
                self.connection().wait_for(call.encode(&mut batch));
            }
            let start = self.start_batch(&call, &batch);
            let meanwhile = call.batch(batch.indexes.end, batch.indexes.len() * 2, &mut new_ids);
            let (started, following) = self.connection().wait_for(join(start, meanwhile));
            next = following;
            match started? {
                Ok(of_batch) => {
                    for (source, new_id) in batch.sources.iter().zip(of_batch) {
                        spawned[source.index] = Spawned::New(new_id);
                    }
                }
                Err(_) => {
                    self.execute(DOING, "ROLLBACK TO batch")?;
                    if batch.indexes.len() > RUNS_IN_DOUBT {
                        let part = batch.indexes.len() / 4;
                        next = self.connection().wait_for(call.batch(batch.indexes.start, part, &mut new_ids));
                    } else {
                        self.start_one_by_one(&call, &mut batch, &mut spawned)?;
                    }
                }
            }
        }
        Ok(spawned)
    }

    /// Whether source runs must be read before they are started: a statement takes their parameters from us, or does not
    /// look by itself whether they are still there, and to be seen.
    fn must_read_first(&self) -> bool {
        let statements = || [&self.fitted.spawn].into_iter().chain(&self.fitted.spawn_many);
        let takes = |parameter| statements().any(|spawn| spawn.parameters.contains(&parameter));
        let looks = statements().all(|spawn| spawn.parameters.contains(&SpawnParameter::Id));
        takes(SpawnParameter::Params) || !self.is_unchanged && (!looks || self.fitted.view.has("deleted"))
    }

    /// Starts a batch in a savepoint, as fast as the profile lets us. It counts only if each source run has got its new
    /// run.
    async fn start_batch(&self, call: &Call<'_>, batch: &Batch<'_>) -> Result<NewRuns, HostError> {
        // In one flight with the batch; the last one is released by the COMMIT.
        let savepoint = self.connection().client().batch_execute("RELEASE batch; SAVEPOINT batch");
        let start = async {
            match &call.many {
                _ if batch.sources.is_empty() => Ok(Ok(Vec::new())),
                _ if batch.sources.iter().any(|source| cannot_be_sent(&source.params)) => Ok(Err(NOT_UTF8.to_owned())),
                Some((_, many)) if many.returns_ids && batch.repeats_an_id() => {
                    self.start_pipelined(call, &batch.sources).await
                }
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
        let runs: Vec<RunRef<'_>> = batch.sources.iter().map(|source| source.run).collect();
        let mut is_there = vec![false; runs.len()];
        let sources = &mut batch.sources;
        self.each_of_runs(&runs, columns, &mut |index, run| {
            is_there[index] = true;
            sources[index].params = run.params.into_owned();
        })?;
        let mut is_there = is_there.into_iter();
        batch.sources.retain(|_| is_there.next().unwrap_or_default());
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
                sources.iter().map(|source| new_ids.remove(&*source.id)).collect()
            }
        };
        Ok(of_all.ok_or_else(|| STARTED_NONE.to_owned()))
    }

    /// Starts a batch with a savepoint and a statement for each run.
    fn start_one_by_one(
        &self,
        call: &Call<'_>,
        batch: &mut Batch<'_>,
        spawned: &mut [Spawned],
    ) -> Result<(), HostError> {
        if !call.read_first {
            self.read(batch)?;
        }
        let mut declined = Vec::new();
        for source in &batch.sources {
            match self.start_alone(call, source)? {
                Ok(new_id) => spawned[source.index] = Spawned::New(new_id),
                Err(words) => declined.push((source, words)),
            }
        }
        // Somebody may have deleted a source run a moment ago.
        let runs: Vec<RunRef<'_>> = declined.iter().map(|(source, _)| source.run).collect();
        self.each_of_runs(&runs, Columns::default(), &mut |place, _| {
            let (source, words) = &declined[place];
            spawned[source.index] = Spawned::Refused(words.clone());
        })
    }

    /// Starts a batch with a statement for each run, many of them under way at a time.
    async fn start_pipelined(&self, call: &Call<'_>, batch: &[Starting<'_>]) -> Result<NewRuns, HostError> {
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
    fn start_alone(&self, call: &Call<'_>, source: &Starting<'_>) -> Result<Result<String, String>, HostError> {
        if cannot_be_sent(&source.params) {
            return Ok(Err(NOT_UTF8.to_owned()));
        }
        self.execute(DOING, "SAVEPOINT one_run")?;
        let started = self.connection().wait_for(self.start(call, source));
        let started = match self.unless_declined(started)? {
            Ok(rows) => self.new_id(source, rows)?.ok_or_else(|| STARTED_NONE.to_owned()),
            Err(declined) => Err(declined),
        };
        if started.is_err() {
            self.execute(DOING, "ROLLBACK TO one_run")?;
        }
        self.execute(DOING, "RELEASE one_run")?;
        Ok(started)
    }

    /// Sends the spawn statement for one source run. What is awaited is its answer alone.
    async fn start(&self, call: &Call<'_>, source: &Starting<'_>) -> Result<Started, Error> {
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
                    SpawnParameter::NewId | SpawnParameter::NewUuid | SpawnParameter::NewRun => &source.new_id,
                    SpawnParameter::Now => &call.now,
                    SpawnParameter::Due => &source.due,
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
    fn new_id(&self, source: &Starting<'_>, started: Started) -> Result<Option<String>, HostError> {
        match started {
            Started::Count(0) => Ok(None),
            Started::Count(1) => Ok(Some(source.new_id.clone())),
            Started::Rows(rows) if rows.is_empty() => Ok(None),
            Started::Rows(rows) if rows.len() == 1 => self.id_in(&rows[0], 0).map(Some),
            Started::Rows(_) | Started::Count(_) => Err(self.fitted.spawn_error(STARTED_MANY)),
        }
    }

    fn id_in(&self, row: &Row, column: usize) -> Result<String, HostError> {
        let id = key(row, column);
        match id.fault() {
            None => Ok(id.to_text()),
            Some(fault) => Err(self.fitted.spawn_error(&format!("the id that it returned for the new run is {fault}"))),
        }
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
