//! A run is its task and its id together, on PostgreSQL: bigint, text and uuid keys, each way that a new id can take.

use crate::queue_store_postgres::{Own, QUEUES_VIEW, SPAWNS};
use crate::support::calls::{all_failed, assert_error, call, call_meanwhile, pairs, planned, reasons};
use crate::support::queue_store::profile;
use serde_json::json;

/// The spawn of a table whose ids are numbers.
const NUMBERED: &str = SPAWNS[0].spawn;

#[test]
fn a_run_is_started_with_its_own_parameters_where_another_task_has_its_id() {
    for spawns in &SPAWNS {
        let store = spawns.store(&[("mail", 1, "broken", "of mail"), ("z", 1, "fine", "of z")]);
        let told = store.tool("rerun", &["--status", "failed", "--task", "mail", "--yes", "--json"]);
        assert_eq!((told.status, pairs(&told.json())), (0, vec![format!("mail: {}", spawns.text(1))]), "{told:?}");
        assert_eq!(store.waiting(), ["mail|of mail"], "{}", spawns.key);
    }
}

#[test]
fn two_runs_with_one_id_are_each_started() {
    for spawns in &SPAWNS {
        for unique_by in ["task", "params", "run"] {
            let store =
                spawns.store(&[("refund", 1, "broken", "r"), ("mail", 1, "broken", "m"), ("other", 2, "broken", "o")]);
            let one = spawns.text(1);
            let plugin = store.plugin();
            let request =
                json!({"match_all": true, "except_ids": [spawns.text(2)], "options": {"unique_by": unique_by}});
            let answer = call(&plugin, &request).unwrap();
            assert_eq!(pairs(&answer), [format!("mail: {one}"), format!("refund: {one}")], "{}", spawns.key);
            assert_eq!(store.waiting(), ["mail|m", "refund|r"], "{}, {unique_by}", spawns.key);
            for run in answer["triggered"].as_array().unwrap() {
                let found = format!(
                    "SELECT queue FROM jobs WHERE state = 'queued' AND id::text = '{}'",
                    run["run_id"].as_str().unwrap()
                );
                assert_eq!(store.lines(&found), [run["task_name"].as_str().unwrap()], "{}", spawns.key);
            }
        }
    }
}

#[test]
fn an_id_means_every_run_that_bears_it() {
    for spawns in &SPAWNS {
        let store = spawns.store(&[("mail", 1, "broken", "m"), ("z", 1, "fine", "z"), ("z", 2, "fine", "two")]);
        let [one, two, seven] = [1, 2, 7].map(|number| spawns.text(number));
        let plugin = store.plugin();
        let plan = call(&plugin, &json!({"ids": [one, seven], "options": {"dry_run": true}})).unwrap();
        assert_eq!(planned(&plan), [format!("mail: {one} (1)"), format!("z: {one} (1)")], "{}", spawns.key);
        assert_eq!((&plan["matched"], reasons(&plan)), (&json!(2), vec![format!("-, {seven}: not_found")]));
        let except = json!({"match_all": true, "except_ids": [one], "options": {"dry_run": true}});
        assert_eq!(planned(&call(&plugin, &except).unwrap()), [format!("z: {two} (1)")], "{}", spawns.key);
        assert_eq!(pairs(&call(&plugin, &json!({"ids": [one]})).unwrap()).len(), 2);
        assert_eq!(store.waiting(), ["mail|m", "z|z"], "{}", spawns.key);
    }
}

#[test]
fn the_expected_plan_is_of_every_run_with_the_id() {
    let jobs = [("a", 1, "broken", "of a"), ("b", 1, "broken", "of b")];
    for spawns in &SPAWNS {
        let store = spawns.store(&jobs);
        let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true}))).unwrap();
        assert_eq!(planned(&plan).len(), 2, "{}", spawns.key);
        let answer = call(&store.plugin(), &all_failed(json!({"expect_plan": plan["plan"]}))).unwrap();
        assert_eq!((pairs(&answer).len(), reasons(&answer)), (2, vec![]), "{}", spawns.key);
        assert_eq!(store.waiting(), ["a|of a", "b|of b"], "{}", spawns.key);

        for change in [
            "UPDATE jobs SET params = 'x' WHERE queue = 'a'",
            "UPDATE jobs SET params = 'x' WHERE queue = 'b'",
            "DELETE FROM jobs WHERE queue = 'a'",
            "DELETE FROM jobs WHERE queue = 'b'",
        ] {
            let store = spawns.store(&jobs);
            store.execute(change);
            let before = store.dump();
            let error = call(&store.plugin(), &all_failed(json!({"expect_plan": plan["plan"]}))).unwrap_err();
            assert_error(&error, 409, &["nothing was spawned"]);
            assert_eq!(store.dump(), before, "{}: {change}", spawns.key);
        }
    }
}

#[test]
fn one_that_is_declined_or_vanished_does_not_stand_for_the_other() {
    for spawns in &SPAWNS {
        for (lost, other) in [("a", "b"), ("b", "a")] {
            for unlike in [false, true] {
                let store =
                    spawns.store(&[("a", 1, "broken", "of a"), ("b", 1, "broken", "of b"), ("c", 2, "broken", "of c")]);
                let one = spawns.text(1);
                let decline = format!(
                    "CREATE FUNCTION decline() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                         IF NEW.queue = '{lost}' THEN RAISE EXCEPTION 'it is closed'; END IF; RETURN NEW; END $$;
                     CREATE TRIGGER decline BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION decline()"
                );
                let delete = format!("DELETE FROM jobs WHERE queue = '{lost}' AND state = 'broken'");
                let (change, reason) = if unlike { (delete, "gone") } else { (decline, "refused") };
                let request = all_failed(json!({"unique_by": "run"}));
                let answer = call_meanwhile(&store.plugin(), &request, || store.execute(&change)).unwrap();
                let mut expected = vec![format!("{other}: {one}"), format!("c: {}", spawns.text(2))];
                expected.sort();
                assert_eq!(pairs(&answer), expected, "{}", spawns.key);
                assert_eq!(reasons(&answer), [format!("{lost}, {one}: {reason}")], "{}", spawns.key);
                assert_eq!(store.waiting(), [format!("{other}|of {other}"), "c|of c".to_owned()], "{}", spawns.key);
            }
        }
    }
}

#[test]
fn what_is_active_or_newer_is_so_within_its_own_task() {
    for spawns in &SPAWNS {
        let store = spawns.store(&[
            ("a", 1, "broken", "p"),
            ("b", 1, "busy", "p"),
            ("c", 1, "broken", "p"),
            ("c", 2, "fine", "p"),
            ("d", 2, "broken", "p"),
            ("d", 1, "fine", "p"),
            ("e", 2, "broken", "p"),
            ("e", 1, "queued", "p"),
        ]);
        let [one, two] = [1, 2].map(|number| spawns.text(number));
        for unique_by in ["task", "params", "run"] {
            let options =
                json!({"dry_run": true, "unique_by": unique_by, "skip_active": true, "skip_superseded": true});
            let plan = call(&store.plugin(), &all_failed(options)).unwrap();
            assert_eq!(
                planned(&plan),
                [format!("a: {one} (1)"), format!("d: {two} (1)")],
                "{}, {unique_by}",
                spawns.key
            );
            assert_eq!(reasons(&plan), [format!("c, {one}: superseded"), format!("e, {two}: active")], "{unique_by}");
        }
    }
}

/// Jobs of one batch, whose times are one `now()`.
fn of_one_moment(key: &str, ids: &[&str]) -> Own {
    let rows: Vec<String> = ids.iter().map(|id| format!("('batch', {id}, 'broken', 'number ' || {id})")).collect();
    Own::queues("text", key, NUMBERED, &rows.join(", "))
}

#[test]
fn of_equally_new_runs_the_one_with_the_higher_number_is_the_newest() {
    for key in ["bigint", "integer", "bigint PRIMARY KEY"] {
        for (ids, newest) in [(["9", "10", "12"], "12"), (["100", "99", "9"], "100"), (["-10", "-9", "-11"], "-9")] {
            let store = of_one_moment(key, &ids);
            let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true}))).unwrap();
            assert_eq!(planned(&plan), [format!("batch: {newest} (3)")], "{key}");
            assert_eq!(pairs(&call(&store.plugin(), &all_failed(json!({}))).unwrap()), [format!("batch: {newest}")]);
            assert_eq!(store.waiting(), [format!("batch|number {newest}")], "{key}");
        }
    }
    let large = of_one_moment("bigint", &["9007199254740992", "9007199254740993", "-9223372036854775808"]);
    assert_eq!(pairs(&call(&large.plugin(), &all_failed(json!({}))).unwrap()), ["batch: 9007199254740993"]);
    let store = of_one_moment("bigint", &["9", "10", "100", "2"]);
    let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!(pairs(&answer), ["batch: 10", "batch: 100", "batch: 2", "batch: 9"], "in the order of the ids' bytes");
}

#[test]
fn a_success_with_a_higher_number_supersedes_and_one_with_a_lower_does_not() {
    for (broken, fine, superseded) in [(9, 10, true), (10, 9, false), (99, 100, true), (-9, -10, false)] {
        let rows = format!("('a', {broken}, 'broken', 'p'), ('a', {fine}, 'fine', 'p')");
        let store = Own::queues("text", "bigint", NUMBERED, &rows);
        for unique_by in ["task", "params", "run"] {
            let options = json!({"dry_run": true, "skip_superseded": true, "unique_by": unique_by});
            let plan = call(&store.plugin(), &all_failed(options)).unwrap();
            let counts = (planned(&plan).len(), reasons(&plan).len());
            assert_eq!(counts, if superseded { (0, 1) } else { (1, 0) }, "{broken}, {fine}: {plan}");
        }
    }
}

/// Neither the database's collation nor the column's has a say.
#[test]
fn ids_that_are_no_numbers_are_compared_by_their_bytes() {
    let ids = ["'9'", "'10'", "'é'", "'z'", "'Z'"];
    let spawn = "\nINSERT INTO jobs (queue, id, params) SELECT queue, :new_id, params FROM jobs WHERE queue = :task_name AND id = :id";
    for collation in ["\"C\"", "\"en-x-icu\""] {
        let rows: Vec<String> = ids.iter().map(|id| format!("('batch', {id}, 'broken', 'p')")).collect();
        let store = Own::queues("text", &format!("text COLLATE {collation}"), spawn, &rows.join(", "));
        assert_eq!(pairs(&call(&store.plugin(), &all_failed(json!({}))).unwrap()), ["batch: é"], "{collation}");
        let all = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
        assert_eq!(pairs(&all), ["batch: 10", "batch: 9", "batch: Z", "batch: z", "batch: é"], "{collation}");
    }
}

/// A join that finds several rows for one run.
fn shown_twice() -> Own {
    let rows = "('a', 1, 'broken', 'p'), ('a', 2, 'broken', 'p'), ('b', 3, 'broken', 'p')";
    let store = Own::queues("text", "bigint", NUMBERED, rows);
    store.execute("CREATE TABLE tags AS SELECT id AS job, 'x' AS tag FROM jobs UNION ALL SELECT id, 'y' FROM jobs");
    let view = QUEUES_VIEW.replace("FROM jobs", "FROM jobs LEFT JOIN tags ON tags.job = jobs.id");
    store.set_profile(&profile("postgres", &view, NUMBERED));
    store
}

#[test]
fn a_run_that_the_view_shows_twice_is_one_run() {
    for request in [
        json!({"match_all": true, "options": {"unique_by": "run"}}),
        json!({"ids": ["1", "2", "3"], "options": {"unique_by": "run"}}),
    ] {
        let store = shown_twice();
        let mut dry = request.clone();
        dry["options"]["dry_run"] = json!(true);
        let plan = call(&store.plugin(), &dry).unwrap();
        assert_eq!((&plan["matched"], planned(&plan).len()), (&json!(3), 3), "{plan}");
        let answer = call(&store.plugin(), &request).unwrap();
        assert_eq!((pairs(&answer), reasons(&answer)), (vec!["a: 1".into(), "a: 2".into(), "b: 3".into()], vec![]));
        assert_eq!(store.waiting().len(), 3);
    }
    let plan = call(&shown_twice().plugin(), &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(planned(&plan), ["a: 2 (2)", "b: 3 (1)"]);
    shown_twice().tool("check", &[]).says(0, &["twice"]);
}

#[test]
fn names_that_a_collation_takes_for_equal_are_other_tasks() {
    let rows = "('report', 1, 'broken', 'p'), ('Report', 2, 'broken', 'p'), ('REPORT', 3, 'busy', 'p'), ('rEport', 4, 'fine', 'p')";
    let database = Own::new("CREATE COLLATION alike (provider = icu, locale = 'und-u-ks-level2', deterministic = false)
        ; CREATE SEQUENCE numbers START 1000; CREATE TABLE jobs (queue text COLLATE alike, id bigint, state text DEFAULT 'queued',
          made timestamptz DEFAULT '2026-04-15T12:00:00Z', params text)", &profile("postgres", QUEUES_VIEW, NUMBERED));
    database.execute(&format!("INSERT INTO jobs (queue, id, state, params) VALUES {rows}"));
    let filter = json!({"match_all": true, "filter": {"task_name": "report"}, "options": {"dry_run": true}});
    let plan = call(&database.plugin(), &filter).unwrap();
    assert_eq!((&plan["matched"], planned(&plan)), (&json!(1), vec!["report: 1 (1)".into()]));
    for unique_by in ["task", "params"] {
        let options = json!({"dry_run": true, "skip_active": true, "skip_superseded": true, "unique_by": unique_by});
        let plan = call(&database.plugin(), &all_failed(options)).unwrap();
        assert_eq!((planned(&plan), reasons(&plan)), (vec!["Report: 2 (1)".into(), "report: 1 (1)".into()], vec![]));
    }
}

#[test]
fn ids_that_a_collation_takes_for_equal_are_other_ids() {
    let spawn = "\nINSERT INTO jobs (queue, id, params) SELECT queue, :new_id, params FROM jobs WHERE queue = :task_name AND id = :id";
    let store = Own::new(
        "CREATE COLLATION alike (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE jobs (queue text, id text COLLATE alike PRIMARY KEY, state text DEFAULT 'queued',
        made timestamptz DEFAULT '2026-04-15T12:00:00Z', params text);
        INSERT INTO jobs (queue, id, state, params) VALUES ('a', 'abc', 'broken', 'p'), ('a', 'x', 'broken', 'p')",
        &profile("postgres", QUEUES_VIEW, spawn),
    );
    let plan = call(&store.plugin(), &json!({"ids": ["ABC", "abc"], "options": {"dry_run": true}})).unwrap();
    assert_eq!((planned(&plan), reasons(&plan)), (vec!["a: abc (1)".into()], vec!["-, ABC: not_found".into()]));
    let except = json!({"match_all": true, "except_ids": ["ABC"], "options": {"dry_run": true, "unique_by": "run"}});
    assert_eq!(planned(&call(&store.plugin(), &except).unwrap()), ["a: abc (1)", "a: x (1)"]);
}

#[test]
fn what_can_not_be_carried_is_answered_and_never_started() {
    let spawn = "\nINSERT INTO jobs (queue, id, params) SELECT queue, :new_id, params FROM jobs WHERE queue = :task_name AND id = :id";
    let rows = "('good', '1', 'broken', 'p'), (NULL, '4', 'broken', 'p'), (NULL, '5', 'broken', 'q'), ('', '6', 'broken', 'p'),
                ('no id', NULL, 'broken', 'p'), ('empty id', '', 'broken', 'p')";
    let store = Own::queues("text", "text COLLATE \"C\"", spawn, rows);
    let expected = [
        ("-", "5", "its task name is NULL"),
        ("", "6", "its task name is empty"),
        ("empty id", "", "its id is empty"),
        ("no id", "-", "its id is NULL"),
    ];
    let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!((&plan["matched"], planned(&plan)), (&json!(6), vec!["good: 1 (1)".into()]));
    let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(pairs(&answer), ["good: 1"]);
    for answer in [&plan, &answer] {
        assert_eq!(reasons(answer), expected.map(|(task, id, _)| format!("{task}, {id}: refused")));
        for (skip, (_, _, why)) in answer["skipped"].as_array().unwrap().iter().zip(expected) {
            assert!(skip["detail"].as_str().unwrap().contains(why), "{why:?} is not in {skip}");
        }
    }
    assert_eq!(store.waiting(), ["good|p"]);
}

/// As bytes are spelled by the server, which reads that spelling too.
#[test]
fn a_key_in_bytes_is_a_key() {
    let spawn = "\nINSERT INTO jobs (queue, id, params) SELECT queue, sha256(:now::bytea), params FROM jobs WHERE queue = :task_name AND id = :id::bytea RETURNING id::text";
    let store =
        Own::queues("text", "bytea", spawn, "('a', '\\x6161', 'broken', 'one'), ('a', '\\x00ff', 'broken', 'two')");
    let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(planned(&plan).len(), 1);
    let answer = call(&store.plugin(), &all_failed(json!({"expect_plan": plan["plan"]}))).unwrap();
    assert_eq!(answer["triggered"][0]["rerun_of"], plan["planned"][0]["rerun_of"]);
    assert_eq!(store.waiting(), ["a|one"], "of equally new ones the higher key is the newer");
}
