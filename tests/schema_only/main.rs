//! Runners whose workers can't be had here, on their own tables: what is spawned is compared with what the runner itself
//! would have queued.

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/queues.rs"]
mod queues;
#[path = "../support/mod.rs"]
mod support;

mod good_job;
mod hangfire;
mod listener;
mod oban_sqlite;
mod que;
mod solid_queue;
mod solid_queue_sqlite;
mod sqlite;

use std::fmt::Write;

use serde_json::{Value, json};

use queues::{Application, what_check_says_is_enough_to_undo};
use support::calls::{all_failed, call, skipped, triggered};
use support::runners::{check, rerun_the_failed};

/// What is special about a runner.
struct Tables<'a> {
    application: &'a Application,
    /// Queues a job, as the runner does it.
    enqueue: &'a str,
    /// Leaves every job as a worker leaves it that gives it up.
    fail: &'a str,
    /// Every row that makes a job, whole, the oldest job first.
    rows: &'a str,
    /// All of a job that is not its own (ids and times), the oldest job first.
    shape: &'a str,
    /// What the task is called in an answer.
    task: &'a str,
}

impl Tables<'_> {
    /// A new run is what the runner itself would have queued, and nothing else is touched.
    fn play(&self) {
        let application = self.application;
        application.client.execute(self.enqueue);
        let queued = application.column(self.shape);
        assert_eq!(queued.len(), 1);
        application.client.execute(self.fail);
        let before = application.column(self.rows);

        assert_eq!(triggered(&application.rerun_the_failed(&["--skip-active"])), [self.task]);
        let after = application.column(self.rows);
        assert_eq!(after[..before.len()], before, "the old rows are unchanged");
        assert_eq!(application.column(self.shape)[1..], queued, "as the runner would have queued it");
        let again = application.rerun_the_failed(&["--skip-active"]);
        assert_eq!((triggered(&again).len(), skipped(&again).len()), (0, 1), "it is pending meanwhile");
        assert_eq!(application.column(self.rows), after);
    }

    /// A role that has what `check` says, and nothing else, may start runs, and take them back.
    fn a_role_needs(&self, rights: &[&str]) {
        let application = self.application;
        let role = application.role();
        let granted = application.grant_what_check_says(&role);
        let expected: Vec<_> = rights.iter().map(|right| format!("GRANT {right} TO {role}")).collect();
        assert_eq!(granted, expected);
        let answer = rerun_the_failed(&application.database.url_as(&role), &[]);
        assert_eq!(triggered(&answer), [self.task]);
    }
}

/// So many jobs that the runner has queued and its worker has given up.
fn with_failed(application: Application, enqueue: &str, fail: &str, count: usize) -> Application {
    (0..count).for_each(|_| application.client.execute(enqueue));
    application.client.execute(fail);
    application
}

/// What the view makes of each run, by its id: `phase end_reason retry_attempt triggered_by`, a dash for what is not there.
fn told(application: &Application, ids: &[&str]) -> Vec<String> {
    let options = json!({"dry_run": true, "unique_by": "run", "with_runs": true});
    let answer = call(&application.plugin(), &json!({"ids": ids, "options": options})).unwrap();
    let groups = ["planned", "skipped"].iter().filter_map(|list| answer[list].as_array()).flatten();
    let runs: Vec<&Value> = groups.map(|group| &group["run"]).collect();
    let tell = |id: &&str| {
        let run = runs.iter().find(|run| run["id"] == **id).unwrap_or_else(|| panic!("{id} is not in {answer}"));
        let word = |field: &str| match &run[field] {
            Value::Null => "-".to_owned(),
            Value::String(word) => word.clone(),
            other => other.to_string(),
        };
        let mut words = word("phase");
        for field in ["end_reason", "retry_attempt", "triggered_by"] {
            write!(words, " {}", word(field)).unwrap();
        }
        words
    };
    ids.iter().map(tell).collect()
}

/// One that is due in the year 2100.
fn due_later(application: &Application) -> Value {
    call(&application.plugin(), &all_failed(json!({"start_at": "2100-01-01T12:00:00.5Z"}))).unwrap()
}

/// `check` says that the runner's own worker was never seen with it.
fn is_told_to_be_schema_only(application: &Application, profile: &str) {
    let found = check(&application.database.url);
    assert_eq!((&found["store"]["profile"], &found["store"]["tried_with"]), (&json!(profile), &json!("schema")));
    assert_eq!(found["store"].get("read_whole_for_an_id"), None, "an id is sought in the key's own index");
    let words =
        "tried      the profile was written for the runner's schema, and tried on that; never with its own worker";
    assert!(application.check_as("postgres").contains(words));
    what_check_says_is_enough_to_undo(application, "");
}
