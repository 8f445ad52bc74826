//! A caller that no longer waits: its search stops, and what spawns by then completes.

use std::thread;
use std::time::Duration;

use crate::support::anvil::Anvil;
use crate::support::calls::{assert_error, open};
use crate::support::memory_host::MemoryHost;
use crate::support::{Row, Store};
use bulk_rerun::{BulkRerunBody, Cancel, Config, ErrorModel, Plugin, Request};
use serde_json::json;

fn request(json: &str) -> Request {
    Request::from_json(json.as_bytes()).unwrap()
}

/// What a call answers that is cancelled after a while, and whether it could be cancelled by then.
fn cancelled_after(plugin: &Plugin, wait: Duration, json: &str) -> (Result<BulkRerunBody, ErrorModel>, bool) {
    let cancel = Cancel::new();
    let request = request(json);
    thread::scope(|scope| {
        let answer = scope.spawn(|| plugin.rerun_unless(&cancel, &request));
        thread::sleep(wait);
        let stopped = cancel.cancel();
        (answer.join().unwrap(), stopped)
    })
}

#[test]
fn a_search_without_end_is_stopped_at_any_time() {
    let (anvil, plugin) = Anvil::endless();
    let before = anvil.jobs();
    for wait in [0, 1, 10, 100] {
        let (answer, stopped) = cancelled_after(&plugin, Duration::from_millis(wait), r#"{"match_all": true}"#);
        assert!(stopped);
        assert_error(&answer.unwrap_err(), 503, &["stopped", "nothing was changed"]);
    }
    assert_eq!(anvil.jobs(), before);
}

#[test]
fn a_stopped_search_leaves_no_trace_on_its_connection() {
    let store = Store::new().holding(&[Row::failed("a", "backup", "2026-04-15T12:00:00Z")]);
    let plugin = open(&store.path);
    let cancel = Cancel::new();
    cancel.cancel();
    for _ in 0..3 {
        let refused = plugin.rerun_unless(&cancel, &request(r#"{"match_all": true}"#)).unwrap_err();
        assert_error(&refused, 503, &["stopped"]);
        let body = plugin.rerun(&request(r#"{"match_all": true, "options": {"dry_run": true}}"#)).unwrap();
        assert_eq!(body.matched, Some(1));
    }
}

#[test]
fn a_call_that_waits_for_the_lock_is_stopped_before_it_spawns() {
    let store = Store::new().holding(&[Row::failed("a", "backup", "2026-04-15T12:00:00Z")]);
    let plugin = open(&store.path);
    let host = store.open();
    host.execute_batch("BEGIN IMMEDIATE").unwrap();
    let cancel = Cancel::new();
    let answer = thread::scope(|scope| {
        let answer = scope.spawn(|| plugin.rerun_unless(&cancel, &request(r#"{"ids": ["a"]}"#)));
        thread::sleep(Duration::from_millis(200));
        assert!(cancel.cancel());
        host.execute_batch("ROLLBACK").unwrap();
        answer.join().unwrap()
    });
    assert_error(&answer.unwrap_err(), 503, &["stopped"]);
    assert_eq!(store.dump().len(), 1);
}

#[test]
fn what_spawns_completes() {
    let store = Store::new().holding(&[Row::failed("a", "backup", "2026-04-15T12:00:00Z")]);
    // The host takes its time over each new run.
    let slow = "CREATE TRIGGER slow AFTER INSERT ON runs BEGIN SELECT count(*) FROM (WITH RECURSIVE n(i) AS
        (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 5000000) SELECT i FROM n); END";
    store.open().execute_batch(slow).unwrap();
    let plugin = open(&store.path);
    let cancel = Cancel::new();
    let body = thread::scope(|scope| {
        let answer = scope.spawn(|| plugin.rerun_unless(&cancel, &request(r#"{"ids": ["a"]}"#)));
        while !format!("{cancel:?}").contains("too late") {
            thread::yield_now();
        }
        assert!(!cancel.cancel(), "it is too late");
        answer.join().unwrap().unwrap()
    });
    assert_eq!(body.triggered.len(), 1);
    assert_eq!(store.dump().len(), 2);
}

/// A call that planned, found nothing to spawn, was refused, or spawned: each is over.
#[test]
fn a_call_that_is_over_can_not_be_stopped_any_more() {
    let noon = "2026-04-15T12:00:00Z";
    let store = Store::new().holding(&[Row::failed("a", "backup", noon)]);
    let run = json!({"id": "a", "task_name": "backup", "phase": "ended", "end_reason": "failed", "created_at": noon});
    let attached = |transactions| {
        let host = MemoryHost { transactions, ..MemoryHost::holding([run.clone()]) };
        Plugin::attach(Box::new(host), &Config::new("")).unwrap()
    };
    for (host, plugin) in [open(&store.path), attached(false), attached(true)].iter().enumerate() {
        for (json, fails) in [
            (r#"{"ids": ["a"], "options": {"dry_run": true}}"#, false),
            (r#"{"ids": ["no such run"]}"#, false),
            (r#"{"match_all": true, "filter": {"status": "no such word"}}"#, false),
            (r#"{"ids": ["a"], "options": {"expect_plan": "another"}}"#, true),
            (r#"{"match_all": true, "options": {"limit": 1, "unique_by": "run"}}"#, false),
        ] {
            let cancel = Cancel::new();
            let answer = plugin.rerun_unless(&cancel, &request(json));
            assert_eq!(answer.is_err(), fails, "host {host}: {json}");
            assert!(!cancel.cancel(), "host {host}: {json}");
        }
    }
}
