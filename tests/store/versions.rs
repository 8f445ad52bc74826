//! A store's version is asked in the session that uses it, and a statement that can't be asked is named.

use crate::support::calls::{all_failed, assert_error, call, call_meanwhile, open, pairs};
use crate::support::queue_store::{Own, QUEUES_SPAWN, QUEUES_VIEW, lines, profile};
use crate::support::{Store, runners::bulk_rerun};
use serde_json::json;

const DJANGO: &str = include_str!("../support/schemas/django-tasks-db-0.13.sql");

/// A store of Django's with a failed run of each of two tasks.
fn django() -> Store {
    let store = Store::of_generation(DJANGO, "wal");
    for (id, path) in [("0a", "shop.mail"), ("0b", "shop.report")] {
        let sql = "INSERT INTO django_tasks_database_dbtaskresult VALUES (?1, '{}', 0, ?2, 'default', 'default', '9999-01-01 00:00:00',
             '2026-04-15 12:00:00', NULL, NULL, NULL, '', '', '[\"w\"]', 'FAILED')";
        store.open().execute(sql, [id, path]).unwrap();
    }
    store
}

/// What Django's own `migrate` of a later release leaves.
const MIGRATED: &str = "INSERT INTO django_migrations (app, name, applied) VALUES ('django_tasks_database', '0022_of_a_day_to_come', '2026-11-25')";

fn count(store: &Store) -> Vec<String> {
    lines(&store.open(), "SELECT count(*) FROM django_tasks_database_dbtaskresult")
}

#[test]
fn a_store_that_was_migrated_under_an_open_plugin_is_refused() {
    for request in [all_failed(json!({})), all_failed(json!({"dry_run": true})), json!({"ids": ["0a"]})] {
        let store = django();
        let plugin = open(&store.path);
        assert_eq!(call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap()["matched"], 2);
        store.open().execute_batch(MIGRATED).unwrap();
        let error = call(&plugin, &request).unwrap_err();
        assert_error(&error, 500, &["22", "19", "21"]);
        assert_eq!(count(&store), ["2"], "{request}");
        // And it is taken again once the migration was taken back.
        store.open().execute_batch("DELETE FROM django_migrations WHERE name LIKE '0022%'").unwrap();
        assert_eq!(pairs(&call(&plugin, &all_failed(json!({}))).unwrap()).len(), 2);
    }
}

#[test]
fn a_store_that_was_migrated_between_search_and_spawn_is_refused() {
    let store = django();
    let migrate = || store.open().execute_batch(MIGRATED).unwrap();
    let error = call_meanwhile(&open(&store.path), &all_failed(json!({})), migrate).unwrap_err();
    assert_error(&error, 500, &["22", "nothing was changed"]);
    assert_eq!(count(&store), ["2"]);
}

#[test]
fn the_door_that_stays_open_says_what_check_says() {
    let store = django();
    let plugin = open(&store.path);
    store.open().execute_batch(MIGRATED).unwrap();
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    let check = bulk_rerun().args(["check", "--store", store.path_str()]).output().unwrap();
    assert_eq!(check.status.code(), Some(1));
    assert!(String::from_utf8(check.stderr).unwrap().contains("(it is 22)"));
    assert!(error.detail.contains("22"), "{error}");
}

/// A profile whose version is asked by this statement.
fn with_version(version: &str) -> Own {
    let store = Own::queues("TEXT", "INTEGER PRIMARY KEY", "('a', 1, 'broken', 'p')");
    store.execute("CREATE TABLE release (number); INSERT INTO release VALUES (7)");
    let text = profile("sqlite", QUEUES_VIEW, QUEUES_SPAWN);
    store.set_profile(&text.replace("runs = '''", &format!("version = {{ {version} }}\nruns = '''")));
    store
}

#[test]
fn a_version_statement_that_can_not_be_asked_is_named() {
    for (query, words) in [
        ("SELECT number FROM releases", "no such table: releases"),
        ("SELECT nummer FROM release", "no such column: nummer"),
        ("SELEKT 1", "syntax error"),
        ("", "version"),
        ("SELECT 'seven'", "version"),
        ("SELECT number FROM release WHERE number = :id", "version"),
        ("DELETE FROM release RETURNING number", "version"),
    ] {
        let store = with_version(&format!("query = \"{query}\", from = 7, to = 7"));
        let before = (store.dump(), store.lines("SELECT * FROM release"));
        let error = store.try_plugin().err().unwrap_or_else(|| panic!("{query} is no mistake"));
        assert_error(&error, 500, &["own.toml", "version", words]);
        assert_eq!((store.dump(), store.lines("SELECT * FROM release")), before, "{query}");
        store.tool("check", &[]).says(1, &["own.toml", "version", words]);
    }
    with_version("query = 'SELECT number FROM release', from = 7, to = 7").plugin();
    let error = with_version("query = 'SELECT number FROM release', from = 8, to = 9").try_plugin().err().unwrap();
    assert_error(&error, 500, &["from 8 to 9", "7"]);
}

#[test]
fn a_version_may_be_numbers_with_dots_or_a_word() {
    let with = |known: &str| {
        let store = with_version(&format!("query = 'SELECT number FROM release', {known}"));
        store.execute("UPDATE release SET number = '1.16.10'");
        store
    };
    for known in ["from = '1.16.4', to = '1.16'", "from = 1, to = 1", "any_of = ['b1c2', '1.16.10']"] {
        with(known).plugin();
    }
    for (known, words) in [
        ("from = '1.9', to = '1.16.9'", "a schema version from 1.9 to 1.16.9 (it is 1.16.10)"),
        ("any_of = ['b1c2', 'd3e4']", "the schema version b1c2 or d3e4 (it is 1.16.10)"),
    ] {
        assert_error(&with(known).try_plugin().err().unwrap(), 500, &["own.toml", words]);
        with(known).tool("check", &[]).says(1, &[words]);
    }
    let store = with("any_of = ['1.16.10']");
    let plugin = store.plugin();
    store.execute("UPDATE release SET number = 'b1c2'");
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["the schema version 1.16.10 (it is b1c2)"]);
}

/// The table of versions vanishes while the store is open.
#[test]
fn a_version_statement_that_can_not_be_asked_any_more_spawns_nothing() {
    let store = with_version("query = 'SELECT number FROM release', from = 7, to = 7");
    let plugin = store.plugin();
    store.execute("DROP TABLE release");
    let before = store.dump();
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["release"]);
    assert_eq!(store.dump(), before);
}

/// The first of several would be luck.
#[test]
fn a_version_query_that_finds_several_rows_is_a_mistake() {
    let version = "version = { query = 'SELECT state FROM jobs', any_of = ['broken'] }\nruns = ";
    let profile = profile("sqlite", QUEUES_VIEW, QUEUES_SPAWN).replacen("runs = ", version, 1);
    let store = Own::queues("TEXT", "INTEGER", "('mail', 1, 'broken', 'm')");
    store.set_profile(&profile);
    store.tool("check", &[]).says(0, &["1 run of 1 task"]);
    store.execute("INSERT INTO jobs (queue, id, state) VALUES ('mail', 2, 'broken')");
    store.tool("check", &[]).says(1, &["version.query", "finds several rows"]);
}
