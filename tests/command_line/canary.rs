//! An operator's canary: one new run first, and the rest only when that has succeeded.

use std::fs;

use crate::support::calls::{skipped, triggered};
use crate::support::tool::{rerun, shell, text};
use crate::support::worker::Worker;
use crate::support::{Row, Store};
use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::Value;

const TASKS: [&str; 4] = ["backup", "import", "mail", "report"];

/// Each task failed twice last night.
fn night() -> Store {
    let at = |hours| (Utc::now() - TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Millis, true);
    let rows =
        TASKS.iter().flat_map(|task| [9, 8].map(|hours| Row::failed(&format!("{task}{hours}"), task, &at(hours))));
    Store::new().holding(&rows.collect::<Vec<_>>())
}

/// `bulk-rerun rerun` of what failed, and its answer.
fn rerun_failed(store: &Store, flags: &[&str]) -> Value {
    let output = rerun(store, &[&["--status", "failed", "--since", "24h", "--yes", "--json"], flags].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How many new runs each task has had.
fn new_runs(store: &Store) -> Vec<i64> {
    let sql = "SELECT count(*) FROM runs WHERE task_name = ?1 AND triggered_by = 'api'";
    TASKS.map(|task| store.open().query_row(sql, [task], |row| row.get(0)).unwrap()).into()
}

const THE_REST: [&str; 2] = ["--skip-superseded", "--skip-active"];

/// The operators' page's commands, as they stand there, on this store. Answers their exit status, and what they say.
fn as_the_page_says(store: &Store) -> (Option<i32>, String) {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operators.md")).unwrap();
    let block = page.split("\nA canary first").nth(1).and_then(|rest| rest.split("```text\n").nth(1));
    let commands = block.and_then(|rest| rest.split("```").next());
    let output = shell(commands.expect("the page has a canary")).env("BULK_RERUN_STORE", &store.path).output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn the_rest_goes_when_the_canary_has_succeeded() {
    let store = night();
    let _worker = Worker::on(&store, &[]);
    let (status, said) = as_the_page_says(&store);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("1 new run spawned") && said.contains("3 new runs spawned"), "{said}");
    assert_eq!(new_runs(&store), [1, 1, 1, 1]);
}

#[test]
fn the_rest_is_left_alone_when_the_canary_has_failed() {
    let store = night();
    let _worker = Worker::on(&store, &TASKS);
    let (status, said) = as_the_page_says(&store);
    assert_eq!(status, Some(4), "{said}");
    assert_eq!(new_runs(&store), [1, 0, 0, 0]);
}

#[test]
fn the_status_tells_whether_one_of_the_rest_has_failed() {
    let store = night();
    let _worker = Worker::on(&store, &["mail"]);
    let (status, said) = as_the_page_says(&store);
    assert_eq!(status, Some(4), "{said}");
    assert_eq!(new_runs(&store), [1, 1, 1, 1]);
}

/// Whoever does not wait starts the canary's task once all the same.
#[test]
fn a_canary_at_work_is_not_started_again() {
    let store = night();
    rerun_failed(&store, &["--take", "1"]);
    let answer = rerun_failed(&store, &THE_REST);
    assert_eq!(triggered(&answer), ["import", "mail", "report"]);
    assert_eq!(skipped(&answer), ["backup8: active"]);
    assert_eq!(new_runs(&store), [1, 1, 1, 1]);
}

#[test]
fn a_night_goes_in_portions() {
    let store = night();
    for (portion, started) in [(["backup", "import"], [1, 1, 0, 0]), (["mail", "report"], [1, 1, 1, 1])] {
        let answer = rerun_failed(&store, &["--take", "2", "--skip-superseded", "--skip-active"]);
        assert_eq!(triggered(&answer), portion);
        assert_eq!(new_runs(&store), started);
    }
    assert_eq!(triggered(&rerun_failed(&store, &["--take", "2", "--skip-superseded", "--skip-active"])), [""; 0]);
}
