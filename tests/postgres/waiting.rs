//! `rerun --wait`, `wait`, `history` and `show` on a PostgreSQL store.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::ledger::{kept, said, tool};
use crate::store::Store;

fn command(store: &Store, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"));
    command.args(arguments).args(["--store", &store.database.url, "--profile", store.profile().to_str().unwrap()]);
    command
}

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

/// A server that is started anew, or a pooler that is, does not end the waiting.
#[test]
fn a_connection_that_is_lost_does_not_end_it() {
    let store = kept(2);
    let mut command = command(&store, &["rerun", "--status", "failed", "--yes", "--json", "--wait"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "0 of 2 ended (0 failed), 0 running, 2 pending");
    let others = "datname = current_database() AND pid <> pg_backend_pid()";
    store.client.rows(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"));
    store.client.execute("UPDATE job SET state = 'succeeded' WHERE state = 'waiting'");
    let said: Vec<String> = lines.collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &answer(&output)["states"]), (Some(0), &json!({"succeeded": 2})), "{said:?}");
}
