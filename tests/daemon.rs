//! RunWisp's daemon starts the new runs (`via`): a stand-in of ours speaks its published API over a real socket.

#[path = "support/daemon.rs"]
mod daemon;
mod support;

use bulk_rerun::{Config, Plugin, Via};
use daemon::{Daemon, Manner};
use serde_json::json;
use support::calls::{all_failed, call, pairs, rows, triggered};
use support::{GENERATIONS, Row, Store};

const NOON: &str = "2026-04-15T12:00:00Z";

fn failed(id: &str, task: &str, params: Option<&str>) -> Row {
    Row::failed(id, task, NOON).with(|row| row.params_json = params.map(str::to_owned))
}

/// Three tasks have failed.
fn night() -> Store {
    Store::new().holding(&[failed("b", "backup", None), failed("i", "import", None), failed("m", "mail", None)])
}

fn config(store: &Store) -> Config {
    Config { via: Via::Daemon, busy_timeout_ms: 2_000, ..Config::new(store.path_str()) }
}

fn open(store: &Store) -> Plugin {
    Plugin::open(&config(store)).unwrap()
}

#[test]
fn it_starts_each_run_and_the_store_has_it() {
    for (schema, is_old, journal_mode) in [(GENERATIONS[0], true, "wal"), (GENERATIONS[2], false, "delete")] {
        let rows_before = [failed("b", "backup", None), failed("i", "import", None), failed("m", "mail", None)];
        let store = Store::of_generation(schema, journal_mode).holding(&rows_before);
        let before = store.dump();
        let version = if is_old { "0.9.0" } else { "0.12.0" };
        let daemon = Daemon::beside(&store.path, Manner { is_old, version, ..Manner::default() });
        let answer = call(&open(&store), &all_failed(json!({}))).unwrap();
        assert_eq!(pairs(&answer), ["backup: b", "import: i", "mail: m"]);
        let started = ["backup", "import", "mail"].map(|task| format!("POST /api/tasks/{task}/run"));
        assert_eq!(daemon.asked_to_start(), started);
        let after = store.dump();
        assert_eq!((&after[..3], after.len()), (&before[..], 6));
        for run in answer["triggered"].as_array().unwrap() {
            let of = format!("SELECT task_name FROM runs WHERE id = '{}'", run["run_id"].as_str().unwrap());
            assert_eq!(rows(&store.path, &of)[0][0], run["task_name"].as_str().unwrap().to_owned().into());
        }
    }
}
