//! Starts runs again: many with one statement where the profile has one for that, else many in flight
//! at a time; one by one where the host declines some.

use std::collections::HashMap;
use std::ops::ControlFlow;

use chrono::{SecondsFormat, Utc};
use futures_util::future::join;
use futures_util::{StreamExt, stream};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

use super::error::declines;
use super::session::PostgresSession;
use crate::contract::Params;
use crate::host::profile::SpawnParameter;
use crate::host::{Columns, HostError, Sources, Spawned};

const DOING: &str = "starting runs";

/// Runs that are started between two savepoints: enough for a statement's own cost to be small beside theirs.
const RUNS_AT_ONCE: usize = 4_000;

/// Statements that are under way at a time.
const IN_FLIGHT: usize = 128;

const STARTED_NONE: &str = "the host's statement started no run";
const STARTED_MANY: &str = "it started more than one run for one source run";

/// A source run, and what its new run may use.
struct Source {
    /// Where it stands among the ids that were asked for.
    index: usize,
    id: String,
    task_name: String,
    /// None until it is read.
    params: Params<'static>,
    new_id: String,
}

impl Source {
    fn named(index: usize, id: &str, task_name: &str, ulids: &mut ulid::Generator) -> Source {
        let new_id = ulids.generate().unwrap_or_else(|_| ulid::Ulid::generate()).to_string();
        Source { index, id: id.to_owned(), task_name: task_name.to_owned(), params: Params::None, new_id }
    }
}

/// What is the same for all runs of a call.
struct Call {
    one: Statement,
    many: Option<Statement>,
    now: String,
}

/// The new runs' ids in their order, or the host's words for why it declined.
type Batch = Result<Vec<String>, String>;

impl PostgresSession<'_> {
    pub(super) fn spawn_all(
        &self,
        Sources { ids, task_names, params }: Sources<'_>,
        each: &mut dyn FnMut(usize, Spawned<'_>),
    ) -> Result<(), HostError> {
        // Until the transaction ends.
        self.prefer_indexes(true)?;
        let prepare = |sql: &str| {
            let prepared = self.connection().wait_for(self.connection().client().prepare(sql));
            prepared.map_err(|error| self.error(DOING, error))
        };
        let call = Call {
            one: prepare(&self.fitted.spawn.sql)?,
            many: self.fitted.spawn_many.as_ref().map(|many| prepare(&many.sql)).transpose()?,
            now: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        };
        let read_first = params || self.fitted.must_be_read();
        // Monotonic: a call's new ids sort as its runs do.
        let mut ulids = ulid::Generator::new();
        for (start, (ids, task_names)) in
            (0..).step_by(RUNS_AT_ONCE).zip(ids.chunks(RUNS_AT_ONCE).zip(task_names.chunks(RUNS_AT_ONCE)))
        {
            let named = (start..).zip(ids.iter().zip(task_names));
            let named = named.map(|(index, (id, task_name))| Source::named(index, id, task_name, &mut ulids));
            let mut batch: Vec<Source> = named.collect();
            if read_first {
                self.read(&mut batch)?;
            }
            // In one flight with the batch; the last one is released by the COMMIT.
            let savepoint = if start == 0 { "SAVEPOINT batch" } else { "RELEASE batch; SAVEPOINT batch" };
            let client = self.connection().client();
            let flight = join(client.batch_execute(savepoint), self.start_batch(&call, &batch));
            let (saved, started) = self.connection().wait_for(flight);
            saved.map_err(|error| self.error(DOING, error))?;
            let started = started?;
            if started.is_err() {
                self.execute(DOING, "ROLLBACK TO batch")?;
                if !read_first {
                    self.read(&mut batch)?;
                }
            }
            let mut new_ids = started.ok().map(Vec::into_iter);
            let mut sources = batch.iter().peekable();
            for index in start..start + ids.len() {
                // The batch is in their order, without those that are gone.
                match (sources.next_if(|source| source.index == index), &mut new_ids) {
                    (None, _) => each(index, Spawned::Gone),
                    (Some(source), None) => self.start_alone(&call, source, each)?,
                    (Some(source), Some(new_ids)) => {
                        let run_id = new_ids.next().unwrap_or_default();
                        each(index, Spawned::New { run_id, params: borrowed(&source.params) });
                    }
                }
            }
        }
        Ok(())
    }

    /// Starts a batch, as fast as the profile lets us. It counts only if each source run has got its new run.
    async fn start_batch(&self, call: &Call, batch: &[Source]) -> Result<Batch, HostError> {
        match &call.many {
            _ if batch.is_empty() => Ok(Ok(Vec::new())),
            Some(many) => self.start_many(call, many, batch).await,
            None => self.start_pipelined(call, batch).await,
        }
    }

    /// Reads the source runs as they are now, and leaves out those that are gone.
    fn read(&self, batch: &mut Vec<Source>) -> Result<(), HostError> {
        let columns = Columns { params: true, ..Columns::default() };
        let ids: Vec<&str> = batch.iter().map(|source| source.id.as_str()).collect();
        let mut found = HashMap::with_capacity(ids.len());
        let _ = self.each_by_id(&ids, columns, &mut |run| {
            found.insert(run.id.to_owned(), run.params.into_owned());
            ControlFlow::Continue(())
        })?;
        batch.retain_mut(|source| match found.remove(&source.id) {
            Some(params) => {
                source.params = params;
                true
            }
            None => false,
        });
        Ok(())
    }

    /// Starts a batch with one statement.
    async fn start_many(&self, call: &Call, many: &Statement, batch: &[Source]) -> Result<Batch, HostError> {
        let column = |of: fn(&Source) -> Option<&str>| batch.iter().map(of).collect::<Vec<Option<&str>>>();
        let [ids, task_names] = [column(|source| Some(&source.id)), column(|source| Some(&source.task_name))];
        let [params, new_ids] = [column(|source| text(&source.params)), column(|source| Some(&source.new_id))];
        let parameters = self.fitted.spawn_many.iter().flat_map(|many| &many.parameters);
        let values: Vec<&(dyn ToSql + Sync)> = parameters
            .map(|parameter| -> &(dyn ToSql + Sync) {
                match parameter {
                    SpawnParameter::Id => &ids,
                    SpawnParameter::TaskName => &task_names,
                    SpawnParameter::Params => &params,
                    SpawnParameter::NewId => &new_ids,
                    SpawnParameter::Now => &call.now,
                }
            })
            .collect();
        let started = self.connection().client().query(many, &values).await;
        let rows = match self.unless_declined(started)? {
            Ok(rows) => rows,
            Err(declined) => return Ok(Err(declined)),
        };
        if rows.len() > batch.len() {
            return Err(self.fitted.spawn_error(STARTED_MANY));
        }
        let mut new_ids = HashMap::with_capacity(rows.len());
        for row in &rows {
            new_ids.insert(self.id_in(row, 0)?, self.id_in(row, 1)?);
        }
        let of_all = batch.iter().map(|source| new_ids.remove(&source.id)).collect::<Option<Vec<String>>>();
        Ok(of_all.ok_or_else(|| STARTED_NONE.to_owned()))
    }

    /// Starts a batch with a statement each, many of them under way at a time.
    async fn start_pipelined(&self, call: &Call, batch: &[Source]) -> Result<Batch, HostError> {
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
        call: &Call,
        source: &Source,
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
                match self.is_there(&source.id)? {
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
    async fn start(&self, call: &Call, source: &Source) -> Result<Started, Error> {
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
                    SpawnParameter::NewId => &source.new_id,
                    SpawnParameter::Now => &call.now,
                }
            })
            .collect();
        let client = self.connection().client();
        Ok(match self.fitted.returns_id {
            true => Started::Rows(client.query(&call.one, &values).await?),
            false => Started::Count(client.execute(&call.one, &values).await?),
        })
    }

    /// The new run's id; `None` if no run was started.
    fn new_id(&self, source: &Source, started: Started) -> Result<Option<String>, HostError> {
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

/// Parameters are text in this engine: the view's column is read as text.
fn text<'a>(params: &'a Params<'_>) -> Option<&'a str> {
    match params {
        Params::None => None,
        Params::Text(bytes) | Params::Blob(bytes) => std::str::from_utf8(bytes).ok(),
    }
}

fn borrowed<'a>(params: &'a Params<'static>) -> Params<'a> {
    match params {
        Params::None => Params::None,
        Params::Text(bytes) => Params::Text(bytes.as_ref().into()),
        Params::Blob(bytes) => Params::Blob(bytes.as_ref().into()),
    }
}
