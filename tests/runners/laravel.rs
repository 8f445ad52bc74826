//! Laravel's queue on SQLite and on PostgreSQL: an application (tests/runners/laravel) whose own worker runs what is spawned.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bulk_rerun::{Config, Plugin};
use chrono::{SubsecRound, TimeDelta, Utc};
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};

use crate::queues::{Application, Scenario, what_check_says_is_enough_to_undo};
use crate::support::calls::{all_failed, call, first_detail, rows, skipped, triggered};
use crate::support::fast_folder;
use crate::support::runners::{Process, Runner, check, output, rerun_the_failed};
use crate::support::undo::{ByHand, multiply, race, undo};

struct Laravel {
    runner: Runner,
    store: Store,
}

enum Store {
    Sqlite(tempfile::TempDir),
    Postgres(Box<Application>),
}

fn on_sqlite() -> Laravel {
    let folder = fast_folder();
    fs::write(folder.path().join("database.sqlite"), "").unwrap();
    with_tables(Laravel { runner: Runner::set_up("laravel"), store: Store::Sqlite(folder) })
}

fn on_postgres() -> Laravel {
    let application = Application::new("laravel");
    with_tables(Laravel { runner: Runner::set_up("laravel"), store: Store::Postgres(Box::new(application)) })
}

fn with_tables(laravel: Laravel) -> Laravel {
    output(laravel.php(&["schema"]));
    laravel
}

impl Laravel {
    fn file(&self, name: &str) -> PathBuf {
        match &self.store {
            Store::Sqlite(folder) => folder.path().join(name),
            Store::Postgres(application) => application.needed().with_file_name(name),
        }
    }

    fn address(&self) -> String {
        match &self.store {
            Store::Sqlite(_) => self.file("database.sqlite").display().to_string(),
            Store::Postgres(application) => application.database.url.clone(),
        }
    }

    fn php(&self, arguments: &[&str]) -> Command {
        let mut php = Command::new("php");
        php.arg(self.runner.files.join("app.php")).args(arguments).env("STORE", self.address());
        php.env("NEEDED", self.file("needed")).env("NOTES", self.file("notes"));
        php
    }

    fn push(&self, job: &Value) {
        output(self.php(&["push", &job.to_string()]));
    }

    /// A worker that sleeps for so many seconds where there is nothing to do, and tries a job so often.
    fn work(&self, seconds: &str, tries: &str) -> Process {
        let mut php = self.php(&["work", seconds]);
        php.env("TRIES", tries);
        Process::start(php, &self.file("worker.log"))
    }

    fn carried_out(&self) -> Vec<String> {
        fs::read_to_string(self.file("notes")).unwrap_or_default().lines().map(str::to_owned).collect()
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

    fn column(&self, sql: &str) -> Vec<String> {
        let text = |mut row: Vec<Cell>| match row.remove(0) {
            Cell::Text(text) => text,
            Cell::Integer(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        match &self.store {
            Store::Sqlite(_) => rows(self.address().as_ref(), sql).into_iter().map(text).collect(),
            Store::Postgres(application) => application.column(sql),
        }
    }

    fn uuid(&self) -> &'static str {
        match self.store {
            Store::Sqlite(_) => "json_extract(payload, '$.uuid')",
            Store::Postgres(_) => "substring(payload from '\"uuid\":\"([^\"]*)\"')",
        }
    }

    fn by_id(&self) -> BTreeMap<String, String> {
        let uuid = self.uuid();
        let job =
            "queue || ' ' || payload || ' ' || attempts || ' ' || coalesce(reserved_at, 0) || ' ' || available_at";
        let ids = self.column(&format!("SELECT {uuid} FROM jobs UNION ALL SELECT uuid FROM failed_jobs"));
        let all =
            self.column(&format!("SELECT {job} FROM jobs UNION ALL SELECT payload || failed_at FROM failed_jobs"));
        ids.into_iter().zip(all).collect()
    }

    /// Leaves every job as Laravel's own worker leaves one that has failed for good.
    fn all_have_failed(&self) {
        let uuid = self.uuid();
        self.execute(&format!(
            "INSERT INTO failed_jobs (uuid, connection, queue, payload, exception)
             SELECT {uuid}, 'database', queue, payload, '' FROM jobs; DELETE FROM jobs"
        ));
    }

    /// A job that has failed for good, under the eyes of a worker that goes on. What the job needs is there now.
    fn with_a_failed_job(&self, job: &Value) -> Process {
        self.push(job);
        let mut worker = self.work("0.1", "1");
        worker.until("the job has failed", || (self.failed().len() == 1).then_some(()));
        fs::write(self.file("needed"), "").unwrap();
        worker
    }

    fn failed(&self) -> Vec<String> {
        self.column("SELECT uuid FROM failed_jobs ORDER BY id")
    }

    fn queued(&self) -> Vec<String> {
        self.column("SELECT payload FROM jobs ORDER BY id")
    }
}

fn on_both(test: impl Fn(Laravel)) {
    [on_sqlite(), on_postgres()].into_iter().for_each(test);
}

#[test]
fn on_postgres_its_own_worker_runs_what_is_spawned() {
    let laravel = on_postgres();
    let Store::Postgres(application) = &laravel.store else { unreachable!() };
    let states = "SELECT uuid AS id, 'Flaky' AS task, 'failed' AS state, id AS place FROM failed_jobs
                  UNION ALL SELECT '', '', 'queued', 1000 + id FROM jobs ORDER BY place";
    Scenario {
        enqueue: &|task| laravel.push(&json!([task, "Zoë \"1\""])),
        worker: &|| laravel.work("0.1", "1"),
        states,
        rows: "SELECT f::text FROM failed_jobs f ORDER BY id",
        words: ("failed", None),
        flaky: "Flaky",
    }
    .play(application);
}

#[test]
fn on_sqlite_its_own_worker_runs_what_is_spawned() {
    let laravel = on_sqlite();
    let mut worker = laravel.with_a_failed_job(&json!(["flaky", "Zoë \"1\""]));
    let source = laravel.failed().remove(0);
    let before = laravel.by_id();
    let answer = laravel.rerun_the_failed(&[]);
    assert_eq!((triggered(&answer), &answer["triggered"][0]["rerun_of"]), (vec!["Flaky"], &json!(source)));
    let new = worker.until("the new run has succeeded", || laravel.carried_out().pop());
    assert_eq!((answer["triggered"][0]["run_id"].as_str(), laravel.queued()), (Some(new.as_str()), vec![]));
    assert_eq!(laravel.by_id(), before, "the old row is unchanged");
    let check = check(&laravel.address());
    assert_eq!(check["store"]["profile"], "laravel-sqlite", "{check}");
    assert!(worker.stop().success());

    assert_eq!(triggered(&laravel.rerun_the_failed(&["--skip-active"])), ["Flaky"]);
    let again = laravel.rerun_the_failed(&["--skip-active"]);
    assert_eq!((triggered(&again).len(), skipped(&again)), (0, vec![format!("{source}: active")]));
    assert_eq!(laravel.queued().len(), 1);
}

/// `available_at` counts in seconds: one in between is rounded up.
#[test]
fn a_new_run_waits_until_it_is_due() {
    on_both(|laravel| {
        let mut worker = laravel.with_a_failed_job(&json!(["flaky", ""]));
        let due = Utc::now().trunc_subsecs(0) + TimeDelta::milliseconds(2_001);
        assert_eq!(triggered(&call(&laravel.plugin(), &all_failed(json!({"start_at": due}))).unwrap()), ["Flaky"]);
        worker.until("the new run has succeeded", || laravel.carried_out().pop());
        assert!(Utc::now() >= due, "it was begun before it was due");
        worker.stop();
    });
}

/// A second failure under the first one's uuid would break a key, and be lost.
#[test]
fn a_new_run_that_fails_as_well_is_another_failed_run() {
    on_both(|laravel| {
        let mut worker = laravel.with_a_failed_job(&json!(["flaky", ""]));
        fs::remove_file(laravel.file("needed")).unwrap();
        let answer = laravel.rerun_the_failed(&[]);
        worker.until("the new run has failed too", || (laravel.failed().len() == 2).then_some(()));
        assert_eq!(laravel.failed()[1], answer["triggered"][0]["run_id"].as_str().unwrap());
        fs::write(laravel.file("needed"), "").unwrap();
        let answer = laravel.rerun_the_failed(&["--unique-by", "run"]);
        assert_eq!(triggered(&answer), ["Flaky", "Flaky"]);
        worker.until("both have succeeded", || (laravel.carried_out().len() == 2).then_some(()));
        worker.stop();
    });
}

#[test]
fn a_payload_is_copied_but_for_its_uuid_also_where_it_is_encrypted() {
    on_both(|laravel| {
        let mut worker = laravel.with_a_failed_job(&json!(["flaky", "\u{1F389} \\u0000 /", {"encrypted": true}]));
        worker.stop();
        laravel.push(&json!(["flaky", "\u{1F389} \\u0000 /"]));
        laravel.all_have_failed();
        let answer = laravel.rerun_the_failed(&["--unique-by", "run"]);
        let (old, new) = (laravel.column("SELECT payload FROM failed_jobs"), laravel.queued());
        for run in answer["triggered"].as_array().unwrap() {
            let (rerun_of, run_id) = (run["rerun_of"].as_str().unwrap(), run["run_id"].as_str().unwrap());
            let of = |payloads: &[String], id| payloads.iter().find(|payload| payload.contains(id)).unwrap().clone();
            let (old, new) = (of(&old, rerun_of), of(&new, run_id));
            assert_eq!(old.replace(rerun_of, run_id), new);
        }
        assert_eq!(new.len(), 2);
        worker = laravel.work("0.1", "1");
        worker.until("both have succeeded", || (laravel.carried_out().len() == 2).then_some(()));
        worker.stop();
    });
}

#[test]
fn what_only_laravel_can_start_again_is_left_to_it() {
    for (special, connection, words) in [
        (json!({"retryUntil": 1}), "database", "queue:retry"),
        (json!({"batchId": "9d1f6a52-6f1e-4f5e-a2a5-1b0c8d2d3e4f"}), "database", "queue:retry-batch"),
        (json!({}), "redis", "`redis`"),
    ] {
        on_both(|laravel| {
            laravel.push(&json!(["flaky", "", special]));
            laravel.all_have_failed();
            laravel.execute(&format!("UPDATE failed_jobs SET connection = '{connection}'"));
            laravel.push(&json!(["steady", ""]));
            laravel.all_have_failed();
            let answer = call(&laravel.plugin(), &all_failed(json!({}))).unwrap();
            assert_eq!(triggered(&answer), ["Steady"]);
            assert!(first_detail(&answer).contains(words), "{answer}");
        });
    }
}

/// Laravel 11 and later say it in the payload itself, which can be read where the command is encrypted.
#[test]
fn the_batch_of_a_later_laravel_is_seen() {
    on_both(|laravel| {
        for (job, batch) in [("flaky", "\"b\""), ("steady", "null")] {
            laravel.push(&json!([job, "", {"encrypted": true}]));
            let data = format!("\"createdAt\":1,\"delay\":null,\"data\":{{\"batchId\":{batch},");
            laravel.execute(&format!("UPDATE jobs SET payload = replace(payload, '\"data\":{{', '{data}')"));
            laravel.all_have_failed();
        }
        let answer = call(&laravel.plugin(), &all_failed(json!({}))).unwrap();
        assert_eq!(triggered(&answer), ["Steady"]);
        assert!(first_detail(&answer).contains("queue:retry-batch"), "{answer}");
    });
}

#[test]
fn a_job_with_attempts_left_is_pending() {
    on_both(|laravel| {
        laravel.push(&json!(["flaky", ""]));
        let mut worker = laravel.work("0.1", "255");
        let attempts = || laravel.column("SELECT attempts FROM jobs");
        worker.until("it was tried", || (attempts().first()?.parse::<u32>().ok()? > 1).then_some(()));
        assert_eq!(triggered(&laravel.rerun_the_failed(&[])).len(), 0);
        let all = json!({"match_all": true, "filter": {"status": "pending,running"}, "options": {"skip_active": true}});
        assert!(skipped(&call(&laravel.plugin(), &all).unwrap())[0].ends_with(": active"));
        fs::write(laravel.file("needed"), "").unwrap();
        worker.until("Laravel has brought it to success", || laravel.carried_out().pop());
        worker.stop();
    });
}

#[test]
fn a_queued_job_is_started_once_more() {
    on_both(|laravel| {
        laravel.push(&json!(["steady", ""]));
        let answer = call(&laravel.plugin(), &json!({"match_all": true})).unwrap();
        assert_eq!((triggered(&answer), laravel.queued().len()), (vec!["Steady"], 2));
        let mut worker = laravel.work("0.1", "1");
        worker.until("both have succeeded", || (laravel.carried_out().len() == 2).then_some(()));
        worker.stop();
    });
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    on_both(|laravel| {
        (0..4).for_each(|number| laravel.push(&json!(["steady", number.to_string()])));
        laravel.all_have_failed();
        let set = |id: &str, to: &str| {
            laravel.execute(&format!("UPDATE jobs SET {to} WHERE {} = '{id}'", laravel.uuid()));
        };
        ByHand {
            plugin: &laravel.plugin(),
            rows: &|| laravel.by_id(),
            begin: &|id| set(id, "reserved_at = 1, attempts = 1"),
            put_off: Some(&|id| set(id, "attempts = 1")),
            taken: None,
            has_due_time: true,
        }
        .play();
        if let Store::Postgres(application) = &laravel.store {
            what_check_says_is_enough_to_undo(application, "");
        }
    });
}

#[test]
fn what_only_speaks_of_a_run_is_not_taken_back() {
    on_both(|laravel| {
        laravel.push(&json!(["flaky", ""]));
        laravel.all_have_failed();
        let plugin = laravel.plugin();
        plugin.create_ledger().unwrap();
        let answer = call(&plugin, &all_failed(json!({}))).unwrap();
        let new = &answer["triggered"][0]["run_id"];
        let about = json!({"uuid": "other", "displayName": "About", "data": {"uuid": new}});
        laravel.execute(&format!(
            "INSERT INTO jobs (queue, payload, attempts, available_at, created_at) VALUES ('q', '{about}', 0, 0, 0)"
        ));
        assert_eq!(undo(&plugin, &answer["operation_id"]).unwrap()["undone"][0]["run_id"], *new);
        assert_eq!(laravel.queued(), [about.to_string()]);
    });
}

#[test]
fn each_is_taken_back_or_carried_out_once() {
    on_both(|laravel| {
        laravel.push(&json!(["steady", ""]));
        multiply(&laravel.plugin(), &|| laravel.all_have_failed());
        race(&laravel.plugin(), laravel.work("0.05", "1"), &|| laravel.carried_out());
    });
}

#[test]
fn check_lists_the_rights_that_a_role_needs() {
    let laravel = on_postgres();
    let Store::Postgres(application) = &laravel.store else { unreachable!() };
    laravel.push(&json!(["flaky", ""]));
    laravel.all_have_failed();
    let role = application.role();
    assert_eq!(
        application.grant_what_check_says(&role),
        [
            format!("GRANT SELECT ON public.failed_jobs TO {role}"),
            format!("GRANT SELECT, INSERT, DELETE ON public.jobs TO {role}"),
            format!("GRANT USAGE ON SEQUENCE public.jobs_id_seq TO {role}"),
        ]
    );
    assert_eq!(triggered(&rerun_the_failed(&application.database.url_as(&role), &[])), ["Flaky"]);
}

/// Those that have failed: a queued one's id is in its payload only, where no index serves it.
#[test]
fn ids_of_failed_runs_are_sought_in_their_own_key() {
    let laravel = on_postgres();
    let Store::Postgres(application) = &laravel.store else { unreachable!() };
    laravel.push(&json!(["flaky", ""]));
    laravel.all_have_failed();
    application.client.execute(
        "INSERT INTO failed_jobs (uuid, connection, queue, payload, exception)
         SELECT n::text, connection, queue, payload, '' FROM failed_jobs, generate_series(1, 20000) AS n; ANALYZE",
    );
    let plans = application.explain(&json!({"ids": ["7", "8", "none"], "options": {"dry_run": true}}));
    assert!(plans.contains("failed_jobs_uuid_unique") && !plans.contains("Seq Scan on failed_jobs"), "{plans}");
}
