//! RunWisp's daemon starts the new runs (`via`): a stand-in of ours speaks its published API over a real socket.

mod afterwards;
mod refused;
#[path = "../support/daemon.rs"]
mod stand_in;
mod started;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
mod words;

use bulk_rerun::{Config, ErrorModel, Plugin, Via};
use serde_json::{Value, json};
use stand_in::{Daemon, Manner};
use support::calls::{all_failed, call};
use support::{Row, Store};

const NOON: &str = "2026-04-15T12:00:00Z";

fn failed(id: &str, task: &str, params: Option<&str>) -> Row {
    Row::failed(id, task, NOON).with(|row| row.params_json = params.map(str::to_owned))
}

/// Three tasks have failed.
fn night() -> Store {
    Store::new().holding(&[failed("b", "backup", None), failed("i", "import", None), failed("m", "mail", None)])
}

/// A daemon beside a store that does as it should.
fn daemon(store: &Store) -> Daemon {
    Daemon::beside(&store.path, Manner::default())
}

fn config(store: &Store) -> Config {
    Config { via: Via::Daemon, ..Config::new(store.path_str()) }
}

fn open(store: &Store) -> Plugin {
    Plugin::open(&config(store)).unwrap()
}

/// Every failed run is run again, with these options.
fn rerun(store: &Store, options: Value) -> Result<Value, ErrorModel> {
    call(&open(store), &all_failed(options))
}

/// A task that takes these parameters.
fn taking(name: &str, parameters: Value) -> Value {
    json!({"name": name, "parameters": parameters})
}
