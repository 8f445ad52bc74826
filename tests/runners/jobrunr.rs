//! JobRunr: an application (tests/runners/jobrunr) whose own server runs what is spawned. A server polls every five seconds,
//! which is as often as it may.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::process::Command;

use bulk_rerun::Config;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::queues::{Application, nothing_has_failed, what_check_says_is_enough_to_undo};
use crate::support::calls::{all_failed, assert_error, call, open_error, skipped, triggered};
use crate::support::runners::{Process, output, rerun_the_failed};
use crate::support::undo::{ByHand, multiply, race, undo};

/// What a task is called: its signature.
fn task(name: &str) -> String {
    format!("App$Tasks.{name}(java.lang.String, org.jobrunr.jobs.context.JobContext)")
}

/// An application on one version of JobRunr.
struct JobRunr {
    application: Application,
    version: &'static str,
}

const NEWEST: &str = "8.7.0";

impl Deref for JobRunr {
    type Target = Application;

    fn deref(&self) -> &Application {
        &self.application
    }
}

/// Quickly there, with one of the versions that are installed (tests/runners/jobrunr/pom.xml).
fn java(application: &JobRunr, arguments: &[&str]) -> Command {
    let built = application.runner.installed.join("target");
    let path =
        format!("{0}/versions/jobrunr-{1}.jar:{0}/classes:{0}/dependency/*", built.display(), application.version);
    let mut java = Command::new("java");
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &path, "App"]).args(arguments);
    application.with_store(java)
}

impl JobRunr {
    fn new() -> JobRunr {
        JobRunr::on(NEWEST)
    }

    fn on(version: &'static str) -> JobRunr {
        JobRunr { application: Application::new("jobrunr"), version }
    }

    /// With one job for each task and note, each of which has failed as JobRunr leaves it.
    fn with_failed(jobs: &[(&str, &str)]) -> JobRunr {
        let application = JobRunr::new();
        jobs.iter().for_each(|(task, note)| drop(application.call(&["enqueue", task, note])));
        application.all_have_failed();
        application
    }

    /// What the application prints last.
    fn call(&self, arguments: &[&str]) -> String {
        output(java(self, arguments)).lines().last().unwrap_or_default().to_owned()
    }

    fn work(&self) -> Process {
        self.start(java(self, &["work"]))
    }

    fn states(&self) -> Vec<String> {
        self.column("SELECT state FROM jobrunr_jobs ORDER BY createdat, id")
    }

    fn rows(&self) -> Vec<String> {
        self.column("SELECT j::text FROM jobrunr_jobs j ORDER BY createdat, id")
    }

    /// The state that a server leaves, without waiting for one.
    fn all_have_failed(&self) {
        self.client.execute(
            "UPDATE jobrunr_jobs SET version = 3, state = 'FAILED', scheduledat = NULL, updatedat = now(), jobasjson = jsonb_set(
                 jsonb_set(jobasjson::jsonb, '{version}', '3'), '{jobHistory}', jobasjson::jsonb -> 'jobHistory' || jsonb_build_array(
                 jsonb_build_object('@class', 'org.jobrunr.jobs.states.ProcessingState', 'state', 'PROCESSING', 'createdAt',
                     '2026-04-15T01:00:00Z', 'updatedAt', '2026-04-15T01:00:00Z', 'serverId', gen_random_uuid(), 'serverName', 's'),
                 jsonb_build_object('@class', 'org.jobrunr.jobs.states.FailedState', 'state', 'FAILED', 'createdAt',
                     '2026-04-15T01:00:01Z', 'message', 'm', 'exceptionType', 'e', 'stackTrace', 's', 'doNotRetry', false)))
             WHERE state <> 'FAILED'",
        );
    }
}

#[test]
fn its_own_server_runs_what_is_spawned() {
    let application = JobRunr::new();
    let source = application.call(&["enqueue", "flaky", "Zoë \"1\" \u{1F389}"]);
    let mut worker = application.work();
    worker.until("the flaky task has failed", || (application.states() == ["FAILED"]).then_some(()));
    application.mend();
    application.call(&["enqueue", "steady", "s"]);
    worker.until("the steady task is done", || (application.states() == ["FAILED", "SUCCEEDED"]).then_some(()));
    let before = application.rows();

    let answer = application.rerun_the_failed(&[]);
    assert_eq!(triggered(&answer), [task("flaky")]);
    assert_eq!(answer["triggered"][0]["rerun_of"], source);
    worker.until("the new run has succeeded", || (application.states().get(2)? == "SUCCEEDED").then_some(()));
    assert_eq!(application.rows()[..2], before, "the old rows are unchanged");
    let new = application.value("SELECT id FROM jobrunr_jobs ORDER BY createdat DESC LIMIT 1");
    assert_eq!(answer["triggered"][0]["run_id"], new);
    assert!(application.carried_out().contains(&new));
    assert!(!application.plugin().describe().unwrap().open_in.is_empty(), "a server is connected");

    // One that is due much later waits, under the server's eyes, while one that is due soon is run.
    let due = |at| call(&application.plugin(), &all_failed(json!({"start_at": at}))).unwrap();
    let much_later = due(Utc::now() + TimeDelta::hours(1));
    assert_eq!(triggered(&application.rerun_the_failed(&["--skip-active"])).len(), 0, "it is pending meanwhile");
    let soon = due(Utc::now() + TimeDelta::seconds(1))["triggered"][0]["run_id"].clone();
    worker.until("the run that was due soon has succeeded", || {
        application.carried_out().iter().any(|id| soon == id.as_str()).then_some(())
    });
    worker.stop();
    let waits = format!(
        "SELECT state FROM jobrunr_jobs WHERE id = '{}'",
        much_later["triggered"][0]["run_id"].as_str().unwrap()
    );
    assert_eq!(application.column(&waits), ["SCHEDULED"]);

    // Nobody works any more: what is spawned waits, and is not spawned twice.
    application.client.execute("DELETE FROM jobrunr_jobs WHERE state = 'SCHEDULED'");
    assert_eq!(triggered(&application.rerun_the_failed(&["--skip-active"])), [task("flaky")]);
    let again = application.rerun_the_failed(&["--skip-active"]);
    assert_eq!((triggered(&again).len(), skipped(&again)), (0, vec![format!("{source}: active")]));
}

/// Their schema is v015, and their JSON has the same parts.
fn an_older_one_runs_what_is_spawned(version: &'static str) {
    let application = JobRunr::on(version);
    application.call(&["enqueue", "flaky", "Zoë \"1\""]);
    let mut worker = application.work();
    worker.until("the flaky task has failed", || (application.states() == ["FAILED"]).then_some(()));
    application.mend();
    assert_eq!(json!(application.plugin().describe().unwrap().schema_version), json!(15));
    // One at once, and one that is due soon.
    let answer = application.rerun_the_failed(&[]);
    let due = Utc::now() + TimeDelta::seconds(1);
    let later = call(&application.plugin(), &all_failed(json!({"start_at": due}))).unwrap();
    worker.until("both new runs have succeeded", || (application.carried_out().len() == 2).then_some(()));
    let new = |answer: &Value| answer["triggered"][0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(BTreeSet::from_iter(application.carried_out()), BTreeSet::from([new(&answer), new(&later)]));
    worker.until("that is written down", || (application.states()[1..] == ["SUCCEEDED", "SUCCEEDED"]).then_some(()));
    worker.stop();
}

#[test]
fn version_7_runs_what_is_spawned() {
    an_older_one_runs_what_is_spawned("7.5.3");
}

#[test]
fn version_6_runs_what_is_spawned() {
    an_older_one_runs_what_is_spawned("6.3.5");
}

/// JobRunr's own JSON of a job, and ours of its copy: they differ in its own life only.
#[test]
fn a_new_run_is_written_as_jobrunr_writes_one() {
    let application = JobRunr::with_failed(&[("flaky", "a\u{1}b")]);
    application.client.execute(
        r#"UPDATE jobrunr_jobs SET jobasjson = replace(replace(jobasjson, '\u0001', '\u0000'), '"jobName"', '"recurringJobId": "r", "number": 1.50E2, "jobName"')"#,
    );
    for options in [json!({}), json!({"start_at": "2100-01-01T12:00:00.5Z"})] {
        assert_eq!(triggered(&call(&application.plugin(), &all_failed(options)).unwrap()), [task("flaky")]);
    }
    let parts = |state: &str| -> Value {
        let json = application.value(&format!("SELECT jobasjson FROM jobrunr_jobs WHERE state = '{state}'"));
        assert!(json.contains("1.50E2") && json.contains(r"a\u0000b"), "{json}");
        serde_json::from_str(&json).unwrap()
    };
    let columns = |state: &str| {
        let sql = format!(
            "SELECT version, recurringjobid IS NULL, createdat = updatedat, scheduledat FROM jobrunr_jobs WHERE state = '{state}'"
        );
        application.client.rows(&sql).remove(0).into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>()
    };
    let mut source = parts("FAILED");
    for (state, scheduled) in [("ENQUEUED", ""), ("SCHEDULED", "2100-01-01 12:00:00.5")] {
        let mut new = parts(state);
        let history = new["jobHistory"].take();
        assert_eq!((history.as_array().unwrap().len(), &history[0]["state"]), (1, &json!(state)));
        if !scheduled.is_empty() {
            assert_eq!(history[0]["scheduledAt"], "2100-01-01T12:00:00.500000Z");
        }
        assert_eq!(
            (&new["version"], &new["metadata"]),
            (&json!(1), &json!({"@class": "java.util.concurrent.ConcurrentHashMap"}))
        );
        assert_eq!(columns(state), ["1", "t", "t", scheduled]);
        for own in ["id", "version", "metadata", "jobHistory", "recurringJobId"] {
            new.as_object_mut().unwrap().remove(own);
            source.as_object_mut().unwrap().remove(own);
        }
        assert_eq!(new, source);
    }
}

#[test]
fn a_run_that_it_will_try_again_by_itself_is_pending() {
    let application = JobRunr::new();
    application.call(&["enqueue", "patient", "p"]);
    let mut worker = application.work();
    worker.until("the first attempt has failed", || (application.states() == ["SCHEDULED"]).then_some(()));
    nothing_has_failed(&application);
    application.mend();
    worker.until("JobRunr has brought it to success", || (application.states() == ["SUCCEEDED"]).then_some(()));
    worker.stop();
    let all = json!({"match_all": true, "filter": {"retries_only": true}, "options": {"dry_run": true}});
    assert_eq!(call(&application.plugin(), &all).unwrap()["matched"], 1);
}

/// Its schedule goes on as before: it waits for its own runs only.
#[test]
fn a_run_of_a_recurring_job_is_started_again_without_its_schedule() {
    let application = JobRunr::new();
    application.call(&["recur", "*/5 * * * * *"]);
    let mut worker = application.work();
    worker.until("it has recurred", || application.carried_out().pop());
    worker.stop();
    application.client.execute("DELETE FROM jobrunr_jobs WHERE state <> 'SUCCEEDED'");
    let of = "SELECT count(*) FILTER (WHERE recurringjobid IS NOT NULL) || ' of ' || count(*) FROM jobrunr_jobs";
    let recurred: usize = application.value("SELECT count(*) FROM jobrunr_jobs").parse().unwrap();
    let request = json!({"match_all": true, "filter": {"triggered_by": "recurring"}});
    assert_eq!(triggered(&call(&application.plugin(), &request).unwrap()), [task("steady")]);
    assert_eq!(application.value(of), format!("{recurred} of {}", recurred + 1));
    assert_eq!(application.column("SELECT state FROM jobrunr_jobs WHERE recurringjobid IS NULL"), ["ENQUEUED"]);
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    let application = JobRunr::with_failed(&[("steady", "1"), ("steady", "2"), ("steady", "3"), ("flaky", "4")]);
    let state = |id: &str, to: &str, past: &str| {
        application.client.execute(&format!(
            "UPDATE jobrunr_jobs SET version = 2, state = '{to}', jobasjson = jsonb_set(jobasjson::jsonb, '{{jobHistory}}',
                 jobasjson::jsonb -> 'jobHistory' || '[{past}]') WHERE id = '{id}'"
        ));
    };
    let begun = r#"{"state": "PROCESSING", "@class": "org.jobrunr.jobs.states.ProcessingState"}"#;
    ByHand {
        plugin: &application.plugin(),
        rows: &|| application.by_id("SELECT id, j::text FROM jobrunr_jobs j"),
        begin: &|id| state(id, "PROCESSING", begun),
        put_off: Some(&|id| state(id, "SCHEDULED", begun)),
        taken: Some("deleted"),
        has_due_time: true,
    }
    .play();
    what_check_says_is_enough_to_undo(&application, "");
}

/// As its own `delete` leaves a job, and so that JobRunr reads it.
#[test]
fn what_is_taken_back_is_as_jobrunrs_own_delete_leaves_it() {
    let application = JobRunr::with_failed(&[("steady", "1")]);
    let plugin = application.plugin();
    plugin.create_ledger().unwrap();
    let answer = call(&plugin, &all_failed(json!({}))).unwrap();
    assert_eq!(undo(&plugin, &answer["operation_id"]).unwrap()["undone"].as_array().unwrap().len(), 1);
    let its_own = application.call(&["enqueue", "steady", "2"]);
    application.call(&["delete", &its_own]);
    let left = application.client.rows(
        "SELECT DISTINCT version, scheduledat, jobasjson::json ->> 'version', (SELECT string_agg(past ->> '@class', ',')
             FROM json_array_elements(jobasjson::json -> 'jobHistory') AS past) FROM jobrunr_jobs WHERE state = 'DELETED'",
    );
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0][0].as_deref(), Some("2"));
}

#[test]
fn each_is_taken_back_or_carried_out_once() {
    let application = JobRunr::with_failed(&[("steady", "1")]);
    multiply(&application.plugin(), &|| application.all_have_failed());
    race(&application.plugin(), application.work(), &|| application.carried_out());
}

#[test]
fn a_version_that_the_profile_does_not_know_is_told_so() {
    let application = JobRunr::new();
    application.call(&["schema", ""]);
    application.client.execute("INSERT INTO jobrunr_migrations VALUES ('x', 'v017__of_a_day_to_come.sql', 'now')");
    assert_error(
        &open_error(&Config::new(&application.database.url)),
        500,
        &["version 17", "the profile jobrunr is for", "--profile"],
    );
}

#[test]
fn check_lists_the_rights_that_a_role_needs() {
    let application = JobRunr::with_failed(&[("steady", "1")]);
    let role = application.role();
    assert_eq!(
        application.grant_what_check_says(&role),
        [
            format!("GRANT SELECT ON public.jobrunr_migrations TO {role}"),
            format!("GRANT SELECT, INSERT, UPDATE ON public.jobrunr_jobs TO {role}"),
        ]
    );
    assert_eq!(triggered(&rerun_the_failed(&application.database.url_as(&role), &[])), [task("steady")]);
}
