//! Hangfire.PostgreSql.

use serde_json::json;

use crate::listener::Listener;
use crate::queues::Application;
use crate::support::calls::{all_failed, assert_error, call, first_detail, open_error, triggered};
use crate::support::undo::{ByHand, undo};
use crate::{Tables, due_later, is_told_to_be_schema_only, told};

const TABLES: &str = include_str!("../support/schemas/hangfire-postgresql-1.21.sql");

/// As Hangfire queues a job: one row of each table.
const ENQUEUE: &str = r#"
WITH job AS (
    INSERT INTO hangfire.job (invocationdata, arguments, createdat, stateid, statename)
    VALUES ('{"Type": "App.Mails, App", "Method": "Send", "ParameterTypes": "[\"System.Int32, mscorlib\"]", "Arguments": null}', '["7", "\"Zoë \\\"1\\\"\""]',
            now() - interval '1 hour', nextval('hangfire.state_id_seq'), 'Enqueued')
    RETURNING *
), state AS (
    INSERT INTO hangfire.state (id, jobid, name, createdat, data)
    SELECT stateid, id, 'Enqueued', createdat, '{"EnqueuedAt": "2026-04-15T12:00:00.1234567Z", "Queue": "mails"}' FROM job
), parameters AS (
    INSERT INTO hangfire.jobparameter (jobid, name, value)
    SELECT id, name, '"de-CH"' FROM job, unnest(ARRAY['CurrentCulture', 'CurrentUICulture']) AS name
)
INSERT INTO hangfire.jobqueue (jobid, queue) SELECT id, 'mails' FROM job"#;

/// As its server leaves a job that it has retried ten times.
const FAIL: &str = r#"
DELETE FROM hangfire.jobqueue;
INSERT INTO hangfire.jobparameter (jobid, name, value) SELECT id, 'RetryCount', '10' FROM hangfire.job WHERE statename = 'Enqueued';
WITH failed AS (
    INSERT INTO hangfire.state (jobid, name, reason, createdat, data)
    SELECT id, 'Failed', 'no', now(), '{"FailedAt": "2026-04-15T13:00:00.1234567Z"}' FROM hangfire.job WHERE statename = 'Enqueued' RETURNING id, jobid
)
UPDATE hangfire.job j SET statename = 'Failed', stateid = failed.id FROM failed WHERE failed.jobid = j.id"#;

const ROWS: &str = "
SELECT j::text || (SELECT string_agg(s::text, ';' ORDER BY id) FROM hangfire.state s WHERE s.jobid = j.id)
    || (SELECT string_agg(p::text, ';' ORDER BY id) FROM hangfire.jobparameter p WHERE p.jobid = j.id)
FROM hangfire.job j ORDER BY id";

const SHAPE: &str = "
SELECT (to_jsonb(j) - '{id,stateid,createdat}'::text[])::text
    || (SELECT string_agg((to_jsonb(s) - '{id,jobid,createdat,reason}'::text[] #- '{data,EnqueuedAt}')::text, ';' ORDER BY id) FROM hangfire.state s WHERE s.jobid = j.id)
    || (SELECT string_agg((to_jsonb(p) - '{id,jobid}'::text[])::text, ';' ORDER BY name) FROM hangfire.jobparameter p WHERE p.jobid = j.id)
    || coalesce((SELECT string_agg((to_jsonb(q) - '{id,jobid}'::text[])::text, ';' ORDER BY id) FROM hangfire.jobqueue q WHERE q.jobid = j.id), '')
FROM hangfire.job j ORDER BY id";

const TASK: &str = "App.Mails.Send";

fn tables() -> Application {
    Application::of_tables(TABLES)
}

fn with_failed(count: usize) -> Application {
    super::with_failed(tables(), ENQUEUE, FAIL, count)
}

#[test]
fn a_new_run_is_what_hangfire_would_have_queued() {
    let application = tables();
    Tables { application: &application, enqueue: ENQUEUE, fail: FAIL, rows: ROWS, shape: SHAPE, task: TASK }.play();
    let own =
        "SELECT j.stateid = s.id AND s.reason = 'Re-run of 1' AND (s.data ->> 'EnqueuedAt')::timestamptz = s.createdat
                      AND j.createdat BETWEEN now() - interval '1 minute' AND now()
               FROM hangfire.job j JOIN hangfire.state s ON s.jobid = j.id WHERE j.statename = 'Enqueued'";
    assert_eq!(application.column(own), ["t"]);
}

#[test]
fn a_server_that_listens_is_told() {
    let application = with_failed(1);
    let listener = Listener::on(&application.database.url, "new_job");
    application.rerun_the_failed(&[]);
    assert_eq!(listener.next(), "");
}

#[test]
fn one_that_is_due_later_is_in_the_schedule() {
    let application = with_failed(1);
    let answer = due_later(&application);
    let scheduled =
        "SELECT j.id || ' ' || j.statename || ' ' || x.key || ' ' || x.score || ' ' || (s.data ->> 'EnqueueAt')
        FROM hangfire.job j JOIN hangfire.set x ON x.value = j.id::text JOIN hangfire.state s ON s.id = j.stateid";
    let id = answer["triggered"][0]["run_id"].as_str().unwrap();
    assert_eq!(
        application.column(scheduled),
        [format!("{id} Scheduled schedule 4102488000 2100-01-01T12:00:00.5000000Z")]
    );
    assert_eq!(application.value("SELECT count(*) FROM hangfire.jobqueue"), "0");
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    let application = with_failed(4);
    let begin = |id: &str| {
        application.client.execute(&format!(
            "UPDATE hangfire.jobqueue SET fetchedat = now() WHERE jobid = {id};
             UPDATE hangfire.job SET statename = 'Processing' WHERE id = {id}"
        ));
    };
    let put_off = |id: &str| {
        application.client.execute(&format!(
            "DELETE FROM hangfire.jobqueue WHERE jobid = {id};
             INSERT INTO hangfire.jobparameter (jobid, name, value) VALUES ({id}, 'RetryCount', '1');
             INSERT INTO hangfire.set (key, value, score) VALUES ('schedule', '{id}', 1);
             UPDATE hangfire.job SET statename = 'Scheduled' WHERE id = {id}"
        ));
    };
    ByHand {
        plugin: &application.plugin(),
        rows: &|| application.by_id("SELECT id, j::text FROM hangfire.job j"),
        begin: &begin,
        put_off: Some(&put_off),
        taken: None,
        has_due_time: true,
    }
    .play();
    let left = "SELECT (SELECT count(*) FROM hangfire.jobqueue) || ' ' || (SELECT count(*) FROM hangfire.set)";
    assert_eq!(application.value(left), "1 1", "nothing is left of what was taken back");
    is_told_to_be_schema_only(&application, "hangfire");
}

/// A worker has it, and has not said so in the job's row yet.
#[test]
fn a_job_that_a_worker_has_fetched_is_kept_whole() {
    let application = with_failed(1);
    application.plugin().create_ledger().unwrap();
    let answer = application.rerun_the_failed(&[]);
    application.client.execute("UPDATE hangfire.jobqueue SET fetchedat = now()");
    let before = application.column(SHAPE);
    assert_eq!(undo(&application.plugin(), &answer["operation_id"]).unwrap()["undone"], json!([]));
    assert_eq!(application.column(SHAPE), before);
}

#[test]
fn a_role_needs_no_more_than_check_says() {
    let application = with_failed(1);
    let tables = Tables { application: &application, enqueue: "", fail: "", rows: "", shape: "", task: TASK };
    tables.a_role_needs(&[
        "USAGE ON SCHEMA hangfire",
        "SELECT ON hangfire.schema",
        "SELECT, INSERT ON hangfire.jobparameter",
        "SELECT, INSERT ON hangfire.state",
        "SELECT, INSERT, DELETE ON hangfire.job",
        "SELECT, INSERT, DELETE ON hangfire.jobqueue",
        "SELECT, INSERT, DELETE ON hangfire.set",
        "USAGE ON SEQUENCE hangfire.job_id_seq",
        "USAGE ON SEQUENCE hangfire.jobparameter_id_seq",
        "USAGE ON SEQUENCE hangfire.jobqueue_id_seq",
        "USAGE ON SEQUENCE hangfire.set_id_seq",
        "USAGE ON SEQUENCE hangfire.state_id_seq",
    ]);
}

#[test]
fn a_row_says_where_its_job_stands() {
    let application = tables();
    for (state, retries) in [
        ("Enqueued", "0"),
        ("Scheduled", "3"),
        ("Awaiting", "x"),
        ("Processing", "1"),
        ("Succeeded", ""),
        ("Failed", "10"),
        ("Deleted", "99999999999"),
    ] {
        application.client.execute(&format!(
            "WITH job AS (INSERT INTO hangfire.job (invocationdata, arguments, createdat, statename)
                          VALUES ('{{\"t\": \"App.Mails, App\", \"m\": \"Send\"}}', '[]', now(), '{state}') RETURNING id)
             INSERT INTO hangfire.jobparameter (jobid, name, value) SELECT id, 'RetryCount', '{retries}' FROM job"
        ));
    }
    application
        .client
        .execute("INSERT INTO hangfire.jobparameter (jobid, name, value) VALUES (6, 'RecurringJobId', '\"nightly\"')");
    let expected = [
        "pending - 0 -",
        "pending - 3 -",
        "pending - 0 -",
        "running - 1 -",
        "ended succeeded 0 -",
        "ended failed 10 recurring",
        "ended cancelled 0 -",
    ];
    assert_eq!(told(&application, &["1", "2", "3", "4", "5", "6", "7"]), expected);
    let answer = call(&application.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), [TASK]);
    let recurring = "SELECT count(*) FROM hangfire.jobparameter WHERE name = 'RecurringJobId'";
    assert_eq!(application.value(recurring), "1", "a new run is no recurring job's");
}

#[test]
fn a_job_that_others_wait_for_is_left_to_hangfire_itself() {
    let application = with_failed(1);
    application.client.execute(
        "INSERT INTO hangfire.jobparameter (jobid, name, value) VALUES (1, 'Continuations', '[{\"JobId\":\"9\",\"Options\":1}]')",
    );
    let answer = call(&application.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer).len(), 0);
    assert!(first_detail(&answer).contains("continuations"), "{answer}");
}

#[test]
fn a_version_that_is_not_known_is_refused_by_its_number() {
    let application = tables();
    application.client.execute("UPDATE hangfire.schema SET version = 19");
    let error = open_error(&bulk_rerun::Config::new(&application.database.url));
    assert_error(&error, 500, &["version 19", "20 to 23"]);
}
