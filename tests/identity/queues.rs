//! A run is its task and its id together: where ids repeat, where integer keys tie, where a view says a run twice.

use crate::support::calls::{all_failed, assert_error, call, call_meanwhile, pairs, planned, reasons};
use crate::support::queue_store::{Own, QUEUES_SPAWN, QUEUES_VIEW, profile};
use serde_json::json;

/// Starts a job again from what it is handed, and reads no row.
const BY_VALUES: &str = "
INSERT INTO jobs (queue, id, state, made, params)
VALUES (:task_name, (SELECT max(CAST(id AS INTEGER)) + 1 FROM jobs WHERE queue = :task_name), 'queued', :now, :params)
RETURNING id";

/// Keys that are unique within a queue only, and how a job is started.
const KEYS: [(&str, &str); 4] =
    [("INTEGER", QUEUES_SPAWN), ("TEXT", QUEUES_SPAWN), ("", QUEUES_SPAWN), ("INTEGER", BY_VALUES)];

fn queues((key, spawn): (&str, &str), rows: &str) -> Own {
    let store = Own::queues("TEXT", key, rows);
    store.set_profile(&profile("sqlite", QUEUES_VIEW, spawn));
    store
}

#[test]
fn a_run_is_started_with_its_own_parameters_where_another_task_has_its_id() {
    for key in KEYS {
        let store = queues(key, "('mail', 1, 'broken', 'of mail'), ('z', 1, 'fine', 'of z')");
        let told = store.tool("rerun", &["--status", "failed", "--task", "mail", "--yes", "--json"]);
        assert_eq!((told.status, pairs(&told.json())), (0, vec!["mail: 1".to_owned()]), "{key:?}");
        assert_eq!(store.waiting(), ["mail|of mail"], "{key:?}");
    }
}

#[test]
fn two_runs_with_one_id_are_each_started() {
    for key in KEYS {
        for unique_by in ["task", "params", "run"] {
            let store =
                queues(key, "('refund', 1, 'broken', 'r'), ('mail', 1, 'broken', 'm'), ('mail', 0, 'broken', 'o')");
            let request = json!({"match_all": true, "except_ids": ["0"], "options": {"unique_by": unique_by}});
            let answer = call(&store.plugin(), &request).unwrap();
            assert_eq!(pairs(&answer), ["mail: 1", "refund: 1"], "{key:?}, {unique_by}");
            assert_eq!(store.waiting(), ["mail|m", "refund|r"], "{key:?}, {unique_by}");
            // New ids repeat here as well: each is what stands in its own queue.
            let ids = |of: usize| answer["triggered"][of]["run_id"].as_str().unwrap().to_owned();
            assert_eq!([ids(0), ids(1)], ["2", "2"], "{key:?}, {unique_by}");
        }
    }
}

#[test]
fn an_id_means_every_run_that_bears_it() {
    for key in KEYS {
        let store = queues(key, "('mail', 1, 'broken', 'm'), ('z', 1, 'fine', 'z'), ('z', 2, 'fine', 'two')");
        let plugin = store.plugin();
        let plan = call(&plugin, &json!({"ids": ["1", "7", "1"], "options": {"dry_run": true}})).unwrap();
        assert_eq!((&plan["matched"], planned(&plan)), (&json!(2), vec!["mail: 1 (1)".into(), "z: 1 (1)".into()]));
        assert_eq!(reasons(&plan), ["-, 7: not_found"], "{key:?}");
        let except = json!({"match_all": true, "except_ids": ["1"], "options": {"dry_run": true}});
        assert_eq!(planned(&call(&plugin, &except).unwrap()), ["z: 2 (1)"], "{key:?}");
        let answer = call(&plugin, &json!({"ids": ["1"]})).unwrap();
        assert_eq!(pairs(&answer), ["mail: 1", "z: 1"], "{key:?}");
        assert_eq!(store.waiting(), ["mail|m", "z|z"], "{key:?}");
    }
}

#[test]
fn the_expected_plan_is_of_every_run_with_the_id() {
    for key in KEYS {
        let rows = "('a', 1, 'broken', 'of a'), ('b', 1, 'broken', 'of b')";
        let store = queues(key, rows);
        let plugin = store.plugin();
        let plan = call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap();
        assert_eq!(planned(&plan), ["a: 1 (1)", "b: 1 (1)"]);
        let answer = call(&plugin, &all_failed(json!({"expect_plan": plan["plan"]}))).unwrap();
        assert_eq!((pairs(&answer), reasons(&answer)), (vec!["a: 1".into(), "b: 1".into()], vec![]), "{key:?}");

        // Either one's parameters are part of the plan, and so is that it is there.
        for change in [
            "UPDATE jobs SET params = 'x' WHERE queue = 'a'",
            "UPDATE jobs SET params = 'x' WHERE queue = 'b'",
            "DELETE FROM jobs WHERE queue = 'a'",
            "DELETE FROM jobs WHERE queue = 'b'",
        ] {
            let store = queues(key, rows);
            let plugin = store.plugin();
            store.execute(change);
            let before = store.dump();
            let error = call(&plugin, &all_failed(json!({"expect_plan": plan["plan"]}))).unwrap_err();
            assert_error(&error, 409, &["nothing was spawned"]);
            assert_eq!(store.dump(), before, "{key:?}: {change}");
        }
    }
}

#[test]
fn one_that_is_declined_does_not_stand_for_the_other() {
    for key in KEYS {
        for declined in ["a", "b"] {
            let store = queues(key, "('a', 1, 'broken', 'of a'), ('b', 1, 'broken', 'of b')");
            store.execute(&format!(
                "CREATE TRIGGER closed BEFORE INSERT ON jobs WHEN NEW.queue = '{declined}'
                 BEGIN SELECT RAISE(ABORT, 'it is closed'); END"
            ));
            let other = if declined == "a" { "b" } else { "a" };
            let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
            assert_eq!(pairs(&answer), [format!("{other}: 1")], "{key:?}");
            assert_eq!(reasons(&answer), [format!("{declined}, 1: refused")], "{key:?}");
            assert_eq!(store.waiting(), [format!("{other}|of {other}")], "{key:?}");
        }
    }
}

#[test]
fn one_that_vanished_does_not_stand_for_the_other() {
    for key in KEYS {
        for vanished in ["a", "b"] {
            let store = queues(key, "('a', 1, 'broken', 'of a'), ('b', 1, 'broken', 'of b')");
            let delete = || store.execute(&format!("DELETE FROM jobs WHERE queue = '{vanished}'"));
            let answer = call_meanwhile(&store.plugin(), &json!({"ids": ["1"]}), delete).unwrap();
            let other = if vanished == "a" { "b" } else { "a" };
            assert_eq!(reasons(&answer), [format!("{vanished}, 1: gone")], "{key:?}");
            assert_eq!(store.waiting(), [format!("{other}|of {other}")], "{key:?}");
        }
    }
}

#[test]
fn what_is_active_or_newer_is_so_within_its_own_task() {
    for key in KEYS {
        let store = queues(
            key,
            "('a', 1, 'broken', 'p'), ('b', 1, 'busy', 'p'), ('c', 1, 'broken', 'p'), ('c', 2, 'fine', 'p'),
             ('d', 2, 'broken', 'p'), ('d', 1, 'fine', 'p'), ('e', 2, 'broken', 'p'), ('e', 1, 'queued', 'p')",
        );
        for unique_by in ["task", "params", "run"] {
            let options =
                json!({"dry_run": true, "unique_by": unique_by, "skip_active": true, "skip_superseded": true});
            let plan = call(&store.plugin(), &all_failed(options)).unwrap();
            assert_eq!(planned(&plan), ["a: 1 (1)", "d: 2 (1)"], "{key:?}, {unique_by}");
            assert_eq!(reasons(&plan), ["c, 1: superseded", "e, 2: active"], "{key:?}, {unique_by}");
        }
    }
}

/// Jobs of one `INSERT … SELECT now()`, as runners make them for a batch.
fn of_one_moment(key: &str, ids: &[&str]) -> Own {
    let rows: Vec<String> = ids.iter().map(|id| format!("('batch', {id}, 'broken', 'number ' || {id})")).collect();
    queues((key, QUEUES_SPAWN), &rows.join(", "))
}

#[test]
fn of_equally_new_runs_the_one_with_the_higher_number_is_the_newest() {
    let sets: [&[&str]; 5] = [
        &["9", "10", "11", "12"],
        &["12", "11", "10", "9"],
        &["-10", "-9"],
        &["9007199254740992", "9007199254740993"],
        &["-9223372036854775808", "999", "9223372036854775807"],
    ];
    for (ids, newest) in sets.iter().zip(["12", "12", "-9", "9007199254740993", "9223372036854775807"]) {
        for key in ["INTEGER", "INTEGER PRIMARY KEY", ""] {
            let store = of_one_moment(key, ids);
            let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true}))).unwrap();
            assert_eq!(planned(&plan), [format!("batch: {newest} ({})", ids.len())], "{key:?}");
        }
    }
    let store = of_one_moment("INTEGER PRIMARY KEY", &["9", "10", "11", "12"]);
    assert_eq!(pairs(&call(&store.plugin(), &all_failed(json!({}))).unwrap()), ["batch: 12"]);
    assert_eq!(store.waiting(), ["batch|number 12"]);
}

/// What is compared by number is answered by its text, as every id is.
#[test]
fn numbers_are_answered_in_the_order_of_their_bytes() {
    let store = of_one_moment("INTEGER", &["9", "10", "100", "2"]);
    let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!(pairs(&answer), ["batch: 10", "batch: 100", "batch: 2", "batch: 9"]);
}

#[test]
fn ids_that_are_no_numbers_are_compared_by_their_bytes() {
    let store = of_one_moment("TEXT", &["'9'", "'10'", "'é'", "'z'", "'Z'"]);
    assert_eq!(pairs(&call(&store.plugin(), &all_failed(json!({}))).unwrap()), ["batch: é"]);
    let store = of_one_moment("TEXT", &["'9'", "'10'"]);
    assert_eq!(pairs(&call(&store.plugin(), &all_failed(json!({}))).unwrap()), ["batch: 9"]);
    // A number is lower than any text, as SQLite itself has it; a text in bytes is a text.
    let store = of_one_moment("", &["'10'", "99", "x'3131'"]);
    assert_eq!(pairs(&call(&store.plugin(), &all_failed(json!({}))).unwrap()), ["batch: 11"]);
}

#[test]
fn a_success_with_a_higher_number_supersedes_and_one_with_a_lower_does_not() {
    for (broken, fine, superseded) in [(9, 10, true), (10, 9, false), (99, 100, true), (-9, -10, false)] {
        let store = queues(KEYS[0], &format!("('a', {broken}, 'broken', 'p'), ('a', {fine}, 'fine', 'p')"));
        for unique_by in ["task", "params", "run"] {
            let options = json!({"dry_run": true, "skip_superseded": true, "unique_by": unique_by});
            let plan = call(&store.plugin(), &all_failed(options)).unwrap();
            let (starts, skips) = (planned(&plan).len(), reasons(&plan).len());
            assert_eq!((starts, skips), if superseded { (0, 1) } else { (1, 0) }, "{broken}, {fine}: {plan}");
        }
    }
}

/// A join that finds several rows for one run.
fn shown_twice() -> Own {
    let view = QUEUES_VIEW.replace("FROM jobs", "FROM jobs LEFT JOIN tags ON tags.job = jobs.id");
    let store = queues(KEYS[0], "('a', 1, 'broken', 'p'), ('a', 2, 'broken', 'p'), ('b', 3, 'broken', 'p')");
    store.execute(
        "CREATE TABLE tags (job, tag); INSERT INTO tags SELECT id, 'x' FROM jobs UNION ALL SELECT id, 'y' FROM jobs",
    );
    store.set_profile(&profile("sqlite", &view, QUEUES_SPAWN));
    store
}

#[test]
fn a_run_that_the_view_shows_twice_is_one_run() {
    for request in [
        json!({"match_all": true, "options": {"unique_by": "run"}}),
        json!({"ids": ["1", "2", "3"], "options": {"unique_by": "run"}}),
    ] {
        let store = shown_twice();
        let mut dry = request.clone();
        dry["options"]["dry_run"] = json!(true);
        let plan = call(&store.plugin(), &dry).unwrap();
        assert_eq!((&plan["matched"], planned(&plan).len()), (&json!(3), 3), "{plan}");
        let answer = call(&store.plugin(), &request).unwrap();
        assert_eq!((pairs(&answer), reasons(&answer)), (vec!["a: 1".into(), "a: 2".into(), "b: 3".into()], vec![]));
        assert_eq!(store.waiting().len(), 3);
    }
    let plan = call(&shown_twice().plugin(), &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(planned(&plan), ["a: 2 (2)", "b: 3 (1)"]);
    // As many runs as the limit allows are not too many because they are shown twice.
    let answer = call(&shown_twice().plugin(), &all_failed(json!({"unique_by": "run", "limit": 3}))).unwrap();
    assert_eq!(pairs(&answer).len(), 3);
}

#[test]
fn check_says_that_a_run_is_shown_twice() {
    let told = shown_twice().tool("check", &[]);
    told.says(0, &["twice"]);
}

#[test]
fn the_plan_shows_each_run_with_its_own_parameters() {
    let rows = "('mail', 1, 'broken', 'of mail 1'), ('mail', 2, 'broken', 'of mail 2'), ('report', 1, 'broken', 'of report 1')";
    let store = Own::queues("TEXT", "INTEGER", rows);
    store.set_profile(&profile("sqlite", QUEUES_VIEW, QUEUES_SPAWN));
    let told = store.tool("rerun", &["--status", "failed", "--unique-by", "run", "--dry-run"]);
    for (task, id) in [("mail", 1), ("mail", 2), ("report", 1)] {
        let own = format!("of {task} {id}");
        let line = told.out.lines().find(|line| line.contains(&own)).unwrap_or_else(|| panic!("{own}: {told:?}"));
        assert!(line.trim_start().starts_with(task), "{line}");
    }
}
