//! A standby: a dry run works there, a re-run says where to go.

use serde_json::json;

use crate::postgres::{Kind, Server, server};
use crate::store::{Store, all_failed, assert_error, call};

#[test]
fn a_standby_plans_and_does_not_start() {
    let store = Store::with_failed(3);
    let primary = server();
    let standby = Server::start(Kind::CopyOf(&primary.url("postgres", "postgres")));
    let url = store.database.url.replace(&primary.port.to_string(), &standby.port.to_string());
    let plugin = bulk_rerun::Plugin::open(&store.config(&url)).unwrap();
    let info = plugin.describe().unwrap();
    assert!(!info.writable);
    assert_eq!(call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap()["matched"], 3);
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["standby", "a dry run still works"]);
    assert_eq!(store.count(), 3);
}
