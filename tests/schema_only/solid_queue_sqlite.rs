//! Solid Queue on SQLite.

use rusqlite::types::Value;
use serde_json::json;

use crate::sqlite::{self, by_id, execute, text};
use crate::support::Store;
use crate::support::calls::{all_failed, call, open, rows, skipped, triggered};
use crate::support::runners::check;
use crate::support::undo::{ByHand, undo};

const TABLES: &str = include_str!("../support/schemas/solid_queue-1.5-sqlite.sql");

/// As Active Job and Solid Queue queue a job: times in Rails' own layout for SQLite, and values that are to keep their text.
const ENQUEUE: &str = r#"
INSERT INTO solid_queue_jobs (queue_name, class_name, priority, concurrency_key, active_job_id, scheduled_at, created_at, updated_at, arguments)
VALUES ('mails', 'Mail', 5, 'customer 7', 'a-' || hex(randomblob(8)), '2026-04-15 12:00:00.123456', '2026-04-15 12:00:00.123456',
    '2026-04-15 12:00:00.123456', '{"job_class":"Mail","job_id":"a","provider_job_id":null,"queue_name":"mails","priority":5,'
    || '"arguments":[{"to":"Zoë \"1\"","sum":1.50E2,"nul":"\u0000","big":1e400,"sum":2}],"executions":0,"exception_executions":{},'
    || '"locale":"de","timezone":"UTC","enqueued_at":"2026-04-15T12:00:00.123456789Z","scheduled_at":"2026-04-15T12:00:00.123456789Z"}');
INSERT INTO solid_queue_scheduled_executions (job_id, queue_name, priority, scheduled_at, created_at)
SELECT id, queue_name, priority, scheduled_at, created_at FROM solid_queue_jobs ORDER BY id DESC LIMIT 1;"#;

const FAIL: &str = r#"
DELETE FROM solid_queue_scheduled_executions;
UPDATE solid_queue_jobs
SET arguments = replace(arguments, '"executions":0,"exception_executions":{}',
    '"executions":4,"exception_executions":{"[RuntimeError]":4},"continuation":{"completed":["one"]},"resumptions":2');
INSERT INTO solid_queue_failed_executions (job_id, error, created_at) SELECT id, '{}', '2026-04-15 13:00:00.123456' FROM solid_queue_jobs;"#;

/// The envelope as text, less what is the job's own.
const SHAPE: &str = "
SELECT j.queue_name, class_name, j.priority, concurrency_key, finished_at, s.queue_name, s.priority,
    json_set(arguments, '$.job_id', '', '$.enqueued_at', '', '$.scheduled_at', '')
FROM solid_queue_jobs j LEFT JOIN solid_queue_scheduled_executions s ON s.job_id = j.id ORDER BY j.id";

fn tables() -> Store {
    Store::of_generation(TABLES, "wal")
}

fn with_failed(count: usize) -> Store {
    sqlite::with_failed(tables(), ENQUEUE, FAIL, count)
}

#[test]
fn a_new_run_is_what_solid_queue_would_have_queued() {
    let store = tables();
    execute(&store, ENQUEUE);
    let queued = rows(&store.path, SHAPE);
    execute(&store, FAIL);
    let before = by_id(&store, "solid_queue_jobs");
    let rerun = |options| call(&open(&store.path), &all_failed(options)).unwrap();
    assert_eq!(triggered(&rerun(json!({"skip_active": true}))), ["Mail"]);
    assert_eq!(rows(&store.path, SHAPE)[1..], queued, "as Solid Queue would have queued it");
    assert_eq!(by_id(&store, "solid_queue_jobs")["1"], before["1"], "the old row is unchanged");
    assert_eq!(skipped(&rerun(json!({"skip_active": true}))), ["1: active"]);
    let own = "SELECT active_job_id = arguments ->> 'job_id' AND j.scheduled_at = s.scheduled_at AND j.created_at = s.created_at
                      AND julianday(arguments ->> 'scheduled_at') = julianday(s.scheduled_at)
                      AND s.scheduled_at GLOB '????-??-?? ??:??:??.??????'
                      AND julianday('now') - julianday(s.scheduled_at) BETWEEN -1e-5 AND 1e-3
               FROM solid_queue_jobs j JOIN solid_queue_scheduled_executions s ON s.job_id = j.id";
    assert_eq!(rows(&store.path, own), [[Value::Integer(1)]]);
    let kept = r#""sum":1.50E2,"nul":"\u0000","big":1e400,"sum":2"#;
    assert!(text(&store, "SELECT arguments FROM solid_queue_jobs WHERE id = 2").contains(kept));
    assert_eq!(check(store.path_str())["store"]["tried_with"], "schema");
}

#[test]
fn one_that_is_due_later_is_scheduled_for_then() {
    let store = with_failed(1);
    call(&open(&store.path), &all_failed(json!({"start_at": "2100-01-01T12:00:00.5Z"}))).unwrap();
    let due = "SELECT j.scheduled_at || ' ' || s.scheduled_at FROM solid_queue_jobs j
               JOIN solid_queue_scheduled_executions s ON s.job_id = j.id";
    assert_eq!(text(&store, due), "2100-01-01 12:00:00.500000 2100-01-01 12:00:00.500000");
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    let store = with_failed(4);
    let claim = |id: &str| {
        let sql = "DELETE FROM solid_queue_scheduled_executions WHERE job_id = ID;
                   INSERT INTO solid_queue_claimed_executions (job_id, created_at) VALUES (ID, '2026-04-15 13:00:00.123456')";
        execute(&store, &sql.replace("ID", id));
    };
    ByHand {
        plugin: &open(&store.path),
        rows: &|| by_id(&store, "solid_queue_jobs"),
        begin: &claim,
        put_off: None,
        taken: None,
        has_due_time: true,
    }
    .play();
    assert_eq!(by_id(&store, "solid_queue_scheduled_executions").len(), 0, "nothing is left of what was taken back");
}

/// What the dispatcher has made of a job: it is still pending. One that is ready holds the semaphore of its key.
#[test]
fn a_ready_job_is_taken_back_unless_it_holds_a_semaphore() {
    for (table, columns, values, key, undone) in [
        ("ready", "", "", "NULL", 1),
        ("ready", "", "", "'customer 7'", 0),
        ("blocked", ", concurrency_key, expires_at", ", 'customer 7', '2100-01-01'", "'customer 7'", 1),
    ] {
        let store = with_failed(1);
        open(&store.path).create_ledger().unwrap();
        execute(&store, &format!("UPDATE solid_queue_jobs SET concurrency_key = {key}"));
        let answer = call(&open(&store.path), &all_failed(json!({}))).unwrap();
        execute(
            &store,
            &format!(
                "INSERT INTO solid_queue_{table}_executions (job_id, queue_name, priority, created_at{columns})
                 SELECT job_id, queue_name, priority, created_at{values} FROM solid_queue_scheduled_executions;
                 DELETE FROM solid_queue_scheduled_executions"
            ),
        );
        let told = undo(&open(&store.path), &answer["operation_id"]).unwrap();
        assert_eq!(told["undone"].as_array().unwrap().len(), undone, "{table} {key}: {told}");
        assert_eq!(by_id(&store, &format!("solid_queue_{table}_executions")).len(), 1 - undone);
        assert_eq!(by_id(&store, "solid_queue_jobs").len(), 2 - undone);
    }
}
