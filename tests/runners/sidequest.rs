//! Sidequest on SQLite and on PostgreSQL: an application (tests/runners/sidequest) whose own worker runs what is spawned.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bulk_rerun::{Config, Plugin};
use chrono::{TimeDelta, Utc};
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};

use crate::queues::{Application, Scenario, ids_go_by_the_key, what_check_says_is_enough_to_undo};
use crate::support::calls::{all_failed, assert_error, call, first_detail, open_error, rows, skipped, triggered};
use crate::support::fast_folder;
use crate::support::runners::{Process, Runner, check, is_active_until, output, rerun_the_failed};
use crate::support::undo::{ByHand, multiply, race, undo};

/// The application, on one engine.
struct Sidequest {
    runner: Runner,
    store: Store,
}

enum Store {
    Sqlite(tempfile::TempDir),
    Postgres(Box<Application>),
}

fn on_sqlite() -> Sidequest {
    with_tables(Sidequest { runner: Runner::set_up("sidequest"), store: Store::Sqlite(fast_folder()) })
}

fn on_postgres() -> Sidequest {
    let application = Box::new(Application::new("sidequest"));
    with_tables(Sidequest { runner: Runner::set_up("sidequest"), store: Store::Postgres(application) })
}

fn with_tables(sidequest: Sidequest) -> Sidequest {
    sidequest.call(&json!([]));
    sidequest
}

impl Sidequest {
    fn file(&self, name: &str) -> PathBuf {
        match &self.store {
            Store::Sqlite(folder) => folder.path().join(name),
            Store::Postgres(application) => application.needed().with_file_name(name),
        }
    }

    fn address(&self) -> String {
        match &self.store {
            Store::Sqlite(_) => self.file("sidequest.sqlite").display().to_string(),
            Store::Postgres(application) => application.database.url.clone(),
        }
    }

    fn postgres(&self) -> &Application {
        let Store::Postgres(application) = &self.store else { panic!("it is on SQLite") };
        application
    }

    fn node(&self, arguments: &[&str]) -> Command {
        let mut node = Command::new("node");
        node.arg(self.runner.installed.join("app.js")).args(arguments).env("STORE", self.address());
        node.env("NEEDED", self.file("needed")).env("NOTES", self.file("notes"));
        node
    }

    /// Enqueues jobs, and answers their ids.
    fn call(&self, calls: &Value) -> Value {
        serde_json::from_str(output(self.node(&["do", &calls.to_string()])).lines().last().unwrap()).unwrap()
    }

    fn work(&self) -> Process {
        let mut worker = Process::start(self.node(&["work"]), &self.file("worker.log"));
        let log = self.file("worker.log");
        worker.until("it works", || fs::read_to_string(&log).unwrap().contains("working").then_some(()));
        worker
    }

    fn carried_out(&self) -> Vec<String> {
        fs::read_to_string(self.file("notes")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn mend(&self) {
        fs::write(self.file("needed"), "").unwrap();
    }

    fn plugin(&self) -> Plugin {
        Plugin::open(&Config::new(self.address())).unwrap()
    }

    fn rerun_the_failed(&self, flags: &[&str]) -> Value {
        rerun_the_failed(&self.address(), flags)
    }

    fn execute(&self, sql: &str) {
        match &self.store {
            Store::Sqlite(_) => {
                rusqlite::Connection::open(self.address()).unwrap().execute_batch(sql).unwrap();
            }
            Store::Postgres(application) => application.client.execute(sql),
        }
    }

    /// The values of a query's first column, as text.
    fn column(&self, sql: &str) -> Vec<String> {
        let text = |mut row: Vec<Cell>| match row.remove(0) {
            Cell::Text(text) => text,
            Cell::Integer(number) => number.to_string(),
            Cell::Null => String::new(),
            other => panic!("{other:?}"),
        };
        match &self.store {
            Store::Sqlite(_) => rows(self.address().as_ref(), sql).into_iter().map(text).collect(),
            Store::Postgres(application) => application.column(sql),
        }
    }

    fn states(&self) -> Vec<String> {
        self.column("SELECT state FROM sidequest_jobs ORDER BY id")
    }

    /// Every run, whole, by its id.
    fn by_id(&self) -> BTreeMap<String, String> {
        let whole = match self.store {
            Store::Sqlite(_) => {
                "json_array(state, args, constructor_args, available_at, canceled_at, claimed_at, attempt, max_attempts, result, errors)"
            }
            Store::Postgres(_) => "sidequest_jobs::text",
        };
        let ids = self.column("SELECT id FROM sidequest_jobs ORDER BY id");
        ids.into_iter().zip(self.column(&format!("SELECT {whole} FROM sidequest_jobs ORDER BY id"))).collect()
    }

    /// The state that Sidequest's own worker leaves, without waiting for one.
    fn all_have_failed(&self) {
        self.execute(
            "UPDATE sidequest_jobs SET state = 'failed', attempt = max_attempts, failed_at = inserted_at, attempted_at = inserted_at,
                 claimed_at = inserted_at, claimed_by = 'sidequest@somewhere', unique_digest = NULL",
        );
    }
}

fn on_both(test: impl Fn(Sidequest)) {
    [on_sqlite(), on_postgres()].into_iter().for_each(test);
}

#[test]
fn on_postgres_its_own_worker_runs_what_is_spawned() {
    let sidequest = on_postgres();
    let options = json!({"maxAttempts": 1, "timeout": 60_000, "retryDelay": 7, "backoffStrategy": "fixed"});
    Scenario {
        enqueue: &|task| {
            let class = if task == "flaky" { "Flaky" } else { "Steady" };
            sidequest.call(&json!([[class, "Zoë \"1\"", options]]));
        },
        worker: &|| sidequest.work(),
        states: "SELECT id, class AS task, state FROM sidequest_jobs ORDER BY id",
        rows: "SELECT j::text FROM sidequest_jobs j ORDER BY id",
        words: ("failed", Some("completed")),
        flaky: "Flaky",
    }
    .play(sidequest.postgres());
    // A failed run, those that succeeded, and one that waits: they differ in nothing but their own lives.
    let lives = "id,state,attempt,result,errors,inserted_at,attempted_at,available_at,completed_at,failed_at,claimed_at,claimed_by";
    let kept =
        format!("SELECT DISTINCT to_jsonb(j) - '{{{lives}}}'::text[] FROM sidequest_jobs j WHERE class = 'Flaky'");
    assert_eq!(sidequest.column(&kept).len(), 1, "{:?}", sidequest.column(&kept));
}

#[test]
fn on_sqlite_its_own_worker_runs_what_is_spawned() {
    let sidequest = on_sqlite();
    sidequest.call(&json!([["Flaky", "Zoë \"1\"", {"maxAttempts": 1}]]));
    let mut worker = sidequest.work();
    worker.until("the job has failed", || (sidequest.states() == ["failed"]).then_some(()));
    sidequest.mend();
    let before = sidequest.by_id();
    let answer = sidequest.rerun_the_failed(&[]);
    assert_eq!((triggered(&answer), &answer["triggered"][0]["rerun_of"]), (vec!["Flaky"], &json!("1")));
    worker.until("the new run has succeeded", || (sidequest.states() == ["failed", "completed"]).then_some(()));
    assert_eq!(sidequest.carried_out(), [answer["triggered"][0]["run_id"].as_str().unwrap()]);
    let result = sidequest.column("SELECT result FROM sidequest_jobs WHERE id = 2");
    assert_eq!(result, [r#"{"note":"Zoë \"1\"","tone":"soft"}"#]);
    assert_eq!(sidequest.by_id()["1"], before["1"], "the old row is unchanged");
    assert_eq!(check(&sidequest.address())["store"]["profile"], "sidequest-sqlite");

    // One that is due later waits, under the worker's eyes.
    let due = Utc::now() + TimeDelta::seconds(2);
    assert_eq!(triggered(&call(&sidequest.plugin(), &all_failed(json!({"start_at": due}))).unwrap()), ["Flaky"]);
    is_active_until(due, &sidequest.plugin());
    worker.until("it has succeeded", || (sidequest.states().get(2)? == "completed").then_some(()));
    assert!(Utc::now() >= due, "it was begun before it was due");
    worker.stop();

    assert_eq!(triggered(&sidequest.rerun_the_failed(&["--skip-active"])), ["Flaky"]);
    let again = sidequest.rerun_the_failed(&["--skip-active"]);
    assert_eq!((triggered(&again).len(), skipped(&again)), (0, vec!["1: active".to_owned()]));
    assert_eq!(sidequest.states(), ["failed", "completed", "completed", "waiting"]);
}

#[test]
fn a_job_with_attempts_left_is_pending() {
    on_both(|sidequest| {
        sidequest.call(&json!([["Flaky", "p", {"maxAttempts": 9, "retryDelay": 3_600_000}]]));
        let mut worker = sidequest.work();
        let attempts = || sidequest.column("SELECT attempt FROM sidequest_jobs WHERE state = 'waiting'");
        worker.until("the first attempt has failed", || (attempts() == ["1"]).then_some(()));
        worker.stop();
        assert_eq!(triggered(&sidequest.rerun_the_failed(&[])).len(), 0);
        let pending = json!({"match_all": true, "filter": {"status": "pending", "retries_only": true}, "options": {"skip_active": true}});
        assert_eq!(skipped(&call(&sidequest.plugin(), &pending).unwrap()), ["1: active"]);
    });
}

/// A run without the digest would bear the other one's at its next step, and Sidequest would take that for a failure.
#[test]
fn a_unique_job_is_left_to_sidequest_where_only_it_knows_the_digest() {
    on_both(|sidequest| {
        let unique = |note: &str, unique: Value| json!(["Flaky", note, {"unique": unique}]);
        for kind in [json!({"withArgs": true}), json!({"period": "hour", "withArgs": true}), json!({"period": "day"})] {
            sidequest.execute("DELETE FROM sidequest_jobs");
            sidequest.call(&json!([unique("1", kind), ["Steady", "2"]]));
            sidequest.all_have_failed();
            let answer = call(&sidequest.plugin(), &all_failed(json!({}))).unwrap();
            assert_eq!(triggered(&answer), ["Steady"]);
            assert!(first_detail(&answer).contains("job.run"), "{answer}");
        }
        // By its class alone.
        sidequest.execute("DELETE FROM sidequest_jobs");
        sidequest.call(&json!([unique("1", json!(true))]));
        let digest = "SELECT unique_digest FROM sidequest_jobs WHERE state = 'waiting'";
        let its_own = sidequest.column(digest);
        sidequest.all_have_failed();
        let answer = call(&sidequest.plugin(), &all_failed(json!({}))).unwrap();
        match sidequest.store {
            Store::Sqlite(_) => assert!(first_detail(&answer).contains("job.run"), "{answer}"),
            Store::Postgres(_) => {
                assert_eq!((triggered(&answer), sidequest.column(digest)), (vec!["Flaky"], its_own));
                let again = call(&sidequest.plugin(), &all_failed(json!({}))).unwrap();
                assert!(skipped(&again)[0].ends_with(": refused"), "{again}");
                let mut worker = sidequest.work();
                sidequest.mend();
                worker.until("it has succeeded", || sidequest.carried_out().pop());
                worker.stop();
            }
        }
    });
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    on_both(|sidequest| {
        let job = |note: &str| json!(["Steady", note]);
        sidequest.call(&json!([job("1"), job("2"), job("3"), job("4")]));
        sidequest.all_have_failed();
        let set = |id: &str, to: &str| sidequest.execute(&format!("UPDATE sidequest_jobs SET {to} WHERE id = {id}"));
        ByHand {
            plugin: &sidequest.plugin(),
            rows: &|| sidequest.by_id(),
            begin: &|id| set(id, "state = 'claimed', claimed_at = inserted_at"),
            put_off: Some(&|id| set(id, "attempt = 1, attempted_at = inserted_at")),
            taken: Some("canceled"),
            has_due_time: true,
        }
        .play();
        if let Store::Postgres(application) = &sidequest.store {
            what_check_says_is_enough_to_undo(application, "");
        }
    });
}

/// As its own `cancel` leaves a job.
#[test]
fn what_is_taken_back_is_as_its_own_cancel_leaves_it() {
    on_both(|sidequest| {
        sidequest.call(&json!([["Steady", "1"]]));
        sidequest.all_have_failed();
        let plugin = sidequest.plugin();
        plugin.create_ledger().unwrap();
        let answer = call(&plugin, &all_failed(json!({}))).unwrap();
        assert_eq!(undo(&plugin, &answer["operation_id"]).unwrap()["undone"].as_array().unwrap().len(), 1);
        let its_own = sidequest.call(&json!([["Steady", "1"]]))[0].clone();
        sidequest.call(&json!([["cancel", its_own]]));
        let left = "SELECT DISTINCT attempt || ' ' || (canceled_at >= inserted_at) || coalesce(claimed_by, '') || coalesce(unique_digest, '')
                    FROM sidequest_jobs WHERE state = 'canceled'";
        assert_eq!(sidequest.column(left).len(), 1, "{:?}", sidequest.by_id());
        assert_eq!(sidequest.states(), ["failed", "canceled", "canceled"]);
    });
}

fn each_is_taken_back_or_carried_out_once(sidequest: &Sidequest) {
    sidequest.call(&json!([["Steady", "1"]]));
    multiply(&sidequest.plugin(), &|| sidequest.all_have_failed());
    race(&sidequest.plugin(), sidequest.work(), &|| sidequest.carried_out());
}

#[test]
fn on_sqlite_each_is_taken_back_or_carried_out_once() {
    each_is_taken_back_or_carried_out_once(&on_sqlite());
}

#[test]
fn on_postgres_each_is_taken_back_or_carried_out_once() {
    each_is_taken_back_or_carried_out_once(&on_postgres());
}

#[test]
fn a_version_that_the_profile_does_not_know_is_told_so() {
    on_both(|sidequest| {
        sidequest.execute("INSERT INTO sidequest_migrations (name) VALUES ('4_of_a_day_to_come.cjs')");
        assert_error(&open_error(&Config::new(sidequest.address())), 500, &["sidequest", "4", "--profile"]);
    });
}

#[test]
fn ids_are_sought_in_its_own_key() {
    let sidequest = on_postgres();
    sidequest.call(&json!([["Steady", "1"]]));
    sidequest.all_have_failed();
    sidequest.execute(
        "INSERT INTO sidequest_jobs (queue, class, script, args, constructor_args, state, attempt, max_attempts, available_at)
         SELECT queue, class || n % 3, script, args, constructor_args, state, 1, 1, now() FROM sidequest_jobs, generate_series(1, 20000) AS n",
    );
    let ids = sidequest.column("SELECT id FROM sidequest_jobs LIMIT 10000");
    ids_go_by_the_key(sidequest.postgres(), &ids, "sidequest_jobs", "sidequest_jobs_pkey", "not-a-number");
}

#[test]
fn check_lists_the_rights_that_a_role_needs() {
    let sidequest = on_postgres();
    sidequest.call(&json!([["Steady", "1"]]));
    sidequest.all_have_failed();
    let (application, role) = (sidequest.postgres(), sidequest.postgres().role());
    assert_eq!(
        application.grant_what_check_says(&role),
        [
            format!("GRANT SELECT ON public.sidequest_migrations TO {role}"),
            format!("GRANT SELECT, INSERT, UPDATE ON public.sidequest_jobs TO {role}"),
            format!("GRANT USAGE ON SEQUENCE public.sidequest_jobs_id_seq TO {role}"),
        ]
    );
    assert_eq!(triggered(&rerun_the_failed(&application.database.url_as(&role), &[])), ["Steady"]);
}
