//! What changes between a call's search and its spawn is seen under the write lock.

use std::thread;
use std::time::Duration;

use crate::support;
use crate::support::calls::{all_failed, assert_error, call, open, skipped, triggered};
use crate::support::{NEWEST, Row, Store};
use bulk_rerun::ErrorModel;
use serde_json::{Value, json};

const NOON: &str = "2026-04-15T12:00:00Z";

fn store(journal_mode: &str) -> Store {
    let rows = ["backup", "report", "witness"].map(|task| Row::failed(task, task, NOON));
    Store::of_generation(NEWEST, journal_mode).holding(&rows)
}

/// What a call answers whose search comes before the host's `change`, and whose spawn comes after it.
///
/// The host holds the write lock and commits the change once the call waits for the lock. It also
/// deletes the witness's run: a call that finds it `gone` has searched before the commit.
fn call_across(store: &Store, change: &str, request: &Value, wait: Duration) -> Result<Value, ErrorModel> {
    let plugin = open(&store.path);
    let host = store.open();
    host.execute_batch(&format!("BEGIN IMMEDIATE; {change}; DELETE FROM runs WHERE id = 'witness'")).unwrap();
    thread::scope(|scope| {
        let answer = scope.spawn(|| call(&plugin, request));
        thread::sleep(wait);
        host.execute_batch("COMMIT").unwrap();
        answer.join().unwrap()
    })
}

/// Calls across the change, in both journal modes, and checks the store and the answer.
fn across(change: &str, request: &Value, check: impl Fn(&Store, Value)) {
    for journal_mode in ["wal", "delete"] {
        // A call that comes too late to see the old state tests nothing; then it gets more time.
        let in_time = [200, 400, 800, 1_600, 3_200].map(Duration::from_millis).into_iter().find_map(|wait| {
            let store = store(journal_mode);
            let answer = call_across(&store, change, request, wait).unwrap();
            skipped(&answer).contains(&"witness: gone".to_owned()).then_some((store, answer))
        });
        let (store, answer) = in_time.expect("the call never came to wait for the lock");
        check(&store, answer);
        assert_eq!(store.integrity(), "ok");
    }
}

/// The number of runs that are there in the end.
fn runs(store: &Store) -> usize {
    store.dump().len()
}

const BACKUP_BEGINS: &str = "INSERT INTO runs (id, task_name, status, triggered_by, created_at)
    VALUES ('host', 'backup', 'pending', 'cron', '2026-04-15T13:00:00Z')";

#[test]
fn a_run_that_became_active_meanwhile_is_skipped() {
    across(BACKUP_BEGINS, &all_failed(json!({"skip_active": true})), |store, answer| {
        assert_eq!(triggered(&answer), ["report"]);
        assert_eq!(skipped(&answer), ["backup: active", "witness: gone"]);
        assert_eq!(runs(store), 2 + 1 + 1);
    });
}

#[test]
fn a_run_that_became_active_meanwhile_counts_only_with_skip_active() {
    across(BACKUP_BEGINS, &all_failed(json!({})), |store, answer| {
        assert_eq!(triggered(&answer), ["backup", "report"]);
        assert_eq!(runs(store), 2 + 1 + 2);
    });
}

#[test]
fn only_a_run_with_the_same_parameters_is_active_by_params() {
    let other_params =
        BACKUP_BEGINS.replace("created_at)", "created_at, params_json)").replace("13:00:00Z'", "13:00:00Z', '{}'");
    for (change, expected) in [(BACKUP_BEGINS, vec!["report"]), (&other_params, vec!["backup", "report"])] {
        across(change, &all_failed(json!({"skip_active": true, "unique_by": "params"})), |_, answer| {
            assert_eq!(triggered(&answer), expected);
        });
    }
}

#[test]
fn a_source_run_that_vanished_meanwhile_is_gone() {
    for request in [all_failed(json!({})), json!({"ids": ["backup", "report", "witness"]})] {
        across("DELETE FROM runs WHERE id = 'backup'", &request, |store, answer| {
            assert_eq!(triggered(&answer), ["report"]);
            assert_eq!(skipped(&answer), ["backup: gone", "witness: gone"]);
            assert_eq!(runs(store), 1 + 1);
        });
    }
}

#[test]
fn a_source_run_that_was_soft_deleted_meanwhile_is_gone() {
    let change = "UPDATE runs SET deleted_at = '2026-04-15T13:00:00Z' WHERE id = 'backup'";
    across(change, &all_failed(json!({})), |store, answer| {
        assert_eq!(triggered(&answer), ["report"]);
        assert_eq!(skipped(&answer), ["backup: gone", "witness: gone"]);
        assert_eq!(runs(store), 2 + 1);
    });
}

#[test]
fn a_call_whose_every_run_vanished_meanwhile_changes_nothing() {
    across("DELETE FROM runs", &all_failed(json!({})), |store, answer| {
        assert_eq!(answer["triggered"], json!([]));
        assert_eq!(skipped(&answer), ["backup: gone", "report: gone", "witness: gone"]);
        assert_eq!(runs(store), 0);
    });
}

/// The parameters are those at the moment of the spawn, read under the lock.
#[test]
fn parameters_that_changed_meanwhile_are_the_new_ones() {
    let change = r#"UPDATE runs SET params_json = '{"new":1}' WHERE id = 'backup'"#;
    across(change, &all_failed(json!({})), |store, answer| {
        let run_id = answer["triggered"][0]["run_id"].as_str().unwrap();
        let params = support::params_of(&store.path, run_id);
        assert_eq!(params, rusqlite::types::Value::Text(r#"{"new":1}"#.to_owned()));
    });
}

#[test]
fn an_expected_plan_that_no_longer_holds_spawns_nothing() {
    for (change, options) in [
        (BACKUP_BEGINS, json!({"skip_active": true})),
        ("DELETE FROM runs WHERE id = 'backup'", json!({})),
        ("UPDATE runs SET params_json = '{}' WHERE id = 'backup'", json!({})),
    ] {
        for journal_mode in ["wal", "delete"] {
            let store = store(journal_mode);
            let mut request = all_failed(options.clone());
            request["options"]["dry_run"] = json!(true);
            let plan = call(&open(&store.path), &request).unwrap()["plan"].clone();
            request["options"] = options.clone();
            request["options"]["expect_plan"] = plan.clone();

            // It is a 409 as well for a call that comes too late to see the old state.
            let error = call_across(&store, change, &request, Duration::from_millis(300)).unwrap_err();
            assert_error(&error, 409, &[plan.as_str().unwrap(), "nothing was spawned", "dry run"]);
            let spawned = support::calls::rows(&store.path, "SELECT id FROM runs WHERE triggered_by = 'api'");
            assert_eq!(spawned.len(), 0);
        }
    }
}

#[test]
fn an_expected_plan_holds_through_changes_that_do_not_matter() {
    let store = store("wal");
    store.open().execute_batch("DELETE FROM runs WHERE id = 'witness'").unwrap();
    let plan = call(&open(&store.path), &all_failed(json!({"dry_run": true, "skip_active": true}))).unwrap();
    let request = all_failed(json!({"skip_active": true, "expect_plan": plan["plan"]}));
    let change = BACKUP_BEGINS.replace("'backup'", "'another task'");
    let answer = call_across(&store, &change, &request, Duration::from_millis(300)).unwrap();
    assert_eq!(triggered(&answer), ["backup", "report"]);
}
