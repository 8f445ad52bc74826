//! procrastinate: an application (tests/runners/procrastinate) whose own worker runs what is spawned.

use serde_json::json;

use crate::queues::{Application, Scenario, ids_go_by_the_key, nothing_has_failed, what_check_says_is_enough_to_undo};
use crate::support;
use crate::support::calls::{all_failed, call, first_detail, pairs, skipped, triggered};
use crate::support::killed::Calls;
use crate::support::random::number;
use crate::support::runners::{Process, output};
use crate::support::undo::{ByHand, multiply, race};

const STATES: &str = "SELECT id, task_name, status AS state FROM procrastinate_jobs ORDER BY id";
const ROWS: &str = "SELECT job::text FROM procrastinate_jobs AS job ORDER BY id";

fn application() -> Application {
    let application = Application::new("procrastinate");
    output(procrastinate(&application, &["schema", "--apply"]));
    application
}

/// procrastinate's own command line.
fn procrastinate(application: &Application, arguments: &[&str]) -> std::process::Command {
    let mut command = application.with_store(application.runner.python());
    command.args(["-m", "procrastinate", "--app", "app.app"]).args(arguments);
    command
}

fn defer(application: &Application, task: &str, options: &[&str]) {
    let mut command = procrastinate(application, &["defer", task, r#"{"note": "Zoë \"1\""}"#]);
    output({
        command.args(options);
        command
    });
}

fn work(application: &Application) -> Process {
    application.start(procrastinate(application, &["worker", "--queues", "mail"]))
}

/// With a run that has failed, since what it needs was missing. It is there now.
fn with_a_failed_run(options: &[&str]) -> Application {
    let application = application();
    defer(&application, "flaky", options);
    output(procrastinate(&application, &["worker", "--queues", "mail", "--one-shot"]));
    assert_eq!(application.value("SELECT status FROM procrastinate_jobs"), "failed");
    application.mend();
    application
}

#[test]
fn its_own_worker_runs_what_is_spawned() {
    let application = application();
    let enqueue = |task: &str| defer(&application, task, &["--priority", "7"]);
    let worker = || work(&application);
    let words = ("failed", Some("succeeded"));
    let scenario = Scenario { enqueue: &enqueue, worker: &worker, states: STATES, rows: ROWS, words, flaky: "flaky" };
    scenario.play(&application);
    let copied =
        "SELECT DISTINCT queue_name || priority || args::text FROM procrastinate_jobs WHERE task_name = 'flaky'";
    assert_eq!(application.column(copied).len(), 1, "the queue, the priority and the arguments are the source run's");
    // Its own trigger has noted when each run was deferred.
    let runs = call(&application.plugin(), &json!({"match_all": true, "options": {"dry_run": true}})).unwrap();
    assert_eq!(runs["matched"], application.value("SELECT count(*) FROM procrastinate_jobs").parse::<u64>().unwrap());
    assert_eq!(application.plugin().survey().unwrap().unreadable_times, 0);
}

/// As its own worker leaves them, without waiting for one.
fn all_have_failed(application: &Application) {
    application
        .client
        .execute("UPDATE procrastinate_jobs SET status = 'failed', attempts = 1 WHERE status <> 'failed'");
}

fn what_nobody_has_begun_is_taken_back_from(application: &Application, taken: Option<&str>) {
    let set = |id: &str, to: &str| {
        application.client.execute(&format!("UPDATE procrastinate_jobs SET {to} WHERE id = {id}"));
    };
    ByHand {
        plugin: &application.plugin(),
        rows: &|| application.by_id("SELECT id, job::text FROM procrastinate_jobs AS job"),
        begin: &|id| set(id, "status = 'doing'"),
        put_off: Some(&|id| set(id, "attempts = 1")),
        taken,
        has_due_time: true,
    }
    .play();
    what_check_says_is_enough_to_undo(application, "");
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    let application = with_a_batch_of_twelve();
    what_nobody_has_begun_is_taken_back_from(&application, Some("cancelled"));
    let noted = "SELECT count(*) FROM procrastinate_events WHERE type = 'cancelled'";
    assert_eq!(application.value(noted), (24 - 2 + 24 + 24).to_string(), "its own trigger has noted each");
}

/// Its own migrations up to one of them, each by itself, as its users apply them.
fn migrated_to(last: &str) -> Application {
    let application = Application::new("procrastinate");
    let python = std::fs::read_dir(application.runner.installed.join("venv/lib")).unwrap().next().unwrap().unwrap();
    let folder = python.path().join("site-packages/procrastinate/sql/migrations");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_wanted = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".sql") && &name[..last.len()] <= last
    };
    let mut migrations: Vec<_> = names.filter(is_wanted).collect();
    migrations.sort();
    assert!(migrations.len() > 20, "{migrations:?}");
    for migration in migrations {
        let mut psql = std::process::Command::new("psql");
        psql.args([&application.database.url, "-qv", "ON_ERROR_STOP=1", "-f"]).arg(migration);
        output(psql);
    }
    application
}

#[test]
fn in_every_version_of_its_schema_what_nobody_has_begun_is_taken_back() {
    for (last, taken) in [
        ("02.00.03", None),
        ("02.05.00", None),
        ("02.06.00", None),
        ("02.14.01", None),
        ("03.00.00_01", Some("cancelled")),
        ("03.00.00_50", Some("cancelled")),
        ("03.01.00_50", Some("cancelled")),
        ("03.02.00_50", Some("cancelled")),
        ("03.03.00_01", Some("cancelled")),
    ] {
        let application = migrated_to(last);
        fill_with_twelve(&application);
        what_nobody_has_begun_is_taken_back_from(&application, taken);
    }
}

#[test]
fn each_is_taken_back_or_carried_out_once() {
    let application = application();
    defer(&application, "steady", &[]);
    multiply(&application.plugin(), &|| all_have_failed(&application));
    let worker = work(&application);
    race(&application.plugin(), worker, &|| application.carried_out());
}

#[test]
fn a_run_that_it_will_try_again_by_itself_is_pending() {
    let application = application();
    defer(&application, "persistent", &[]);
    let attempts = || application.value("SELECT status::text || attempts FROM procrastinate_jobs");
    let mut worker = work(&application);
    worker.until("the first attempt has failed", || (attempts() == "todo1").then_some(()));
    nothing_has_failed(&application);
    worker.stop();
}

#[test]
fn a_queueing_lock_lets_one_run_wait_and_declines_the_next() {
    let application = with_a_failed_run(&["--queueing-lock", "once"]);
    assert_eq!(triggered(&application.rerun_the_failed(&[])), ["flaky"]);
    // Exit status 3 says that some were refused.
    let answer = call(&application.plugin(), &json!({"ids": ["1"]})).unwrap();
    assert_eq!(skipped(&answer), ["1: refused"]);
    assert!(first_detail(&answer).contains("procrastinate_jobs_queueing_lock_idx_v1"), "{answer}");
    let mut worker = work(&application);
    let states = || application.column("SELECT status FROM procrastinate_jobs ORDER BY id");
    worker.until("the new run has succeeded", || (states() == ["failed", "succeeded"]).then_some(()));
    worker.stop();
    assert_eq!(triggered(&application.rerun_the_failed(&[])), ["flaky"]);
}

#[test]
fn a_lock_is_kept_so_that_runs_go_one_after_the_other() {
    let application = with_a_failed_run(&["--lock", "mailbox"]);
    application.rerun_the_failed(&[]);
    assert_eq!(application.column("SELECT lock FROM procrastinate_jobs"), ["mailbox", "mailbox"]);
}

#[test]
fn ids_are_sought_in_its_own_key() {
    let application = application();
    application.client.execute(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, attempts)
         SELECT 'mail', 'task' || n, 'failed', 1 FROM generate_series(1, 120000) AS n",
    );
    let ids: Vec<String> = (1..=9_000).map(|id| id.to_string()).collect();
    ids_go_by_the_key(&application, &ids, "procrastinate_jobs", "procrastinate_jobs_pkey", "one");
}

#[test]
fn check_lists_the_rights_that_a_role_needs() {
    let application = with_a_failed_run(&[]);
    let role = application.role();
    let granted = application.grant_what_check_says(&role);
    assert_eq!(
        granted,
        [
            format!("GRANT SELECT ON public.procrastinate_periodic_defers TO {role}"),
            format!("GRANT SELECT, INSERT ON public.procrastinate_events TO {role}"),
            format!("GRANT SELECT, INSERT, UPDATE ON public.procrastinate_jobs TO {role}"),
            format!("GRANT USAGE ON SEQUENCE public.procrastinate_events_id_seq TO {role}"),
            format!("GRANT USAGE ON SEQUENCE public.procrastinate_jobs_id_seq TO {role}"),
        ]
    );
    let answer = support::runners::rerun_the_failed(&application.database.url_as(&role), &[]);
    assert_eq!(triggered(&answer), ["flaky"]);
}

/// As `batch_defer` leaves them: jobs whose events share one `now()`.
fn with_a_batch_of_twelve() -> Application {
    let application = application();
    fill_with_twelve(&application);
    application
}

fn fill_with_twelve(application: &Application) {
    application.client.execute(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args)
         SELECT 'mail', 'task' || n % 2, json_build_object('n', n) FROM generate_series(1, 24) AS n;
         UPDATE procrastinate_jobs SET status = 'doing', attempts = 1; UPDATE procrastinate_jobs SET status = 'failed'",
    );
}

#[test]
fn of_a_batch_the_job_with_the_highest_number_is_the_newest() {
    let application = with_a_batch_of_twelve();
    assert_eq!(application.value("SELECT count(DISTINCT at) FROM procrastinate_events WHERE type = 'deferred'"), "1");
    assert_eq!(pairs(&application.rerun_the_failed(&[])), ["task0: 24", "task1: 23"]);
    let new = "SELECT args ->> 'n' FROM procrastinate_jobs WHERE status = 'todo' ORDER BY 1";
    assert_eq!(application.column(new), ["23", "24"]);
    // A success with a higher number is newer, and one with a lower is not.
    application.client.execute(
        "DELETE FROM procrastinate_jobs WHERE id > 24; UPDATE procrastinate_jobs SET status = 'succeeded' WHERE id IN (9, 10);
         DELETE FROM procrastinate_jobs WHERE id > 10 AND id % 2 = 0",
    );
    let answer = application.rerun_the_failed(&["--skip-superseded"]);
    assert_eq!((pairs(&answer), skipped(&answer)), (vec!["task1: 23".into()], vec!["8: superseded".into()]));
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
                 CREATE TRIGGER act BEFORE INSERT ON procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION act()"
            ));
            let answer = call(&application.plugin(), &all_failed(json!({"unique_by": unique_by}))).unwrap();
            let expected = if refused { vec!["23: refused".to_owned()] } else { Vec::new() };
            assert_eq!(skipped(&answer), expected, "{act}");
            for run in answer["triggered"].as_array().unwrap() {
                let sql = format!(
                    "SELECT new.id FROM procrastinate_jobs new, procrastinate_jobs old WHERE new.id = {} AND old.id = {}
                     AND new.args::text = old.args::text AND new.task_name = old.task_name AND new.status = 'todo'",
                    run["run_id"].as_str().unwrap(),
                    run["rerun_of"].as_str().unwrap()
                );
                assert_eq!(application.column(&sql).len(), 1, "{act}: {run}");
            }
            let waiting = application.value("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'");
            assert_eq!(waiting, triggered(&answer).len().to_string(), "{act}");
        }
    }
}

/// As `ledger_killed` has it on SQLite: `BULK_RERUN_CASES=10000` makes ten thousand calls.
#[test]
fn every_key_is_done_once_and_the_ledger_has_what_the_store_has() {
    let application = application();
    application.client.execute(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, attempts, args)
         SELECT 'mail', 'task' || n % 7, 'failed', 1, json_build_object('n', n) FROM generate_series(1, 100) AS n",
    );
    assert_eq!(application.plugin().create_ledger(), Ok(true));
    let failed: Vec<String> = (1..=100).map(|id| id.to_string()).collect();
    let (address, count) = (&application.database.url, number(300));
    let answers = Calls { address, failed: &failed, count, is_writing: &|_| false }.make();

    // The server gives no number twice, so those that are missing were rolled back.
    let numbers = "SELECT count(*) || ' of ' || max(number) FROM bulk_rerun.operations";
    println!("operations that were written down and committed: {}", application.value(numbers));
    let keys = "SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM bulk_rerun.operations";
    assert_eq!(application.value(keys), format!("{0} {0}", answers.keys()));
    let ledger = "SELECT concat_ws('|', idempotency_key, task_name, rerun_of, run_id)
                  FROM bulk_rerun.runs JOIN bulk_rerun.operations ON number = operation";
    let new = "SELECT task_name || '|' || id FROM procrastinate_jobs WHERE status = 'todo'";
    answers.agree_with(application.column(ledger), application.column(new));
    assert_eq!(application.value("SELECT count(*) FROM procrastinate_jobs WHERE status <> 'todo'"), "100");
    let others = "SELECT count(*) FROM bulk_rerun.runs JOIN procrastinate_jobs AS source ON source.id::text = rerun_of
                  JOIN procrastinate_jobs AS new ON new.id::text = run_id WHERE new.args::text <> source.args::text";
    assert_eq!(application.value(others), "0");
}
