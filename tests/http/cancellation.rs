//! A client that goes away: its search stops, and what spawns by then completes.

use std::io::Write;
use std::thread;
use std::time::Duration;

use bulk_rerun::http::{HttpConfig, ServerConfig, app};
use serde_json::Value;

use crate::server::Server;
use crate::support::anvil::Anvil;
use crate::{serve, slow_to_spawn, until_one_spawns};

fn request(body: &str) -> String {
    let head = "POST /api/runs/bulk/rerun HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn occupied(server: &Server) -> bool {
    !server.get("/metrics").text.contains("bulk_rerun_queue_occupied 0")
}

#[test]
fn a_search_stops_when_its_client_goes_away() {
    // Only an interrupt frees the one worker.
    let (anvil, plugin) = Anvil::endless();
    let http = HttpConfig { workers: 1, queue: 0, ..HttpConfig::default() };
    let server = Server::of(app(plugin.into(), http), ServerConfig::default());
    for _ in 0..3 {
        let mut client = server.connect();
        client.write_all(request(r#"{"match_all": true}"#).as_bytes()).unwrap();
        while !occupied(&server) {
            thread::sleep(Duration::from_millis(5));
        }
        drop(client);
        while occupied(&server) {
            thread::sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(anvil.jobs().len(), 1);
}

#[test]
fn what_spawns_completes_though_its_client_has_gone_away() {
    let store = slow_to_spawn();
    let server = serve(&store);
    let mut client = server.connect();
    client.write_all(request(r#"{"ids": ["a1", "b1"]}"#).as_bytes()).unwrap();
    until_one_spawns(&store);
    thread::sleep(Duration::from_millis(50));
    drop(client);
    while occupied(&server) {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(store.dump().len(), 3 + 2);
    let metrics = server.get("/metrics").text;
    assert!(metrics.contains("bulk_rerun_runs_triggered_total 2"), "{metrics}");
    let answer: Value = server.post(r#"{"match_all": true, "options": {"dry_run": true}}"#).json();
    assert_eq!(answer["matched"], 5);
}
