//! The ledger in an SQLite store: two tables beside the runner's, and a view that says of which version they are.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, ffi, params};

use super::session::{SqliteSession, Transactions};
use crate::contract::Triggered;
use crate::host::ledger::{PRUNED_AT_ONCE, VERSION, newer, unwritable};
use crate::host::{Entry, HostError, Ledger, Page, Recorded};

const READING: &str = "reading the ledger";
const WRITING: &str = "writing the ledger";

/// New runs that are written in one statement: a half of what they cost one by one.
const RUNS_AT_ONCE: usize = 100;

/// What makes each version of the one before it, from nothing on.
const MIGRATIONS: [&str; VERSION] = [
    "
    CREATE TABLE main.bulk_rerun_operations (
        number INTEGER PRIMARY KEY,
        operation_id TEXT NOT NULL UNIQUE,
        created_at TEXT NOT NULL,
        profile TEXT NOT NULL,
        door TEXT NOT NULL,
        actor TEXT,
        reason TEXT,
        idempotency_key TEXT,
        request TEXT NOT NULL,
        request_digest TEXT NOT NULL,
        triggered INTEGER NOT NULL,
        skipped INTEGER NOT NULL,
        skipped_list TEXT NOT NULL,
        undone_at TEXT,
        UNIQUE (profile, idempotency_key)
    );
    CREATE TABLE main.bulk_rerun_runs (
        operation INTEGER NOT NULL,
        place INTEGER NOT NULL,
        task_name TEXT NOT NULL,
        rerun_of TEXT NOT NULL,
        run_id TEXT NOT NULL,
        PRIMARY KEY (operation, place)
    ) WITHOUT ROWID",
    "
    ALTER TABLE main.bulk_rerun_runs ADD COLUMN undone_at TEXT;
    CREATE INDEX main.bulk_rerun_runs_by_run ON bulk_rerun_runs (run_id);
    CREATE INDEX main.bulk_rerun_runs_by_source ON bulk_rerun_runs (rerun_of)",
];

/// An entry's columns, but for the list of what was skipped, which may be long.
const COLUMNS: &str =
    "operation_id, created_at, door, actor, reason, idempotency_key, request, request_digest, triggered,
                       skipped, undone_at";

/// The version of the ledger that a store has, if it has one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let is_there = "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE name = 'bulk_rerun_ledger')";
    if !connection.prepare_cached(is_there)?.query_row([], |row| row.get(0))? {
        return Ok(None);
    }
    connection.query_row("SELECT version FROM main.bulk_rerun_ledger", [], |row| row.get(0)).map(Some)
}

impl<T: Transactions> SqliteSession<'_, T> {
    /// Whether the store has a ledger; an older one is brought up to date where that can be done.
    pub(super) fn has_ledger(&mut self) -> Result<bool, HostError> {
        let Some(version) = self.ledger_version()? else { return Ok(false) };
        if version > VERSION as i64 {
            return Err(newer(version, &self.place.path.display().to_string()));
        }
        self.ledger_is_old = version < VERSION as i64;
        if self.ledger_is_old && self.is_writing {
            self.migrate_ledger()?;
            self.ledger_is_old = false;
        }
        Ok(true)
    }

    fn ledger_version(&self) -> Result<Option<i64>, HostError> {
        version(self.connection()).map_err(|error| self.place.error(READING, error))
    }

    /// Makes the ledger, or makes an older one ours.
    pub(super) fn migrate_ledger(&self) -> Result<(), HostError> {
        let done = usize::try_from(self.ledger_version()?.unwrap_or(0)).unwrap_or(0);
        if done >= VERSION {
            return Ok(());
        }
        let sql = format!(
            "{};
             DROP VIEW IF EXISTS main.bulk_rerun_ledger;
             CREATE VIEW main.bulk_rerun_ledger AS SELECT {VERSION} AS version",
            MIGRATIONS[done..].join(";")
        );
        self.connection().execute_batch(&sql).map_err(|error| self.cannot_write(error))
    }

    pub(super) fn drop_tables(&self) -> Result<(), HostError> {
        let sql = "DROP VIEW IF EXISTS main.bulk_rerun_ledger;
                   DROP TABLE IF EXISTS main.bulk_rerun_runs;
                   DROP TABLE IF EXISTS main.bulk_rerun_operations";
        self.connection().execute_batch(sql).map_err(|error| self.cannot_write(error))
    }

    /// What is wrong with the ledger's own tables is told in SQLite's words.
    fn cannot_write(&self, error: rusqlite::Error) -> HostError {
        let is_the_ledgers = |code| matches!(code, ffi::ErrorCode::ConstraintViolation | ffi::ErrorCode::Unknown);
        match &error {
            rusqlite::Error::SqliteFailure(said, Some(words)) if is_the_ledgers(said.code) => {
                unwritable(&self.place.path.display().to_string(), words)
            }
            _ => self.place.error(WRITING, error),
        }
    }

    /// The entry of which this column has this value.
    fn entry_with(&self, column: &str, value: &str) -> rusqlite::Result<Option<Entry>> {
        if self.ledger_is_old {
            return Ok(None);
        }
        let sql = format!(
            "SELECT {COLUMNS}, skipped_list FROM main.bulk_rerun_operations WHERE profile = ?1 AND {column} = ?2"
        );
        let mut found = self.connection().prepare_cached(&sql)?;
        found.query_row([&*self.fitted.profile.identity, value], entry).optional()
    }

    fn page(&self, page: Page<'_>) -> rusqlite::Result<Vec<Entry>> {
        if self.ledger_is_old {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {COLUMNS}, '' FROM main.bulk_rerun_operations
             WHERE profile = ?1
               AND (?2 IS NULL OR number < (SELECT number FROM main.bulk_rerun_operations WHERE operation_id = ?2))
               AND (?3 IS NULL OR created_at >= ?3)
               AND (?4 IS NULL OR number IN (
                       SELECT operation FROM main.bulk_rerun_runs WHERE run_id = ?4 OR rerun_of = ?4))
             ORDER BY number DESC LIMIT ?5"
        );
        let mut listed = self.connection().prepare_cached(&sql)?;
        let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
        listed
            .query_map(params![self.fitted.profile.identity, page.before, page.since, page.run_id, limit], entry)?
            .collect()
    }

    fn mark(&self, operation_id: &str, at: &str, places: &[i64]) -> rusqlite::Result<()> {
        let sql = "UPDATE main.bulk_rerun_operations SET undone_at = coalesce(undone_at, ?1) WHERE operation_id = ?2";
        self.connection().prepare_cached(sql)?.execute([at, operation_id])?;
        let sql = "UPDATE main.bulk_rerun_runs SET undone_at = ?1
                   WHERE operation = (SELECT number FROM main.bulk_rerun_operations WHERE operation_id = ?2) AND place = ?3";
        let mut update = self.connection().prepare_cached(sql)?;
        places.iter().try_for_each(|place| update.execute(params![at, operation_id, place]).map(|_| ()))
    }

    fn each_recorded(&self, operation_id: &str, each: &mut dyn FnMut(Recorded)) -> rusqlite::Result<()> {
        let sql = "SELECT task_name, rerun_of, run_id, undone_at IS NOT NULL FROM main.bulk_rerun_runs
                   WHERE operation = (SELECT number FROM main.bulk_rerun_operations WHERE operation_id = ?1)
                   ORDER BY place";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query([operation_id])?;
        while let Some(row) = rows.next()? {
            let run = Triggered { task_name: row.get(0)?, rerun_of: row.get(1)?, run_id: row.get(2)? };
            each(Recorded { run, is_undone: row.get(3)? });
        }
        Ok(())
    }

    fn insert(&self, entry: &Entry, runs: &[Triggered]) -> rusqlite::Result<()> {
        let sql = "INSERT INTO main.bulk_rerun_operations (operation_id, created_at, profile, door, actor, reason,
                       idempotency_key, request, request_digest, triggered, skipped, skipped_list)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        self.connection().prepare_cached(sql)?.execute(params![
            entry.operation_id,
            entry.created_at,
            self.fitted.profile.identity,
            entry.door,
            entry.actor,
            entry.reason,
            entry.idempotency_key,
            entry.request,
            entry.request_digest,
            entry.triggered,
            entry.skipped,
            entry.skipped_list,
        ])?;
        let number = self.connection().last_insert_rowid();
        // One by one what does not fill a statement.
        let (many, rest) = runs.split_at(runs.len() - runs.len() % RUNS_AT_ONCE);
        if !many.is_empty() {
            self.insert_runs(number, 0, many, RUNS_AT_ONCE)?;
        }
        self.insert_runs(number, many.len() as i64, rest, 1)
    }

    /// Writes the new runs of an operation, from this place on, so many in a statement.
    fn insert_runs(&self, operation: i64, first: i64, runs: &[Triggered], at_once: usize) -> rusqlite::Result<()> {
        let rows = vec!["(?1, ?, ?, ?, ?)"; at_once].join(", ");
        let sql =
            format!("INSERT INTO main.bulk_rerun_runs (operation, place, task_name, rerun_of, run_id) VALUES {rows}");
        let mut insert = self.connection().prepare_cached(&sql)?;
        let mut places = first..;
        for runs in runs.chunks(at_once) {
            insert.raw_bind_parameter(1, operation)?;
            let mut parameters = 2..;
            for (run, place) in runs.iter().zip(&mut places) {
                let values: [&dyn ToSql; 4] = [&place, &run.task_name, &run.rerun_of, &run.run_id];
                for (value, parameter) in values.iter().zip(&mut parameters) {
                    insert.raw_bind_parameter(parameter, value)?;
                }
            }
            insert.raw_execute()?;
        }
        Ok(())
    }

    fn try_prune(&self, before: &str) -> rusqlite::Result<u64> {
        let sql = "SELECT number FROM (
                       SELECT number, sum(triggered) OVER (ORDER BY number) - triggered AS runs_before
                       FROM main.bulk_rerun_operations WHERE profile = ?1 AND created_at < ?2)
                   WHERE runs_before < ?3 ORDER BY number LIMIT 1000";
        let numbers: Vec<i64> = self
            .connection()
            .prepare_cached(sql)?
            .query_map(params![self.fitted.profile.identity, before, PRUNED_AT_ONCE], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for number in &numbers {
            for sql in [
                "DELETE FROM main.bulk_rerun_runs WHERE operation = ?1",
                "DELETE FROM main.bulk_rerun_operations WHERE number = ?1",
            ] {
                self.connection().prepare_cached(sql)?.execute([number])?;
            }
        }
        Ok(numbers.len() as u64)
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        operation_id: row.get(0)?,
        created_at: row.get(1)?,
        door: row.get(2)?,
        actor: row.get(3)?,
        reason: row.get(4)?,
        idempotency_key: row.get(5)?,
        request: row.get(6)?,
        request_digest: row.get(7)?,
        triggered: row.get(8)?,
        skipped: row.get(9)?,
        undone_at: row.get(10)?,
        skipped_list: row.get(11)?,
    })
}

impl<T: Transactions> Ledger for SqliteSession<'_, T> {
    fn is_old(&self) -> bool {
        self.ledger_is_old
    }

    fn get(&mut self, operation_id: &str) -> Result<Option<Entry>, HostError> {
        self.entry_with("operation_id", operation_id).map_err(|error| self.place.error(READING, error))
    }

    fn list(&mut self, page: Page<'_>) -> Result<Vec<Entry>, HostError> {
        self.page(page).map_err(|error| self.place.error(READING, error))
    }

    fn mark_undone(&mut self, operation_id: &str, at: &str, places: &[i64]) -> Result<(), HostError> {
        self.mark(operation_id, at, places).map_err(|error| self.cannot_write(error))
    }

    fn find(&mut self, key: &str) -> Result<Option<Entry>, HostError> {
        self.entry_with("idempotency_key", key).map_err(|error| self.place.error(READING, error))
    }

    fn runs(&mut self, operation_id: &str, each: &mut dyn FnMut(Recorded)) -> Result<(), HostError> {
        self.each_recorded(operation_id, each).map_err(|error| self.place.error(READING, error))
    }

    fn record(&mut self, entry: &Entry, runs: &[Triggered]) -> Result<(), HostError> {
        self.insert(entry, runs).map_err(|error| self.cannot_write(error))
    }

    fn prune(&mut self, before: &str) -> Result<u64, HostError> {
        self.try_prune(before).map_err(|error| self.cannot_write(error))
    }
}
