//! A store with a ledger, over HTTP: keys, clicks, and who is written down.

use bulk_rerun::http::{HttpConfig, Token};
use serde_json::json;

use crate::errors::problem;
use crate::server::{RERUN, Server};
use crate::support::calls::open;
use crate::{night, serve};

/// Where there is a ledger, what the browser sends again is answered and not done again.
#[test]
fn a_click_is_a_key_where_there_is_a_ledger() {
    let store = night();
    open(&store.path).create_ledger().unwrap();
    let server = serve(&store);
    let click = |name: &str| server.send("POST", RERUN, &[("bulk-rerun-click", name)], r#"{"ids": ["a1"]}"#).json();
    let first = click("one");
    let again = click("one");
    assert_eq!((&again["replayed"], &again["triggered"]), (&json!(true), &first["triggered"]));
    assert_eq!(store.dump().len(), 4);
    assert_eq!(click("another")["replayed"], json!(null));
    assert_eq!(store.dump().len(), 5);
}

#[test]
fn the_header_is_a_key_quoted_or_bare() {
    let store = night();
    open(&store.path).create_ledger().unwrap();
    let server = serve(&store);
    let send = |keys: &[&str], body: &str| {
        let headers: Vec<_> = keys.iter().map(|key| ("idempotency-key", *key)).collect();
        server.send("POST", RERUN, &headers, body)
    };
    let body = r#"{"ids": ["a1"]}"#;
    let first = send(&["k1"], body).json();
    assert!(first["operation_id"].is_string() && first.get("replayed").is_none(), "{first}");
    for again in [
        send(&["k1"], body),
        send(&[r#""k1""#], body),
        send(&[], r#"{"ids": ["a1"], "options": {"idempotency_key": "k1"}}"#),
        send(&["k1"], r#"{"ids": ["a1"], "options": {"idempotency_key": "k1"}}"#),
    ] {
        let again = again.json();
        assert_eq!((&again["replayed"], &again["triggered"]), (&json!(true), &first["triggered"]), "{again}");
    }
    for (keys, body) in [
        (&["k1"][..], r#"{"ids": ["b1"]}"#),
        (&["k2"], r#"{"ids": ["a1"], "options": {"idempotency_key": "k1"}}"#),
        (&[r#""k2"#], body),
        (&["k2", "k3"], body),
        (&[""], body),
        (&[r#""""#], body),
        (&["ż"], body),
    ] {
        let problem = problem(&send(keys, body), 422);
        assert_eq!(problem["errors"][0]["location"], "header.Idempotency-Key", "{keys:?} {body}");
    }
    assert_eq!(store.dump().len(), 4);
    let door: String = store.open().query_row("SELECT door FROM bulk_rerun_operations", [], |row| row.get(0)).unwrap();
    assert_eq!(door, "http");
}

#[test]
fn who_is_written_down_is_whose_token_was_sent() {
    let store = night();
    open(&store.path).create_ledger().unwrap();
    let tokens = Token::read_all("anna:horse\nstaple\n").unwrap();
    let server = Server::over(&store.path, HttpConfig { tokens, ..HttpConfig::default() });
    for (token, body) in [
        ("horse", r#"{"ids": ["a1"]}"#),
        ("staple", r#"{"ids": ["a1"]}"#),
        ("horse", r#"{"ids": ["a1"], "options": {"actor": "the pipeline"}}"#),
    ] {
        let answer = server.send("POST", RERUN, &[("authorization", &format!("Bearer {token}"))], body);
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let actors = "SELECT group_concat(actor, ', ') FROM bulk_rerun_operations";
    let actors: String = store.open().query_row(actors, [], |row| row.get(0)).unwrap();
    assert_eq!(actors, "anna, token, the pipeline");
}
