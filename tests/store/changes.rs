//! Stores that are damaged, or that change under an open plugin: deleted, replaced, upgraded.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::thread;
use std::time::Duration;

use crate::support::calls::{all_failed, assert_error, call, config, files, open, triggered};
use crate::support::{GENERATIONS, NEWEST, Row, Store, params_of};
use bulk_rerun::Plugin;
use rusqlite::types::Value;
use serde_json::json;

const NOON: &str = "2026-04-15T12:00:00Z";

#[test]
fn a_store_deleted_under_an_open_plugin_is_not_made_again() {
    let store = Store::new().holding(&[Row::failed("1", "backup", NOON)]);
    let plugin = open(&store.path);
    call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap();

    let folder = store.path.parent().unwrap();
    for file in files(folder).into_keys() {
        fs::remove_file(folder.join(file)).unwrap();
    }
    for options in [json!({}), json!({"dry_run": true})] {
        let error = call(&plugin, &all_failed(options)).unwrap_err();
        assert_error(&error, 500, &["there is no store at", store.path_str(), "no such file"]);
    }
    assert_eq!(files(folder).len(), 0);
}

/// Puts another store, which is a single file, in a store's place, as one who restores a backup does.
fn replace(store: &Store, other: &Store) {
    fs::rename(&other.path, &store.path).unwrap();
    for beside in ["runwisp.db-wal", "runwisp.db-shm"] {
        let _ = fs::remove_file(store.path.with_file_name(beside));
    }
}

fn of_task(task_name: &str, journal_mode: &str) -> Store {
    Store::of_generation(NEWEST, journal_mode).holding(&[Row::failed("1", task_name, NOON)])
}

#[test]
fn a_store_put_in_its_place_is_the_one_that_is_used() {
    for journal_mode in ["wal", "delete"] {
        let store = of_task("old", journal_mode);
        let plugin = open(&store.path);
        assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["old"]);
        replace(&store, &of_task("new", "delete"));
        assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["new"], "{journal_mode}");
        assert_eq!(store.dump().len(), 2);
        assert_eq!(store.integrity(), "ok");
    }
}

/// SQLite would apply the log of the old store to the new one. The log is still there because an
/// idle connection of ours kept the host from removing it when it stopped.
#[test]
fn a_store_put_beside_the_log_of_the_old_one_is_not_mixed_with_it() {
    let store = of_task("old", "wal");
    let plugin = open(&store.path);
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["old"]);
    fs::rename(of_task("new", "delete").path, &store.path).unwrap();
    match call(&plugin, &all_failed(json!({}))) {
        Ok(answer) => assert_eq!(triggered(&answer), ["new"]),
        Err(error) => assert_error(&error, 500, &["replaced", "-wal"]),
    }
}

#[test]
fn a_file_that_is_no_store_put_in_its_place_is_an_error() {
    let store = Store::new().holding(&[Row::failed("1", "backup", NOON)]);
    let plugin = open(&store.path);
    let other = store.path.with_file_name("other");
    for (text, words) in [("", "is an empty file"), ("not a database", "is not an SQLite database")] {
        fs::write(&other, text).unwrap();
        fs::rename(&other, &store.path).unwrap();
        assert_error(&call(&plugin, &all_failed(json!({}))).unwrap_err(), 500, &[words]);
        assert_eq!(fs::read_to_string(&store.path).unwrap(), text);
    }
}

#[test]
fn a_store_without_its_table_put_in_its_place_is_told_apart() {
    let store = of_task("backup", "wal");
    let plugin = open(&store.path);
    replace(&store, &Store::of_generation("CREATE TABLE orders (id)", "delete"));
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["fits", "orders"]);
}

/// A host that is upgraded while a long-lived plugin has its store open adds columns to it. What
/// they mean is then part of what a run is.
#[test]
fn a_store_upgraded_under_an_open_plugin_is_read_anew() {
    let store = Store::of_generation(GENERATIONS[0], "wal").holding(&[Row::failed("1", "backup", NOON)]);
    let plugin = open(&store.path);
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["backup"]);

    let deleted = |row: &mut Row| row.deleted_at = Some(NOON.to_owned());
    let with_params = |row: &mut Row| row.params_json = Some(r#"{"region":"eu"}"#.to_owned());
    store
        .open()
        .execute_batch("ALTER TABLE runs ADD COLUMN params_json TEXT; ALTER TABLE runs ADD COLUMN deleted_at DATETIME")
        .unwrap();
    let store = store.holding(&[
        Row::failed("2", "deleted", NOON).with(deleted),
        Row::failed("3", "with parameters", NOON).with(with_params),
    ]);

    let answer = call(&plugin, &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), ["backup", "with parameters"]);
    let run_id = answer["triggered"][1]["run_id"].as_str().unwrap();
    assert_eq!(params_of(&store.path, run_id), Value::Text(r#"{"region":"eu"}"#.to_owned()));
}

/// The store is replaced after the search, while the call waits for the write lock: its new runs
/// must not go to a file that nobody will ever read.
#[test]
fn new_runs_never_go_to_a_store_that_was_replaced_meanwhile() {
    for journal_mode in ["wal", "delete"] {
        // A call that comes too late to see the old store tests nothing; then it gets more time.
        let waits = [200, 400, 800, 1_600, 3_200].map(Duration::from_millis);
        assert!(waits.into_iter().any(|wait| replaced_while_a_call_waits(journal_mode, wait)), "never in time");
    }
}

/// Whether the call had seen the old store.
fn replaced_while_a_call_waits(journal_mode: &str, wait: Duration) -> bool {
    let store = of_task("old", journal_mode);
    let other = of_task("new", "delete");
    let plugin = open(&store.path);
    let host = store.open();
    host.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = thread::scope(|scope| {
        let answer = scope.spawn(|| call(&plugin, &all_failed(json!({}))));
        thread::sleep(wait);
        replace(&store, &other);
        host.execute_batch("ROLLBACK").unwrap();
        answer.join().unwrap()
    });
    match answer {
        Ok(answer) => assert_eq!(triggered(&answer), ["new"], "a run was spawned into a store that is gone"),
        Err(error) => assert_error(&error, 500, &["replaced", "nothing was changed"]),
    }
    let seen = store.dump().len() == 1;
    assert_eq!(store.integrity(), "ok");
    seen
}

/// Overwrites everything from the second page on: the header and the schema stay readable.
fn damage(store: &Store) {
    store.open().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let size = fs::metadata(&store.path).unwrap().len();
    let mut file = OpenOptions::new().write(true).open(&store.path).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0xA5; size as usize - 4096]).unwrap();
}

fn large_store() -> Store {
    let rows: Vec<Row> = (0..500).map(|id| Row::failed(&format!("{id:03}"), "backup", NOON)).collect();
    Store::new().holding(&rows)
}

#[test]
fn a_damaged_store_says_so_and_is_left_as_it_is() {
    let store = large_store();
    damage(&store);
    let before = fs::read(&store.path).unwrap();
    let plugin = Plugin::open(&config(&store.path)).unwrap();
    for options in [json!({}), json!({"dry_run": true})] {
        let error = call(&plugin, &all_failed(options)).unwrap_err();
        assert_error(&error, 500, &["is damaged", "integrity_check", "nothing was changed"]);
    }
    drop(plugin);
    assert_eq!(fs::read(&store.path).unwrap(), before);
}

#[test]
fn a_store_damaged_under_an_open_plugin_says_so() {
    let store = large_store();
    let plugin = open(&store.path);
    damage(&store);
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["is damaged"]);
}

#[test]
fn a_store_cut_short_says_so() {
    let store = large_store();
    store.open().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    // In the middle of the rows; within the schema's page; within the header.
    for size in [20_480, 2_000, 60] {
        OpenOptions::new().write(true).open(&store.path).unwrap().set_len(size).unwrap();
        let error = match Plugin::open(&config(&store.path)) {
            Ok(plugin) => call(&plugin, &all_failed(json!({}))).unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.status, 500);
        assert!(error.detail.contains("is damaged") || error.detail.contains("is not an SQLite database"), "{error}");
        assert_eq!(fs::metadata(&store.path).unwrap().len(), size);
    }
}
