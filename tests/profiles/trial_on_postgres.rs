//! `check --try` on PostgreSQL: one run is started for trial, shown as the view sees it, and taken back.

use crate::queue_store_postgres::{Own, QUEUES_VIEW, SPAWNS, Spawns};
use crate::support::calls::{all_failed, call, pairs};
use crate::support::queue_store::profile;
use serde_json::json;

fn two_tasks(spawns: &Spawns) -> Own {
    let store = spawns.store(&[("mail", 8, "broken", "m"), ("mail", 9, "broken", "m"), ("report", 10, "fine", "r")]);
    store.execute("UPDATE jobs SET made = '2026-04-15T11:00:00Z' WHERE queue = 'report'");
    store
}

/// The trial fails with these words and exit status 1, and changes nothing.
#[track_caller]
fn fails_at(store: &Own, url: &str, words: &[&str]) {
    let before = store.dump();
    store.tool_as(url, "check", &["--try"]).says(1, words);
    let told = store.tool_as(url, "check", &["--try", "--json"]);
    assert_eq!(told.status, 1, "{told:?}");
    let trial = told.json()["trial"].clone();
    assert!(trial["error"].is_string() || trial["error"].is_object() || trial["refused"].is_string(), "{trial}");
    assert_eq!(store.dump(), before);
}

#[track_caller]
fn fails(store: &Own, words: &[&str]) {
    fails_at(store, &store.database.url, words);
}

#[test]
fn the_newest_run_is_started_for_trial_and_taken_back() {
    for spawns in &SPAWNS {
        let store = two_tasks(spawns);
        let before = store.dump();
        // The text keys are compared by their bytes, and all others by their value.
        let newest = spawns.text(9);
        store.tool("check", &["--try"]).says(0, &["mail", &newest, "pending"]);
        let told = store.tool("check", &["--try", "--json"]);
        let trial = &told.json()["trial"];
        assert_eq!((&trial["source"]["id"], &trial["new"]["phase"]), (&json!(newest), &json!("pending")), "{told:?}");
        assert_eq!((&trial["new"]["task_name"], &trial["new"]["params"]), (&json!("mail"), &json!("m")), "{told:?}");
        let report = store.tool("check", &["--try", "--task", "report", "--json"]);
        assert_eq!(report.json()["trial"]["source"]["id"], spawns.text(10), "{report:?}");
        assert_eq!(store.dump(), before);
    }
}

#[test]
fn plain_check_says_that_there_is_a_trial() {
    two_tasks(&SPAWNS[0]).tool("check", &[]).says(0, &["--try"]);
}

#[test]
fn a_column_that_must_not_be_null_is_named() {
    for spawns in &SPAWNS {
        let store = two_tasks(spawns);
        store.execute("ALTER TABLE jobs ADD tenant text; UPDATE jobs SET tenant = 'acme'; ALTER TABLE jobs ALTER tenant SET NOT NULL");
        store.tool("check", &[]).says(0, &["writable"]);
        fails(&store, &["tenant"]);
    }
}

/// Ids of whatever type a statement returns are ids.
#[test]
fn an_id_of_another_type_just_works() {
    let number = |key| (key, "(SELECT max(id) + 1 FROM jobs)", ":id::numeric", "9");
    for (key, next, cast, source) in [
        number("smallint"),
        number("integer"),
        number("bigint"),
        ("uuid", "gen_random_uuid()", ":id::uuid", "00000000-0000-4000-8000-000000000009"),
        ("varchar(40)", "gen_random_uuid()::text", ":id", "9"),
        ("char(36)", "gen_random_uuid()::text", ":id", "9"),
        ("name", "gen_random_uuid()::text::name", ":id", "9"),
        ("bytea", "sha256('new')", ":id::bytea", "\\x39"),
    ] {
        let spawn = format!(
            "\nINSERT INTO jobs (queue, id, params) SELECT queue, {next}, params FROM jobs WHERE queue = :task_name AND id = {cast} RETURNING id"
        );
        let store = Own::queues("text", key, &spawn, &format!("('mail', '{source}', 'broken', 'm')"));
        let told = store.tool("check", &["--try", "--json"]);
        assert_eq!(told.status, 0, "{key}: {told:?}");
        assert_eq!(told.json()["trial"]["new"]["phase"], "pending", "{key}: {told:?}");
        let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
        assert_eq!(pairs(&answer).len(), 1, "{key}");
        assert_eq!(store.waiting(), ["mail|m"], "{key}");
        if key == "bytea" {
            continue;
        }
        let new = answer["triggered"][0]["run_id"].as_str().unwrap();
        let found = format!("SELECT queue FROM jobs WHERE id::text = '{}' AND state = 'queued'", new.trim_end());
        assert_eq!(store.lines(&found), ["mail"], "{key}: {answer}");
    }
}

/// A statement that does several things has WITH for it.
#[test]
fn a_list_of_statements_is_told_what_does_the_same_here() {
    let store = two_tasks(&SPAWNS[0]);
    let text = profile("postgres", QUEUES_VIEW, SPAWNS[0].spawn);
    let (head, _) = text.split_once("spawn = ").unwrap();
    let spawn = format!("spawn = '''{}'''\n", SPAWNS[0].spawn);
    let list = |part: &str| format!("{part} = ['DELETE FROM jobs WHERE id = :id::bigint', 'DELETE FROM jobs']\n");
    for (text, part) in
        [(head.to_owned() + &list("spawn"), "spawn"), (head.to_owned() + &spawn + &list("undo"), "undo")]
    {
        store.set_profile(&text);
        store.tool("check", &[]).says(1, &[part, "a list of statements is for SQLite", "WITH started AS"]);
    }
    store.set_profile(&text.replace("= :task_name", "= :new_run"));
    store.tool("check", &[]).says(1, &["does not compile", ":new_run"]);
    store.set_profile(&format!("{head}spawn = ['''{}''']\n", SPAWNS[0].spawn));
    store.tool("check", &["--try"]).says(0, &["pending"]);
}

/// What is no id of the new run's is told, with its type where that is the matter.
#[test]
fn an_answer_that_is_no_id_is_told() {
    let store = two_tasks(&SPAWNS[0]);
    for returning in
        ["RETURNING now()", "RETURNING ARRAY[id]", "RETURNING true", "RETURNING id + 1", "RETURNING NULL::text"]
    {
        store.set_profile(&profile("postgres", QUEUES_VIEW, &SPAWNS[0].spawn.replace("RETURNING id::text", returning)));
        let before = store.dump();
        // Where the statement alone shows it, the profile is refused before any trial.
        store.tool("check", &["--try"]).says(1, &["id"]);
        assert_eq!(store.dump(), before, "{returning}");
    }
}

#[test]
fn a_state_that_the_view_calls_ended_or_does_not_show_is_told() {
    let store = two_tasks(&SPAWNS[0]);
    let spawn =
        SPAWNS[0].spawn.replace("(queue, id, params) SELECT queue", "(state, queue, id, params) SELECT 'qeued', queue");
    store.set_profile(&profile("postgres", QUEUES_VIEW, &spawn));
    fails(&store, &["ended"]);
    store.set_profile(&profile("postgres", &format!("{QUEUES_VIEW} WHERE state <> 'qeued'"), &spawn));
    fails(&store, &["view"]);
}

#[test]
fn a_trigger_that_says_no_is_told_in_its_own_words() {
    for (errcode, spawns) in [("P0001", 0), ("23514", 1), ("55000", 2), ("22023", 4)] {
        let store = two_tasks(&SPAWNS[spawns]);
        store.execute(&format!(
            "CREATE FUNCTION decline() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION 'the queue is closed' USING ERRCODE = '{errcode}'; END $$;
             CREATE TRIGGER decline BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION decline()"
        ));
        fails(&store, &["the queue is closed"]);
    }
    let store = two_tasks(&SPAWNS[0]);
    store.execute(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER swallow BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION swallow()",
    );
    fails(&store, &["no run"]);
}

#[test]
fn a_right_that_is_missing_is_told() {
    let store = two_tasks(&SPAWNS[0]);
    let role = format!("trial_{}", store.database.name);
    store.execute(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON jobs TO {role}"));
    let url = store.database.url_as(&role);
    // The profile does not say that its sequence is needed.
    store.tool_as(&url, "check", &[]).says(0, &["writable"]);
    fails_at(&store, &url, &["numbers"]);
    store.execute(&format!("GRANT USAGE ON SEQUENCE numbers TO {role}"));
    store.tool_as(&url, "check", &["--try"]).says(0, &["pending"]);
    store.execute(&format!("REVOKE INSERT ON jobs FROM {role}"));
    fails_at(&store, &url, &["jobs"]);
}

/// Nobody is woken by a run that never was.
#[test]
fn a_trial_sends_no_notification() {
    let store = two_tasks(&SPAWNS[0]);
    store.execute(
        "CREATE TABLE woken (number bigint);
         CREATE FUNCTION wake() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM pg_notify('jobs', NEW.id::text); INSERT INTO woken VALUES (NEW.id); RETURN NEW; END $$;
         CREATE TRIGGER wake AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION wake()",
    );
    assert_eq!(store.tool("check", &["--try"]).status, 0);
    assert_eq!(store.lines("SELECT * FROM woken"), [""; 0]);
}
