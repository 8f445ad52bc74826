//! One caller's conversation with a PostgreSQL store.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio_postgres::SimpleQueryMessage;

use super::PostgresHost;
use super::connection::{Connection, Server};
use super::error::{is_lost, is_of_another_schema};
use super::fit::Fitted;
use super::interruption::{Interruption, Place};
use super::proof::{self, Proof};
use super::row::read;
use crate::contract::{Params, Replica, RunFilter};
use crate::host::profile::SchemaVersion;
use crate::host::{
    Columns, Due, Freshness, HostError, Interrupter, Key, Ledger, Query, RunRef, RunRow, Session, Since, Spawned,
    States,
};

/// The key of our advisory lock in the store's database: "bulkrrun" in ASCII.
const LOCK: i64 = i64::from_be_bytes(*b"bulkrrun");

/// A session, with a connection of its own while it lasts.
pub(super) struct PostgresSession<'h> {
    pub(super) host: &'h PostgresHost,
    pub(super) fitted: Arc<Fitted>,
    connection: Option<Connection>,
    /// The replica's, once a search needs it.
    replica: Option<(&'h Server, Connection)>,
    /// It is the replica that is read.
    is_elsewhere: Cell<bool>,
    /// How far that was behind.
    lag: Option<Replica>,
    in_transaction: bool,
    /// Settings that the next statement needs: they go in one flight with it.
    pub(super) settings: Cell<&'static str>,
    /// What the server had committed at [`Session::begin_read`].
    read_at: Option<String>,
    /// What was read before the lock was taken is what is there.
    pub(super) is_unchanged: bool,
    /// The lock of bulk re-runs is ours.
    pub(super) is_writing: bool,
    /// The ledger is of an older version.
    pub(super) ledger_is_old: bool,
    /// What is known of the transaction that writes.
    pub(super) proof: Option<Proof>,
    /// The first new run: its task, and its id.
    pub(super) first_new: Option<(Key<'static>, String)>,
    /// What an [`Interrupter`] of it does.
    interruption: Option<Arc<Interruption>>,
    /// The server was told to stop what the connection is at, and may heed it late: no other call may get it.
    pub(super) is_spoilt: Cell<bool>,
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
            replica: None,
            is_elsewhere: Cell::new(false),
            lag: None,
            in_transaction: false,
            settings: Cell::new(""),
            read_at: None,
            is_unchanged: false,
            is_writing: false,
            ledger_is_old: false,
            proof: None,
            first_new: None,
            interruption: None,
            is_spoilt: Cell::new(false),
        })
    }

    /// Where it reads, or writes, at the moment.
    pub(super) fn connection(&self) -> &Connection {
        match &self.replica {
            Some((_, replica)) if self.is_elsewhere.get() => replica,
            _ => self.primary(),
        }
    }

    /// Whose that is.
    pub(super) fn server(&self) -> &Server {
        match &self.replica {
            Some((server, _)) if self.is_elsewhere.get() => server,
            _ => &self.host.server,
        }
    }

    /// Reads what the primary alone has to tell, whatever is read at the moment.
    pub(super) fn at_primary<T>(&self, read: impl FnOnce() -> T) -> T {
        let was_elsewhere = self.is_elsewhere.replace(false);
        let read = read();
        self.is_elsewhere.set(was_elsewhere);
        read
    }

    /// Which server has to be told to stop what is read, and of which connection.
    fn whom_to_tell(&self) -> Place {
        (Arc::clone(&self.server().address), self.connection().client().cancel_token())
    }

    fn primary(&self) -> &Connection {
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
        self.server().error(doing, error)
    }

    pub(super) fn execute(&self, doing: &'static str, sql: &str) -> Result<(), HostError> {
        let executed = self.connection().wait_for(self.connection().client().batch_execute(sql));
        executed.map_err(|error| self.error(doing, error))
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.interruption.as_ref().is_some_and(|interruption| interruption.is_wanted())
    }

    /// Begins a transaction whose settings end with it, so that a pooler in between is no obstacle; `first` is the first
    /// that is done in it. Answers which transactions are over, and which are not: the same again when nobody has written
    /// in between.
    ///
    /// # Errors
    ///
    /// As usual, and if the runner's schema has a version by now that the profile is not for.
    fn begin(&mut self, doing: &'static str, mode: &str, first: &str) -> Result<Option<String>, HostError> {
        if self.is_cancelled() {
            return Err(HostError::Cancelled);
        }
        let path = self.fitted.search_path.as_deref().unwrap_or_default();
        let version = self.fitted.version_query();
        let version =
            version.map(|query| format!(", (SELECT * FROM ({query}) AS version LIMIT 1)")).unwrap_or_default();
        let sql = format!(
            "BEGIN {mode};\n{};\n{path};\n{first};\nSELECT txid_current_snapshot(){version}",
            self.host.server.lock_timeout()
        );
        self.in_transaction = true;
        self.settings.set("");
        let begun = self.connection().wait_for(self.connection().client().simple_query(&sql));
        let answers = begun.map_err(|error| self.error(doing, error))?;
        let last = answers.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let value = |at: usize| last.filter(|row| at < row.len()).and_then(|row| row.get(at));
        if !version.is_empty() {
            let found = value(1).map(|version| SchemaVersion(version.to_owned()));
            self.fitted.check_version(found.as_ref()).inspect_err(|_| self.host.forget_fit())?;
        }
        Ok(value(0).map(str::to_owned))
    }
}

impl Session for PostgresSession<'_> {
    fn begin_read(&mut self) -> Result<(), HostError> {
        let mode = "ISOLATION LEVEL REPEATABLE READ READ ONLY";
        self.read_at = self.begin("starting to read", mode, "")?;
        Ok(())
    }

    /// On the replica, where there is one. The ledger and the locks stay the primary's.
    fn begin_search(&mut self) -> Result<(), HostError> {
        if self.replica.is_none() {
            self.replica = self.host.connect_replica()?;
        }
        let Some((server, replica)) = &self.replica else { return self.begin_read() };
        self.lag = Some(self.host.lag(self.primary(), server, replica)?);
        self.is_elsewhere.set(true);
        if let Some(interruption) = &self.interruption {
            interruption.moves_to(self.whom_to_tell());
        }
        self.begin("starting to read", "ISOLATION LEVEL REPEATABLE READ READ ONLY", "")?;
        // Nobody can tell whether the primary is still where the replica was.
        self.read_at = None;
        Ok(())
    }

    fn replica(&self) -> Option<Replica> {
        self.lag
    }

    fn interrupter(&mut self) -> Option<Interrupter> {
        let interruption = self.interruption.insert(Arc::new(Interruption::of(self.whom_to_tell())));
        let interruption = Arc::clone(interruption);
        Some(Box::new(move || interruption.interrupt()))
    }

    /// Two bulk re-runs in one database spawn one after the other, so that the second sees what the
    /// first has spawned. The runner itself is not kept waiting. Every statement sees what is committed.
    fn begin_write(&mut self) -> Result<Freshness, HostError> {
        const DOING: &str = "taking the lock of bulk re-runs";
        // Constraints that the runner defers to the COMMIT would take all runs down with one. The lock may be waited for: what
        // follows sees what was committed by then.
        let first = format!(
            "SET CONSTRAINTS ALL IMMEDIATE; SELECT pg_advisory_xact_lock({LOCK}); {}",
            self.host.server.write_settings()
        );
        let snapshot = self.begin(DOING, "ISOLATION LEVEL READ COMMITTED", &first)?;
        // Somebody's own view may show what is in another database, whose transactions are not counted here.
        self.is_unchanged = self.fitted.profile.is_built_in && self.read_at.is_some() && snapshot == self.read_at;
        let connection = self.connection();
        let proof = connection.wait_for(Proof::begin(connection.client())).map_err(|error| self.error(DOING, error))?;
        self.proof = Some(proof);
        self.first_new = None;
        self.is_writing = true;
        Ok(if self.is_unchanged { Freshness::Unchanged } else { Freshness::Changed })
    }

    fn end(&mut self) -> Result<(), HostError> {
        if !self.in_transaction {
            return Ok(());
        }
        self.execute("ending", "ROLLBACK")?;
        self.is_elsewhere.set(false);
        self.in_transaction = false;
        self.is_writing = false;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), HostError> {
        const DOING: &str = "making the new runs last";
        let committed = self.connection().wait_for(self.connection().client().batch_execute("COMMIT"));
        let error = match committed {
            Ok(()) => {
                self.in_transaction = false;
                self.is_writing = false;
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
                let first = self.first_new.as_ref().map(|(task, id)| format!("{id} ({})", task.to_text()));
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
            if self.each_of_ids(ids, columns, each)?.is_continue() {
                self.prefer_indexes(false);
            }
            return Ok(());
        }
        let (statement, at) = self.fitted.view.compile(query, columns, &self.fitted.dialect());
        let _ = self.each_row(&statement.sql, self.bound(&statement.values)?, &mut |row| {
            let run = read(row, &at);
            if statement.means(&run) { each(run) } else { ControlFlow::Continue(()) }
        })?;
        Ok(())
    }

    fn states(&self) -> States {
        self.fitted.view.states.clone()
    }

    fn may_repeat(&mut self, query: Query<'_>) -> Result<bool, HostError> {
        self.may_come_twice(query)
    }

    fn newest(
        &mut self,
        filter: &RunFilter,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>, u64),
    ) -> Result<bool, HostError> {
        self.newest_of_filter(filter, columns, each)
    }

    fn newer(
        &mut self,
        names: Option<&[&Key<'_>]>,
        since: &[Since<'_>],
        newest_only: bool,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), HostError> {
        match self.newer_than(since, newest_only, columns, each)? {
            true => Ok(()),
            false => Session::runs(self, Query::Tasks(names), columns, each),
        }
    }

    fn params(
        &mut self,
        runs: &[RunRef<'_>],
        each: &mut dyn FnMut(usize, Option<Params<'_>>),
    ) -> Result<(), HostError> {
        let columns = Columns { params: true, ..Columns::default() };
        let mut is_missing = vec![true; runs.len()];
        self.prefer_indexes(true);
        self.each_of_runs(runs, columns, &mut |index, run| {
            is_missing[index] = false;
            each(index, Some(run.params));
        })?;
        (0..).zip(is_missing).filter(|(_, is_missing)| *is_missing).for_each(|(index, _)| each(index, None));
        self.prefer_indexes(false);
        Ok(())
    }

    fn spawn(
        &mut self,
        sources: &[RunRef<'_>],
        _: Option<&[&Params<'_>]>,
        due: Option<Due>,
        each: &mut dyn FnMut(usize, Spawned),
    ) -> Result<(), HostError> {
        for (index, spawned) in self.spawn_all(sources, due)?.into_iter().enumerate() {
            if let (Spawned::New(id), None) = (&spawned, &self.first_new) {
                self.first_new = Some((sources[index].task_name.to_owned(), id.clone()));
            }
            each(index, spawned);
        }
        Ok(())
    }

    fn has_due_time(&self) -> bool {
        self.fitted.has_due_time()
    }

    fn can_undo(&self) -> bool {
        self.fitted.undo.is_some()
    }

    fn undo(&mut self, runs: &[RunRef<'_>], each: &mut dyn FnMut(usize, bool)) -> Result<(), HostError> {
        self.undo_all(runs)?.into_iter().enumerate().for_each(|(index, taken)| each(index, taken));
        Ok(())
    }

    fn ledger(&mut self) -> Result<Option<&mut dyn Ledger>, HostError> {
        Ok(if self.has_ledger()? { Some(self) } else { None })
    }

    fn create_ledger(&mut self) -> Result<(), HostError> {
        self.migrate_ledger()
    }

    fn drop_ledger(&mut self) -> Result<(), HostError> {
        self.drop_tables()
    }
}

impl Drop for PostgresSession<'_> {
    fn drop(&mut self) {
        // What was not committed is given up; a connection that can't even do that is closed. So is
        // one that was cancelled: the server's signal may come late, and hit the next caller.
        let is_spoilt = self.end().is_err() || self.is_cancelled() || self.is_spoilt.get();
        if let Some(connection) = self.connection.take().filter(|_| !is_spoilt) {
            self.host.server.give_back(connection);
        }
        if let Some((server, connection)) = self.replica.take().filter(|_| !is_spoilt) {
            server.give_back(connection);
        }
    }
}
