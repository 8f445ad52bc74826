//! The HTTP door: what a client meets beyond the contract's cases, which `tests/conformance` runs through it too.

mod cancellation;
mod clients;
mod embedding;
mod errors;
mod files;
mod health;
mod openapi;
mod overload;
mod safety;
#[path = "../support/http.rs"]
mod server;
mod shutdown;
#[path = "../support/mod.rs"]
mod support;
mod tool;

use bulk_rerun::http::HttpConfig;
use server::Server;
use support::{Row, Store};

/// Two runs of `backup` and one of `report` failed.
fn night() -> Store {
    Store::new().holding(&[
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

fn serve(store: &Store) -> Server {
    Server::over(&store.path, HttpConfig::default())
}

const DRY_RUN: &str = r#"{"match_all": true, "options": {"dry_run": true}}"#;
