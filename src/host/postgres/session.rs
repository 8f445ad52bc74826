//! One caller's conversation with a PostgreSQL store.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::runtime::Builder;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, SimpleQueryMessage};
use uuid::Uuid;

use super::PostgresHost;
use super::connection::Connection;
use super::dialect::bound;
use super::error::{is_lost, is_of_another_schema};
use super::fit::Fitted;
use super::proof::{self, NewRun, Proof};
use crate::contract::Params;
use crate::host::view::Positions;
use crate::host::{
    Care, Columns, Freshness, HostError, Interrupter, Query, RunRow, Session, Sources, Spawned, Spawning,
};

/// Ids that are sought in one statement: few enough for a seek each in the key's index to be the
/// planner's choice in any table of some size.
const IDS_AT_ONCE: usize = 1_000;

/// Rows that are taken from the stream at once, where so many have arrived.
const ROWS_AT_ONCE: usize = 256;

/// The key of our advisory lock in the store's database: "bulkrrun" in ASCII.
const LOCK: i64 = i64::from_be_bytes(*b"bulkrrun");

/// How often a spawn begins anew after a deadlock or a serialization failure.
const CONFLICTS_MAX: u32 = 3;

/// How long at most the server is asked about a COMMIT whose answer was lost.
const QUESTIONS: Duration = Duration::from_secs(60);

/// A session, with a connection of its own while it lasts.
pub(super) struct PostgresSession<'h> {
    host: &'h PostgresHost,
    pub(super) fitted: Arc<Fitted>,
    connection: Option<Connection>,
    in_transaction: bool,
    /// What is known of the transaction that writes.
    proof: Option<Proof>,
    /// The first new run: its task, and its id.
    first_new: Option<(String, String)>,
    /// How often the server gave our transaction up for another one's sake.
    conflicts: u32,
    /// Set by an [`Interrupter`].
    cancelled: Option<Arc<AtomicBool>>,
}

impl<'h> PostgresSession<'h> {
    pub(super) fn new(host: &'h PostgresHost) -> Result<Self, HostError> {
        let connection = host.server.connect()?;
        let fitted = host.fit(&connection)?;
        if fitted.version_hidden {
            return Err(HostError::Unusable(format!(
                "this role may not read which version of {}'s schema {} has, and the profile {} is not for all of them; \
                 `bulk-rerun check` lists the rights that it needs",
                fitted.profile.runner, host.server.address, fitted.profile.file
            )));
        }
        let connection = Some(connection);
        Ok(PostgresSession {
            host,
            fitted,
            connection,
            in_transaction: false,
            proof: None,
            first_new: None,
            conflicts: 0,
            cancelled: None,
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        // Taken out by `drop` alone.
        self.connection.as_ref().expect("a session has its connection until it is dropped")
    }

    pub(super) fn error(&self, doing: &'static str, error: tokio_postgres::Error) -> HostError {
        if self.is_cancelled() {
            return HostError::Cancelled;
        }
        if is_of_another_schema(&error) {
            self.host.forget_fit();
        }
        self.host.server.error(doing, error)
    }

    pub(super) fn execute(&self, doing: &'static str, sql: &str) -> Result<(), HostError> {
        let executed = self.connection().wait_for(self.connection().client().batch_execute(sql));
        executed.map_err(|error| self.error(doing, error))
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.as_ref().is_some_and(|cancelled| cancelled.load(Ordering::Relaxed))
    }

    /// Begins a transaction whose settings end with it, so that a pooler in between is no obstacle.
    fn begin(&mut self, doing: &'static str, mode: &str) -> Result<Vec<SimpleQueryMessage>, HostError> {
        if self.is_cancelled() {
            return Err(HostError::Cancelled);
        }
        let path = self.fitted.search_path.as_deref().unwrap_or_default();
        let sql = format!("BEGIN {mode};\n{};\n{path}", self.host.server.lock_timeout());
        self.in_transaction = true;
        let begun = self.connection().wait_for(self.connection().client().simple_query(&sql));
        begun.map_err(|error| self.error(doing, error))
    }

    /// Streams a statement's rows, in flat memory. Broken off, the stream is stopped at the server, and the
    /// transaction has to end.
    fn each_row(
        &self,
        sql: &str,
        values: Vec<(Box<dyn ToSql + Sync + Send + '_>, Type)>,
        each: &mut dyn FnMut(&Row) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, HostError> {
        const DOING: &str = "searching its runs";
        let fail = |error| self.error(DOING, error);
        let (connection, client) = (self.connection(), self.connection().client());
        // Unnamed, and so planned with its values at hand.
        let stream = connection.wait_for(client.query_typed_raw(sql, values)).map_err(fail)?;
        let mut chunks = pin!(stream.ready_chunks(ROWS_AT_ONCE));
        while let Some(rows) = connection.wait_for(chunks.next()) {
            if self.is_cancelled() {
                return Err(HostError::Cancelled);
            }
            for row in rows {
                if each(&row.map_err(fail)?).is_break() {
                    connection.wait_for(self.host.server.address.cancel(client.cancel_token())).map_err(fail)?;
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// For statements that seek runs by their ids: the key's index, though the planner may think a scan as cheap.
    pub(super) fn prefer_indexes(&self, prefer: bool) -> Result<(), HostError> {
        let scan = if prefer { "off" } else { "DEFAULT" };
        self.execute("preparing to seek ids", &format!("SET LOCAL enable_seqscan = {scan}"))
    }

    /// The runs with these ids, in no order; those that are none are left out. Broken off as [`Self::each_row`].
    pub(super) fn each_by_id(
        &self,
        ids: &[&str],
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, HostError> {
        let kind = self.fitted.id_type;
        let (sql, at) = self.fitted.view.by_id(kind.condition(), columns, &self.fitted.dialect());
        for ids in ids.chunks(IDS_AT_ONCE) {
            let ids: Vec<&str> = ids.iter().copied().filter(|id| kind.has(id)).collect();
            if ids.is_empty() {
                continue;
            }
            let ids: (Box<dyn ToSql + Sync + Send>, Type) = (Box::new(ids), Type::TEXT_ARRAY);
            if self.each_row(&sql, vec![ids], &mut |row| each(read(row, &at, &mut Uuid::encode_buffer())))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether the transaction whose COMMIT got no answer was committed: `None` if nobody can tell.
    fn was_committed(&self) -> Option<bool> {
        let server = &self.host.server;
        let until = Instant::now() + server.busy_timeout.min(QUESTIONS);
        let proof = self.proof.as_ref()?;
        let Some((task, id)) = &self.first_new else { return proof.ask(server, None, until) };
        let condition = self.fitted.id_type.condition();
        let (sql, _) = self.fitted.view.by_id(condition, Columns::default(), &self.fitted.dialect());
        let ids = [id.as_str()];
        let new_run = NewRun {
            begin: self.fitted.search_path.as_deref().unwrap_or_default(),
            sql: &sql,
            values: &[(&ids.as_slice(), Type::TEXT_ARRAY)],
            is_it: &|row| row.try_get::<_, &str>(1).is_ok_and(|found| found == task),
        };
        proof.ask(server, Some(&new_run), until)
    }
}

impl Session for PostgresSession<'_> {
    fn begin_read(&mut self) -> Result<(), HostError> {
        self.begin("starting to read", "ISOLATION LEVEL REPEATABLE READ READ ONLY").map(drop)
    }

    fn interrupter(&mut self) -> Option<Interrupter> {
        let token = self.connection().client().cancel_token();
        let address = Arc::clone(&self.host.server.address);
        let cancelled = Arc::new(AtomicBool::new(false));
        self.cancelled = Some(Arc::clone(&cancelled));
        Some(Box::new(move || {
            cancelled.store(true, Ordering::Relaxed);
            // The flag is seen between two rows; the server must be told where none comes.
            if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                let told = runtime.block_on(address.cancel(token.clone()));
                told.unwrap_or_else(|error| tracing::warn!(%error, "the server could not be told to stop a search"));
            }
        }))
    }

    /// Two bulk re-runs in one database spawn one after the other, so that the second sees what the
    /// first has spawned. The runner itself is not kept waiting. Every statement sees what is committed.
    fn begin_write(&mut self) -> Result<Freshness, HostError> {
        const DOING: &str = "taking the lock of bulk re-runs";
        self.begin(DOING, "ISOLATION LEVEL READ COMMITTED")?;
        // Constraints that the runner defers to the COMMIT would take all runs down with one.
        self.execute(DOING, &format!("SET CONSTRAINTS ALL IMMEDIATE; SELECT pg_advisory_xact_lock({LOCK})"))?;
        self.execute(DOING, self.host.server.write_settings())?;
        let connection = self.connection();
        if let Some(query) = self.fitted.version_query() {
            let asked = connection.wait_for(connection.client().query_typed(&query, &[]));
            let found = asked.map_err(|error| self.error(DOING, error))?.first().and_then(|row| row.get(0));
            self.fitted.check_version(found).inspect_err(|_| self.host.forget_fit())?;
        }
        let proof = connection.wait_for(Proof::begin(connection.client())).map_err(|error| self.error(DOING, error))?;
        self.proof = Some(proof);
        self.first_new = None;
        Ok(Freshness::Changed)
    }

    fn end(&mut self) -> Result<(), HostError> {
        if !self.in_transaction {
            return Ok(());
        }
        self.execute("ending", "ROLLBACK")?;
        self.in_transaction = false;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), HostError> {
        const DOING: &str = "making the new runs last";
        let committed = self.connection().wait_for(self.connection().client().batch_execute("COMMIT"));
        let error = match committed {
            Ok(()) => {
                self.in_transaction = false;
                return Ok(());
            }
            Err(error) => error,
        };
        if !is_lost(&error) {
            return Err(self.error(DOING, error));
        }
        match self.was_committed() {
            Some(true) => Ok(()),
            Some(false) => Err(self.error(DOING, error)),
            None => {
                let first = self.first_new.as_ref().map(|(task, id)| format!("{id} ({task})"));
                Err(proof::not_known(&self.host.server, DOING, first.as_deref()))
            }
        }
    }

    fn runs(
        &mut self,
        query: Query<'_>,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), HostError> {
        if let Query::Ids(ids) = query {
            self.prefer_indexes(true)?;
            return match self.each_by_id(ids, columns, each)? {
                ControlFlow::Continue(()) => self.prefer_indexes(false),
                ControlFlow::Break(()) => Ok(()),
            };
        }
        let (statement, at) = self.fitted.view.compile(query, columns, &self.fitted.dialect());
        let _ = self.each_row(&statement.sql, statement.values.iter().map(bound).collect(), &mut |row| {
            let mut spelled = Uuid::encode_buffer();
            let run = read(row, &at, &mut spelled);
            if statement.window.contains(run.created_at) { each(run) } else { ControlFlow::Continue(()) }
        })?;
        Ok(())
    }

    fn params(&mut self, ids: &[&str], each: &mut dyn FnMut(usize, Option<Params<'_>>)) -> Result<(), HostError> {
        let columns = Columns { params: true, ..Columns::default() };
        self.prefer_indexes(true)?;
        for (start, ids) in (0..).step_by(IDS_AT_ONCE).zip(ids.chunks(IDS_AT_ONCE)) {
            let mut found: HashMap<String, Params<'static>> = HashMap::with_capacity(ids.len());
            let _ = self.each_by_id(ids, columns, &mut |run| {
                found.insert(run.id.to_owned(), run.params.into_owned());
                ControlFlow::Continue(())
            })?;
            ids.iter().enumerate().for_each(|(index, id)| each(start + index, found.remove(*id)));
        }
        self.prefer_indexes(false)
    }

    fn spawn(
        &mut self,
        sources: Sources<'_>,
        _care: Care,
        each: &mut dyn FnMut(usize, Spawned<'_>),
    ) -> Result<Spawning, HostError> {
        // A savepoint a batch: what the host declines is found out there, and nothing is done twice.
        let mut first_new = None;
        let spawned = self.spawn_all(sources, &mut |index, spawned| {
            if let (Spawned::New { run_id, .. }, None) = (&spawned, &first_new) {
                first_new = Some((sources.task_names[index].to_owned(), run_id.clone()));
            }
            each(index, spawned);
        });
        self.first_new = self.first_new.take().or(first_new);
        match spawned {
            Ok(()) => Ok(Spawning::Done),
            Err(HostError::Conflict) if self.conflicts < CONFLICTS_MAX => {
                self.conflicts += 1;
                Ok(Spawning::Unfinished)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for PostgresSession<'_> {
    fn drop(&mut self) {
        // What was not committed is given up; a connection that can't even do that is closed. So is
        // one that was cancelled: the server's signal may come late, and hit the next caller.
        let ended = self.end().is_ok();
        if let Some(connection) = self.connection.take().filter(|_| ended && !self.is_cancelled()) {
            self.host.server.give_back(connection);
        }
    }
}

/// A row's wanted columns; an id that is a uuid is spelled into the buffer.
fn read<'r>(row: &'r Row, at: &Positions, spelled: &'r mut [u8]) -> RunRow<'r> {
    // A value that is none of its column's type is as good as none: the time `infinity`, for one.
    let text = |index: usize| row.try_get::<_, Option<&str>>(index).ok().flatten();
    let number = |index: usize| row.try_get::<_, Option<i64>>(index).ok().flatten();
    let id = match *row.columns()[0].type_() {
        Type::UUID => row.try_get(0).ok().map(|id: Uuid| &*id.hyphenated().encode_lower(spelled)),
        _ => text(0),
    };
    RunRow {
        id: id.unwrap_or_default(),
        task_name: text(1).unwrap_or_default(),
        created_at: row.try_get(2).ok().flatten(),
        params: at.params.and_then(text).map_or(Params::None, |text| Params::Text(text.as_bytes().into())),
        unfit: at.unfit.and_then(text),
        end_reason: at.end_reason.and_then(text),
        phase: at.rest.and_then(text),
        exit_code: at.rest.and_then(|index| number(index + 1)),
        triggered_by: at.rest.and_then(|index| text(index + 2)),
        retry_attempt: at.rest.and_then(|index| number(index + 3)),
        is_failure: at.is_failure.and_then(|index| row.try_get(index).ok().flatten()),
    }
}
