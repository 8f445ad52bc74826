//! River on SQLite: an application (tests/runners/river) whose own clients run what is spawned.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bulk_rerun::Plugin;
use chrono::{SubsecRound, TimeDelta, Utc};
use rusqlite::types::Value as Column;
use serde_json::{Value, json};

use crate::support::calls::{all_failed, call, open, pairs, rows, skipped, triggered};
use crate::support::fast_folder;
use crate::support::runners::{Process, Runner, check, is_active_until, output, rerun_the_failed, schema};
use crate::support::undo::{ByHand, multiply, race, undo};

const JOBS: &str = "SELECT * FROM river_job ORDER BY id";

/// An application on one version of River, with a store of its own.
struct River {
    runner: Runner,
    folder: tempfile::TempDir,
    /// The program of that version.
    program: &'static str,
}

const NEWEST: &str = "app";
/// Its JSON is text.
const OLDER: &str = "app-v0.31";

impl River {
    /// With the schema as a migration of River's leaves it.
    fn migrated(program: &'static str, migration: &str) -> River {
        let river = River { runner: Runner::set_up("river"), folder: fast_folder(), program };
        output(river.command(&["install", migration]));
        river
    }

    fn new() -> River {
        River::migrated(NEWEST, "8")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.runner.installed.join(self.program));
        command.args(arguments).env("STORE", self.store());
        command.env("NEEDED", self.needed()).env("NOTES", self.folder.path().join("notes"));
        command
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("river.db")
    }

    fn plugin(&self) -> Plugin {
        open(&self.store())
    }

    fn execute(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.store()).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    /// A file that its flaky jobs need.
    fn needed(&self) -> PathBuf {
        self.folder.path().join("needed")
    }

    fn mend(&self) {
        fs::write(self.needed(), "").unwrap();
    }

    /// The ids of the runs that its clients have brought to success.
    fn carried_out(&self) -> Vec<String> {
        let notes = fs::read_to_string(self.folder.path().join("notes")).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }

    /// Enqueues a run, as River's users do, and answers its id.
    fn add(&self, kind: &str, options: &Value) -> String {
        output(self.command(&["add", kind, r#"{"note": "Zoë \"1\""}"#, &options.to_string()]))
    }

    fn work(&self, how: &Value) -> Process {
        Process::start(self.command(&["work", &how.to_string()]), &self.folder.path().join("client.log"))
    }

    fn jobs(&self) -> Vec<Vec<Column>> {
        rows(&self.store(), JOBS)
    }

    /// One column of every run, as text.
    fn texts(&self, column: &str) -> Vec<String> {
        let sql = format!("SELECT coalesce({column}, '') || '' FROM river_job ORDER BY id");
        let text =
            |row: Vec<Column>| if let [Column::Text(text)] = &row[..] { text.clone() } else { panic!("{row:?}") };
        rows(&self.store(), &sql).into_iter().map(text).collect()
    }

    fn states(&self) -> Vec<String> {
        self.texts("state")
    }

    fn rerun_the_failed(&self, flags: &[&str]) -> Value {
        rerun_the_failed(self.store().to_str().unwrap(), flags)
    }

    /// As River's own client leaves them when it gives them up.
    fn all_have_failed(&self) {
        let now = "strftime('%Y-%m-%d %H:%M:%f', 'now')";
        self.execute(&format!(
            "UPDATE river_job SET state = 'discarded', attempt = max_attempts, attempted_at = {now}, finalized_at = {now}"
        ));
    }
}

/// In each of the two forms that its JSON has had.
const FORMS: [(&str, &str, &str); 3] = [(NEWEST, "8", "blob"), (NEWEST, "7", "blob"), (OLDER, "6", "text")];

#[test]
fn its_own_client_runs_what_is_spawned() {
    for (program, migration, form) in FORMS {
        let river = River::migrated(program, migration);
        let options = json!({
            "max_attempts": 1, "priority": 3, "queue": "mail", "tags": ["one", "two"], "metadata": {"by": "Zoë"},
        });
        river.add("flaky", &options);
        let mut client = river.work(&json!({"queues": ["mail"], "poll_ms": 50}));
        client.until("the flaky job has failed", || (river.states() == ["discarded"]).then_some(()));
        river.add("steady", &options);
        client.until("the steady job is done", || (river.states() == ["discarded", "completed"]).then_some(()));
        river.mend();
        let before = river.jobs();

        let answer = river.rerun_the_failed(&[]);
        assert_eq!((triggered(&answer), &answer["triggered"][0]["rerun_of"]), (vec!["flaky"], &json!("1")));
        client.until("the new run is done", || (river.states()[2..] == ["completed"]).then_some(()));
        assert_eq!(river.jobs()[..2], before, "the old rows are unchanged");
        assert_eq!(river.carried_out(), ["2", "3"]);
        let check = check(river.store().to_str().unwrap());
        assert_eq!(check["store"]["open_in"][0]["name"], program, "{check}");

        // Its times are texts, compared as such.
        let due = Utc::now().trunc_subsecs(0) + TimeDelta::milliseconds(3_250);
        let answer = call(&river.plugin(), &all_failed(json!({"start_at": due}))).unwrap();
        assert_eq!(triggered(&answer), ["flaky"]);
        assert_eq!(river.texts("scheduled_at")[3], due.format("%Y-%m-%d %H:%M:%S%.3f").to_string());
        is_active_until(due, &river.plugin());
        client.until("the run that was due later is done", || (river.states()[3] == "completed").then_some(()));
        assert!(Utc::now() >= due, "it was begun before it was due");
        assert!(client.stop().success());

        assert_eq!(skipped(&river.rerun_the_failed(&["--skip-superseded"])), ["1: superseded"]);
        assert_eq!(triggered(&river.rerun_the_failed(&["--skip-active"])), ["flaky"]);
        let again = river.rerun_the_failed(&["--skip-active"]);
        assert_eq!((triggered(&again).len(), skipped(&again)), (0, vec!["1: active".to_owned()]));

        // A failed run, two that succeeded, and one that waits: they differ in nothing but their own lives.
        let kept =
            "SELECT DISTINCT hex(args), json_remove(metadata, '$.\"river:unique_nonce\"'), hex(tags), queue, priority,
                        max_attempts, length(created_at), typeof(metadata), typeof(args), typeof(tags)
                    FROM river_job WHERE kind = 'flaky'";
        let kept = rows(&river.store(), kept);
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(kept[0][7], Column::Text(form.to_owned()));
    }
}

#[test]
fn the_schema_that_other_tests_use_is_the_real_one() {
    let ours = rusqlite::Connection::open_in_memory().unwrap();
    ours.execute_batch(include_str!("../support/schemas/river-sqlite-6.sql")).unwrap();
    let river = River::migrated(OLDER, "6");
    let real = rusqlite::Connection::open(river.store()).unwrap();
    assert_eq!(schema(&ours, "river_migration"), schema(&real, "river_migration"));
}

#[test]
fn what_nobody_has_begun_is_taken_back() {
    for (program, migration, _) in FORMS {
        let river = River::migrated(program, migration);
        (0..4).for_each(|_| drop(river.add("steady", &json!({"max_attempts": 2}))));
        river.all_have_failed();
        let set = |id: &str, to: &str| river.execute(&format!("UPDATE river_job SET {to} WHERE id = {id}"));
        ByHand {
            plugin: &river.plugin(),
            rows: &|| {
                let ids = river.texts("id").into_iter();
                ids.zip(river.jobs()).map(|(id, job)| (id, format!("{job:?}"))).collect::<BTreeMap<_, _>>()
            },
            begin: &|id| set(id, "state = 'running', attempt = 1, attempted_at = '2026-04-15 12:00:00.000'"),
            put_off: Some(&|id| set(id, "state = 'retryable', attempt = 1")),
            taken: Some("cancelled"),
            has_due_time: true,
        }
        .play();
    }
}

#[test]
fn what_is_taken_back_is_as_its_own_cancel_leaves_it() {
    for (program, migration, form) in FORMS {
        let river = River::migrated(program, migration);
        river.add("steady", &json!({}));
        river.all_have_failed();
        let plugin = river.plugin();
        plugin.create_ledger().unwrap();
        let answer = call(&plugin, &all_failed(json!({}))).unwrap();
        undo(&plugin, &answer["operation_id"]).unwrap();
        let other = river.add("steady", &json!({}));
        output(river.command(&["cancel", &other]));
        let left = "SELECT DISTINCT json_remove(metadata, '$.\"river:unique_nonce\"', '$.cancel_attempted_at'), typeof(metadata),
                        datetime(json_extract(metadata, '$.cancel_attempted_at')) > datetime('now', '-1 minute'),
                        datetime(substr(finalized_at, 1, 23)) > datetime('now', '-1 minute'), attempt, attempted_at, attempted_by, errors
                    FROM river_job WHERE state = 'cancelled'";
        let left = rows(&river.store(), left);
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(left[0][1..4], [Column::Text(form.to_owned()), Column::Integer(1), Column::Integer(1)]);

        // River itself can still start it.
        output(river.command(&["retry", "2"]));
        let mut client = river.work(&json!({"poll_ms": 50}));
        let expected = ["discarded", "completed", "cancelled"];
        client.until("it is done", || (river.states() == expected).then_some(()));
    }
}

/// Before migration 8 SQLite gives the highest id again once its row is gone.
#[test]
fn the_id_of_a_run_that_was_taken_back_is_not_given_again() {
    for (program, migration, _) in FORMS {
        let river = River::migrated(program, migration);
        river.add("steady", &json!({}));
        river.all_have_failed();
        let plugin = river.plugin();
        plugin.create_ledger().unwrap();
        for expected in ["2", "3", "4"] {
            let answer = call(&plugin, &all_failed(json!({}))).unwrap();
            assert_eq!(answer["triggered"][0]["run_id"], expected);
            undo(&plugin, &answer["operation_id"]).unwrap();
        }
        river.execute("DELETE FROM river_job WHERE id = 4");
        assert_eq!(river.add("steady", &json!({})), if migration == "8" { "5" } else { "4" });
    }
}

#[test]
fn each_is_taken_back_or_carried_out_once() {
    let river = River::new();
    river.add("steady", &json!({}));
    multiply(&river.plugin(), &|| river.all_have_failed());
    race(&river.plugin(), river.work(&json!({"poll_ms": 10, "workers": 2})), &|| river.carried_out());
}

/// A snooze takes its attempt back, but what the run has done is done.
#[test]
fn what_has_snoozed_is_not_taken_back() {
    for (program, migration, _) in FORMS {
        let river = River::migrated(program, migration);
        river.add("snoozing", &json!({}));
        river.all_have_failed();
        let plugin = river.plugin();
        plugin.create_ledger().unwrap();
        let answer = call(&plugin, &all_failed(json!({}))).unwrap();
        let mut client = river.work(&json!({"poll_ms": 50}));
        client.until("it has snoozed", || (river.states() == ["discarded", "scheduled"]).then_some(()));
        assert_eq!(river.texts("attempt")[1], "0");
        let undone = undo(&plugin, &answer["operation_id"]).unwrap();
        assert_eq!((&undone["undone"], &undone["kept"][0]["phase"]), (&json!([]), &json!("pending")), "{undone}");
        client.stop();

        // How often a run has snoozed is no part of another one.
        river.all_have_failed();
        assert_eq!(pairs(&river.rerun_the_failed(&[])), ["snoozing: 2"]);
        assert_eq!(river.texts("json_extract(metadata, '$.snoozes')")[1..], ["1", ""]);
    }
}

#[test]
fn a_run_that_it_will_try_again_by_itself_is_pending() {
    let river = River::new();
    river.add("flaky", &json!({"max_attempts": 3}));
    let mut client = river.work(&json!({"poll_ms": 50}));
    client.until("the first attempt has failed", || (river.states() == ["retryable"]).then_some(()));
    client.stop();
    assert_eq!(call(&river.plugin(), &all_failed(json!({"dry_run": true}))).unwrap()["matched"], 0);
    let pending = json!({"match_all": true, "filter": {"status": "pending"}, "options": {"skip_active": true}});
    assert_eq!(skipped(&call(&river.plugin(), &pending).unwrap()), ["1: active"]);
}

/// What is unique is so beside a run that is over, too.
#[test]
fn what_makes_a_run_unique_is_not_copied() {
    let river = River::new();
    let unique = json!({"unique": true, "max_attempts": 1});
    let id = river.add("flaky", &unique);
    river.mend();
    let mut client = river.work(&json!({"poll_ms": 50}));
    client.until("it is done", || (river.states() == ["completed"]).then_some(()));
    assert_eq!(river.add("flaky", &unique), id, "River itself should have told its second use");
    assert_eq!(triggered(&call(&river.plugin(), &json!({ "ids": [id] })).unwrap()), ["flaky"]);
    client.until("the new run is done", || (river.states() == ["completed", "completed"]).then_some(()));
    assert_eq!(river.texts("typeof(unique_key) || ' ' || typeof(unique_states)"), ["blob integer", "null null"]);
}

#[test]
fn a_run_of_the_schedule_is_told_and_a_re_run_is_none() {
    for (program, migration, _) in FORMS {
        let river = River::migrated(program, migration);
        let mut client = river.work(&json!({"periodic": "steady", "poll_ms": 50}));
        client.until("it has run by itself", || (river.states() == ["completed"]).then_some(()));
        client.stop();
        let all = json!({"match_all": true, "filter": {"triggered_by": "periodic"}, "options": {"unique_by": "run"}});
        assert_eq!(pairs(&call(&river.plugin(), &all).unwrap()), ["steady: 1"]);
        assert_eq!(pairs(&call(&river.plugin(), &all).unwrap()), ["steady: 1"], "the re-run is no run of the schedule");
        assert_eq!(river.texts("json(metadata)")[1], "{}");
    }
}

#[test]
fn a_re_run_begins_with_the_first_step() {
    let river = River::new();
    river.add("stepwise", &json!({"max_attempts": 1}));
    let mut client = river.work(&json!({"poll_ms": 50}));
    client.until("its second step has failed", || (river.states() == ["discarded"]).then_some(()));
    assert_eq!(river.texts("metadata ->> '$.\"river:resumable_step\"'"), ["first"]);
    river.mend();
    river.rerun_the_failed(&[]);
    client.until("the new run is done", || (river.states() == ["discarded", "completed"]).then_some(()));
    assert_eq!(river.carried_out(), ["the first step of 1", "the first step of 2", "2"]);
}

/// River notes in a run's metadata that it was asked to cancel it, and heeds that after each attempt.
#[test]
fn a_re_run_of_a_cancelled_run_is_tried_again_when_it_fails() {
    let river = River::new();
    let id = river.add("flaky", &json!({}));
    output(river.command(&["cancel", &id]));
    let cancelled = json!({"match_all": true, "filter": {"status": "cancelled"}});
    assert_eq!(triggered(&call(&river.plugin(), &cancelled).unwrap()), ["flaky"]);
    let mut client = river.work(&json!({"poll_ms": 50}));
    client.until("its first attempt has failed", || (river.states() == ["cancelled", "retryable"]).then_some(()));
}

/// A run of a workflow or of a sequence is a part of it: a copy would be counted twice, or waited for in vain.
#[test]
fn a_run_that_belongs_to_a_workflow_or_a_sequence_is_left_to_river_itself() {
    for (program, migration, _) in FORMS {
        let river = River::migrated(program, migration);
        for metadata in [
            json!({"workflow_id": "w-1", "task": "step"}),
            json!({"seq_key": "s-1"}),
            json!({"by": "Zoë", "output": 7, "river:log": [], "unique_key_conflict": "scheduler_discarded"}),
        ] {
            river.add("steady", &json!({ "metadata": metadata }));
        }
        river.all_have_failed();
        let answer = call(&river.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
        assert_eq!((pairs(&answer), skipped(&answer).len()), (vec!["steady: 3".to_owned()], 2), "{answer}");
        assert!(answer["skipped"][0]["detail"].as_str().unwrap().contains("sequence"), "{answer}");
        assert_eq!(
            river.texts("json(metadata)")[3],
            r#"{"by":"Zoë"}"#,
            "what River noted of the old run is not copied"
        );
    }
}

/// One row that is no JSON does not keep the others from being re-run.
#[test]
fn what_is_no_json_stands_in_nobodys_way() {
    for (program, migration, _) in FORMS {
        let river = River::migrated(program, migration);
        (0..2).for_each(|_| drop(river.add("steady", &json!({}))));
        river.all_have_failed();
        river.execute("UPDATE river_job SET args = '{', metadata = '[,' WHERE id = 1");
        let answer = river.rerun_the_failed(&["--unique-by", "params"]);
        assert_eq!(pairs(&answer), ["steady: 1", "steady: 2"]);
        let copy = rows(&river.store(), "SELECT args, metadata FROM river_job WHERE id = 3");
        assert_eq!(copy, [[Column::Text("{".to_owned()), Column::Text("[,".to_owned())]]);
    }
}
