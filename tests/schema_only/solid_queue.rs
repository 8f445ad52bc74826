//! Solid Queue on PostgreSQL.

use serde_json::json;

use crate::queues::Application;
use crate::support::calls::{all_failed, call};
use crate::support::undo::{ByHand, undo};
use crate::{Tables, due_later, is_told_to_be_schema_only, told};

const TABLES: &str = include_str!("../support/schemas/solid_queue-1.5.sql");

/// As Active Job and Solid Queue queue a job that is due now, and would be dispatched at once. Values keep their text.
const ENQUEUE: &str = r#"
WITH job AS (
    INSERT INTO solid_queue_jobs (queue_name, class_name, priority, concurrency_key, active_job_id, scheduled_at, created_at, updated_at, arguments)
    SELECT 'mails', 'Mail', 5, 'customer 7', id, now, now, now, '{"job_class":"Mail","job_id":"' || id || '","provider_job_id":null,"queue_name":"mails",'
        || '"priority":5,"arguments":[{"to":"Zoë \"1\"","sum":1.50E2,"nul":"\u0000","sum":2}],"executions":0,"exception_executions":{},'
        || '"locale":"de","timezone":"UTC","enqueued_at":"2026-04-15T12:00:00.123456789Z","scheduled_at":"2026-04-15T12:00:00.123456789Z"}'
    FROM gen_random_uuid() AS id, timezone('UTC', now() - interval '1 hour') AS now
    RETURNING id, queue_name, priority, scheduled_at, created_at
)
INSERT INTO solid_queue_scheduled_executions (job_id, queue_name, priority, scheduled_at, created_at) SELECT * FROM job"#;

/// As its worker leaves a job that it gives up: Active Job has counted, and a continuation has got somewhere.
const FAIL: &str = r#"
DELETE FROM solid_queue_scheduled_executions;
UPDATE solid_queue_jobs
SET arguments = replace(arguments, '"executions":0,"exception_executions":{}',
    '"executions":4,"exception_executions":{"[RuntimeError]":4},"continuation":{"completed":["one"]},"resumptions":2')
WHERE finished_at IS NULL;
INSERT INTO solid_queue_failed_executions (job_id, error, created_at)
SELECT id, '{"message":"no"}', now() FROM solid_queue_jobs WHERE finished_at IS NULL"#;

const ROWS: &str = "SELECT j::text || f::text FROM solid_queue_jobs j LEFT JOIN solid_queue_failed_executions f ON f.job_id = j.id ORDER BY j.id";

/// The envelope's values as text, so that 1.50E2 and 150 are two.
const SHAPE: &str = "
SELECT (to_jsonb(j) - '{id,active_job_id,created_at,updated_at,scheduled_at,arguments}'::text[])::text
    || (to_jsonb(s) - '{id,job_id,scheduled_at,created_at}'::text[])::text
    || (SELECT string_agg(key || '=' || value, ';') FROM json_each(replace(j.arguments, '\\u0000', 'nul')::json) WHERE key NOT IN ('job_id', 'enqueued_at', 'scheduled_at'))
FROM solid_queue_jobs j LEFT JOIN solid_queue_scheduled_executions s ON s.job_id = j.id ORDER BY j.id";

fn tables() -> Application {
    Application::of_tables(TABLES)
}

fn with_failed(count: usize) -> Application {
    super::with_failed(tables(), ENQUEUE, FAIL, count)
}

#[test]
fn a_new_run_is_what_solid_queue_would_have_queued() {
    let application = tables();
    Tables { application: &application, enqueue: ENQUEUE, fail: FAIL, rows: ROWS, shape: SHAPE, task: "Mail" }.play();
    let own = "SELECT j.active_job_id = replace(j.arguments, '\\u0000', '')::json ->> 'job_id' AND j.scheduled_at = s.scheduled_at AND j.created_at = s.created_at
                      AND (replace(j.arguments, '\\u0000', '')::json ->> 'scheduled_at')::timestamptz = s.scheduled_at AT TIME ZONE 'UTC'
                      AND s.scheduled_at BETWEEN timezone('UTC', now()) - interval '1 minute' AND timezone('UTC', now())
               FROM solid_queue_jobs j JOIN solid_queue_scheduled_executions s ON s.job_id = j.id";
    assert_eq!(application.column(own), ["t"]);
    assert!(
        application
            .value("SELECT arguments FROM solid_queue_jobs ORDER BY id DESC")
            .contains(r#""sum":1.50E2,"nul":"\u0000","sum":2"#)
    );
}

#[test]
fn one_that_is_due_later_is_scheduled_for_then() {
    let application = with_failed(1);
    due_later(&application);
    let due = "SELECT j.scheduled_at || ' ' || s.scheduled_at FROM solid_queue_jobs j JOIN solid_queue_scheduled_executions s ON s.job_id = j.id";
    assert_eq!(application.column(due), ["2100-01-01 12:00:00.5 2100-01-01 12:00:00.5"]);
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    let application = with_failed(4);
    let claimed = |id: &str| {
        application.client.execute(&format!(
            "DELETE FROM solid_queue_scheduled_executions WHERE job_id = {id};
             INSERT INTO solid_queue_claimed_executions (job_id, created_at) VALUES ({id}, now())"
        ));
    };
    ByHand {
        plugin: &application.plugin(),
        rows: &|| application.by_id("SELECT id, j::text FROM solid_queue_jobs j"),
        begin: &claimed,
        put_off: None,
        taken: None,
        has_due_time: true,
    }
    .play();
    is_told_to_be_schema_only(&application, "solid-queue");
}

/// What the dispatcher has made of a job: it is still pending. One that is ready holds the semaphore of its key.
#[test]
fn a_ready_job_is_taken_back_unless_it_holds_a_semaphore() {
    for (table, columns, values, key, undone) in [
        ("ready", "", "", "NULL", 1),
        ("ready", "", "", "'customer 7'", 0),
        ("blocked", ", concurrency_key, expires_at", ", 'customer 7', now()", "'customer 7'", 1),
    ] {
        let application = with_failed(1);
        application.plugin().create_ledger().unwrap();
        application.client.execute(&format!("UPDATE solid_queue_jobs SET concurrency_key = {key}"));
        let answer = application.rerun_the_failed(&[]);
        application.client.execute(&format!(
            "WITH due AS (DELETE FROM solid_queue_scheduled_executions RETURNING *)
             INSERT INTO solid_queue_{table}_executions (job_id, queue_name, priority, created_at{columns})
             SELECT job_id, queue_name, priority, created_at{values} FROM due"
        ));
        let told = undo(&application.plugin(), &answer["operation_id"]).unwrap();
        assert_eq!(told["undone"].as_array().unwrap().len(), undone, "{table} {key}: {told}");
        let left = format!("SELECT count(*) FROM solid_queue_{table}_executions");
        assert_eq!(application.value(&left), (1 - undone).to_string());
        assert_eq!(application.value("SELECT count(*) FROM solid_queue_jobs"), (2 - undone).to_string());
    }
}

#[test]
fn a_role_needs_no_more_than_check_says() {
    let application = with_failed(1);
    let tables = Tables { application: &application, enqueue: "", fail: "", rows: "", shape: "", task: "Mail" };
    tables.a_role_needs(&[
        "SELECT ON public.solid_queue_claimed_executions",
        "SELECT ON public.solid_queue_failed_executions",
        "SELECT ON public.solid_queue_recurring_executions",
        "SELECT, DELETE ON public.solid_queue_blocked_executions",
        "SELECT, DELETE ON public.solid_queue_ready_executions",
        "SELECT, INSERT, DELETE ON public.solid_queue_jobs",
        "SELECT, INSERT, DELETE ON public.solid_queue_scheduled_executions",
        "USAGE ON SEQUENCE public.solid_queue_jobs_id_seq",
        "USAGE ON SEQUENCE public.solid_queue_scheduled_executions_id_seq",
    ]);
}

/// `retry_on` finishes a row and queues another one: that is no success.
#[test]
fn the_tables_say_where_a_job_stands() {
    let application = tables();
    let job = |id: u32, active: &str, finished: &str, executions: u32| {
        application.client.execute(&format!(
            "INSERT INTO solid_queue_jobs (id, queue_name, class_name, active_job_id, finished_at, created_at, updated_at, arguments)
             VALUES ({id}, 'q', 'Mail', '{active}', {finished}, now(), now(), '{{\"executions\":{executions},\"arguments\":[]}}')"
        ));
    };
    job(101, "a", "now()", 0);
    job(102, "a", "now()", 1);
    job(103, "b", "NULL", 0);
    job(104, "c", "NULL", 0);
    job(105, "d", "NULL", 3);
    application.client.execute(
        "INSERT INTO solid_queue_claimed_executions (job_id, created_at) VALUES (104, now());
         INSERT INTO solid_queue_failed_executions (job_id, created_at) VALUES (105, now());
         INSERT INTO solid_queue_recurring_executions (job_id, task_key, run_at, created_at) VALUES (105, 'nightly', now(), now())",
    );
    let expected =
        ["ended retried 0 -", "ended succeeded 1 -", "pending - 0 -", "running - 0 -", "ended failed 3 recurring"];
    assert_eq!(told(&application, &["101", "102", "103", "104", "105"]), expected);
    let answer = call(&application.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!(answer["triggered"][0]["rerun_of"], "105");
    assert_eq!(
        application.value("SELECT count(*) FROM solid_queue_recurring_executions"),
        "1",
        "a new run is no recurring task's"
    );
}
