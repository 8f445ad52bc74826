//! River on SQLite, up to its migration 6: ids are integers, and JSON is text. (JSONB is more than every door's SQLite can.)

use rusqlite::params;

use super::SqliteStore;
use crate::cases::Run;
use crate::{TestHost, TestStore};

pub struct River;

impl TestHost for River {
    fn name(&self) -> &'static str {
        "river"
    }

    fn lacks(&self) -> &'static [&'static str] {
        &["any id", "end reasons", "exit codes", "own reasons", "services", "triggers"]
    }

    fn make(&self, runs: &[Run]) -> Box<dyn TestStore> {
        let schema = include_str!("../../support/schemas/river-sqlite-6.sql");
        let run =
            "SELECT kind, args, state = 'available' AND attempt = 0 AND attempted_at IS NULL AND attempted_by IS NULL
                          AND errors IS NULL AND finalized_at IS NULL AND unique_key IS NULL AND unique_states IS NULL
                          AND length(scheduled_at) = 23 AND scheduled_at = created_at
                   FROM river_job WHERE id = ?1";
        let mut store = SqliteStore::new(schema, "wal", None, "river_job", run);
        for (index, run) in runs.iter().enumerate().filter(|(_, run)| !run.deleted) {
            let id = 7_000_001 + index as i64;
            let created_at = chrono::DateTime::parse_from_rfc3339(&run.created_at).unwrap().naive_utc();
            let created_at = created_at.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
            let state = match (run.phase.as_str(), run.end_reason.as_deref()) {
                ("ended", Some("success" | "succeeded")) => "completed",
                ("ended", _) => "discarded",
                ("running", _) => "running",
                _ => "available",
            };
            let attempt = if run.phase == "pending" { 0 } else { run.retry_attempt + 1 };
            let finalized_at = (run.phase == "ended").then_some(&created_at);
            let sql = "INSERT INTO river_job
                           (id, kind, args, state, attempt, max_attempts, created_at, scheduled_at, finalized_at, unique_key)
                       VALUES (?1, ?2, ?3, ?4, ?5, 25, ?6, ?6, ?7, x'07')";
            let args = run.params.as_deref().unwrap_or("null");
            store
                .connection
                .execute(sql, params![id, run.task, args, state, attempt, created_at, finalized_at])
                .unwrap();
            store.ids.add(&run.id, &id.to_string());
        }
        Box::new(store)
    }
}
