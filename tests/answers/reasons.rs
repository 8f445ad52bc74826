//! Why a run is not started: the first reason that applies, whoever says it.

use std::fs;

use crate::support::calls::{all_failed, call, open, pairs, reasons};
use crate::support::queue_store::{Own, QUEUES_SPAWN, QUEUES_VIEW, profile};
use crate::support::{Row, Store};
use bulk_rerun::{Config, Plugin};
use serde_json::json;

const NOON: &str = "2026-04-15T12:00:00Z";

/// RunWisp's runs: the service and two tasks, each failed once.
fn store() -> Store {
    let service = |row: &mut Row| row.triggered_by = "service".to_owned();
    Store::new().holding(&[
        Row::failed("1", "web", NOON).with(service),
        Row::failed("2", "listed", NOON),
        Row::failed("3", "imported", NOON),
    ])
}

/// With a catalogue of these words.
fn with_catalogue(store: &Store, text: &str) -> Plugin {
    let tasks = store.path.with_file_name("runwisp.toml");
    fs::write(&tasks, text).unwrap();
    Plugin::open(&Config { tasks: Some(tasks), ..Config::new(store.path_str()) }).unwrap()
}

/// An open catalogue knows more tasks than it lists: what it does not know, the store may still call a service.
#[test]
fn an_open_catalogue_leaves_a_service_that_it_does_not_list_a_service() {
    for open in ["[compose.shop]\nfile = 'compose.yaml'\n", "[daemon]\ninclude_cron = ['/etc/crontab']\n"] {
        let store = store();
        let answer =
            call(&with_catalogue(&store, &[open, "[tasks.listed]\n"].concat()), &all_failed(json!({}))).unwrap();
        assert_eq!(
            (pairs(&answer), reasons(&answer)),
            (vec!["imported: 3".into(), "listed: 2".into()], vec!["web, 1: service".into()])
        );
        // What it lists, it knows better than a run's trigger.
        let answer = call(&with_catalogue(&store, &[open, "[tasks.web]\n"].concat()), &json!({"ids": ["1"]})).unwrap();
        assert_eq!(pairs(&answer), ["web: 1"]);
    }
    let answer = call(&with_catalogue(&store(), "[tasks.listed]\n"), &all_failed(json!({}))).unwrap();
    assert_eq!(
        reasons(&answer),
        ["imported, 3: unknown_task", "web, 1: unknown_task"],
        "a closed one has the last word"
    );
    assert_eq!(reasons(&call(&open(&store().path), &all_failed(json!({}))).unwrap()), ["web, 1: service"]);
}

/// A host of its own, whose view says for each queue that begins with `no` why it is not run again.
fn own(rows: &str) -> Own {
    let store = Own::queues("TEXT", "INTEGER PRIMARY KEY", rows);
    let unfit = "CASE WHEN queue = 'service' OR queue = 'unknown_task' OR queue = 'trigger_disabled' THEN queue
                      WHEN queue LIKE 'no %' THEN 'archived in 2019' END AS unfit, 0 AS retry_attempt";
    store.set_profile(&profile("sqlite", &QUEUES_VIEW.replace("0 AS retry_attempt", unfit), QUEUES_SPAWN));
    store
}

#[test]
fn a_word_of_the_views_own_stands_last() {
    let store = own(
        "('no 1', 1, 'broken', 'p'), ('no 1', 2, 'busy', 'p'), ('no 2', 3, 'broken', 'p'), ('no 2', 4, 'fine', 'p'),
         ('no 3', 5, 'broken', 'p'), ('service', 6, 'broken', 'p'), ('service', 7, 'busy', 'p')",
    );
    let options = json!({"skip_active": true, "skip_superseded": true});
    let answer = call(&store.plugin(), &all_failed(options)).unwrap();
    assert_eq!(reasons(&answer), ["no 1, 1: active", "no 2, 3: superseded", "no 3, 5: refused", "service, 6: service"]);
    assert_eq!(answer["skipped"][2]["detail"], "archived in 2019");
    let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(reasons(&answer), ["no 1, 1: refused", "no 2, 3: refused", "no 3, 5: refused", "service, 6: service"]);
}

#[test]
fn an_open_catalogue_leaves_the_views_own_words_alone() {
    let store = own(
        "('no 1', 1, 'broken', 'p'), ('service', 2, 'broken', 'p'), ('unknown_task', 3, 'broken', 'p'), ('trigger_disabled', 4, 'broken', 'p'), ('a', 5, 'broken', 'p')",
    );
    let tasks = store.path().with_file_name("runwisp.toml");
    for (text, expected) in [
        (
            "[compose.x]\n",
            [
                "no 1, 1: refused",
                "service, 2: service",
                "trigger_disabled, 4: trigger_disabled",
                "unknown_task, 3: unknown_task",
            ]
            .as_slice(),
        ),
        (
            "[compose.x]\n[tasks.service]\n[tasks.'no 1']\n",
            &["no 1, 1: refused", "trigger_disabled, 4: trigger_disabled", "unknown_task, 3: unknown_task"],
        ),
        (
            "[tasks.service]\n[tasks.'no 1']\n[tasks.a]\n",
            &["no 1, 1: refused", "trigger_disabled, 4: unknown_task", "unknown_task, 3: unknown_task"],
        ),
        (
            "[services.a]\n[compose.x]\n",
            &[
                "a, 5: service",
                "no 1, 1: refused",
                "service, 2: service",
                "trigger_disabled, 4: trigger_disabled",
                "unknown_task, 3: unknown_task",
            ],
        ),
    ] {
        fs::write(&tasks, text).unwrap();
        let answer = store.tool("rerun", &["--all", "--dry-run", "--json", "--tasks", tasks.to_str().unwrap()]).json();
        assert_eq!(reasons(&answer), expected, "{text}");
        let no = answer["skipped"].as_array().unwrap().iter().find(|skip| skip["task_name"] == "no 1").unwrap();
        assert_eq!(no["detail"], "archived in 2019");
    }
}
