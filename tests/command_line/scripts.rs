//! What the doors for scripts stand on: a predicate over the matched runs, and a cursor.

use crate::support::calls::{all_failed, assert_error, open, skipped, triggered};
use crate::support::tool::{command, night, text};
use crate::support::{NEWEST, Row, Store};
use bulk_rerun::{ErrorModel, Plugin, Run};
use serde_json::{Value, json};

const NOON: &str = "2026-04-15T12:00:00Z";
const LATER: &str = "2026-04-15T13:00:00Z";

fn stores() -> [Store; 2] {
    let rows = [
        Row::failed("a1", "alpha", NOON).with(|row| row.exit_code = 3),
        Row::failed("a2", "alpha", LATER).with(|row| row.exit_code = 137),
        Row::failed("b1", "beta", NOON).with(|row| row.params_json = Some("{\"day\": \"3\"}".to_owned())),
        Row::failed("w1", "web", NOON).with(|row| row.triggered_by = "service".to_owned()),
    ];
    ["wal", "delete"].map(|journal_mode| Store::of_generation(NEWEST, journal_mode).holding(&rows))
}

fn call_where(
    plugin: &Plugin,
    request: &Value,
    mut keep: impl FnMut(&Run) -> Result<bool, ErrorModel>,
) -> Result<Value, ErrorModel> {
    let answer = plugin.call_where(request.to_string().as_bytes(), &mut keep)?;
    Ok(serde_json::from_str(&answer).unwrap())
}

#[test]
fn a_predicate_drops_runs_before_they_are_grouped() {
    for store in stores() {
        let answer =
            call_where(&open(&store.path), &all_failed(json!({})), |run| Ok(run.exit_code != Some(137))).unwrap();
        let sources: Vec<_> =
            answer["triggered"].as_array().unwrap().iter().map(|run| run["rerun_of"].clone()).collect();
        assert_eq!(sources, ["a1", "b1"], "the newest that is kept, not the newest of all");
        assert_eq!(skipped(&answer), ["w1: service"]);
    }
}

#[test]
fn a_predicate_sees_the_whole_run_and_decides_what_matched() {
    let [store, _] = stores();
    let mut seen = Vec::new();
    let request = json!({"ids": ["b1", "zz", "w1"], "options": {"dry_run": true}});
    let answer = call_where(&open(&store.path), &request, |run| {
        seen.push(serde_json::from_str::<Value>(&run.to_json()).unwrap());
        Ok(run.task_name != "web")
    })
    .unwrap();
    assert_eq!(
        seen[0],
        json!({"id": "b1", "task_name": "beta", "phase": "ended", "end_reason": "failed", "exit_code": 1,
            "triggered_by": "cron", "created_at": NOON, "retry_attempt": 0, "params": "{\"day\": \"3\"}",
            "is_failure": true})
    );
    assert_eq!((seen[1]["unfit"].clone(), seen.len()), (json!("service"), 2));
    assert_eq!(answer["matched"], 1);
    assert_eq!(answer["skipped"], json!([{"run_id": "zz", "reason": "not_found"}]));
}

#[test]
fn an_error_of_a_predicate_fails_the_call_at_once_and_spawns_nothing() {
    for store in stores() {
        let before = store.dump();
        let mut asked = 0;
        let error = call_where(&open(&store.path), &all_failed(json!({})), |_| {
            asked += 1;
            Err(ErrorModel::new(500, "the script's own error"))
        });
        assert_error(&error.unwrap_err(), 500, &["the script's own error"]);
        assert_eq!((asked, store.dump()), (1, before));
    }
}

#[test]
fn a_predicate_that_calls_its_own_plugin_is_told_so_and_nobody_waits() {
    let [store, other] = stores();
    let (plugin, other) = (open(&store.path), open(&other.path));
    let before = store.dump();
    let error = call_where(&plugin, &all_failed(json!({})), |run| {
        // Another plugin is nobody's own.
        other.call(all_failed(json!({"dry_run": true})).to_string().as_bytes())?;
        plugin.call(json!({"ids": [run.id]}).to_string().as_bytes()).map(|_| true)
    });
    assert_error(&error.unwrap_err(), 409, &["from within its own predicate or callback"]);
    assert_eq!(store.dump(), before);
    // It is as good as new afterwards.
    assert_eq!(triggered(&call_where(&plugin, &all_failed(json!({})), |_| Ok(true)).unwrap()), ["alpha", "beta"]);
}

#[test]
fn a_cursor_holds_nothing_and_what_is_spawned_meanwhile_does_not_come_up() {
    for store in stores() {
        let plugin = open(&store.path);
        let all = json!({"match_all": true}).to_string();
        let mut cursor = plugin.cursor(all.as_bytes()).unwrap();
        let mut ids = Vec::new();
        while let Some(run) = cursor.next_run().unwrap() {
            let run: Value = serde_json::from_str(&run).unwrap();
            let request = json!({"ids": [run["id"]], "options": {"unique_by": "run"}});
            plugin.call(request.to_string().as_bytes()).unwrap();
            // Neither a writer nor a checkpoint has to wait.
            let host = store.open();
            host.execute_batch("BEGIN EXCLUSIVE; UPDATE runs SET exit_code = 9; COMMIT").unwrap();
            let busy: i64 = host.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
            assert_eq!(busy, 0);
            ids.push(run["id"].as_str().unwrap().to_owned());
            assert!(run["exit_code"] != 9, "runs are as they were when they matched: {run}");
        }
        assert_eq!(ids, ["a1", "a2", "b1", "w1"]);
        assert_eq!(store.dump().len(), 4 + 3, "all but the service were spawned");
        assert!(cursor.next_run().unwrap().is_none(), "the end stays the end");
    }
}

#[test]
fn a_cursor_takes_a_selector_alone() {
    let [store, _] = stores();
    let plugin = open(&store.path);
    let error = |selector: Value| plugin.cursor(selector.to_string().as_bytes()).err().unwrap();
    assert_error(&error(json!({"ids": ["a1"], "options": {"limit": 1}})), 422, &["body.options", "mean nothing"]);
    assert_error(&error(json!({"ids": []})), 400, &["invalid run selector"]);
    let mut cursor = plugin.cursor(json!({"ids": ["zz", "b1"], "options": {}}).to_string().as_bytes()).unwrap();
    assert!(cursor.next_run().unwrap().unwrap().contains("\"b1\""));
    assert!(cursor.next_run().unwrap().is_none());
}

/// The environment says it to a host that loads us, here to a script, as well; an empty or false word says no.
#[test]
fn the_environment_has_one_made_where_a_store_is_opened() {
    for (word, tables) in [("1", 2), ("", 0), ("0", 0), ("false", 0)] {
        let store = night();
        let script = store.path.with_file_name("open.lua");
        std::fs::write(&script, "require 'bulk_rerun'.open { store = arg[1] }:close()").unwrap();
        let output = command(&["lua", script.to_str().unwrap(), store.path_str()])
            .env("BULK_RERUN_LEDGER", word)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let made = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE 'bulk_rerun%'";
        assert_eq!(store.open().query_row(made, [], |row| row.get::<_, i64>(0)).unwrap(), tables, "{word:?}");
    }
}
