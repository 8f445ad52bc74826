//! apalis on SQLite: ids are ULIDs, which tell when a run was created.

use rusqlite::params;
use ulid::Ulid;

use super::SqliteStore;
use crate::cases::Run;
use crate::{TestHost, TestStore};

pub struct Apalis;

impl TestHost for Apalis {
    fn name(&self) -> &'static str {
        "apalis"
    }

    fn lacks(&self) -> &'static [&'static str] {
        &["any id", "end reasons", "exit codes", "own reasons", "services", "triggers"]
    }

    fn make(&self, runs: &[Run]) -> Box<dyn TestStore> {
        let schema = include_str!("../../support/schemas/apalis-sqlite-1.0.sql");
        let run = "SELECT job_type, CAST(job AS TEXT), status = 'Pending' AND attempts = 0 AND lock_by IS NULL
                          AND lock_at IS NULL AND done_at IS NULL AND last_result IS NULL AND idempotency_key IS NULL
                   FROM Jobs WHERE id = ?1";
        let mut store = SqliteStore::new(schema, "wal", None, "Jobs", run);
        for (index, run) in runs.iter().enumerate().filter(|(_, run)| !run.deleted) {
            let created_at = chrono::DateTime::parse_from_rfc3339(&run.created_at).unwrap();
            let id = Ulid::from_parts(created_at.timestamp_millis() as u64, index as u128).to_string();
            let status = match (run.phase.as_str(), run.end_reason.as_deref()) {
                ("ended", Some("success" | "succeeded")) => "Done",
                ("ended", _) => "Failed",
                ("running", _) => "Running",
                _ => "Pending",
            };
            let attempts = if run.phase == "ended" { run.retry_attempt + 1 } else { 0 };
            let job = run.params.as_deref().unwrap_or_default().as_bytes();
            store
                .connection
                .execute(
                    "INSERT INTO Jobs (job, id, job_type, status, attempts, max_attempts, idempotency_key)
                 VALUES (?1, ?2, ?3, ?4, ?5, max(?5, 1), ?2)",
                    params![job, id, run.task, status, attempts],
                )
                .unwrap();
            store.ids.add(&run.id, &id);
        }
        Box::new(store)
    }
}
