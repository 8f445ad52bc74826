//! `skip_active` at the moment of the spawn: whatever has become active since the search is seen, wherever in the store
//! it stands and whatever was changed to make it so.

use crate::support::calls::{all_failed, assert_error, call, call_meanwhile, open, pairs, reasons};
use crate::support::queue_store::{NUMBERED_SPAWN, Own, QUEUES_VIEW, profile};
use crate::support::{NEWEST, Row, Store};
use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

const NOON: &str = "2026-04-15T12:00:00Z";

/// Failed runs of many tasks, so that the search is no single page, and an old success of the task `a`.
fn runwisp() -> Store {
    let mut rows =
        vec![Row::failed("0", "a", "2026-04-01T00:00:00Z").with(|row| row.end_reason = Some("success".to_owned()))];
    rows.extend((0..500).map(|n| Row::failed(&format!("m{n:03}"), &format!("task {n:03}"), NOON)));
    rows.extend([Row::failed("a", "a", NOON), Row::failed("z", "z", NOON)]);
    Store::of_generation(NEWEST, "wal").holding(&rows)
}

/// The same behind a profile that does not promise that rows only come, and that a run that has ended stays so.
fn without_the_promise(store: &Store) -> Plugin {
    let file = store.path.with_file_name("profile.toml");
    let profile = include_str!("../../src/profiles/runwisp.toml");
    assert!(profile.contains(",\n       rowid AS serial"));
    std::fs::write(&file, profile.replace(",\n       rowid AS serial", "")).unwrap();
    Plugin::open(&Config { profile: Some(file.to_str().unwrap().to_owned()), ..Config::new(store.path_str()) }).unwrap()
}

/// What makes a run of the task `a` pending or running after the search, and leaves it so: the first few as RunWisp never
/// does.
const BECOMES_ACTIVE: [&str; 10] = [
    // In place.
    "UPDATE runs SET status = 'running' WHERE id = '0'",
    "UPDATE runs SET status = 'pending', end_reason = NULL WHERE id = 'a'",
    // Another task's run becomes one of this task's.
    "UPDATE runs SET task_name = 'a', status = 'pending' WHERE id = 'm007'",
    // A rowid of the runner's choice.
    "DELETE FROM runs WHERE id = 'm100';
     INSERT INTO runs (rowid, id, task_name, status, triggered_by, created_at) VALUES (102, 'new', 'a', 'pending', 'cron', '2026-04-15T12:00:00Z')",
    // A new row: newer than all, back-dated, without a time that can be read.
    "INSERT INTO runs (id, task_name, status, triggered_by, created_at) VALUES ('new', 'a', 'pending', 'cron', '2999-01-01T00:00:00Z')",
    "INSERT INTO runs (id, task_name, status, triggered_by, created_at) VALUES ('new', 'a', 'pending', 'cron', '1999-01-01T00:00:00Z')",
    "INSERT INTO runs (id, task_name, status, triggered_by, created_at) VALUES ('0 lowest', 'a', 'running', 'cron', 'some day')",
    // The highest rowid is used anew.
    "DELETE FROM runs WHERE id = 'z';
     INSERT INTO runs (id, task_name, status, triggered_by, created_at) VALUES ('new', 'a', 'pending', 'cron', '2026-04-15T12:00:00Z')",
    // A row that takes another's place under its own id.
    "REPLACE INTO runs (id, task_name, status, triggered_by, created_at) VALUES ('m200', 'a', 'running', 'cron', '2026-04-15T12:00:00Z')",
    // A row that was deleted softly comes back.
    "INSERT INTO runs (id, task_name, status, triggered_by, created_at, deleted_at) VALUES ('new', 'a', 'pending', 'cron', '2026-04-15T12:00:00Z', 'then');
     UPDATE runs SET deleted_at = NULL WHERE id = 'new'",
];

/// As the others: a row of its own, which SQLite numbers.
const NOT_IN_PLACE: usize = 4;

/// How the store is opened, for each of the changes.
fn opened(store: &Store, change: usize) -> Vec<Plugin> {
    let mut plugins = vec![without_the_promise(store)];
    if change >= NOT_IN_PLACE {
        plugins.push(open(&store.path));
    }
    plugins
}

fn of_a(answer: &Value) -> Vec<String> {
    reasons(answer).into_iter().filter(|reason| reason.starts_with("a,")).collect()
}

#[test]
fn a_run_that_became_active_is_seen_however_it_did() {
    for (index, change) in BECOMES_ACTIVE.into_iter().enumerate() {
        for unique_by in ["task", "params", "run"] {
            for which in 0..opened(&runwisp(), index).len() {
                let store = runwisp();
                let plugin = opened(&store, index).remove(which);
                let request = all_failed(json!({"skip_active": true, "unique_by": unique_by}));
                let host = store.open();
                let answer = call_meanwhile(&plugin, &request, || host.execute_batch(change).unwrap()).unwrap();
                assert_eq!(of_a(&answer), ["a, a: active"], "{unique_by}: {change}");
                assert!(pairs(&answer).len() >= 498, "the others are started: {change}");
            }
        }
    }
}

/// What was to be taken and is active by now leaves its place to the next, and no other reason is forgotten meanwhile.
#[test]
fn what_became_active_leaves_its_place_among_those_that_are_taken() {
    let store = runwisp();
    let host = store.open();
    let since = "INSERT INTO runs (id, task_name, status, end_reason, triggered_by, created_at) VALUES ('on', 'task 000', 'ended', 'success', 'cron', '2026-04-15T13:00:00Z')";
    host.execute_batch(since).unwrap();
    let request = all_failed(json!({"skip_active": true, "skip_superseded": true, "take": 2}));
    let active = "INSERT INTO runs (id, task_name, status, triggered_by, created_at) VALUES ('new', 'a', 'pending', 'cron', '2026-04-15T12:00:00Z')";
    let answer = call_meanwhile(&open(&store.path), &request, || host.execute_batch(active).unwrap()).unwrap();
    assert_eq!(pairs(&answer), ["task 001: m001", "task 002: m002"]);
    let reasons = reasons(&answer);
    assert_eq!(reasons[..3], ["a, a: active", "task 000, m000: superseded", "task 003, m003: not_taken"]);
    assert_eq!(reasons.len(), 500, "every other one is told");
}

/// What was active at the search may have succeeded by now: nobody who sees it running wants it once more.
#[test]
fn what_was_active_at_the_search_stays_skipped() {
    let running = "INSERT INTO runs (id, task_name, status, triggered_by, created_at, params_json) VALUES ('on', 'a', 'running', 'cron', '2026-04-15T13:00:00Z', ";
    for (params, change) in [
        ("NULL", "UPDATE runs SET status = 'ended', end_reason = 'failed' WHERE id = 'on'"),
        ("NULL", "DELETE FROM runs WHERE id = 'on'"),
        ("NULL", "UPDATE runs SET deleted_at = 'now' WHERE id = 'on'"),
        ("NULL", "UPDATE runs SET task_name = 'another' WHERE id = 'on'"),
    ] {
        let store = runwisp();
        let host = store.open();
        host.execute_batch(&format!("{running}{params})")).unwrap();
        let request = all_failed(json!({"skip_active": true}));
        let answer = call_meanwhile(&open(&store.path), &request, || host.execute_batch(change).unwrap()).unwrap();
        assert_eq!(of_a(&answer), ["a, a: active"], "{change}");
    }
}

#[test]
fn parameters_that_changed_meanwhile_make_it_the_same_set_or_another() {
    for (before, after, active) in [("'p'", "NULL", true), ("'p'", "'q'", false), ("'p'", "x''", false)] {
        let store = runwisp();
        let host = store.open();
        let sql = "INSERT INTO runs (id, task_name, status, triggered_by, created_at, params_json) VALUES ('on', 'a', 'running', 'cron', '2026-04-15T13:00:00Z', ";
        host.execute_batch(&format!("{sql}{before})")).unwrap();
        let request = all_failed(json!({"skip_active": true, "unique_by": "params"}));
        let change = format!("UPDATE runs SET params_json = {after} WHERE id = 'on'");
        let plugin = without_the_promise(&store);
        let answer = call_meanwhile(&plugin, &request, || host.execute_batch(&change).unwrap()).unwrap();
        assert_eq!(of_a(&answer).len(), usize::from(active), "{before} to {after}");
    }
}

/// VACUUM gives rows other rowids where the table's key is none of them, and is no change of any run.
#[test]
fn a_store_that_was_vacuumed_meanwhile_is_read_right() {
    for (then, active) in [("", 0), (BECOMES_ACTIVE[4], 1), (BECOMES_ACTIVE[7], 1)] {
        let store = runwisp();
        let host = store.open();
        host.execute_batch("DELETE FROM runs WHERE id LIKE 'm1%'").unwrap();
        let request = all_failed(json!({"skip_active": true}));
        let vacuum = format!("DELETE FROM runs WHERE id LIKE 'm2%'; VACUUM; {then}");
        let plugin = open(&store.path);
        let answer = call_meanwhile(&plugin, &request, || host.execute_batch(&vacuum).unwrap()).unwrap();
        assert_eq!(of_a(&answer).len(), active, "{then}");
        assert_eq!(
            reasons(&answer).iter().filter(|reason| reason.ends_with(": gone")).count(),
            100 + usize::from(then.contains("'z'"))
        );
        // What it has started itself is active for the next call, wherever VACUUM has put it.
        host.execute_batch("VACUUM").unwrap();
        let again = call(&plugin, &request).unwrap();
        assert_eq!((pairs(&again), reasons(&again).len()), (vec![], 302 - usize::from(then.contains("'z'"))), "{then}");
    }
}

/// Numbered rows whose numbers are used anew, and a table without rowids.
#[test]
fn numbers_that_are_used_anew_hide_no_run() {
    for table in ["", "WITHOUT ROWID"] {
        let rows: Vec<String> = (1..=300).map(|n| format!("('t{n}', {n}, 'broken', 'p')")).collect();
        for change in [
            "DELETE FROM jobs WHERE id = 300; INSERT INTO jobs VALUES ('t7', 300, 'queued', '1999-01-01T00:00:00Z', 'p')",
            "UPDATE jobs SET queue = 't7', state = 'busy' WHERE id = 8",
            "UPDATE jobs SET id = -1, queue = 't7', state = 'queued' WHERE id = 200",
            "INSERT INTO jobs VALUES ('t7', -5, 'queued', NULL, 'p')",
        ] {
            let store = Own::queues("TEXT", "INTEGER PRIMARY KEY", &rows.join(", "));
            store.execute(&format!(
                "CREATE TABLE other (queue TEXT, id INTEGER PRIMARY KEY, state TEXT NOT NULL, made TEXT, params) {table};
                 INSERT INTO other SELECT * FROM jobs; DROP TABLE jobs; ALTER TABLE other RENAME TO jobs"
            ));
            store.set_profile(&profile("sqlite", QUEUES_VIEW, NUMBERED_SPAWN));
            let answer =
                call_meanwhile(&store.plugin(), &all_failed(json!({"skip_active": true})), || store.execute(change))
                    .unwrap();
            assert!(
                reasons(&answer).contains(&"t7, 7: active".to_owned()),
                "{table}: {change}: {:?}",
                reasons(&answer)
            );
        }
    }
}

#[test]
fn what_became_active_makes_another_plan() {
    for change in BECOMES_ACTIVE {
        let store = runwisp();
        let plugin = without_the_promise(&store);
        let plan = call(&plugin, &all_failed(json!({"skip_active": true, "dry_run": true}))).unwrap()["plan"].clone();
        let request = all_failed(json!({"skip_active": true, "expect_plan": plan}));
        let host = store.open();
        let error = call_meanwhile(&plugin, &request, || host.execute_batch(change).unwrap()).unwrap_err();
        assert_error(&error, 409, &["nothing was spawned"]);
        let spawned: i64 =
            host.query_row("SELECT count(*) FROM runs WHERE triggered_by = 'api'", [], |row| row.get(0)).unwrap();
        assert_eq!(spawned, 0, "{change}");
    }
}

/// To be active goes before whatever else keeps a run from being started, also where it comes later.
#[test]
fn what_became_active_is_told_before_later_reasons() {
    let rows = "('a', 1, 'broken', 'p'), ('b', 2, 'broken', 'p'), ('b', 3, 'fine', 'p'), (NULL, 4, 'broken', 'p'), (NULL, 5, 'busy', 'p')";
    let store = Own::queues("TEXT", "", rows);
    let request = all_failed(json!({"skip_active": true, "skip_superseded": true}));
    let change = "INSERT INTO jobs (queue, id, state, params) VALUES ('b', 6, 'queued', 'p')";
    let answer = call_meanwhile(&store.plugin(), &request, || store.execute(change)).unwrap();
    assert_eq!(
        (pairs(&answer), reasons(&answer)),
        (vec!["a: 1".into()], vec!["-, 4: active".into(), "b, 2: active".into()])
    );
}
