//! What is said where something is wrong: in the answer what to do, in the log all that the server said.

use std::process::Command;

use serde_json::json;

use crate::postgres::{Client, Database};
use crate::store::{PROFILE, SCHEMA, Store, all_failed, assert_error, call, skipped, triggered};

/// The answer of a re-run on the command line, and the log.
fn rerun(store: &Store) -> (serde_json::Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"))
        .args(["rerun", "--status", "failed", "--yes", "--json", "--store", &store.database.url, "--profile"])
        .arg(store.profile())
        .output()
        .unwrap();
    let answer = serde_json::from_slice(&output.stdout).unwrap();
    (answer, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_log_has_all_that_the_server_said_and_the_answer_no_value() {
    let store = Store::with_failed(1);
    store.client.execute("UPDATE job SET payload = '{\"n\": \"s3cret\"}'");
    store.reword("0 AS retry_attempt", "(payload->>'n')::int AS retry_attempt");
    // A filter has the column read.
    let request = json!({"match_all": true, "filter": {"status": "failed", "retries_only": true}});
    let error = call(&store.open(), &request).unwrap_err();
    assert_error(&error, 500, &["failed while searching its runs"]);
    assert!(!error.detail.contains("s3cret") && !error.detail.contains("SELECT"), "{error}");
    let output = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"))
        .args(["rerun", "--status", "failed", "--retries-only", "--yes", "--store", &store.database.url, "--profile"])
        .arg(store.profile())
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    for words in ["cause=", "invalid input syntax for type integer", "SQLSTATE 22P02"] {
        assert!(log.contains(words), "{words:?} is not in {log}");
    }
    assert!(!log.contains("db error"), "{log}");
}

#[test]
fn a_column_of_a_type_that_can_not_be_read_is_named_when_the_store_is_opened() {
    let store = Store::with_failed(1);
    for (from, to, words) in [
        ("0 AS retry_attempt", "true AS retry_attempt", "the column retry_attempt is of the wrong type: cannot cast"),
        ("NULL AS exit_code", "made AS exit_code", "the column exit_code is of the wrong type: cannot cast"),
        (
            "0 AS retry_attempt",
            "0 AS retry_attempt, made AS deleted",
            "the column deleted is of the wrong type: argument",
        ),
        ("0 AS retry_attempt", "0 AS retry_attempt, made AS is_failure", "the column is_failure is of the wrong type"),
    ] {
        store.reword(from, to);
        assert_error(&store.open_error(&store.database.url), 500, &["small.toml", "runs (generation", words]);
    }
    // What can be read is no mistake, whatever its type.
    store.reword("0 AS retry_attempt", "'0' AS retry_attempt, 0 AS is_failure, NULL::boolean AS deleted");
    assert_eq!(triggered(&call(&store.open(), &json!({"ids": ["1"]})).unwrap()), 1);
}

#[test]
fn a_version_may_be_numbers_with_dots_or_a_word() {
    let store = Store::with_failed(1);
    store.client.execute("CREATE TABLE release (version text); INSERT INTO release VALUES ('4.2.10')");
    let whole = std::fs::read_to_string(store.profile()).unwrap();
    let version = |known: &str| {
        let version = format!("version = {{ query = 'SELECT version FROM release', {known} }}\nrights.job");
        std::fs::write(store.profile(), whole.replacen("rights.job", &version, 1)).unwrap();
    };
    for known in ["from = '4.2.9', to = '4.2'", "from = 4, to = 4", "any_of = ['4.2.9', '4.2.10']"] {
        version(known);
        let again = json!({"ids": ["1"]});
        assert_eq!(triggered(&call(&store.open(), &again).unwrap()), 1, "{known}");
    }
    version("from = '4.1', to = '4.2.9'");
    let error = store.open_error(&store.database.url);
    assert_error(&error, 500, &["small.toml", "has the version 4.2.10", "is for 4.1 to 4.2.9"]);
    version("any_of = ['b1c2', 'd3e4']");
    let error = store.open_error(&store.database.url);
    assert_error(&error, 500, &["small.toml", "has the version 4.2.10", "is for b1c2 or d3e4"]);

    // The runner is upgraded while the store is open.
    version("from = '4.2.9', to = '4.2.10'");
    let plugin = store.open();
    store.client.execute("UPDATE release SET version = '4.3.0-rc1'");
    let error = call(&plugin, &json!({"ids": ["1"]})).unwrap_err();
    assert_error(&error, 500, &["has the version 4.3.0-rc1, which is no number", "any_of", "nothing was changed"]);
}

#[test]
fn a_misspelled_right_is_named_with_its_profile() {
    let store = Store::with_failed(1);
    store.reword("[\"SELECT\", \"INSERT\"]", "[\"SELECT\", \"INSRT\"]");
    let plugin = store.open();
    let error = plugin.describe().unwrap_err();
    assert_error(&error, 500, &["small.toml", "rights.job (generation", "INSRT", "unrecognized privilege"]);
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 1);
}

impl Store {
    /// A store in a database of this encoding.
    fn encoded(encoding: &str) -> Store {
        let store = Store::new();
        let name = format!("{}_{}", store.database.name, encoding.to_lowercase());
        store.client.execute(&format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ));
        let server = store.database.server;
        let database = Database { server, url: server.url("postgres", &name), name };
        let client = Client::connect(&database.url);
        client.execute(SCHEMA);
        let store = Store { database, client, folder: tempfile::tempdir().unwrap() };
        std::fs::write(store.profile(), PROFILE).unwrap();
        store.client.execute("INSERT INTO job (task, state) VALUES ('task1', 'failed')");
        store
    }
}

#[test]
fn encodings_that_can_not_be_converted_are_told_so() {
    let latin = Store::encoded("LATIN1");
    let plugin = latin.open();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 1);
    // What can't be there is not there; what can be is found, beside it as well.
    latin.client.execute("INSERT INTO job (task, state) VALUES ('Zoë', 'failed')");
    latin.reword("SELECT id, task", "SELECT 'é' || id AS id, task");
    let plugin = latin.open();
    for (request, matched) in [
        (json!({"match_all": true, "filter": {"task_name": "株式"}}), 0),
        (json!({"match_all": true, "filter": {"search": "株式"}}), 0),
        (json!({"match_all": true, "filter": {"triggered_by": "株式"}}), 0),
        (json!({"match_all": true, "filter": {"status": "株式"}}), 0),
        (json!({"match_all": true, "filter": {"status": "株式,failed"}}), 2),
        (json!({"match_all": true, "filter": {"task_name": "Zoë", "status": "株式,failed"}}), 1),
        (json!({"match_all": true, "filter": {"search": "OË"}}), 0),
        (json!({"match_all": true, "filter": {"search": "oë"}}), 1),
        (json!({"ids": ["株式"]}), 0),
        (json!({"ids": ["株式", "é1", "ü"]}), 1),
        (json!({"match_all": true, "except_ids": ["株式"]}), 3),
    ] {
        let mut request = request;
        request["options"] = json!({"dry_run": true, "skip_active": true, "skip_superseded": true});
        assert_eq!(call(&plugin, &request).unwrap()["matched"], matched, "{request}");
    }
    let plain = Store::encoded("SQL_ASCII");
    assert_eq!(triggered(&call(&plain.open(), &all_failed(json!({}))).unwrap()), 1);
    plain.client.execute("SET client_encoding = 'SQL_ASCII'; UPDATE job SET task = E'task\\xe4'");
    let error = call(&plain.open(), &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["not in UTF-8", "0xe4", "SHOW server_encoding"]);
}

#[test]
fn a_trigger_that_raises_under_a_code_of_its_own_declines_its_run() {
    for raise in [
        "RAISE EXCEPTION 'it is on holiday' USING ERRCODE = '55000'",
        "RAISE EXCEPTION 'it is on holiday' USING ERRCODE = 'UE001'",
        "RAISE EXCEPTION 'it is on holiday' USING ERRCODE = 'P4242'",
        "RAISE feature_not_supported USING MESSAGE = 'it is on holiday'",
        // No RAISE, and the row's own fault.
        "PERFORM ('it is on holiday')::int",
        "ASSERT false, 'it is on holiday'",
    ] {
        let store = Store::with_failed(3);
        store.client.execute(&format!(
            "CREATE FUNCTION decline() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.task = 'task1' THEN {raise}; END IF; RETURN NEW; END $$;
             CREATE TRIGGER decline BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION decline();"
        ));
        let answer = call(&store.open(), &all_failed(json!({}))).unwrap();
        assert_eq!((triggered(&answer), skipped(&answer)), (2, vec!["task1: refused".to_owned()]), "{raise}");
        let detail = answer["skipped"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("it is on holiday"), "{raise}: {detail}");
    }
}

/// The server's, or our rights'.
#[test]
fn trouble_in_a_trigger_fails_the_call_and_changes_nothing() {
    for (trouble, words) in [
        ("INSERT INTO nowhere VALUES (1)", "relation \"nowhere\" does not exist"),
        ("RAISE query_canceled USING MESSAGE = 'not now'", "not now"),
        ("RAISE insufficient_privilege USING MESSAGE = 'not you'", "not you"),
    ] {
        let store = Store::with_failed(3);
        store.client.execute(&format!(
            "CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.task = 'task2' THEN {trouble}; END IF; RETURN NEW; END $$;
             CREATE TRIGGER trouble BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION trouble();"
        ));
        let (answer, _) = rerun(&store);
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(words) && detail.contains("nothing was changed"), "{trouble}: {detail}");
        assert_eq!(store.count(), 3);
    }
}
