//! Que.

use serde_json::{Value, json};

use crate::listener::Listener;
use crate::queues::Application;
use crate::support::calls::{all_failed, assert_error, call, first_detail, open_error, triggered};
use crate::support::undo::{ByHand, undo};
use crate::{Tables, due_later, is_told_to_be_schema_only, told};

const TABLES: &str = include_str!("../support/schemas/que-2.4.sql");

const ENQUEUE: &str = r#"
INSERT INTO que_jobs (queue, priority, run_at, job_class, args, kwargs, data, job_schema_version)
VALUES ('mails', 5, now(), 'Mail', '[{"to": "Zoë \"1\""}]', '{"sum": 1.50}', '{"tags": ["a"]}', 2)"#;

/// Active Job's envelope is the one argument of a class of Que's.
const ENQUEUE_WRAPPED: &str = r#"
INSERT INTO que_jobs (queue, priority, run_at, job_class, args, job_schema_version)
VALUES ('mails', 5, now(), 'ActiveJob::QueueAdapters::QueAdapter::JobWrapper', '[{"job_class": "Mail", "job_id": "6f6a1c5e-0b7e-4a51-9f5c-1d2b3c4d5e6f",
    "provider_job_id": null, "queue_name": "mails", "priority": 5, "arguments": [{"to": "Zoë \"1\""}], "executions": 0, "exception_executions": {},
    "locale": "de", "timezone": "UTC", "enqueued_at": "2026-04-15T12:00:00.123456789Z", "scheduled_at": null}]', 2)"#;

const FAIL: &str = "UPDATE que_jobs SET error_count = 16, last_error_message = 'RuntimeError: no', expired_at = now() WHERE expired_at IS NULL";

const FAIL_WRAPPED: &str = r#"
UPDATE que_jobs SET error_count = 16, expired_at = now(),
    args = jsonb_set(args, '{0}', args -> 0 || '{"executions": 4, "exception_executions": {"[RuntimeError]": 4}, "continuation": {"completed": ["one"]},
        "resumptions": 2}')
WHERE expired_at IS NULL"#;

const ROWS: &str = "SELECT j::text FROM que_jobs j ORDER BY id";

const SHAPE: &str = "SELECT (to_jsonb(j) - '{id,run_at,args}'::text[])::text
    || CASE WHEN jsonb_typeof(args -> 0 -> 'executions') = 'number' THEN (args #- '{0,job_id}' #- '{0,enqueued_at}')::text ELSE args::text END
    FROM que_jobs j ORDER BY id";

fn tables() -> Application {
    Application::of_tables(TABLES)
}

fn with_failed(count: usize) -> Application {
    super::with_failed(tables(), ENQUEUE, FAIL, count)
}

#[test]
fn a_new_run_is_what_que_would_have_queued() {
    let application = tables();
    Tables { application: &application, enqueue: ENQUEUE, fail: FAIL, rows: ROWS, shape: SHAPE, task: "Mail" }.play();
    let own = "SELECT run_at BETWEEN now() - interval '1 minute' AND now() FROM que_jobs WHERE expired_at IS NULL";
    assert_eq!(application.column(own), ["t"]);
}

#[test]
fn a_job_of_active_job_gets_an_id_of_its_own() {
    let application = tables();
    let (enqueue, fail) = (ENQUEUE_WRAPPED, FAIL_WRAPPED);
    Tables { application: &application, enqueue, fail, rows: ROWS, shape: SHAPE, task: "Mail" }.play();
    let ids = "SELECT count(DISTINCT (args -> 0 ->> 'job_id')::uuid) FROM que_jobs";
    assert_eq!(application.value(ids), "2");
    due_later(&application);
    let due = "SELECT run_at || ' ' || (args -> 0 ->> 'scheduled_at') FROM que_jobs ORDER BY id DESC LIMIT 1";
    assert_eq!(application.value(due), "2100-01-01 12:00:00.5+00 2100-01-01T12:00:00.500000000Z");
}

/// Its own trigger tells one of those who listen.
#[test]
fn a_worker_that_listens_is_told() {
    let application = with_failed(1);
    application
        .client
        .execute("INSERT INTO que_lockers VALUES (4242, 6, ARRAY[NULL::int], 1, 'host', ARRAY['mails'], true, 2)");
    let listener = Listener::on(&application.database.url, "que_listener_4242");
    due_later(&application);
    let answer = application.rerun_the_failed(&[]);
    let told: Value = serde_json::from_str(&listener.next()).unwrap();
    assert_eq!((&told["message_type"], &told["queue"]), (&json!("job_available"), &json!("mails")));
    assert_eq!(
        told["id"].to_string(),
        answer["triggered"][0]["run_id"].as_str().unwrap(),
        "not the one that is due later"
    );
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    let application = with_failed(4);
    let worker = application.database.client();
    ByHand {
        plugin: &application.plugin(),
        rows: &|| application.by_id("SELECT id, j::text FROM que_jobs j"),
        begin: &|id| worker.execute(&format!("SELECT pg_advisory_lock({id})")),
        put_off: Some(&|id| {
            application.client.execute(&format!("UPDATE que_jobs SET error_count = 1 WHERE id = {id}"))
        }),
        taken: None,
        has_due_time: true,
    }
    .play();
    is_told_to_be_schema_only(&application, "que");
}

/// A lock that is only tried for, in vain, does not make a job a running one.
#[test]
fn a_job_that_was_tried_is_told_as_pending_when_it_is_kept() {
    let application = with_failed(1);
    application.plugin().create_ledger().unwrap();
    let answer = application.rerun_the_failed(&[]);
    application.client.execute("UPDATE que_jobs SET error_count = 1 WHERE expired_at IS NULL");
    let told = undo(&application.plugin(), &answer["operation_id"]).unwrap();
    assert_eq!((&told["undone"], &told["kept"][0]["phase"]), (&json!([]), &json!("pending")), "{told}");
}

#[test]
fn a_role_needs_no_more_than_check_says() {
    let application = with_failed(1);
    let tables = Tables { application: &application, enqueue: "", fail: "", rows: "", shape: "", task: "Mail" };
    tables.a_role_needs(&[
        "SELECT ON public.que_lockers",
        "SELECT, INSERT, DELETE ON public.que_jobs",
        "USAGE ON SEQUENCE public.que_jobs_id_seq",
    ]);
}

#[test]
fn a_row_and_a_lock_say_where_a_job_stands() {
    let application = tables();
    for state in ["0, NULL, NULL", "0, NULL, NULL", "3, NULL, NULL", "1, now(), NULL", "16, NULL, now()"] {
        application.client.execute(&format!(
            "INSERT INTO que_jobs (job_class, job_schema_version, error_count, finished_at, expired_at) VALUES ('Mail', 2, {state})"
        ));
    }
    let worker = application.database.client();
    worker.execute("SELECT pg_advisory_lock(2)");
    // The same number in another database is another lock.
    let elsewhere = tables();
    elsewhere.client.execute("SELECT pg_advisory_lock(1)");
    let expected = ["pending - 0 -", "running - 0 -", "pending - 3 -", "ended succeeded 1 -", "ended failed 15 -"];
    assert_eq!(told(&application, &["1", "2", "3", "4", "5"]), expected);
}

#[test]
fn a_job_of_que_1_is_left_alone() {
    let application = with_failed(1);
    application.client.execute("UPDATE que_jobs SET job_schema_version = 1");
    let answer = call(&application.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer).len(), 0);
    assert!(first_detail(&answer).contains("Que 1"), "{answer}");
}

#[test]
fn a_version_that_is_not_known_is_refused_by_its_number() {
    let application = tables();
    application.client.execute("COMMENT ON TABLE que_jobs IS '8'");
    let error = open_error(&bulk_rerun::Config::new(&application.database.url));
    assert_error(&error, 500, &["version 8", "6 to 7"]);
}
