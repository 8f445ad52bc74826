//! Oban for Elixir on SQLite.

use rusqlite::types::Value;
use serde_json::json;

use crate::sqlite::{self, by_id, execute, text};
use crate::support::Store;
use crate::support::calls::{all_failed, call, open, rows, skipped, triggered};
use crate::support::runners::check;
use crate::support::undo::{ByHand, undo};

const TABLES: &str = include_str!("../support/schemas/oban-elixir-2.23-sqlite.sql");

/// As Oban queues a job: its times end in no Z.
const ENQUEUE: &str = r#"
INSERT INTO oban_jobs (state, queue, worker, args, meta, tags, errors, attempted_by, priority, max_attempts, inserted_at, scheduled_at)
VALUES ('available', 'mails', 'App.Mail', '{"to":"Zoë \"1\"","sum":1.50E2}', '{"by":"Zoë"}', '["a","b"]', '[]', '[]', 3, 5,
        '2026-04-15T12:00:00.123456', '2026-04-15T12:00:00.123456')"#;

/// As its worker leaves a cron's job that it gives up, and that was put off once.
const FAIL: &str = r#"
UPDATE oban_jobs
SET state = 'discarded', attempt = 5, errors = '[{"attempt":5,"error":"no"}]', attempted_by = '["node"]', discarded_at = '2026-04-15T12:30:00.123456',
    attempted_at = '2026-04-15T12:30:00.123456',
    meta = '{"by":"Zoë","cron":true,"cron_expr":"@daily","cron_name":"n","cron_tz":"Etc/UTC","snoozed":1}'
WHERE state = 'available'"#;

const SHAPE: &str = "SELECT state, queue, worker, args, meta, tags, errors, attempted_by, attempt, priority, max_attempts, attempted_at, cancelled_at,
    completed_at, discarded_at FROM oban_jobs ORDER BY id";

fn tables() -> Store {
    Store::of_generation(TABLES, "wal")
}

fn with_failed(count: usize) -> Store {
    sqlite::with_failed(tables(), ENQUEUE, FAIL, count)
}

#[test]
fn a_new_run_is_what_oban_would_have_queued() {
    let store = tables();
    execute(&store, ENQUEUE);
    let queued = rows(&store.path, SHAPE);
    execute(&store, FAIL);
    let before = rows(&store.path, "SELECT * FROM oban_jobs");
    let rerun = |options| call(&open(&store.path), &all_failed(options)).unwrap();
    assert_eq!(triggered(&rerun(json!({}))), ["App.Mail"]);
    assert_eq!(rows(&store.path, SHAPE)[1..], queued, "as Oban would have queued it");
    assert_eq!(rows(&store.path, "SELECT * FROM oban_jobs")[..1], before, "the old row is unchanged");
    assert_eq!(skipped(&rerun(json!({"skip_active": true}))), ["1: active"]);
    // Oban compares times as text, and reads six digits.
    let layout = "SELECT inserted_at = scheduled_at AND inserted_at GLOB '????-??-??T??:??:??.??????'
        AND julianday('now') - julianday(inserted_at) BETWEEN -1e-5 AND 1e-3 FROM oban_jobs WHERE id = 2";
    assert_eq!(rows(&store.path, layout), [[Value::Integer(1)]]);
    assert_eq!(check(store.path_str())["store"]["tried_with"], "schema");
}

#[test]
fn one_that_is_due_later_is_scheduled_for_then() {
    let store = with_failed(1);
    for (start_at, state, scheduled_at) in [
        ("2100-01-01T12:00:00.5Z", "scheduled", "2100-01-01T12:00:00.500000"),
        ("2026-04-15T12:00:00Z", "available", "2026-04-15T12:00:00.000000"),
    ] {
        call(&open(&store.path), &all_failed(json!({"start_at": start_at}))).unwrap();
        let newest = "SELECT state || ' ' || scheduled_at FROM oban_jobs ORDER BY id DESC";
        assert_eq!(text(&store, newest), format!("{state} {scheduled_at}"));
    }
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    let store = with_failed(4);
    ByHand {
        plugin: &open(&store.path),
        rows: &|| by_id(&store, "oban_jobs"),
        begin: &|id| execute(&store, &format!("UPDATE oban_jobs SET state = 'executing', attempt = 1 WHERE id = {id}")),
        put_off: Some(&|id| {
            execute(&store, &format!("UPDATE oban_jobs SET state = 'retryable', attempt = 1 WHERE id = {id}"))
        }),
        taken: Some("cancelled"),
        has_due_time: true,
    }
    .play();
    assert!(text(&store, "SELECT cancelled_at FROM oban_jobs WHERE state = 'cancelled'").len() == 26);
}

/// A snooze takes the attempt back.
#[test]
fn what_was_put_off_is_kept() {
    let store = with_failed(1);
    open(&store.path).create_ledger().unwrap();
    let answer = call(&open(&store.path), &all_failed(json!({}))).unwrap();
    execute(&store, r#"UPDATE oban_jobs SET state = 'scheduled', attempt = 0, meta = '{"snoozed":1}' WHERE id = 2"#);
    assert_eq!(undo(&open(&store.path), &answer["operation_id"]).unwrap()["undone"], json!([]));
}

#[test]
fn a_row_says_where_its_job_stands() {
    let store = tables();
    let cases = [
        ("available", 0, "pending", None, 0),
        ("scheduled", 0, "pending", None, 0),
        ("retryable", 2, "pending", None, 2),
        ("executing", 1, "running", None, 0),
        ("completed", 2, "ended", Some("succeeded"), 1),
        ("discarded", 5, "ended", Some("failed"), 4),
        ("cancelled", 0, "ended", Some("cancelled"), 0),
    ];
    for (state, attempt, ..) in cases {
        execute(
            &store,
            &format!("INSERT INTO oban_jobs (worker, state, attempt) VALUES ('{state}', '{state}', {attempt})"),
        );
    }
    let all = json!({"match_all": true, "options": {"dry_run": true, "with_runs": true}});
    let answer = call(&open(&store.path), &all).unwrap();
    for (state, _, phase, end_reason, retry_attempt) in cases {
        let planned = answer["planned"].as_array().unwrap();
        let run = &planned.iter().find(|group| group["task_name"] == state).unwrap()["run"];
        assert_eq!(
            (&run["phase"], &run["end_reason"], &run["retry_attempt"]),
            (&json!(phase), &json!(end_reason), &json!(retry_attempt)),
            "{state}"
        );
        assert!(run["created_at"].is_string(), "the column's default is read, too: {run}");
    }
}
