//! The server that answers is not the one that was asked: what is known of a COMMIT whose answer was lost.

use serde_json::json;

use crate::postgres::{Client, Kind, Server};
use crate::proxy::{Cut, Proxy};
use crate::store::{Store, all_failed, assert_error, call, triggered};

/// A store on a server of its own, a standby of that, and a way to the first.
pub fn replicated(failed: u32) -> (Store, Server, Proxy) {
    let primary: &'static Server = Box::leak(Box::new(Server::start(Kind::Plain)));
    let store = Store::on(primary, failed);
    let standby = Server::start(Kind::CopyOf(&primary.url("postgres", "postgres")));
    let proxy = Proxy::start(primary.port);
    (store, standby, proxy)
}

fn open(store: &Store, proxy: &Proxy) -> bulk_rerun::Plugin {
    let url = proxy.through(&store.database.url);
    bulk_rerun::Plugin::open(&bulk_rerun::Config { busy_timeout_ms: 5_000, ..store.config(&url) }).unwrap()
}

/// The new primary has given our transaction's number to a stranger's, which is committed.
#[test]
fn a_promoted_standby_that_missed_the_commit_is_not_believed() {
    let (store, standby, proxy) = replicated(3);
    let plugin = open(&store, &proxy);
    let new_primary = Client::connect(&standby.url("postgres", &store.database.name));
    new_primary.execute("ALTER SYSTEM SET primary_conninfo = ''");
    new_primary.execute("SELECT pg_reload_conf(), pg_promote()");
    for _ in 0..50 {
        new_primary.execute("SELECT txid_current()");
    }

    proxy.cut_and_lead_to(Cut::AfterCommit, standby.port);
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["can't be told", "look for the new runs, such as", "(task1), before you try again"]);
    assert_eq!(store.count(), 6, "the old primary has them");
    let there = new_primary.value("SELECT count(*) FROM job");
    assert_eq!(there.as_deref(), Some("3"), "and the new one does not");
    let ours = store.client.value("SELECT max(xmin::text::bigint) FROM job WHERE state = 'waiting'").unwrap();
    let status = new_primary.value(&format!("SELECT txid_status({ours})"));
    assert_eq!(status.as_deref(), Some("committed"), "the test makes no stranger's transaction of that number");
}

#[test]
fn a_standby_that_has_the_new_runs_proves_the_commit() {
    let (store, standby, proxy) = replicated(3);
    let plugin = open(&store, &proxy);
    proxy.cut_and_lead_to(Cut::AfterCommit, standby.port);
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
    assert_eq!(store.count(), 6);
}

/// A stranger's run may bear the id that the new one had.
#[test]
fn another_run_of_the_same_id_proves_nothing() {
    let (store, standby, proxy) = replicated(3);
    let plugin = open(&store, &proxy);
    let new_primary = Client::connect(&standby.url("postgres", &store.database.name));
    new_primary.execute("ALTER SYSTEM SET primary_conninfo = ''");
    new_primary.execute("SELECT pg_reload_conf(), pg_promote()");
    new_primary.execute(
        "INSERT INTO job (id, task) OVERRIDING SYSTEM VALUE SELECT n, 'stranger' FROM generate_series(4, 100) AS n",
    );
    proxy.cut_and_lead_to(Cut::AfterCommit, standby.port);
    assert_error(&call(&plugin, &all_failed(json!({}))).unwrap_err(), 500, &["look for the new runs"]);
}
