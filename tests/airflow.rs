//! Apache Airflow: DAGs (tests/runners/airflow) whose new runs its own scheduler and executor carry out.

#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/queues.rs"]
mod queues;
mod support;

use std::cell::Cell;
use std::env::{join_paths, split_paths, var_os};
use std::ops::Deref;
use std::process::Command;

use serde_json::json;

use queues::{Application, Scenario, what_check_says_is_enough_to_undo};
use support::calls::{all_failed, call, first_detail, pairs, skipped, triggered};
use support::runners::{Process, output};
use support::undo::{ByHand, count, undo};

const STATES: &str = "SELECT id, dag_id, state FROM dag_run ORDER BY id";
const ROWS: &str = "SELECT run::text FROM dag_run AS run ORDER BY id";

/// Airflow, with a database of its own.
struct Airflow {
    application: Application,
    port: u16,
}

impl Deref for Airflow {
    type Target = Application;

    fn deref(&self) -> &Application {
        &self.application
    }
}

impl Airflow {
    fn new() -> Airflow {
        let application = Application::new("airflow");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let airflow = Airflow { application, port };
        output(airflow.command("airflow", &["db", "migrate"]));
        airflow
    }

    /// A program of its own, or one that runs them.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let (programs, files) = (self.runner.installed.join("venv/bin"), &self.runner.files);
        let home = self.needed().parent().unwrap().join("airflow");
        let program = if program == "work" { files.join(program) } else { programs.join(program) };
        let mut command = self.with_store(Command::new(program));
        let path = var_os("PATH").unwrap_or_default();
        command.env("PATH", join_paths(std::iter::once(programs).chain(split_paths(&path))).unwrap());
        for (name, value) in [
            ("CORE__EXECUTOR", "LocalExecutor"),
            ("CORE__PARALLELISM", "4"),
            ("CORE__LOAD_EXAMPLES", "False"),
            ("CORE__DAGS_FOLDER", files.join("dags").to_str().unwrap()),
            ("CORE__EXECUTION_API_SERVER_URL", &format!("http://127.0.0.1:{}/execution/", self.port)),
            ("DATABASE__SQL_ALCHEMY_CONN", &self.database.url.replace("postgres:", "postgresql+psycopg2:")),
            ("DAG_PROCESSOR__REFRESH_INTERVAL", "5"),
            ("API__HOST", "127.0.0.1"),
            ("API__PORT", &self.port.to_string()),
            ("API__WORKERS", "1"),
            ("API_AUTH__JWT_SECRET", "only for tests, and at least 64 bytes long, as it wants to have it: 1234567890"),
        ] {
            command.env(format!("AIRFLOW__{name}"), value);
        }
        command.env("AIRFLOW_HOME", home).env("PYTHONDONTWRITEBYTECODE", "1").args(arguments);
        command
    }

    /// Its scheduler, with all that this needs, when it knows the DAGs.
    fn work(&self) -> Process {
        let mut worker = self.start(self.command("work", &[]));
        worker.until("it has read the DAGs", || (self.value("SELECT count(*) FROM dag") == "2").then_some(()));
        worker
    }

    /// A DAG, and runs of it that have failed, as by hand.
    fn with_failed(self, runs: u32) -> Airflow {
        self.client.execute(
            "INSERT INTO dag_bundle (name) VALUES ('dags');
             INSERT INTO dag (dag_id, is_paused, is_stale, max_active_tasks, has_task_concurrency_limits, bundle_name, timetable_type,
                              exceeds_max_non_backfill, fail_fast, max_consecutive_failed_dag_runs, partition_mapper_info)
             VALUES ('steady', false, false, 16, false, 'dags', '', false, false, 0, '{}');
             INSERT INTO log_template (filename, elasticsearch_id, created_at) VALUES ('new', '', now())",
        );
        self.have_failed(runs);
        self
    }

    /// So many runs by hand of the DAG have failed.
    fn have_failed(&self, runs: u32) {
        self.client.execute(&format!(
            "INSERT INTO dag_run (dag_id, run_id, run_type, triggered_by, state, queued_at, created_at, run_after, logical_date,
                                  start_date, end_date, conf, bundle_version, data_interval_start, data_interval_end)
             SELECT 'steady', 'manual__' || n, 'manual', 'CLI', 'failed', at, at, at, at, at, at, '{{\"note\": \"Zoë\"}}', 'v1', at, at
             FROM generate_series(1, {runs}) AS n, (SELECT timestamptz '2026-04-15 12:00:00Z' AS noon) AS t, LATERAL (SELECT noon + n * interval '1 hour' AS at) AS a"
        ));
    }
}

#[test]
fn its_own_scheduler_runs_what_is_spawned() {
    let airflow = Airflow::new();
    // Before it has read the DAGs, none can be triggered.
    let started = Cell::new(Some(airflow.work()));
    let enqueue = |task: &str| {
        output(airflow.command("airflow", &["dags", "trigger", task, "--conf", r#"{"note": "Zoë \"1\""}"#]));
    };
    let worker = || started.take().unwrap_or_else(|| airflow.work());
    let words = ("failed", Some("success"));
    let scenario = Scenario { enqueue: &enqueue, worker: &worker, states: STATES, rows: ROWS, words, flaky: "flaky" };
    scenario.play(&airflow);
    let notes = airflow.carried_out();
    assert!(notes.iter().all(|note| note.ends_with(" Zoë \"1\"")), "{notes:?}");
    in_a_race_each_is_taken_back_or_carried_out_once(&airflow);
}

/// More than its scheduler begins at once, so that some are there to be taken back.
fn in_a_race_each_is_taken_back_or_carried_out_once(airflow: &Airflow) {
    airflow.client.execute("DELETE FROM dag_run");
    std::fs::remove_file(airflow.needed().with_file_name("notes")).unwrap();
    airflow.have_failed(60);
    let plugin = airflow.plugin();
    plugin.create_ledger().unwrap();
    let mut worker = airflow.work();
    let answer = call(&plugin, &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!(triggered(&answer).len(), 60);
    worker.until("one is begun", || (count(&plugin, "running") > 0).then_some(()));
    let told = undo(&plugin, &answer["operation_id"]).unwrap();
    worker.until("nothing is left to do", || (count(&plugin, "pending,running") == 0).then_some(()));
    worker.stop();
    let kept: Vec<String> = told["kept"].as_array().unwrap().iter().map(|run| run["run_id"].to_string()).collect();
    let names =
        format!("SELECT run_id FROM dag_run WHERE id::text IN ({}) ORDER BY run_id", kept.join(", ").replace('"', "'"));
    let mut done: Vec<String> =
        airflow.carried_out().iter().map(|note| note.split(' ').next().unwrap_or_default().to_owned()).collect();
    done.sort();
    assert_eq!(done, airflow.column(&names), "each that was kept was carried out once, and no other");
    assert!(!kept.is_empty() && kept.len() < 60, "there was no race: {told}");
    assert_eq!(airflow.value("SELECT count(*) FROM task_instance WHERE state <> 'success'"), "0");
}

#[test]
fn what_the_scheduler_has_not_begun_is_taken_back() {
    let airflow = Airflow::new().with_failed(4);
    let set = |id: &str, to: &str| airflow.client.execute(&format!("UPDATE dag_run SET {to} WHERE id = {id}"));
    ByHand {
        plugin: &airflow.plugin(),
        rows: &|| airflow.by_id("SELECT id, run::text FROM dag_run AS run"),
        begin: &|id| set(id, "state = 'running', start_date = now()"),
        put_off: Some(&|id| set(id, "clear_number = 1")),
        taken: None,
        has_due_time: true,
    }
    .play();
    what_check_says_is_enough_to_undo(&airflow, "");
}

#[test]
fn a_new_run_is_a_run_by_hand_beside_the_old_one() {
    let airflow = Airflow::new().with_failed(2);
    // Its input is what triggered it.
    airflow.client.execute(
        "INSERT INTO asset_event (asset_id, source_map_index, timestamp, extra) VALUES (7, -1, now(), '{}');
         INSERT INTO dagrun_asset_event (dag_run_id, event_id) SELECT 2, id FROM asset_event",
    );
    for _ in 0..2 {
        assert_eq!(pairs(&call(&airflow.plugin(), &json!({"ids": ["2"]})).unwrap()), ["steady: 2"]);
    }
    let new = "SELECT concat_ws(' ', run_id ~ '^manual__[0-9A-Z]{26}$', run_type, triggered_by, state, bundle_version IS NULL,
                   log_template_id = (SELECT max(id) FROM log_template),
                   conf, logical_date - (SELECT logical_date FROM dag_run WHERE id = 2), data_interval_start - (SELECT logical_date FROM dag_run WHERE id = 2),
                   (SELECT count(*) FROM dagrun_asset_event e WHERE e.dag_run_id = run.id))
               FROM dag_run AS run WHERE id > 2 ORDER BY id";
    let told = |moment| format!("t manual REST_API queued t t {{\"note\": \"Zoë\"}} 00:00:00.00000{moment} 00:00:00 1");
    assert_eq!(airflow.column(new), [told(1), told(2)]);
}

#[test]
fn what_airflow_does_again_in_place_is_left_to_it() {
    let airflow = Airflow::new().with_failed(1);
    for (change, word) in [
        ("UPDATE dag_run SET run_type = 'scheduled'", "logical date"),
        ("UPDATE dag_run SET run_type = 'backfill'", "logical date"),
        ("UPDATE dag_run SET run_type = 'manual'; UPDATE dag SET is_stale = true", "no DAG file"),
        ("UPDATE dag SET is_stale = false, dag_id = 'other'", "no DAG file"),
    ] {
        airflow.client.execute(change);
        let answer = call(&airflow.plugin(), &all_failed(json!({}))).unwrap();
        assert_eq!((triggered(&answer).len(), skipped(&answer)), (0, vec!["1: refused".to_owned()]), "{change}");
        assert!(first_detail(&answer).contains(word), "{answer}");
    }
    airflow.client.execute("UPDATE dag SET dag_id = 'steady'");
    let role = airflow.role();
    let granted = airflow.grant_what_check_says(&role);
    assert_eq!(
        granted,
        [
            format!("GRANT SELECT ON public.dag TO {role}"),
            format!("GRANT SELECT ON public.log_template TO {role}"),
            format!("GRANT SELECT ON public.task_instance TO {role}"),
            format!("GRANT SELECT, INSERT ON public.dagrun_asset_event TO {role}"),
            format!("GRANT SELECT, INSERT, DELETE ON public.dag_run TO {role}"),
            format!("GRANT USAGE ON SEQUENCE public.dag_run_id_seq TO {role}"),
        ]
    );
    let answer = support::runners::rerun_the_failed(&airflow.database.url_as(&role), &[]);
    assert_eq!(triggered(&answer), ["steady"]);
}
