//! DBOS Transact: an application (tests/runners/dbos) in Python and in TypeScript, whose own workers run what is spawned.

use std::ops::Deref;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

use crate::postgres;
use crate::queues::{Application, Scenario, ids_go_by_the_key, what_check_says_is_enough_to_undo};
use crate::support;
use crate::support::calls::{all_failed, assert_error, call, first_detail, open_error, pairs, triggered};
use crate::support::runners::{Process, Runner, output, wait_for};
use crate::support::undo::{ByHand, multiply, race};

const STATES: &str = "SELECT workflow_uuid AS id, name, status AS state FROM dbos.workflow_status ORDER BY created_at";
const ROWS: &str = "SELECT s::text FROM dbos.workflow_status s ORDER BY created_at";

/// The application on one version of DBOS for Python.
struct Dbos {
    application: Application,
    version: Runner,
}

impl Deref for Dbos {
    type Target = Application;

    fn deref(&self) -> &Application {
        &self.application
    }
}

/// Version 3, and version 2.
const VERSIONS: [&str; 2] = ["dbos", "dbos-2"];

impl Dbos {
    fn new(version: &str) -> Dbos {
        Dbos { application: Application::new("dbos"), version: Runner::set_up(version) }
    }

    /// With its tables, as its first start has made them, and nothing in them.
    fn installed(version: &str) -> Dbos {
        static FIRST: Mutex<()> = Mutex::new(());
        let dbos = Dbos::new(version);
        let one_by_one = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = dbos.database.server.folder.join(version);
        if !tables.exists() {
            dbos.work("1", &[]).stop();
            let mut dump = Command::new(postgres::programs().join("pg_dump"));
            dump.args(["--schema", "dbos", "--file"]).arg(&tables).arg(&dbos.database.url);
            output(dump);
            return dbos;
        }
        drop(one_by_one);
        let mut restore = Command::new(postgres::programs().join("psql"));
        restore.args(["--quiet", "--file"]).arg(&tables).arg(&dbos.database.url);
        output(restore);
        dbos
    }

    fn python(&self, arguments: &[&str]) -> Command {
        let mut python = self.with_store(self.version.python());
        python.arg(self.application.runner.files.join("app.py")).args(arguments);
        python
    }

    /// Its worker, in a version of the application.
    fn work(&self, version: &str, workflow: &[&str]) -> Process {
        let mut work = self.python(&[&["work"], workflow].concat());
        work.env("VERSION", version);
        let worker = self.start(work);
        wait_for("it works", || worker.printed().contains("working").then_some(()));
        worker
    }

    /// Calls methods of DBOS's own client, each with positional and named arguments.
    fn client(&self, calls: &Value) -> Vec<Option<String>> {
        serde_json::from_str(&output(self.python(&["do", &calls.to_string()]))).unwrap()
    }

    fn enqueue(&self, task: &str, options: Value) {
        let mut all = json!({"workflow_name": task, "queue_name": "mail"});
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        self.client(&json!([["enqueue", [all, {"note": "Zoë \"1\""}], {}]]));
    }

    fn states(&self) -> Vec<String> {
        self.column(&format!("SELECT name || ' ' || state FROM ({STATES}) AS run"))
    }

    /// Waits until these are the runs.
    #[track_caller]
    fn until(&self, worker: &mut Process, expected: &[&str]) {
        worker.until(&format!("the runs are {expected:?}"), || (self.states() == expected).then_some(()));
    }
}

/// The state that DBOS's own worker leaves, without waiting for one.
fn all_have_failed(application: &Application) {
    application.client.execute(
        "UPDATE dbos.workflow_status SET status = 'ERROR', executor_id = 'local', started_at_epoch_ms = created_at,
                completed_at = created_at, recovery_attempts = 1, deduplication_id = NULL",
    );
}

#[test]
fn its_own_worker_runs_what_is_spawned() {
    for version in VERSIONS {
        let dbos = Dbos::installed(version);
        let enqueue = |task: &str| {
            dbos.enqueue(task, json!({"priority": 7, "workflow_timeout": 600, "attributes": {"by": "Zoë"}}));
        };
        let worker = || dbos.work("1", &[]);
        let words = ("ERROR", Some("SUCCESS"));
        let scenario =
            Scenario { enqueue: &enqueue, worker: &worker, states: STATES, rows: ROWS, words, flaky: "flaky" };
        scenario.play(&dbos);
        // A failed run, one that succeeded, and one that waits: they differ in nothing but their own lives.
        let kept = "SELECT DISTINCT to_jsonb(s) - ARRAY['workflow_uuid', 'status', 'executor_id', 'created_at', 'updated_at',
                        'completed_at', 'started_at_epoch_ms', 'workflow_deadline_epoch_ms', 'application_version', 'recovery_attempts',
                        'owner_xid', 'creator_xid', 'delay_until_epoch_ms', 'output', 'error']
                    FROM dbos.workflow_status s WHERE name = 'flaky'";
        assert_eq!(dbos.column(kept).len(), 1, "{version}: {:?}", dbos.column(kept));
        let inputs = if version == "dbos" { "dbos.workflow_input" } else { "dbos.workflow_status" };
        assert_eq!(dbos.value(&format!("SELECT count(DISTINCT inputs) || ' ' || count(*) FROM {inputs}")), "1 5");
    }
}

#[test]
fn the_worker_in_typescript_runs_what_is_spawned() {
    let dbos = Dbos::new("dbos");
    let mut node = Command::new("node");
    node.arg(dbos.application.runner.installed.join("app.js")).args(["start", "flaky", r#"{"note": "Zoë \"1\""}"#]);
    let mut worker = dbos.start(dbos.with_store(node));
    wait_for("it works", || worker.printed().contains("working").then_some(()));
    dbos.until(&mut worker, &["flaky ERROR"]);
    dbos.mend();
    assert_eq!(triggered(&dbos.rerun_the_failed(&[])), ["flaky"]);
    dbos.until(&mut worker, &["flaky ERROR", "flaky SUCCESS"]);
    worker.stop();
    assert_eq!(dbos.value("SELECT count(DISTINCT inputs) || ' ' || count(*) FROM dbos.workflow_input"), "1 2");
    assert_eq!(dbos.carried_out().len(), 1);
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    for version in VERSIONS {
        let dbos = Dbos::installed(version);
        dbos.client(&json!(vec![json!(["enqueue", [{"workflow_name": "steady", "queue_name": "mail"}, 1], {}]); 4]));
        all_have_failed(&dbos);
        let set = |id: &str, to: &str| {
            dbos.client.execute(&format!("UPDATE dbos.workflow_status SET {to} WHERE workflow_uuid = '{id}'"));
        };
        ByHand {
            plugin: &dbos.plugin(),
            rows: &|| dbos.by_id("SELECT workflow_uuid, s::text FROM dbos.workflow_status s"),
            begin: &|id| set(id, "status = 'PENDING', executor_id = 'local', recovery_attempts = 1"),
            // As it is recovered when its executor is gone.
            put_off: Some(&|id| set(id, "executor_id = 'local', recovery_attempts = 1")),
            taken: Some("cancelled"),
            has_due_time: true,
        }
        .play();
        what_check_says_is_enough_to_undo(&dbos, "");
        // As its own cancel leaves a workflow.
        let id = "6f6a1c5e-0b7e-4a51-9f5c-1d2b3c4d5e6f";
        dbos.enqueue("steady", json!({"workflow_id": id, "attributes": null}));
        dbos.client(&json!([["cancel_workflow", [id], {}]]));
        let left = "SELECT DISTINCT to_jsonb(s) - ARRAY['workflow_uuid', 'created_at', 'updated_at', 'completed_at', 'creator_xid', 'inputs',
                        'delay_until_epoch_ms'], updated_at = completed_at FROM dbos.workflow_status s WHERE status = 'CANCELLED'";
        assert_eq!(dbos.client.rows(left).len(), 1, "{version}: {:?}", dbos.client.rows(left));
    }
}

fn each_is_taken_back_or_carried_out_once(version: &str) {
    let dbos = Dbos::installed(version);
    dbos.enqueue("steady", json!({}));
    dbos.enqueue("steady", json!({"queue_name": "alone"}));
    multiply(&dbos.plugin(), &|| all_have_failed(&dbos));
    race(&dbos.plugin(), dbos.work("1", &[]), &|| dbos.carried_out());
}

#[test]
fn in_a_race_with_version_3_each_is_taken_back_or_carried_out_once() {
    each_is_taken_back_or_carried_out_once("dbos");
}

#[test]
fn in_a_race_with_version_2_each_is_taken_back_or_carried_out_once() {
    each_is_taken_back_or_carried_out_once("dbos-2");
}

/// A schema that has been migrated: the inputs of what is older stay where they are.
#[test]
fn inputs_are_found_where_version_2_has_left_them() {
    let mut dbos = Dbos::new("dbos-2");
    let mut worker = dbos.work("1", &["flaky", r#"{"of": 2}"#]);
    dbos.until(&mut worker, &["flaky ERROR"]);
    worker.stop();
    dbos.mend();
    dbos.version = Runner::set_up("dbos");
    let mut worker = dbos.work("1", &[]);
    assert_eq!(triggered(&dbos.rerun_the_failed(&[])), ["flaky"]);
    dbos.until(&mut worker, &["flaky ERROR", "flaky SUCCESS"]);
    worker.stop();
    let inputs = "SELECT old.inputs = i.inputs FROM dbos.workflow_input i, dbos.workflow_status old
                  WHERE old.inputs IS NOT NULL";
    assert_eq!(dbos.column(inputs), ["t"]);
}

/// A run that failed in the first version of the application is carried out by the second.
#[test]
fn the_newest_version_of_the_application_takes_it() {
    let dbos = Dbos::new("dbos");
    let mut worker = dbos.work("1", &["flaky", "1"]);
    dbos.until(&mut worker, &["flaky ERROR"]);
    worker.stop();
    dbos.mend();
    let mut worker = dbos.work("2", &[]);
    assert_eq!(triggered(&dbos.rerun_the_failed(&[])), ["flaky"]);
    dbos.until(&mut worker, &["flaky ERROR", "flaky SUCCESS"]);
    worker.stop();
    let versions = "SELECT application_version FROM dbos.workflow_status ORDER BY created_at";
    assert_eq!(dbos.column(versions), ["1", "2"]);
}

#[test]
fn a_part_of_a_workflow_that_has_not_succeeded_is_left_to_it() {
    let dbos = Dbos::new("dbos");
    let mut worker = dbos.work("1", &["strict", "1"]);
    dbos.until(&mut worker, &["strict ERROR", "flaky ERROR"]);
    let answer = call(&dbos.plugin(), &all_failed(json!({"except_tasks": ["strict"]}))).unwrap();
    assert_eq!(triggered(&answer).len(), 0);
    assert!(first_detail(&answer).contains("which has not succeeded: that one starts it again"), "{answer}");
    dbos.mend();
    assert_eq!(triggered(&call(&dbos.plugin(), &all_failed(json!({}))).unwrap()), ["strict"]);
    dbos.until(&mut worker, &["strict ERROR", "flaky ERROR", "strict SUCCESS", "flaky SUCCESS"]);
    worker.stop();
}

#[test]
fn a_part_that_its_workflow_did_without_is_a_run_like_any_other() {
    let dbos = Dbos::new("dbos");
    let mut worker = dbos.work("1", &["careless", "1"]);
    dbos.until(&mut worker, &["careless SUCCESS", "flaky ERROR"]);
    dbos.mend();
    assert_eq!(triggered(&dbos.rerun_the_failed(&[])), ["flaky"]);
    dbos.until(&mut worker, &["careless SUCCESS", "flaky ERROR", "flaky SUCCESS"]);
    worker.stop();
    assert_eq!(dbos.value("SELECT count(*) FROM dbos.workflow_status WHERE parent_workflow_id IS NOT NULL"), "1");
}

/// A fork has the steps of its source up to one, with what they ended in.
#[test]
fn a_fork_begins_at_its_beginning() {
    let dbos = Dbos::installed("dbos");
    dbos.client(&json!([
        ["enqueue", [{"workflow_name": "flaky", "queue_name": "mail", "workflow_id": "w"}, 1], {}],
    ]));
    let mut worker = dbos.work("1", &[]);
    dbos.until(&mut worker, &["flaky ERROR"]);
    dbos.mend();
    dbos.client(&json!([["fork_workflow", ["w", 2], {}]]));
    dbos.until(&mut worker, &["flaky ERROR", "flaky ERROR"]);
    let fork = dbos.value("SELECT workflow_uuid FROM dbos.workflow_status WHERE forked_from = 'w'");
    assert_eq!(pairs(&dbos.rerun_the_failed(&[])), [format!("flaky: {fork}")]);
    dbos.until(&mut worker, &["flaky ERROR", "flaky ERROR", "flaky SUCCESS"]);
    worker.stop();
}

/// DBOS takes the queue away from what it cancels; a partition's key is for that queue alone.
#[test]
fn what_has_lost_its_queue_is_carried_out_by_its_own() {
    let dbos = Dbos::installed("dbos");
    let parts = json!({"workflow_name": "steady", "queue_name": "parts", "queue_partition_key": "a"});
    let with_id = |id: &str| {
        let mut options = parts.clone();
        options["workflow_id"] = json!(id);
        json!(["enqueue", [options, 1], {}])
    };
    dbos.client(&json!([with_id("lost"), ["cancel_workflow", ["lost"], {}], with_id("kept")]));
    dbos.client.execute("UPDATE dbos.workflow_status SET status = 'ERROR' WHERE workflow_uuid = 'kept'");
    let answer = call(&dbos.plugin(), &json!({"ids": ["lost", "kept"], "options": {"unique_by": "run"}})).unwrap();
    assert_eq!(triggered(&answer), ["steady", "steady"]);
    let places = "SELECT concat_ws(' ', queue_name, queue_partition_key) FROM dbos.workflow_status
                  WHERE status = 'ENQUEUED' ORDER BY 1";
    assert_eq!(dbos.column(places), ["_dbos_internal_queue", "parts a"]);
    let worker = dbos.work("1", &[]);
    wait_for("both are carried out", || (dbos.carried_out().len() == 2).then_some(()));
    worker.stop();
}

#[test]
fn what_makes_a_run_the_only_one_is_not_copied() {
    let dbos = Dbos::installed("dbos");
    dbos.enqueue("flaky", json!({"deduplication_id": "d"}));
    dbos.client.execute("UPDATE dbos.workflow_status SET status = 'ERROR'");
    assert_eq!(triggered(&dbos.rerun_the_failed(&[])), ["flaky"]);
    assert_eq!(dbos.column("SELECT deduplication_id FROM dbos.workflow_status ORDER BY created_at"), ["d", ""]);
}

#[test]
fn a_scheduled_run_is_run_again_with_its_old_time() {
    let dbos = Dbos::installed("dbos");
    let schedule = json!({"schedule_name": "n", "workflow_name": "nightly", "schedule": "0 0 1 1 *", "context": 7});
    let ids = dbos.client(&json!([["create_schedule", [], schedule], ["trigger_schedule", ["n"], {}]]));
    let mut worker = dbos.work("1", &[]);
    dbos.until(&mut worker, &["nightly ERROR"]);
    dbos.mend();
    let selector = json!({"match_all": true, "filter": {"triggered_by": "schedule"}});
    let answer = call(&dbos.plugin(), &selector).unwrap();
    assert_eq!(pairs(&answer), [format!("nightly: {}", ids[1].as_ref().unwrap())]);
    dbos.until(&mut worker, &["nightly ERROR", "nightly SUCCESS"]);
    worker.stop();
    assert_eq!(
        call(&dbos.plugin(), &selector).unwrap()["triggered"][0]["rerun_of"],
        answer["triggered"][0]["rerun_of"]
    );
}

#[test]
fn a_run_without_its_inputs_is_not_started() {
    let dbos = Dbos::installed("dbos");
    dbos.enqueue("flaky", json!({}));
    all_have_failed(&dbos);
    dbos.client.execute("DELETE FROM dbos.workflow_input");
    let answer = call(&dbos.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(
        (triggered(&answer).len(), first_detail(&answer).contains("its inputs are gone")),
        (0, true),
        "{answer}"
    );
}

#[test]
fn a_schema_of_another_name_is_found() {
    let dbos = Dbos::new("dbos");
    let mut work = dbos.python(&["work", "flaky", "1"]);
    work.env("SCHEMA", "flows");
    let worker = dbos.start(work);
    wait_for("it works", || worker.printed().contains("working").then_some(()));
    let states = || dbos.column("SELECT status FROM flows.workflow_status ORDER BY created_at");
    wait_for("the run has failed", || (states() == ["ERROR"]).then_some(()));
    dbos.mend();
    let url = format!("{}?options=-csearch_path%3Dflows", dbos.database.url);
    assert_eq!(
        triggered(&call(&Plugin::open(&Config::new(&url)).unwrap(), &all_failed(json!({}))).unwrap()),
        ["flaky"]
    );
    wait_for("the new run has succeeded", || (states() == ["ERROR", "SUCCESS"]).then_some(()));
    worker.stop();
}

#[test]
fn ids_are_sought_in_its_own_key() {
    let dbos = Dbos::installed("dbos");
    dbos.client.execute(
        "INSERT INTO dbos.workflow_status (workflow_uuid, name, status) SELECT 'w' || n, 'W' || n, 'ERROR' FROM generate_series(1, 120000) n;
         INSERT INTO dbos.workflow_input (workflow_uuid, inputs) SELECT 'w' || n, '[]' FROM generate_series(1, 120000) n",
    );
    let ids: Vec<String> = (1..=9_000).map(|n| format!("w{n}")).collect();
    ids_go_by_the_key(&dbos, &ids, "workflow_status", "workflow_status_pkey", "w0");
}

#[test]
fn check_lists_the_rights_that_a_role_needs() {
    for version in VERSIONS {
        let dbos = Dbos::installed(version);
        dbos.enqueue("flaky", json!({}));
        all_have_failed(&dbos);
        let role = dbos.role();
        let on = |rights: &str, table: &str| format!("GRANT {rights} ON dbos.{table} TO {role}");
        let mut expected = vec![
            format!("GRANT USAGE ON SCHEMA dbos TO {role}"),
            on("SELECT", "dbos_migrations"),
            on("SELECT, INSERT, UPDATE", "workflow_status"),
        ];
        if version == "dbos" {
            expected.insert(2, on("SELECT, INSERT", "workflow_input"));
        }
        assert_eq!(dbos.grant_what_check_says(&role), expected);
        let answer = support::runners::rerun_the_failed(&dbos.database.url_as(&role), &[]);
        assert_eq!(triggered(&answer), ["flaky"]);
    }
}

#[test]
fn a_version_that_the_profile_does_not_know_is_told_so() {
    let dbos = Dbos::installed("dbos");
    dbos.client.execute("UPDATE dbos.dbos_migrations SET version = 1000");
    let error = open_error(&Config::new(&dbos.database.url));
    assert_error(&error, 500, &["version 1000", "the profile dbos is for 36 to 108 and 109 to 125.", "--profile"]);
}
