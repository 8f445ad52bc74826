//! Schemas that are nasty on purpose, with profiles of their own: integer states, milliseconds and microseconds, keys of
//! several columns and of bytes, parameters in two columns, a history of states, a table for each queue, partitions, views
//! in the tables' place, soft deletes.

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/queue_store_postgres.rs"]
mod queue_store_postgres;
#[path = "../support/mod.rs"]
mod support;

mod on_postgres;
mod on_sqlite;

use bulk_rerun::Plugin;
use serde_json::json;
use support::calls::{all_failed, call, pairs, planned, reasons};

/// The ids of the runs that each schema begins with: the shard's name has a colon in it too.
const BROKEN: &str = "mail:10:eu:1";
const NEWER: &str = "mail:11:eu:1";
const DELETED: &str = "mail:12:eu:1";
const FINE: &str = "mail:9:eu:1";
const REPORT: &str = "report:10:eu:1";

/// What is no run's id, though it looks like one in part.
const NONE: [&str; 12] = [
    "",
    ":",
    "::",
    "mail",
    "mail:10",
    "mail:ten:eu:1",
    "mail:10:eu",
    "mail:010:eu:1",
    "mail:10:eu:1 ",
    "letter:10:eu:1",
    "mail:99999999999999999999:eu:1",
    "mail:10:EU:1",
];

/// What holds for both schemas of several columns, whatever the engine: a search, its ids, a re-run, and its undoing.
/// `head` and `body` of what waits are what `waiting` gives.
fn a_key_of_several_columns(plugin: &Plugin, waiting: &dyn Fn() -> Vec<String>) {
    plugin.create_ledger().unwrap();
    assert_eq!(plugin.describe().unwrap().read_whole_for_an_id, [""; 0]);
    let plan = call(plugin, &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(planned(&plan), [format!("bill: {NEWER} (2)"), format!("sum up: {REPORT} (1)")]);

    // Each of them is found by its id, and nothing by what is none.
    let ids = [&NONE[..], &[BROKEN, FINE, DELETED, REPORT]].concat();
    let request = json!({"ids": ids, "options": {"dry_run": true, "unique_by": "run"}});
    let plan = call(plugin, &request).unwrap();
    let found = [format!("bill: {BROKEN} (1)"), format!("bill: {FINE} (1)"), format!("sum up: {REPORT} (1)")];
    assert_eq!(planned(&plan), found);
    let mut not_found: Vec<String> = NONE.iter().chain(&[DELETED]).map(|id| format!("-, {id}: not_found")).collect();
    let mut said = reasons(&plan);
    not_found.sort();
    said.sort();
    assert_eq!(said, not_found);

    let request = json!({"ids": [BROKEN, REPORT], "options": {"unique_by": "run"}});
    let answer = call(plugin, &request).unwrap();
    assert_eq!(pairs(&answer), [format!("bill: {BROKEN}"), format!("sum up: {REPORT}")]);
    let new: Vec<&str> =
        answer["triggered"].as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap()).collect();
    // The number after the highest, which is a deleted run's.
    assert_eq!(new, ["mail:13:eu:1", "report:11:eu:1"]);
    assert_eq!(waiting(), ["bill|to be billed|00ff3a", "sum up|NULL|NULL"]);

    // What was started is to be seen by its id, is active, and is taken back.
    let plan = call(plugin, &json!({"ids": new, "options": {"dry_run": true, "with_runs": true}})).unwrap();
    assert_eq!((&plan["matched"], &plan["planned"][0]["run"]["phase"]), (&json!(2), &json!("pending")));
    let active = call(plugin, &all_failed(json!({"dry_run": true, "skip_active": true}))).unwrap();
    assert_eq!(reasons(&active), [format!("bill, {NEWER}: active"), format!("sum up, {REPORT}: active")]);
    let undone = plugin.undo(answer["operation_id"].as_str().unwrap()).unwrap();
    assert_eq!((undone.undone.len(), undone.kept.len()), (2, 0));
    assert_eq!(waiting(), [""; 0]);
}
