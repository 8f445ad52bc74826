//! What `check` counts in a store.

use crate::support::queue_store::{NUMBERED_SPAWN, Own, profile};
use serde_json::{Value, json};

/// Jobs of any state: what it does not know is a phase as it stands, and a tag more is a row more.
const VIEW: &str = "
SELECT jobs.id AS id, queue AS task_name,
       CASE WHEN state = 'queued' THEN 'pending' WHEN state = 'busy' THEN 'running'
            WHEN state IN ('fine', 'broken', 'lost') THEN 'ended' ELSE nullif(state, 'none') END AS phase,
       CASE state WHEN 'fine' THEN 'succeeded' WHEN 'broken' THEN 'failed' END AS end_reason, made AS created_at
FROM jobs LEFT JOIN tags ON tags.id = jobs.id";

fn store(rows: &str) -> Own {
    let store = Own::queues("TEXT", "TEXT", rows);
    store.execute("CREATE TABLE tags (id TEXT, tag)");
    store.set_profile(&profile("sqlite", VIEW, NUMBERED_SPAWN));
    store
}

fn counted(store: &Own) -> Value {
    let told = store.tool("check", &["--json"]);
    assert_eq!(told.status, 0, "{told:?}");
    told.json()["runs"].clone()
}

#[test]
fn every_kind_of_run_is_counted_once() {
    let store = store(
        "('a', 1, 'broken', ''), ('a', 2, 'broken', ''), ('a', 3, 'fine', ''), ('b', 4, 'lost', ''), ('b', 5, 'lost', ''),
         ('b', 6, 'queued', ''), ('b', 7, 'busy', ''), ('c', 8, 'busy', ''), ('c', 9, 'odd', ''), ('c', 10, 'none', ''),
         ('c', 11, 'none', ''), (NULL, 12, 'fine', ''), (NULL, NULL, 'fine', ''), ('', 13, 'fine', ''), ('a', '', 'fine', '')",
    );
    store.execute(
        "INSERT INTO tags VALUES (1, 'x'), (1, 'y'), (1, 'z'), (6, 'x'), (6, 'y');
         UPDATE jobs SET made = '2026-04-16T01:30:00+02:00' WHERE id = '4';
         UPDATE jobs SET made = '2026-04-15T23:29:59.5Z' WHERE id = '5';
         UPDATE jobs SET made = 'yesterday' WHERE id IN ('3', '12'); UPDATE jobs SET made = NULL WHERE id = '9'",
    );
    assert_eq!(
        counted(&store),
        json!({
            "runs": 15,
            "tasks": 3,
            "active": 3,
            "unknown_phases": {"odd": 1, "NULL": 2},
            "end_reasons": {"failed": 2, "succeeded": 5, "NULL": 2},
            "nameless": 4,
            "repeated": 3,
            "unreadable_times": 3,
            "newest": "2026-04-15T23:30:00Z",
        })
    );
}

/// What a search by the runner's own words would pass over.
#[test]
fn words_that_the_view_takes_for_others_are_counted() {
    let store = store("('a', 1, 'broken', ''), ('a', 2, 'fine', ''), ('b', 3, 'queued', ''), ('b', 4, 'busy', '')");
    let view = VIEW.replace(" AS created_at", " AS created_at, state");
    let passed_over = |states: &str| {
        store.set_profile(&(profile("sqlite", &view, NUMBERED_SPAWN) + states));
        counted(&store)["passed_over"].clone()
    };
    let right = "states = { pending = ['queued'], running = ['busy'], failed = ['broken'], succeeded = ['fine'] }";
    assert_eq!(passed_over(right), json!(null));
    let wrong = right.replace("'queued'", "'waiting', 'busy'").replace("'broken'", "");
    assert_eq!(passed_over(&wrong), json!({"pending (queued)": 1, "failed (broken)": 1}));
    store.tool("check", &[]).says(0, &["1 failed (broken), 1 pending (queued): the view calls these runs so"]);
}

#[test]
fn a_store_without_runs_has_none_of_any_kind() {
    let store = store("('a', 1, 'broken', '')");
    store.execute("DELETE FROM jobs");
    assert_eq!(
        counted(&store),
        json!({
            "runs": 0, "tasks": 0, "active": 0, "unknown_phases": {}, "end_reasons": {}, "nameless": 0, "repeated": 0,
            "unreadable_times": 0, "newest": null,
        })
    );
}

/// A view that shows something else as the phase, an id perhaps, can't fill the memory.
#[test]
fn beyond_twenty_words_the_rest_is_counted_together() {
    let rows = (0..48).map(|row| format!("('a', {row}, 'w{:02}', '')", row % 24));
    let store = store(&rows.collect::<Vec<_>>().join(", "));
    let mut expected: serde_json::Map<_, _> = (0..20).map(|word| (format!("w{word:02}"), json!(2))).collect();
    expected.insert("…".to_owned(), json!(8));
    assert_eq!(counted(&store)["unknown_phases"], Value::Object(expected));
}
