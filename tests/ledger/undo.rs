//! What an operation has spawned is taken back, as far as nobody has begun it; and what the ledger tells of operations.

use crate::support::Store;
use crate::support::calls::{all_failed, call, open};
use crate::support::tool::night;
use bulk_rerun::{ErrorModel, Plugin};
use serde_json::{Value, json};

/// A night with a ledger.
fn kept() -> Store {
    let store = night();
    assert_eq!(open(&store.path).create_ledger(), Ok(true));
    store
}

/// Re-runs all that failed, one new run each: three of them.
fn rerun(plugin: &Plugin) -> Value {
    call(plugin, &all_failed(json!({"unique_by": "run", "reason": "the disk was full"}))).unwrap()
}

fn operations(plugin: &Plugin, query: Value) -> Result<Value, ErrorModel> {
    plugin.call_operations(query.to_string().as_bytes()).map(|json| serde_json::from_str(&json).unwrap())
}

fn undo(plugin: &Plugin, operation_id: &str) -> Result<Value, ErrorModel> {
    let request = json!({"operation_id": operation_id}).to_string();
    plugin.call_undo(request.as_bytes()).map(|json| serde_json::from_str(&json).unwrap())
}

fn execute(store: &Store, sql: &str) {
    store.open().execute_batch(sql).unwrap();
}

#[test]
fn what_is_pending_is_taken_back_and_the_rest_is_kept() {
    let store = kept();
    let plugin = open(&store.path);
    let answer = rerun(&plugin);
    let id = answer["operation_id"].as_str().unwrap();
    let runs = answer["triggered"].as_array().unwrap();
    assert!(runs.len() >= 2, "{answer}");
    let begun = runs[0]["run_id"].as_str().unwrap();
    execute(&store, &format!("UPDATE runs SET status = 'running' WHERE id = '{begun}'"));

    let undone = undo(&plugin, id).unwrap();
    let taken: Vec<Value> =
        runs[1..].iter().map(|run| json!({"task_name": run["task_name"], "run_id": run["run_id"]})).collect();
    let kept = json!([{"task_name": runs[0]["task_name"], "run_id": begun, "phase": "running"}]);
    assert_eq!(undone, json!({"undone": taken, "kept": kept}));

    let again = undo(&plugin, id).unwrap();
    assert_eq!(again, json!({"undone": [], "kept": kept}), "nothing is left to do");

    execute(
        &store,
        &format!("UPDATE runs SET status = 'ended', end_reason = 'success', exit_code = 0 WHERE id = '{begun}'"),
    );
    let operation = operations(&plugin, json!({"operation_id": id})).unwrap();
    assert_eq!(operation["states"], json!({"success": 1, "undone": runs.len() - 1}));
    assert_eq!(operation["runs"][0]["phase"], "ended");
    assert_eq!(operation["runs"][0]["exit_code"], 0);
    assert_eq!(operation["runs"][1]["phase"], "undone");
    assert_eq!(operation["runs"][1]["rerun_of"], runs[1]["rerun_of"]);
    assert!(operation["undone_at"].is_string(), "{operation}");
    assert_eq!(operation["reason"], "the disk was full");
    assert_eq!(operation["request"]["options"]["unique_by"], "run");
}

#[test]
fn operations_are_listed_newest_first_in_pages_and_by_run() {
    let store = kept();
    let plugin = open(&store.path);
    let ids: Vec<Value> = (0..3).map(|_| rerun(&plugin)["operation_id"].clone()).collect();
    let listed = |query| {
        let page = operations(&plugin, query).unwrap();
        page["operations"].as_array().unwrap().iter().map(|one| one["operation_id"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(listed(json!({})), [ids[2].clone(), ids[1].clone(), ids[0].clone()]);
    assert_eq!(listed(json!({"limit": 1})), [ids[2].clone()]);
    assert_eq!(listed(json!({"limit": 1, "before": ids[2]})), [ids[1].clone()]);
    assert_eq!(listed(json!({"created_after": "2999-01-01T00:00:00Z"})), Vec::<Value>::new());
    let first = operations(&plugin, json!({"operation_id": ids[0]})).unwrap();
    assert_eq!(listed(json!({"run_id": first["runs"][0]["run_id"]})), [ids[0].clone()], "the one that made it");
    let source = &first["runs"][0]["rerun_of"];
    assert_eq!(listed(json!({"run_id": source})), [ids[2].clone(), ids[1].clone(), ids[0].clone()], "which re-ran it");
    let camel = plugin.call_operations(json!({"runId": source}).to_string().as_bytes()).unwrap();
    assert!(camel.contains(r#""operationId":"#) && camel.contains(r#""request":{"matchAll":true"#), "{camel}");
}

#[test]
fn what_is_not_there_is_not_found_and_a_bad_query_is_told_where() {
    let store = night();
    let plugin = open(&store.path);
    let error = operations(&plugin, json!({})).unwrap_err();
    assert_eq!(error.status, 404);
    assert!(error.detail.contains("the store has no ledger") && error.detail.contains("ledger create"), "{error}");
    assert_eq!(undo(&plugin, "x").unwrap_err().status, 404);

    plugin.create_ledger().unwrap();
    for query in [json!({"operation_id": "01ABC"}), json!({"before": "01ABC"})] {
        let error = operations(&plugin, query).unwrap_err();
        assert_eq!((error.status, error.detail.contains("\"01ABC\"")), (404, true), "{error}");
    }
    assert_eq!(undo(&plugin, "01ABC").unwrap_err().status, 404);
    for (query, place) in [
        (json!({"limit": 0}), "query.limit"),
        (json!({"limit": 1001}), "query.limit"),
        (json!({"operationId": "x", "limit": 1}), "query.limit"),
        (json!({"runId": " "}), "query.runId"),
        (json!({"since": "24h"}), "query.since"),
    ] {
        let error = operations(&plugin, query).unwrap_err();
        assert_eq!((error.status, &*error.errors[0].location), (422, place), "{error}");
    }
    let error = plugin.call_undo(b"{}").unwrap_err();
    assert_eq!((error.status, &*error.errors[0].location), (422, "body.operation_id"));
}

#[test]
fn a_host_that_takes_nothing_back_says_so() {
    let store = kept();
    execute(&store, "CREATE TRIGGER stays BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'runs stay'); END");
    let plugin = open(&store.path);
    let answer = rerun(&plugin);
    let error = undo(&plugin, answer["operation_id"].as_str().unwrap()).unwrap_err();
    assert_eq!(error.status, 500);
    assert!(error.detail.contains("runs stay") && error.detail.contains("nothing was changed"), "{error}");
    execute(
        &store,
        "DROP TRIGGER stays; CREATE TRIGGER swallowed BEFORE UPDATE ON runs BEGIN SELECT RAISE(IGNORE); END",
    );
    let undone = undo(&plugin, answer["operation_id"].as_str().unwrap()).unwrap();
    assert_eq!(undone["undone"], json!([]), "what is not taken back is not told as undone");
    assert_eq!(undone["kept"][0]["phase"], "pending");
}
