//! Prefect: an application (tests/runners/prefect) whose own runner runs what is spawned. Its server takes long to start:
//! there is one for all that is tried.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use bulk_rerun::host::RunnerState;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::queues::{Application, Scenario, ids_go_by_the_key, what_check_says_is_enough_to_undo};
use crate::support::calls::{all_failed, call, first_detail, skipped, triggered};
use crate::support::runners::{Process, output, rerun_the_failed, wait_for};
use crate::support::undo::{ByHand, count, undo};

const STATES: &str =
    "SELECT r.id, f.name, r.state_type AS state FROM flow_run r JOIN flow f ON f.id = r.flow_id ORDER BY r.created";
const ROWS: &str = "SELECT r::text FROM flow_run r ORDER BY r.created";

struct Prefect {
    application: Application,
    port: u16,
}

impl Prefect {
    fn new() -> Prefect {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Prefect { application: Application::new("prefect"), port }
    }

    fn python(&self, arguments: &[&str]) -> Command {
        let mut python = self.application.with_store(self.application.runner.python());
        let database = self.application.database.url.replace("postgres://", "postgresql+asyncpg://");
        python
            .env("PREFECT_API_DATABASE_CONNECTION_URL", database)
            .env("PREFECT_API_URL", format!("http://127.0.0.1:{}/api", self.port))
            .env("PREFECT_HOME", self.application.needed().with_file_name("home"))
            .env("PREFECT_RUNNER_POLL_FREQUENCY", "1")
            .env("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
            .env("PREFECT_LOGGING_LEVEL", "WARNING")
            .env("DO_NOT_TRACK", "1");
        python.arg(self.application.runner.files.join("app.py")).args(arguments);
        python
    }

    fn server(&self) -> Process {
        let log = self.application.needed().with_file_name("server.log");
        let mut server = Process::start(self.python(&["server", &self.port.to_string()]), &log);
        server.until("the server listens", || TcpStream::connect(("127.0.0.1", self.port)).ok());
        server
    }

    /// Runs what is scheduled.
    fn serve(&self) -> Process {
        let serving = self.application.start(self.python(&["serve"]));
        wait_for("its deployments are served", || serving.printed().contains("daily").then_some(()));
        serving
    }

    fn schedule(&self, flow: &str) {
        output(self.python(&["run", flow, r#"{"order": {"note": "Zoë \"1\""}}"#]));
    }

    fn all_have_failed(&self) {
        self.application.client.execute(
            "UPDATE flow_run SET state_type = 'FAILED', state_name = 'Failed', run_count = 1, start_time = now(), end_time = now(),
                    next_scheduled_start_time = NULL",
        );
    }
}

#[test]
fn its_own_runner_runs_what_is_spawned_and_each_is_taken_back_or_carried_out_once() {
    let prefect = Prefect::new();
    let application = &prefect.application;
    let server = prefect.server();
    // Makes the deployments.
    let serving = prefect.serve();
    prefect.schedule("flaky");
    let first = std::cell::Cell::new(Some(serving));
    let enqueue = |task: &str| {
        if task == "steady" {
            prefect.schedule(task);
        }
    };
    let worker = || first.take().unwrap();
    let words = ("FAILED", Some("COMPLETED"));
    let scenario =
        Scenario { enqueue: &enqueue, worker: &worker, states: STATES, rows: ROWS, words, flaky: "flaky/daily" };
    // Its server stays connected; of a worker nothing is seen, up or not.
    // That server rounds what is left until a run is due to whole seconds.
    scenario.play_with(application, RunnerState::Seen, TimeDelta::milliseconds(500));
    // What waits is as the server itself makes it: a run of the same deployment differs in nothing but its own life.
    prefect.schedule("flaky");
    let fresh = "SELECT DISTINCT to_jsonb(r) - ARRAY['id', 'created', 'updated', 'name', 'state_id', 'state_timestamp',
                     'expected_start_time', 'next_scheduled_start_time', 'state_name']
                 FROM flow_run r WHERE state_type = 'SCHEDULED'";
    assert_eq!(application.value("SELECT count(*) FROM flow_run WHERE state_type = 'SCHEDULED'"), "2");
    assert_eq!(application.column(fresh).len(), 1, "{:?}", application.column(fresh));
    let states = "SELECT DISTINCT r.state_id IS NULL, s.type = r.state_type, s.name = r.state_name, s.timestamp = r.state_timestamp
                  FROM flow_run r LEFT JOIN flow_run_state s ON s.id = r.state_id AND s.flow_run_id = r.id";
    assert_eq!(application.client.rows(states).len(), 1, "{:?}", application.client.rows(states));

    a_part_is_left_to_its_flow(&prefect);
    in_a_race_each_is_taken_back_or_carried_out_once(&prefect);
    server.stop();
    what_nobody_has_begun_is_taken_back(&prefect);
    a_role_with_these_rights_is_enough(&prefect);
    let application = &prefect.application;
    application.client.execute(
        "INSERT INTO flow_run (name, flow_id, deployment_id, state_type)
         SELECT 'n' || n, flow_id, id, 'FAILED' FROM deployment, generate_series(1, 40000) n",
    );
    let ids = application.column("SELECT id FROM flow_run LIMIT 9000");
    ids_go_by_the_key(application, &ids, "flow_run", "pk_flow_run", "not-a-uuid");
}

/// A flow that another one has called has no deployment, and is done again by that one.
fn a_part_is_left_to_its_flow(prefect: &Prefect) {
    let application = &prefect.application;
    application.client.execute("DELETE FROM flow_run");
    std::fs::remove_file(application.needed()).unwrap();
    prefect.schedule("parent");
    let mut serving = prefect.serve();
    let states = || application.column(&format!("SELECT name || ' ' || state FROM ({STATES}) AS run"));
    serving.until("both have failed", || (states() == ["parent FAILED", "flaky FAILED"]).then_some(()));
    serving.stop();
    let answer = call(&application.plugin(), &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(answer["planned"][0]["task_name"], "parent/daily");
    assert!(first_detail(&answer).contains("which has not succeeded: that one starts it again"), "{answer}");
    application.client.execute("UPDATE flow_run SET state_type = 'COMPLETED' WHERE parent_task_run_id IS NULL");
    let answer = call(&application.plugin(), &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(skipped(&answer).len(), 1);
    assert!(first_detail(&answer).contains("it has no deployment (any more)"), "{answer}");
    application.mend();
}

/// A process for each run: a few will do.
fn in_a_race_each_is_taken_back_or_carried_out_once(prefect: &Prefect) {
    let application = &prefect.application;
    application.client.execute("DELETE FROM flow_run");
    std::fs::remove_file(application.needed().with_file_name("notes")).unwrap();
    for _ in 0..8 {
        prefect.schedule("steady");
    }
    prefect.all_have_failed();
    let plugin = application.plugin();
    plugin.create_ledger().unwrap();
    let mut serving = prefect.serve();
    let answer = call(&plugin, &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!(triggered(&answer).len(), 8);
    serving.until("one is begun", || (count(&plugin, "running") > 0).then_some(()));
    let told = undo(&plugin, &answer["operation_id"]).unwrap();
    serving.until("nothing is left to do", || (count(&plugin, "pending,running") == 0).then_some(()));
    serving.stop();
    let ids = |runs: &Value| -> Vec<String> {
        runs.as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
    };
    let (mut kept, mut done) = (ids(&told["kept"]), application.carried_out());
    kept.sort();
    done.sort();
    println!("{} were undone and {} kept", ids(&told["undone"]).len(), kept.len());
    assert_eq!(done, kept, "each that was kept was carried out once, and no other");
    assert!(!kept.is_empty() && kept.len() < 8, "there was no race: {told}");
}

fn what_nobody_has_begun_is_taken_back(prefect: &Prefect) {
    let application = &prefect.application;
    prefect.all_have_failed();
    let set = |id: &str, to: &str| application.client.execute(&format!("UPDATE flow_run SET {to} WHERE id = '{id}'"));
    ByHand {
        plugin: &application.plugin(),
        rows: &|| application.by_id("SELECT id, r::text FROM flow_run r"),
        begin: &|id| set(id, "state_type = 'PENDING', state_name = 'Submitting'"),
        put_off: Some(&|id| set(id, "state_name = 'AwaitingRetry', run_count = 1, start_time = now()")),
        taken: Some("cancelled"),
        has_due_time: true,
    }
    .play();
    let state =
        "SELECT DISTINCT s.type = r.state_type AND s.name = r.state_name AND r.next_scheduled_start_time IS NULL
                 FROM flow_run r LEFT JOIN flow_run_state s ON s.id = r.state_id AND s.flow_run_id = r.id
                 WHERE r.state_type = 'CANCELLED'";
    assert_eq!(application.column(state), ["t"]);
    what_check_says_is_enough_to_undo(application, "");
}

fn a_role_with_these_rights_is_enough(prefect: &Prefect) {
    let application = &prefect.application;
    let role = format!("role_{}_again", application.database.name);
    application.client.execute(&format!("CREATE ROLE {role} LOGIN"));
    let mut granted = application.grant_what_check_says(&role);
    granted.retain(|grant| !grant.contains("bulk_rerun"));
    assert_eq!(
        granted,
        [
            format!("GRANT INSERT ON public.flow_run_state TO {role}"),
            format!("GRANT SELECT ON public.deployment TO {role}"),
            format!("GRANT SELECT ON public.flow TO {role}"),
            format!("GRANT SELECT ON public.task_run TO {role}"),
            format!("GRANT SELECT, INSERT, UPDATE ON public.flow_run TO {role}"),
        ]
    );
    let answer = rerun_the_failed(&application.database.url_as(&role), &[]);
    assert_eq!(triggered(&answer), ["steady/daily"]);
}
