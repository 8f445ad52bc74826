//! Ledgerly once more, in a PostgreSQL database: the same cases, another engine.

use std::path::PathBuf;
use std::sync::Mutex;

use crate::cases::Run;
use crate::postgres::{Client, Database, server};
use crate::{HostRun, TestHost, TestStore};

pub struct Ledgerly;

impl TestHost for Ledgerly {
    fn name(&self) -> &'static str {
        "a runner with a profile file of its own on PostgreSQL"
    }

    fn lacks(&self) -> &'static [&'static str] {
        &[]
    }

    fn is_sqlite(&self) -> bool {
        false
    }

    fn make(&self, runs: &[Run]) -> Box<dyn TestStore> {
        let emptied = EMPTIED.lock().unwrap().pop();
        let (database, client) = emptied.unwrap_or_else(|| {
            let database = server().database().with(include_str!("ledgerly-postgres.sql"));
            let client = database.client();
            (database, client)
        });
        for run in runs.iter().filter(|run| !run.deleted) {
            client
                .insert("INSERT INTO job SELECT count(*) + 1, $1 FROM job ON CONFLICT (name) DO NOTHING", &[&run.task]);
            let state = match (run.phase.as_str(), run.end_reason.as_deref()) {
                ("ended", Some(reason)) => reason,
                ("running", _) => "working",
                _ => "queued",
            };
            let at = chrono::DateTime::parse_from_rfc3339(&run.created_at).unwrap().timestamp();
            let code = run.exit_code.map(|code| i16::try_from(code).unwrap());
            let attempt = i32::try_from(run.retry_attempt).unwrap();
            client.insert(
                "INSERT INTO execution (uid, job, state, code, origin, queued_at, attempt, arguments)
                 SELECT $1, number, $3, $4, $5, $6, $7, $8 FROM job WHERE name = $2",
                &[&run.id, &run.task, &state, &code, &run.triggered_by, &at, &attempt, &run.params],
            );
        }
        Box::new(Store(Some((database, client))))
    }
}

/// Databases that cases have used. To make one takes the server longer than a case.
static EMPTIED: Mutex<Vec<(Database, Client)>> = Mutex::new(Vec::new());

/// There until it is dropped.
struct Store(Option<(Database, Client)>);

impl Store {
    fn database(&self) -> &Database {
        &self.0.as_ref().unwrap().0
    }

    fn client(&self) -> &Client {
        &self.0.as_ref().unwrap().1
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let (database, client) = self.0.take().unwrap();
        client.execute("DROP SCHEMA IF EXISTS bulk_rerun CASCADE; TRUNCATE job, execution RESTART IDENTITY");
        EMPTIED.lock().unwrap().push((database, client));
    }
}

impl TestStore for Store {
    fn address(&self) -> String {
        self.database().url.clone()
    }

    fn profile(&self) -> Option<String> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/hosts/ledgerly-postgres.toml");
        Some(path.display().to_string())
    }

    fn rows(&self) -> Vec<String> {
        let rows = self.client().rows("SELECT execution::text FROM execution ORDER BY serial");
        rows.into_iter().map(|mut row| row.remove(0).unwrap()).collect()
    }

    fn run(&self, id: &str) -> Option<HostRun> {
        let id = id.replace('\'', "''");
        let mut row = self
            .client()
            .rows(&format!(
                "SELECT name, arguments, state = 'queued' AND code IS NULL AND origin = 'api' AND attempt = 0
                 FROM execution JOIN job ON job.number = execution.job WHERE uid = '{id}'"
            ))
            .pop()?;
        Some(HostRun { task_name: row[0].take()?, params: row[1].take(), fresh: row[2].as_deref() == Some("t") })
    }
}
