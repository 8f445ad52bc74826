//! Where one statement does not start a run, a list of them does: on SQLite, which has no WITH that writes.

use crate::support::calls::{all_failed, assert_error, call, first_detail, skipped, triggered};
use crate::support::queue_store::{Own, profile};
use serde_json::{Value, json};

const SCHEMA: &str = "
CREATE TABLE jobs (id INTEGER PRIMARY KEY, kind TEXT NOT NULL);
CREATE TABLE states (job INTEGER NOT NULL REFERENCES jobs, number INTEGER NOT NULL, state TEXT NOT NULL);
CREATE TABLE inputs (job INTEGER NOT NULL REFERENCES jobs, input TEXT);
INSERT INTO jobs VALUES (1, 'forge'), (2, 'cold'), (3, 'anneal');
INSERT INTO states VALUES (1, 1, 'queued'), (1, 2, 'broken'), (2, 1, 'broken'), (3, 1, 'broken');
INSERT INTO inputs VALUES (1, '{\"heat\": 1e400}'), (2, NULL)";

/// A job's state is its last one.
const VIEW: &str = "
SELECT id, kind AS task_name,
       CASE state WHEN 'queued' THEN 'pending' ELSE 'ended' END AS phase,
       CASE state WHEN 'broken' THEN 'failed' END AS end_reason, input AS params
FROM jobs JOIN states ON job = id AND number = (SELECT max(number) FROM states WHERE job = id) LEFT JOIN inputs USING (job)";

const JOB: &str = "INSERT INTO jobs (kind) SELECT kind FROM jobs WHERE id = :id RETURNING id";
const STATE: &str = "INSERT INTO states VALUES (:new_run, 1, 'queued')";
const INPUT: &str = "INSERT INTO inputs SELECT :new_run, input FROM inputs WHERE job = :id";

/// Every row of every table.
const ALL: &str = "
SELECT 'job', id, kind, NULL FROM jobs UNION ALL SELECT 'state', job, number, state FROM states
UNION ALL SELECT 'input', job, input, NULL FROM inputs";

/// A profile with these statements.
fn with(statements: &[&str], undo: &[&str]) -> String {
    let list = |statements: &[&str]| serde_json::to_string(statements).unwrap();
    let (head, _) =
        profile("sqlite", VIEW, "").split_once("spawn = ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let undo = if undo.is_empty() { String::new() } else { format!("undo = {}\n", list(undo)) };
    format!("{head}spawn = {}\n{undo}", list(statements))
}

fn store(statements: &[&str]) -> Own {
    Own::new(SCHEMA, &with(statements, &[]))
}

fn rerun(store: &Own) -> Value {
    call(&store.plugin(), &all_failed(json!({}))).unwrap_or_else(|error| panic!("{error}"))
}

/// The store can't be used, or the call fails, with these words; nothing was changed.
#[track_caller]
fn fails(store: &Own, words: &[&str]) {
    let before = store.lines(ALL);
    let error = store.try_plugin().and_then(|plugin| call(&plugin, &all_failed(json!({})))).unwrap_err();
    assert_error(&error, 500, words);
    assert_eq!(store.lines(ALL), before);
}

#[test]
fn what_one_returns_the_next_ones_use() {
    let store = store(&[JOB, STATE, INPUT]);
    let before = store.lines(ALL);
    let told = store.tool("check", &["--try", "--json"]);
    assert_eq!((told.status, &told.json()["trial"]["new"]["phase"]), (0, &json!("pending")), "{told:?}");
    assert_eq!(store.lines(ALL), before);

    let answer = rerun(&store);
    assert_eq!(triggered(&answer), ["anneal", "cold", "forge"]);
    let new = store.lines(
        "SELECT id, kind, state, input FROM jobs JOIN states ON job = id LEFT JOIN inputs USING (job) WHERE id > 3",
    );
    assert_eq!(new, ["4|anneal|queued|NULL", "5|cold|queued|NULL", "6|forge|queued|{\"heat\": 1e400}"]);
}

/// The ids are ours, and so is `:new_run`: whatever spells it, it is one id for a run in all statements.
#[test]
fn a_new_id_is_the_same_in_all_of_them() {
    for (kind, id) in [("ulid", ":new_id"), ("uuid", ":new_uuid"), ("behind", ":new_run")] {
        let made = if id == ":new_run" { ":new_id" } else { id };
        let schema = SCHEMA.replace("INTEGER PRIMARY KEY", "PRIMARY KEY").replace("job INTEGER", "job");
        let job = format!("INSERT INTO jobs SELECT {made}, kind FROM jobs WHERE id = :id");
        let statements = [job.as_str(), &STATE.replace(":new_run", id), &INPUT.replace(":new_run", id)];
        let store = Own::new(&schema, &with(&statements, &[]));
        let answer = rerun(&store);
        assert_eq!(triggered(&answer), ["anneal", "cold", "forge"], "{kind}");
        for run in answer["triggered"].as_array().unwrap() {
            let sql = format!(
                "SELECT kind, number FROM jobs JOIN states ON job = id WHERE id = '{}'",
                run["run_id"].as_str().unwrap()
            );
            assert_eq!(store.lines(&sql), [format!("{}|1", run["task_name"].as_str().unwrap())], "{kind}");
        }
    }
}

/// Of the run that is declined nothing is left, whichever statement is in its way; the others are started.
#[test]
fn a_run_that_one_statement_does_not_start_is_not_started_at_all() {
    let raise = "CREATE TRIGGER rule BEFORE INSERT ON states WHEN (SELECT kind FROM jobs WHERE id = NEW.job) = 'cold'
                 BEGIN SELECT RAISE({how}, 'the anvil is cold'); END";
    let owed = "CREATE TABLE warm (kind PRIMARY KEY); INSERT INTO warm VALUES ('forge'), ('anneal');
                CREATE TABLE heats (kind REFERENCES warm DEFERRABLE INITIALLY DEFERRED)";
    let heat = "INSERT INTO heats SELECT kind FROM jobs WHERE id = :new_run";
    let none = JOB.replace(":id", ":id AND kind <> 'cold'");
    let cases: [(&str, Vec<&str>, &str); 4] = [
        (&raise.replace("{how}", "ABORT"), vec![JOB, INPUT, STATE], "the anvil is cold"),
        (&raise.replace("{how}", "FAIL"), vec![JOB, INPUT, STATE], "the anvil is cold"),
        (owed, vec![JOB, STATE, INPUT, heat], "FOREIGN KEY"),
        ("", vec![&none, STATE, INPUT], "started no run"),
    ];
    for (rule, statements, words) in cases {
        let store = store(&statements);
        store.execute(rule);
        let answer = rerun(&store);
        assert_eq!(triggered(&answer), ["anneal", "forge"], "{words}");
        assert_eq!(skipped(&answer), ["2: refused"]);
        assert!(first_detail(&answer).contains(words), "{words:?} is not in {answer}");
        let new = store.lines("SELECT kind, state FROM jobs LEFT JOIN states ON job = id WHERE id > 3 ORDER BY 1");
        assert_eq!(new, ["anneal|queued", "forge|queued"], "{words}");
        assert_eq!(store.lines("SELECT count(*) FROM inputs"), ["3"], "{words}");
    }
}

#[test]
fn a_host_that_rolls_back_in_a_later_one_takes_all_with_it() {
    let store = store(&[JOB, STATE]);
    store.execute("CREATE TRIGGER rule BEFORE INSERT ON states BEGIN SELECT RAISE(ROLLBACK, 'the anvil is cold'); END");
    fails(&store, &["spawn (generation", "the host rolled the transaction back (the anvil is cold)"]);
}

/// A table for each queue: the one that has the job starts it, and what is common comes behind.
#[test]
fn of_several_that_return_an_id_the_one_that_has_the_run_starts_it() {
    let schema = "CREATE TABLE jobs (id INTEGER); CREATE TABLE slow (id INTEGER PRIMARY KEY, state TEXT); CREATE TABLE log (run);
                  CREATE TABLE fast (id INTEGER PRIMARY KEY, state TEXT);
                  INSERT INTO slow VALUES (1, 'broken'); INSERT INTO fast VALUES (101, 'broken')";
    let queue = |name: &str| {
        format!(
            "SELECT id, '{name}' AS task_name, iif(state = 'queued', 'pending', 'ended') AS phase,
        iif(state = 'broken', 'failed', NULL) AS end_reason FROM {name}"
        )
    };
    let start = |name: &str| {
        format!(
            "INSERT INTO {name} (state) SELECT 'queued' FROM {name} WHERE id = :id AND :task_name = '{name}' RETURNING id"
        )
    };
    let log = "INSERT INTO log VALUES (:new_run)";
    let list = serde_json::to_string(&[start("slow"), log.to_owned(), start("fast"), log.to_owned()]).unwrap();
    let text = profile("sqlite", &format!("{} UNION ALL {}", queue("slow"), queue("fast")), "");
    let text = format!("{}spawn = {list}\n", text.split_once("spawn = ").unwrap().0);
    let store = Own::new(schema, &text);
    assert_eq!(triggered(&rerun(&store)), ["fast", "slow"]);
    // A statement that needs the new run's id waits until there is one.
    assert_eq!(store.lines("SELECT run FROM log ORDER BY 1"), ["2", "2", "102"]);
}

#[test]
fn one_alone_may_return_the_id() {
    let again = format!("{STATE} RETURNING job");
    let store = store(&[JOB, &again]);
    fails(&store, &["spawn (generation", "more than one id", "only the one that starts the run"]);
    store.tool("check", &["--try"]).says(1, &["more than one id"]);
    store.set_profile(&with(&[&JOB.replace("= :id", "IN (:id, 1)"), STATE], &[]));
    fails(&store, &["more than one id"]);
}

#[test]
fn a_mistake_is_told_with_the_statements_number() {
    let one_more = |statement| [JOB, STATE, statement];
    for (statements, words) in [
        (one_more("INSERT INTO input VALUES (:new_run)"), ["spawn, statement 3", "no such table: input"]),
        (one_more("INSERT INTO inputs VALUES (:new, 1)"), ["spawn, statement 3", ":new is unknown"]),
        (one_more("SELECT id FROM jobs WHERE id = :id"), ["spawn, statement 3", "only reads"]),
        (one_more(""), ["spawn, statement 3", "only reads"]),
        ([STATE, JOB, INPUT], ["spawn, statement 1", "no statement before this one"]),
        (
            one_more("DELETE FROM inputs WHERE job IN (:new_id, :new_uuid)"),
            ["spawn (gen", "either :new_id or :new_uuid"],
        ),
        (["DELETE FROM jobs", "DELETE FROM jobs RETURNING id", STATE], ["spawn (gen", "neither :id nor :task_name"]),
        (["DELETE FROM jobs WHERE id = :id", STATE, INPUT], ["spawn (gen", "returns no id"]),
    ] {
        fails(&store(&statements), &words);
    }
    fails(
        &store(&[&format!("{JOB}; {STATE}")]),
        &["spawn (gen", "ultiple statements", "several are a list: spawn = ["],
    );
    fails(&store(&[&JOB.replace(":id", ":new_run")]), &["spawn (gen", "no statement before this one"]);
    fails(&store(&[]), &["not a profile", "list of statements is empty"]);
    let own = store(&[JOB]);
    for wrong in ["7", "{ first = '' }"] {
        own.set_profile(&format!("{}spawn = {wrong}\n", with(&[JOB], &[]).split_once("spawn = ").unwrap().0));
        fails(&own, &["not a profile: line", "expected a statement, or a list of statements"]);
    }
    let undo = ["DELETE FROM inputs WHERE job = :id", "DELETE FROM jobs WHERE id = :new_run"];
    own.set_profile(&with(&[JOB, STATE], &undo));
    fails(&own, &["undo, statement 2", ":new_run means nothing here"]);
}

/// The statement that tells of a run is the first, or the one that returns; where it takes none back, the others have
/// done nothing.
#[test]
fn a_run_is_taken_back_by_several_or_by_none_of_them() {
    const PENDING: &str = "id = :id AND (SELECT max(number) FROM states WHERE job = id) = 1";
    let states = "DELETE FROM states WHERE job = :id";
    let inputs = "DELETE FROM inputs WHERE job = :id";
    let job = format!("DELETE FROM jobs WHERE {PENDING} RETURNING id");
    let first = "UPDATE states SET state = 'canceled' WHERE job = :id AND state = 'queued' AND number = 1
                 AND NOT EXISTS (SELECT 1 FROM states AS later WHERE later.job = :id AND later.number > 1)";
    let job_first = job.replace("RETURNING id", "");
    for (undo, schema, left) in [
        (vec![first, inputs], SCHEMA.to_owned(), "4|canceled;5|canceled"),
        (vec![inputs, &job, states], SCHEMA.replace("REFERENCES jobs", ""), ""),
        (vec![&job_first, inputs], SCHEMA.replace("REFERENCES jobs", ""), ""),
    ] {
        let store = Own::new(&schema, &with(&[JOB, STATE, INPUT], &undo));
        let plugin = store.plugin();
        assert_eq!(plugin.create_ledger(), Ok(true));
        let answer = call(&plugin, &all_failed(json!({}))).unwrap();
        store.execute("INSERT INTO states VALUES (6, 2, 'busy')");
        let request = json!({"operation_id": answer["operation_id"]}).to_string();
        let undone: Value = serde_json::from_str(&plugin.call_undo(request.as_bytes()).unwrap()).unwrap();
        assert_eq!(
            (undone["undone"].as_array().unwrap().len(), &undone["kept"][0]["run_id"]),
            (2, &json!("6")),
            "{undone}"
        );
        let there = store.lines("SELECT id, state FROM jobs JOIN states ON job = id WHERE id IN (4, 5) ORDER BY 1");
        assert_eq!(there.join(";"), left, "{undo:?}");
        assert_eq!(store.lines("SELECT job FROM inputs ORDER BY 1"), ["1", "2", "6"], "{undo:?}");
    }
}
