//! Absurd: an application (tests/runners/absurd) whose own worker runs what is spawned. Each of its queues is a set of
//! tables, so its profile has a parameter, the queue.

use std::collections::BTreeMap;
use std::process::Command;

use bulk_rerun::host::RunnerState;
use bulk_rerun::{Config, ErrorModel, Plugin};
use serde_json::{Value, json};

use crate::queues::Application;
use crate::support::calls::{all_failed, assert_error, call, triggered};
use crate::support::runners::{output, rerun_the_failed, wait_for};

fn absurd(application: &Application, arguments: &[&str]) -> Command {
    let mut command = application.with_store(application.runner.python());
    command.arg(application.runner.files.join("app.py")).args(arguments);
    command
}

fn profile(application: &Application) -> String {
    application.runner.files.join("absurd.toml").display().to_string()
}

/// A queue by the name that its tables have.
fn plugin(application: &Application, queue: &str) -> Result<Plugin, ErrorModel> {
    plugin_as(application, &application.database.url, queue)
}

fn plugin_as(application: &Application, url: &str, queue: &str) -> Result<Plugin, ErrorModel> {
    Plugin::open(&Config {
        profile: Some(profile(application)),
        parameters: BTreeMap::from([("queue".to_owned(), queue.to_owned())]),
        ..Config::new(url)
    })
}

fn tasks(application: &Application, queue: &str) -> Vec<String> {
    application.column(&format!(r#"SELECT state FROM absurd."t_{queue}" ORDER BY task_id"#))
}

/// With a task in each of two queues that has failed, since what it needs was missing.
fn with_failed_tasks() -> Application {
    let application = Application::new("absurd");
    for queue in ["Mail", "reports"] {
        output(absurd(&application, &["create", queue]));
        output(absurd(&application, &["enqueue", queue, "flaky"]));
        let mut worker = application.start(absurd(&application, &["work", queue]));
        worker.until("the task has failed", || (tasks(&application, queue) == ["failed"]).then_some(()));
        worker.stop();
    }
    application.mend();
    application
}

#[test]
fn its_own_worker_runs_what_is_spawned_in_the_queue_that_is_named() {
    let application = with_failed_tasks();
    let profile = profile(&application);
    let flags = ["--profile", &profile, "--set", "queue=Mail"];
    let answer = rerun_the_failed(&application.database.url, &flags);
    assert_eq!(triggered(&answer), ["flaky"]);
    let mut worker = application.start(absurd(&application, &["work", "Mail"]));
    let done = || (tasks(&application, "Mail") == ["failed", "completed"]).then_some(());
    worker.until("the new task has succeeded", done);
    assert_eq!(application.carried_out(), [answer["triggered"][0]["run_id"].as_str().unwrap()]);
    let copied = r#"SELECT DISTINCT params::text || headers::text || max_attempts FROM absurd."t_Mail""#;
    assert_eq!(application.column(copied).len(), 1);
    assert_eq!(tasks(&application, "reports"), ["failed"], "the other queue is as it was");
    let mail = plugin(&application, "Mail").unwrap();
    let state = || mail.describe().unwrap().runner_state;
    worker.until("it rests, and is seen", || (state() == RunnerState::Seen).then_some(()));
    worker.stop();
    wait_for("its connection is gone", || (state() == RunnerState::NotSeen).then_some(()));

    // One that nobody has made is no queue; nor is the default one.
    let missing = plugin(&application, "Mial").err().unwrap();
    assert_error(&missing, 500, &["lacks the table", "t_Mial", "with queue=Mial"]);
    let missing = Plugin::open(&Config { profile: Some(profile), ..Config::new(&application.database.url) });
    assert_error(&missing.err().unwrap(), 500, &["t_default", "with queue=default"]);
}

#[test]
fn each_queue_has_its_own_keys_and_its_own_history() {
    let application = with_failed_tasks();
    let [mail, reports] = ["Mail", "reports"].map(|queue| plugin(&application, queue).unwrap());
    mail.create_ledger().unwrap();
    let request = all_failed(json!({"idempotency_key": "tonight"}));
    let [first, second] = [&mail, &reports].map(|plugin| call(plugin, &request).unwrap());
    assert_eq!((triggered(&first), triggered(&second)), (vec!["flaky"], vec!["flaky"]));
    assert_ne!(first["operation_id"], second["operation_id"]);
    // Somebody else, later, who says the same.
    let again = call(&plugin(&application, "Mail").unwrap(), &request).unwrap();
    assert_eq!((&again["replayed"], &again["triggered"]), (&json!(true), &first["triggered"]));
    for (plugin, own, other) in [(&mail, &first, &second), (&reports, &second, &first)] {
        let listed: Value = serde_json::from_str(&plugin.call_operations(b"{}").unwrap()).unwrap();
        assert_eq!(listed["operations"].as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(listed["operations"][0]["operation_id"], own["operation_id"]);
        assert_error(&plugin.operation(other["operation_id"].as_str().unwrap()).unwrap_err(), 404, &["no operation"]);
    }
}

#[test]
fn check_lists_the_rights_on_the_tables_of_the_queue() {
    let application = Application::new("absurd");
    output(absurd(&application, &["create", "Mail"]));
    output(absurd(&application, &["enqueue", "Mail", "flaky"]));
    application
        .client
        .execute(r#"UPDATE absurd."t_Mail" SET state = 'failed'; UPDATE absurd."r_Mail" SET state = 'failed'"#);
    let role = application.role();
    // Who may not look into the schema is told nothing of what is in it.
    application.client.execute(&format!("GRANT USAGE ON SCHEMA absurd TO {role}"));
    let plugin = plugin_as(&application, &application.database.url_as(&role), "Mail").unwrap();
    let info = plugin.describe().unwrap();
    assert_eq!(
        info.missing_rights(),
        [
            format!(r#"GRANT INSERT ON absurd."r_Mail" TO {role};"#),
            format!("GRANT SELECT ON absurd.queues TO {role};"),
            format!(r#"GRANT SELECT, INSERT ON absurd."t_Mail" TO {role};"#),
        ]
    );
    info.missing_rights().iter().for_each(|grant| application.client.execute(grant));
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["flaky"]);
}
