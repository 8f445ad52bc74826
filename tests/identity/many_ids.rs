//! A hundred thousand ids, named and excepted.

use std::collections::HashSet;

use crate::support::{Row, Store};
use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

const MANY: usize = 100_000;

fn id(number: usize) -> String {
    format!("{number:026}")
}

/// One run more than are named, of ten tasks.
fn store() -> Store {
    let rows: Vec<Row> = (0..=MANY)
        .map(|number| Row::failed(&id(number), &format!("task-{}", number % 10), "2026-04-15T12:00:00Z"))
        .collect();
    Store::new().holding(&rows)
}

fn call(store: &Store, request: &Value) -> Value {
    let plugin = Plugin::open(&Config::new(store.path_str())).unwrap();
    serde_json::from_str(&plugin.call(request.to_string().as_bytes()).unwrap()).unwrap()
}

#[test]
fn a_hundred_thousand_ids_are_each_re_run() {
    let store = store();
    let ids: Vec<String> = (0..MANY).map(id).collect();
    let answer = call(&store, &json!({ "ids": ids, "options": { "unique_by": "run" } }));
    let triggered = answer["triggered"].as_array().unwrap();
    let distinct: HashSet<&str> = triggered.iter().map(|run| run["run_id"].as_str().unwrap()).collect();
    assert_eq!(distinct.len(), MANY);
    assert_eq!(store.dump().len(), 2 * MANY + 1);
    assert_eq!(store.integrity(), "ok");
}

#[test]
fn a_hundred_thousand_ids_that_are_no_runs_are_each_not_found() {
    let store = Store::new().holding(&[Row::failed("a", "backup", "2026-04-15T12:00:00Z")]);
    let ids: Vec<String> = (0..MANY).map(id).collect();
    let answer = call(&store, &json!({ "ids": ids }));
    assert_eq!(answer["triggered"], json!([]));
    assert_eq!(answer["skipped"].as_array().unwrap().len(), MANY);
    assert_eq!(answer["skipped"][7], json!({ "run_id": id(7), "reason": "not_found" }));
}

#[test]
fn all_but_a_hundred_thousand_ids() {
    let store = store();
    let except: Vec<String> = (0..MANY).map(id).collect();
    let answer = call(&store, &json!({ "match_all": true, "except_ids": except, "options": { "dry_run": true } }));
    assert_eq!(answer["matched"], 1);
    assert_eq!(answer["planned"], json!([{ "task_name": "task-0", "rerun_of": id(MANY), "matched": 1 }]));
}
