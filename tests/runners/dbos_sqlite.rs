//! DBOS Transact on SQLite: the application (tests/runners/dbos) whose own worker runs what is spawned.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::calls::{all_failed, call, first_detail, rows, skipped, triggered};
use crate::support::fast_folder;
use crate::support::runners::{Process, Runner, check, is_active_until, output, rerun_the_failed, wait_for};
use crate::support::undo::{ByHand, multiply, race};
use bulk_rerun::{Config, Plugin};
use chrono::{TimeDelta, Utc};
use rusqlite::types::Value as Column;
use serde_json::{Value, json};

/// The application on one version of DBOS, with a store of its own.
struct Dbos {
    files: PathBuf,
    version: Runner,
    folder: tempfile::TempDir,
}

/// Version 3, and version 2.
const VERSIONS: [&str; 2] = ["dbos", "dbos-2"];

impl Dbos {
    fn new(version: &str) -> Dbos {
        let version = Runner::set_up(version);
        Dbos { files: version.files.with_file_name("dbos"), version, folder: fast_folder() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.file("dbos.sqlite")
    }

    fn plugin(&self) -> Plugin {
        Plugin::open(&Config::new(self.store().to_str().unwrap())).unwrap()
    }

    fn python(&self, arguments: &[&str]) -> Command {
        let mut python = self.version.python();
        python.env("STORE", format!("sqlite:///{}", self.store().display()));
        python.env("NEEDED", self.file("needed")).env("NOTES", self.file("notes"));
        python.arg(self.files.join("app.py")).args(arguments);
        python
    }

    fn work(&self, workflow: &[&str]) -> Process {
        let worker = Process::start(self.python(&[&["work"], workflow].concat()), &self.file("worker.log"));
        wait_for("it works", || worker.printed().contains("working").then_some(()));
        worker
    }

    /// Enqueues so many runs of the steady task.
    fn enqueue(&self, count: usize) {
        let steady =
            json!(["enqueue", [{"workflow_name": "steady", "queue_name": "mail", "priority": 7}, {"note": "Zoë"}], {}]);
        output(self.python(&["do", &json!(vec![steady; count]).to_string()]));
    }

    /// From now on the flaky task succeeds.
    fn mend(&self) {
        fs::write(self.file("needed"), "").unwrap();
    }

    fn execute(&self, sql: &str) {
        let store = rusqlite::Connection::open(self.store()).unwrap();
        store.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        store.execute_batch(sql).unwrap();
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        let text =
            |row: Vec<Column>| if let [Column::Text(text)] = &row[..] { text.clone() } else { panic!("{row:?}") };
        rows(&self.store(), sql).into_iter().map(text).collect()
    }

    #[track_caller]
    fn until(&self, worker: &mut Process, expected: &[&str]) {
        let states = || self.texts("SELECT name || ' ' || status FROM workflow_status ORDER BY rowid");
        worker.until(&format!("the runs are {expected:?}"), || (states() == expected).then_some(()));
    }

    fn carried_out(&self) -> Vec<String> {
        fs::read_to_string(self.file("notes")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The state that DBOS's own worker leaves, without waiting for one.
    fn all_have_failed(&self) {
        self.execute(
            "UPDATE workflow_status SET status = 'ERROR', executor_id = 'local', started_at_epoch_ms = created_at,
                    completed_at = created_at, recovery_attempts = 1",
        );
    }

    fn rerun_the_failed(&self, flags: &[&str]) -> Value {
        rerun_the_failed(self.store().to_str().unwrap(), flags)
    }
}

#[test]
fn its_own_worker_runs_what_is_spawned() {
    for version in VERSIONS {
        let dbos = Dbos::new(version);
        let mut worker = dbos.work(&["flaky", r#"{"note": "Zoë \"1\""}"#]);
        dbos.until(&mut worker, &["flaky ERROR"]);
        dbos.mend();
        let before = rows(&dbos.store(), "SELECT * FROM workflow_status");

        assert_eq!(triggered(&dbos.rerun_the_failed(&[])), ["flaky"]);
        dbos.until(&mut worker, &["flaky ERROR", "flaky SUCCESS"]);
        assert_eq!(rows(&dbos.store(), "SELECT * FROM workflow_status LIMIT 1"), before, "the old row is unchanged");
        let check = check(dbos.store().to_str().unwrap());
        assert!(check["store"]["start"].as_str().unwrap().contains("every second by default"), "{check}");

        // One that is due later waits, under the worker's eyes.
        let due = Utc::now() + TimeDelta::seconds(2);
        assert_eq!(triggered(&call(&dbos.plugin(), &all_failed(json!({"start_at": due}))).unwrap()), ["flaky"]);
        is_active_until(due, &dbos.plugin());
        dbos.until(&mut worker, &["flaky ERROR", "flaky SUCCESS", "flaky SUCCESS"]);
        assert!(Utc::now() >= due, "it was begun before it was due");
        worker.stop();

        // Nobody works any more: what is spawned waits, and is not spawned twice.
        assert_eq!(triggered(&dbos.rerun_the_failed(&["--skip-active"])), ["flaky"]);
        let again = dbos.rerun_the_failed(&["--skip-active"]);
        assert_eq!((triggered(&again).len(), skipped(&again).len()), (0, 1), "{again}");

        let inputs = if version == "dbos" { "workflow_input" } else { "workflow_status" };
        assert_eq!(dbos.texts(&format!("SELECT count(DISTINCT inputs) || ' ' || count(*) FROM {inputs}")), ["1 4"]);
        let queues = "SELECT DISTINCT queue_name FROM workflow_status WHERE queue_name IS NOT NULL";
        assert_eq!(dbos.texts(queues), ["_dbos_internal_queue"]);
        let kept = "SELECT DISTINCT printf('%s %s %s %s', application_name, serialization, attributes, priority)
                    FROM workflow_status";
        assert_eq!(dbos.texts(kept).len(), 1);
        let times =
            "SELECT DISTINCT printf('%d', abs(created_at / 1000 - unixepoch()) < 600 AND created_at = updated_at)
                     FROM workflow_status WHERE status = 'ENQUEUED'";
        assert_eq!(dbos.texts(times), ["1"]);
    }
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    for version in VERSIONS {
        let dbos = Dbos::new(version);
        dbos.work(&[]).stop();
        dbos.enqueue(4);
        dbos.all_have_failed();
        let set = |id: &str, to: &str| {
            dbos.execute(&format!("UPDATE workflow_status SET {to} WHERE workflow_uuid = '{id}'"));
        };
        let by_id = |mut row: Vec<Column>| {
            let Column::Text(id) = row.remove(0) else { panic!("{row:?}") };
            (id, format!("{row:?}"))
        };
        ByHand {
            plugin: &dbos.plugin(),
            rows: &|| -> BTreeMap<_, _> {
                rows(&dbos.store(), "SELECT * FROM workflow_status").into_iter().map(by_id).collect()
            },
            begin: &|id| set(id, "status = 'PENDING', executor_id = 'local', recovery_attempts = 1"),
            // As it is recovered when its executor is gone.
            put_off: Some(&|id| set(id, "executor_id = 'local', recovery_attempts = 1")),
            taken: Some("cancelled"),
            has_due_time: true,
        }
        .play();
    }
}

#[test]
fn each_is_taken_back_or_carried_out_once() {
    let dbos = Dbos::new("dbos");
    dbos.work(&[]).stop();
    dbos.enqueue(1);
    multiply(&dbos.plugin(), &|| dbos.all_have_failed());
    race(&dbos.plugin(), dbos.work(&[]), &|| dbos.carried_out());
}

/// A store that has been migrated: the inputs of what is older stay where they are.
#[test]
fn inputs_are_found_where_version_2_has_left_them() {
    let mut dbos = Dbos::new("dbos-2");
    let mut worker = dbos.work(&["strict", r#"{"of": 2}"#]);
    dbos.until(&mut worker, &["strict ERROR", "flaky ERROR"]);
    worker.stop();
    dbos.mend();
    dbos.version = Runner::set_up("dbos");
    let mut worker = dbos.work(&[]);
    let answer = call(&dbos.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), ["strict"]);
    assert!(first_detail(&answer).contains("which has not succeeded: that one starts it again"), "{answer}");
    dbos.until(&mut worker, &["strict ERROR", "flaky ERROR", "strict SUCCESS", "flaky SUCCESS"]);
    worker.stop();
}
