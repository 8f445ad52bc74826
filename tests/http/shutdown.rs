//! The end: what spawns is finished and answered, and nothing new is begun.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use bulk_rerun::Config;
use bulk_rerun::http::{HttpConfig, ServerConfig, app};

use crate::server::Server;
use crate::support::anvil::Anvil;
use crate::{held_up, until_one_spawns};

#[test]
fn a_spawn_is_finished_and_answered() {
    let (store, reader) = held_up();
    let patient = Config { busy_timeout_ms: u64::MAX, ..Config::new(store.path_str()) };
    let config = ServerConfig { grace: Duration::MAX, ..ServerConfig::default() };
    let server = Server::start(&patient, HttpConfig::default(), config);
    let answer = thread::scope(|scope| {
        let client = scope.spawn(|| server.post(r#"{"ids": ["a1", "b1"]}"#));
        until_one_spawns(&store);
        server.ask_to_end();
        // Nobody new is let in.
        while TcpStream::connect(server.address()).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!client.is_finished());
        drop(reader);
        client.join().unwrap()
    });
    assert_eq!((answer.status, answer.json()["triggered"].as_array().unwrap().len()), (200, 2));
    drop(server);
    assert_eq!(store.dump().len(), 3 + 2);
}

#[test]
fn a_search_is_given_up_when_the_grace_is_over() {
    let (_anvil, plugin) = Anvil::endless();
    let config = ServerConfig { grace: Duration::from_millis(200), ..ServerConfig::default() };
    let server = Server::of(app(plugin.into(), HttpConfig::default()), config);
    let mut client = server.connect();
    let body = r#"{"match_all": true}"#;
    let head = "POST /api/runs/bulk/rerun HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    client.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    while !server.get("/metrics").text.contains("bulk_rerun_queue_occupied 1") {
        thread::sleep(Duration::from_millis(5));
    }
    server.ask_to_end();
    // Ends, and with it the test: only if the search was cancelled.
    drop(server);
}
