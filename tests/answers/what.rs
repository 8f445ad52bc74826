//! What is answered is there: a new run that the host's view does not show, or shows as ended, is none.

use crate::support::calls::{all_failed, call, call_meanwhile, first_detail, open, pairs, reasons};
use crate::support::queue_store::{NUMBERED_SPAWN, Own, QUEUES_VIEW, lines, profile};
use crate::support::{NEWEST, Row, Store, dump};
use serde_json::json;

const NOON: &str = "2026-04-15T12:00:00Z";

/// Three failed jobs, of which the second is the one that something happens to.
fn three() -> Own {
    Own::queues(
        "TEXT",
        "INTEGER PRIMARY KEY",
        "('a', 1, 'broken', 'p'), ('b', 2, 'broken', 'p'), ('c', 3, 'broken', 'p')",
    )
}

/// A spawn that makes something else of the jobs of `b`.
fn misspelled(state: &str) -> String {
    NUMBERED_SPAWN.replace("'queued'", &format!("CASE queue WHEN 'b' THEN '{state}' ELSE 'queued' END"))
}

/// The others are started; of `b` nothing is left, and the answer says why.
#[track_caller]
fn b_is_refused(store: &Own) {
    let before = store.dump();
    let told = store.tool("rerun", &["--status", "failed", "--yes", "--json"]);
    let answer = told.json();
    assert_eq!((pairs(&answer), reasons(&answer)), (vec!["a: 1".into(), "c: 3".into()], vec!["b, 2: refused".into()]));
    assert!(!first_detail(&answer).is_empty());
    assert_eq!(told.status, 3, "{told:?}");
    assert_eq!(store.dump()[..3], before);
    assert_eq!(store.lines("SELECT queue, state FROM jobs WHERE id > 3 ORDER BY id"), ["a|queued", "c|queued"]);
    for run in answer["triggered"].as_array().unwrap() {
        let found =
            format!("SELECT queue FROM jobs WHERE id = {} AND state = 'queued'", run["run_id"].as_str().unwrap());
        assert_eq!(store.lines(&found), [run["task_name"].as_str().unwrap()]);
    }
}

#[test]
fn a_new_run_that_the_view_calls_ended_is_none() {
    let store = three();
    store.set_profile(&profile("sqlite", QUEUES_VIEW, &misspelled("qeued")));
    b_is_refused(&store);
}

#[test]
fn a_new_run_that_the_view_does_not_show_is_none() {
    let store = three();
    let view = format!("{QUEUES_VIEW} WHERE state IN ('queued', 'busy', 'fine', 'broken')");
    store.set_profile(&profile("sqlite", &view, &misspelled("hidden")));
    b_is_refused(&store);
    let store = three();
    let view = QUEUES_VIEW.replace("0 AS retry_attempt", "state = 'hidden' AS deleted, 0 AS retry_attempt");
    store.set_profile(&profile("sqlite", &view, &misspelled("hidden")));
    b_is_refused(&store);
}

#[test]
fn a_new_run_that_a_trigger_takes_away_is_none() {
    for act in [
        "DELETE FROM jobs WHERE id = NEW.id",
        "UPDATE jobs SET id = NEW.id + 1000 WHERE id = NEW.id",
        "UPDATE jobs SET state = 'fine' WHERE id = NEW.id",
        "UPDATE jobs SET queue = 'elsewhere' WHERE id = NEW.id",
    ] {
        let store = three();
        store.execute(&format!("CREATE TRIGGER takes AFTER INSERT ON jobs WHEN NEW.queue = 'b' BEGIN {act}; END"));
        store.set_profile(&profile("sqlite", QUEUES_VIEW, &misspelled("queued")));
        b_is_refused(&store);
    }
    let store = three();
    store.execute("CREATE TRIGGER swallows BEFORE INSERT ON jobs WHEN NEW.queue = 'b' BEGIN SELECT RAISE(IGNORE); END");
    store.set_profile(&profile("sqlite", QUEUES_VIEW, &misspelled("queued")));
    b_is_refused(&store);
}

/// What the trigger has written elsewhere goes with it.
#[test]
fn nothing_is_left_of_a_run_that_is_none() {
    let store = three();
    store.execute(
        "CREATE TABLE log (entry);
         CREATE TRIGGER takes AFTER INSERT ON jobs WHEN NEW.queue = 'b'
         BEGIN INSERT INTO log VALUES ('b was queued'); DELETE FROM jobs WHERE id = NEW.id; END",
    );
    store.set_profile(&profile("sqlite", QUEUES_VIEW, &misspelled("queued")));
    b_is_refused(&store);
    assert_eq!(store.lines("SELECT * FROM log"), [""; 0]);
}

/// RunWisp's new ids are ours, and no row is returned.
#[test]
fn runwisp_a_new_run_that_is_not_there_is_none() {
    for act in [
        "BEFORE INSERT ON runs WHEN NEW.task_name = 'b' BEGIN SELECT RAISE(IGNORE); END",
        "AFTER INSERT ON runs WHEN NEW.task_name = 'b' BEGIN DELETE FROM runs WHERE id = NEW.id; END",
        "AFTER INSERT ON runs WHEN NEW.task_name = 'b' BEGIN UPDATE runs SET id = 'mine' WHERE id = NEW.id; END",
        "AFTER INSERT ON runs WHEN NEW.task_name = 'b' BEGIN UPDATE runs SET status = 'ended' WHERE id = NEW.id; END",
        "AFTER INSERT ON runs WHEN NEW.task_name = 'b' BEGIN UPDATE runs SET deleted_at = 'now' WHERE id = NEW.id; END",
    ] {
        let store = Store::of_generation(NEWEST, "wal").holding(&["a", "b", "c"].map(|id| Row::failed(id, id, NOON)));
        store.open().execute_batch(&format!("CREATE TRIGGER act {act}")).unwrap();
        let answer = call(&open(&store.path), &all_failed(json!({}))).unwrap();
        assert_eq!(reasons(&answer), ["b, b: refused"], "{act}");
        assert_eq!(pairs(&answer), ["a: a", "c: c"], "{act}");
        let ids = "SELECT id FROM runs WHERE length(id) = 26 AND status = 'pending' ORDER BY task_name";
        let answered: Vec<&str> =
            answer["triggered"].as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap()).collect();
        assert_eq!(
            (lines(&store.open(), ids), dump(&store.path).len()),
            (answered.iter().map(|id| id.to_string()).collect(), 5),
            "{act}"
        );
    }
}

/// The statement copies the row whatever the view makes of it.
#[test]
fn a_run_that_was_soft_deleted_meanwhile_is_gone() {
    for spawn in
        [NUMBERED_SPAWN.to_owned(), NUMBERED_SPAWN.replace("'queued', :now, params\n", "'queued', :now, :params\n")]
    {
        let store = three();
        let view = QUEUES_VIEW.replace("0 AS retry_attempt", "made IS NULL AS deleted, 0 AS retry_attempt");
        store.set_profile(&profile("sqlite", &view, &spawn));
        let delete = || store.execute("UPDATE jobs SET made = NULL WHERE queue = 'b'");
        let answer = call_meanwhile(&store.plugin(), &all_failed(json!({})), delete).unwrap();
        assert_eq!((pairs(&answer), reasons(&answer)), (vec!["a: 1".into(), "c: 3".into()], vec!["b, 2: gone".into()]));
        assert_eq!(store.waiting(), ["a|p", "c|p"]);
    }
}

/// A plan counts what is there at the moment of the spawn.
#[test]
fn a_run_that_was_soft_deleted_meanwhile_makes_another_plan() {
    let store = three();
    let view = QUEUES_VIEW.replace("0 AS retry_attempt", "made IS NULL AS deleted, 0 AS retry_attempt");
    store.set_profile(&profile("sqlite", &view, NUMBERED_SPAWN));
    let plugin = store.plugin();
    let plan = call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap()["plan"].clone();
    let delete = || store.execute("UPDATE jobs SET made = NULL WHERE queue = 'b'");
    let error = call_meanwhile(&plugin, &all_failed(json!({"expect_plan": plan})), delete).unwrap_err();
    assert_eq!(error.status, 409, "{error}");
    assert_eq!(store.waiting(), [""; 0]);
}
