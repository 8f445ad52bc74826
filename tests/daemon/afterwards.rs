//! The ledger has what the daemon has started, and nobody claims to take that back.

use std::collections::BTreeMap;

use bulk_rerun::http::{HttpConfig, ServerConfig};
use serde_json::{Value, json};

use crate::stand_in::{Daemon, Manner, Quirk};
use crate::support::calls::{all_failed, assert_error, call, rows, triggered};
use crate::support::tool::{bulk_rerun, text};
use crate::{Store, config, daemon, night, open, rerun, support};

#[path = "../support/http.rs"]
mod server;

fn kept() -> Store {
    let store = night();
    assert!(open(&store).create_ledger().unwrap(), "that needs no daemon");
    store
}

fn operations(store: &Store) -> Vec<Value> {
    let json = open(store).call_operations(b"{}").unwrap();
    serde_json::from_str::<Value>(&json).unwrap()["operations"].as_array().unwrap().clone()
}

#[test]
fn what_was_started_is_written_down_and_shown() {
    let store = kept();
    let daemon = daemon(&store);
    let answer = rerun(&store, json!({"reason": "the disk was full", "take": 2})).unwrap();
    let id = answer["operation_id"].as_str().unwrap();
    let listed = &operations(&store)[0];
    assert_eq!((&listed["operation_id"], &listed["triggered"]), (&json!(id), &json!(2)));
    assert_eq!((&listed["request"]["via"], &listed["reason"]), (&json!("daemon"), &json!("the disk was full")));
    let operation = open(&store).operation(id).unwrap();
    assert!(operation.runs.unwrap().iter().all(|run| run.standing.phase == "pending"));

    let answer = rerun(&store, json!({"skip_active": true, "limit": 1})).unwrap();
    assert_eq!(triggered(&answer), ["mail"]);
    drop(daemon);
    let answer = rerun(&store, json!({"skip_active": true})).unwrap();
    assert!(triggered(&answer).is_empty(), "for nothing nobody is asked");
    assert_eq!(operations(&store).len(), 3);
}

#[test]
fn a_call_that_broke_off_is_not_in_the_ledger() {
    let store = kept();
    let quirks = BTreeMap::from([("mail", Quirk::Vanishes)]);
    let _daemon = Daemon::beside(&store.path, Manner { quirks, ..Manner::default() });
    let error = rerun(&store, json!({})).unwrap_err();
    assert_eq!((error.triggered.len(), operations(&store).len()), (2, 0), "the error has it all");
}

#[test]
fn what_waits_in_the_daemons_memory_is_not_taken_back_in_the_store() {
    let store = kept();
    let by_the_daemon = {
        let _daemon = daemon(&store);
        rerun(&store, json!({"take": 1})).unwrap()["operation_id"].as_str().unwrap().to_owned()
    };
    let by_the_store = call(&support::calls::open(&store.path), &all_failed(json!({"skip_active": true}))).unwrap();
    let before = store.dump();
    for plugin in [open(&store), support::calls::open(&store.path)] {
        let error = plugin.undo(&by_the_daemon).unwrap_err();
        assert_error(&error, 422, &[]);
        assert!(error.errors[0].message.contains("still waits is in its memory"), "{error:?}");
    }
    assert_eq!(store.dump(), before);
    let output = bulk_rerun(&["undo", "--store", store.path_str(), &by_the_daemon, "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("stop them in the runner"), "{}", text(&output.stderr));

    let undone = open(&store).undo(by_the_store["operation_id"].as_str().unwrap()).unwrap();
    assert_eq!(undone.undone.len(), 2, "what was put into the store is the store's");
}

#[test]
fn a_ledger_that_is_busy_when_all_are_started_leaves_nothing_untold() {
    let store = kept();
    let quirks = BTreeMap::from([("mail", Quirk::LocksTheStore)]);
    let _daemon = Daemon::beside(&store.path, Manner { quirks, ..Manner::default() });
    let plugin = bulk_rerun::Plugin::open(&bulk_rerun::Config { busy_timeout_ms: 300, ..config(&store) }).unwrap();
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 503, &["busy", "3 runs were started before, and can't be undone"]);
    assert_eq!(error.triggered.len(), 3);
}

/// Where a key stands for nothing, a click is heeded once all the same.
#[test]
fn the_page_starts_runs_through_it_too() {
    let store = kept();
    let _daemon = daemon(&store);
    let server = server::Server::start(&config(&store), HttpConfig::default(), ServerConfig::default());
    let body = all_failed(json!({})).to_string();
    let click = [("bulk-rerun-click", "1")];
    let answer = server.send("POST", server::RERUN, &click, &body);
    assert_eq!((answer.status, triggered(&answer.json()).len()), (200, 3), "{}", answer.text);
    assert_eq!(server.send("POST", server::RERUN, &click, &body).status, 422);
    assert_eq!(server.send("POST", server::RERUN, &[("idempotency-key", "k")], &body).status, 422);
    assert_eq!(rows(&store.path, "SELECT id FROM runs").len(), 6);
}
