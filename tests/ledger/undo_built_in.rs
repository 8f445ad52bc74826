//! Undo in the built-in profiles' own schemas on SQLite: RunWisp's, apalis's, Django's. The others are in `runner_*`.

use std::collections::BTreeMap;

use crate::support::calls::{all_failed, call, open, rows};
use crate::support::undo::{ByHand, count, undo};
use crate::support::{GENERATIONS, Row, Store};
use rusqlite::types::Value;
use serde_json::json;

const APALIS: &str = include_str!("../support/schemas/apalis-sqlite-1.0.sql");
const DJANGO: &str = include_str!("../support/schemas/django-tasks-db-0.13.sql");

fn store(schema: &str, sql: &str) -> Store {
    let store = Store::of_generation(schema, "wal");
    store.open().execute_batch(sql).unwrap();
    store
}

fn execute(store: &Store, sql: &str, id: &str) {
    assert_eq!(store.open().execute(sql, [id]).unwrap(), 1, "{id} is there");
}

/// Every run, whole, by its id: the first column.
fn by_id(store: &Store, table: &str) -> BTreeMap<String, String> {
    let pair = |mut row: Vec<Value>| {
        let Value::Text(id) = row.remove(0) else { panic!("{row:?}") };
        (id, format!("{row:?}"))
    };
    rows(&store.path, &format!("SELECT id, * FROM {table}")).into_iter().map(pair).collect()
}

#[test]
fn runwisp_what_nobody_has_begun_is_taken_back() {
    for (schema, taken) in GENERATIONS.into_iter().zip([Some("stopped"), None, None]) {
        let failed = ["1", "2", "3", "4"].map(|id| Row::failed(id, "mail", "2026-04-15T12:00:00Z"));
        let store = Store::of_generation(schema, "wal").holding(&failed);
        ByHand {
            plugin: &open(&store.path),
            rows: &|| by_id(&store, "runs"),
            begin: &|id| execute(&store, "UPDATE runs SET status = 'running' WHERE id = ?1", id),
            put_off: None,
            taken,
            has_due_time: false,
        }
        .play();
    }
}

/// Four jobs that have failed for good.
fn apalis() -> Store {
    let jobs = ["A", "B", "C", "D"].map(|end| {
        format!(
            "INSERT INTO Jobs (job, id, job_type, status, attempts, max_attempts)
             VALUES (x'7B7D', '01KP8Z5S000000000000000{end}00', 'mail', 'Failed', 3, 3);"
        )
    });
    store(APALIS, &jobs.concat())
}

#[test]
fn apalis_what_nobody_has_begun_is_taken_back() {
    let store = apalis();
    ByHand {
        plugin: &open(&store.path),
        rows: &|| by_id(&store, "Jobs"),
        begin: &|id| execute(&store, "UPDATE Jobs SET status = 'Running' WHERE id = ?1", id),
        put_off: Some(&|id| execute(&store, "UPDATE Jobs SET status = 'Failed', attempts = 1 WHERE id = ?1", id)),
        taken: Some("killed"),
        has_due_time: true,
    }
    .play();
    // Whoever waits for a job in apalis reads its result, and panics where there is none.
    let results =
        "SELECT DISTINCT last_result ->> 'Err' IS NOT NULL AND done_at BETWEEN unixepoch() - 60 AND unixepoch()
                   FROM Jobs WHERE status = 'Killed'";
    assert_eq!(rows(&store.path, results), [[Value::Integer(1)]]);
}

/// Its worker runs what is in its buffer, whatever the table says by then.
#[test]
fn apalis_what_is_in_a_workers_buffer_is_kept() {
    let store = apalis();
    let plugin = open(&store.path);
    plugin.create_ledger().unwrap();
    let answer = call(&plugin, &all_failed(json!({"unique_by": "run"}))).unwrap();
    store.open().execute("UPDATE Jobs SET status = 'Queued' WHERE status = 'Pending'", ()).unwrap();
    let before = by_id(&store, "Jobs");
    let undone = undo(&plugin, &answer["operation_id"]).unwrap();
    assert_eq!((&undone["undone"], undone["kept"].as_array().unwrap().len()), (&json!([]), 4), "{undone}");
    assert_eq!(undone["kept"][0]["phase"], "pending");
    assert_eq!(by_id(&store, "Jobs"), before);
}

/// A worker that stops gives back what it has not begun, and counts that as an attempt.
#[test]
fn apalis_what_a_worker_has_given_back_is_kept() {
    let store = apalis();
    let plugin = open(&store.path);
    plugin.create_ledger().unwrap();
    let answer = call(&plugin, &all_failed(json!({}))).unwrap();
    store.open().execute("UPDATE Jobs SET attempts = 1 WHERE status = 'Pending'", ()).unwrap();
    assert_eq!(undo(&plugin, &answer["operation_id"]).unwrap()["undone"], json!([]));
    assert_eq!(count(&plugin, "pending"), 1);
}

#[test]
fn django_what_nobody_has_begun_is_taken_back() {
    let runs = ["a", "b", "c", "d"].map(|id| {
        format!(
            "INSERT INTO django_tasks_database_dbtaskresult VALUES ('{id}', '{{}}', 0, 'shop.mail', 'default',
             'default', '9999-01-01 00:00:00', '2026-04-15 12:00:00', NULL, NULL, NULL, '', '', '[\"w\"]', 'FAILED');"
        )
    });
    let store = store(DJANGO, &runs.concat());
    let begin =
        r#"UPDATE django_tasks_database_dbtaskresult SET status = 'RUNNING', worker_ids = '["w"]' WHERE id = ?1"#;
    ByHand {
        plugin: &open(&store.path),
        rows: &|| by_id(&store, "django_tasks_database_dbtaskresult"),
        begin: &|id| execute(&store, begin, id),
        put_off: None,
        taken: None,
        has_due_time: true,
    }
    .play();
}
