//! The hosts: runners whose stores the cases are run in.

mod apalis;
mod django;
mod ledgerly_postgres;
mod river;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use bulk_rerun::contract::FAILURE_END_REASONS;
use rusqlite::{Connection, OptionalExtension, params};

use crate::attached::Attached;
use crate::cases::Run;
use crate::ids::Ids;
use crate::{HostRun, TestHost, TestStore};

pub fn all() -> Vec<Arc<dyn TestHost>> {
    vec![
        Arc::new(RunWisp {
            name: "runwisp",
            schema: include_str!("../support/schemas/runwisp-3-is-failure.sql"),
            journal_mode: "wal",
            lacks: &["own reasons"],
        }),
        Arc::new(RunWisp {
            name: "runwisp with a rollback journal, before is_failure",
            schema: include_str!("../support/schemas/runwisp-2-params.sql"),
            journal_mode: "delete",
            lacks: &["own reasons"],
        }),
        Arc::new(RunWisp {
            name: "runwisp before parameters",
            schema: include_str!("../support/schemas/runwisp-1-first.sql"),
            journal_mode: "wal",
            lacks: &["own reasons", "params"],
        }),
        Arc::new(apalis::Apalis),
        Arc::new(django::Django),
        Arc::new(river::River),
        Arc::new(Ledgerly),
        Arc::new(ledgerly_postgres::Ledgerly),
        Arc::new(Attached { name: "callbacks with transactions", transactions: true }),
        Arc::new(Attached { name: "callbacks without transactions", transactions: false }),
    ]
}

/// RunWisp's store, in one of its generations.
struct RunWisp {
    name: &'static str,
    schema: &'static str,
    journal_mode: &'static str,
    lacks: &'static [&'static str],
}

impl TestHost for RunWisp {
    fn name(&self) -> &'static str {
        self.name
    }

    fn lacks(&self) -> &'static [&'static str] {
        self.lacks
    }

    fn make(&self, runs: &[Run]) -> Box<dyn TestStore> {
        let has = |column: &str| self.schema.contains(column);
        let run = format!(
            "SELECT task_name, {}, status = 'pending' AND end_reason IS NULL AND triggered_by = 'api'
                 AND retry_attempt = 0 AND retry_of_run_id IS NULL AND created_at LIKE '%T%Z'
             FROM runs WHERE id = ?1",
            if has("params_json ") { "params_json" } else { "NULL" }
        );
        let store = SqliteStore::new(self.schema, self.journal_mode, None, "runs", &run);
        for run in runs {
            // A host without soft deletes never had the run.
            if run.deleted && !has("deleted_at ") {
                continue;
            }
            store.connection.execute(
                "INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, retry_attempt)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![run.id, run.task, run.phase, run.end_reason, run.exit_code.unwrap_or(0), run.triggered_by, run.created_at, run.retry_attempt],
            ).unwrap();
            let set = |column: &str, value: Option<&str>| {
                if has(&format!("{column} ")) {
                    let sql = format!("UPDATE runs SET {column} = ?2 WHERE id = ?1");
                    store.connection.execute(&sql, params![run.id, value]).unwrap();
                }
            };
            set("params_json", run.params.as_deref());
            set("deleted_at", run.deleted.then_some("2026-04-16T00:00:00Z"));
            let failed = run.end_reason.as_deref().is_some_and(|reason| FAILURE_END_REASONS.contains(&reason));
            set("is_failure", Some(if failed { "1" } else { "0" }));
        }
        Box::new(store)
    }
}

/// A runner that nobody has heard of, on a profile file of its own: other names, other words, times in seconds.
struct Ledgerly;

impl TestHost for Ledgerly {
    fn name(&self) -> &'static str {
        "a runner with a profile file of its own"
    }

    fn lacks(&self) -> &'static [&'static str] {
        &[]
    }

    fn make(&self, runs: &[Run]) -> Box<dyn TestStore> {
        let (schema, profile) = (include_str!("hosts/ledgerly.sql"), include_str!("hosts/ledgerly.toml"));
        let run = "SELECT name, arguments, state = 'queued' AND code IS NULL AND origin = 'api' AND attempt = 0
                   FROM execution JOIN job ON job.number = execution.job WHERE uid = ?1";
        let store = SqliteStore::new(schema, "wal", Some(profile), "execution", run);
        let mut jobs = std::collections::BTreeMap::new();
        for run in runs.iter().filter(|run| !run.deleted) {
            let next = jobs.len() as i64 + 1;
            let job = *jobs.entry(&run.task).or_insert(next);
            store.connection.execute("INSERT OR IGNORE INTO job VALUES (?1, ?2)", params![job, run.task]).unwrap();
            let state = match (run.phase.as_str(), run.end_reason.as_deref()) {
                ("ended", Some(reason)) => reason,
                ("running", _) => "working",
                _ => "queued",
            };
            let at = chrono::DateTime::parse_from_rfc3339(&run.created_at).unwrap().timestamp();
            store.connection.execute(
                "INSERT INTO execution (uid, job, state, code, origin, queued_at, attempt, arguments) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![run.id, job, state, run.exit_code, run.triggered_by, at, run.retry_attempt, run.params],
            ).unwrap();
        }
        Box::new(store)
    }
}

/// A store in an SQLite file, in a folder that goes with it.
struct SqliteStore {
    folder: tempfile::TempDir,
    /// The host's own.
    connection: Connection,
    profile: Option<PathBuf>,
    /// The table of the runs.
    table: &'static str,
    /// Finds one run by its id: its task, its parameters, and whether it is fresh.
    run: String,
    ids: Ids,
}

impl SqliteStore {
    fn new(schema: &str, journal_mode: &str, profile: Option<&str>, table: &'static str, run: &str) -> SqliteStore {
        let folder = tempfile::tempdir().unwrap();
        let profile = profile.map(|text| {
            let path = folder.path().join("profile.toml");
            fs::write(&path, text).unwrap();
            path
        });
        let connection = Connection::open(folder.path().join("store.db")).unwrap();
        // Many stores are made, and none of them has to outlive a power cut.
        connection.pragma_update(None, "synchronous", "off").unwrap();
        connection.pragma_update(None, "journal_mode", journal_mode).unwrap();
        connection.execute_batch(schema).unwrap();
        SqliteStore { folder, connection, profile, table, run: run.to_owned(), ids: Ids::default() }
    }
}

impl TestStore for SqliteStore {
    fn address(&self) -> String {
        self.folder.path().join("store.db").display().to_string()
    }

    fn profile(&self) -> Option<String> {
        self.profile.as_ref().map(|path| path.display().to_string())
    }

    fn rows(&self) -> Vec<String> {
        let mut statement = self.connection.prepare(&format!("SELECT * FROM {} ORDER BY rowid", self.table)).unwrap();
        let columns = statement.column_count();
        let rows = statement
            .query_map([], |row| {
                let values: Result<Vec<rusqlite::types::Value>, _> = (0..columns).map(|index| row.get(index)).collect();
                Ok(format!("{:?}", values?))
            })
            .unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    fn run(&self, id: &str) -> Option<HostRun> {
        let read =
            |row: &rusqlite::Row<'_>| Ok(HostRun { task_name: row.get(0)?, params: row.get(1)?, fresh: row.get(2)? });
        self.connection.query_row(&self.run, [id], read).optional().unwrap()
    }

    fn ids(&self) -> Ids {
        self.ids.clone()
    }
}
