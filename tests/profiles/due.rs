//! When new runs are due, where that is not at once. That the runners' own workers wait for it is shown in `runner_*`.

use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

use crate::postgres::server;
use crate::support;
use crate::support::calls::{all_failed, assert_error, call, open, pairs, rows};
use crate::support::memory_host::MemoryHost;
use crate::support::queue_store::{Own, QUEUES_VIEW, profile};
use crate::support::{Row, Store};

const NOON: &str = "2026-04-15T12:00:00Z";

/// Three jobs that have failed; the new ones note when they are due.
const SPAWN: &str = "
INSERT INTO jobs (queue, state, made, params)
SELECT queue, 'queued', :now, coalesce(:due, 'at once') FROM jobs WHERE id = :id
RETURNING id";

fn three() -> Own {
    let rows = "('a', 1, 'broken', ''), ('b', 2, 'broken', ''), ('c', 3, 'broken', '')";
    let own = Own::queues("TEXT", "INTEGER PRIMARY KEY", rows);
    own.set_profile(&profile("sqlite", QUEUES_VIEW, SPAWN));
    own
}

fn new_jobs(own: &Own) -> Vec<String> {
    own.lines("SELECT queue, params FROM jobs WHERE state = 'queued' ORDER BY id")
}

#[test]
fn new_runs_are_due_when_they_are_asked_to_be() {
    let at = "2026-04-15T14:00:00+02:00";
    let first = "2026-04-15T12:00:00.000000Z";
    for (options, due) in [
        (json!({}), ["at once"; 3]),
        (json!({"start_at": at}), [first; 3]),
        (json!({"start_at": at, "spread": "0s"}), [first; 3]),
        (
            json!({"start_at": at, "spread": "1h 30m"}),
            [first, "2026-04-15T12:30:00.000000Z", "2026-04-15T13:00:00.000000Z"],
        ),
    ] {
        let own = three();
        let answer = call(&own.plugin(), &all_failed(options.clone())).unwrap();
        assert_eq!(pairs(&answer), ["a: 1", "b: 2", "c: 3"]);
        let expected: Vec<String> =
            ["a", "b", "c"].iter().zip(due).map(|(queue, due)| format!("{queue}|{due}")).collect();
        assert_eq!(new_jobs(&own), expected, "{options}");
    }
}

/// One that the host declines leaves its place empty.
#[test]
fn without_a_start_they_are_spread_from_now_on() {
    let own = three();
    own.execute(
        "CREATE TRIGGER no BEFORE INSERT ON jobs WHEN NEW.queue = 'b' BEGIN SELECT raise(ABORT, 'not today'); END",
    );
    call(&own.plugin(), &all_failed(json!({"spread": "30s"}))).unwrap();
    let apart =
        "SELECT round((julianday(max(params)) - julianday(min(params))) * 86400) || ' s', min(params) <= max(made)
                 FROM jobs WHERE state = 'queued'";
    assert_eq!(own.lines(apart), ["20.0 s|1"]);
}

#[test]
fn a_dry_run_plans_the_same_and_a_plan_is_the_same_whenever_it_is_due() {
    let own = three();
    let plan = |options: Value| call(&own.plugin(), &all_failed(options)).unwrap()["plan"].clone();
    let later = plan(json!({"dry_run": true, "start_at": NOON, "spread": "1h"}));
    assert_eq!(later, plan(json!({"dry_run": true})));
    assert_eq!(new_jobs(&own), [""; 0]);
}

/// RunWisp runs what is pending when it starts.
#[test]
fn a_host_without_a_due_time_says_so_and_starts_nothing() {
    let store = Store::new().holding(&[Row::failed("a", "a", NOON)]);
    let plugin = open(&store.path);
    for dry_run in [false, true] {
        let request = all_failed(json!({"start_at": NOON, "spread": "90s", "dry_run": dry_run}));
        let error = call(&plugin, &request).unwrap_err();
        assert_error(&error, 422, &["this host has no due time", "and 1 more"]);
        let places = error.errors.iter().map(|error| (error.location.as_str(), error.value.clone()));
        let expected = [("body.options.start_at", json!(NOON)), ("body.options.spread", json!("1m 30s"))];
        assert_eq!(places.collect::<Vec<_>>(), expected);
    }
    let camel = json!({"matchAll": true, "options": {"startAt": NOON}});
    assert_eq!(call(&plugin, &camel).unwrap_err().errors[0].location, "body.options.startAt");
    assert_eq!(store.dump().len(), 1);
}

#[test]
fn a_host_behind_callbacks_heeds_it_if_it_says_so() {
    let failed = json!({"id": "1", "task_name": "a", "phase": "ended", "end_reason": "failed"});
    for heeds_due in [true, false] {
        let host = MemoryHost { heeds_due, ..MemoryHost::holding([failed.clone()]) };
        let plugin = Plugin::attach(Box::new(host.clone()), &Config::new("")).unwrap();
        let answer = call(&plugin, &all_failed(json!({"start_at": NOON})));
        let log = host.log.lock().unwrap().clone();
        let told: Vec<&String> = log.iter().filter(|line| line.starts_with("due")).collect();
        match heeds_due {
            true => {
                assert_eq!(pairs(&answer.unwrap()), ["a: 1"]);
                assert_eq!(told, ["due \"2026-04-15T12:00:00.000000Z\""]);
            }
            false => assert_eq!((answer.unwrap_err().status, host.ids()), (422, vec!["1".to_owned()])),
        }
    }
}

/// The two built-in runners on SQLite, in whose own words it is noted.
#[test]
fn the_built_in_runners_on_sqlite_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let apalis = "INSERT INTO Jobs (job, id, job_type, status, attempts, max_attempts) VALUES (x'7B7D', '01JRX3M7ZD7Q8M5T8E2Y9V4B6C', 'a', 'Failed', 1, 1)";
    let django = "INSERT INTO django_tasks_database_dbtaskresult
                      (id, status, enqueued_at, args_kwargs, priority, task_path, worker_ids, queue_name, backend_name, run_after, exception_class_path, traceback)
                  VALUES ('3f2c9a7e000040008000000000000001', 'FAILED', '2026-04-15 01:00:00', '{}', 0, 'a', '[]', 'default', 'default', '9999-01-01 00:00:00', '', '')";
    for (name, schema, job, told, at_once, later) in [
        (
            "apalis",
            include_str!("../support/schemas/apalis-sqlite-1.0.sql"),
            apalis,
            "SELECT run_at > unixepoch('2026-04-16') FROM Jobs WHERE status = 'Pending'
             UNION ALL SELECT run_at = unixepoch('2026-04-15T12:00:00Z') FROM Jobs WHERE status = 'Pending'",
            [1, 0],
            [0, 1],
        ),
        (
            "django",
            include_str!("../support/schemas/django-tasks-db-0.13.sql"),
            django,
            "SELECT run_after = '9999-01-01 00:00:00' FROM django_tasks_database_dbtaskresult WHERE status = 'READY'
             UNION ALL SELECT run_after = '2026-04-15 12:00:00.000000' FROM django_tasks_database_dbtaskresult WHERE status = 'READY'",
            [1, 0],
            [0, 1],
        ),
    ] {
        for (options, expected) in [(json!({}), at_once), (json!({"start_at": NOON}), later)] {
            let path = folder.path().join(format!("{name}-{expected:?}.db"));
            rusqlite::Connection::open(&path).unwrap().execute_batch(&format!("{schema};{job}")).unwrap();
            assert_eq!(call(&open(&path), &all_failed(options)).unwrap()["triggered"].as_array().unwrap().len(), 1);
            let said: Vec<_> = rows(&path, told).into_iter().map(|mut row| row.remove(0)).collect();
            assert_eq!(said, expected.map(rusqlite::types::Value::Integer), "{name}");
        }
    }
}

const TABLE: &str =
    "CREATE TABLE jobs (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, queue text, state text, due timestamptz);
                     INSERT INTO jobs (queue, state) SELECT 'q' || n % 2, 'broken' FROM generate_series(1, 4) AS n";

/// With one statement for each run, and with one for many.
#[test]
fn on_postgresql_each_statement_is_told() {
    let view = "SELECT id, queue AS task_name, CASE state WHEN 'queued' THEN 'pending' ELSE 'ended' END AS phase,
                       CASE state WHEN 'broken' THEN 'failed' END AS end_reason FROM jobs";
    let one = "INSERT INTO jobs (queue, state, due) SELECT queue, 'queued', :due::timestamptz FROM jobs WHERE id = :id::bigint RETURNING id";
    let many = "spawn_many = '''
        WITH source AS MATERIALIZED (
            SELECT j.*, wanted.due AS new_due, nextval(pg_get_serial_sequence('jobs', 'id')) AS new_id
            FROM unnest(:id::bigint[], :due) WITH ORDINALITY AS wanted(id, due, place) JOIN jobs j ON j.id = wanted.id ORDER BY place
        ), started AS (
            INSERT INTO jobs (id, queue, state, due) OVERRIDING SYSTEM VALUE
            SELECT new_id, queue, 'queued', new_due::timestamptz FROM source RETURNING id
        )
        SELECT source.id, started.id FROM started JOIN source ON source.new_id = started.id'''";
    let folder = tempfile::tempdir().unwrap();
    for (number, many) in ["", many].into_iter().enumerate() {
        let database = server().database().with(TABLE);
        let file = folder.path().join(format!("{number}.toml"));
        std::fs::write(&file, profile("postgres", view, one) + many).unwrap();
        let plugin =
            Plugin::open(&Config { profile: Some(file.display().to_string()), ..Config::new(&database.url) }).unwrap();
        let due = json!({"unique_by": "run", "start_at": NOON, "spread": "1m"});
        assert_eq!(call(&plugin, &all_failed(due)).unwrap()["triggered"].as_array().unwrap().len(), 4);
        assert_eq!(call(&plugin, &all_failed(json!({}))).unwrap()["triggered"].as_array().unwrap().len(), 2);
        let told = "SELECT queue, coalesce(extract(epoch FROM due - '2026-04-15T12:00:00Z')::int::text, 'at once') FROM jobs WHERE state = 'queued' ORDER BY id";
        let expected = [("q0", "0"), ("q0", "15"), ("q1", "30"), ("q1", "45"), ("q0", "at once"), ("q1", "at once")];
        let lines = database.client().rows(told).into_iter().map(|line| line.into_iter().flatten().collect::<Vec<_>>());
        assert_eq!(lines.collect::<Vec<_>>(), expected.map(|(queue, due)| [queue, due]));
    }
}

#[test]
fn two_statements_that_differ_in_it_are_no_profile() {
    let database = server().database().with(TABLE);
    let view = "SELECT id, queue AS task_name, state AS phase FROM jobs";
    let one =
        "INSERT INTO jobs (queue, due) SELECT queue, :due::timestamptz FROM jobs WHERE id = :id::bigint RETURNING id";
    let many = "spawn_many = '''INSERT INTO jobs (queue) SELECT queue FROM jobs WHERE id = ANY(:id::bigint[]) RETURNING id, id'''";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    std::fs::write(&file, profile("postgres", view, one) + many).unwrap();
    let error =
        support::calls::open_error(&Config { profile: Some(file.display().to_string()), ..Config::new(&database.url) });
    assert_error(&error, 500, &["spawn_many", "must take :due both, or neither of them"]);
}
