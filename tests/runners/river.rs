//! River on PostgreSQL: an application (tests/runners/river) whose own clients run what is spawned.

use std::ops::Deref;
use std::process::Command;

use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

use crate::queues::{Application, Scenario, ids_go_by_the_key, nothing_has_failed, what_check_says_is_enough_to_undo};
use crate::support;
use crate::support::calls::{all_failed, call, pairs, skipped, triggered};
use crate::support::runners::{Process, output};
use crate::support::undo::{ByHand, multiply, race, undo};

const STATES: &str = "SELECT id, kind, state FROM river_job ORDER BY id";
const ROWS: &str = "SELECT job::text FROM river_job AS job ORDER BY id";

/// A client looks for runs by itself so seldom that it has to be woken.
const ONLY_LISTENS: u32 = 3_600_000;

/// An application on one version of River.
struct River {
    application: Application,
    /// The program of that version.
    program: &'static str,
    schema: &'static str,
}

impl Deref for River {
    type Target = Application;

    fn deref(&self) -> &Application {
        &self.application
    }
}

const NEWEST: &str = "app";
const OLDER: &str = "app-v0.31";

impl River {
    /// With the schema as a migration of River's leaves it.
    fn migrated(program: &'static str, schema: &'static str, migration: &str) -> River {
        let river = River { application: Application::new("river"), program, schema };
        river.client.execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"));
        output(river.command(&["install", migration]));
        river
    }

    fn new() -> River {
        River::migrated(NEWEST, "public", "8")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.runner.installed.join(self.program));
        command.args(arguments).env("SCHEMA", self.schema);
        self.with_store(command)
    }

    /// Enqueues a run, as River's users do, and answers its id.
    fn add(&self, kind: &str, options: &Value) -> String {
        output(self.command(&["add", kind, r#"{"note": "Zoë \"1\""}"#, &options.to_string()]))
    }

    fn work(&self, how: &Value) -> Process {
        self.start(self.command(&["work", &how.to_string()]))
    }

    fn states(&self) -> Vec<String> {
        self.column(&format!("SELECT state FROM {}.river_job ORDER BY id", self.schema))
    }

    fn set(&self, id: &str, to: &str) {
        self.client.execute(&format!("UPDATE river_job SET {to} WHERE id = {id}"));
    }

    /// As River's own client leaves them when it gives them up.
    fn all_have_failed(&self) {
        self.client.execute(
            "UPDATE river_job SET state = 'discarded', attempt = max_attempts, attempted_at = now(), finalized_at = now()",
        );
    }
}

fn its_own_client_runs_what_is_spawned(program: &'static str, migration: &str) {
    let river = River::migrated(program, "public", migration);
    let options = json!({
        "max_attempts": 1, "priority": 3, "queue": "mail", "tags": ["one", "two"], "metadata": {"by": "Zoë"},
    });
    let enqueue = |task: &str| drop(river.add(task, &options));
    let worker = || river.work(&json!({"queues": ["mail"]}));
    let words = ("discarded", Some("completed"));
    let scenario = Scenario { enqueue: &enqueue, worker: &worker, states: STATES, rows: ROWS, words, flaky: "flaky" };
    scenario.play(&river);
    // A failed run, two that succeeded, and one that waits: they differ in nothing but their own lives.
    let lives = "id,state,attempt,attempted_at,attempted_by,created_at,scheduled_at,finalized_at,errors,metadata";
    let kept = format!(
        "SELECT DISTINCT metadata - 'river:unique_nonce', to_jsonb(job) - '{{{lives}}}'::text[]
         FROM river_job AS job WHERE kind = 'flaky'"
    );
    assert_eq!(river.client.rows(&kept).len(), 1, "{:?}", river.client.rows(&kept));
    let metadata = "SELECT metadata - 'trace' FROM river_job WHERE state = 'available'";
    assert_eq!(river.column(metadata), [r#"{"by": "Zoë"}"#]);
}

#[test]
fn the_newest_runs_what_is_spawned() {
    its_own_client_runs_what_is_spawned(NEWEST, "8");
}

#[test]
fn an_older_one_runs_what_is_spawned() {
    its_own_client_runs_what_is_spawned(OLDER, "6");
}

#[test]
fn what_nobody_has_begun_is_taken_back_in_every_version() {
    for migration in ["2", "3", "4", "5", "6", "7", "8"] {
        let river = River::migrated(NEWEST, "public", migration);
        river.client.execute(
            "INSERT INTO river_job (kind, args, max_attempts) SELECT 'mail', '{}', 2 FROM generate_series(1, 5)",
        );
        river.all_have_failed();
        ByHand {
            plugin: &river.plugin(),
            rows: &|| river.by_id("SELECT id, job::text FROM river_job AS job"),
            begin: &|id| river.set(id, "state = 'running', attempt = 1, attempted_at = now()"),
            put_off: Some(&|id| river.set(id, "state = 'retryable', attempt = 1, attempted_at = now()")),
            taken: Some("cancelled"),
            has_due_time: true,
        }
        .play();
        if migration == "8" {
            what_check_says_is_enough_to_undo(&river, "");
        }
    }
}

#[test]
fn what_is_taken_back_is_as_its_own_cancel_leaves_it() {
    let river = River::new();
    let options = json!({"metadata": {"by": "Zoë"}});
    river.add("steady", &options);
    river.all_have_failed();
    let plugin = river.plugin();
    plugin.create_ledger().unwrap();
    let answer = call(&plugin, &all_failed(json!({}))).unwrap();
    let new = answer["triggered"][0]["run_id"].as_str().unwrap();
    undo(&plugin, &answer["operation_id"]).unwrap();
    let other = river.add("steady", &options);
    output(river.command(&["cancel", &other]));
    let lives = "id,created_at,scheduled_at,finalized_at,metadata";
    let left = format!(
        "SELECT DISTINCT to_jsonb(job) - '{{{lives}}}'::text[], metadata - '{{river:unique_nonce,cancel_attempted_at}}'::text[],
                (metadata ->> 'cancel_attempted_at')::timestamptz > now() - interval '1 minute'
         FROM river_job AS job WHERE state = 'cancelled'"
    );
    assert_eq!(river.client.rows(&left).len(), 1, "{:?}", river.client.rows(&left));

    // River itself can still start it.
    output(river.command(&["retry", new]));
    let mut client = river.work(&json!({}));
    client.until("it is done", || (river.states() == ["discarded", "completed", "cancelled"]).then_some(()));
}

#[test]
fn each_is_taken_back_or_carried_out_once() {
    let river = River::new();
    river.add("steady", &json!({}));
    multiply(&river.plugin(), &|| river.all_have_failed());
    let client = river.work(&json!({"poll_ms": 20, "workers": 2}));
    race(&river.plugin(), client, &|| river.carried_out());
}

/// A snooze takes its attempt back, but what the run has done is done.
#[test]
fn what_has_snoozed_is_not_taken_back() {
    let river = River::new();
    river.add("snoozing", &json!({}));
    river.all_have_failed();
    let plugin = river.plugin();
    plugin.create_ledger().unwrap();
    let answer = call(&plugin, &all_failed(json!({}))).unwrap();
    let mut client = river.work(&json!({}));
    client.until("it has snoozed", || (river.states() == ["discarded", "scheduled"]).then_some(()));
    assert_eq!(river.value("SELECT attempt FROM river_job WHERE state = 'scheduled'"), "0");
    let undone = undo(&plugin, &answer["operation_id"]).unwrap();
    assert_eq!((&undone["undone"], &undone["kept"][0]["phase"]), (&json!([]), &json!("pending")), "{undone}");

    // How often a run has snoozed is no part of another one.
    river.client.execute("UPDATE river_job SET state = 'discarded', finalized_at = now() WHERE id = 2");
    assert_eq!(river.value("SELECT metadata ->> 'snoozes' FROM river_job WHERE id = 2"), "1");
    assert_eq!(pairs(&river.rerun_the_failed(&[])), ["snoozing: 2"]);
    assert_eq!(river.value("SELECT metadata - 'trace' FROM river_job WHERE id = 3"), "{}");
}

#[test]
fn a_run_that_it_will_try_again_by_itself_is_pending() {
    let river = River::new();
    river.add("flaky", &json!({"max_attempts": 3}));
    let mut client = river.work(&json!({}));
    client.until("the first attempt has failed", || (river.states() == ["retryable"]).then_some(()));
    client.stop();
    nothing_has_failed(&river);
}

fn a_client_that_only_listens_is_woken(program: &'static str, migration: &str, schema: &'static str) {
    let river = River::migrated(program, schema, migration);
    river.add("flaky", &json!({"max_attempts": 1}));
    let mut client = river.work(&json!({"poll_ms": ONLY_LISTENS}));
    client.until("the run has failed", || (river.states() == ["discarded"]).then_some(()));
    river.mend();
    let url = format!("{}?options=-csearch_path%3D{schema}", river.database.url);
    let plugin = Plugin::open(&Config::new(&url)).unwrap();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), ["flaky"]);
    client.until("the new run has succeeded", || (river.states() == ["discarded", "completed"]).then_some(()));
    client.stop();
}

#[test]
fn the_newests_client_that_only_listens_is_woken() {
    a_client_that_only_listens_is_woken(NEWEST, "8", "public");
}

#[test]
fn the_olders_client_that_only_listens_is_woken() {
    a_client_that_only_listens_is_woken(OLDER, "6", "public");
}

#[test]
fn a_schema_of_its_own_is_found_and_its_clients_are_woken() {
    a_client_that_only_listens_is_woken(NEWEST, "8", "jobs");
}

/// What is unique is so beside a run that is over, too.
#[test]
fn what_makes_a_run_unique_is_not_copied() {
    let river = River::new();
    let unique = json!({"unique": true, "max_attempts": 1});
    let id = river.add("flaky", &unique);
    river.mend();
    let mut client = river.work(&json!({}));
    client.until("it is done", || (river.states() == ["completed"]).then_some(()));
    assert_eq!(river.add("flaky", &unique), id, "River itself should have told its second use");
    let answer = call(&river.plugin(), &json!({ "ids": [id] })).unwrap();
    assert_eq!(triggered(&answer), ["flaky"]);
    client.until("the new run is done", || (river.states() == ["completed", "completed"]).then_some(()));
    let keys = "SELECT unique_key IS NULL, unique_states IS NULL FROM river_job ORDER BY id";
    let [old, new] = <[_; 2]>::try_from(river.client.rows(keys)).unwrap();
    assert_eq!((old[0].as_deref(), new[0].as_deref(), new[1].as_deref()), (Some("f"), Some("t"), Some("t")));
}

#[test]
fn a_run_of_the_schedule_is_told_and_a_re_run_is_none() {
    let river = River::new();
    let mut client = river.work(&json!({"periodic": "steady"}));
    client.until("it has run by itself", || (river.states() == ["completed"]).then_some(()));
    client.stop();
    let all = json!({"match_all": true, "filter": {"triggered_by": "periodic"}, "options": {"unique_by": "run"}});
    assert_eq!(pairs(&call(&river.plugin(), &all).unwrap()), ["steady: 1"]);
    assert_eq!(pairs(&call(&river.plugin(), &all).unwrap()), ["steady: 1"], "the re-run is no run of the schedule");
    assert_eq!(river.value("SELECT metadata - 'trace' FROM river_job WHERE id = 2"), "{}");
}

#[test]
fn a_re_run_begins_with_the_first_step() {
    let river = River::new();
    river.add("stepwise", &json!({"max_attempts": 1}));
    let mut client = river.work(&json!({}));
    client.until("its second step has failed", || (river.states() == ["discarded"]).then_some(()));
    assert_eq!(river.value("SELECT metadata ->> 'river:resumable_step' FROM river_job"), "first");
    river.mend();
    river.rerun_the_failed(&[]);
    client.until("the new run is done", || (river.states() == ["discarded", "completed"]).then_some(()));
    assert_eq!(river.carried_out(), ["the first step of 1", "the first step of 2", "2"]);
}

/// River notes in a run's metadata that it was asked to cancel it, and heeds that after each attempt.
#[test]
fn a_re_run_of_a_cancelled_run_is_tried_again_when_it_fails() {
    let river = River::new();
    let id = river.add("slow", &json!({}));
    let mut client = river.work(&json!({}));
    client.until("it runs", || (river.states() == ["running"]).then_some(()));
    output(river.command(&["cancel", &id]));
    client.until("it is cancelled", || (river.states() == ["cancelled"]).then_some(()));
    river.mend();
    let cancelled = json!({"match_all": true, "filter": {"status": "cancelled"}});
    assert_eq!(triggered(&call(&river.plugin(), &cancelled).unwrap()), ["slow"]);
    client.until("its first attempt has failed", || (river.states() == ["cancelled", "retryable"]).then_some(()));
}

#[test]
fn a_re_run_in_a_paused_queue_waits() {
    let river = River::new();
    river.add("steady", &json!({"queue": "mail"}));
    river.all_have_failed();
    let work = || river.work(&json!({"queues": ["mail", "default"], "poll_ms": 50}));
    // A client makes its queues known, and asks when it starts whether they are paused.
    let mut client = work();
    client.until("its queues are known", || (river.value("SELECT count(*) FROM river_queue") == "2").then_some(()));
    client.stop();
    output(river.command(&["pause", "mail"]));
    let mut client = work();
    assert_eq!(triggered(&river.rerun_the_failed(&[])), ["steady"]);
    river.add("steady", &json!({}));
    client.until("the other queue goes on", || (river.states()[2] == "completed").then_some(()));
    assert_eq!(river.states(), ["discarded", "available", "completed"]);
    output(river.command(&["resume", "mail"]));
    client.until("the new run is done", || (river.states()[1] == "completed").then_some(()));
}

/// A run of a workflow or of a sequence is a part of it: a copy would be counted twice, or waited for in vain.
#[test]
fn a_run_that_belongs_to_a_workflow_or_a_sequence_is_left_to_river_itself() {
    let river = River::new();
    for (kind, metadata) in [
        ("in_a_workflow", json!({"workflow_id": "w-1", "task": "step"})),
        ("in_a_sequence", json!({"seq_key": "s-1"})),
        ("plain", json!({"by": "Zoë", "output": 7, "river:log": [], "unique_key_conflict": "scheduler_discarded"})),
    ] {
        let values = format!("('{kind}', '{{}}', '{metadata}', 'discarded', now(), 1, 1)");
        river.client.execute(&format!(
            "INSERT INTO river_job (kind, args, metadata, state, finalized_at, attempt, max_attempts) VALUES {values}"
        ));
    }
    let answer = call(&river.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!((triggered(&answer), skipped(&answer)), (vec!["plain"], vec!["2: refused".into(), "1: refused".into()]));
    assert!(answer["skipped"][0]["detail"].as_str().unwrap().contains("sequence"), "{answer}");
    let metadata = "SELECT metadata - 'trace' FROM river_job WHERE state = 'available'";
    assert_eq!(river.column(metadata), [r#"{"by": "Zoë"}"#], "what River noted of the old run is not copied");
}

#[test]
fn ids_are_sought_in_its_own_key() {
    let river = River::new();
    river.client.execute(
        "INSERT INTO river_job (kind, args, state, finalized_at) SELECT 'k' || n, '{}', 'discarded', now()
         FROM generate_series(1, 120000) AS n",
    );
    let ids: Vec<String> = (1..=9_000).map(|id| id.to_string()).collect();
    ids_go_by_the_key(&river, &ids, "river_job", "river_job_pkey", "١");
}

#[test]
fn check_lists_the_rights_that_a_role_needs() {
    let river = River::new();
    river.add("flaky", &json!({}));
    river.all_have_failed();
    let role = river.role();
    assert_eq!(
        river.grant_what_check_says(&role),
        [
            format!("GRANT SELECT, INSERT, UPDATE ON public.river_job TO {role}"),
            format!("GRANT USAGE ON SEQUENCE public.river_job_id_seq TO {role}"),
        ]
    );
    let answer = support::runners::rerun_the_failed(&river.database.url_as(&role), &[]);
    assert_eq!(triggered(&answer), ["flaky"]);
}

/// Ids that a statement promises are not those of rows, where a trigger has its own mind.
#[test]
fn what_a_trigger_swallows_or_renames_is_not_answered_as_promised() {
    for (act, refused) in [("RETURN NULL;", true), ("NEW.id := 7777;", false)] {
        let river = River::new();
        river.client.execute(&format!(
            "INSERT INTO river_job (kind, args, state, finalized_at, created_at)
                 SELECT 'k' || n % 2, json_build_object('n', n), 'discarded', now(), '2026-04-15 12:00:00' FROM generate_series(1, 24) AS n;
             CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.args ->> 'n' = '23' THEN {act} END IF; RETURN NEW; END $$;
             CREATE TRIGGER act BEFORE INSERT ON river_job FOR EACH ROW EXECUTE FUNCTION act()"
        ));
        let answer = call(&river.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
        let expected = if refused { vec!["23: refused".to_owned()] } else { Vec::new() };
        assert_eq!(skipped(&answer), expected, "{act}");
        for run in answer["triggered"].as_array().unwrap() {
            let sql = format!(
                "SELECT new.id FROM river_job new JOIN river_job old USING (kind, args)
                 WHERE new.id = {} AND old.id = {} AND new.state = 'available'",
                run["run_id"].as_str().unwrap(),
                run["rerun_of"].as_str().unwrap()
            );
            assert_eq!(river.column(&sql).len(), 1, "{act}: {run}");
        }
        let waiting = river.value("SELECT count(*) FROM river_job WHERE state = 'available'");
        assert_eq!(waiting, triggered(&answer).len().to_string(), "{act}");
    }
}
