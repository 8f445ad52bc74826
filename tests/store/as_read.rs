//! What the search has read of a source run is what is started only where nobody has changed it since, and however large it
//! is.

use crate::support::calls::{all_failed, call, call_meanwhile, open, pairs, reasons};
use crate::support::queue_store::{Own, profile};
use crate::support::{Row, Store, params_of};
use rusqlite::types::Value as Column;
use serde_json::{Value, json};

const NOON: &str = "2026-04-15T12:00:00Z";

fn with_params(id: &str, task_name: &str, params: &str) -> Row {
    Row::failed(id, task_name, NOON).with(|row| row.params_json = Some(params.to_owned()))
}

/// The tasks `a`, `b` and `c`, each with one failed run and its parameters.
fn store() -> Store {
    Store::new().holding(&["a", "b", "c"].map(|name| with_params(&format!("{name}1"), name, &format!("of {name}"))))
}

/// Each task that got a new run, and what its new run has.
fn started(store: &Store, answer: &Value) -> Vec<String> {
    let runs = answer["triggered"].as_array().unwrap().iter();
    runs.map(|run| match params_of(&store.path, run["run_id"].as_str().unwrap()) {
        Column::Text(params) => format!("{}: {params}", run["task_name"].as_str().unwrap()),
        other => format!("{}: {other:?}", run["task_name"].as_str().unwrap()),
    })
    .collect()
}

#[test]
fn what_a_host_changes_after_the_search_is_heeded() {
    for (change, expected, skipped) in [
        ("SELECT 1", vec!["a: of a", "b: of b", "c: of c"], vec![]),
        ("UPDATE runs SET params_json = 'new' WHERE id = 'b1'", vec!["a: of a", "b: new", "c: of c"], vec![]),
        ("UPDATE runs SET params_json = NULL WHERE id = 'c1'", vec!["a: of a", "b: of b", "c: Null"], vec![]),
        ("DELETE FROM runs WHERE id = 'b1'", vec!["a: of a", "c: of c"], vec!["b, b1: gone"]),
        ("UPDATE runs SET deleted_at = 'now' WHERE id = 'a1'", vec!["b: of b", "c: of c"], vec!["a, a1: gone"]),
        ("UPDATE runs SET task_name = 'd' WHERE id = 'c1'", vec!["a: of a", "b: of b"], vec!["c, c1: gone"]),
    ] {
        for options in [json!({}), json!({"unique_by": "params"}), json!({"unique_by": "run"})] {
            let store = store();
            let (plugin, host) = (open(&store.path), store.open());
            let request = all_failed(options);
            let answer = call_meanwhile(&plugin, &request, || host.execute_batch(change).unwrap()).unwrap();
            assert_eq!(started(&store, &answer), expected, "{change}: {request}");
            assert_eq!(reasons(&answer), skipped, "{change}: {request}");
        }
    }
}

/// What was read with the search is started as it was when the write lock was taken, whatever the new runs themselves do to
/// the others.
#[test]
fn what_a_trigger_changes_while_runs_are_started_changes_no_other_new_run() {
    for does in ["UPDATE runs SET params_json = 'by the trigger' WHERE id = 'b1'", "DELETE FROM runs WHERE id = 'b1'"] {
        let store = store();
        let trigger = format!("CREATE TRIGGER follows AFTER INSERT ON runs WHEN NEW.task_name = 'a' BEGIN {does}; END");
        store.open().execute_batch(&trigger).unwrap();
        let answer = call(&open(&store.path), &all_failed(json!({"unique_by": "run"}))).unwrap();
        assert_eq!(started(&store, &answer), ["a: of a", "b: of b", "c: of c"], "{does}");
        assert_eq!(reasons(&answer), [""; 0], "{does}");
    }
}

/// Puts a new run in.
const PLAIN: &str = "INSERT INTO jobs (id, queue, slot, state, made, params)
    VALUES (:new_id, :task_name, 'the only one', 'queued', :now, :params)";

/// A store whose jobs have slots, on which this constraint is, with a profile of this spawn.
fn slots(name: &str, constraint: &str, spawn: &str) -> Own {
    let view =
        "SELECT id, queue AS task_name, iif(state = 'queued', 'pending', 'ended') AS phase, 'failed' AS end_reason,
                made AS created_at, params
         FROM jobs";
    let schema = format!(
        "CREATE TABLE jobs (id TEXT PRIMARY KEY, queue {name}, slot TEXT {constraint}, state TEXT, made TEXT, params TEXT)"
    );
    Own::new(&schema, &profile("sqlite", view, spawn))
}

/// By what the table's own constraint says, or the statement.
#[test]
fn a_new_run_that_another_one_takes_the_place_of_is_none() {
    let with_a_clause = format!(
        "{PLAIN} ON CONFLICT (slot) DO UPDATE SET id = excluded.id, queue = excluded.queue, state = 'queued', \
         params = excluded.params"
    );
    for (constraint, spawn) in [
        ("UNIQUE ON CONFLICT REPLACE", PLAIN),
        ("UNIQUE", &PLAIN.replace("INSERT", "REPLACE")),
        ("UNIQUE", &PLAIN.replace("INSERT", "INSERT OR REPLACE")),
        ("UNIQUE", &with_a_clause),
    ] {
        let own = slots("TEXT", constraint, spawn);
        own.execute(&format!(
            "INSERT INTO jobs VALUES ('a1', 'a', 'of a', '', '{NOON}', 'of a'), ('b1', 'b', 'of b', '', '{NOON}', 'of b')"
        ));
        let answer = call(&own.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
        assert_eq!(pairs(&answer), ["b: b1"], "{spawn}");
        assert!(reasons(&answer)[0].starts_with("a, a1: refused"), "{spawn}: {answer:#}");
        assert_eq!(own.waiting(), ["b|of b"], "{spawn}");
    }
}

/// Runs of one task, of which one bears its name as bytes.
#[test]
fn a_new_run_bears_its_tasks_name_as_its_source_run_does() {
    let of_the_task = || (json!({}), "first");
    // The same group only if they are the same.
    let of_its_parameters = || (json!({"unique_by": "params"}), "second");
    for (older, newest, kind, (options, first)) in [
        ("'a'", "x'61'", "blob", of_the_task()),
        ("x'61'", "'a'", "text", of_the_task()),
        ("'a'", "x'61'", "blob", of_its_parameters()),
        ("x'61'", "'a'", "text", of_its_parameters()),
    ] {
        let own = slots("", "", PLAIN);
        own.execute(&format!(
            "INSERT INTO jobs VALUES ('a1', {older}, '', '', '2026-04-15T11:00:00Z', '{first}'),
                                     ('a2', {newest}, '', '', '2026-04-15T12:00:00Z', 'second')"
        ));
        let answer = call(&own.plugin(), &all_failed(options)).unwrap();
        assert_eq!(pairs(&answer), ["a: a2"]);
        let new = own.lines("SELECT typeof(queue) || ' ' || params FROM jobs WHERE state = 'queued'");
        assert_eq!(new, [format!("{kind} second")]);
    }
}

/// More than is carried from the search to the spawn, in the middle of it. The newest run of `a` comes after that.
#[test]
fn parameters_that_are_too_many_to_be_carried_are_started_all_the_same() {
    let large = |number: usize| format!("{number}: {}", "x".repeat(500_000));
    let mut rows = vec![with_params("a1", "a", "the older")];
    rows.extend((0..50).map(|number| with_params(&format!("b{number:02}"), &format!("b{number:02}"), &large(number))));
    rows.push(with_params("a2", "a", "the newer"));
    for options in
        [json!({}), json!({"take": 1}), json!({"unique_by": "params", "take": 7}), json!({"unique_by": "run"})]
    {
        let store = Store::new().holding(&rows);
        let answer = call(&open(&store.path), &all_failed(options.clone())).unwrap();
        let started = started(&store, &answer);
        let runs = answer["triggered"].as_array().unwrap();
        for (run, started) in runs.iter().zip(&started) {
            let source = rows.iter().find(|row| run["rerun_of"] == row.id.as_str()).unwrap();
            let expected = format!("{}: {}", source.task_name, source.params_json.as_deref().unwrap());
            assert!(*started == expected, "{options}: {:.80} in the place of {expected:.80}", started);
        }
        let expected = match options["unique_by"].as_str() {
            None => "a: the newer",
            Some(_) => "a: the older",
        };
        assert_eq!(started[0], expected, "{options}");
    }
}

/// A plan is the same whether its runs' parameters came with the search or are read under the lock: somebody writes what has
/// nothing to do with it, so that all is looked at again.
#[test]
fn a_plan_is_the_same_when_it_is_looked_at_again() {
    let beside = "INSERT INTO runs (id, task_name, status, triggered_by, started_at, created_at, params_json)
        SELECT 'x', 'x', 'ended', 'api', '', '', NULL";
    for options in [json!({}), json!({"unique_by": "params"}), json!({"unique_by": "run"}), json!({"take": 2})] {
        let store = store();
        store.open().execute("UPDATE runs SET params_json = NULL WHERE id = 'c1'", []).unwrap();
        let (plugin, host) = (open(&store.path), store.open());
        let with = |option: &str, value: Value| {
            let mut options = options.clone();
            options[option] = value;
            all_failed(options)
        };
        let plan = call(&plugin, &with("dry_run", json!(true))).unwrap()["plan"].clone();
        let expecting = with("expect_plan", plan);
        let answer = call_meanwhile(&plugin, &expecting, || host.execute_batch(beside).unwrap()).unwrap();
        assert_eq!(answer["triggered"].as_array().unwrap().len(), if options["take"].is_null() { 3 } else { 2 });

        let plan = call(&plugin, &with("dry_run", json!(true))).unwrap()["plan"].clone();
        let expecting = with("expect_plan", plan);
        let change = "UPDATE runs SET params_json = 'other' WHERE id = 'b1'";
        let error = call_meanwhile(&plugin, &expecting, || host.execute_batch(change).unwrap()).unwrap_err();
        assert_eq!(error.status, 409, "{options}");
    }
}
