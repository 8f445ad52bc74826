//! django-tasks-db on SQLite: ids are UUIDs without hyphens, and parameters are JSON.

use rusqlite::params;

use super::SqliteStore;
use crate::cases::Run;
use crate::{TestHost, TestStore};

pub struct Django;

impl TestHost for Django {
    fn name(&self) -> &'static str {
        "django-tasks-db"
    }

    fn lacks(&self) -> &'static [&'static str] {
        &["any id", "end reasons", "exit codes", "own reasons", "services", "triggers"]
    }

    fn make(&self, runs: &[Run]) -> Box<dyn TestStore> {
        let schema = include_str!("../../support/schemas/django-tasks-db-0.13.sql");
        let run = "SELECT task_path, args_kwargs, status = 'READY' AND worker_ids = '[]' AND started_at IS NULL
                          AND finished_at IS NULL AND return_value IS NULL AND traceback = ''
                          AND run_after = '9999-01-01 00:00:00'
                   FROM django_tasks_database_dbtaskresult WHERE id = ?1";
        let mut store = SqliteStore::new(schema, "delete", None, "django_tasks_database_dbtaskresult", run);
        for (index, run) in runs.iter().enumerate().filter(|(_, run)| !run.deleted) {
            let id = format!("{:032x}", 0xd0_0000 + index);
            let status = match (run.phase.as_str(), run.end_reason.as_deref()) {
                ("ended", Some("success" | "succeeded")) => "SUCCESSFUL",
                ("ended", _) => "FAILED",
                ("running", _) => "RUNNING",
                _ => "READY",
            };
            let begun = if run.phase == "pending" { 0 } else { run.retry_attempt + 1 };
            let workers = serde_json::Value::from(vec!["worker"; begun as usize]).to_string();
            let created_at = chrono::DateTime::parse_from_rfc3339(&run.created_at).unwrap().naive_utc().to_string();
            let params = run.params.as_deref().unwrap_or("null");
            store.connection.execute(
                "INSERT INTO django_tasks_database_dbtaskresult (id, status, enqueued_at, args_kwargs, priority, task_path, worker_ids,
                     queue_name, backend_name, run_after, exception_class_path, traceback)
                 VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, 'default', 'default', '2026-04-14 00:00:00', '', '')",
                params![id, status, created_at, params, run.task, workers],
            ).unwrap();
            store.ids.add(&run.id, &id);
        }
        Box::new(store)
    }
}
