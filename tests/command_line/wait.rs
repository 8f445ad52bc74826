//! `rerun --wait` and `wait`: how the new runs came out, by words, by JSON and by exit status.

use std::io::Write;
use std::process::{Child, ChildStderr, Output, Stdio};

use crate::support::calls::{call, open};
use crate::support::tool::{bulk_rerun, command, interrupt, night, read_until, rerun, text, typed_at};
use crate::support::worker::Worker;
use crate::support::{NEWEST, Row, Store};
use bulk_rerun::Plugin;
use serde_json::{Value, json};

/// Two runs that failed, and no ledger.
const BOTH: [&str; 4] = ["--status", "failed,timeout", "--yes", "--wait"];

fn said(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
}

/// A night with a ledger, and an operation that has spawned two runs: `backup` and `import`.
fn rerun_before() -> (Store, Plugin, String) {
    let store = night();
    let plugin = open(&store.path);
    plugin.create_ledger().unwrap();
    let answer = call(&plugin, &json!({"ids": ["a1", "b1"]})).unwrap();
    let id = answer["operation_id"].as_str().unwrap().to_owned();
    (store, plugin, id)
}

fn wait(store: &Store, id: &str, flags: &[&str]) -> Output {
    bulk_rerun(&[&["wait", id, "--store", store.path_str()], flags].concat())
}

fn execute(store: &Store, sql: &str) {
    store.open().execute_batch(sql).unwrap();
}

#[test]
fn when_all_have_succeeded_it_ends_well() {
    let store = night();
    let _worker = Worker::on(&store, &["web"]);
    let (status, out, err) = said(&rerun(&store, &BOTH));
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(out.contains("2 new runs spawned") && out.contains("2 new runs succeeded (2 success)"), "{out}");
    assert!(err.ends_with("2 of 2 ended (0 failed), 0 running, 0 pending\n"), "{err}");
    assert!(!err.contains('\u{1b}'), "no bar where there is no terminal: {err}");
}

#[test]
fn one_that_has_not_succeeded_is_exit_status_4() {
    let store = night();
    let _worker = Worker::on(&store, &["import"]);
    let (status, out, err) = said(&rerun(&store, &BOTH));
    assert_eq!(status, Some(4), "{out}{err}");
    assert!(out.contains("1 of 2 new runs did not succeed (1 failed, 1 success)"), "{out}");
    let end = out.split("did not succeed").nth(1).unwrap();
    assert!(end.contains("import") && end.contains("failed (3)") && !end.contains("backup"), "{out}");

    let (status, out, _) = said(&rerun(&store, &["--status", "timeout", "--yes", "--wait", "--summary"]));
    assert_eq!((status, &*out), (Some(4), "1 new run spawned; 1 failed\n"));
}

#[test]
fn json_has_the_end_of_every_run_in_the_requests_own_spelling() {
    let store = night();
    let _worker = Worker::on(&store, &["import"]);
    let output = rerun(&store, &[&BOTH[..], &["30m", "--json"]].concat());
    assert_eq!(output.status.code(), Some(4));
    let answer = json(&output);
    assert_eq!(answer["states"], json!({"failed": 1, "success": 1}));
    let mut first = answer["triggered"][0].clone();
    let ends = [("phase", json!("ended")), ("end_reason", json!("success")), ("exit_code", json!(0))];
    first.as_object_mut().unwrap().extend(ends.map(|(field, value)| (field.to_owned(), value)));
    assert_eq!(answer["runs"][0], first);
    assert_eq!((&answer["runs"][1]["end_reason"], &answer["runs"][1]["exit_code"]), (&json!("failed"), &json!(3)));

    let mut child = command(&["rerun", "--store", store.path_str(), "--selector", "-", "--yes", "--wait", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(br#"{"matchAll": true, "filter": {"status": "timeout"}}"#).unwrap();
    let answer = json(&child.wait_with_output().unwrap());
    assert_eq!((&answer["runs"][0]["endReason"], &answer["runs"][0]["rerunOf"]), (&json!("failed"), &json!("b1")));
}

#[test]
fn when_the_time_is_up_it_is_5_and_the_runs_go_on() {
    let store = night();
    let (status, out, err) = said(&rerun(&store, &[&BOTH[..], &["0s", "--json"]].concat()));
    assert_eq!(status, Some(5), "{out}{err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["states"], json!({"pending": 2}));
    assert!(err.contains("the time is up; the new runs go on") && err.contains("ledger create"), "{err}");

    let (store, _, id) = rerun_before();
    let (status, out, err) = said(&wait(&store, &id, &["--timeout", "0s"]));
    assert_eq!(status, Some(5), "{out}{err}");
    assert!(out.contains("2 new runs not waited for to the end (2 pending)"), "{out}");
    assert!(err.contains(&format!("bulk-rerun wait {id}")), "{err}");
}

#[test]
fn what_was_refused_is_told_unless_there_is_worse() {
    for (failing, expected) in [(&[][..], 3), (&["backup"], 4)] {
        let store = night();
        execute(
            &store,
            "CREATE TRIGGER closed BEFORE INSERT ON runs WHEN new.task_name = 'import'
             BEGIN SELECT RAISE(ABORT, 'imports are closed'); END",
        );
        let _worker = Worker::on(&store, failing);
        let output = rerun(&store, &BOTH);
        assert_eq!(output.status.code(), Some(expected), "{}", text(&output.stderr));
    }
}

#[test]
fn where_nothing_was_spawned_there_is_nothing_to_wait_for() {
    let store = night();
    let none = ["--status", "missed", "--yes", "--wait"];
    let (status, out, err) = said(&rerun(&store, &none));
    assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
    let (status, out, _) = said(&rerun(&store, &[&none[..], &["--json"]].concat()));
    assert_eq!((status, &*out), (Some(0), "{\"triggered\":[],\"runs\":[],\"states\":{}}\n"));
    let (status, out, _) = said(&rerun(&store, &[&none[..], &["--quiet"]].concat()));
    assert_eq!((status, &*out), (Some(0), ""));
    let (status, _, err) = said(&rerun(&store, &["--all", "--dry-run", "--wait"]));
    assert!(status == Some(2) && err.contains("--dry-run"), "{err}");
}

#[test]
fn a_repeated_key_waits_for_the_first_ones_runs() {
    let (store, _, _) = rerun_before();
    let _worker = Worker::on(&store, &["backup"]);
    let keyed = [&BOTH[..], &["--idempotency-key", "k", "--json"]].concat();
    let first = rerun(&store, &keyed);
    let again = rerun(&store, &keyed);
    assert_eq!((first.status.code(), again.status.code()), (Some(4), Some(4)));
    assert_eq!((&json(&again)["runs"], &json(&again)["replayed"]), (&json(&first)["runs"], &json!(true)));
}

#[test]
fn an_operation_is_waited_for_by_its_id() {
    let (store, plugin, id) = rerun_before();
    let worker = Worker::on(&store, &["import"]);
    let output = wait(&store, &id, &["--timeout", "10m", "--json"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    drop(worker);
    let shown = plugin.call_operations(json!({"operation_id": id}).to_string().as_bytes()).unwrap();
    assert_eq!(text(&output.stdout).trim_end(), shown, "what `show` shows");
    execute(&store, "UPDATE runs SET end_reason = 'success'");
    let (status, out, err) = said(&wait(&store, &id, &[]));
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(out.contains("2 new runs succeeded (2 success)"), "{out}");
}

/// A host may delete what has ended; what was taken back is no success.
#[test]
fn what_is_gone_is_done_and_what_is_undone_is_not() {
    let (store, plugin, id) = rerun_before();
    let begun = plugin.operation(&id).unwrap().runs.unwrap()[0].run.run_id.clone();
    execute(&store, &format!("UPDATE runs SET status = 'running' WHERE id = '{begun}'"));
    let (child, _) = waiting(&["wait", &id, "--store", store.path_str(), "--json"], "1 pending");
    assert_eq!(plugin.undo(&id).unwrap().undone.len(), 1);
    execute(&store, &format!("DELETE FROM runs WHERE id = '{begun}'"));
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &json(&output)["states"]), (Some(4), &json!({"gone": 1, "undone": 1})));
    assert!(json(&output)["undone_at"].is_string());

    let (store, _, id) = rerun_before();
    execute(&store, "DELETE FROM runs WHERE status = 'pending'");
    let (status, out, _) = said(&wait(&store, &id, &[]));
    assert_eq!(status, Some(0), "{out}");
    assert!(out.contains("2 new runs succeeded (2 gone)"), "{out}");
}

#[test]
fn what_is_not_there_is_told() {
    let (store, _, _) = rerun_before();
    let (status, out, _) = said(&wait(&store, "01ABC", &["--json"]));
    let error: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &error["status"]), (Some(1), &json!(404)), "{out}");
    let (status, _, err) = said(&wait(&night(), "01ABC", &[]));
    assert!(status == Some(1) && err.contains("the store has no ledger"), "{err}");
    let (status, _, err) = said(&wait(&store, "", &[]));
    assert!(status == Some(2) && err.contains("<OPERATION> is blank"), "{err}");
    let (status, out, _) = said(&wait(&store, "", &["--json"]));
    assert!(status == Some(2) && out.contains("\"status\":400"), "{out}");
}

/// The tool, once it has said these words on standard error: it waits by then. What it has yet to say there is the caller's to
/// read, or to drop.
fn waiting(arguments: &[&str], words: &str) -> (Child, ChildStderr) {
    let mut child = command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut said = Vec::new();
    read_until(&mut stderr, &mut said, words);
    assert!(text(&said).contains(words), "{}", text(&said));
    (child, stderr)
}

#[test]
fn a_store_that_is_busy_for_a_moment_does_not_end_it() {
    // Without WAL who writes keeps readers out.
    let store = Store::of_generation(NEWEST, "delete").holding(&[Row::failed("a1", "backup", "2026-04-15T01:00:00Z")]);
    let (child, stderr) = waiting(
        &["rerun", "--store", store.path_str(), "--all", "--yes", "--wait", "--json", "--busy-timeout", "50ms"],
        "1 pending",
    );
    let connection = store.open();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    connection.execute_batch("UPDATE runs SET status = 'ended', end_reason = 'success'; COMMIT").unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stderr);
    assert_eq!((output.status.code(), &json(&output)["states"]), (Some(0), &json!({"success": 1})));
}

#[test]
fn a_store_that_fails_ends_it_and_the_new_runs_are_named() {
    let store = night();
    let (child, stderr) =
        waiting(&["rerun", "--store", store.path_str(), "--ids", "a1,b1", "--yes", "--wait", "--json"], "2 pending");
    execute(&store, "ALTER TABLE runs RENAME TO elsewhere");
    let output = child.wait_with_output().unwrap();
    drop(stderr);
    let error = json(&output);
    assert_eq!((output.status.code(), &error["status"]), (Some(1), &json!(500)), "{error}");
    let detail = error["detail"].as_str().unwrap();
    assert!(detail.starts_with("2 new runs spawned, and waiting failed: do not repeat the re-run"), "{detail}");
    assert_eq!(error["triggered"].as_array().unwrap().len(), 2);
}

#[test]
fn ctrl_c_ends_the_waiting_and_the_runs_go_on() {
    let (store, plugin, _) = rerun_before();
    let (child, mut stderr) =
        waiting(&["rerun", "--store", store.path_str(), "--ids", "a1,b1", "--yes", "--wait", "--json"], "2 pending");
    interrupt(&child);
    let mut said = Vec::new();
    read_until(&mut stderr, &mut said, "\u{0}");
    let output = child.wait_with_output().unwrap();
    let answer = json(&output);
    assert_eq!((output.status.code(), &answer["states"]), (Some(130), &json!({"pending": 2})));
    let id = answer["operation_id"].as_str().unwrap();
    let how = format!("no longer waiting; the new runs go on (to wait for them again: bulk-rerun wait {id})");
    assert!(text(&said).contains(&how), "{}", text(&said));
    assert_eq!(plugin.operation(id).unwrap().states, Some([("pending".to_owned(), 2)].into()));
}

#[test]
fn a_terminal_shows_a_bar_and_takes_ctrl_c() {
    let store = night();
    let line = format!("bulk-rerun rerun --store '{}' {}", store.path_str(), BOTH.join(" "));
    let (status, shown) = typed_at("2 pending", 120, &line, "\u{3}");
    assert_eq!(status, Some(130), "{shown}");
    assert!(shown.contains("░") && shown.contains("0 of 2 ended (0 failed), 0 running, 2 pending, 0s"), "{shown}");
    assert!(shown.contains("no longer waiting; the new runs go on"), "{shown}");

    let _worker = Worker::on(&store, &[]);
    let (status, shown) = typed_at("2 new runs succeeded", 120, &line, "");
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("2 new runs succeeded"), "{shown}");
}
