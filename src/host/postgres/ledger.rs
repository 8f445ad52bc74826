//! The ledger in a PostgreSQL store: two tables in a schema of its own, `bulk_rerun`, so that no migration of the host's trips
//! over them, and a view that says of which version they are.

use std::ops::ControlFlow;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::dialect::Bound;
use super::error::for_people;
use super::session::PostgresSession;
use crate::contract::Triggered;
use crate::host::ledger::{PRUNED_AT_ONCE, VERSION, newer, unwritable};
use crate::host::{Entry, HostError, Ledger, Page, Recorded};

const READING: &str = "reading the ledger";
const WRITING: &str = "writing the ledger";

/// Runs that are written in one statement.
const RUNS_AT_ONCE: usize = 10_000;

/// What a role needs for a re-run to be written down, and undone.
pub(super) const RIGHTS: [(&str, &str); 3] =
    [("ledger", "SELECT"), ("operations", "SELECT, INSERT, UPDATE"), ("runs", "SELECT, INSERT, UPDATE")];

/// What it needs besides, to make the ledger shorter.
pub(super) const RIGHTS_TO_PRUNE: [(&str, &str); 2] = [("operations", "DELETE"), ("runs", "DELETE")];

/// What makes each version of the one before it, from nothing on.
const MIGRATIONS: [&str; VERSION] = [
    "
    CREATE TABLE bulk_rerun.operations (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        operation_id text NOT NULL UNIQUE,
        created_at timestamptz NOT NULL,
        profile text NOT NULL,
        store_schema text NOT NULL,
        door text NOT NULL,
        actor text,
        reason text,
        idempotency_key text,
        request text NOT NULL,
        request_digest text NOT NULL,
        triggered bigint NOT NULL,
        skipped bigint NOT NULL,
        skipped_list text NOT NULL,
        undone_at timestamptz,
        UNIQUE (profile, store_schema, idempotency_key)
    );
    CREATE TABLE bulk_rerun.runs (
        operation bigint NOT NULL,
        place bigint NOT NULL,
        task_name text NOT NULL,
        rerun_of text NOT NULL,
        run_id text NOT NULL,
        PRIMARY KEY (operation, place)
    )",
    "
    ALTER TABLE bulk_rerun.runs ADD COLUMN undone_at timestamptz;
    CREATE INDEX runs_by_run ON bulk_rerun.runs (run_id);
    CREATE INDEX runs_by_source ON bulk_rerun.runs (rerun_of)",
];

/// An entry's columns, but for the list of what was skipped, which may be long.
const COLUMNS: &str =
    "operation_id, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), door, actor,
                       reason, idempotency_key, request, request_digest, triggered, skipped,
                       to_char(undone_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";

/// Whether the database has a ledger. The catalogue may be read by everybody.
pub(super) async fn is_there(client: &Client) -> Result<bool, Error> {
    let sql = "SELECT FROM pg_catalog.pg_class AS view
               JOIN pg_catalog.pg_namespace AS schema ON schema.oid = view.relnamespace
               WHERE schema.nspname = 'bulk_rerun' AND view.relname = 'ledger'";
    Ok(!client.query_typed(sql, &[]).await?.is_empty())
}

/// The version of the ledger that the database has, if it has one.
pub(super) async fn version(client: &Client) -> Result<Option<i64>, Error> {
    if !is_there(client).await? {
        return Ok(None);
    }
    client.query_typed_one("SELECT version::bigint FROM bulk_rerun.ledger", &[]).await?.try_get(0).map(Some)
}

impl PostgresSession<'_> {
    fn ledger_version(&self) -> Result<Option<i64>, HostError> {
        self.at_primary(|| {
            let version = self.connection().wait_for(version(self.connection().client()));
            version.map_err(|error| self.error(READING, error))
        })
    }

    fn place(&self) -> String {
        self.host.server.address.to_string()
    }

    /// Whose rows are ours: several runners, and several schemas of one, may share the ledger.
    fn whose(&self) -> (&str, &str) {
        (&self.fitted.profile.identity, self.fitted.schema.as_deref().unwrap_or_default())
    }

    /// Whether the database has a ledger; an older one is brought up to date where that can be done.
    pub(super) fn has_ledger(&mut self) -> Result<bool, HostError> {
        let Some(version) = self.ledger_version()? else { return Ok(false) };
        if version > VERSION as i64 {
            return Err(newer(version, &self.place()));
        }
        self.ledger_is_old = version < VERSION as i64;
        if self.ledger_is_old && self.is_writing {
            self.migrate_ledger()?;
        }
        Ok(true)
    }

    /// Makes the ledger, or makes an older one ours.
    pub(super) fn migrate_ledger(&mut self) -> Result<(), HostError> {
        let version = self.ledger_version()?;
        let done = usize::try_from(version.unwrap_or(0)).unwrap_or(0);
        if done < VERSION {
            // Who may only use the schema need not be allowed to make one.
            let schema = if version.is_none() { "CREATE SCHEMA IF NOT EXISTS bulk_rerun;" } else { "" };
            let sql = format!(
                "{schema} {};
                 CREATE OR REPLACE VIEW bulk_rerun.ledger AS SELECT {VERSION} AS version",
                MIGRATIONS[done..].join(";")
            );
            self.write(&sql)?;
        }
        self.ledger_is_old = false;
        Ok(())
    }

    pub(super) fn drop_tables(&mut self) -> Result<(), HostError> {
        self.write(
            "DROP VIEW IF EXISTS bulk_rerun.ledger; DROP TABLE IF EXISTS bulk_rerun.runs;
             DROP TABLE IF EXISTS bulk_rerun.operations; DROP SCHEMA bulk_rerun",
        )
    }

    fn write(&self, sql: &str) -> Result<(), HostError> {
        let written = self.connection().wait_for(self.connection().client().batch_execute(sql));
        written.map_err(|error| self.cannot_write(error))
    }

    /// The entry of which this column has this value.
    fn entry_with(&self, column: &str, value: &str) -> Result<Option<Entry>, HostError> {
        let sql = format!(
            "SELECT {COLUMNS}, skipped_list FROM bulk_rerun.operations
             WHERE profile = $1 AND store_schema = $2 AND {column} = $3"
        );
        let (profile, schema) = self.whose();
        Ok(self.entries(&sql, &[text(&profile), text(&schema), text(&value)])?.pop())
    }

    fn entries(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Entry>, HostError> {
        if self.ledger_is_old {
            return Ok(Vec::new());
        }
        self.at_primary(|| {
            let found = self.connection().wait_for(self.connection().client().query_typed(sql, values));
            let entries = found.and_then(|rows| rows.iter().map(entry).collect());
            entries.map_err(|error| self.error(READING, error))
        })
    }

    fn change(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, HostError> {
        let changed = self.connection().wait_for(self.connection().client().query_typed(sql, values));
        changed.map_err(|error| self.cannot_write(error))
    }

    /// The same for what a re-run writes: `check` lists the rights for that, and for nothing else.
    fn insert(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, HostError> {
        let inserted = self.connection().wait_for(self.connection().client().query_typed(sql, values));
        inserted.map_err(|error| match error.code() {
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => self.error(WRITING, error),
            _ => self.cannot_write(error),
        })
    }

    /// What is wrong with the ledger's own tables is told in the server's words.
    fn cannot_write(&self, error: Error) -> HostError {
        let of_the_tables = error.as_db_error().filter(|said| {
            let class = said.code().code().get(..2).unwrap_or_default();
            matches!(class, "22" | "23" | "2B" | "42" | "55" | "P0")
        });
        match of_the_tables.map(for_people) {
            Some(words) => unwritable(&self.place(), &words),
            None => self.error(WRITING, error),
        }
    }
}

impl Ledger for PostgresSession<'_> {
    fn is_old(&self) -> bool {
        self.ledger_is_old
    }

    fn get(&mut self, operation_id: &str) -> Result<Option<Entry>, HostError> {
        self.entry_with("operation_id", operation_id)
    }

    fn list(&mut self, page: Page<'_>) -> Result<Vec<Entry>, HostError> {
        let sql = format!(
            "SELECT {COLUMNS}, '' FROM bulk_rerun.operations
             WHERE profile = $1 AND store_schema = $2
               AND ($3 IS NULL OR number < (SELECT number FROM bulk_rerun.operations WHERE operation_id = $3))
               AND ($4 IS NULL OR created_at >= $4::timestamptz)
               AND ($5 IS NULL OR number IN (SELECT operation FROM bulk_rerun.runs WHERE run_id = $5 OR rerun_of = $5))
             ORDER BY number DESC LIMIT $6"
        );
        let (profile, schema) = self.whose();
        let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
        self.entries(
            &sql,
            &[
                text(&profile),
                text(&schema),
                text(&page.before),
                text(&page.since),
                text(&page.run_id),
                (&limit, Type::INT8),
            ],
        )
    }

    fn mark_undone(&mut self, operation_id: &str, at: &str, places: &[i64]) -> Result<(), HostError> {
        let sql = "WITH operation AS (
                       UPDATE bulk_rerun.operations SET undone_at = coalesce(undone_at, $1::text::timestamptz)
                       WHERE operation_id = $2 RETURNING number)
                   UPDATE bulk_rerun.runs SET undone_at = $1::text::timestamptz
                   WHERE operation = (SELECT number FROM operation) AND place = ANY ($3)";
        // They were written down WITH ORDINALITY, which counts from 1.
        let places: Vec<i64> = places.iter().map(|place| place + 1).collect();
        self.change(sql, &[text(&at), text(&operation_id), (&places, Type::INT8_ARRAY)]).map(|_| ())
    }

    fn find(&mut self, key: &str) -> Result<Option<Entry>, HostError> {
        self.entry_with("idempotency_key", key)
    }

    fn runs(&mut self, operation_id: &str, each: &mut dyn FnMut(Recorded)) -> Result<(), HostError> {
        let sql = "SELECT task_name, rerun_of, run_id, undone_at IS NOT NULL FROM bulk_rerun.runs
                   WHERE operation = (SELECT number FROM bulk_rerun.operations WHERE operation_id = $1) ORDER BY place";
        let values: Vec<Bound<'_>> = vec![(Box::new(operation_id), Type::TEXT)];
        let mut failed = None;
        let mut each = |row: &Row| match run(row) {
            Ok(run) => {
                each(run);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        };
        let _ = self.at_primary(|| self.each_row(sql, values, &mut each))?;
        failed.map_or(Ok(()), |error| Err(self.error(READING, error)))
    }

    fn record(&mut self, entry: &Entry, runs: &[Triggered]) -> Result<(), HostError> {
        let sql =
            "INSERT INTO bulk_rerun.operations (operation_id, created_at, profile, store_schema, door, actor, reason,
                       idempotency_key, request, request_digest, triggered, skipped, skipped_list)
                   VALUES ($1, $2::text::timestamptz, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING number";
        let (profile, schema) = self.whose();
        let values = [
            text(&entry.operation_id),
            text(&entry.created_at),
            text(&profile),
            text(&schema),
            text(&entry.door),
            text(&entry.actor),
            text(&entry.reason),
            text(&entry.idempotency_key),
            text(&entry.request),
            text(&entry.request_digest),
            (&entry.triggered, Type::INT8),
            (&entry.skipped, Type::INT8),
            text(&entry.skipped_list),
        ];
        let written = self.insert(sql, &values)?;
        let number = written.first().map(|row| row.try_get::<_, i64>(0)).transpose();
        let number = number.map_err(|error| self.error(WRITING, error))?;
        let sql = "INSERT INTO bulk_rerun.runs (operation, place, task_name, rerun_of, run_id)
                   SELECT $1, $2 + place, task_name, rerun_of, run_id
                   FROM unnest($3, $4, $5) WITH ORDINALITY AS run (task_name, rerun_of, run_id, place)";
        for (start, runs) in (0_i64..).step_by(RUNS_AT_ONCE).zip(runs.chunks(RUNS_AT_ONCE)) {
            let texts = |text: fn(&Triggered) -> &str| runs.iter().map(text).collect::<Vec<&str>>();
            let (tasks, sources, new) =
                (texts(|run| &run.task_name), texts(|run| &run.rerun_of), texts(|run| &run.run_id));
            self.insert(
                sql,
                &[
                    (&number, Type::INT8),
                    (&start, Type::INT8),
                    (&tasks, Type::TEXT_ARRAY),
                    (&sources, Type::TEXT_ARRAY),
                    (&new, Type::TEXT_ARRAY),
                ],
            )?;
        }
        Ok(())
    }

    fn prune(&mut self, before: &str) -> Result<u64, HostError> {
        let sql = "WITH old AS (
                       SELECT number FROM (
                           SELECT number, sum(triggered) OVER (ORDER BY number) - triggered AS runs_before
                           FROM bulk_rerun.operations
                           WHERE profile = $1 AND store_schema = $2 AND created_at < $3::text::timestamptz) AS operation
                       WHERE runs_before < $4 ORDER BY number LIMIT 1000),
                   runs AS (DELETE FROM bulk_rerun.runs WHERE operation IN (SELECT number FROM old))
                   DELETE FROM bulk_rerun.operations WHERE number IN (SELECT number FROM old) RETURNING number";
        let (profile, schema) = self.whose();
        let pruned =
            self.change(sql, &[text(&profile), text(&schema), text(&before), (&PRUNED_AT_ONCE, Type::INT8)])?;
        Ok(pruned.len() as u64)
    }
}

type Value<'v> = (&'v (dyn ToSql + Sync), Type);

fn text(value: &(dyn ToSql + Sync)) -> Value<'_> {
    (value, Type::TEXT)
}

fn entry(row: &Row) -> Result<Entry, Error> {
    Ok(Entry {
        operation_id: row.try_get(0)?,
        created_at: row.try_get(1)?,
        door: row.try_get(2)?,
        actor: row.try_get(3)?,
        reason: row.try_get(4)?,
        idempotency_key: row.try_get(5)?,
        request: row.try_get(6)?,
        request_digest: row.try_get(7)?,
        triggered: row.try_get(8)?,
        skipped: row.try_get(9)?,
        undone_at: row.try_get(10)?,
        skipped_list: row.try_get(11)?,
    })
}

fn run(row: &Row) -> Result<Recorded, Error> {
    let run = Triggered { task_name: row.try_get(0)?, rerun_of: row.try_get(1)?, run_id: row.try_get(2)? };
    Ok(Recorded { run, is_undone: row.try_get(3)? })
}
