//! Oban for Python: an application (tests/runners/oban) whose own worker runs what is spawned.

use std::process::Command;

use bulk_rerun::{Config, Plugin};
use serde_json::json;

use crate::queues::{Application, Scenario, ids_go_by_the_key, nothing_has_failed, what_check_says_is_enough_to_undo};
use crate::support;
use crate::support::calls::{all_failed, call, pairs, skipped, triggered};
use crate::support::runners::{Process, output};
use crate::support::undo::{ByHand, multiply, race};

const STATES: &str = "SELECT id, worker, state FROM oban_jobs ORDER BY id";
const ROWS: &str = "SELECT job::text FROM oban_jobs AS job ORDER BY id";

fn python(application: &Application, prefix: &str, arguments: &[&str]) -> Command {
    let mut command = application.with_store(application.runner.python());
    command.env("PREFIX", prefix).arg(application.runner.files.join("app.py")).args(arguments);
    command
}

fn application(prefix: &str) -> Application {
    let application = Application::new("oban");
    application.client.execute(&format!("CREATE SCHEMA IF NOT EXISTS {prefix}"));
    output(python(&application, prefix, &["install"]));
    application
}

fn enqueue(application: &Application, prefix: &str, worker: &str) {
    let options = r#"{"priority": 3, "tags": ["a", "b"], "meta": {"by": "Zoë"}}"#;
    output(python(application, prefix, &[worker, r#"{"note": "Zoë \"1\""}"#, options]));
}

fn work(application: &Application, prefix: &str) -> Process {
    application.start(python(application, prefix, &["work"]))
}

/// As Oban's own worker leaves it when it gives a run up.
fn all_have_failed(application: &Application) {
    application.client.execute(
        "UPDATE oban_jobs SET state = 'discarded', attempt = max_attempts, discarded_at = timezone('UTC', now())",
    );
}

#[test]
fn its_own_worker_runs_what_is_spawned() {
    let application = application("public");
    let enqueue = |task: &str| enqueue(&application, "public", if task == "flaky" { "Flaky" } else { "Steady" });
    let worker = || work(&application, "public");
    let words = ("discarded", Some("completed"));
    let flaky = "__main__.Flaky";
    let scenario = Scenario { enqueue: &enqueue, worker: &worker, states: STATES, rows: ROWS, words, flaky };
    scenario.play(&application);
    let copied = "SELECT DISTINCT args::text || (meta ->> 'by') || tags::text || priority || max_attempts || queue
                  FROM oban_jobs WHERE worker LIKE '%Flaky'";
    assert_eq!(application.column(copied).len(), 1, "{:?}", application.column(copied));
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    let application = with_a_batch_of_twelve();
    let set = |id: &str, to: &str| application.client.execute(&format!("UPDATE oban_jobs SET {to} WHERE id = {id}"));
    application.client.execute("UPDATE oban_jobs SET max_attempts = 2, attempt = 2");
    ByHand {
        plugin: &application.plugin(),
        rows: &|| application.by_id("SELECT id, job::text FROM oban_jobs AS job"),
        begin: &|id| set(id, "state = 'executing', attempt = 1, attempted_at = timezone('UTC', now())"),
        put_off: Some(&|id| set(id, "state = 'retryable', attempt = 1")),
        taken: Some("cancelled"),
        has_due_time: true,
    }
    .play();
    let pruned_in_time = "SELECT DISTINCT cancelled_at BETWEEN timezone('UTC', now()) - interval '1 minute'
                          AND timezone('UTC', now()) FROM oban_jobs WHERE state = 'cancelled'";
    assert_eq!(application.column(pruned_in_time), ["t"]);
    what_check_says_is_enough_to_undo(&application, "");
}

#[test]
fn each_is_taken_back_or_carried_out_once() {
    let application = application("public");
    enqueue(&application, "public", "Steady");
    multiply(&application.plugin(), &|| all_have_failed(&application));
    let worker = work(&application, "public");
    race(&application.plugin(), worker, &|| application.carried_out());
}

#[test]
fn a_run_that_it_will_try_again_by_itself_is_pending() {
    let application = application("public");
    enqueue(&application, "public", "Persistent");
    let mut worker = work(&application, "public");
    worker.until("the first attempt has failed", || {
        (application.column("SELECT state FROM oban_jobs") == ["retryable"]).then_some(())
    });
    worker.stop();
    nothing_has_failed(&application);
}

#[test]
fn a_prefix_of_its_own_is_found_and_its_workers_are_woken() {
    let application = application("jobs");
    enqueue(&application, "jobs", "Flaky");
    let mut worker = work(&application, "jobs");
    let states = || application.column("SELECT state FROM jobs.oban_jobs ORDER BY id");
    worker.until("the run has failed", || (states() == ["discarded"]).then_some(()));
    application.mend();
    let url = format!("{}?options=-csearch_path%3Djobs", application.database.url);
    let plugin = Plugin::open(&Config::new(&url)).unwrap();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["__main__.Flaky"]);
    worker.until("the new run has succeeded", || (states() == ["discarded", "completed"]).then_some(()));
    worker.stop();
}

#[test]
fn what_makes_a_run_unique_is_not_copied() {
    let application = application("public");
    enqueue(&application, "public", "Flaky");
    all_have_failed(&application);
    application.client.execute("UPDATE oban_jobs SET meta = meta || '{\"uniq_key\": \"k\", \"uniq_bmp\": 7}'");
    application.rerun_the_failed(&[]);
    let meta = "SELECT meta - 'trace' FROM oban_jobs ORDER BY id DESC LIMIT 1";
    assert_eq!(application.value(meta), r#"{"by": "Zoë"}"#);
}

/// What a cron leaves in a job would make its re-run the cron's own. A job that a worker has begun and put off has no attempt
/// either, and is not taken back.
#[test]
fn a_re_run_is_no_crons_and_what_was_put_off_is_kept() {
    let application = application("public");
    enqueue(&application, "public", "Flaky");
    all_have_failed(&application);
    let cron = r#"{"cron": true, "cron_expr": "* * * * *", "cron_name": "c", "cron_tz": "UTC", "snoozed": 2}"#;
    application.client.execute(&format!("UPDATE oban_jobs SET meta = meta || '{cron}'"));
    let plugin = application.plugin();
    plugin.create_ledger().unwrap();
    for unique_by in ["task", "run"] {
        let answer = call(&plugin, &all_failed(json!({"unique_by": unique_by}))).unwrap();
        let meta = "SELECT meta - 'trace' FROM oban_jobs ORDER BY id DESC LIMIT 1";
        assert_eq!(application.value(meta), r#"{"by": "Zoë"}"#);
        let new = answer["triggered"][0]["run_id"].as_str().unwrap();
        let put_off = r#"state = 'scheduled', attempt = 0, meta = meta || '{"snoozed": 1}'"#;
        application.client.execute(&format!("UPDATE oban_jobs SET {put_off} WHERE id = {new}"));
        let undone = plugin.undo(answer["operation_id"].as_str().unwrap()).unwrap();
        assert_eq!((undone.undone.len(), undone.kept.len()), (0, 1), "{undone:?}");
    }
}

#[test]
fn ids_are_sought_in_its_own_key() {
    let application = application("public");
    application.client.execute(
        "INSERT INTO oban_jobs (worker, state, attempt) SELECT 'W' || n, 'discarded', 20 FROM generate_series(1, 120000) AS n",
    );
    let ids: Vec<String> = (1..=9_000).map(|id| id.to_string()).collect();
    ids_go_by_the_key(&application, &ids, "oban_jobs", "oban_jobs_pkey", "١");
}

#[test]
fn check_lists_the_rights_that_a_role_needs() {
    let application = application("public");
    enqueue(&application, "public", "Flaky");
    all_have_failed(&application);
    let role = application.role();
    assert_eq!(
        application.grant_what_check_says(&role),
        [
            format!("GRANT SELECT, INSERT, UPDATE ON public.oban_jobs TO {role}"),
            format!("GRANT USAGE ON SEQUENCE public.oban_jobs_id_seq TO {role}"),
        ]
    );
    let answer = support::runners::rerun_the_failed(&application.database.url_as(&role), &[]);
    assert_eq!(triggered(&answer), ["__main__.Flaky"]);
}

/// Runs of one `insert_all`, which share their time.
fn with_a_batch_of_twelve() -> Application {
    let application = application("public");
    application.client.execute(
        "INSERT INTO oban_jobs (worker, args, state, attempt, max_attempts, inserted_at)
         SELECT 'W' || n % 2, json_build_object('n', n), 'discarded', 1, 1, '2026-04-15 12:00:00' FROM generate_series(1, 24) AS n",
    );
    application
}

#[test]
fn of_a_batch_the_run_with_the_highest_number_is_the_newest() {
    let application = with_a_batch_of_twelve();
    assert_eq!(pairs(&application.rerun_the_failed(&[])), ["W0: 24", "W1: 23"]);
    let new = "SELECT args ->> 'n' FROM oban_jobs WHERE state = 'available' ORDER BY 1";
    assert_eq!(application.column(new), ["23", "24"]);
    application
        .client
        .execute("DELETE FROM oban_jobs WHERE id > 10; UPDATE oban_jobs SET state = 'completed' WHERE id IN (7, 10)");
    let answer = application.rerun_the_failed(&["--skip-superseded"]);
    assert_eq!((pairs(&answer), skipped(&answer)), (vec!["W1: 9".into()], vec!["8: superseded".into()]));
}

/// Ids that a statement promises are not those of rows, where a trigger has its own mind.
#[test]
fn what_a_trigger_swallows_or_renames_is_not_answered_as_promised() {
    for (act, refused) in [("RETURN NULL;", true), ("NEW.id := 7777;", false)] {
        for unique_by in ["task", "run"] {
            let application = with_a_batch_of_twelve();
            application.client.execute(&format!(
                "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     IF NEW.args ->> 'n' = '23' THEN {act} END IF; RETURN NEW; END $$;
                 CREATE TRIGGER act BEFORE INSERT ON oban_jobs FOR EACH ROW EXECUTE FUNCTION act()"
            ));
            let answer = call(&application.plugin(), &all_failed(json!({"unique_by": unique_by}))).unwrap();
            let expected = if refused { vec!["23: refused".to_owned()] } else { Vec::new() };
            assert_eq!(skipped(&answer), expected, "{act}");
            for run in answer["triggered"].as_array().unwrap() {
                let sql = format!(
                    "SELECT new.id FROM oban_jobs new JOIN oban_jobs old USING (worker, args)
                     WHERE new.id = {} AND old.id = {} AND new.state = 'available'",
                    run["run_id"].as_str().unwrap(),
                    run["rerun_of"].as_str().unwrap()
                );
                assert_eq!(application.column(&sql).len(), 1, "{act}: {run}");
            }
            let waiting = application.value("SELECT count(*) FROM oban_jobs WHERE state = 'available'");
            assert_eq!(waiting, triggered(&answer).len().to_string(), "{act}");
        }
    }
}

/// A run of a workflow or of a batch is a part of it: a copy would be counted twice, or waited for in vain.
#[test]
fn a_run_that_belongs_to_a_workflow_or_a_batch_is_left_to_oban_itself() {
    let application = application("public");
    for (worker, meta) in [
        ("InABatch", json!({"batch_id": "b-1", "by": "Zoë"})),
        ("InAWorkflow", json!({"workflow_id": "w-1", "name": "step", "deps": ["other"]})),
        ("Plain", json!({"by": "Zoë", "rescued": 1, "return": "aGVsbG8="})),
    ] {
        let values = format!("('{worker}', '{meta}', 'discarded', 1, 1)");
        application
            .client
            .execute(&format!("INSERT INTO oban_jobs (worker, meta, state, attempt, max_attempts) VALUES {values}"));
    }
    for options in [json!({}), json!({"unique_by": "run"}), json!({"skip_active": true})] {
        let answer = call(&application.plugin(), &all_failed(options)).unwrap();
        assert_eq!(
            (triggered(&answer), skipped(&answer)),
            (vec!["Plain"], vec!["1: refused".into(), "2: refused".into()])
        );
        let details = answer["skipped"].as_array().unwrap().iter().map(|skip| skip["detail"].as_str().unwrap());
        for (detail, word) in details.zip(["batch", "workflow"]) {
            assert!(detail.contains(word), "{word:?} is not in {detail:?}");
        }
        let metas = "SELECT meta - 'trace' FROM oban_jobs WHERE state = 'available'";
        assert_eq!(application.column(metas), [r#"{"by": "Zoë"}"#], "what the old run left is not copied");
        application.client.execute("DELETE FROM oban_jobs WHERE state = 'available'");
    }
    // A new run by one statement each comes out the same: one is declined, and the others go on one by one.
    application.client.execute(
        "INSERT INTO oban_jobs (worker, meta, state, attempt, max_attempts) VALUES ('Declined', '{}', 'discarded', 1, 1);
         CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.worker = 'Declined' THEN RAISE EXCEPTION 'it is closed'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER closed BEFORE INSERT ON oban_jobs FOR EACH ROW EXECUTE FUNCTION closed()",
    );
    let answer = call(&application.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!((triggered(&answer), skipped(&answer).len()), (vec!["Plain"], 3), "{answer}");
    let metas = "SELECT meta - 'trace' FROM oban_jobs WHERE state = 'available'";
    assert_eq!(application.column(metas), [r#"{"by": "Zoë"}"#]);
}
