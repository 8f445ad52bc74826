//! `rerun --wait`, `wait`, `history` and `show` on a PostgreSQL store.

use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::ledger::{kept, said, tool};
use crate::store::Store;

/// The tool on a store whose worker carries out what waits; the runs of `task2` fail.
fn at_work(store: &Store, arguments: &[&str]) -> Output {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let client = store.database.client();
            while !is_over.load(Ordering::SeqCst) {
                client.execute(
                    "UPDATE job SET state = CASE task WHEN 'task2' THEN 'failed' ELSE 'succeeded' END
                     WHERE state = 'waiting'",
                );
                thread::sleep(Duration::from_millis(20));
            }
        });
        let output = tool(store, &store.database.url, arguments);
        is_over.store(true, Ordering::SeqCst);
        output
    })
}

fn answer(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

#[test]
fn new_runs_are_waited_for_and_their_end_is_the_exit_status() {
    let store = kept(3);
    let failed = ["rerun", "--status", "failed", "--yes", "--json", "--wait"];
    let output = at_work(&store, &[&failed[..], &["5m"]].concat());
    assert_eq!((output.status.code(), &answer(&output)["states"]), (Some(4), &json!({"failed": 1, "succeeded": 2})));
    let output = at_work(&store, &[&failed[..], &["--task", "task1"]].concat());
    assert_eq!((output.status.code(), &answer(&output)["states"]), (Some(0), &json!({"succeeded": 1})));
    let id = answer(&output)["operation_id"].as_str().unwrap().to_owned();

    // A host may delete what has ended.
    store.client.execute("DELETE FROM job WHERE state = 'succeeded'");
    let output = tool(&store, &store.database.url, &["wait", &id, "--json"]);
    assert_eq!((output.status.code(), &answer(&output)["states"]), (Some(0), &json!({"gone": 1})));

    let text = said(&tool(&store, &store.database.url, &["history"]));
    assert!(text.lines().count() == 3 && text.lines().nth(1).unwrap().contains(&id), "{text}");
    let text = said(&tool(&store, &store.database.url, &["show", &id]));
    assert!(text.contains("new runs   1: 1 gone") && text.contains("task1"), "{text}");

    let output = tool(&store, &store.database.url, &["rerun", "--ids", "2", "--yes", "--json", "--wait", "0s"]);
    assert_eq!((output.status.code(), &answer(&output)["states"]), (Some(5), &json!({"pending": 1})));
}
