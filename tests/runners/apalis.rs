//! apalis itself: an application on it (tests/runners/apalis) whose own workers run what is spawned.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::calls::{all_failed, call, rows, skipped, triggered};
use crate::support::fast_folder;
use crate::support::runners::{Process, Runner, check, output, rerun_the_failed, schema};
use crate::support::undo::{multiply, race};
use bulk_rerun::{Config, Plugin};
use chrono::{SubsecRound, TimeDelta, Utc};
use rusqlite::types::Value;
use serde_json::json;

/// Everything of a job, the oldest first.
const JOBS: &str = "SELECT * FROM Jobs ORDER BY rowid";

/// The application, with a store of its own.
struct App {
    runner: Runner,
    folder: tempfile::TempDir,
}

impl App {
    fn new() -> App {
        let app = App { runner: Runner::set_up("apalis"), folder: fast_folder() };
        app.push("steady", "made for its schema", &app.missing(), 1, None);
        app.open().execute("DELETE FROM Jobs", ()).unwrap();
        app
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("jobs.db")
    }

    fn open(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.store()).unwrap()
    }

    fn jobs(&self) -> Vec<Vec<Value>> {
        rows(&self.store(), JOBS)
    }

    /// One column of every job, as text.
    fn texts(&self, column: &str) -> Vec<String> {
        let rows = rows(&self.store(), &format!("SELECT coalesce({column}, '') FROM Jobs ORDER BY rowid"));
        rows.into_iter()
            .map(|row| if let [Value::Text(text)] = &row[..] { text.clone() } else { panic!("{row:?}") })
            .collect()
    }

    fn command(&self, command: &str, queue: &str) -> Command {
        let mut app = Command::new(self.runner.installed.join("debug/apalis-app"));
        app.arg(self.store()).args([command, queue]).env("NOTES", self.notes());
        app
    }

    /// The ids of the jobs that its workers have brought to success.
    fn notes(&self) -> PathBuf {
        self.folder.path().join("notes")
    }

    /// A file that jobs need, and that is not there.
    fn missing(&self) -> PathBuf {
        self.folder.path().join("needed")
    }

    fn push(&self, queue: &str, note: &str, needs: &Path, max_attempts: u32, key: Option<&str>) {
        let mut push = self.command("push", queue);
        push.arg(note).arg(needs).arg(max_attempts.to_string()).args(key);
        output(push);
    }

    /// Starts a worker of a queue that polls this often, and waits until it has signed in.
    fn work(&self, queue: &str, interval_ms: u32) -> Process {
        let mut work = self.command("work", queue);
        work.arg(interval_ms.to_string());
        let mut worker = Process::start(work, &self.folder.path().join(format!("{queue}.log")));
        let signed_in = format!("SELECT 1 FROM Workers WHERE id = 'worker-{}'", worker.id());
        worker.until("it has signed in", || (rows(&self.store(), &signed_in).len() == 1).then_some(()));
        worker
    }

    /// A job that has failed for good, since what it needs was missing. It is there now.
    fn with_a_failed_job(self, key: Option<&str>) -> App {
        self.push("flaky", "Zoë", &self.missing(), 1, key);
        let mut worker = self.work("flaky", 50);
        worker.until("the job has failed", || (self.texts("status") == ["Failed"]).then_some(()));
        worker.stop();
        fs::write(self.missing(), "").unwrap();
        self
    }

    fn rerun_the_failed(&self, flags: &[&str]) -> serde_json::Value {
        rerun_the_failed(self.store().to_str().unwrap(), flags)
    }
}

#[test]
fn its_own_workers_run_what_is_spawned() {
    let app = App::new();
    app.push("flaky", "Zoë \"1\"", &app.missing(), 1, None);
    app.push("steady", "always", app.folder.path(), 1, None);
    let mut flaky = app.work("flaky", 50);
    let mut steady = app.work("steady", 50);
    flaky.until("the flaky job has failed", || (app.texts("status")[0] == "Failed").then_some(()));
    steady.until("the steady job is done", || (app.texts("status")[1] == "Done").then_some(()));
    let before = app.jobs();
    fs::write(app.missing(), "").unwrap();

    let answer = app.rerun_the_failed(&[]);
    assert_eq!(triggered(&answer), ["flaky"]);
    assert_eq!(answer["triggered"][0]["rerun_of"], app.texts("id")[0].as_str());
    let results = flaky
        .until("the new run is over", || (app.texts("status").last()? == "Done").then(|| app.texts("last_result")));
    assert_eq!(results[2], r#"{"Ok":"Zoë \"1\""}"#);
    assert_eq!(app.texts("id")[2], answer["triggered"][0]["run_id"]);
    assert_eq!(app.jobs()[..2], before);

    let check = check(app.store().to_str().unwrap());
    assert_eq!(check["store"]["open_in"].as_array().unwrap().len(), 2, "{check}");
    assert_eq!(check["store"]["open_in"][0]["name"], "apalis-app");
    // It is a library, in a program of any name.
    assert_eq!(check["store"]["runner_state"], "unknown");
    assert!(check["store"]["start"].as_str().unwrap().contains("poll"), "{check}");
    assert!(flaky.stop().success());
    assert!(steady.stop().success());

    // Succeeded since: nothing to do. Otherwise once more, and never twice.
    assert_eq!(skipped(&app.rerun_the_failed(&["--skip-superseded"])), [format!("{}: superseded", app.texts("id")[0])]);
    assert_eq!(triggered(&app.rerun_the_failed(&["--skip-active"])), ["flaky"]);
    let again = app.rerun_the_failed(&["--skip-active"]);
    assert_eq!((triggered(&again).len(), skipped(&again)), (0, vec![format!("{}: active", app.texts("id")[0])]));
    assert_eq!(app.texts("status"), ["Failed", "Done", "Done", "Pending"]);
}

/// `run_at` counts in seconds.
#[test]
fn a_new_run_waits_until_it_is_due() {
    let app = App::new().with_a_failed_job(None);
    let plugin = Plugin::open(&Config::new(app.store().to_str().unwrap())).unwrap();
    let mut worker = app.work("flaky", 50);
    let due = Utc::now().trunc_subsecs(0) + TimeDelta::seconds(3);
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({"start_at": due}))).unwrap()), ["flaky"]);
    worker.until("the new run is over", || (app.texts("status").last()? == "Done").then_some(()));
    assert!(Utc::now() >= due, "it was begun before it was due");
    assert!(worker.stop().success());
}

#[test]
fn each_is_taken_back_or_carried_out_once() {
    let app = App::new();
    app.push("steady", "always", app.folder.path(), 1, None);
    let plugin = Plugin::open(&Config::new(app.store().to_str().unwrap())).unwrap();
    multiply(&plugin, &|| {
        app.open().execute("UPDATE Jobs SET status = 'Failed', attempts = max_attempts", ()).unwrap();
    });
    let carried_out = || fs::read_to_string(app.notes()).unwrap_or_default().lines().map(str::to_owned).collect();
    race(&plugin, app.work("steady", 10), &carried_out);
}

#[test]
fn the_schema_that_other_tests_use_is_the_real_one() {
    let ours = rusqlite::Connection::open_in_memory().unwrap();
    ours.execute_batch(include_str!("../support/schemas/apalis-sqlite-1.0.sql")).unwrap();
    assert_eq!(schema(&ours, "_sqlx_migrations"), schema(&App::new().open(), "_sqlx_migrations"));
}

/// Its status is `Failed` as well, but the worker takes it again by itself.
#[test]
fn a_job_with_attempts_left_is_pending() {
    let app = App::new().with_a_failed_job(None);
    app.open().execute("UPDATE Jobs SET max_attempts = 2", ()).unwrap();
    assert_eq!(triggered(&app.rerun_the_failed(&[])), Vec::<&str>::new());
    let pending = json!({"match_all": true, "filter": {"status": "pending"}, "options": {"skip_active": true}});
    let plugin = Plugin::open(&Config::new(app.store().to_str().unwrap())).unwrap();
    assert_eq!(skipped(&call(&plugin, &pending).unwrap()), [format!("{}: active", app.texts("id")[0])]);

    let mut worker = app.work("flaky", 50);
    worker.until("apalis has retried it", || (app.texts("status") == ["Done"]).then_some(()));
}

/// The key of a job that is over is still taken: a copy of it would be declined.
#[test]
fn an_idempotency_key_stays_with_its_job() {
    let app = App::new().with_a_failed_job(Some("invoice 7"));
    assert_eq!(triggered(&app.rerun_the_failed(&[])), ["flaky"]);
    assert_eq!(app.texts("idempotency_key"), ["invoice 7", ""]);
    let mut worker = app.work("flaky", 50);
    worker.until("the new run is over", || (app.texts("status") == ["Failed", "Done"]).then_some(()));

    app.push("flaky", "pushed by the application", &app.missing(), 1, Some("invoice 7"));
    assert_eq!(app.texts("status").len(), 2, "apalis itself should have told the key's second use");
}

/// An id that is no ULID ends every worker of its queue, so each of ours is one, also of many at once.
#[test]
fn a_worker_lives_on_after_many_new_runs() {
    let app = App::new().with_a_failed_job(None);
    let copies = "INSERT INTO Jobs (job, id, job_type, status, attempts, max_attempts, run_at, metadata)
                  SELECT job, '01ARZ3NDEKTSV4RRFFQ69G5F' || value, job_type, status, 1, 1, run_at, metadata
                  FROM Jobs, generate WHERE status = 'Failed'";
    let numbers =
        "WITH RECURSIVE generate(value) AS (SELECT 10 UNION ALL SELECT value + 1 FROM generate WHERE value < 99)";
    app.open().execute(&format!("{numbers} {copies}"), ()).unwrap();
    let mut worker = app.work("flaky", 50);
    assert_eq!(triggered(&app.rerun_the_failed(&["--unique-by", "run"])).len(), 91);
    let done = || app.texts("status").iter().filter(|status| *status == "Done").count();
    worker.until("all of them are done", || (done() == 91).then_some(()));
    assert!(app.texts("id").iter().all(|id| ulid::Ulid::from_string(id).is_ok()));
    assert!(worker.stop().success());
}

/// apalis inserts by position, so a column of ours in its table would break it.
#[test]
fn its_schema_is_left_alone() {
    let app = App::new().with_a_failed_job(None);
    let before = schema(&app.open(), "");
    assert_eq!(triggered(&app.rerun_the_failed(&[])), ["flaky"]);
    assert_eq!(schema(&app.open(), ""), before);
    app.push("flaky", "pushed by the application", &app.missing(), 1, None);
    assert_eq!(app.texts("status").len(), 3);
}

/// Its poll is an UPDATE, which takes the write lock even when there is nothing to do.
#[test]
fn spawning_waits_for_a_worker_that_polls_all_the_time() {
    let app = App::new().with_a_failed_job(None);
    let _workers = ["idle", "idle too"].map(|queue| app.work(queue, 1));
    let plugin = Plugin::open(&Config::new(app.store().to_str().unwrap())).unwrap();
    for _ in 0..40 {
        assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["flaky"]);
    }
    assert_eq!(app.texts("status").len(), 41);
}
