//! PgQueuer: an application (tests/runners/pgqueuer) whose own worker runs what is spawned.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::process::Command;

use bulk_rerun::{Config, Plugin};
use serde_json::json;

use crate::queues::{Application, Scenario, ids_go_by_the_key, nothing_has_failed, what_check_says_is_enough_to_undo};
use crate::support;
use crate::support::calls::{all_failed, call, first_detail, skipped, triggered};
use crate::support::runners::{Process, Runner, output, wait_for};
use crate::support::undo::{ByHand, multiply, race, undo};

const STATES: &str = "SELECT id, entrypoint, status AS state FROM pgqueuer ORDER BY id";
const ROWS: &str = "SELECT job::text FROM pgqueuer AS job ORDER BY id";

/// The application on one version of PgQueuer.
struct Queuer {
    application: Application,
    version: Runner,
    schema: &'static str,
    prefix: &'static str,
}

impl Deref for Queuer {
    type Target = Application;

    fn deref(&self) -> &Application {
        &self.application
    }
}

/// The newest, and the oldest that is known.
const VERSIONS: [&str; 2] = ["pgqueuer", "pgqueuer-1.0"];

impl Queuer {
    fn new() -> Queuer {
        Queuer::on("pgqueuer", "public")
    }

    fn on(version: &str, schema: &'static str) -> Queuer {
        let application = Application::new("pgqueuer");
        application.client.execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"));
        let queuer = Queuer { application, version: Runner::set_up(version), schema, prefix: "" };
        output(queuer.python(&["install"]));
        queuer
    }

    fn python(&self, arguments: &[&str]) -> Command {
        let mut python = self.with_store(self.version.python());
        python.env("SCHEMA", self.schema).env("PGQUEUER_PREFIX", self.prefix);
        python.arg(self.application.runner.files.join("app.py")).args(arguments);
        python
    }

    fn enqueue(&self, entrypoint: &str) {
        let options = json!({"priority": 3, "dedupe_key": format!("the {entrypoint}"), "headers": {"by": "Zoë"}});
        output(self.python(&[entrypoint, r#"{"note": "Zoë \"1\""}"#, &options.to_string()]));
    }

    fn work(&self) -> Process {
        let worker = self.start(self.python(&["work"]));
        wait_for("it works", || worker.printed().contains("working").then_some(()));
        worker
    }

    fn with_failed_jobs(self, count: u32) -> Queuer {
        self.client.execute(&format!(
            "INSERT INTO pgqueuer (priority, status, entrypoint, payload, dedupe_key)
             SELECT 0, 'failed', 'steady', '\\x7b7d', 'key ' || n FROM generate_series(1, {count}) AS n"
        ));
        self
    }
}

#[test]
fn its_own_worker_runs_what_is_spawned() {
    for version in VERSIONS {
        let queuer = Queuer::on(version, "public");
        let enqueue = |task: &str| queuer.enqueue(task);
        let worker = || queuer.work();
        let words = ("failed", None);
        let scenario =
            Scenario { enqueue: &enqueue, worker: &worker, states: STATES, rows: ROWS, words, flaky: "flaky" };
        scenario.play(&queuer);
        // The failed run, and the one that waits: they differ in nothing but their own lives.
        let kept =
            "SELECT DISTINCT to_jsonb(j) - ARRAY['id', 'status', 'created', 'updated', 'heartbeat', 'execute_after']
                    FROM pgqueuer j";
        assert_eq!(queuer.column("SELECT status FROM pgqueuer ORDER BY id"), ["failed", "queued"], "{version}");
        assert_eq!(queuer.column(kept).len(), 1, "{version}: {:?}", queuer.column(kept));
        // The log has each of its changes, as for its own jobs; and what has succeeded is known by it.
        let changes = "SELECT string_agg(status::text, ' ' ORDER BY id) FROM pgqueuer_log WHERE entrypoint = 'flaky'
                       GROUP BY job_id ORDER BY job_id";
        let whole = "queued picked successful";
        assert_eq!(queuer.column(changes), ["queued picked failed", whole, whole, "queued"], "{version}");
        let succeeded = json!({"match_all": true, "filter": {"status": "succeeded"}, "options": {"dry_run": true}});
        assert_eq!(call(&queuer.plugin(), &succeeded).unwrap()["matched"], 3);
    }
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    for version in VERSIONS {
        let queuer = Queuer::on(version, "public").with_failed_jobs(4);
        let set = |id: &str, to: &str| {
            queuer.client.execute(&format!("UPDATE pgqueuer SET updated = clock_timestamp(), {to} WHERE id = {id}"));
        };
        ByHand {
            plugin: &queuer.plugin(),
            // What is taken back is deleted, and is one run more in the log.
            rows: &|| {
                queuer.by_id(
                    "SELECT id, job::text FROM pgqueuer AS job UNION ALL SELECT job_id, 'gone' FROM pgqueuer_log l
                     WHERE status = 'canceled' AND NOT EXISTS (SELECT FROM pgqueuer j WHERE j.id = l.job_id)",
                )
            },
            begin: &|id| set(id, "status = 'picked', queue_manager_id = gen_random_uuid()"),
            put_off: Some(&|id| set(id, "attempts = 1")),
            taken: Some("canceled"),
            has_due_time: true,
        }
        .play();
        let log =
            "SELECT DISTINCT string_agg(status::text, ' ' ORDER BY id) FROM pgqueuer_log GROUP BY job_id ORDER BY 1";
        assert_eq!(queuer.column(log), ["queued", "queued canceled"]);
    }
}

#[test]
fn what_check_says_is_enough() {
    what_check_says_is_enough_to_undo(&Queuer::new().with_failed_jobs(4), "");
}

/// A held job that somebody has queued again has been carried out once, whatever its row says.
#[test]
fn what_was_queued_again_by_hand_is_kept() {
    let queuer = Queuer::new().with_failed_jobs(1);
    queuer.plugin().create_ledger().unwrap();
    let answer = call(&queuer.plugin(), &all_failed(json!({}))).unwrap();
    let id = answer["triggered"][0]["run_id"].as_str().unwrap();
    // As PgQueuer's requeue_jobs leaves it.
    queuer.client.execute(&format!(
        "UPDATE pgqueuer SET status = 'failed' WHERE id = {id};
         UPDATE pgqueuer SET status = 'queued', execute_after = now(), updated = now(), attempts = 0 WHERE id = {id}"
    ));
    assert_eq!(undo(&queuer.plugin(), &answer["operation_id"]).unwrap()["undone"], json!([]));
}

#[test]
fn each_is_taken_back_or_carried_out_once() {
    let queuer = Queuer::new().with_failed_jobs(1);
    queuer.client.execute("UPDATE pgqueuer SET dedupe_key = NULL");
    multiply(&queuer.plugin(), &|| queuer.client.execute("UPDATE pgqueuer SET status = 'failed'"));
    race(&queuer.plugin(), queuer.work(), &|| queuer.carried_out());
}

#[test]
fn a_run_that_it_will_try_again_by_itself_is_pending() {
    let queuer = Queuer::new();
    queuer.enqueue("persistent");
    let mut worker = queuer.work();
    worker.until("the first attempt has failed", || {
        (queuer.column("SELECT status::text || attempts FROM pgqueuer") == ["queued1"]).then_some(())
    });
    worker.stop();
    nothing_has_failed(&queuer);
}

/// It is deleted with its payload, unless its entrypoint says that it is to be held.
#[test]
fn a_failed_job_that_was_not_held_is_told_and_left() {
    let queuer = Queuer::new();
    queuer.enqueue("forgotten");
    let mut worker = queuer.work();
    worker.until("it has failed", || {
        (queuer.value("SELECT count(*) FROM pgqueuer_log WHERE status = 'exception'") == "1").then_some(())
    });
    worker.stop();
    let answer = call(&queuer.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!((triggered(&answer).len(), skipped(&answer)), (0, vec!["1: refused".to_owned()]));
    assert!(first_detail(&answer).contains(r#"on_failure="hold" keeps those that fail"#), "{answer}");
}

#[test]
fn a_schema_of_its_own_is_found_and_its_workers_are_woken() {
    let queuer = Queuer::on("pgqueuer", "jobs");
    queuer.enqueue("flaky");
    let mut worker = queuer.work();
    let states = || queuer.column("SELECT status FROM jobs.pgqueuer ORDER BY id");
    worker.until("the run has failed", || (states() == ["failed"]).then_some(()));
    queuer.mend();
    let url = format!("{}?options=-csearch_path%3Djobs", queuer.database.url);
    let plugin = Plugin::open(&Config::new(&url)).unwrap();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["flaky"]);
    worker.until("the new run is done", || (queuer.carried_out() == ["2"]).then_some(()));
    worker.stop();
}

#[test]
fn tables_with_a_prefix_are_found() {
    let mut queuer = Queuer::new();
    queuer.prefix = "night_";
    output(queuer.python(&["install"]));
    queuer.enqueue("flaky");
    queuer.client.execute("UPDATE night_pgqueuer SET status = 'failed'");
    let plugin = Plugin::open(&Config {
        profile: Some("pgqueuer".into()),
        parameters: BTreeMap::from([("prefix".to_owned(), "night_".to_owned())]),
        ..Config::new(&queuer.database.url)
    });
    let plugin = plugin.unwrap();
    plugin.create_ledger().unwrap();
    for unique_by in ["task", "run"] {
        let answer = call(&plugin, &all_failed(json!({"unique_by": unique_by}))).unwrap();
        assert_eq!(triggered(&answer), ["flaky"]);
        assert_eq!(undo(&plugin, &answer["operation_id"]).unwrap()["undone"].as_array().unwrap().len(), 1);
    }
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["flaky"]);
    queuer.mend();
    let mut worker = queuer.work();
    worker.until("the new run is done", || (queuer.carried_out().len() == 1).then_some(()));
    worker.stop();
}

/// What has succeeded since can't be run again, for it is gone; what has failed before it can.
#[test]
fn beside_what_is_gone_the_answer_names_what_is_there() {
    let queuer = Queuer::new().with_failed_jobs(1);
    queuer.client.execute("UPDATE pgqueuer SET created = now() - interval '1 hour'");
    queuer.client.execute(
        "INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority) VALUES (2, 'successful', 'steady', 0)",
    );
    let answer = call(&queuer.plugin(), &json!({"match_all": true})).unwrap();
    assert_eq!((triggered(&answer).len(), skipped(&answer)), (0, vec!["2: refused".to_owned()]));
    assert!(answer["skipped"][0].to_string().contains("\"1\"") || first_detail(&answer).contains(" 1"), "{answer}");
    assert_eq!(triggered(&queuer.rerun_the_failed(&[])), ["steady"]);
}

#[test]
fn a_job_with_the_same_key_declines_one_beside_it() {
    let queuer = Queuer::new();
    queuer.enqueue("flaky");
    queuer.client.execute("UPDATE pgqueuer SET status = 'failed'");
    assert_eq!(triggered(&queuer.rerun_the_failed(&[])), ["flaky"]);
    let answer = call(&queuer.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(skipped(&answer), ["1: refused"]);
    assert!(first_detail(&answer).contains("pgqueuer_unique_dedupe_key"), "it does not say which rule: {answer}");
}

/// A payload is bytes, and no text.
#[test]
fn payloads_go_over_byte_for_byte() {
    let queuer = Queuer::new().with_failed_jobs(3);
    queuer.client.execute(
        "UPDATE pgqueuer SET payload = decode('00ff800' || id, 'hex');
         UPDATE pgqueuer SET payload = NULL WHERE id = 3",
    );
    assert_eq!(triggered(&queuer.rerun_the_failed(&["--unique-by", "params"])).len(), 3);
    let payloads = "SELECT encode(payload, 'hex') FROM pgqueuer WHERE status = 'queued' ORDER BY 1";
    assert_eq!(queuer.column(payloads), ["00ff8001", "00ff8002", ""]);
}

#[test]
fn ids_are_sought_in_its_own_key() {
    let queuer = Queuer::new().with_failed_jobs(120_000);
    queuer.client.execute(
        "INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority) SELECT 200000 + n, 'successful', 'x', 0 FROM generate_series(1, 20000) n",
    );
    let ids: Vec<String> = (1..=9_000).map(|id| id.to_string()).collect();
    ids_go_by_the_key(&queuer, &ids, "pgqueuer", "pgqueuer_pkey", "١");
}

#[test]
fn check_lists_the_rights_that_a_role_needs() {
    let queuer = Queuer::new().with_failed_jobs(1);
    let role = queuer.role();
    assert_eq!(
        queuer.grant_what_check_says(&role),
        [
            format!("GRANT SELECT, INSERT ON public.pgqueuer_log TO {role}"),
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON public.pgqueuer TO {role}"),
            format!("GRANT USAGE ON SEQUENCE public.pgqueuer_id_seq TO {role}"),
        ]
    );
    let answer = support::runners::rerun_the_failed(&queuer.database.url_as(&role), &[]);
    assert_eq!(triggered(&answer), ["steady"]);
}
