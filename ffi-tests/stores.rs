//! The stores that the programs work on, in RunWisp's newest layout.

use std::path::PathBuf;

use rusqlite::Connection;

/// Three failed runs of two tasks, and one that succeeded.
const RUNS: &str = r#"
INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, params_json, is_failure) VALUES
  ('a1', 'backup', 'ended', 'failed', 1, 'cron', '2026-04-15T01:00:00Z', '{"n": 1}', 1),
  ('a2', 'backup', 'ended', 'failed', 1, 'cron', '2026-04-15T02:00:00Z', '{ "n": "ł" }', 1),
  ('b1', 'report', 'ended', 'failed', 7, 'cron', '2026-04-15T01:30:00Z', NULL, 1),
  ('c1', 'mail', 'ended', 'succeeded', 0, 'cron', '2026-04-15T01:45:00Z', NULL, 0);
"#;

/// Two stores that hold the same, in a folder that goes with them.
pub struct Stores {
    pub wal: PathBuf,
    pub rollback: PathBuf,
    _folder: tempfile::TempDir,
}

impl Stores {
    pub fn new() -> Stores {
        let folder = tempfile::tempdir().unwrap();
        let [wal, rollback] = ["wal", "delete"].map(|journal_mode| {
            let path = folder.path().join(format!("{journal_mode}.db"));
            let store = Connection::open(&path).unwrap();
            store.pragma_update(None, "journal_mode", journal_mode).unwrap();
            store.execute_batch(include_str!("../tests/support/schemas/runwisp-3-is-failure.sql")).unwrap();
            store.execute_batch(RUNS).unwrap();
            path
        });
        Stores { wal, rollback, _folder: folder }
    }
}
