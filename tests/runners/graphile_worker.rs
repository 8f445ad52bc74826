//! Graphile Worker: an application (tests/runners/graphile-worker) whose own worker runs what is spawned.

use std::process::Command;

use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

use crate::queues::{Application, Scenario, ids_go_by_the_key, nothing_has_failed, what_check_says_is_enough_to_undo};
use crate::support;
use crate::support::calls::{all_failed, assert_error, call, open_error, pairs, planned, skipped, triggered};
use crate::support::runners::{Process, output};
use crate::support::undo::{ByHand, multiply, race};

// Its attempts are used up as soon as a worker has taken it for the last time; it has failed when it is let go.
const STATES: &str = "
    SELECT id, task_id,
        CASE WHEN attempts < max_attempts THEN 'waiting' WHEN locked_at IS NULL THEN 'failed' ELSE 'running' END AS state
    FROM graphile_worker._private_jobs ORDER BY id";
const ROWS: &str = "SELECT job::text FROM graphile_worker._private_jobs AS job ORDER BY id";

fn node(application: &Application, arguments: &[&str]) -> Command {
    let mut node = Command::new("node");
    node.arg(application.runner.installed.join("app.js")).args(arguments);
    application.with_store(node)
}

/// Calls its own utilities.
fn utils(application: &Application, calls: &Value) {
    output(node(application, &["do", &calls.to_string()]));
}

fn application(jobs: &Value) -> Application {
    let application = Application::new("graphile-worker");
    utils(&application, jobs);
    application
}

fn work(application: &Application) -> Process {
    application.start(node(application, &["work"]))
}

/// The state that its own worker leaves when it gives a run up.
fn all_have_failed(application: &Application) {
    application.client.execute("UPDATE graphile_worker._private_jobs SET attempts = max_attempts, last_error = 'no'");
}

#[test]
fn its_own_worker_runs_what_is_spawned() {
    let application = application(&json!([]));
    let enqueue = |task: &str| {
        let options = json!({"maxAttempts": 1, "queueName": "mail", "priority": 7, "flags": ["a", "b"]});
        utils(&application, &json!([["addJob", task, {"note": "Zoë \"1\""}, options]]));
    };
    let worker = || work(&application);
    // What has succeeded is deleted.
    let words = ("failed", None);
    let scenario = Scenario { enqueue: &enqueue, worker: &worker, states: STATES, rows: ROWS, words, flaky: "flaky" };
    scenario.play(&application);
    let copied = "SELECT DISTINCT payload::text || job_queue_id || priority || max_attempts || flags::text
                  FROM graphile_worker._private_jobs";
    assert_eq!(application.column(copied).len(), 1, "{:?}", application.column(copied));
    assert_eq!(application.value("SELECT count(*) FROM graphile_worker._private_jobs"), "2");
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    for queue in [json!({}), json!({"queueName": "mail"})] {
        let add = json!(["addJob", "steady", {"a": 1}, queue]);
        let application = application(&json!([add, add, add, add]));
        all_have_failed(&application);
        let set = |id: &str, to: &str| {
            application.client.execute(&format!("UPDATE graphile_worker._private_jobs SET {to} WHERE id = {id}"));
        };
        ByHand {
            plugin: &application.plugin(),
            rows: &|| application.by_id("SELECT id, job::text FROM graphile_worker._private_jobs AS job"),
            begin: &|id| set(id, "attempts = 1, locked_at = now(), locked_by = 'a worker'"),
            put_off: Some(&|id| set(id, "attempts = 1")),
            taken: None,
            has_due_time: true,
        }
        .play();
        what_check_says_is_enough_to_undo(&application, "BYPASSRLS");
    }
}

#[test]
fn each_is_taken_back_or_carried_out_once() {
    let application = application(&json!([["addJob", "steady", {"a": 1}]]));
    multiply(&application.plugin(), &|| all_have_failed(&application));
    let worker = work(&application);
    race(&application.plugin(), worker, &|| application.carried_out());
}

#[test]
fn a_run_that_it_will_try_again_by_itself_is_pending() {
    let application = application(&json!([["addJob", "flaky", {}, {"maxAttempts": 20}]]));
    let mut worker = work(&application);
    let tried = "SELECT count(*) FROM graphile_worker._private_jobs WHERE attempts > 0 AND locked_at IS NULL";
    worker.until("the first attempt has failed", || (application.value(tried) == "1").then_some(()));
    worker.stop();
    nothing_has_failed(&application);
}

#[test]
fn the_key_stays_with_the_old_run() {
    let application = application(&json!([["addJob", "flaky", {"a": 1}, {"jobKey": "nightly"}]]));
    all_have_failed(&application);
    let before = application.column(ROWS);
    assert_eq!(triggered(&application.rerun_the_failed(&[])), ["flaky"]);
    assert_eq!(triggered(&application.rerun_the_failed(&[])), ["flaky"]);
    assert_eq!(application.column(ROWS)[..1], before);
    assert_eq!(application.column("SELECT key FROM graphile_worker._private_jobs ORDER BY id"), ["nightly", "", ""]);
}

/// Graphile Worker adds many at once, and does not say which has become of which: tasks, queues, flags and payloads of many
/// kinds, some of them alike.
#[test]
fn each_of_many_has_what_its_own_source_run_had() {
    let application = application(&json!([]));
    application.client.execute(
        "SELECT graphile_worker.add_job('task-' || n % 70, json_build_object('n', n % 300),
                 CASE WHEN n % 4 = 0 THEN 'queue-' || n % 20 END, max_attempts := 1 + n % 3, priority := n % 5, flags := CASE WHEN n % 9 = 0 THEN ARRAY['b', 'a'] END)
         FROM generate_series(1, 5000) AS n",
    );
    all_have_failed(&application);
    let due = json!({"unique_by": "run", "start_at": "2030-01-01T00:00:00.123456Z", "spread": "10m"});
    for options in [json!({"unique_by": "run"}), due] {
        let answer = call(&application.plugin(), &all_failed(options)).unwrap();
        let started = answer["triggered"].as_array().unwrap().iter();
        let id = |run: &Value, field: &str| run[field].as_str().unwrap().to_owned();
        let pairs: Vec<_> = started.map(|run| format!("({}, {})", id(run, "rerun_of"), id(run, "run_id"))).collect();
        assert_eq!(pairs.len(), 5_000);
        let columns = ["task_id", "job_queue_id", "payload::text", "max_attempts", "priority", "flags"];
        let [old, new] = ["old", "new"].map(|job| columns.map(|column| format!("{job}.{column}")).join(", "));
        let equal = format!(
            "SELECT count(DISTINCT new.id) FROM (VALUES {}) AS pair(a, b)
             JOIN graphile_worker._private_jobs AS old ON old.id = a JOIN graphile_worker._private_jobs AS new ON new.id = b
             WHERE ({old}) IS NOT DISTINCT FROM ({new})",
            pairs.join(", ")
        );
        assert_eq!(application.value(&equal), "5000");
        application.client.execute("DELETE FROM graphile_worker._private_jobs WHERE attempts = 0");
    }
}

/// Text that no `jsonb` can hold is its parameters all the same, byte for byte.
#[test]
fn a_payload_goes_over_byte_for_byte() {
    let application = application(&json!([["addJob", "flaky", {}]]));
    application.client.execute(
        r#"UPDATE graphile_worker._private_jobs SET payload = '{"b" : "\u0000é",  "a":1, "a":2}', attempts = max_attempts"#,
    );
    assert_eq!(triggered(&application.rerun_the_failed(&["--unique-by", "params"])), ["flaky"]);
    let payloads = application.column("SELECT DISTINCT payload::text FROM graphile_worker._private_jobs");
    assert_eq!(payloads, [r#"{"b" : "\u0000é",  "a":1, "a":2}"#]);
}

/// What its own crontab adds: `_cron` at the top, with the time that was due. Anybody's payload may have the word in it.
#[test]
fn a_run_of_a_crontab_is_known_by_what_the_runner_has_written() {
    let application = application(&json!([]));
    application.client.execute(
        r#"SELECT graphile_worker.add_job(task, payload::json) FROM (VALUES
            ('cron', '{"a": 1, "_cron": {"ts": "2026-04-15T12:00:00.000Z", "backfilled": false}}'),
            ('nested', '{"a": {"_cron": {"ts": "2026-04-15T12:00:00.000Z"}}}'),
            ('text', '{"a": "\"_cron\": {\"ts\": 1}"}'),
            ('mine', '{"_cron": "mine"}'),
            ('list', '["_cron", {"_cron": {"ts": 1}}]'),
            ('scalar', '"\"_cron\""'),
            ('none', 'null'),
            ('unreadable', '{"_cron": {"ts": "2026-04-15T12:00:00.000Z"}, "b": "\u0000"}')) AS job(task, payload)"#,
    );
    let triggered_by = json!({"match_all": true, "filter": {"triggered_by": "cron"}, "options": {"dry_run": true}});
    let plan = call(&application.plugin(), &triggered_by).unwrap();
    assert_eq!(planned(&plan), ["cron: 1 (1)"]);
}

#[test]
fn a_schema_of_another_name_is_found() {
    let application = Application::new("graphile-worker");
    let mut add = node(&application, &["do", r#"[["addJob","flaky",{}]]"#]);
    add.env("SCHEMA", "jobs");
    output(add);
    application.client.execute("UPDATE jobs._private_jobs SET attempts = max_attempts");
    let url = format!("{}?options=-csearch_path%3Djobs", application.database.url);
    let plugin = Plugin::open(&Config::new(&url)).unwrap();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["flaky"]);
}

/// As servers are hardened: the tables are found in the runner's own schema.
#[test]
fn an_empty_search_path_is_no_obstacle() {
    let application = application(&json!([["addJob", "flaky", {}]]));
    all_have_failed(&application);
    let name = &application.database.name;
    application.client.execute(&format!("ALTER DATABASE {name} SET search_path = ''"));
    assert_eq!(triggered(&application.rerun_the_failed(&[])), ["flaky"]);
}

#[test]
fn a_version_that_the_profile_does_not_know_is_told_so() {
    let application = application(&json!([]));
    application.client.execute("INSERT INTO graphile_worker.migrations (id) VALUES (99)");
    let error = open_error(&Config::new(&application.database.url));
    assert_error(&error, 500, &["Graphile Worker", "version 99", "18 to 20", "--profile"]);
}

#[test]
fn a_role_that_sees_no_rows_is_told_why() {
    let application = application(&json!([["addJob", "flaky", {}]]));
    all_have_failed(&application);
    let role = application.role();
    let text = application.check_as(&role);
    assert!(text.contains(&format!("GRANT USAGE ON SCHEMA graphile_worker TO {role}")), "{text}");
    application.client.execute(&format!(
        "GRANT USAGE ON SCHEMA graphile_worker TO {role};
         GRANT ALL ON ALL TABLES IN SCHEMA graphile_worker TO {role};"
    ));
    let error = open_error(&Config::new(application.database.url_as(&role)));
    assert_error(&error, 500, &["row level security", &role, "postgres", "BYPASSRLS"]);
    application.client.execute(&format!(
        "ALTER ROLE {role} BYPASSRLS; REVOKE ALL ON ALL TABLES IN SCHEMA graphile_worker FROM {role}"
    ));
    assert_eq!(
        application.grant_what_check_says(&role),
        [
            format!("GRANT SELECT ON graphile_worker.migrations TO {role}"),
            format!("GRANT SELECT, INSERT ON graphile_worker._private_job_queues TO {role}"),
            format!("GRANT SELECT, INSERT ON graphile_worker._private_tasks TO {role}"),
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON graphile_worker._private_jobs TO {role}"),
        ]
    );
    let answer = support::runners::rerun_the_failed(&application.database.url_as(&role), &[]);
    assert_eq!(triggered(&answer), ["flaky"]);
}

#[test]
fn ids_are_sought_in_its_own_key() {
    let application = application(&json!([["addJob", "flaky", {}]]));
    application.client.execute(
        "INSERT INTO graphile_worker._private_jobs (task_id, attempts, max_attempts)
         SELECT (SELECT id FROM graphile_worker._private_tasks), 25, 25 FROM generate_series(1, 120000)",
    );
    let ids: Vec<String> = (1..=9_000).map(|id| id.to_string()).collect();
    ids_go_by_the_key(&application, &ids, "_private_jobs", "using jobs_pkey1 on _private_jobs", "0x1");
}

/// Jobs that were added in one transaction share their time of creation.
#[test]
fn of_jobs_of_one_transaction_the_one_with_the_highest_number_is_the_newest() {
    let application = application(&json!([]));
    application.client.execute(
        "SELECT graphile_worker.add_job('flaky', json_build_object('n', n)) FROM generate_series(1, 12) AS n;",
    );
    all_have_failed(&application);
    assert_eq!(application.value("SELECT count(DISTINCT created_at) FROM graphile_worker._private_jobs"), "1");
    assert_eq!(pairs(&application.rerun_the_failed(&[])), ["flaky: 12"]);
    let new = "SELECT payload ->> 'n' FROM graphile_worker._private_jobs WHERE attempts = 0";
    assert_eq!(application.column(new), ["12"]);
}

/// A trigger of the user's on the table of jobs.
#[test]
fn what_a_trigger_takes_away_is_not_answered() {
    for unique_by in ["task", "run"] {
        let application = application(&json!([["addJob", "a", {}], ["addJob", "b", {}], ["addJob", "c", {}]]));
        all_have_failed(&application);
        application.client.execute(
            "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 DELETE FROM graphile_worker._private_jobs WHERE id = NEW.id; RETURN NULL; END $$;
             CREATE TRIGGER act AFTER INSERT ON graphile_worker._private_jobs FOR EACH ROW
             WHEN (NEW.task_id % 2 = 0) EXECUTE FUNCTION act()",
        );
        let answer = call(&application.plugin(), &all_failed(json!({"unique_by": unique_by}))).unwrap();
        let waiting = "SELECT identifier FROM graphile_worker._private_jobs JOIN graphile_worker._private_tasks t ON t.id = task_id
                       WHERE attempts = 0 ORDER BY 1";
        assert_eq!(application.column(waiting), triggered(&answer), "{answer}");
        assert_eq!(triggered(&answer).len() + skipped(&answer).len(), 3, "{answer}");
        assert!(
            !skipped(&answer).is_empty() && skipped(&answer).iter().all(|skip| skip.ends_with(": refused")),
            "{answer}"
        );
    }
}
