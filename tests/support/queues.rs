//! Job runners on PostgreSQL: what every one of them has to show, with its own workers.

#![allow(dead_code, reason = "every runner uses some of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bulk_rerun::host::RunnerState;
use bulk_rerun::host::profile::Profile;
use bulk_rerun::{Config, Plugin};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::postgres::{Client, Database, server};
use crate::support::calls::{all_failed, call, skipped, triggered};
use crate::support::runners::{Process, Runner, bulk_rerun, is_active_until, rerun_the_failed, wait_for};
use crate::support::undo::undo;

/// An application of a runner's, with a database of its own.
pub struct Application {
    pub runner: Runner,
    pub database: Database,
    pub client: Client,
    folder: tempfile::TempDir,
}

impl Application {
    pub fn new(runner: &str) -> Application {
        Application::on(Runner::set_up(runner))
    }

    /// The tables of a runner that can't be had here.
    pub fn of_tables(sql: &str) -> Application {
        let application = Application::on(Runner { files: PathBuf::new(), installed: PathBuf::new() });
        application.client.execute(sql);
        application
    }

    fn on(runner: Runner) -> Application {
        let database = server().database();
        let client = database.client();
        Application { runner, database, client, folder: tempfile::tempdir().unwrap() }
    }

    /// A file that its flaky task needs.
    pub fn needed(&self) -> PathBuf {
        self.folder.path().join("needed")
    }

    /// The ids of the runs that its own workers have brought to success.
    pub fn carried_out(&self) -> Vec<String> {
        let notes = fs::read_to_string(self.notes()).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }

    fn notes(&self) -> PathBuf {
        self.folder.path().join("notes")
    }

    /// From now on the flaky task succeeds.
    pub fn mend(&self) {
        fs::write(self.needed(), "").unwrap();
    }

    /// A command of the application's, which finds its store.
    pub fn with_store(&self, mut command: Command) -> Command {
        command.env("STORE", &self.database.url).env("NEEDED", self.needed()).env("NOTES", self.notes());
        command
    }

    /// A worker, or whatever else goes on.
    pub fn start(&self, command: Command) -> Process {
        Process::start(self.with_store(command), &self.folder.path().join("worker.log"))
    }

    pub fn plugin(&self) -> Plugin {
        Plugin::open(&Config::new(&self.database.url)).unwrap()
    }

    pub fn rerun_the_failed(&self, flags: &[&str]) -> Value {
        rerun_the_failed(&self.database.url, flags)
    }

    /// The values of a query's first column.
    #[track_caller]
    pub fn column(&self, sql: &str) -> Vec<String> {
        self.client.rows(sql).into_iter().map(|mut row| row.remove(0).unwrap_or_default()).collect()
    }

    /// Every run, whole, by its id: the two columns of a query.
    #[track_caller]
    pub fn by_id(&self, sql: &str) -> BTreeMap<String, String> {
        let pair = |row: Vec<Option<String>>| {
            let [id, run] = <[_; 2]>::try_from(row).unwrap().map(Option::unwrap);
            (id, run)
        };
        self.client.rows(sql).into_iter().map(pair).collect()
    }

    #[track_caller]
    pub fn value(&self, sql: &str) -> String {
        self.client.value(sql).unwrap_or_default()
    }

    /// The plans of the statements that a call sends, as the server tells them.
    pub fn explain(&self, request: &Value) -> String {
        let log = self.database.server.folder.join("log");
        let mark = fs::metadata(&log).unwrap().len() as usize;
        let url = format!(
            "{}?options=-csession_preload_libraries%3Dauto_explain%20-cauto_explain.log_min_duration%3D0",
            self.database.url
        );
        call(&Plugin::open(&Config::new(&url)).unwrap(), request).unwrap();
        let log = fs::read(&log).unwrap();
        String::from_utf8_lossy(&log[mark..]).into_owned()
    }

    /// What `check` says to a role; its exit status is not looked at.
    pub fn check_as(&self, role: &str) -> String {
        let mut command = bulk_rerun();
        command.args(["check", "--store", &self.database.url_as(role)]);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// A role that may do nothing but log in.
    pub fn role(&self) -> String {
        let role = format!("role_{}", self.database.name);
        self.client.execute(&format!("CREATE ROLE {role} LOGIN"));
        role
    }

    /// Follows what `check` says about missing rights until it says no more, and answers each GRANT.
    pub fn grant_what_check_says(&self, role: &str) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for _ in 0..5 {
            let text = self.check_as(role);
            let grant = |line: &str| {
                let grant = line[line.find("GRANT ")?..].split(';').next()?;
                // A sentence may speak of one.
                grant.contains(" TO ").then(|| grant.to_owned())
            };
            // What lets it see whether a worker is connected, or shorten the ledger, is no right that a re-run needs.
            let needed = |line: &&str| !line.contains("pg_read_all_stats") && !line.starts_with("prune");
            let grants: Vec<String> = text.lines().filter(needed).filter_map(grant).collect();
            if grants.is_empty() {
                assert!(text.contains("writable   yes"), "{text}");
                return all;
            }
            grants.iter().for_each(|grant| self.client.execute(grant));
            all.extend(grants);
        }
        panic!("check is never satisfied: {all:?}")
    }
}

/// A role that has been granted what `check` says, and nothing else, may take a re-run back.
pub fn what_check_says_is_enough_to_undo(application: &Application, attributes: &str) {
    application.plugin().create_ledger().unwrap();
    let role = application.role();
    application.client.execute(&format!("ALTER ROLE {role} LOGIN {attributes}"));
    application.grant_what_check_says(&role);
    let plugin = Plugin::open(&Config::new(application.database.url_as(&role))).unwrap();
    let answer = call(&plugin, &all_failed(json!({"unique_by": "run"}))).unwrap();
    let undone = undo(&plugin, &answer["operation_id"]).unwrap();
    assert_eq!(undone["undone"].as_array().unwrap().len(), triggered(&answer).len(), "{undone}");
}

/// What is special about a runner in the common scenario.
pub struct Scenario<'a> {
    /// Enqueues a run of the flaky, or the steady, task as the runner's users do.
    pub enqueue: &'a dyn Fn(&str),
    /// Its worker.
    pub worker: &'a dyn Fn() -> Process,
    /// Every run: its id, its task, and its state in the runner's own word, in the order of their creation.
    pub states: &'a str,
    /// Every run with all its columns, as text, in the same order.
    pub rows: &'a str,
    /// The words for a run that has failed for good, and for one that has succeeded; `None` where that is deleted.
    pub words: (&'a str, Option<&'a str>),
    /// What the flaky task is called in an answer.
    pub flaky: &'a str,
}

impl Scenario<'_> {
    /// A failed run is started again by `bulk-rerun`, and the runner's own worker brings it to success.
    pub fn play(&self, application: &Application) {
        self.play_with(application, RunnerState::NotSeen, TimeDelta::zero());
    }

    /// The same of a runner whose server stays connected when nobody works any more, what is left is seen as this; and whose
    /// clock may be early by so much.
    pub fn play_with(&self, application: &Application, left: RunnerState, early: TimeDelta) {
        let states = || application.column(&format!("SELECT state FROM ({}) AS run", self.states));
        let (failed, succeeded) = self.words;
        (self.enqueue)("flaky");
        let mut worker = (self.worker)();
        worker.until("the flaky task has failed", || (states() == [failed]).then_some(()));
        application.mend();
        (self.enqueue)("steady");
        let done = |states: &[String], count: usize| match succeeded {
            Some(word) => states.len() == count && states.last().is_some_and(|state| state == word),
            None => states.len() == 1,
        };
        worker.until("the steady task is done", || done(&states(), 2).then_some(()));
        let before = application.column(self.rows);

        let answer = application.rerun_the_failed(&[]);
        assert_eq!(triggered(&answer), [self.flaky]);
        worker.until("the new run has succeeded", || done(&states(), before.len() + 1).then_some(()));
        assert_eq!(application.column(self.rows)[..before.len()], before, "the old rows are unchanged");
        if succeeded.is_some() {
            let newest = format!("SELECT id FROM ({}) AS run", self.states);
            assert_eq!(answer["triggered"][0]["run_id"], application.column(&newest).pop().unwrap().as_str());
        }
        let plugin = application.plugin();
        assert_eq!(plugin.survey().unwrap().passed_over, BTreeMap::new(), "`states` are the view's");
        let state = || plugin.describe().unwrap().runner_state;
        // Of some runners no connection says whose it is.
        let seen_as = Profile::built_in(&plugin.describe().unwrap().profile).unwrap().seen_as;
        let is_told = !(seen_as.application_name.is_empty() && seen_as.query.is_empty());
        let seen = if is_told { RunnerState::Seen } else { RunnerState::Unknown };
        // Between two looks for work some keep no connection.
        wait_for("a worker is connected", || (state() == seen).then_some(()));

        // One that is due later waits, under the worker's eyes.
        let due = Utc::now() + TimeDelta::seconds(3);
        let answer = call(&application.plugin(), &all_failed(json!({"start_at": due, "spread": "1m"}))).unwrap();
        assert_eq!(triggered(&answer), [self.flaky]);
        is_active_until(due - early, &plugin);
        worker.until("the run that was due later has succeeded", || done(&states(), before.len() + 2).then_some(()));
        assert!(Utc::now() >= due - early, "it was begun before it was due");
        worker.stop();
        wait_for("the worker's connections are gone", || (!is_told || state() == left).then_some(()));

        // Nobody works any more: what is spawned waits, and is not spawned twice.
        let source = application.column(&format!("SELECT id FROM ({}) AS run", self.states)).remove(0);
        assert_eq!(triggered(&application.rerun_the_failed(&["--skip-active"])), [self.flaky]);
        let again = application.rerun_the_failed(&["--skip-active"]);
        assert_eq!((triggered(&again).len(), skipped(&again)), (0, vec![format!("{source}: active")]));
    }
}

/// A thousand runs get a new run each, by one statement and with the key's own index; what is no id is not found.
pub fn ids_go_by_the_key(application: &Application, ids: &[String], table: &str, index: &str, no_id: &str) {
    application.client.execute("ANALYZE");
    for request in [
        // Of more it may cost less to read all runs once, which is the planner's to say (tests/postgres/ids.rs).
        json!({"ids": ids[..1_000], "options": {"dry_run": true}}),
        json!({"ids": ids[..1_000], "options": {"unique_by": "run"}}),
    ] {
        let plans = application.explain(&request);
        // The ids themselves would fill the screen.
        let steps: String =
            plans.lines().filter(|line| line.contains("Scan")).map(|line| format!("{line:.200}\n")).collect();
        assert!(!steps.contains(&format!("Seq Scan on {table} ")), "{steps:.9000}");
        assert!(steps.contains(index), "{index} is not used: {steps:.9000}");
    }
    assert_eq!(application.plugin().describe().unwrap().read_whole_for_an_id, [""; 0]);
    let answer = call(&application.plugin(), &json!({"ids": [no_id]})).unwrap();
    assert_eq!(answer["skipped"], json!([{"run_id": no_id, "reason": "not_found"}]));
}

/// Runs that their runner will try again by itself are not failed.
pub fn nothing_has_failed(application: &Application) {
    assert_eq!(application.plugin().survey().unwrap().passed_over, BTreeMap::new(), "`states` are the view's");
    assert_eq!(call(&application.plugin(), &all_failed(json!({"dry_run": true}))).unwrap()["matched"], 0);
    let pending = json!({"match_all": true, "filter": {"status": "pending"}, "options": {"dry_run": true}});
    assert_eq!(call(&application.plugin(), &pending).unwrap()["matched"], 1);
}
