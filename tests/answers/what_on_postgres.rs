//! What is answered is there, on PostgreSQL: triggers that swallow, rename and move new runs, for every kind of statement.

use crate::queue_store_postgres::{Own, QUEUES_VIEW, SPAWNS, Spawns};
use crate::support::calls::{all_failed, call, call_meanwhile, first_detail, pairs, reasons};
use crate::support::queue_store::profile;
use serde_json::{Value, json};

fn three(spawns: &Spawns) -> Own {
    spawns.store(&[("a", 1, "broken", "p"), ("b", 2, "broken", "p"), ("c", 3, "broken", "p")])
}

/// A trigger that does something with the new jobs of `b`.
fn trigger(store: &Own, when: &str, act: &str) {
    store.execute(&format!(
        "CREATE TABLE log (entry text);
         CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.queue = 'b' THEN INSERT INTO log VALUES ('b'); {act} END IF; RETURN NEW; END $$;
         CREATE TRIGGER act {when} INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION act()"
    ));
}

/// Each run that is answered is there, waits, and is of its task.
#[track_caller]
fn all_are_there(store: &Own, answer: &Value) {
    let triggered = answer["triggered"].as_array().unwrap();
    for run in triggered {
        let found = format!(
            "SELECT queue FROM jobs WHERE id::text = '{}' AND state = 'queued'",
            run["run_id"].as_str().unwrap()
        );
        assert_eq!(store.lines(&found), [run["task_name"].as_str().unwrap()], "{answer}");
    }
    assert_eq!(store.lines("SELECT count(*) - 3 FROM jobs"), [triggered.len().to_string()]);
}

/// The others are started; of `b` nothing is left, and the answer says why.
#[track_caller]
fn b_is_refused(store: &Own, spawns: &Spawns, why: &str) {
    let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
    let [one, two, three] = [1, 2, 3].map(|number| spawns.text(number));
    assert_eq!(reasons(&answer), [format!("b, {two}: refused")], "{}: {why}", spawns.key);
    assert_eq!(pairs(&answer), [format!("a: {one}"), format!("c: {three}")], "{}: {why}", spawns.key);
    assert!(!first_detail(&answer).is_empty());
    all_are_there(store, &answer);
    if store.lines("SELECT to_regclass('log')") == ["log"] {
        assert_eq!(store.lines("SELECT * FROM log"), [""; 0], "{}: {why}", spawns.key);
    }
}

#[test]
fn a_new_run_that_a_trigger_takes_away_is_none() {
    for spawns in &SPAWNS {
        for (when, act) in [
            ("BEFORE", "RETURN NULL;"),
            ("AFTER", "DELETE FROM jobs WHERE id = NEW.id AND queue = NEW.queue;"),
            ("BEFORE", "NEW.state := 'fine';"),
            ("AFTER", "UPDATE jobs SET state = 'fine' WHERE id = NEW.id AND queue = NEW.queue;"),
            ("AFTER", "UPDATE jobs SET queue = 'elsewhere' WHERE id = NEW.id AND queue = NEW.queue;"),
        ] {
            let store = three(spawns);
            trigger(&store, when, act);
            b_is_refused(&store, spawns, act);
        }
    }
}

#[test]
fn a_new_run_that_a_trigger_gives_another_id_is_answered_by_it_or_refused() {
    for spawns in &SPAWNS {
        let store = three(spawns);
        trigger(&store, "BEFORE", &format!("NEW.id := {};", spawns.id(777)));
        // Ids that a statement returns are those of the rows; of ours none may be answered that is not there.
        if spawns.spawn.contains("RETURNING") {
            let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
            all_are_there(&store, &answer);
            assert_eq!(pairs(&answer).len() + reasons(&answer).len(), 3, "{answer}");
            if spawns.spawn_many.is_empty() {
                assert_eq!((answer["triggered"][1]["run_id"].as_str(), reasons(&answer)), (Some("777"), vec![]));
            }
        } else {
            b_is_refused(&store, spawns, "another id");
        }
    }
}

/// A statement for many that answers from a sequence, and not from the rows that it has inserted.
#[test]
fn ids_that_were_promised_and_not_inserted_are_not_answered() {
    let many = "
WITH source AS MATERIALIZED (
    SELECT jobs.*, nextval('numbers') AS new_id FROM unnest(:id::bigint[], :task_name) AS wanted(id, queue) JOIN jobs USING (id, queue)
), started AS (
    INSERT INTO jobs (queue, id, params) SELECT queue, new_id, params FROM source
)
SELECT id::text, new_id::text FROM source";
    for act in ["RETURN NULL;", "NEW.id := 777;", "NEW.state := 'fine';"] {
        let spawns = Spawns { spawn_many: many, ..SPAWNS[0] };
        let store = three(&spawns);
        trigger(&store, "BEFORE", act);
        if act == "NEW.id := 777;" {
            // One by one, the statement returns the id that is there.
            let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
            all_are_there(&store, &answer);
            assert_eq!(pairs(&answer).len() + reasons(&answer).len(), 3, "{answer}");
        } else {
            b_is_refused(&store, &spawns, act);
        }
    }
}

#[test]
fn a_new_run_that_the_view_does_not_show_is_none() {
    for spawns in &SPAWNS {
        let store = three(spawns);
        trigger(&store, "BEFORE", "NEW.state := 'hidden';");
        let hidden = QUEUES_VIEW.replace("0 AS retry_attempt", "state = 'hidden' AS deleted, 0 AS retry_attempt");
        for view in [format!("{QUEUES_VIEW} WHERE state <> 'hidden'"), hidden] {
            store.execute("DELETE FROM jobs WHERE state IN ('queued', 'hidden')");
            let text = spawns.profile().replace(QUEUES_VIEW, &view);
            assert_ne!(text, spawns.profile());
            store.set_profile(&text);
            b_is_refused(&store, spawns, &view);
        }
    }
}

/// A source run that is soft-deleted once the search has found it: the statements read the table, and not the view.
#[test]
fn a_run_that_was_soft_deleted_meanwhile_is_gone() {
    let hidden = QUEUES_VIEW.replace("0 AS retry_attempt", "made IS NULL AS deleted, 0 AS retry_attempt");
    for spawns in &SPAWNS {
        let store = three(spawns);
        store.set_profile(&spawns.profile().replace(QUEUES_VIEW, &hidden));
        let delete = || store.execute("UPDATE jobs SET made = NULL WHERE queue = 'b'");
        let answer = call_meanwhile(&store.plugin(), &all_failed(json!({})), delete).unwrap();
        assert_eq!(reasons(&answer), [format!("b, {}: gone", spawns.text(2))], "{}", spawns.key);
        assert_eq!(store.waiting(), ["a|p", "c|p"], "{}", spawns.key);
    }
}

/// One among many thousand, wherever it stands.
#[test]
fn one_that_is_none_among_thousands_is_told_apart() {
    for spawns in SPAWNS.iter().filter(|spawns| spawns.key == "bigint") {
        let store = three(spawns);
        store.execute(
            "DELETE FROM jobs; INSERT INTO jobs (queue, id, state, params)
             SELECT to_char(n, 'FM0000'), n, 'broken', 'p' FROM generate_series(1, 3000) AS n;
             CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.queue IN ('0001', '1500', '3000') THEN RETURN NULL; END IF; RETURN NEW; END $$;
             CREATE TRIGGER act BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION act()",
        );
        let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
        assert_eq!(reasons(&answer), ["0001, 1: refused", "1500, 1500: refused", "3000, 3000: refused"]);
        assert_eq!(pairs(&answer).len(), 2_997);
        assert_eq!(store.lines("SELECT count(*) FROM jobs WHERE state = 'queued'"), ["2997"]);
    }
}

/// A spawn with a misspelled state: nothing is started, and the exit status says so.
#[test]
fn a_statement_that_makes_ended_runs_starts_none() {
    let spawn =
        SPAWNS[0].spawn.replace("(queue, id, params) SELECT queue", "(state, queue, id, params) SELECT 'qeued', queue");
    let store = three(&SPAWNS[0]);
    store.set_profile(&profile("postgres", QUEUES_VIEW, &spawn));
    let before = store.dump();
    let told = store.tool("rerun", &["--all", "--yes", "--json"]);
    assert_eq!((told.status, pairs(&told.json()).len()), (3, 0), "{told:?}");
    assert_eq!(store.dump(), before);
}
