//! What an operator is told at night: what was found, where, and what to do; a password never.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::anvil::{Anvil, PROFILE, profile_with};
use crate::support::calls::{all_failed, assert_error, call, planned};
use crate::support::{Row, Store};
use bulk_rerun::{ErrorModel, Request};
use rusqlite::Connection;
use serde_json::{Value, json};

/// What `bulk-rerun check` prints in a folder, and its exit status.
fn check(folder: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"))
        .arg("check")
        .args(arguments)
        .current_dir(folder)
        .env_remove("BULK_RERUN_STORE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (String::from_utf8([output.stdout, output.stderr].concat()).unwrap(), output.status.code())
}

/// `check` fails with these words, and without anybody's password.
#[track_caller]
fn assert_told(folder: &Path, arguments: &[&str], words: &[&str]) {
    let (text, status) = check(folder, arguments);
    assert_eq!(status, Some(1), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?}: {word:?} is not in {text}");
    }
    assert!(!text.contains("s3cret"), "{arguments:?}: {text}");
}

/// A folder with a store, `jobs.db`.
fn folder() -> tempfile::TempDir {
    let store = Store::new().holding(&[Row::failed("1", "backup", "2026-04-15T12:00:00Z")]);
    store.open().pragma_update(None, "journal_mode", "delete").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(&store.path, folder.path().join("jobs.db")).unwrap();
    folder
}

#[test]
fn a_store_that_is_none() {
    let folder = folder();
    let path = folder.path();
    fs::create_dir(path.join("data")).unwrap();
    fs::write(path.join("empty.db"), "").unwrap();
    fs::write(path.join("notes.txt"), "nothing but text, and a little more of it\n".repeat(100)).unwrap();
    Connection::open(path.join("shop.db")).unwrap().execute_batch("CREATE TABLE orders (id)").unwrap();
    let later =
        "CREATE TABLE runs (id, task_name, state, end_reason, exit_code, triggered_by, created_at, retry_attempt)";
    Connection::open(path.join("later.db")).unwrap().execute_batch(later).unwrap();
    let cases: [(&str, &[&str]); 12] = [
        ("job.db", &["job.db: no such file", "jobs.db?"]),
        ("JOBS.DB", &["no such file", "jobs.db?"]),
        ("daten/jobs.db", &["no such file, and no folder /", "/daten"]),
        ("data", &["data is a folder, not a store", "name the runner's database in it"]),
        ("empty.db", &["is an empty file, not a store", "a mistyped path may have left it there"]),
        ("notes.txt", &["is not an SQLite database", "is that the runner's store?"]),
        ("shop.db", &["its tables: orders", "--profile FILE", "bulk-rerun profiles runwisp"]),
        ("later.db", &["runwisp comes nearest", "lacks the column runs.status"]),
        ("jobs.db/x", &["can't be reached"]),
        ("file:jobs.db", &["no such file", "an URI", "jobs.db?"]),
        ("sqlite://jobs.db", &["no such file", "an URI", "jobs.db?"]),
        ("sqlite:jobs.db?mode=rw", &["no such file", "what follows its ? is not heeded", "jobs.db?"]),
    ];
    for (store, words) in cases {
        assert_told(path, &["--store", store], words);
    }
    assert_eq!(check(path, &["--store", "SQLite:jobs.db"]).1, Some(0));
}

#[test]
fn an_address_that_is_none() {
    let folder = folder();
    for (store, words) in [
        ("host=db dbname=jobs password=s3cret", "looks like an address in key words"),
        ("mysql://me:s3cret@db/jobs", "looks like an address of mysql"),
        ("postgre://me:s3cret@db/jobs", "PostgreSQL stores are postgres://USER@HOST:PORT/DATABASE"),
        ("jdbc:postgresql://db/jobs?user=me&password=s3cret", "PostgreSQL stores are postgres://"),
        ("me:s3cret@db/jobs", "looks like an address without its beginning"),
        ("postgres://me:s3/cret@db:x/s3cret", "no port number (in a password, / is written %2F"),
        ("postgres://me:s3@s3cret@db/jobs", "more than one @ in front of its host"),
        ("postgres://me:s3cret@db/jobs password=s3cret", "words in another spelling"),
        ("postgres://me:s3cret@db/jobs?passwort=s3cret", "did you mean password?"),
        ("postgres://me:s3cret@db/jobs?connect_timeout=s3cret", "connect_timeout"),
        ("postgres://me:s3cret@127.0.0.1:1/jobs", "postgres://me@127.0.0.1:1/jobs can't be reached"),
        ("Postgres://me:s3cret@127.0.0.1:1/jobs", "is the server running there?"),
        ("postgres://me:s3cret@no.such.host.invalid/jobs", "is the host's name right?"),
    ] {
        assert_told(folder.path(), &["--store", store], &[words]);
    }
}

#[test]
fn a_profile_that_is_none() {
    let folder = folder();
    fs::create_dir(folder.path().join("data")).unwrap();
    let cases: [(&str, &[&str]); 6] = [
        ("runwips", &["neither built in (runwisp, ", "did you mean runwisp?"]),
        ("PG-Boss", &["did you mean pg-boss?"]),
        ("data", &["neither built in", "Is a directory"]),
        ("./mine.toml", &["the profile's file ./mine.toml can't be read: No such file"]),
        ("pg-boss", &["is for runners on PostgreSQL, and the store is in SQLite", "runwisp, apalis", "leave it out"]),
        ("apalis", &["lacks the table Jobs", "It is for apalis", "bulk-rerun profiles apalis"]),
    ];
    for (profile, words) in cases {
        assert_told(folder.path(), &["--store", "jobs.db", "--profile", profile], words);
    }
    fs::write(folder.path().join("tasks.toml"), "[tasks.backup]\napi_trigger = 's3cret").unwrap();
    fs::write(folder.path().join("flat.toml"), "[tasks]\nbackup = 's3cret'").unwrap();
    let cases: [(&str, &[&str]); 4] = [
        ("tasks.toml", &["the task catalogue tasks.toml: line 2, column "]),
        ("flat.toml", &["flat.toml: line 2, column 10: ", "expected a table, as in [tasks.backup]"]),
        ("nope.toml", &["nope.toml: it can't be read: No such file", "runwisp.toml"]),
        ("data", &["data: it can't be read: Is a directory"]),
    ];
    for (tasks, words) in cases {
        let (text, status) = check(folder.path(), &["--store", "jobs.db", "--tasks", tasks]);
        assert_eq!(status, Some(1), "{text}");
        words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not in {text}"));
    }
}

/// Opening Anvil's store with this profile fails with these words, in one line.
#[track_caller]
fn assert_refused(profile: &str, words: &[&str]) {
    let error = Anvil::with_failed(&["forge"]).plugin(profile).err().unwrap_or_else(|| panic!("no word of {words:?}"));
    assert_error(&error, 500, words);
    assert!(!error.detail.contains('\n'), "{error}");
}

#[test]
fn a_mistake_in_a_profile_is_told_with_its_line() {
    assert_refused(&profile_with("runner = 'Anvil'", "runer = 'Anvil'"), &["line 3, column 1: unknown field `runer`"]);
    let kind = "(line 2 of it: `name AS task_name,`)";
    assert_refused(&profile_with("kind AS task_name", "name AS task_name"), &["no such column: name", kind]);
    let values = profile_with("SELECT kind, 'queued'", "SELCT kind, 'queued'");
    assert_refused(&values, &["near \"SELCT\": syntax error", "(line 2 of it: `SELCT kind, "]);
    let misspelled = profile_with("exit AS exit_code", "exit AS exitcode");
    assert_refused(&misspelled, &["the column exitcode is not a canonical one", "did you mean exit_code?"]);
    assert_refused(&profile_with("AS phase", "AS state"), &["the column phase is missing"]);
    let versioned = |version: &str| profile_with("runs = '''", &format!("version = {{ {version} }}\nruns = '''"));
    let real = versioned("query = 'SELECT 4.10', from = 1, to = 9");
    assert_refused(&real, &["version.query (generation", "a number with a fraction, 4.1;", "whole number or a text"]);
    let word = versioned("query = \"SELECT '4.2-rc1'\", from = 1, to = 9");
    assert_refused(&word, &["from 1 to 9 (it is 4.2-rc1, which is no number as 7 and 1.16.4 are", "any_of"]);
    let none = versioned("query = \"SELECT '4.2'\", from = 1");
    assert_refused(&none, &["not a profile: line 8", "`from` and `to`, or by `any_of`"]);
    let first = versioned("query = \"SELECT '4.2'\", from = '4.x', to = 9");
    assert_refused(&first, &["not a profile: line 8", "the version 4.x is no number"]);
    let list = versioned("query = \"SELECT '4.2'\", from = [4], to = 9");
    assert_refused(&list, &["not a profile: line 8", "a whole number, or a text such as \"1.16.4\""]);
}

#[test]
fn generations_without_names_are_told_apart() {
    let (_, generation) = PROFILE.split_once("[[generation]]").unwrap();
    let two = |second: &str| format!("{PROFILE}\n[[generation]]{second}").replacen("'number', ", "'numero', ", 1);
    let wrong = generation.replace("kind AS task_name", "name AS task_name");
    assert_refused(&two(&wrong), &["runs (generation \"number 2 in the file\")", "no such column: name"]);
    let anvil = Anvil::with_failed(&["forge"]);
    assert_eq!(anvil.plugin(&two(generation)).unwrap().describe().unwrap().generation, "number 2 in the file");
}

/// SQLite's names are equal in any case.
#[test]
fn columns_of_a_view_are_found_in_any_case() {
    let profile = PROFILE
        .replace("number AS id", "number AS ID")
        .replace("kind AS task_name", "kind AS Task_Name")
        .replace("AS created_at", "AS \"Created_At\"")
        .replace("requires.jobs = ['number', 'kind'", "requires.JOBS = ['Number', 'KIND'");
    let plugin = Anvil::with_failed(&["forge"]);
    let plugin = plugin.plugin(&profile).map(|opened| (plugin, opened)).unwrap();
    let plan = call(&plugin.1, &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(planned(&plan), ["forge: 1 (1)"]);
}

/// The answer to a request that is refused.
fn refused(request: &str) -> ErrorModel {
    Request::from_json(request.as_bytes()).unwrap_err()
}

#[test]
fn a_request_with_more_mistakes_than_anybody_reads_is_answered_in_short() {
    let fields: Vec<String> = (0..400_000).map(|number| format!(r#""field {number}": "x""#)).collect();
    let long = "x".repeat(4_000_000);
    for (request, all) in [
        (format!("{{{}}}", fields.join(",")), 400_000),
        (format!(r#"{{"match_all": true, "filter": {{{}}}}}"#, fields.join(",")), 400_000),
        (format!(r#"{{"ids": [{}1]}}"#, "1,".repeat(4_000_000)), 4_000_001),
        (format!(r#"{{"match_all": true{}}}"#, r#","match_all":1"#.repeat(500_000)), 500_000),
        (format!(r#"{{"{long}": 1, "filter": "{long}", "match_all": [{}1]}}"#, "[1],".repeat(1_000_000)), 3),
    ] {
        let error = refused(&request);
        assert_eq!((error.status, error.errors.len()), (422, all.min(100)));
        assert!(error.to_json().len() < 30_000, "{}", error.to_json().len());
        if all > 100 {
            assert!(error.detail.contains(&format!("and {} more; `errors` lists the first 100", all - 1)), "{error}");
        }
    }
    let places: Vec<String> =
        refused(r#"{"ids": ["a", 1, "b", null]}"#).errors.into_iter().map(|e| e.location).collect();
    assert_eq!(places, ["body.ids[1]", "body.ids[3]"]);
    // A contradiction shows as little.
    let error = refused(&format!(r#"{{"match_all": true, "ids": ["{}"]}}"#, ["a"; 100_000].join("\",\"")));
    assert!(error.status == 400 && error.to_json().len() < 10_000, "{error}");
}

#[test]
fn a_mark_in_front_of_a_request_is_no_mistake() {
    let store = Store::new().holding(&[Row::failed("1", "backup", "2026-04-15T12:00:00Z")]);
    let selector = store.path.with_file_name("selector.json");
    for (text, status, words) in [
        ("\u{feff}{\"ids\": [\"1\"]}", 0, "backup"),
        (
            r#"{"match_all": true, "filter": {"exit_code_min": 1e400}}"#,
            2,
            "body.filter.exit_code_min: the number is out of range",
        ),
        (r#"{"match_all": true, "filter": {"exit_code_min": 1e400"#, 2, "not JSON"),
    ] {
        fs::write(&selector, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"))
            .args([
                "rerun",
                "--store",
                store.path_str(),
                "--dry-run",
                "--json",
                "--selector",
                selector.to_str().unwrap(),
            ])
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(status), "{answer}");
        assert!(answer.to_string().contains(words), "{words:?} is not in {answer}");
    }
}
