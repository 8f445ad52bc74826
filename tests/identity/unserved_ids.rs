//! Ids that no index serves: a view of two queues, a table without a key. One pass finds them all.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::support;
use crate::support::calls::{all_failed, call, pairs, reasons};
use crate::support::queue_store::{Own, QUEUES_VIEW, profile};
use serde_json::{Value, json};

/// So many are selected, and so many are there: looked up one by one they would be two thousand million rows.
const SELECTED: usize = 20_000;
const ALL: usize = 100_000;

/// What takes two thousand million steps is not waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls, and gives up on a call that does not come to its end.
#[track_caller]
fn call_in_time(store: &Own, request: &Value) -> Value {
    let (plugin, request) = (store.plugin(), request.clone());
    let (sender, answer) = channel();
    thread::spawn(move || sender.send(call(&plugin, &request)));
    answer.recv_timeout(PATIENCE).expect("the call does not come to its end").unwrap()
}

/// The statement looks for no row: it starts a job from what it is handed.
const SPAWN: &str = "
INSERT INTO jobs (queue, id, state, made, params) VALUES (:task_name, abs(random()), 'queued', :now, :params)
RETURNING id";

/// Jobs of 100 queues, a fifth of them failed, in a table made so.
fn fill(table: &str, from: usize, to: usize) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (VALUES ({from}) UNION ALL SELECT i + 1 FROM n WHERE i < {to} - 1)
         INSERT INTO {table} (queue, id, state, params) SELECT 'q' || (i % 97), i, iif(i % 5 = 0, 'broken', 'fine'), 'of ' || i FROM n;"
    )
}

/// A table whose ids no index serves.
fn without_a_key() -> Own {
    let store = Own::queues("TEXT", "INTEGER", "('none', -1, 'fine', NULL)");
    store.execute(&["DELETE FROM jobs;", &fill("jobs", 0, ALL)].concat());
    store.set_profile(&profile("sqlite", QUEUES_VIEW, SPAWN));
    store
}

/// Two queues, each with its own key, shown as one; the ids are no columns as they stand.
fn two_tables() -> Own {
    let store = Own::queues("TEXT", "INTEGER PRIMARY KEY", "('none', -1, 'fine', NULL)");
    store.execute(
        &[
            "DELETE FROM jobs; CREATE TABLE mails (queue TEXT, id INTEGER PRIMARY KEY, state TEXT, made TEXT DEFAULT '2026-04-15T12:00:00Z', params);",
            &fill("jobs", 0, ALL / 2),
            &fill("mails", ALL / 2, ALL),
        ]
        .concat(),
    );
    let view = QUEUES_VIEW.replace("SELECT id, queue", "SELECT 'j' || id AS id, queue");
    let mails = view.replace("'j'", "'m'").replace("FROM jobs", "FROM mails");
    let spawn = SPAWN.replace("RETURNING id", "RETURNING 'j' || id");
    store.set_profile(&profile("sqlite", &format!("{view} UNION ALL {mails}"), &spawn));
    store
}

/// Each new run has the parameters of the source run that it is answered with.
fn each_has_its_own(store: &Own, answer: &Value, sources: &str) {
    let pairs: Vec<String> = answer["triggered"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| format!("({}, {})", run["rerun_of"], run["run_id"]).replace('"', "'"))
        .collect();
    let host = store.open();
    host.execute_batch("CREATE TEMP TABLE pairs (old TEXT, new TEXT)").unwrap();
    for some in pairs.chunks(1_000) {
        host.execute_batch(&format!("INSERT INTO pairs VALUES {}", some.join(", "))).unwrap();
    }
    let same = format!(
        "SELECT count(*) FROM pairs JOIN ({sources}) AS source ON source.id = pairs.old JOIN jobs ON jobs.id = ltrim(pairs.new, 'j')
         WHERE jobs.state = 'queued' AND jobs.queue = source.queue AND jobs.params = source.params"
    );
    assert_eq!(support::queue_store::lines(&host, &same), [pairs.len().to_string()]);
}

#[test]
fn a_fifth_of_a_table_without_a_key_is_started() {
    let store = without_a_key();
    store.execute(
        "CREATE TABLE copy AS SELECT CAST(id AS TEXT) AS id, queue, params FROM jobs; CREATE INDEX by_id ON copy (id)",
    );
    let answer = call_in_time(&store, &all_failed(json!({"unique_by": "run"})));
    assert_eq!((pairs(&answer).len(), reasons(&answer)), (SELECTED, vec![]));
    assert_eq!(
        store.lines("SELECT count(*), count(DISTINCT id) FROM jobs WHERE state = 'queued'"),
        [format!("{SELECTED}|{SELECTED}")]
    );
    store.execute("CREATE INDEX jobs_by_id ON jobs (id)");
    each_has_its_own(&store, &answer, "SELECT * FROM copy");
}

#[test]
fn a_fifth_of_two_tables_shown_as_one_is_started() {
    let store = two_tables();
    store.execute(
        "CREATE TABLE copy AS SELECT 'j' || id AS id, queue, params FROM jobs UNION ALL SELECT 'm' || id, queue, params FROM mails;
         CREATE INDEX by_id ON copy (id)",
    );
    let answer = call_in_time(&store, &all_failed(json!({"unique_by": "run"})));
    assert_eq!((pairs(&answer).len(), reasons(&answer)), (SELECTED, vec![]));
    each_has_its_own(&store, &answer, "SELECT * FROM copy");
}

#[test]
fn ids_are_found_in_one_pass_and_those_that_are_no_run_are_named() {
    for (store, spelled) in [(without_a_key(), ""), (two_tables(), "m")] {
        let ids: Vec<String> = (0..SELECTED)
            .map(|n| format!("{spelled}{}", ALL - 5 * n - 5))
            .chain(["007".to_owned(), "x".to_owned()])
            .collect();
        let plan = call_in_time(&store, &json!({"ids": ids, "options": {"dry_run": true, "unique_by": "run"}}));
        let there = if spelled == "m" { SELECTED / 2 } else { SELECTED };
        assert_eq!((&plan["matched"], reasons(&plan).len()), (&json!(there), 2 + SELECTED - there));
        let except = json!({"match_all": true, "except_ids": ids, "options": {"dry_run": true}});
        assert_eq!(call_in_time(&store, &except)["matched"], ALL - there);
    }
}

/// The plan is checked, and what is active is looked for, in as few passes.
#[test]
fn the_options_do_not_make_it_many_passes() {
    for store in [without_a_key(), two_tables()] {
        store.execute("UPDATE jobs SET state = 'busy' WHERE id = 97");
        let options = json!({"unique_by": "params", "skip_active": true, "skip_superseded": true});
        let mut dry = options.clone();
        dry["dry_run"] = json!(true);
        let plan = call_in_time(&store, &all_failed(dry));
        assert_eq!(plan["matched"], SELECTED);
        let mut expecting = options;
        expecting["expect_plan"] = plan["plan"].clone();
        let answer = call_in_time(&store, &all_failed(expecting));
        assert_eq!(pairs(&answer).len(), SELECTED);
    }
}
