//! Servers and ways that say nothing, clients that vanish, and time-outs beyond all measure.

use std::net::TcpListener;
use std::process::Command;
use std::thread;

use serde_json::json;

use crate::store::{Store, all_failed, assert_error, call, triggered};

/// A port where connections are taken, kept, and never answered.
fn silent() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let _kept: Vec<_> = listener.incoming().collect();
    });
    port
}

#[test]
fn a_server_that_takes_the_connection_and_says_nothing_is_given_up() {
    let store = Store::new();
    let url = |parameters: &str| format!("postgres://ann@127.0.0.1:{}/jobs?connect_timeout=1{parameters}", silent());
    // In the start-up, and in TLS's.
    for parameters in ["&sslmode=disable", ""] {
        let error = store.open_error(&url(parameters));
        assert_error(&error, 500, &["can't be reached", "nothing was answered for 1 s", "connect_timeout"]);
    }
}

#[test]
fn a_silent_server_is_passed_over_for_the_next_one() {
    let store = Store::with_failed(2);
    let place = format!("@127.0.0.1:{}", store.database.server.port);
    assert!(store.database.url.contains(&place));
    let both = store.database.url.replace(&place, &format!("@127.0.0.1:{},{}", silent(), &place[1..]));
    let plugin = bulk_rerun::Plugin::open(&store.config(&format!("{both}?connect_timeout=1"))).unwrap();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 2);
}

/// What a trigger sees while runs are started is what the server goes by should we vanish then.
#[test]
fn the_server_gives_a_spawn_up_whose_client_has_vanished() {
    let store = Store::with_failed(1);
    store.client.execute(
        "CREATE TABLE seen (setting text);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen VALUES (current_setting('idle_in_transaction_session_timeout')); RETURN NEW; END $$;
         CREATE TRIGGER see BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION see();",
    );
    for (own, seen) in [("0", "1min"), ("5min", "1min"), ("2s", "2s")] {
        let url = format!("{}?options=-cidle_in_transaction_session_timeout%3D{own}", store.database.url);
        let plugin = bulk_rerun::Plugin::open(&store.config(&url)).unwrap();
        assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 1);
        assert_eq!(store.client.value("DELETE FROM seen RETURNING setting").as_deref(), Some(seen), "{own}");
    }
}

#[test]
fn time_outs_beyond_all_measure_are_as_good_as_none() {
    let store = Store::with_failed(1);
    for busy_timeout_ms in [u64::MAX, 1 << 31, 1 << 40] {
        let config = bulk_rerun::Config { busy_timeout_ms, ..store.config(&store.database.url) };
        let plugin = bulk_rerun::Plugin::open(&config).unwrap();
        assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 1, "{busy_timeout_ms}");
    }
    for busy_timeout in ["30d", "1000000years"] {
        let output = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"))
            .args(["rerun", "--status", "failed", "--yes", "--busy-timeout", busy_timeout])
            .args(["--store", &store.database.url, "--profile"])
            .arg(store.profile())
            .output()
            .unwrap();
        assert!(output.status.success(), "{busy_timeout}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
