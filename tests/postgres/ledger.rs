//! The ledger in a PostgreSQL store, and the key under which a re-run is done once.

use std::process::{Command, Output};
use std::thread;

use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

use crate::proxy::{Cut, Proxy};
use crate::store::{SCHEMA, Store, all_failed, assert_error, call, triggered};

pub fn kept(runs: u32) -> Store {
    let store = Store::with_failed(runs);
    assert_eq!(store.open().create_ledger(), Ok(true));
    store
}

fn keyed(key: &str) -> Value {
    all_failed(json!({"idempotency_key": key}))
}

fn number(store: &Store, sql: &str) -> usize {
    store.client.value(sql).unwrap().parse().unwrap()
}

fn operations(store: &Store) -> usize {
    number(store, "SELECT count(*) FROM bulk_rerun.operations")
}

pub fn tool(store: &Store, url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"));
    command.args(arguments).args(["--store", url, "--profile", store.profile().to_str().unwrap()]);
    command.output().unwrap()
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn what_was_done_is_written_down_and_a_repeat_is_answered_from_it() {
    let store = kept(3);
    let options = json!({"idempotency_key": "k", "reason": "the disk was full", "actor": "ada"});
    let mut request = json!({"ids": ["1", "2", "77"], "options": options});
    let first = call(&store.open(), &request).unwrap();
    assert_eq!(triggered(&first), 2);
    let sql =
        "SELECT operation_id, profile, store_schema, door, actor, reason, idempotency_key, request, triggered, skipped,
                   undone_at, created_at BETWEEN now() - interval '1 minute' AND now() + interval '1 second'
               FROM bulk_rerun.operations";
    let row: Vec<String> = store.client.rows(sql).remove(0).into_iter().map(Option::unwrap_or_default).collect();
    let as_carried_out = r#"{"ids":["1","2","77"],"options":{"unique_by":"task"}}"#;
    let id = first["operation_id"].as_str().unwrap();
    assert_eq!(
        row,
        [id, "small", "public", "rust", "ada", "the disk was full", "k", as_carried_out, "2", "1", "", "t"]
    );
    let sql = "SELECT task_name, rerun_of, run_id FROM bulk_rerun.runs ORDER BY place";
    let run = |at: usize| {
        ["task_name", "rerun_of", "run_id"]
            .map(|part| first["triggered"][at][part].as_str().map(str::to_owned))
            .to_vec()
    };
    assert_eq!(store.client.rows(sql), [run(0), run(1)]);

    // Whatever has become of the runs since.
    store.client.execute("DELETE FROM job");
    let mut again = call(&store.open(), &request).unwrap();
    assert_eq!(again.as_object_mut().unwrap().remove("replayed"), Some(json!(true)));
    assert_eq!(again, first);
    request["options"]["limit"] = json!(5);
    let error = call(&store.open(), &request).unwrap_err();
    assert_eq!((error.status, &*error.errors[0].location), (422, "body.options.idempotency_key"));
    assert_eq!((operations(&store), store.count()), (1, 0));
}

#[test]
fn a_store_without_a_ledger_gets_none_unasked_and_refuses_what_needs_one() {
    let store = Store::with_failed(2);
    let error = call(&store.open(), &keyed("k")).unwrap_err();
    assert_eq!((error.status, &*error.errors[0].location), (422, "body.options.idempotency_key"));
    assert!(call(&store.open(), &all_failed(json!({}))).unwrap().get("operation_id").is_none());
    assert_eq!(store.client.value("SELECT to_regnamespace('bulk_rerun')"), None);
    let config = Config { ledger: true, ..store.config(&store.database.url) };
    for _ in 0..2 {
        Plugin::open(&config).unwrap();
    }
    assert_eq!(operations(&store), 0);
}

#[test]
fn several_at_once_with_one_key_spawn_once() {
    let store = kept(50);
    let answers: Vec<Value> = thread::scope(|scope| {
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| call(&store.open(), &keyed("k")).unwrap())).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!((operations(&store), store.count()), (1, 100));
    assert_eq!(answers.iter().filter(|answer| answer.get("replayed").is_none()).count(), 1);
    for answer in &answers {
        assert_eq!(answer["triggered"], answers[0]["triggered"]);
        assert_eq!(answer["operation_id"], answers[0]["operation_id"]);
    }
}

/// Two schemas, each with a runner of its own, share the database and its ledger.
#[test]
fn a_key_is_one_schemas_own() {
    let store = kept(2);
    store.client.execute(&format!("CREATE SCHEMA other; SET search_path = other; {}; RESET search_path", SCHEMA));
    store.client.execute("INSERT INTO other.job (task, state) VALUES ('theirs', 'failed')");
    let theirs = format!("{}?options=-csearch_path%3Dother", store.database.url);
    let theirs = Plugin::open(&store.config(&theirs)).unwrap();
    call(&store.open(), &keyed("k")).unwrap();
    let answer = call(&theirs, &keyed("k")).unwrap();
    assert_eq!((triggered(&answer), answer.get("replayed")), (1, None));
    let schemas = "SELECT string_agg(store_schema, ' ' ORDER BY number) FROM bulk_rerun.operations";
    assert_eq!(store.client.value(schemas).unwrap(), "public other");
    assert_eq!(theirs.prune_ledger(chrono::Utc::now() + chrono::Duration::days(1)), Ok(1));
    assert_eq!(store.client.value(schemas).unwrap(), "public");
}

#[test]
fn nothing_is_spawned_that_can_not_be_written_down() {
    for table in ["operations", "runs"] {
        let store = kept(2);
        store.client.execute(&format!(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not here'; END $$;
             CREATE TRIGGER no BEFORE INSERT ON bulk_rerun.{table} FOR EACH ROW EXECUTE FUNCTION no()"
        ));
        let error = call(&store.open(), &all_failed(json!({}))).unwrap_err();
        assert_error(&error, 500, &["ledger", "not here", "nothing was changed"]);
        assert_eq!((operations(&store), store.count()), (0, 2), "{table}");
    }
}

#[test]
fn check_lists_the_rights_on_the_ledger_and_they_are_enough() {
    let store = kept(2);
    let role = format!("probe_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON job TO {role}"));
    let url = store.database.url_as(&role);
    let plugin = Plugin::open(&store.config(&url)).unwrap();
    let error = call(&plugin, &keyed("k")).unwrap_err();
    assert_error(&error, 500, &["bulk-rerun check", "nothing was changed"]);
    assert_eq!(store.count(), 2);
    let text = said(&tool(&store, &url, &["check"]));
    let grants: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("missing    ")).collect();
    assert_eq!(grants.len(), 4, "{text}");
    grants.iter().for_each(|grant| store.client.execute(grant));
    let text = said(&tool(&store, &url, &["check"]));
    assert!(!text.contains("missing") && text.contains("ledger     every re-run is written down"), "{text}");
    assert_eq!(triggered(&call(&plugin, &keyed("k")).unwrap()), 2);
    assert_eq!(call(&plugin, &keyed("k")).unwrap()["replayed"], true);
}

#[test]
fn a_role_that_may_not_make_one_is_told_so() {
    let store = Store::with_failed(1);
    let role = format!("probe_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON job TO {role}"));
    let output = tool(&store, &store.database.url_as(&role), &["ledger", "create"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("permission denied for database") && text.contains("nothing was changed"), "{text}");
}

/// Version 0 is nothing but its number.
#[test]
fn an_older_ledger_is_brought_up_to_date_under_the_feet_of_its_callers() {
    let store = Store::with_failed(2);
    let plugins = [(); 4].map(|()| store.open());
    store.client.execute("CREATE SCHEMA bulk_rerun; CREATE VIEW bulk_rerun.ledger AS SELECT 0 AS version");
    thread::scope(|scope| {
        for (number, plugin) in plugins.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..3 {
                    let answer = call(plugin, &keyed(&format!("{number} {round}"))).unwrap();
                    assert!(answer.get("replayed").is_none() && answer["operation_id"].is_string(), "{answer}");
                }
            });
        }
    });
    assert_eq!((operations(&store), store.count()), (12, 2 + 24));
    assert_eq!(number(&store, "SELECT version FROM bulk_rerun.ledger"), 2);
    store.client.execute("CREATE OR REPLACE VIEW bulk_rerun.ledger AS SELECT 7 AS version");
    let error = call(&store.open(), &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["version 7", "upgrade"]);
    assert_eq!(store.count(), 2 + 24);
}

#[test]
fn the_tool_makes_shortens_and_drops_it() {
    let store = Store::with_failed(2);
    let ledger = |arguments: &[&str]| {
        let output = tool(&store, &store.database.url, &[&["ledger"], arguments].concat());
        (output.status.code().unwrap(), said(&output))
    };
    assert_eq!(ledger(&["create"]), (0, "The ledger was made.\n".to_owned()));
    assert_eq!(ledger(&["create"]), (0, "There is a ledger already.\n".to_owned()));
    for key in ["old", "new"] {
        call(&store.open(), &keyed(key)).unwrap();
    }
    let age = "UPDATE bulk_rerun.operations SET created_at = now() - interval '91 days' WHERE idempotency_key = 'old'";
    store.client.execute(age);
    assert_eq!(ledger(&["prune", "--older-than", "90d"]), (0, "1 re-run taken out of the ledger.\n".to_owned()));
    assert_eq!(number(&store, "SELECT count(*) FROM bulk_rerun.runs"), 2);
    assert!(call(&store.open(), &keyed("old")).unwrap().get("replayed").is_none());
    assert_eq!(call(&store.open(), &keyed("new")).unwrap()["replayed"], true);
    // What somebody else has put there stays, and so does the ledger.
    store.client.execute("CREATE TABLE bulk_rerun.mine ()");
    let (status, text) = ledger(&["drop"]);
    assert!(status == 1 && text.contains("other objects depend on it"), "{text}");
    store.client.execute("DROP TABLE bulk_rerun.mine");
    assert_eq!(ledger(&["drop"]), (0, "The ledger was taken away.\n".to_owned()));
    assert_eq!(store.client.value("SELECT to_regnamespace('bulk_rerun')"), None);
}

/// Who re-runs need not be allowed to make the ledger shorter; who wants to is told what that takes.
#[test]
fn check_lists_what_pruning_needs_and_it_is_enough() {
    let store = kept(1);
    let role = format!("probe_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON job TO {role}"));
    let url = store.database.url_as(&role);
    let told = |label: &str| -> Vec<String> {
        let (text, status) = crate::check::check(&store, &url);
        assert_eq!(status, 0, "{text}");
        let grant = |line: &str| Some(line.strip_prefix(label)?.trim_start().split_inclusive(';').next()?.to_owned());
        text.lines().filter_map(grant).collect()
    };
    told("missing").iter().for_each(|grant| store.client.execute(grant));
    assert_eq!(told("missing"), [""; 0]);
    let plugin = Plugin::open(&store.config(&url)).unwrap();
    call(&plugin, &keyed("k")).unwrap();
    let tomorrow = chrono::Utc::now() + chrono::Duration::days(1);
    plugin.prune_ledger(tomorrow).unwrap_err();
    let grants = ["operations", "runs"].map(|table| format!("GRANT DELETE ON bulk_rerun.{table} TO {role};"));
    assert_eq!(told("prune"), grants);
    grants.iter().for_each(|grant| store.client.execute(grant));
    assert_eq!(told("prune"), [""; 0]);
    assert_eq!(plugin.prune_ledger(tomorrow), Ok(1));
}

/// Whatever became of a COMMIT whose answer was lost: to ask once more is safe, and tells.
#[test]
fn the_same_key_again_tells_what_became_of_a_lost_commit() {
    for (cut, was_committed) in [(Cut::AfterCommitForGood, true), (Cut::BeforeCommit, false)] {
        let store = kept(3);
        let proxy = Proxy::start(store.database.server.port);
        let plugin = Plugin::open(&store.config(&proxy.through(&store.database.url))).unwrap();
        proxy.cut(cut);
        call(&plugin, &keyed("k")).unwrap_err();
        assert_eq!(store.count(), if was_committed { 6 } else { 3 }, "{cut:?}");
        let answer = call(&store.open(), &keyed("k")).unwrap();
        assert_eq!((triggered(&answer), answer.get("replayed").is_some()), (3, was_committed), "{cut:?}");
        assert_eq!((operations(&store), store.count()), (1, 6), "{cut:?}");
    }
}
