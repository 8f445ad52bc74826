//! The same rules in the built-in profiles' own schemas on SQLite: RunWisp's, apalis's, Django's.

use crate::support::calls::{all_failed, call, call_meanwhile, open, pairs, planned, reasons};
use crate::support::queue_store::lines;
use crate::support::{GENERATIONS, NEWEST, Row, Store, dump};
use bulk_rerun::Plugin;
use rusqlite::Connection;
use serde_json::json;

const NOON: &str = "2026-04-15T12:00:00Z";
const APALIS: &str = include_str!("../support/schemas/apalis-sqlite-1.0.sql");
const DJANGO: &str = include_str!("../support/schemas/django-tasks-db-0.13.sql");

/// A store in WAL, and what was done to it.
fn store(schema: &str, sql: &str) -> (Store, Connection) {
    let store = Store::of_generation(schema, "wal");
    let connection = store.open();
    connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    (store, connection)
}

fn plan(plugin: &Plugin, options: serde_json::Value) -> serde_json::Value {
    let mut options = options;
    options["dry_run"] = json!(true);
    call(plugin, &all_failed(options)).unwrap()
}

fn runwisp(rows: &str) -> (Store, Connection) {
    let columns = "task_name, id, status, end_reason, triggered_by, created_at, params_json";
    let sql: Vec<String> = rows
        .lines()
        .map(|row| {
            format!("INSERT INTO runs ({columns}) VALUES ({row});")
                .replace("FAILED", "'ended', 'failed', 'cron', '2026-04-15T12:00:00Z'")
        })
        .collect();
    store(NEWEST, &sql.join("\n"))
}

#[test]
fn runwisp_what_can_not_be_carried_is_answered_and_never_started() {
    let (store, connection) = runwisp(
        "'good', '1', FAILED, 'p'
         CAST(x'75ff' AS TEXT), '2', FAILED, 'p'
         CAST(x'75fe' AS TEXT), '3', FAILED, 'p'
         '', '4', FAILED, 'p'
         'no id', NULL, FAILED, 'p'
         'empty id', '', FAILED, 'p'
         'bytes id', x'00ff', FAILED, 'p'",
    );
    let answer = call(&open(&store.path), &all_failed(json!({}))).unwrap();
    assert_eq!(pairs(&answer), ["good: 1"]);
    assert_eq!(
        reasons(&answer),
        [
            ", 4: refused",
            "bytes id, x'00ff': refused",
            "empty id, : refused",
            "no id, -: refused",
            "x'75fe', 3: refused",
            "x'75ff', 2: refused"
        ]
    );
    assert_eq!(lines(&connection, "SELECT task_name FROM runs WHERE status = 'pending'"), ["good"]);
}

#[test]
fn runwisp_a_run_whose_id_is_in_bytes_is_started() {
    let (store, connection) = runwisp("'a', x'6161', FAILED, 'p'\n'b', x'6162', FAILED, x'71'");
    let plugin = open(&store.path);
    let plan = plan(&plugin, json!({}));
    assert_eq!(planned(&plan), ["a: aa (1)", "b: ab (1)"]);
    let answer = call(&plugin, &all_failed(json!({"expect_plan": plan["plan"]}))).unwrap();
    assert_eq!((pairs(&answer), reasons(&answer)), (vec!["a: aa".into(), "b: ab".into()], vec![]));
    let new = "SELECT task_name, typeof(params_json), CAST(params_json AS TEXT) FROM runs WHERE status = 'pending' ORDER BY 1";
    assert_eq!(lines(&connection, new), ["a|text|p", "b|blob|q"]);
    assert_eq!(pairs(&call(&plugin, &json!({"ids": ["ab"]})).unwrap()), ["b: ab"]);
}

/// RunWisp's own driver is Go's: a `[]byte` is stored as BLOB, a string as TEXT.
#[test]
fn runwisp_the_same_parameters_in_another_storage_class_are_the_same() {
    let (store, _connection) =
        runwisp("'a', '1', FAILED, '{}'\n'a', '2', FAILED, x'7b7d'\n'a', '3', FAILED, NULL\n'a', '4', FAILED, ''");
    assert_eq!(
        planned(&plan(&open(&store.path), json!({"unique_by": "params"}))),
        ["a: 2 (2)", "a: 3 (1)", "a: 4 (1)"]
    );

    let running = "'a', '9', 'running', NULL, 'cron', '2026-04-15T12:00:00Z', ";
    for (failed, active) in [("'{}'", "x'7b7d'"), ("x'7b7d'", "'{}'")] {
        let (store, _connection) = runwisp(&format!("'a', '1', FAILED, {failed}\n{running}{active}"));
        let plan = plan(&open(&store.path), json!({"unique_by": "params", "skip_active": true}));
        assert_eq!(reasons(&plan), ["a, 1: active"], "{failed}");
    }
}

#[test]
fn runwisp_names_in_bytes_are_the_same_names() {
    let (store, connection) = runwisp("'a', '1', FAILED, 'p'\nx'61', '2', FAILED, 'q'");
    let plugin = open(&store.path);
    let filter = json!({"match_all": true, "filter": {"task_name": "a"}, "options": {"dry_run": true}});
    assert_eq!(planned(&call(&plugin, &filter).unwrap()), ["a: 2 (2)"]);
    connection.execute_batch("UPDATE runs SET status = 'running' WHERE id = '1'").unwrap();
    assert_eq!(reasons(&plan(&plugin, json!({"skip_active": true}))), ["a, 2: active"]);
}

#[test]
fn runwisp_a_run_that_was_soft_deleted_meanwhile_is_gone_in_each_layout() {
    for schema in [GENERATIONS[1], NEWEST] {
        let store = Store::of_generation(schema, "wal").holding(&["a", "b"].map(|task| Row::failed(task, task, NOON)));
        let delete = || store.open().execute_batch("UPDATE runs SET deleted_at = 'now' WHERE id = 'a'").unwrap();
        let answer = call_meanwhile(&open(&store.path), &all_failed(json!({})), delete).unwrap();
        assert_eq!((pairs(&answer), reasons(&answer)), (vec!["b: b".into()], vec!["a, a: gone".into()]));
        assert_eq!(dump(&store.path).len(), 3);
    }
}

fn apalis(jobs: &str) -> (Store, Connection) {
    let sql: Vec<String> = jobs
        .lines()
        .map(|job| {
            format!("INSERT INTO Jobs (job_type, id, job, status, attempts, max_attempts) VALUES ({job});")
                .replace("FAILED", "'Failed', 2, 2")
        })
        .collect();
    store(APALIS, &sql.join("\n"))
}

/// Two ULIDs of one millisecond.
const ULIDS: [&str; 2] = ["01KP8Z5S0000000000000000AB", "01KP8Z5S0000000000000000AC"];

#[test]
fn apalis_the_same_job_as_text_and_as_bytes_is_the_same() {
    let [one, two] = ULIDS;
    let (store, connection) = apalis(&format!("'mail', '{one}', '{{}}', FAILED\n'mail', '{two}', x'7b7d', FAILED"));
    let plugin = open(&store.path);
    assert_eq!(planned(&plan(&plugin, json!({"unique_by": "params"}))), [format!("mail: {two} (2)")]);
    connection.execute_batch(&format!("UPDATE Jobs SET status = 'Running' WHERE id = '{two}'")).unwrap();
    let active = plan(&plugin, json!({"unique_by": "params", "skip_active": true}));
    assert_eq!(reasons(&active), [format!("mail, {one}: active")]);
}

#[test]
fn apalis_a_queue_whose_name_is_not_utf_8_is_answered() {
    let [one, two] = ULIDS;
    let (store, connection) = apalis(&format!(
        "CAST(x'75ff' AS TEXT), '{one}', x'01', FAILED\nCAST(x'75fe' AS TEXT), '{two}', x'02', FAILED"
    ));
    let answer = call(&open(&store.path), &all_failed(json!({}))).unwrap();
    assert_eq!(reasons(&answer), [format!("x'75fe', {two}: refused"), format!("x'75ff', {one}: refused")]);
    assert_eq!(lines(&connection, "SELECT count(*) FROM Jobs"), ["2"]);
}

#[test]
fn apalis_an_id_in_bytes_is_an_id() {
    let [one, two] = ULIDS;
    let (store, connection) =
        apalis(&format!("'a', CAST('{one}' AS BLOB), x'01', FAILED\n'a', '{two}', x'02', FAILED"));
    let answer = call(&open(&store.path), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!((pairs(&answer), reasons(&answer)), (vec![format!("a: {one}"), format!("a: {two}")], vec![]));
    assert_eq!(lines(&connection, "SELECT hex(job) FROM Jobs WHERE status = 'Pending' ORDER BY 1"), ["01", "02"]);
}

#[test]
fn django_names_and_ids_go_by_their_bytes() {
    let job = |id: &str, path: &str| {
        format!(
            "INSERT INTO django_tasks_database_dbtaskresult VALUES ({id}, '{{}}', 0, {path}, 'default', 'default',
             '9999-01-01 00:00:00', '2026-04-15 12:00:00', NULL, NULL, NULL, '', '', '[\"w\"]', 'FAILED');"
        )
    };
    let sql = [
        job("'0f'", "'shop.mail'"),
        job("'0e'", "'shop.mail'"),
        job("x'3061'", "'shop.bytes'"),
        job("'0c'", "CAST(x'75ff' AS TEXT)"),
        job("''", "'shop.empty'"),
    ];
    let (store, connection) = store(DJANGO, &sql.concat());
    let answer = call(&open(&store.path), &all_failed(json!({}))).unwrap();
    assert_eq!(pairs(&answer), ["shop.bytes: 0a", "shop.mail: 0f"]);
    assert_eq!(reasons(&answer), ["shop.empty, : refused", "x'75ff', 0c: refused"]);
    let ready = "SELECT task_path FROM django_tasks_database_dbtaskresult WHERE status = 'READY' ORDER BY 1";
    assert_eq!(lines(&connection, ready), ["shop.bytes", "shop.mail"]);
}
