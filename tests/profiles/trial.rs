//! `check --try` on SQLite: one run is started for trial, shown as the view sees it, and taken back.

use crate::support::queue_store::{NUMBERED_SPAWN, Own, QUEUES_VIEW, Told, profile};
use crate::support::runners::bulk_rerun;
use crate::support::{Row, Store};

fn store(rows: &str) -> Own {
    let store = Own::queues("TEXT", "INTEGER PRIMARY KEY", rows);
    store.set_profile(&profile("sqlite", QUEUES_VIEW, NUMBERED_SPAWN));
    store
}

fn two_tasks() -> Own {
    let store = store("('mail', 8, 'broken', 'm'), ('mail', 9, 'broken', 'm'), ('report', 10, 'fine', 'r')");
    store.execute("UPDATE jobs SET made = '2026-04-15T11:00:00Z' WHERE queue = 'report'");
    store
}

/// The trial fails with these words and exit status 1, and changes nothing.
#[track_caller]
fn fails(store: &Own, words: &[&str]) {
    let before = store.dump();
    store.tool("check", &["--try"]).says(1, words);
    assert_eq!(store.dump(), before);
    let told = store.tool("check", &["--try", "--json"]);
    assert_eq!(told.status, 1, "{told:?}");
    let trial = told.json()["trial"].clone();
    assert!(trial["error"].is_string() || trial["error"].is_object() || trial["refused"].is_string(), "{trial}");
    let trial = trial.to_string();
    for word in words {
        assert!(trial.contains(word), "{word:?} is not in {trial}");
    }
    assert_eq!(store.dump(), before);
}

#[test]
fn the_newest_run_is_started_for_trial_and_taken_back() {
    let store = two_tasks();
    let before = store.dump();
    let told = store.tool("check", &["--try"]);
    told.says(0, &["mail", "9", "11", "pending"]);
    assert_eq!(store.dump(), before);

    let trial = store.tool("check", &["--try", "--json"]).json()["trial"].clone();
    assert_eq!((&trial["source"]["id"], &trial["source"]["task_name"]), (&"9".into(), &"mail".into()), "{trial}");
    assert_eq!((&trial["new"]["task_name"], &trial["new"]["phase"]), (&"mail".into(), &"pending".into()), "{trial}");
    assert_eq!((&trial["new"]["params"], &trial["source"]["phase"]), (&"m".into(), &"ended".into()), "{trial}");
    assert_eq!(store.dump(), before);
}

#[test]
fn a_task_can_be_named() {
    let store = two_tasks();
    let before = store.dump();
    let told = store.tool("check", &["--try", "--task", "report", "--json"]);
    assert_eq!(told.status, 0, "{told:?}");
    let trial = &told.json()["trial"];
    assert_eq!((&trial["source"]["id"], &trial["new"]["task_name"]), (&"10".into(), &"report".into()), "{trial}");
    // A task without a run is no task to try.
    store.tool("check", &["--try", "--task", "raport"]).says(1, &["raport"]);
    assert_eq!(store.dump(), before);
}

#[test]
fn a_store_without_a_run_has_nothing_to_try() {
    let store = store("('mail', 1, 'broken', 'm')");
    store.execute("DELETE FROM jobs");
    store.tool("check", &["--try"]).says(1, &["no run"]);
}

#[test]
fn a_run_that_is_never_run_again_is_not_the_one_that_is_tried() {
    let store = two_tasks();
    let view = QUEUES_VIEW
        .replace("0 AS retry_attempt", "CASE queue WHEN 'mail' THEN 'service' END AS unfit, 0 AS retry_attempt");
    store.set_profile(&profile("sqlite", &view, NUMBERED_SPAWN));
    let trial = store.tool("check", &["--try", "--json"]).json()["trial"].clone();
    assert_eq!(trial["source"]["task_name"], "report", "{trial}");
}

#[test]
fn plain_check_says_that_there_is_a_trial() {
    two_tasks().tool("check", &[]).says(0, &["--try"]);
    let help = bulk_rerun().args(["check", "--help"]).output().unwrap();
    Told::by(help).says(0, &["--try", "--task"]);
}

#[test]
fn a_column_that_must_not_be_null_is_named() {
    let store = two_tasks();
    store.execute(
        "CREATE TABLE strict (queue TEXT, id INTEGER PRIMARY KEY, state TEXT, made TEXT, params, tenant TEXT NOT NULL);
         INSERT INTO strict SELECT *, 'acme' FROM jobs; DROP TABLE jobs; ALTER TABLE strict RENAME TO jobs",
    );
    store.tool("check", &[]).says(0, &["writable"]);
    fails(&store, &["jobs.tenant"]);
}

#[test]
fn a_state_that_the_view_calls_ended_is_told() {
    let store = two_tasks();
    store.set_profile(&profile("sqlite", QUEUES_VIEW, &NUMBERED_SPAWN.replace("'queued'", "'qeued'")));
    fails(&store, &["ended"]);
}

#[test]
fn a_new_run_that_the_view_does_not_show_is_told() {
    let store = two_tasks();
    let view = format!("{QUEUES_VIEW} WHERE state IN ('queued', 'busy', 'fine', 'broken')");
    store.set_profile(&profile("sqlite", &view, &NUMBERED_SPAWN.replace("'queued'", "'hidden'")));
    fails(&store, &["view"]);
}

#[test]
fn an_id_that_is_not_the_new_runs_is_told() {
    let store = two_tasks();
    store.set_profile(&profile("sqlite", QUEUES_VIEW, &NUMBERED_SPAWN.replace("RETURNING id", "RETURNING id + 1")));
    fails(&store, &["view"]);
    store.set_profile(&profile("sqlite", QUEUES_VIEW, &NUMBERED_SPAWN.replace("RETURNING id", "RETURNING NULL")));
    fails(&store, &["id"]);
}

#[test]
fn a_trigger_that_says_no_is_told_in_its_own_words() {
    for raise in [
        "RAISE(ABORT, 'the queue is closed')",
        "RAISE(FAIL, 'the queue is closed')",
        "RAISE(ROLLBACK, 'the queue is closed')",
    ] {
        let store = two_tasks();
        store.execute(&format!("CREATE TRIGGER closed BEFORE INSERT ON jobs BEGIN SELECT {raise}; END"));
        fails(&store, &["the queue is closed"]);
    }
    let store = two_tasks();
    store.execute("CREATE TRIGGER swallows BEFORE INSERT ON jobs BEGIN SELECT RAISE(IGNORE); END");
    fails(&store, &["no run"]);
}

/// It is carried out on the new run, and all of it is rolled back.
#[test]
fn the_undo_is_tried_as_well() {
    let store = two_tasks();
    let with = |undo: &str| {
        let profile = profile("sqlite", QUEUES_VIEW, NUMBERED_SPAWN);
        store.set_profile(&format!("{profile}undo = '''{undo}'''\n"));
    };
    let before = store.dump();
    store.tool("check", &["--try"]).says(0, &["there is no `undo`"]);
    with("UPDATE jobs SET state = 'fine' WHERE id = :id AND state = 'queued'");
    store.tool("check", &["--try"]).says(0, &["undo takes it back, and the view shows it as succeeded then"]);
    let trial = store.tool("check", &["--try", "--json"]).json()["trial"].clone();
    assert_eq!(
        (&trial["undo"]["run"]["id"], &trial["undo"]["run"]["phase"]),
        (&"11".into(), &"ended".into()),
        "{trial}"
    );
    with("DELETE FROM jobs WHERE id = :id AND state = 'queued'");
    store.tool("check", &["--try"]).says(0, &["undo takes it back, and the view does not show it then"]);
    for (undo, words) in [
        ("UPDATE jobs SET state = 'fine' WHERE id = :id AND state = 'waiting'", "did not take it back"),
        ("UPDATE jobs SET state = 'broken' WHERE id = :id AND state = 'queued'", "taken back as failed"),
        ("UPDATE jobs SET state = 'busy' WHERE id = :id", "one that will be run all the same"),
    ] {
        with(undo);
        store.tool("check", &["--try"]).says(1, &[words]);
        let trial = store.tool("check", &["--try", "--json"]).json()["trial"].clone();
        assert!(trial["undo"]["fault"].as_str().unwrap().contains(words), "{trial}");
    }
    assert_eq!(store.dump(), before);
}

#[test]
fn what_a_trigger_writes_elsewhere_is_taken_back_too() {
    let store = two_tasks();
    store.execute(
        "CREATE TABLE log (entry); CREATE TRIGGER logs AFTER INSERT ON jobs BEGIN INSERT INTO log VALUES (NEW.id); END",
    );
    assert_eq!(store.tool("check", &["--try"]).status, 0);
    assert_eq!(store.lines("SELECT * FROM log"), [""; 0]);
}

#[test]
fn a_store_that_somebody_writes_to_is_busy() {
    let store = two_tasks();
    let host = store.open();
    host.execute_batch("BEGIN IMMEDIATE").unwrap();
    let told = store.tool("check", &["--try", "--busy-timeout", "100ms"]);
    told.says(1, &["busy"]);
}

#[test]
fn runwisp_a_run_is_tried_in_its_own_store() {
    let noon = "2026-04-15T12:00:00Z";
    let params = |row: &mut Row| row.params_json = Some(r#"{"region":"eu"}"#.to_owned());
    let store = Store::new().holding(&[
        Row::failed("a", "backup", "2026-04-14T12:00:00Z"),
        Row::failed("b", "import", noon).with(params),
        Row::failed("c", "web", noon).with(|row| row.triggered_by = "service".to_owned()),
    ]);
    let before = store.dump();
    let mut check = bulk_rerun();
    let told = Told::by(check.args(["check", "--store", store.path_str(), "--try", "--json"]).output().unwrap());
    assert_eq!(told.status, 0, "{told:?}");
    let trial = &told.json()["trial"];
    assert_eq!((&trial["source"]["id"], &trial["new"]["phase"]), (&"b".into(), &"pending".into()), "{trial}");
    assert_eq!(trial["new"]["params"], r#"{"region":"eu"}"#);
    assert_eq!(store.dump(), before);
}
