//! An operator's canary: one new run first, and the rest only when that has succeeded.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta, Utc};
use rusqlite::{OptionalExtension, params};
use serde_json::Value;
use support::calls::{skipped, triggered};
use support::tool::rerun;
use support::{Row, Store};

/// What the runner of a test makes of a run: its end reason.
type Outcome = fn(task_name: &str) -> &'static str;

const TASKS: [&str; 4] = ["backup", "import", "mail", "report"];

/// Each task failed twice last night.
fn night() -> Store {
    let at = |hours| (Utc::now() - TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Millis, true);
    let rows =
        TASKS.iter().flat_map(|task| [9, 8].map(|hours| Row::failed(&format!("{task}{hours}"), task, &at(hours))));
    Store::new().holding(&rows.collect::<Vec<_>>())
}

/// Does this while a runner carries out what is pending.
fn with_a_runner<T>(store: &Store, outcome: Outcome, work: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                carry_out(store, outcome);
                thread::sleep(Duration::from_millis(10));
            }
        });
        // Also where the work fails, which the scope would wait for.
        let _over = Over(&is_over);
        work()
    })
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One pending run, if there is one: it begins, and ends.
fn carry_out(store: &Store, outcome: Outcome) {
    let connection = store.open();
    let begin = "UPDATE runs SET status = 'running' WHERE id = (SELECT id FROM runs WHERE status = 'pending' LIMIT 1)
                 RETURNING id, task_name";
    let begun: Option<(String, String)> =
        connection.query_row(begin, [], |row| Ok((row.get(0)?, row.get(1)?))).optional().unwrap();
    let Some((id, task_name)) = begun else { return };
    let reason = outcome(&task_name);
    let end = "UPDATE runs SET status = 'ended', end_reason = ?2, exit_code = ?3 WHERE id = ?1";
    connection.execute(end, params![id, reason, i64::from(reason != "success")]).unwrap();
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

/// Starts the canary, and tells whether it has succeeded.
fn canary(store: &Store) -> bool {
    let answer = rerun_failed(store, &["--take", "1"]);
    assert_eq!(triggered(&answer), ["backup"]);
    assert_eq!(skipped(&answer), ["import8: not_taken", "mail8: not_taken", "report8: not_taken"]);
    end_reason(store, answer["triggered"][0]["run_id"].as_str().unwrap()) == "success"
}

/// How a run has ended, when it has.
fn end_reason(store: &Store, id: &str) -> String {
    // TODO: `--wait` in the command, as the README has it.
    let sql = "SELECT end_reason FROM runs WHERE id = ?1 AND status = 'ended'";
    loop {
        match store.open().query_row(sql, [id], |row| row.get(0)).optional().unwrap() {
            Some(reason) => return reason,
            None => thread::sleep(Duration::from_millis(10)),
        }
    }
}

const THE_REST: [&str; 2] = ["--skip-superseded", "--skip-active"];

#[test]
fn the_rest_goes_when_the_canary_has_succeeded() {
    let store = night();
    with_a_runner(&store, |_| "success", || assert!(canary(&store)));
    assert_eq!(new_runs(&store), [1, 0, 0, 0]);
    let answer = rerun_failed(&store, &THE_REST);
    assert_eq!(triggered(&answer), ["import", "mail", "report"]);
    assert_eq!(skipped(&answer), ["backup8: superseded"]);
    assert_eq!(new_runs(&store), [1, 1, 1, 1]);
}

#[test]
fn the_rest_is_left_alone_when_the_canary_has_failed() {
    let store = night();
    with_a_runner(&store, |_| "failed", || assert!(!canary(&store)));
    assert_eq!(new_runs(&store), [1, 0, 0, 0]);
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
