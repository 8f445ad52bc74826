//! Django's tasks in the database of django-tasks-db: a project (tests/runners/django-tasks-db) whose own worker
//! runs what is spawned.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::calls::{all_failed, call, rows, skipped, triggered};
use crate::support::fast_folder;
use crate::support::runners::{Process, Runner, check, output, rerun_the_failed, schema};
use crate::support::undo::{multiply, race};
use bulk_rerun::{Config, Plugin};
use chrono::{SubsecRound, TimeDelta, Utc};
use rusqlite::types::Value;
use serde_json::json;

/// Everything of a run, the oldest first.
const RUNS: &str = "SELECT * FROM django_tasks_database_dbtaskresult ORDER BY rowid";

/// The project, with a store of its own.
struct Project {
    runner: Runner,
    folder: tempfile::TempDir,
}

impl Project {
    fn new() -> Project {
        let project = Project { runner: Runner::set_up("django-tasks-db"), folder: fast_folder() };
        output(project.manage("migrate", &[]));
        project
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("db.sqlite3")
    }

    fn open(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.store()).unwrap()
    }

    fn runs(&self) -> Vec<Vec<Value>> {
        rows(&self.store(), RUNS)
    }

    /// One column of every run, as text.
    fn texts(&self, column: &str) -> Vec<String> {
        let sql = format!("SELECT {column} || '' FROM django_tasks_database_dbtaskresult ORDER BY rowid");
        let text = |row: Vec<Value>| if let [Value::Text(text)] = &row[..] { text.clone() } else { panic!("{row:?}") };
        rows(&self.store(), &sql).into_iter().map(text).collect()
    }

    fn python(&self) -> Command {
        let mut python = self.runner.python();
        python.env("STORE", self.store()).env("NOTES", self.notes()).env("DJANGO_SETTINGS_MODULE", "settings");
        python
    }

    /// `manage.py`.
    fn manage(&self, command: &str, arguments: &[&str]) -> Command {
        let mut manage = self.python();
        manage.args(["-m", "django", command]).args(arguments);
        manage
    }

    /// What the project's own code does.
    fn app(&self, arguments: &[&str]) -> String {
        let mut app = self.python();
        app.arg(self.runner.files.join("app.py")).args(arguments);
        output(app)
    }

    /// The ids of the runs that its workers have brought to success.
    fn notes(&self) -> PathBuf {
        self.folder.path().join("notes")
    }

    /// A file that runs need, and that is not there.
    fn missing(&self) -> PathBuf {
        self.folder.path().join("needed")
    }

    /// Enqueues a task as Django does, and answers its run's id.
    fn enqueue(&self, task: &str, note: &str) -> String {
        self.app(&["enqueue", task, note, self.missing().to_str().unwrap()])
    }

    fn work(&self, interval: &str) -> Process {
        let work = self.manage("db_worker", &["--interval", interval, "--no-startup-delay"]);
        Process::start(work, &self.folder.path().join("worker.log"))
    }

    /// A run that has failed, since what it needs was missing. It is there now.
    fn with_a_failed_run(self) -> Project {
        self.enqueue("flaky", "Zoë");
        output(self.manage("db_worker", &["--batch", "--no-startup-delay"]));
        assert_eq!(self.texts("status"), ["FAILED"]);
        fs::write(self.missing(), "").unwrap();
        self
    }

    fn rerun_the_failed(&self, flags: &[&str]) -> serde_json::Value {
        rerun_the_failed(self.store().to_str().unwrap(), flags)
    }
}

#[test]
fn its_own_worker_runs_what_is_spawned() {
    let project = Project::new();
    let source = project.enqueue("flaky", "Zoë \"1\"");
    let mut worker = project.work("0.05");
    worker.until("the flaky task has failed", || (project.texts("status") == ["FAILED"]).then_some(()));
    fs::write(project.missing(), "").unwrap();
    project.enqueue("steady", "always");
    worker.until("the steady task is done", || (project.texts("status")[1] == "SUCCESSFUL").then_some(()));
    let before = project.runs();

    let answer = project.rerun_the_failed(&[]);
    assert_eq!(triggered(&answer), ["tasks.flaky"]);
    // Django writes a UUID with hyphens, and its table has none.
    assert_eq!(answer["triggered"][0]["rerun_of"], source.replace('-', ""));
    worker.until("the new run is over", || (project.texts("status").last()? == "SUCCESSFUL").then_some(()));
    assert_eq!(project.runs()[..2], before);
    let check = || check(project.store().to_str().unwrap());
    // Its worker opens the store to poll, and closes it again.
    let check = worker.until("it is seen", || Some(check()).filter(|found| found["store"]["runner_state"] == "seen"));
    assert!(check["store"]["start"].as_str().unwrap().contains("within a second"), "{check}");
    assert!(worker.stop().success());

    let result: serde_json::Value =
        serde_json::from_str(&project.app(&["result", answer["triggered"][0]["run_id"].as_str().unwrap()])).unwrap();
    let needs = project.missing().to_str().unwrap().to_owned();
    assert_eq!(result["status"], "SUCCESSFUL");
    assert_eq!(result["value"], "Zoë \"1\"");
    assert_eq!((&result["args"], &result["kwargs"]), (&json!(["Zoë \"1\""]), &json!({ "needs": needs })));
    assert_eq!(project.texts("priority"), ["7", "0", "7"]);
    assert_eq!(project.texts("args_kwargs")[0], project.texts("args_kwargs")[2]);

    // Succeeded since: nothing to do. Otherwise once more, and never twice.
    let source = source.replace('-', "");
    assert_eq!(skipped(&project.rerun_the_failed(&["--skip-superseded"])), [format!("{source}: superseded")]);
    assert_eq!(triggered(&project.rerun_the_failed(&["--skip-active"])), ["tasks.flaky"]);
    let again = project.rerun_the_failed(&["--skip-active"]);
    assert_eq!((triggered(&again).len(), skipped(&again)), (0, vec![format!("{source}: active")]));
    assert_eq!(project.texts("status"), ["FAILED", "SUCCESSFUL", "SUCCESSFUL", "READY"]);
}

#[test]
fn each_is_taken_back_or_carried_out_once() {
    let project = Project::new();
    project.app(&["enqueue", "steady", "always", project.folder.path().to_str().unwrap()]);
    let plugin = Plugin::open(&Config::new(project.store().to_str().unwrap())).unwrap();
    multiply(&plugin, &|| {
        let sql = r#"UPDATE django_tasks_database_dbtaskresult SET status = 'FAILED', worker_ids = '["a"]'"#;
        project.open().execute(sql, ()).unwrap();
    });
    let carried_out = || fs::read_to_string(project.notes()).unwrap_or_default().lines().map(str::to_owned).collect();
    race(&plugin, project.work("0.01"), &carried_out);
}

#[test]
fn a_new_run_waits_until_it_is_due() {
    let project = Project::new().with_a_failed_run();
    let plugin = Plugin::open(&Config::new(project.store().to_str().unwrap())).unwrap();
    let mut worker = project.work("0.05");
    let due = Utc::now().trunc_subsecs(3) + TimeDelta::seconds(2);
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({"start_at": due}))).unwrap()), ["tasks.flaky"]);
    worker.until("the new run is over", || (project.texts("status").last()? == "SUCCESSFUL").then_some(()));
    assert!(Utc::now() >= due, "it was begun before it was due");
    worker.stop();
}

#[test]
fn the_schema_that_other_tests_use_is_the_real_one() {
    let ours = rusqlite::Connection::open_in_memory().unwrap();
    ours.execute_batch(include_str!("../support/schemas/django-tasks-db-0.13.sql")).unwrap();
    let project = Project::new();
    assert_eq!(schema(&ours, ""), schema(&project.open(), ""));
}

/// As Django makes them: version 4, no hyphens; and the time is written as Django writes it.
#[test]
fn a_new_run_looks_like_one_of_djangos_own() {
    let project = Project::new().with_a_failed_run();
    assert_eq!(triggered(&project.rerun_the_failed(&[])), ["tasks.flaky"]);
    let new = &project.texts("id")[1];
    assert_eq!((new.len(), &new[12..13], &new[16..17]), (32, "4", "8"), "{new}");
    assert!(new.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)), "{new}");

    let [old, new] = project.texts("enqueued_at").try_into().unwrap();
    let shape = |time: &str| time.replace(|digit: char| digit.is_ascii_digit(), "0");
    assert_eq!(shape(&new), "0000-00-00 00:00:00.000000");
    assert!(new > old, "{new} is not after {old}");
    let result = project.app(&["result", &project.texts("id")[1]]);
    assert!(
        result.contains(&format!("\"enqueued_at\": \"{}+00:00\"", new.replace(' ', "T"))),
        "{result} has not {new}"
    );
}

/// What its source run waited for is over.
#[test]
fn a_new_run_is_due_at_once() {
    let project = Project::new().with_a_failed_run();
    project
        .open()
        .execute("UPDATE django_tasks_database_dbtaskresult SET run_after = '2031-01-01 00:00:00'", ())
        .unwrap();
    assert_eq!(triggered(&project.rerun_the_failed(&[])), ["tasks.flaky"]);
    output(project.manage("db_worker", &["--batch", "--no-startup-delay"]));
    assert_eq!(project.texts("status"), ["FAILED", "SUCCESSFUL"]);
}

#[test]
fn spawning_waits_for_a_worker_that_polls_all_the_time() {
    let project = Project::new().with_a_failed_run();
    let mut worker = project.work("0");
    let printed = || fs::read_to_string(project.folder.path().join("worker.log")).unwrap();
    worker.until("it has started", || printed().contains("Starting worker").then_some(()));
    let plugin = Plugin::open(&Config::new(project.store().to_str().unwrap())).unwrap();
    for _ in 0..40 {
        assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["tasks.flaky"]);
    }
    let done = || project.texts("status").iter().filter(|status| *status == "SUCCESSFUL").count();
    worker.until("all of them are done", || (done() == 40).then_some(()));
}
