//! Where the promises break, on SQLite.

use crate::support::calls::{all_failed, call, call_meanwhile, pairs, reasons};
use crate::support::queue_store::{NUMBERED_SPAWN, Own, QUEUES_VIEW, profile};
use serde_json::{Value, json};

/// Each run that is answered is there when the transaction has been committed, and no two answers are one run.
#[track_caller]
fn all_are_there(store: &Own, answer: &Value) {
    let triggered = answer["triggered"].as_array().unwrap();
    let mut ids: Vec<&str> = triggered.iter().map(|run| run["run_id"].as_str().unwrap()).collect();
    for id in &ids {
        let found = format!("SELECT count(*) FROM jobs WHERE id = '{id}' AND state = 'queued'");
        assert_eq!(store.lines(&found), ["1"], "{id} is not there: {answer}");
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), triggered.len(), "one run is answered twice: {answer}");
}

/// A trigger of the host's keeps one waiting job a queue: the second new one takes the first one's place.
#[test]
fn a_new_run_that_a_later_one_replaces_is_not_answered() {
    for replaces in [
        "CREATE TRIGGER only_one AFTER INSERT ON jobs WHEN NEW.state = 'queued'
         BEGIN DELETE FROM jobs WHERE queue = NEW.queue AND state = 'queued' AND id <> NEW.id; END",
        "CREATE TRIGGER only_one AFTER INSERT ON jobs WHEN NEW.state = 'queued'
         BEGIN UPDATE jobs SET state = 'fine' WHERE queue = NEW.queue AND state = 'queued' AND id <> NEW.id; END",
    ] {
        let store = Own::queues("TEXT", "INTEGER PRIMARY KEY", "('a', 1, 'broken', 'p'), ('a', 2, 'broken', 'q')");
        store.set_profile(&profile("sqlite", QUEUES_VIEW, NUMBERED_SPAWN));
        store.execute(replaces);
        let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
        all_are_there(&store, &answer);
    }
}

/// The same by the schema alone: `ON CONFLICT REPLACE`.
#[test]
fn a_new_run_that_a_constraint_replaces_is_not_answered() {
    let store = Own::queues("TEXT", "INTEGER PRIMARY KEY", "('a', 1, 'broken', 'p'), ('a', 2, 'broken', 'q')");
    store.execute(
        "DROP TABLE jobs; CREATE TABLE jobs (queue TEXT, id INTEGER PRIMARY KEY, state TEXT NOT NULL, made TEXT, params,
            waiting AS (CASE state WHEN 'queued' THEN queue END) UNIQUE ON CONFLICT REPLACE);
         INSERT INTO jobs (queue, id, state, params) VALUES ('a', 1, 'broken', 'p'), ('a', 2, 'broken', 'q')",
    );
    store.set_profile(&profile("sqlite", QUEUES_VIEW, NUMBERED_SPAWN));
    let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    all_are_there(&store, &answer);
}

/// A spawn that finds the waiting job of a queue and leaves it at that: two groups have got one new run.
#[test]
fn one_new_run_is_not_two_groups() {
    let spawn = "
INSERT INTO jobs (queue, id, state, made, params)
SELECT queue, (SELECT max(id) + 1 FROM jobs), 'queued', :now, params FROM jobs WHERE queue = :task_name AND id = :id
ON CONFLICT (queue) WHERE state = 'queued' DO UPDATE SET made = excluded.made
RETURNING id";
    let store = Own::queues("TEXT", "INTEGER PRIMARY KEY", "('a', 1, 'broken', 'p'), ('a', 2, 'broken', 'q')");
    store.execute("CREATE UNIQUE INDEX only_one ON jobs (queue) WHERE state = 'queued'");
    store.set_profile(&profile("sqlite", QUEUES_VIEW, spawn));
    let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    all_are_there(&store, &answer);
}

const KEYED: &str = "CREATE TABLE jobs (queue TEXT, id TEXT PRIMARY KEY, state TEXT NOT NULL, made TEXT DEFAULT
    '2026-04-15T12:00:00Z', params); INSERT INTO jobs (queue, id, state, params) VALUES ('a', '1', 'broken', 'p');";

const ULID_SPAWN: &str = "
INSERT INTO jobs (queue, id, state, made, params)
SELECT queue, :new_id, 'queued', :now, params FROM jobs WHERE queue = :task_name AND id = :id";

/// A view with a join too many shows the one run twice.
#[track_caller]
fn shown_twice(schema: &str, join: &str) {
    let view = QUEUES_VIEW.replace("SELECT id, queue", "SELECT jobs.id, jobs.queue").replace("FROM jobs", join);
    let store = Own::new(&format!("{KEYED}{schema}"), &profile("sqlite", &view, ULID_SPAWN));
    assert_eq!(store.lines(&format!("SELECT count(*) FROM ({view})")), ["2"], "the view shows it twice");
    let dry = call(&store.plugin(), &json!({"match_all": true, "options": {"dry_run": true}})).unwrap();
    let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!(pairs(&answer), ["a: 1"], "{join}\n{answer}");
    assert_eq!(store.waiting().len(), 1);
    assert_eq!(dry["matched"], 1);
}

#[test]
fn a_join_by_either_of_two_indexes_shows_a_run_twice() {
    shown_twice(
        "CREATE TABLE note (job TEXT, parent TEXT); CREATE INDEX by_job ON note (job); CREATE INDEX by_parent ON note (parent);
         INSERT INTO note VALUES ('1', NULL), (NULL, '1')",
        "FROM jobs LEFT JOIN note ON note.job = jobs.id OR note.parent = jobs.id",
    );
}

#[test]
fn a_join_on_one_of_several_values_shows_a_run_twice() {
    shown_twice(
        "CREATE TABLE note (job TEXT, kind TEXT, UNIQUE (job, kind)); INSERT INTO note VALUES ('1', 'x'), ('1', 'y')",
        "FROM jobs LEFT JOIN note ON note.job = jobs.id AND note.kind IN ('x', 'y')",
    );
}

#[test]
fn a_join_on_rowids_shows_a_run_twice() {
    shown_twice(
        "ALTER TABLE jobs ADD one INTEGER DEFAULT 1; ALTER TABLE jobs ADD two INTEGER DEFAULT 2;
         CREATE TABLE note (number INTEGER PRIMARY KEY); INSERT INTO note VALUES (1), (2)",
        "FROM jobs LEFT JOIN note ON note.number IN (jobs.one, jobs.two)",
    );
}

#[test]
fn a_join_with_is_on_a_column_that_may_be_null_shows_a_run_twice() {
    shown_twice(
        "ALTER TABLE jobs ADD tenant TEXT;
         CREATE TABLE note (job TEXT, tenant TEXT, UNIQUE (job, tenant)); INSERT INTO note VALUES ('1', NULL), ('1', NULL)",
        "FROM jobs LEFT JOIN note ON note.job = jobs.id AND note.tenant IS jobs.tenant",
    );
}

/// One key of two tenants: the view shows both, and no column says which.
#[test]
fn a_key_of_which_a_part_is_one_of_several_shows_a_run_twice() {
    let schema = "CREATE TABLE jobs (tenant TEXT, queue TEXT, id TEXT, state TEXT NOT NULL, made TEXT DEFAULT
        '2026-04-15T12:00:00Z', params, UNIQUE (id, queue, tenant));
        INSERT INTO jobs (tenant, queue, id, state, params) VALUES ('x', 'a', '1', 'broken', 'of x'), ('y', 'a', '1', 'broken', 'of y')";
    let view = format!("{QUEUES_VIEW} WHERE tenant IN ('x', 'y')");
    let spawn = "
INSERT INTO jobs (tenant, queue, id, state, made, params)
VALUES ('x', :task_name, :new_id, 'queued', :now, :params)";
    let store = Own::new(schema, &profile("sqlite", &view, spawn));
    let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!((pairs(&answer).len(), store.waiting().len()), (1, 1), "{answer}");
}

/// Two names with the same bytes, one of them a blob.
#[test]
fn a_name_as_text_and_as_bytes_is_one_run() {
    let schema = "CREATE TABLE jobs (queue, id TEXT, state TEXT NOT NULL, made TEXT DEFAULT
        '2026-04-15T12:00:00Z', params, UNIQUE (id, queue));
        INSERT INTO jobs (queue, id, state, params) VALUES ('a', '1', 'broken', 'p'), (x'61', '1', 'broken', 'p')";
    let store = Own::new(schema, &profile("sqlite", QUEUES_VIEW, ULID_SPAWN));
    let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!((pairs(&answer).len(), store.waiting().len()), (1, 1), "{answer}");
}

/// A constraint that is looked at when the transaction ends says no to one of three: it takes the others along.
#[test]
fn a_foreign_key_that_is_deferred_declines_one_run_alone() {
    let schema = "CREATE TABLE tenants (id INTEGER PRIMARY KEY);
        CREATE TABLE jobs (queue TEXT, id INTEGER PRIMARY KEY, state TEXT NOT NULL, made TEXT DEFAULT '2026-04-15T12:00:00Z',
            params INTEGER REFERENCES tenants (id) DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO tenants VALUES (1);
        PRAGMA foreign_keys = OFF;
        INSERT INTO jobs (queue, id, state, params) VALUES ('a', 1, 'broken', 1), ('b', 2, 'broken', 7), ('c', 3, 'broken', 1)";
    let store = Own::new(schema, &profile("sqlite", QUEUES_VIEW, NUMBERED_SPAWN));
    let before = store.dump();
    let answer = call(&store.plugin(), &all_failed(json!({})));
    let answer = answer.unwrap_or_else(|error| {
        assert_eq!(store.dump(), before);
        panic!("{error}")
    });
    assert_eq!((pairs(&answer), reasons(&answer)), (vec!["a: 1".into(), "c: 3".into()], vec!["b, 2: refused".into()]));
}

/// Rows that are numbered by the highest number there is: what follows is numbered at random.
#[test]
fn a_run_that_is_active_by_now_is_seen_though_row_numbers_are_used_up() {
    let view = QUEUES_VIEW.replace("0 AS retry_attempt", "rowid AS serial, 0 AS retry_attempt");
    let spawn = NUMBERED_SPAWN.replace("(SELECT max(id) + 1 FROM jobs)", ":new_id");
    let spawn = spawn.replace("RETURNING id", "");
    let store = Own::queues("TEXT", "TEXT PRIMARY KEY", "('a', 1, 'broken', 'p')");
    store.execute(
        "INSERT INTO jobs (rowid, queue, id, state, params) VALUES (9223372036854775807, 'z', 'last', 'fine', 'p')",
    );
    store.set_profile(&profile("sqlite", &view, &spawn));
    let insert = || store.execute("INSERT INTO jobs (queue, id, state, params) VALUES ('a', 'new', 'queued', 'p')");
    let answer = call_meanwhile(&store.plugin(), &all_failed(json!({"skip_active": true})), insert).unwrap();
    assert_eq!((pairs(&answer), reasons(&answer)), (vec![], vec!["a, 1: active".into()]));
}

/// An id that is a number with a fraction is a run's that can't be started, and no unknown one.
#[test]
fn a_number_with_a_fraction_is_an_id_all_the_same() {
    for key in ["PRIMARY KEY", "REAL PRIMARY KEY", ""] {
        let store = Own::queues("TEXT", key, "('a', 1.5, 'broken', 'p'), ('a', 2.5, 'broken', 'p')");
        let by_filter = call(&store.plugin(), &all_failed(json!({"unique_by": "run", "dry_run": true}))).unwrap();
        assert_eq!(reasons(&by_filter), ["a, 1.5: refused", "a, 2.5: refused"]);
        let answer = call(&store.plugin(), &json!({"ids": ["1.5"], "options": {"dry_run": true}})).unwrap();
        assert_eq!(reasons(&answer), ["a, 1.5: refused"], "{key}");
    }
}

/// A declined run among many where no index serves their ids.
#[test]
fn one_that_is_declined_makes_nobody_look_at_every_row_for_each_run() {
    let store = Own::queues("TEXT", "TEXT", "('x', 'declined', 'broken', 'p')");
    store.execute(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000)
         INSERT INTO jobs (queue, id, state, params) SELECT 'q' || n, 'id' || n, CASE n % 10 WHEN 0 THEN 'broken' ELSE 'fine' END, 'p' FROM n;
         CREATE TRIGGER no BEFORE INSERT ON jobs WHEN NEW.queue = 'x' BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    store.set_profile(&profile(
        "sqlite",
        QUEUES_VIEW,
        &ULID_SPAWN.replace(
            "SELECT queue, :new_id, 'queued', :now, params FROM jobs WHERE queue = :task_name AND id = :id",
            "VALUES (:task_name, :new_id, 'queued', :now, :params)",
        ),
    ));
    let start = std::time::Instant::now();
    let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!((pairs(&answer).len(), reasons(&answer).len()), (10_000, 1));
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

/// `RAISE(FAIL)` keeps what was done before it: a savepoint takes that back.
#[test]
fn a_trial_leaves_nothing_behind() {
    let store = Own::queues("TEXT", "INTEGER PRIMARY KEY", "('a', 1, 'broken', 'p'), ('b', 2, 'broken', 'q')");
    store.set_profile(&profile("sqlite", QUEUES_VIEW, NUMBERED_SPAWN));
    store.execute(
        "CREATE TABLE log (entry);
         CREATE TRIGGER fails AFTER INSERT ON jobs BEGIN INSERT INTO log VALUES ('x'); SELECT RAISE(FAIL, 'no'); END",
    );
    let before = store.dump();
    store.tool("check", &["--try"]);
    store.tool("check", &["--try", "--json"]);
    assert_eq!((store.dump(), store.lines("SELECT * FROM log")), (before, vec![]));
    let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!((reasons(&answer).len(), store.waiting().len()), (2, 0));
    assert_eq!(store.lines("SELECT * FROM log"), [""; 0]);
}

/// Windows line ends, and a condition that is quoted.
#[test]
fn conditional_lines_are_understood_however_they_are_written() {
    for (condition, end) in
        [("jobs.gone", "\n"), ("jobs.gone", "\r\n"), ("main.jobs.gone", "\n"), ("\"jobs\".gone", "\n")]
    {
        for has in [true, false] {
            let view = QUEUES_VIEW
                .replace("SELECT id", &format!("SELECT{end}gone IS NOT NULL AS deleted, -- if {condition}{end} id"));
            let store = Own::queues("TEXT", "INTEGER PRIMARY KEY", "('a', 1, 'broken', 'p')");
            if has {
                store.execute("ALTER TABLE jobs ADD gone; UPDATE jobs SET gone = 'yes'");
            }
            store.set_profile(&profile("sqlite", &view, NUMBERED_SPAWN));
            let planned = store.try_plugin().and_then(|plugin| call(&plugin, &all_failed(json!({"dry_run": true}))));
            match planned {
                Ok(answer) => assert_eq!(answer["matched"], u32::from(!has), "{condition:?} {end:?} {has}"),
                // A table that is not there is a mistake: a line that went in silence may be the one that hides runs.
                Err(error) => {
                    assert_eq!(condition, "main.jobs.gone", "{error}");
                    assert!(error.detail.contains("the store has no table main.jobs"), "{error}");
                }
            }
        }
    }
}
