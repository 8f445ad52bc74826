//! What may go wrong around the ledger of an SQLite store: a clock that was set back, a disk that is full where the
//! ledger's row comes, files that may only be read. A key stands for what was done, and for nothing else.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::support::calls::{all_failed, assert_error, call, open, triggered};
use crate::support::queue_store::lines;
use crate::support::tool::BINARY;
use crate::support::{NEWEST, Row, Store, child};
use bulk_rerun::ErrorModel;
use serde_json::{Value, json};

fn store(journal_mode: &str) -> Store {
    Store::of_generation(NEWEST, journal_mode).holding(&[Row::failed("1", "backup", "2026-04-15T12:00:00Z")])
}

/// A store with a failed run and a ledger.
fn kept(journal_mode: &str) -> Store {
    let store = store(journal_mode);
    assert_eq!(open(&store.path).create_ledger(), Ok(true));
    store
}

fn keyed(key: &str) -> Value {
    all_failed(json!({"idempotency_key": key}))
}

/// What the tool answers, started by a wrapper.
fn ask(wrapper: &[&str], store: &Store, request: &Value) -> Result<Value, ErrorModel> {
    child::answer(child::rerun(wrapper, store.path_str()), request)
}

/// The keys in the ledger, in the order in which they came.
fn keys(store: &Store) -> Vec<String> {
    lines(&store.open(), "SELECT idempotency_key FROM bulk_rerun_operations ORDER BY number")
}

/// New runs in the store, operations and runs in the ledger.
fn counts(store: &Store) -> [String; 3] {
    let count = |of: &str| lines(&store.open(), &format!("SELECT count(*) FROM {of}")).remove(0);
    ["runs WHERE triggered_by = 'api'", "bulk_rerun_operations", "bulk_rerun_runs"].map(count)
}

/// Once the trouble is over, the same call is done, once.
#[track_caller]
fn assert_the_key_is_free(store: &Store, request: &Value) {
    let plugin = open(&store.path);
    let first = call(&plugin, request).unwrap();
    assert_eq!((triggered(&first), first.get("replayed")), (vec!["backup"], None));
    let again = call(&plugin, request).unwrap();
    assert_eq!((&again["triggered"], &again["replayed"]), (&first["triggered"], &json!(true)));
    assert_eq!(counts(store), ["1"; 3]);
    assert_eq!(store.integrity(), "ok");
}

#[test]
fn a_clock_that_is_set_back_and_forth_changes_no_order_and_no_repeat() {
    let store = kept("wal");
    let clocks = [("first", "+2d"), ("second", "-10d"), ("third", "+0d"), ("fourth", "-3d")];
    let mut operations = Vec::new();
    for (key, clock) in clocks {
        let answer = ask(&child::at(clock), &store, &keyed(key)).unwrap();
        assert_eq!((triggered(&answer), answer.get("replayed")), (vec!["backup"], None), "{key}");
        operations.push(answer["operation_id"].clone());
    }
    assert_eq!(keys(&store), clocks.map(|(key, _)| key));
    let by_their_clocks = "SELECT idempotency_key FROM bulk_rerun_operations ORDER BY created_at";
    assert_eq!(lines(&store.open(), by_their_clocks), ["second", "fourth", "third", "first"]);
    for clock in ["-30d", "+0d", "+30d"] {
        for ((key, _), operation) in clocks.iter().zip(&operations) {
            let again = ask(&child::at(clock), &store, &keyed(key)).unwrap();
            assert_eq!((&again["operation_id"], &again["replayed"]), (operation, &json!(true)), "{key}, {clock}");
        }
    }
    assert_eq!(counts(&store), ["4"; 3]);
}

/// It goes by the time that each re-run was written down with, whatever came before or after it.
#[test]
fn pruning_by_a_clock_that_was_set_back_takes_nothing_newer_than_it_says() {
    let store = kept("wal");
    for (key, clock) in [("-10d", "-10d"), ("now", "+0d"), ("-5d", "-5d")] {
        ask(&child::at(clock), &store, &keyed(key)).unwrap();
    }
    let prune = |older_than: &str| {
        let mut command = std::process::Command::new("faketime");
        command.args(&child::at("-4d")[1..]).args([BINARY, "ledger", "prune", "--store", store.path_str()]);
        let output = command.args(["--older-than", older_than]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        keys(&store)
    };
    assert_eq!(prune("7d"), ["-10d", "now", "-5d"]);
    assert_eq!(prune("5d"), ["now", "-5d"]);
    assert_eq!(prune("2d"), ["now", "-5d"]);
    assert_eq!(prune("1h"), ["now"]);
    assert_eq!(prune("0s"), ["now"]);
    assert_eq!(counts(&store), ["3", "1", "1"]);
}

/// One run, and ids that are none's, of a kilobyte: each of those is in the ledger's row twice, as asked for and as
/// skipped.
fn with_strangers(count: usize, options: Value) -> Value {
    let strangers = (0..count).map(|number| format!("{number:01000}"));
    json!({"ids": Vec::from_iter(std::iter::once("1".to_owned()).chain(strangers)), "options": options})
}

/// The new run fits, and what the ledger keeps of it does not. SQLite finds out when it commits, and with more than its
/// cache holds while the row is written.
fn assert_too_large_for_the_ledger(journal_mode: &str, wrapper: &dyn Fn(&Store) -> Vec<String>, words: &[&str]) {
    for strangers in [300, 2_000] {
        let ask_there = |store: &Store, request: &Value| {
            let wrapper = wrapper(store);
            ask(&Vec::from_iter(wrapper.iter().map(String::as_str)), store, request)
        };
        let request = with_strangers(strangers, json!({"idempotency_key": "k"}));
        let unkept = ask_there(&store(journal_mode), &with_strangers(strangers, json!({})));
        assert_eq!(triggered(&unkept.unwrap()), ["backup"]);
        let store = kept(journal_mode);
        assert_error(&ask_there(&store, &request).unwrap_err(), 500, words);
        assert_eq!(counts(&store), ["0"; 3], "{journal_mode}, {strangers}");
        assert_the_key_is_free(&store, &request);
    }
}

#[test]
fn a_disk_that_is_full_at_the_ledgers_row_leaves_no_new_run() {
    if !child::has_small_disks() {
        return;
    }
    for journal_mode in ["wal", "delete"] {
        let wrapper = |store: &Store| child::on_a_small_disk(&store.path, 400);
        assert_too_large_for_the_ledger(journal_mode, &wrapper, &["disk", "is full", "nothing was changed"]);
    }
}

/// The same where no file may grow any more: that needs no rights, so it is tested everywhere.
#[test]
fn a_write_that_fails_at_the_ledgers_row_leaves_no_new_run() {
    for journal_mode in ["wal", "delete"] {
        let wrapper = |store: &Store| {
            let file = if journal_mode == "wal" { 0 } else { fs::metadata(&store.path).unwrap().len() };
            let limit = format!("--fsize={}", file + 400_000);
            // An ignored signal stays ignored in what is executed; unignored, it would end the child.
            ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh", "prlimit", &limit].map(str::to_owned).to_vec()
        };
        assert_too_large_for_the_ledger(journal_mode, &wrapper, &["the store failed", "nothing was changed"]);
    }
}

#[test]
fn what_the_ledgers_tables_do_not_take_leaves_the_key_free() {
    for table in ["bulk_rerun_operations", "bulk_rerun_runs"] {
        let store = kept("wal");
        let trigger = format!("CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'not here'); END");
        store.open().execute_batch(&trigger).unwrap();
        let error = call(&open(&store.path), &keyed("k")).unwrap_err();
        assert_error(&error, 500, &["the ledger in", store.path_str(), "not here", "nothing was changed", "try again"]);
        assert_eq!(counts(&store), ["0"; 3], "{table}");
        store.open().execute_batch("DROP TRIGGER no").unwrap();
        assert_the_key_is_free(&store, &keyed("k"));
    }
}

/// To be told what was done takes no right to write.
#[test]
fn who_may_only_read_is_answered_what_was_done_and_does_no_more() {
    let store = kept("delete");
    let first = call(&open(&store.path), &keyed("done")).unwrap();
    let folder = store.path.parent().unwrap();
    let mode = |file: u32, directory: u32| {
        fs::set_permissions(&store.path, Permissions::from_mode(file)).unwrap();
        fs::set_permissions(folder, Permissions::from_mode(directory)).unwrap();
    };
    mode(0o444, 0o555);
    let again = ask(child::bound_by_permissions(), &store, &keyed("done"));
    let error = ask(child::bound_by_permissions(), &store, &keyed("new"));
    mode(0o644, 0o755);
    let again = again.unwrap();
    assert_eq!((&again["triggered"], &again["replayed"]), (&first["triggered"], &json!(true)));
    assert_error(&error.unwrap_err(), 500, &["can't be written", "read-only"]);
    assert_eq!(counts(&store), ["1"; 3]);
    assert_eq!(call(&open(&store.path), &keyed("new")).unwrap().get("replayed"), None);
    assert_eq!(counts(&store), ["2"; 3]);
}
