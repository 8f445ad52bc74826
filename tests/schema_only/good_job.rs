//! GoodJob.

use serde_json::{Value, json};

use crate::listener::Listener;
use crate::queues::{Application, ids_go_by_the_key};
use crate::support::calls::{all_failed, call, first_detail, skipped, triggered};
use crate::support::undo::{ByHand, undo};
use crate::{Tables, due_later, is_told_to_be_schema_only, told};

const TABLES: &str = include_str!("../support/schemas/good_job-4.19.sql");

/// As Active Job and GoodJob queue a job.
const ENQUEUE: &str = r#"
INSERT INTO good_jobs (id, active_job_id, job_class, queue_name, priority, concurrency_key, labels, created_at, updated_at, scheduled_at, serialized_params)
SELECT id, id, 'Mail', 'mails', 5, 'customer 7', ARRAY['a', 'b'], now, now, now, jsonb_build_object(
    'job_class', 'Mail', 'job_id', id, 'provider_job_id', NULL, 'queue_name', 'mails', 'priority', 5,
    'arguments', '[{"to": "Zoë \"1\"", "sum": 1.50}]'::jsonb, 'executions', 0, 'exception_executions', '{}'::jsonb,
    'locale', 'de', 'timezone', 'UTC', 'enqueued_at', '2026-04-15T12:00:00.123456789Z', 'scheduled_at', NULL)
FROM gen_random_uuid() AS id, timezone('UTC', now() - interval '1 hour') AS now"#;

/// As its worker leaves a job that it has tried five times.
const FAIL: &str = r#"
UPDATE good_jobs
SET performed_at = created_at, finished_at = created_at, executions_count = 5, error = 'RuntimeError: no', error_event = 2,
    serialized_params = serialized_params || '{"executions": 4, "exception_executions": {"[RuntimeError]": 4},
        "continuation": {"completed": ["one"]}, "resumptions": 2, "scheduled_at": "2026-04-15T12:05:00Z"}'
WHERE finished_at IS NULL"#;

const SHAPE: &str =
    "SELECT (to_jsonb(j) - '{id,active_job_id,created_at,updated_at,scheduled_at,serialized_params}'::text[])::text
    || (serialized_params - '{job_id,enqueued_at}'::text[])::text FROM good_jobs j ORDER BY created_at";

fn tables() -> Application {
    Application::of_tables(TABLES)
}

fn with_failed(count: usize) -> Application {
    super::with_failed(tables(), ENQUEUE, FAIL, count)
}

#[test]
fn a_new_run_is_what_good_job_would_have_queued() {
    let application = tables();
    let rows = "SELECT j::text FROM good_jobs j ORDER BY created_at";
    Tables { application: &application, enqueue: ENQUEUE, fail: FAIL, rows, shape: SHAPE, task: "Mail" }.play();
    let own = "SELECT id = active_job_id AND id::text = serialized_params ->> 'job_id' AND created_at = scheduled_at
                      AND (serialized_params ->> 'enqueued_at')::timestamptz = created_at AT TIME ZONE 'UTC'
                      AND created_at BETWEEN timezone('UTC', now()) - interval '1 minute' AND timezone('UTC', now())
               FROM good_jobs WHERE finished_at IS NULL";
    assert_eq!(application.column(own), ["t"]);
}

#[test]
fn its_workers_are_told_of_the_queue_and_the_time() {
    let application = with_failed(1);
    let listener = Listener::on(&application.database.url, "good_job");
    application.rerun_the_failed(&[]);
    let told: Value = serde_json::from_str(&listener.next()).unwrap();
    assert_eq!(told["queue_name"], "mails");
    due_later(&application);
    let told: Value = serde_json::from_str(&listener.next()).unwrap();
    assert_eq!(told, json!({"queue_name": "mails", "scheduled_at": "2100-01-01T12:00:00.500Z"}));
    let due = "SELECT scheduled_at || ' ' || (serialized_params ->> 'scheduled_at') FROM good_jobs ORDER BY scheduled_at DESC LIMIT 1";
    assert_eq!(application.value(due), "2100-01-01 12:00:00.5 2100-01-01T12:00:00.500000000Z");
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    let application = with_failed(4);
    let set = |id: &str, to: &str| application.client.execute(&format!("UPDATE good_jobs SET {to} WHERE id = '{id}'"));
    ByHand {
        plugin: &application.plugin(),
        rows: &|| application.by_id("SELECT id, j::text FROM good_jobs j"),
        begin: &|id| set(id, "performed_at = timezone('UTC', now()), executions_count = 1"),
        put_off: Some(&|id| set(id, "executions_count = 1, error = 'RuntimeError: once'")),
        taken: None,
        has_due_time: true,
    }
    .play();
    is_told_to_be_schema_only(&application, "good-job");
}

/// Its older way to take a job, which the row does not show yet.
#[test]
fn a_job_whose_lock_a_worker_has_is_kept() {
    let application = with_failed(1);
    application.plugin().create_ledger().unwrap();
    let answer = application.rerun_the_failed(&[]);
    let id = answer["triggered"][0]["run_id"].as_str().unwrap();
    let lock = format!("('x' || substr(md5('good_jobs-{id}'), 1, 16))::bit(64)::bigint");
    application.client.execute(&format!("SELECT pg_advisory_lock({lock})"));
    assert_eq!(undo(&application.plugin(), &answer["operation_id"]).unwrap()["undone"], json!([]));
    application.client.execute(&format!("SELECT pg_advisory_unlock({lock})"));
    let undone = undo(&application.plugin(), &answer["operation_id"]).unwrap();
    assert_eq!(undone["undone"].as_array().unwrap().len(), 1, "{undone}");
}

#[test]
fn a_role_needs_no_more_than_check_says() {
    let application = with_failed(1);
    let tables = Tables { application: &application, enqueue: "", fail: "", rows: "", shape: "", task: "Mail" };
    tables.a_role_needs(&["SELECT, INSERT, DELETE ON public.good_jobs"]);
}

#[test]
fn a_row_says_where_its_job_stands() {
    let application = tables();
    let ids: Vec<String> = (1..=6).map(|n| format!("00000000-0000-0000-0000-00000000000{n}")).collect();
    let states = [
        "NULL, NULL, NULL, NULL, NULL, 'nightly'",
        "now(), NULL, NULL, 1, NULL, NULL",
        "NULL, NULL, 'RuntimeError: once', 1, NULL, NULL",
        "now(), now(), NULL, 1, NULL, NULL",
        "now(), now(), 'RuntimeError: no', 3, NULL, NULL",
        "NULL, NULL, NULL, NULL, gen_random_uuid(), NULL",
    ];
    for (id, state) in ids.iter().zip(states) {
        application.client.execute(&format!(
            "INSERT INTO good_jobs (id, job_class, created_at, updated_at, performed_at, finished_at, error, executions_count, locked_by_id, cron_key)
             VALUES ('{id}', 'Mail', now(), now(), {state})"
        ));
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let expected = [
        "pending - 0 cron",
        "running - 0 -",
        "pending - 1 -",
        "ended succeeded 0 -",
        "ended failed 2 -",
        "running - 0 -",
    ];
    assert_eq!(told(&application, &ids), expected);
}

#[test]
fn a_crons_job_gets_a_run_that_is_no_crons() {
    let application = with_failed(1);
    application.client.execute("UPDATE good_jobs SET cron_key = 'nightly', cron_at = created_at");
    assert_eq!(triggered(&application.rerun_the_failed(&[])), ["Mail"]);
    assert_eq!(application.value("SELECT count(*) FROM good_jobs WHERE cron_key IS NULL AND cron_at IS NULL"), "1");
}

#[test]
fn a_job_of_a_batch_is_left_to_good_job_itself() {
    for column in ["batch_id", "batch_callback_id"] {
        let application = with_failed(1);
        application.client.execute(&format!("UPDATE good_jobs SET {column} = gen_random_uuid()"));
        let answer = call(&application.plugin(), &all_failed(json!({}))).unwrap();
        assert_eq!((triggered(&answer).len(), skipped(&answer).len()), (0, 1));
        assert!(first_detail(&answer).contains("belongs to a batch"), "{answer}");
    }
}

#[test]
fn ids_are_sought_in_its_own_key() {
    let application = tables();
    application.client.execute(
        "INSERT INTO good_jobs (job_class, created_at, updated_at, performed_at, finished_at, error, serialized_params)
         SELECT 'W' || n, now(), now(), now(), now(), 'no', '{}' FROM generate_series(1, 60000) AS n",
    );
    let ids = application.column("SELECT id FROM good_jobs LIMIT 40000");
    ids_go_by_the_key(&application, &ids, "good_jobs", "good_jobs_pkey", "no-uuid");
}
