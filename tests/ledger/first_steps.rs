//! The ledger in an SQLite store, and the key under which a re-run is done once.

use crate::support::calls::{all_failed, call, open, skipped, triggered};
use crate::support::tool::{bulk_rerun, command, night, text};
use crate::support::{Row, Store};
use bulk_rerun::{Config, ErrorModel, Plugin};
use rusqlite::types::Value as Column;
use serde_json::{Value, json};

/// A night with a ledger: 5 runs of 4 tasks, 3 of them failed.
fn kept() -> Store {
    let store = night();
    assert_eq!(open(&store.path).create_ledger(), Ok(true));
    store
}

fn keyed(key: &str) -> Value {
    all_failed(json!({"idempotency_key": key}))
}

fn error(store: &Store, request: &Value) -> ErrorModel {
    call(&open(&store.path), request).unwrap_err()
}

fn number(store: &Store, sql: &str) -> i64 {
    store.open().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn operations(store: &Store) -> i64 {
    number(store, "SELECT count(*) FROM bulk_rerun_operations")
}

fn spawned(store: &Store) -> i64 {
    number(store, "SELECT count(*) FROM runs WHERE triggered_by = 'api'")
}

#[test]
fn what_was_done_is_written_down_with_the_new_runs() {
    let store = kept();
    let options = json!({"reason": "the disk was full", "actor": "ada", "skip_active": true});
    let mut request = all_failed(options);
    request["filter"]["created_after"] = json!("2026-04-15T03:00:00+02:00");
    let answer = call(&open(&store.path), &request).unwrap();
    assert_eq!(triggered(&answer), ["backup"]);
    assert_eq!(skipped(&answer), ["c1: service"]);
    let connection = store.open();
    let sql =
        "SELECT operation_id, door, actor, reason, idempotency_key, request, triggered, skipped, undone_at, profile,
                      created_at BETWEEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-60 seconds')
                                 AND strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
               FROM bulk_rerun_operations";
    let row: Vec<Column> = connection.query_row(sql, [], |row| (0..11).map(|at| row.get(at)).collect()).unwrap();
    let as_carried_out = r#"{"match_all":true,"filter":{"status":"failed","created_after":"2026-04-15T01:00:00Z"},"#
        .to_owned()
        + r#""options":{"unique_by":"task","skip_active":true}}"#;
    let text = |text: &str| Column::Text(text.to_owned());
    assert_eq!(
        row,
        [
            text(answer["operation_id"].as_str().unwrap()),
            text("rust"),
            text("ada"),
            text("the disk was full"),
            Column::Null,
            text(&as_carried_out),
            Column::Integer(1),
            Column::Integer(1),
            Column::Null,
            text("runwisp"),
            Column::Integer(1),
        ]
    );
    let sql = "SELECT task_name, rerun_of, run_id FROM bulk_rerun_runs";
    let run: Vec<Column> = connection.query_row(sql, [], |row| (0..3).map(|at| row.get(at)).collect()).unwrap();
    assert_eq!(run, [text("backup"), text("a2"), text(answer["triggered"][0]["run_id"].as_str().unwrap())]);
}

#[test]
fn every_door_writes_whatever_its_config_says() {
    let store = kept();
    call(&open(&store.path), &json!({"ids": ["a1"]})).unwrap();
    let rerun = ["rerun", "--store", store.path_str(), "--ids", "a1", "--yes", "--json"];
    let output = command(&rerun).env("USER", "grace").output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answer["operation_id"].is_string(), "{answer}");
    let script = r#"require "bulk_rerun".open { store = arg[1] }:rerun { ids = { "a1" } }"#;
    let file = store.path.with_file_name("script.lua");
    std::fs::write(&file, script).unwrap();
    let output = bulk_rerun(&["lua", file.to_str().unwrap(), store.path_str()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let connection = store.open();
    let mut rows = connection.prepare("SELECT door, actor FROM bulk_rerun_operations ORDER BY number").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let rows: Vec<(String, Option<String>)> = rows.collect::<Result<_, _>>().unwrap();
    assert_eq!(
        rows,
        [("rust".to_owned(), None), ("cli".to_owned(), Some("grace".to_owned())), ("lua".to_owned(), None)]
    );
}

#[test]
fn a_store_without_a_ledger_gets_none_unasked_and_refuses_what_needs_one() {
    let store = night();
    let request = all_failed(json!({"idempotency_key": "k", "reason": "why", "actor": "ada"}));
    let error = error(&store, &request);
    let places: Vec<_> = error.errors.iter().map(|violation| violation.location.as_str()).collect();
    assert_eq!(error.status, 422);
    assert_eq!(places, ["body.options.idempotency_key", "body.options.reason", "body.options.actor"]);
    assert!(error.to_json().contains("bulk-rerun ledger create"), "{error}");
    let dry = all_failed(json!({"idempotency_key": "k", "reason": "why", "actor": "ada", "dry_run": true}));
    assert_eq!(call(&open(&store.path), &dry).unwrap()["planned"].as_array().unwrap().len(), 1);
    let answer = call(&open(&store.path), &all_failed(json!({}))).unwrap();
    assert!(answer.get("operation_id").is_none() && answer.get("replayed").is_none(), "{answer}");
    assert_eq!(number(&store, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'bulk_rerun%'"), 0);
}

#[test]
fn the_config_makes_the_ledger_and_a_dry_run_writes_nothing_into_it() {
    let store = night();
    let config = Config { ledger: true, ..Config::new(store.path_str()) };
    let plugin = Plugin::open(&config).unwrap();
    assert_eq!(operations(&store), 0);
    call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap();
    call(&plugin, &all_failed(json!({"dry_run": true, "idempotency_key": "k"}))).unwrap();
    assert_eq!(operations(&store), 0);
    call(&plugin, &keyed("k")).unwrap();
    // Once more opened, it is left as it is.
    assert_eq!(call(&Plugin::open(&config).unwrap(), &keyed("k")).unwrap()["replayed"], true);
    assert_eq!((operations(&store), spawned(&store)), (1, 1));
}

#[test]
fn the_same_key_is_answered_as_the_first_time() {
    let store = kept();
    let request = json!({"ids": ["a1", "c1", "zz", "b1"], "options": {"idempotency_key": "k"}});
    let first = call(&open(&store.path), &request).unwrap();
    assert_eq!(triggered(&first), ["backup", "import"]);
    assert_eq!(skipped(&first), ["c1: service", "zz: not_found"]);
    // Whatever has become of the runs since.
    store.open().execute("DELETE FROM runs WHERE id <> 'a2'", []).unwrap();
    let mut again = call(&open(&store.path), &request).unwrap();
    assert_eq!(again.as_object_mut().unwrap().remove("replayed"), Some(json!(true)));
    assert_eq!(again, first);
    let mut camel = call(
        &open(&store.path),
        &json!({"ids": ["a1", "c1", "zz", "b1"],
                                            "options": {"idempotencyKey": "k"}}),
    )
    .unwrap();
    assert_eq!(camel["operationId"], first["operation_id"]);
    assert_eq!(camel["triggered"][0]["runId"], first["triggered"][0]["run_id"]);
    assert_eq!(camel["replayed"].take(), true);
    assert_eq!((operations(&store), spawned(&store)), (1, 0));
}

#[test]
fn a_key_stands_for_one_request() {
    let store = kept();
    call(&open(&store.path), &keyed("k")).unwrap();
    for other in [
        all_failed(json!({"idempotency_key": "k", "unique_by": "run"})),
        all_failed(json!({"idempotency_key": "k", "limit": 9})),
        json!({"match_all": true, "filter": {"status": "failed,timeout"}, "options": {"idempotency_key": "k"}}),
        json!({"ids": ["a1"], "options": {"idempotency_key": "k"}}),
    ] {
        let error = error(&store, &other);
        assert_eq!((error.status, &*error.errors[0].location), (422, "body.options.idempotency_key"), "{other}");
        assert!(error.errors[0].message.contains("another request"), "{error}");
    }
    // Who wants it, and why, is not what is wanted.
    let request = all_failed(json!({"idempotency_key": "k", "reason": "once more", "actor": "ada"}));
    assert_eq!(call(&open(&store.path), &request).unwrap()["replayed"], true);
    assert_eq!((operations(&store), spawned(&store)), (1, 1));
}

#[test]
fn a_key_under_which_nothing_was_found_stays_with_that() {
    let store = kept();
    let request = json!({"match_all": true, "filter": {"status": "crashed"}, "options": {"idempotency_key": "k"}});
    let first = call(&open(&store.path), &request).unwrap();
    assert_eq!(first["triggered"], json!([]));
    let store =
        store
            .holding(&[Row::failed("e1", "late", "2026-04-15T04:00:00Z")
                .with(|row| row.end_reason = Some("crashed".to_owned()))]);
    let again = call(&open(&store.path), &request).unwrap();
    assert_eq!((&again["triggered"], &again["replayed"]), (&json!([]), &json!(true)));
    assert_eq!(again["operation_id"], first["operation_id"]);
}

#[test]
fn a_request_that_fails_leaves_its_key_free() {
    let store = kept();
    let limited = all_failed(json!({"idempotency_key": "k", "unique_by": "run", "limit": 1}));
    assert_eq!(error(&store, &limited).status, 422);
    assert_eq!(operations(&store), 0);
    let answer = call(&open(&store.path), &keyed("k")).unwrap();
    assert!(answer.get("replayed").is_none(), "{answer}");
}

#[test]
fn keys_reasons_and_actors_are_bounded() {
    let store = kept();
    let long = |length| "ż".repeat(length);
    for (field, bad) in [
        ("idempotency_key", json!("")),
        ("idempotency_key", json!(" ")),
        ("idempotency_key", json!(long(256))),
        ("idempotency_key", json!("a\0b")),
        ("idempotency_key", json!(7)),
        ("reason", json!(long(1_001))),
        ("actor", json!(long(256))),
    ] {
        let error = error(&store, &all_failed(json!({field: bad})));
        assert_eq!((error.status, &*error.errors[0].location), (422, &*format!("body.options.{field}")));
    }
    let longest = json!({"idempotency_key": long(255), "reason": long(1_000), "actor": long(255)});
    call(&open(&store.path), &all_failed(longest)).unwrap();
    assert_eq!(operations(&store), 1);
}

/// Whoever keeps the ledger from being written keeps the runs from being started.
#[test]
fn nothing_is_spawned_that_can_not_be_written_down() {
    for table in ["bulk_rerun_operations", "bulk_rerun_runs"] {
        let store = kept();
        let trigger = format!("CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'not here'); END");
        store.open().execute_batch(&trigger).unwrap();
        let error = error(&store, &all_failed(json!({})));
        assert_eq!(error.status, 500);
        assert!(error.detail.contains("ledger") && error.detail.contains("not here"), "{error}");
        assert_eq!((operations(&store), spawned(&store)), (0, 0), "{table}");
    }
}

/// What stands in the way of a re-run shows in the trial, of which the ledger keeps nothing.
#[test]
fn a_trial_tries_the_ledger_too() {
    let store = kept();
    open(&store.path).trial(None).unwrap();
    assert_eq!((operations(&store), spawned(&store)), (0, 0));
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON bulk_rerun_operations BEGIN SELECT RAISE(ABORT, 'not here'); END";
    store.open().execute_batch(trigger).unwrap();
    assert!(open(&store.path).trial(None).unwrap_err().detail.contains("not here"));
}

#[test]
fn a_ledger_of_a_later_version_is_left_alone() {
    let store = kept();
    store
        .open()
        .execute_batch("DROP VIEW bulk_rerun_ledger; CREATE VIEW bulk_rerun_ledger AS SELECT 7 AS version")
        .unwrap();
    let error = error(&store, &all_failed(json!({})));
    assert!(error.detail.contains("version 7") && error.detail.contains("upgrade"), "{error}");
    assert_eq!(spawned(&store), 0);
    // To look is allowed.
    call(&open(&store.path), &all_failed(json!({"dry_run": true}))).unwrap();
}

/// Makes version 1 of the ledger: what came later is taken away again.
const VERSION_1: &str = "DROP INDEX bulk_rerun_runs_by_run; DROP INDEX bulk_rerun_runs_by_source;
    ALTER TABLE bulk_rerun_runs DROP COLUMN undone_at;
    DROP VIEW bulk_rerun_ledger; CREATE VIEW bulk_rerun_ledger AS SELECT 1 AS version";

#[test]
fn an_older_ledger_is_brought_up_to_date_under_the_feet_of_its_callers() {
    let store = night();
    // Version 0 is nothing but its number.
    under_the_feet(&store, "CREATE VIEW bulk_rerun_ledger AS SELECT 0 AS version");

    let store = kept();
    let first = call(&open(&store.path), &keyed("before")).unwrap();
    under_the_feet(&store, VERSION_1);
    let again = call(&open(&store.path), &keyed("before")).unwrap();
    assert_eq!((&again["replayed"], &again["triggered"]), (&json!(true), &first["triggered"]));
}

/// Who looks before anybody has written finds what an older version has written down.
#[test]
fn an_older_ledger_is_brought_up_to_date_by_who_reads_it() {
    let store = kept();
    let first = call(&open(&store.path), &keyed("before")).unwrap();
    store.open().execute_batch(VERSION_1).unwrap();
    let plugin = open(&store.path);
    let query = json!({"operation_id": first["operation_id"]}).to_string();
    let operation: Value = serde_json::from_str(&plugin.call_operations(query.as_bytes()).unwrap()).unwrap();
    assert_eq!((&operation["idempotency_key"], &operation["states"]), (&json!("before"), &json!({"pending": 1})));
}

fn under_the_feet(store: &Store, older: &str) {
    let (operations_before, spawned_before) = (if older == VERSION_1 { 1 } else { 0 }, spawned(store));
    let plugins = [(); 4].map(|()| open(&store.path));
    store.open().execute_batch(older).unwrap();
    std::thread::scope(|scope| {
        for (number, plugin) in plugins.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..5 {
                    let key = format!("{number} {round}");
                    let answer = call(plugin, &keyed(&key)).unwrap();
                    assert!(answer.get("replayed").is_none() && answer["operation_id"].is_string(), "{answer}");
                }
            });
        }
    });
    assert_eq!((operations(store) - operations_before, spawned(store) - spawned_before), (20, 20));
    assert_eq!(number(store, "SELECT version FROM bulk_rerun_ledger"), 2);
}

#[test]
fn a_ledger_that_is_dropped_or_made_meanwhile_is_noticed() {
    let store = kept();
    let plugin = open(&store.path);
    call(&plugin, &keyed("k")).unwrap();
    assert_eq!(open(&store.path).drop_ledger(), Ok(()));
    assert_eq!(call(&plugin, &keyed("k")).unwrap_err().status, 422);
    assert!(call(&plugin, &all_failed(json!({}))).unwrap().get("operation_id").is_none());
    assert_eq!(open(&store.path).create_ledger(), Ok(true));
    assert!(call(&plugin, &keyed("k")).unwrap()["operation_id"].is_string());
    assert_eq!(operations(&store), 1);
}

#[test]
fn the_tool_makes_shortens_and_drops_it() {
    let store = night();
    let ledger = |arguments: &[&str]| {
        let output = bulk_rerun(&[&["ledger"], arguments, &["--store", store.path_str()]].concat());
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    let (status, said) = ledger(&["prune", "--older-than", "1d"]);
    assert!(status == 1 && said.contains("no ledger"), "{said}");
    assert_eq!(ledger(&["create"]), (0, "The ledger was made.\n".to_owned()));
    assert_eq!(ledger(&["create"]), (0, "There is a ledger already.\n".to_owned()));
    for key in ["old", "new"] {
        call(&open(&store.path), &keyed(key)).unwrap();
    }
    let age = "UPDATE bulk_rerun_operations SET created_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-91 days')
               WHERE idempotency_key = 'old'";
    store.open().execute(age, []).unwrap();
    assert_eq!(ledger(&["prune", "--older-than", "90d"]), (0, "1 re-run taken out of the ledger.\n".to_owned()));
    assert_eq!(number(&store, "SELECT count(*) FROM bulk_rerun_runs"), 1);
    // Its key is free, and the other's is not.
    assert!(call(&open(&store.path), &keyed("old")).unwrap().get("replayed").is_none());
    assert_eq!(call(&open(&store.path), &keyed("new")).unwrap()["replayed"], true);
    assert_eq!(ledger(&["drop"]), (0, "The ledger was taken away.\n".to_owned()));
    assert_eq!(number(&store, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'bulk_rerun%'"), 0);
    let (status, said) = ledger(&["drop"]);
    assert!(status == 1 && said.contains("no ledger"), "{said}");
}

/// Nor is one made by who only looks.
#[test]
fn the_tool_makes_one_with_its_first_re_run() {
    let store = night();
    let tables = || number(&store, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'bulk_rerun%'");
    let run = |arguments: &[&str]| {
        let output =
            command(&[arguments, &["--store", store.path_str()]].concat()).env("BULK_RERUN_LEDGER", "1").output();
        assert_eq!(output.unwrap().status.code(), Some(0), "{arguments:?}");
    };
    run(&["check"]);
    run(&["rerun", "--status", "failed", "--dry-run"]);
    assert_eq!(tables(), 0);
    run(&["rerun", "--status", "failed", "--yes"]);
    assert_eq!((operations(&store), spawned(&store)), (1, 1));
}

#[test]
fn the_tool_says_that_a_key_was_used_before() {
    let store = kept();
    let rerun = |flags: &[&str]| {
        let all = ["rerun", "--store", store.path_str(), "--status", "failed", "--yes", "--idempotency-key", "k"];
        let output = bulk_rerun(&[&all, flags].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(rerun(&[]).starts_with("1 new run spawned"));
    let again = rerun(&[]);
    assert!(again.starts_with("Nothing was spawned now.") && again.contains("1 new run then (operation 01"), "{again}");
    assert_eq!(rerun(&["--quiet"]), "");
    assert!(rerun(&["--summary"]).starts_with("nothing was spawned now, and 1 new run before"));
    for flag in ["--idempotency-key", "--reason", "--actor"] {
        let output = bulk_rerun(&["rerun", "--store", store.path_str(), "--all", "--yes", flag, ""]);
        assert_eq!(output.status.code(), Some(2), "{flag}");
    }
    assert_eq!(spawned(&store), 1);
}
