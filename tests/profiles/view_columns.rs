//! A profile says what a store has: a canonical column that its view lacks is NULL, and a line that is for another
//! layout of the store is left out.

use crate::support::calls::{all_failed, assert_error, call, open, pairs, planned, reasons};
use crate::support::queue_store::{Own, Told, profile};
use crate::support::runners::bulk_rerun;
use crate::support::{GENERATIONS, NEWEST, Row, Store, dump, params_of};
use rusqlite::types::Value as Column;
use serde_json::{Value, json};

const NOON: &str = "2026-04-15T12:00:00Z";

const LEAST: &str =
    "\nSELECT id, queue AS task_name, CASE state WHEN 'queued' THEN 'pending' ELSE 'ended' END AS phase FROM jobs";

const SPAWN: &str = "
INSERT INTO jobs (id, queue, state) SELECT (SELECT max(id) + 1 FROM jobs), queue, 'queued' FROM jobs WHERE queue = :task_name AND id = :id
RETURNING id";

fn with_view(view: &str) -> Own {
    let store = Own::queues(
        "TEXT",
        "INTEGER PRIMARY KEY",
        "('a', 9, 'broken', 'p'), ('a', 10, 'broken', 'q'), ('b', 3, 'broken', 'p')",
    );
    store.set_profile(&profile("sqlite", view, SPAWN));
    store
}

#[test]
fn three_columns_are_enough() {
    let store = with_view(LEAST);
    let plugin = store.plugin();
    let plan = call(&plugin, &json!({"match_all": true, "options": {"dry_run": true}})).unwrap();
    // No time is known, so all are as old as another: the higher id is the newer.
    assert_eq!(planned(&plan), ["a: 10 (2)", "b: 3 (1)"]);
    for filter in [
        json!({"status": "failed"}),
        json!({"triggered_by": "cron"}),
        json!({"exit_code_min": 0}),
        json!({"exit_code_max": 255}),
        json!({"retries_only": true}),
        json!({"created_after": "1970-01-01T00:00:00Z"}),
        json!({"created_before": "2999-01-01T00:00:00Z"}),
        json!({"is_failure": true}),
    ] {
        let request = json!({"match_all": true, "filter": filter, "options": {"dry_run": true}});
        assert_eq!(call(&plugin, &request).unwrap()["matched"], 0, "{filter}");
    }
    let by_params = json!({"ids": ["9", "10"], "options": {"unique_by": "params"}});
    assert_eq!(pairs(&call(&plugin, &by_params).unwrap()), ["a: 10"], "what is NULL is one set");
    let active = json!({"ids": ["9", "3"], "options": {"skip_active": true, "skip_superseded": true}});
    let answer = call(&plugin, &active).unwrap();
    assert_eq!((pairs(&answer), reasons(&answer)), (vec!["b: 3".into()], vec!["a, 9: active".into()]));
}

#[test]
fn check_says_which_columns_are_lacking() {
    with_view(LEAST)
        .tool("check", &[])
        .says(0, &["lacks", "end_reason", "exit_code", "triggered_by", "created_at", "retry_attempt", "params"]);
    let most =
        LEAST.replace(" FROM jobs", ", NULL AS end_reason, 0 AS retry_attempt, made AS created_at, params FROM jobs");
    let told = with_view(&most).tool("check", &[]);
    told.says(0, &["lacks exit_code, triggered_by"]);
    let all = most.replace(" FROM jobs", ", NULL AS exit_code, NULL AS triggered_by FROM jobs");
    let told = with_view(&all).tool("check", &[]);
    told.says(0, &["writable"]);
    assert!(!told.out.contains("lacks"), "{told:?}");
}

#[test]
fn an_id_a_task_and_a_phase_must_be_there() {
    for (part, column) in [
        ("id, ", "id"),
        ("queue AS task_name, ", "task_name"),
        ("CASE state WHEN 'queued' THEN 'pending' ELSE 'ended' END AS phase", "phase"),
    ] {
        let other = if column == "phase" { "NULL AS end_reason" } else { "" };
        let view = LEAST.replacen(part, other, 1);
        assert_ne!(view, LEAST);
        let error = with_view(&view).try_plugin().err().unwrap();
        assert_error(&error, 500, &["runs", column, "missing"]);
    }
    // What is no canonical column is a mistake still.
    let error = with_view(&LEAST.replace(" FROM jobs", ", 1 AS colour FROM jobs")).try_plugin().err().unwrap();
    assert_error(&error, 500, &["colour"]);
}

/// One line in the view, one in the spawn's columns, one in its values.
const VIEW_IF: &str = "
SELECT id, queue AS task_name,
       params, -- if jobs.params
       gone AS deleted, -- if jobs.gone
       CASE state WHEN 'queued' THEN 'pending' ELSE 'ended' END AS phase
FROM jobs";

const SPAWN_IF: &str = "
INSERT INTO jobs (id,
                  params, -- if jobs.params
                  queue, state)
SELECT (SELECT max(id) + 1 FROM jobs),
       params, -- if jobs.params
       queue, 'queued'
FROM jobs WHERE queue = :task_name AND id = :id
RETURNING id";

#[test]
fn a_line_for_a_column_that_the_store_lacks_is_left_out() {
    for (alter, params, deleted) in [
        ("", true, false),
        ("ALTER TABLE jobs DROP COLUMN params", false, false),
        ("ALTER TABLE jobs ADD COLUMN gone", true, true),
        ("ALTER TABLE jobs ADD COLUMN gone; ALTER TABLE jobs DROP COLUMN params", false, true),
        // Names of columns have no case in SQLite.
        ("ALTER TABLE jobs RENAME COLUMN params TO PARAMS", true, false),
    ] {
        let store = with_view(LEAST);
        store.execute(alter);
        store.set_profile(&profile("sqlite", VIEW_IF, SPAWN_IF));
        if deleted {
            store.execute("UPDATE jobs SET gone = queue = 'b'");
        }
        let answer = call(&store.plugin(), &json!({"match_all": true})).unwrap();
        assert_eq!(pairs(&answer), if deleted { vec!["a: 10"] } else { vec!["a: 10", "b: 3"] }, "{alter}");
        if params {
            assert_eq!(store.lines("SELECT params FROM jobs WHERE state = 'queued' AND queue = 'a'"), ["q"], "{alter}");
        }
        let told = store.tool("check", &[]);
        told.says(0, &["lacks"]);
        assert_eq!(told.out.contains("params"), !params, "{told:?}");
    }
}

/// A store that gets the column while a plugin has it open is read with it from then on.
#[test]
fn a_line_counts_as_soon_as_the_column_is_there() {
    let store = with_view(LEAST);
    store.execute("ALTER TABLE jobs DROP COLUMN params");
    store.set_profile(&profile("sqlite", VIEW_IF, SPAWN_IF));
    let plugin = store.plugin();
    assert_eq!(pairs(&call(&plugin, &json!({"ids": ["9"]})).unwrap()), ["a: 9"]);
    store.execute("ALTER TABLE jobs ADD COLUMN params; UPDATE jobs SET params = 'now there' WHERE id = 3; ALTER TABLE jobs ADD COLUMN gone");
    assert_eq!(pairs(&call(&plugin, &json!({"ids": ["3"]})).unwrap()), ["b: 3"]);
    assert_eq!(store.lines("SELECT params FROM jobs WHERE queue = 'b'"), ["now there", "now there"]);
}

/// An ordinary comment is one, and so is a condition in the middle of a line.
#[test]
fn only_a_comment_at_the_end_of_its_line_is_a_condition() {
    let view = LEAST.replace("SELECT id,", "SELECT id, -- if only we knew\n");
    with_view(&view).plugin();
    let quoted = LEAST.replace("SELECT id,", "SELECT id, '-- if jobs.nowhere' AS triggered_by,");
    let request =
        json!({"match_all": true, "filter": {"triggered_by": "-- if jobs.nowhere"}, "options": {"dry_run": true}});
    assert_eq!(call(&with_view(&quoted).plugin(), &request).unwrap()["matched"], 3);
}

/// RunWisp's layouts that are not among its released schemas.
fn between() -> [String; 2] {
    let without = |column: &str| {
        let kept = |line: &&str| !line.trim_start().starts_with(column) && !line.contains(&format!("({column})"));
        GENERATIONS[1]
            .lines()
            .filter(kept)
            .collect::<Vec<_>>()
            .join("\n")
            .replace("TEXT,\n)", "TEXT\n)")
            .replace("DEFAULT 0,\n);", "DEFAULT 0\n);")
    };
    [without("params_json").replace(",\n)", "\n)"), without("deleted_at").replace(",\n)", "\n)")]
}

#[test]
fn every_layout_of_runwisps_works_and_keeps_its_params() {
    let [no_params, no_deleted] = between();
    for schema in GENERATIONS.iter().copied().chain([no_params.as_str(), &no_deleted]) {
        let has = |column: &str| schema.contains(&format!("{column} "));
        let (params, deleted) = (has("params_json"), has("deleted_at"));
        let given = |text: &str| Some(text.to_owned());
        let store = Store::of_generation(schema, "wal").holding(&[
            Row::failed("1", "backup", NOON).with(|row| row.params_json = given("{\"n\":1}")),
            Row::failed("2", "backup", NOON).with(|row| row.params_json = given("{\"n\":2}")),
            Row::failed("3", "gone", NOON).with(|row| row.deleted_at = given(NOON)),
            Row::failed("4", "web", NOON).with(|row| row.triggered_by = "service".to_owned()),
            Row::failed("5", "fine", NOON).with(|row| {
                row.end_reason = Some("success".to_owned());
                row.is_failure = i64::from(schema == NEWEST);
            }),
        ]);
        let answer = call(&open(&store.path), &all_failed(json!({"unique_by": "params"}))).unwrap();
        let mut expected = if params { vec!["backup: 1", "backup: 2"] } else { vec!["backup: 2"] };
        if !deleted {
            expected.push("gone: 3");
        }
        assert_eq!(
            (pairs(&answer), reasons(&answer)),
            (expected.iter().map(|pair| pair.to_string()).collect(), vec!["web, 4: service".into()]),
            "{schema}"
        );
        for run in answer["triggered"].as_array().unwrap().iter().filter(|run| params && run["task_name"] == "backup") {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let expected = Column::Text(format!("{{\"n\":{}}}", text(&run["rerun_of"])));
            assert_eq!(params_of(&store.path, &text(&run["run_id"])), expected, "{schema}");
        }
        assert_eq!(dump(&store.path).len(), 5 + expected.len(), "{schema}");
        // RunWisp's own mark of a failure counts where it has one.
        let marked = json!({"match_all": true, "filter": {"is_failure": true, "task_name": "fine"}, "options": {"dry_run": true}});
        assert_eq!(call(&open(&store.path), &marked).unwrap()["matched"], i64::from(schema == NEWEST), "{schema}");
        let told = Told::by(bulk_rerun().args(["check", "--store", store.path_str()]).output().unwrap());
        told.says(0, &["RunWisp", "runs       "]);
    }
}
