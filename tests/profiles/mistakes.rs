//! A mistake in a profile file gets an error that names the file and the part, and spawns nothing.

use crate::support::anvil::{Anvil, PROFILE, profile_with};
use crate::support::calls::{all_failed, assert_error, call, first_detail, skipped, triggered};
use bulk_rerun::ErrorModel;
use rusqlite::types::Value;
use serde_json::json;

/// Opening a store with this profile fails with the file's name and these words.
#[track_caller]
fn assert_refused(profile: &str, words: &[&str]) {
    let anvil = Anvil::with_failed(&["forge"]);
    let before = anvil.jobs();
    let error = anvil.plugin(profile).err().unwrap_or_else(|| panic!("no word of {words:?}"));
    assert_error(&error, 500, words);
    assert_error(&error, 500, &[anvil.profile_file().to_str().unwrap()]);
    assert_eq!(anvil.jobs(), before);
}

#[test]
fn mistakes_in_the_file_name_the_line() {
    assert_refused(&profile_with("name = 'anvil'", "name = "), &["line 2"]);
    assert_refused(
        &profile_with("runner = 'Anvil'", "runer = 'Anvil'"),
        &["line 3", "unknown field `runer`", "runner"],
    );
    assert_refused(&profile_with("runner = 'Anvil'", ""), &["missing field `runner`"]);
    assert_refused(&profile_with("spawn =", "spwan ="), &["unknown field `spwan`", "spawn"]);
    assert_refused(&profile_with("'sqlite'", "'mongodb'"), &["line 4", "mongodb", "sqlite"]);
    assert_refused(&profile_with("requires.jobs", "needs.jobs"), &["unknown field `needs`", "requires"]);
    let (head, _) = PROFILE.split_once("[[generation]]").unwrap();
    assert_refused(head, &["missing field `generation`"]);
    assert_refused(&format!("{head}generation = []"), &["generation", "there is none", "[[generation]]"]);
    assert_refused("", &["not a profile"]);
}

#[test]
fn mistakes_in_the_view_name_it() {
    let views: [(&str, &str, &[&str]); 9] = [
        ("kind AS task_name,", "", &["task_name is missing"]),
        ("arguments AS params", "arguments", &["arguments", "not a canonical one", "params"]),
        ("NULL AS triggered_by,", "NULL AS triggered_by, 1 AS colour,", &["colour", "not a canonical one", "unfit"]),
        ("kind AS task_name", "name AS task_name", &["does not compile", "no such column: name"]),
        ("FROM jobs\n", "FROM orders\n", &["does not compile", "no such table: orders"]),
        ("FROM jobs\n", "FORM jobs\n", &["does not compile", "syntax error"]),
        ("FROM jobs\n", "FROM jobs WHERE number > :since\n", &["takes parameters"]),
        ("FROM jobs\n", "FROM jobs; DELETE FROM jobs\n", &["does not compile"]),
        (
            "FROM jobs\n",
            "FROM jobs) AS run; DELETE FROM jobs; SELECT (1\n",
            &["does not compile", "ultiple statements"],
        ),
    ];
    for (part, other, words) in views {
        let words = [&["runs (generation \"the only one\")"], words].concat();
        assert_refused(&profile_with(part, other), &words);
    }
}

#[test]
fn a_semicolon_and_a_comment_are_no_mistakes() {
    let anvil = Anvil::with_failed(&["forge"]);
    let profile =
        profile_with("FROM jobs\n", "FROM jobs -- every job\n").replace("RETURNING number\n", "RETURNING number;\n");
    let answer = call(&anvil.plugin(&profile).unwrap(), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), ["forge"]);
    for end in [";", " ; \n"] {
        let profile = profile_with("FROM jobs\n", &format!("FROM jobs{end}\n"));
        anvil.plugin(&profile).unwrap_or_else(|error| panic!("{end:?}: {error}"));
    }
}

#[test]
fn mistakes_in_the_spawn_name_it() {
    let spawns: [(&str, &str, &[&str]); 11] = [
        ("INSERT INTO jobs", "INSERT INTO orders", &["does not compile", "no such table: orders"]),
        ("INSERT INTO", "INSERT IN", &["does not compile", "syntax error"]),
        ("INSERT INTO jobs (kind, state, queued, arguments)\n", "", &["does not compile"]),
        ("RETURNING number", "", &["returns no id", "RETURNING id"]),
        ("number = :id", "number = :number", &["the parameter :number is unknown", ":id", ":new_id"]),
        ("number = :id", "number = :id AND :new_id <> :new_uuid", &["either :new_id or :new_uuid"]),
        ("number = :id", "number = @id", &["the parameter @id is unknown"]),
        ("number = :id", "number = ?1", &["the parameter ?1 is unknown"]),
        ("number = :id", "number = 1", &["neither :id nor :task_name"]),
        ("RETURNING number\n", "RETURNING number; DELETE FROM jobs\n", &["ultiple statements"]),
        ("number = :id", "number = :id AND heat()", &["does not compile", "no such function: heat"]),
    ];
    for (part, other, words) in spawns {
        let words = [&["spawn (generation \"the only one\")"], words].concat();
        assert_refused(&profile_with(part, other), &words);
    }
    let (head, _) = PROFILE.split_once("INSERT INTO jobs").unwrap();
    assert_refused(&format!("{head}SELECT number FROM jobs WHERE number = :id'''"), &["spawn", "only reads"]);
    assert_refused(&format!("{head}'''"), &["spawn"]);
}

/// The profile's error for a spawn that breaks the rules while it runs; nothing was changed.
fn spawn_error(anvil: &Anvil, profile: &str) -> ErrorModel {
    let before = anvil.jobs();
    let error = call(&anvil.plugin(profile).unwrap(), &all_failed(json!({}))).unwrap_err();
    let file = anvil.profile_file();
    assert_error(&error, 500, &[file.to_str().unwrap(), "spawn (generation \"the only one\")", "nothing was changed"]);
    assert_eq!(anvil.jobs(), before);
    error
}

#[test]
fn a_spawn_without_an_id_or_with_two_spawns_nothing() {
    let anvil = Anvil::with_failed(&["forge", "temper"]);
    let error = spawn_error(&anvil, &profile_with("RETURNING number", "RETURNING NULL"));
    assert_error(&error, 500, &["the id that it returned for the new run is NULL"]);
    // For the first job only one row is inserted, for the second two.
    let error = spawn_error(&anvil, &profile_with("number = :id", "number = :id OR (:id = 2 AND number = 1)"));
    assert_error(&error, 500, &["more than one run"]);
}

/// What the host's own rule about the jobs of kind `cold` makes of a call, and that the others are
/// spawned whatever it says.
#[track_caller]
fn assert_declined(host_rule: &str, profile: &str, words: &str) {
    let anvil = Anvil::with_failed(&["anneal", "cold", "forge"]).after("CREATE TABLE log (entry)").after(host_rule);
    let before = anvil.jobs();
    let answer = call(&anvil.plugin(profile).unwrap(), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), ["anneal", "forge"]);
    assert_eq!(skipped(&answer), ["2: refused"]);
    assert!(first_detail(&answer).contains(words), "{words:?} is not in {answer}");

    let after = anvil.jobs();
    assert_eq!(after[..3], before);
    let kinds: Vec<_> = after[3..].iter().map(|job| job[1].clone()).collect();
    assert_eq!(kinds, ["anneal", "forge"].map(|kind| Value::Text(kind.to_owned())));
    assert_eq!(anvil.rows("SELECT * FROM log"), Vec::<Vec<Value>>::new(), "a declined run left something behind");
}

fn trigger(when: &str, body: &str) -> String {
    format!("CREATE TRIGGER rule {when} INSERT ON jobs WHEN NEW.kind = 'cold' BEGIN {body}; END")
}

#[test]
fn a_spawn_that_starts_nothing_is_refused() {
    assert_declined("", &profile_with("number = :id", "number = :id AND kind <> 'cold'"), "started no run");
    assert_declined(&trigger("BEFORE", "SELECT RAISE(IGNORE)"), PROFILE, "started no run");
}

#[test]
fn a_hosts_constraint_refuses_in_its_own_words() {
    let once = profile_with(
        "INSERT INTO jobs (kind, state, queued, arguments)\nSELECT kind, 'queued', unixepoch(), arguments",
        "INSERT INTO jobs (kind, state, queued, arguments, once)\nSELECT kind, 'queued', unixepoch(), arguments, once",
    );
    assert_declined("UPDATE jobs SET once = 'x' WHERE kind = 'cold'", &once, "UNIQUE constraint failed: jobs.once");
    for when in ["BEFORE", "AFTER"] {
        let rule = trigger(when, "INSERT INTO log VALUES ('tried'); SELECT RAISE(ABORT, 'the anvil is cold')");
        assert_declined(&rule, PROFILE, "the anvil is cold");
    }
}

/// Unlike ABORT, FAIL keeps what the statement has done so far: the new row as well.
#[test]
fn a_hosts_constraint_that_keeps_half_the_work_leaves_nothing_behind() {
    for when in ["BEFORE", "AFTER"] {
        let rule = trigger(when, "INSERT INTO log VALUES ('tried'); SELECT RAISE(FAIL, 'the anvil is cold')");
        assert_declined(&rule, PROFILE, "the anvil is cold");
    }
}

#[test]
fn a_refusal_of_the_only_run_leaves_nothing_behind() {
    let rule = trigger("AFTER", "INSERT INTO log VALUES ('tried'); SELECT RAISE(FAIL, 'the anvil is cold')");
    let anvil = Anvil::with_failed(&["cold"]).after("CREATE TABLE log (entry)").after(&rule);
    let answer = call(&anvil.plugin(PROFILE).unwrap(), &all_failed(json!({}))).unwrap();
    assert_eq!((triggered(&answer).len(), skipped(&answer)), (0, vec!["1: refused".to_owned()]));
    assert_eq!((anvil.jobs().len(), anvil.rows("SELECT * FROM log").len()), (1, 0));
}

#[test]
fn a_host_that_rolls_back_takes_every_new_run_with_it() {
    for when in ["BEFORE", "AFTER"] {
        let rule = trigger(when, "SELECT RAISE(ROLLBACK, 'the anvil is cold')");
        let anvil = Anvil::with_failed(&["anneal", "cold", "forge"]).after(&rule);
        assert_error(&spawn_error(&anvil, PROFILE), 500, &["the host rolled the transaction back"]);
    }
}

#[test]
fn a_constraint_that_is_checked_at_the_commit_declines_its_own_run_alone() {
    let anvil = Anvil::with_failed(&["anneal", "cold"]).after(
        "CREATE TABLE kinds (kind TEXT PRIMARY KEY); INSERT INTO kinds VALUES ('anneal');
         CREATE TABLE links (kind TEXT REFERENCES kinds DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER link AFTER INSERT ON jobs BEGIN INSERT INTO links VALUES (NEW.kind); END",
    );
    let answer = call(&anvil.plugin(PROFILE).unwrap(), &all_failed(json!({}))).unwrap();
    assert_eq!((triggered(&answer).len(), skipped(&answer)), (1, vec!["2: refused".to_owned()]));
    let detail = answer["skipped"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("FOREIGN KEY") && detail.contains("when the transaction ends"), "{detail}");
    assert_eq!((anvil.jobs().len(), anvil.rows("SELECT * FROM links").len()), (3, 1));
}
