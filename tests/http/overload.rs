//! More than the door can carry is turned away at once, and harms nobody.

use std::thread;
use std::time::Duration;

use bulk_rerun::http::{HttpConfig, ServerConfig};

use crate::server::Server;
use crate::support::calls::config;
use crate::{DRY_RUN, night};

#[test]
fn beyond_the_queue_the_answer_is_503_at_once() {
    let store = night();
    let http = HttpConfig { workers: 1, queue: 2, ..HttpConfig::default() };
    let patient = bulk_rerun::Config { busy_timeout_ms: 60_000, ..config(&store.path) };
    let server = Server::start(&patient, http, ServerConfig::default());
    // The host holds the lock: one request waits for it, two wait for their turn.
    let host = store.open();
    host.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| server.post(r#"{"ids": ["a1"]}"#))).collect();
        while !server.get("/metrics").text.contains("bulk_rerun_queue_occupied 3") {
            thread::sleep(Duration::from_millis(10));
        }
        for _ in 0..10 {
            let answer = server.post(r#"{"ids": ["b1"]}"#);
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
            assert!(answer.json()["detail"].as_str().unwrap().contains("3 requests are at work"));
        }
        // What is found in moments, and comes to nothing, needs no turn.
        let nothing = server.post(r#"{"match_all": true, "filter": {"task_name": "no such task"}}"#);
        assert_eq!((nothing.status, nothing.json()["triggered"].clone()), (200, serde_json::json!([])));
        assert_eq!(server.post(DRY_RUN).json()["matched"], 3);
        // Busy is not dead.
        assert_eq!(server.get("/healthz").status, 200);
        host.execute_batch("ROLLBACK").unwrap();
        for answer in waiting {
            assert_eq!(answer.join().unwrap().status, 200);
        }
    });
    assert_eq!(store.dump().len(), 3 + 3);
    assert_eq!(server.post(r#"{"ids": ["b1"]}"#).status, 200);
}

#[test]
fn whoever_waits_too_long_for_a_turn_is_told() {
    let store = night();
    let http = HttpConfig { workers: 1, request_timeout: Duration::from_millis(300), ..HttpConfig::default() };
    let patient = bulk_rerun::Config { busy_timeout_ms: 60_000, ..config(&store.path) };
    let server = Server::start(&patient, http, ServerConfig::default());
    let host = store.open();
    host.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let answers =
            [scope.spawn(|| server.post(r#"{"ids": ["a1"]}"#)), scope.spawn(|| server.post(r#"{"ids": ["a1"]}"#))];
        for answer in answers {
            let answer = answer.join().unwrap();
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
            assert!(answer.json()["detail"].as_str().unwrap().contains("given up after 0.3 s"), "{answer:?}");
        }
    });
    host.execute_batch("ROLLBACK").unwrap();
    drop(server);
    // What was given up is not done behind anybody's back.
    assert_eq!(store.dump().len(), 3);
}

#[test]
fn without_bounds_it_answers() {
    let store = night();
    let http = HttpConfig {
        request_timeout: Duration::MAX,
        body_timeout: Duration::MAX,
        body_limit: usize::MAX,
        body_budget: usize::MAX,
        workers: usize::MAX,
        queue: usize::MAX,
        ..HttpConfig::default()
    };
    let patient = bulk_rerun::Config { busy_timeout_ms: u64::MAX, ..config(&store.path) };
    let listener = ServerConfig {
        connections: usize::MAX,
        header_timeout: Duration::MAX,
        write_timeout: Duration::MAX,
        grace: Duration::MAX,
    };
    let server = Server::start(&patient, http, listener);
    let answer = server.post(DRY_RUN);
    assert_eq!((answer.status, &answer.json()["matched"]), (200, &3.into()), "{answer:?}");
    assert_eq!(server.get("/page/store.json").status, 200);
}
