//! The HTTP door: what a client meets beyond the contract's cases, which `tests/conformance` runs through it too.

mod cancellation;
mod clients;
mod embedding;
mod errors;
mod files;
mod health;
mod ledger;
mod openapi;
mod operations;
mod overload;
mod safety;
#[path = "../support/http.rs"]
mod server;
mod shutdown;
#[path = "../support/mod.rs"]
mod support;
mod tool;

use std::thread;
use std::time::Duration;

use bulk_rerun::http::HttpConfig;
use rusqlite::Connection;
use server::Server;
use support::{NEWEST, Row, Store};

/// Two runs of `backup` and one of `report` failed.
fn night() -> Store {
    failed_in(Store::new())
}

fn failed_in(store: Store) -> Store {
    store.holding(&[
        Row::failed("a1", "backup", "2026-04-15T01:00:00Z"),
        Row::failed("a2", "backup", "2026-04-15T02:00:00Z"),
        Row::failed("b1", "report", "2026-04-15T02:00:00Z"),
    ])
}

/// A store whose host takes some seconds to start a run, unless nobody waits for it.
fn slow_to_spawn() -> Store {
    let store = night();
    let slow = "CREATE TRIGGER slow AFTER INSERT ON runs BEGIN SELECT count(*) FROM (WITH RECURSIVE n(i) AS
        (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 5000000) SELECT i FROM n); END";
    store.open().execute_batch(slow).unwrap();
    store
}

/// A store whose spawns are held up, all but done, until the reader that comes with it lets go.
fn held_up() -> (Store, Connection) {
    let store = failed_in(Store::of_generation(NEWEST, "delete"));
    let reader = store.open();
    reader.execute_batch("BEGIN; SELECT * FROM runs").unwrap();
    (store, reader)
}

/// Returns when a call has the write lock: it spawns.
fn until_one_spawns(store: &Store) {
    let other = store.open();
    other.busy_timeout(Duration::ZERO).unwrap();
    while other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
        thread::sleep(Duration::from_millis(1));
    }
}

fn serve(store: &Store) -> Server {
    Server::over(&store.path, HttpConfig::default())
}

const DRY_RUN: &str = r#"{"match_all": true, "options": {"dry_run": true}}"#;
