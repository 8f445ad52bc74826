//! What is no store gets a clear error and stays as it was; a store may have any name.

use std::fs;
use std::path::Path;

use crate::support;
use crate::support::calls::{all_failed, assert_error, call, config, files, open, open_error, triggered};
use crate::support::{NEWEST, Row, Store, child, insert};
use bulk_rerun::{Config, Plugin};
use rusqlite::Connection;
use serde_json::json;

/// Opening `path` fails with 500 and these words, and leaves the folder as it was.
#[track_caller]
fn refused(folder: &Path, path: &Path, words: &[&str]) {
    let before = files(folder);
    let error = open_error(&config(path));
    assert_error(&error, 500, words);
    assert!(error.detail.contains(path.to_str().unwrap()), "{error}");
    assert_eq!(files(folder), before);
}

#[test]
fn a_missing_store_is_not_created() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &folder.path().join("runwisp.db"), &["no store", "no such file"]);
    refused(folder.path(), &folder.path().join("no/such/folder/runwisp.db"), &["no store", "no such file"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_store_is_read_as_no_other_file() {
    let store = Store::new();
    let path = store.path_str().to_owned();
    for config in [
        Config { profile: Some(path.clone()), ..config(&store.path) },
        Config { tasks: Some(store.path.clone()), ..config(&store.path) },
    ] {
        assert_error(&open_error(&config), 500, &[&path, "is the store"]);
    }
}

#[test]
fn a_store_below_a_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "text").unwrap();
    refused(folder.path(), &folder.path().join("file/runwisp.db"), &["can't be reached"]);
}

#[test]
fn a_folder_is_no_store_but_may_hold_one() {
    let folder = tempfile::tempdir().unwrap();
    let error = open_error(&config(folder.path()));
    assert_error(&error, 500, &["is a folder, not a store"]);
    assert!(!error.detail.contains("did you mean"), "{error}");

    let inside = folder.path().join(".runwisp/runwisp.db");
    fs::create_dir(inside.parent().unwrap()).unwrap();
    fs::write(&inside, "").unwrap();
    refused(folder.path(), folder.path(), &["is a folder", &format!("did you mean {}?", inside.display())]);
    assert_eq!(fs::read_dir(inside.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn an_empty_file_stays_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runwisp.db");
    fs::write(&path, "").unwrap();
    refused(folder.path(), &path, &["is an empty file, not a store"]);
}

#[test]
fn a_file_of_another_kind_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    for text in ["short".to_owned(), "a long text, over several pages\n".repeat(1_000)] {
        fs::write(&path, text).unwrap();
        refused(folder.path(), &path, &["is not an SQLite database"]);
    }
}

#[test]
fn an_unknown_schema_lists_its_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("CREATE TABLE orders (id); CREATE TABLE customers (id); CREATE VIEW late AS SELECT 1")
        .unwrap();
    refused(folder.path(), &path, &["no built-in profile (runwisp, ", "customers, late, orders", "--profile"]);

    // RunWisp's table, but with another meaning: no generation fits, so nothing is guessed.
    connection.execute_batch("CREATE TABLE runs (id TEXT, distance REAL)").unwrap();
    refused(folder.path(), &path, &["no built-in profile", "runs"]);

    connection.execute_batch("DROP TABLE runs; DROP TABLE orders; DROP TABLE customers; DROP VIEW late").unwrap();
    refused(folder.path(), &path, &["its tables: none at all"]);
}

#[test]
fn a_profile_for_another_engine_is_named() {
    let profile = Some("runwisp".to_owned());
    let error = open_error(&Config { profile, ..Config::new("postgres://user:secret@localhost/jobs") });
    assert_error(&error, 500, &["runwisp", "SQLite", "PostgreSQL"]);
    assert!(!error.detail.contains("secret"), "{error}");
    for store in ["", "sqlite:"] {
        assert_error(&open_error(&Config::new(store)), 500, &["no store is named", "path"]);
    }
}

/// A store of this name in the folder, with one failed run.
fn named(folder: &Path, name: &str) {
    // Made under a plain name: SQLite itself reads signs in a name.
    let plain = folder.join("plain.db");
    let mut connection = Connection::open(&plain).unwrap();
    connection.execute_batch(NEWEST).unwrap();
    insert(&mut connection, &[Row::failed("1", "backup", "2026-04-15T12:00:00Z")]);
    drop(connection);
    fs::rename(plain, folder.join(name)).unwrap();
}

const ODD_NAMES: [&str; 9] = [
    "with spaces .db",
    "quotes'\".db",
    "question?mode=memory&cache=shared",
    "hash#1.db",
    "100%41%00.db",
    "ünïcødé 数据 🦀.db",
    "back\\slash;semicolon.db",
    "file:memory?mode=memory",
    ":memory:",
];

#[test]
fn a_path_is_a_path_whatever_signs_it_has() {
    for name in ODD_NAMES {
        let folder = tempfile::tempdir().unwrap();
        named(folder.path(), name);
        let path = folder.path().join(name);
        let answer = call(&open(&path), &all_failed(json!({}))).unwrap();
        assert_eq!(triggered(&answer), ["backup"], "{name}");
        assert_eq!(files(folder.path()).into_keys().collect::<Vec<_>>(), [name]);

        let prefixed = Plugin::open(&Config::new(format!("sqlite:{}", path.display()))).unwrap();
        assert_eq!(prefixed.survey().unwrap().runs, 2, "{name}");
    }
}

#[test]
fn a_relative_path_is_a_path_whatever_signs_it_has() {
    for name in ODD_NAMES {
        let folder = tempfile::tempdir().unwrap();
        named(folder.path(), name);
        let mut command = child::rerun(&[], name);
        command.current_dir(folder.path());
        let answer = child::answer(command, &all_failed(json!({}))).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(triggered(&answer), ["backup"], "{name}");
        assert_eq!(files(folder.path()).into_keys().collect::<Vec<_>>(), [name]);
        fs::rename(folder.path().join(name), folder.path().join("plain.db")).unwrap();
        assert_eq!(support::dump(&folder.path().join("plain.db")).len(), 2, "{name}");
    }
}

#[test]
fn a_held_write_lock_is_busy_and_a_dry_run_works() {
    let store = Store::new().holding(&[Row::failed("1", "backup", "2026-04-15T12:00:00Z")]);
    let before = store.dump();
    let plugin = Plugin::open(&config(&store.path)).unwrap();
    let host = store.open();
    host.execute_batch("BEGIN IMMEDIATE").unwrap();

    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 503, &["busy", "100 ms", "nothing was changed", "try again"]);
    let plan = call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(plan["planned"].as_array().unwrap().len(), 1);

    host.execute_batch("COMMIT").unwrap();
    assert_eq!(store.dump(), before);
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["backup"]);
}

#[test]
fn an_exclusive_lock_is_busy_whenever_it_is_met() {
    let store = Store::of_generation(NEWEST, "delete").holding(&[Row::failed("1", "backup", "2026-04-15T12:00:00Z")]);
    let before = store.dump();
    let plugin = Plugin::open(&config(&store.path)).unwrap();
    let host = store.open();
    host.execute_batch("BEGIN EXCLUSIVE").unwrap();

    for options in [json!({}), json!({"dry_run": true})] {
        assert_error(&call(&plugin, &all_failed(options)).unwrap_err(), 503, &["busy", "100 ms"]);
    }
    assert_error(&open_error(&config(&store.path)), 503, &["busy", "100 ms"]);

    host.execute_batch("COMMIT").unwrap();
    assert_eq!(store.dump(), before);
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["backup"]);
}

#[test]
fn a_reader_that_keeps_a_commit_waiting_is_busy() {
    let store = Store::of_generation(NEWEST, "delete").holding(&[Row::failed("1", "backup", "2026-04-15T12:00:00Z")]);
    let before = store.dump();
    let plugin = Plugin::open(&config(&store.path)).unwrap();
    let reader = store.open();
    reader.execute_batch("BEGIN; SELECT count(*) FROM runs").unwrap();

    // With a rollback journal the lock is granted, and the commit alone has to wait.
    assert_error(&call(&plugin, &all_failed(json!({}))).unwrap_err(), 503, &["busy", "nothing was changed"]);

    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(store.dump(), before);
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["backup"]);
}
