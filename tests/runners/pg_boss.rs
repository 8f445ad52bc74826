//! pg-boss: an application (tests/runners/pg-boss) whose own worker runs what is spawned.

use std::ops::Deref;
use std::process::Command;

use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

use crate::queues::{Application, Scenario, ids_go_by_the_key, nothing_has_failed, what_check_says_is_enough_to_undo};
use crate::support;
use crate::support::calls::{all_failed, assert_error, call, first_detail, open_error, skipped, triggered};
use crate::support::runners::{Process, output};
use crate::support::undo::{ByHand, multiply, race};

const STATES: &str = "SELECT id, name, state FROM pgboss.job ORDER BY created_on, id";
const ROWS: &str = "SELECT job::text FROM pgboss.job AS job ORDER BY created_on, id";

/// An application on one version of pg-boss.
struct Boss {
    application: Application,
    /// The name that the version is installed by (tests/runners/pg-boss/package.json).
    package: &'static str,
}

impl Deref for Boss {
    type Target = Application;

    fn deref(&self) -> &Application {
        &self.application
    }
}

const NEWEST: &str = "pg-boss";

fn node(application: &Boss, arguments: &[&str]) -> Command {
    let mut node = Command::new("node");
    node.arg(application.runner.installed.join("app.js")).args(arguments).env("PG_BOSS", application.package);
    application.with_store(node)
}

/// Calls pg-boss's own methods.
fn boss(application: &Boss, calls: &Value) -> Value {
    serde_json::from_str(output(node(application, &["do", &calls.to_string()])).lines().last().unwrap()).unwrap()
}

fn work(application: &Boss, queues: &Value) -> Process {
    application.start(node(application, &["work", &queues.to_string()]))
}

fn application(queues: &[(&str, Value)]) -> Boss {
    application_on(NEWEST, queues)
}

fn application_on(package: &'static str, queues: &[(&str, Value)]) -> Boss {
    let application = Boss { application: Application::new("pg-boss"), package };
    let calls: Vec<Value> = queues.iter().map(|(name, options)| json!(["createQueue", name, options])).collect();
    boss(&application, &json!(calls));
    application
}

/// The state that pg-boss's own worker leaves, without waiting for one.
fn all_have_failed(application: &Application) {
    application.client.execute("UPDATE pgboss.job SET state = 'failed', started_on = now(), completed_on = now()");
}

/// `version` is the schema's.
fn its_own_worker_runs_what_is_spawned(package: &'static str, version: u32) {
    let application = application_on(package, &[("flaky", json!({"retryLimit": 0})), ("steady", json!({}))]);
    assert_eq!(application.value("SELECT version FROM pgboss.version"), version.to_string());
    let options = json!({
        "priority": 7, "expireInSeconds": 600, "group": {"id": "g", "tier": "t"}, "heartbeatSeconds": 60,
        "singletonKey": "k", "singletonSeconds": 3600,
    });
    let enqueue = |task: &str| {
        let data = json!({"needs": task == "flaky", "note": "Zoë \"1\""});
        boss(&application, &json!([["send", task, data, options]]));
    };
    let often = json!({"pollingIntervalSeconds": 0.5});
    let worker = || work(&application, &json!({"flaky": often, "steady": often}));
    let words = ("failed", Some("completed"));
    let scenario = Scenario { enqueue: &enqueue, worker: &worker, states: STATES, rows: ROWS, words, flaky: "flaky" };
    scenario.play(&application);
    // A failed run, one that succeeded, and one that waits: they differ in nothing but their own lives.
    let lives = "id,state,created_on,start_after,keep_until,started_on,heartbeat_on,completed_on,output,singleton_on";
    let kept = format!("SELECT DISTINCT to_jsonb(job) - '{{{lives}}}'::text[] FROM pgboss.job WHERE name = 'flaky'");
    assert_eq!(application.column(&kept).len(), 1, "{:?}", application.column(&kept));
    let waiting = "SELECT start_after <= now() AND keep_until > now() + interval '13 days' AND started_on IS NULL
                          AND completed_on IS NULL AND output IS NULL AND singleton_on IS NULL
                   FROM pgboss.job WHERE state = 'created'";
    assert_eq!(application.column(waiting), ["t"]);
}

const EVERY_VERSION: [&str; 5] = [NEWEST, "pg-boss-12.23", "pg-boss-12.22", "pg-boss-11.0", "pg-boss-10.0"];

#[test]
fn what_nobody_has_begun_is_taken_back() {
    for package in EVERY_VERSION {
        let application = application_on(package, &[("q", json!({"retryLimit": 2}))]);
        let send = json!(["send", "q", {"a": 1}]);
        boss(&application, &json!([send, send, send, send]));
        all_have_failed(&application);
        let set = |id: &str, to: &str| {
            application.client.execute(&format!("UPDATE pgboss.job SET {to} WHERE id = '{id}'"));
        };
        ByHand {
            plugin: &application.plugin(),
            rows: &|| application.by_id("SELECT id, job::text FROM pgboss.job AS job"),
            begin: &|id| set(id, "state = 'active', started_on = now()"),
            put_off: Some(&|id| set(id, "state = 'retry', started_on = now()")),
            taken: Some("cancelled"),
            has_due_time: true,
        }
        .play();
        what_check_says_is_enough_to_undo(&application, "");
        // As its own cancel leaves a job.
        boss(&application, &json!([["send", "q", {}, {"id": "6f6a1c5e-0b7e-4a51-9f5c-1d2b3c4d5e6f"}]]));
        boss(&application, &json!([["cancel", "q", "6f6a1c5e-0b7e-4a51-9f5c-1d2b3c4d5e6f"]]));
        let left =
            "SELECT DISTINCT completed_on IS NULL, started_on IS NULL, output IS NULL, retry_count FROM pgboss.job
                    WHERE state = 'cancelled'";
        assert_eq!(application.client.rows(left).len(), 1, "{package}: {:?}", application.client.rows(left));
    }
}

fn each_is_taken_back_or_carried_out_once(package: &'static str) {
    let application = application_on(package, &[("steady", json!({}))]);
    boss(&application, &json!([["send", "steady", {"a": 1}]]));
    multiply(&application.plugin(), &|| all_have_failed(&application));
    // Each looks for jobs twice a second: many of them have somebody looking all the time.
    let workers = vec![json!({"pollingIntervalSeconds": 0.5, "batchSize": 4}); 25];
    let worker = work(&application, &json!({ "steady": workers }));
    race(&application.plugin(), worker, &|| application.carried_out());
}

#[test]
fn in_a_race_with_the_newest_each_is_taken_back_or_carried_out_once() {
    each_is_taken_back_or_carried_out_once(NEWEST);
}

#[test]
fn in_a_race_with_the_older_generation_each_is_taken_back_or_carried_out_once() {
    each_is_taken_back_or_carried_out_once("pg-boss-12.22");
}

/// As servers are hardened: the tables are found in the runner's own schema.
#[test]
fn an_empty_search_path_is_no_obstacle() {
    let application = application(&[("flaky", json!({}))]);
    boss(&application, &json!([["send", "flaky", {}]]));
    all_have_failed(&application);
    let name = &application.database.name;
    application.client.execute(&format!("ALTER DATABASE {name} SET search_path = ''"));
    assert_eq!(triggered(&application.rerun_the_failed(&[])), ["flaky"]);
}

#[test]
fn the_newest_runs_what_is_spawned() {
    its_own_worker_runs_what_is_spawned(NEWEST, 46);
}

#[test]
fn the_first_of_the_newest_generation_runs_what_is_spawned() {
    its_own_worker_runs_what_is_spawned("pg-boss-12.23", 34);
}

#[test]
fn the_last_of_the_older_generation_runs_what_is_spawned() {
    its_own_worker_runs_what_is_spawned("pg-boss-12.22", 33);
}

#[test]
fn version_11_runs_what_is_spawned() {
    its_own_worker_runs_what_is_spawned("pg-boss-11.0", 25);
}

#[test]
fn the_oldest_that_is_known_runs_what_is_spawned() {
    its_own_worker_runs_what_is_spawned("pg-boss-10.0", 21);
}

fn a_worker_that_only_listens_is_woken(package: &'static str) {
    let application = application_on(package, &[("flaky", json!({"retryLimit": 0, "notify": true}))]);
    boss(&application, &json!([["send", "flaky", {"needs": true}]]));
    let mut worker = work(&application, &json!({"flaky": {"pollingIntervalSeconds": 3600, "useListenNotify": true}}));
    let states = || application.column("SELECT state FROM pgboss.job ORDER BY created_on");
    worker.until("the run has failed", || (states() == ["failed"]).then_some(()));
    application.mend();
    assert_eq!(triggered(&application.rerun_the_failed(&[])), ["flaky"]);
    worker.until("the new run has succeeded", || (states() == ["failed", "completed"]).then_some(()));
    worker.stop();
}

#[test]
fn the_newests_worker_that_only_listens_is_woken() {
    a_worker_that_only_listens_is_woken(NEWEST);
}

#[test]
fn the_older_generations_worker_that_only_listens_is_woken() {
    a_worker_that_only_listens_is_woken("pg-boss-12.22");
}

#[test]
fn a_run_that_it_will_try_again_by_itself_is_pending() {
    let application = application(&[("flaky", json!({"retryLimit": 3, "retryDelay": 3600}))]);
    boss(&application, &json!([["send", "flaky", {"needs": true}]]));
    let mut worker = work(&application, &json!({"flaky": {"pollingIntervalSeconds": 0.5}}));
    worker.until("the first attempt has failed", || {
        (application.column("SELECT state FROM pgboss.job") == ["retry"]).then_some(())
    });
    nothing_has_failed(&application);
    worker.stop();
}

#[test]
fn a_queues_policy_declines_a_run_beside_one_that_waits() {
    let application = application(&[("short", json!({"policy": "short"})), ("plain", json!({}))]);
    boss(&application, &json!([["send", "short", {"a": 1}], ["send", "plain", {"b": 2}]]));
    all_have_failed(&application);
    assert_eq!(triggered(&application.rerun_the_failed(&[])), ["plain", "short"]);
    let answer = call(&application.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), ["plain"]);
    assert!(skipped(&answer)[0].ends_with(": refused"), "{answer}");
    assert!(first_detail(&answer).contains("job_common_i1"), "it does not say which rule: {answer}");
}

#[test]
fn a_throttle_that_is_over_declines_nothing() {
    let application = application(&[("throttled", json!({}))]);
    boss(&application, &json!([["send", "throttled", {"a": 1}, {"singletonSeconds": 3600, "singletonKey": "k"}]]));
    all_have_failed(&application);
    assert_eq!(triggered(&application.rerun_the_failed(&[])), ["throttled"]);
    let kept = "SELECT DISTINCT singleton_key FROM pgboss.job";
    assert_eq!(application.column(kept), ["k"]);
}

#[test]
fn a_strict_queue_is_left_to_pg_boss_itself() {
    let application = application(&[("strict", json!({"policy": "key_strict_fifo"})), ("plain", json!({}))]);
    boss(&application, &json!([["send", "strict", {}, {"singletonKey": "k"}], ["send", "plain", {}]]));
    all_have_failed(&application);
    let answer = call(&application.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), ["plain"]);
    assert!(
        first_detail(&answer).contains("key_strict_fifo") && first_detail(&answer).contains("boss.retry"),
        "{answer}"
    );
}

#[test]
fn a_queue_with_a_partition_of_its_own_gets_its_runs_there() {
    let application = application(&[("own", json!({"partition": true}))]);
    boss(&application, &json!([["send", "own", {"a": 1}], ["send", "own", {"a": 2}]]));
    all_have_failed(&application);
    let answer = application.rerun_the_failed(&["--unique-by", "run"]);
    assert_eq!(triggered(&answer), ["own", "own"]);
    assert_eq!(application.value("SELECT count(DISTINCT tableoid) || ' ' || count(*) FROM pgboss.job"), "1 4");
    assert_ne!(application.value("SELECT DISTINCT tableoid::regclass FROM pgboss.job"), "pgboss.job_common");
}

#[test]
fn a_schema_of_another_name_is_found() {
    let application = application(&[]);
    let mut queue = node(&application, &["do", r#"[["createQueue","q"],["send","q",{"a":1}]]"#]);
    queue.env("SCHEMA", "jobs");
    output(queue);
    application.client.execute("UPDATE jobs.job SET state = 'failed'");
    let url = format!("{}?options=-csearch_path%3Djobs", application.database.url);
    let plugin = Plugin::open(&Config::new(&url)).unwrap();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["q"]);
    assert_eq!(application.value("SELECT count(*) FROM jobs.job"), "2");
}

#[test]
fn a_version_that_the_profile_does_not_know_is_told_so() {
    let application = application(&[]);
    application.client.execute("UPDATE pgboss.version SET version = 1000");
    let error = open_error(&Config::new(&application.database.url));
    assert_error(&error, 500, &["version 1000", "the profile pg-boss is for 21 to 33 and 34 to 46.", "--profile"]);
}

#[test]
fn ids_are_sought_in_its_own_key() {
    let application = application(&[("one", json!({})), ("two", json!({})), ("three", json!({}))]);
    application.client.execute(
        "INSERT INTO pgboss.job (name, state, policy) SELECT (ARRAY['one', 'two', 'three'])[1 + n % 3], 'failed', 'standard'
         FROM generate_series(1, 150000) AS n",
    );
    let ids = application.column("SELECT id FROM pgboss.job LIMIT 9000");
    ids_go_by_the_key(&application, &ids, "job_common", "job_common_pkey", "not-a-uuid");
}

#[test]
fn check_lists_the_rights_that_a_role_needs() {
    let application = application(&[("q", json!({}))]);
    boss(&application, &json!([["send", "q", {}]]));
    all_have_failed(&application);
    let role = application.role();
    assert_eq!(
        application.grant_what_check_says(&role),
        [
            format!("GRANT USAGE ON SCHEMA pgboss TO {role}"),
            format!("GRANT SELECT ON pgboss.queue TO {role}"),
            format!("GRANT SELECT ON pgboss.schedule TO {role}"),
            format!("GRANT SELECT ON pgboss.version TO {role}"),
            format!("GRANT SELECT, INSERT, UPDATE ON pgboss.job TO {role}"),
        ]
    );
    let answer = support::runners::rerun_the_failed(&application.database.url_as(&role), &[]);
    assert_eq!(triggered(&answer), ["q"]);
}

/// `send` takes an id of the caller's, and the key is the queue's name with it.
#[test]
fn one_id_in_two_queues_is_two_runs() {
    for package in [NEWEST, "pg-boss-12.22"] {
        for request in [json!({"unique_by": "task"}), json!({"unique_by": "params"}), json!({"unique_by": "run"})] {
            let application = application_on(package, &[("a", json!({})), ("b", json!({})), ("c", json!({}))]);
            let id = "6f6a1c5e-0b7e-4a51-9f5c-1d2b3c4d5e6f";
            let send = |queue: &str| json!(["send", queue, {"of": queue}, {"id": id}]);
            boss(&application, &json!([send("a"), send("b"), ["send", "c", {"of": "c"}]]));
            all_have_failed(&application);
            // The throttle of a policy declines one run of the batch, and then the others are started all the same.
            application.client.execute(
                "CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     IF NEW.name = 'c' THEN RAISE EXCEPTION 'c is closed'; END IF; RETURN NEW; END $$;
                 CREATE TRIGGER closed BEFORE INSERT ON pgboss.job FOR EACH ROW EXECUTE FUNCTION closed()",
            );
            let mut dry = request.clone();
            dry["dry_run"] = json!(true);
            let plan = call(&application.plugin(), &all_failed(dry)).unwrap();
            let mut options = request;
            options["expect_plan"] = plan["plan"].clone();
            let answer = call(&application.plugin(), &all_failed(options)).unwrap();
            assert_eq!(triggered(&answer), ["a", "b"], "{package}: {answer}");
            assert_eq!(skipped(&answer).len(), 1, "{package}: {answer}");
            let new = "SELECT name || (data ->> 'of') FROM pgboss.job WHERE state = 'created' ORDER BY 1";
            assert_eq!(application.column(new), ["aa", "bb"], "{package}");
            application.client.execute("DELETE FROM pgboss.job WHERE state = 'created'");
            let answer = call(&application.plugin(), &json!({ "ids": [id] })).unwrap();
            assert_eq!(triggered(&answer), ["a", "b"], "{package}: {answer}");
        }
    }
}
