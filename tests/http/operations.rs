//! What was re-run, over HTTP: lists, one operation, and its undoing.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bulk_rerun::http::{HttpConfig, ServerConfig, Token, api, router};
use bulk_rerun::{Config, Plugin, Spelling};
use serde_json::{Value, json};

use crate::errors::problem;
use crate::server::{Answer, RERUN, Server};
use crate::support::Store;
use crate::support::calls::open;
use crate::{held_up, night, serve, until_one_spawns};

const OPERATIONS: &str = "/api/runs/bulk/operations";

/// A night with a ledger.
fn kept() -> Store {
    let store = night();
    open(&store.path).create_ledger().unwrap();
    store
}

/// Re-runs these, and answers the operation's id.
fn rerun(server: &Server, body: &str) -> String {
    let answer = server.post(body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["operation_id"].as_str().unwrap().to_owned()
}

fn undo(server: &Server, id: &str) -> Answer {
    server.send("POST", &format!("{OPERATIONS}/{id}/undo"), &[], "")
}

fn ids(page: &Value) -> Vec<&str> {
    page["operations"].as_array().unwrap().iter().map(|one| one["operation_id"].as_str().unwrap()).collect()
}

/// It is a success that says by which schema it is described.
#[track_caller]
fn described(answer: &Answer, server: &Server, schema: &str) -> Value {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{answer:?}");
    let link = format!("</schemas/{schema}.json>; rel=\"describedBy\"");
    assert_eq!(answer.header("link"), Some(link.as_str()));
    assert_eq!((answer.header("cache-control"), answer.header("x-request-id").is_some()), (Some("no-store"), true));
    let json = answer.json();
    assert_eq!(json["$schema"], format!("http://{}/schemas/{schema}.json", server.address()));
    assert_eq!(server.get(&format!("/schemas/{schema}.json")).json()["title"], schema);
    json
}

#[test]
fn what_was_re_run_is_listed_in_pages_newest_first() {
    let store = kept();
    let server = serve(&store);
    let first = rerun(&server, r#"{"ids": ["a1"], "options": {"reason": "the disk was full"}}"#);
    let second = rerun(&server, r#"{"ids": ["a2", "b1"]}"#);
    let third = rerun(&server, r#"{"ids": ["a1", "nope"]}"#);
    let page = described(&server.get(OPERATIONS), &server, "Operations");
    assert_eq!(ids(&page), [&*third, &*second, &*first]);
    let oldest = &page["operations"][2];
    assert_eq!((&oldest["reason"], &oldest["door"]), (&json!("the disk was full"), &json!("http")));
    assert_eq!((&oldest["triggered"], &page["operations"][0]["skipped"]), (&json!(1), &json!(1)));
    assert!(oldest.get("runs").is_none(), "{oldest}");

    let listed = |query: &str| {
        let page = server.get(&format!("{OPERATIONS}?{query}"));
        assert_eq!(page.status, 200, "{query}: {page:?}");
        ids(&page.json()).join(" ")
    };
    assert_eq!(listed("limit=2"), format!("{third} {second}"));
    assert_eq!(listed(&format!("limit=2&before={second}")), first);
    assert_eq!(listed(&format!("before={first}")), "");
    assert_eq!(listed("run_id=b1"), second);
    assert_eq!(listed("created_after=2026-04-15T02%3A00%3A00%2B02:00"), format!("{third} {second} {first}"));
    assert_eq!(listed("created_after=2999-01-01T00:00:00Z&limit=1000"), "");
}

#[test]
fn one_is_told_with_its_runs_and_where_they_stand() {
    let store = kept();
    let server = serve(&store);
    let id = rerun(&server, r#"{"ids": ["a1", "b1"]}"#);
    store
        .open()
        .execute_batch("UPDATE runs SET status = 'running' WHERE task_name = 'report' AND status = 'pending'")
        .unwrap();
    let one = described(&server.get(&format!("{OPERATIONS}/{id}")), &server, "Operation");
    assert_eq!(one["states"], json!({"pending": 1, "running": 1}));
    assert_eq!((&one["runs"][0]["rerun_of"], &one["runs"][0]["phase"]), (&json!("a1"), &json!("pending")));
    assert_eq!(one["request"]["ids"], json!(["a1", "b1"]));
    let head = server.send("HEAD", &format!("{OPERATIONS}/{id}"), &[], "");
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[test]
fn an_undo_takes_back_what_is_pending_and_is_counted() {
    let store = kept();
    let server = serve(&store);
    let id = rerun(&server, r#"{"ids": ["a1", "b1"]}"#);
    store
        .open()
        .execute_batch("UPDATE runs SET status = 'running' WHERE task_name = 'report' AND status = 'pending'")
        .unwrap();
    let undone = described(&undo(&server, &id), &server, "Undone");
    assert_eq!((&undone["undone"][0]["task_name"], &undone["kept"][0]["phase"]), (&json!("backup"), &json!("running")));
    // Once more, with a body that says nothing: nothing is left to do.
    for (kind, body) in [("application/json", "{}"), ("application/json; charset=utf-8", " \n"), ("", "")] {
        let path = format!("{OPERATIONS}/{id}/undo");
        let again = server.send("POST", &path, &[("content-type", kind)], body).json();
        assert_eq!((&again["undone"], &again["kept"]), (&json!([]), &undone["kept"]), "{kind} {body}");
    }
    let one = server.get(&format!("{OPERATIONS}/{id}")).json();
    assert_eq!(one["states"], json!({"running": 1, "undone": 1}));
    assert!(one["undone_at"].is_string(), "{one}");
    let metrics = server.get("/metrics").text;
    assert!(metrics.contains("\nbulk_rerun_runs_undone_total 1\n"), "{metrics}");
    assert!(metrics.contains(r#"route="/api/runs/bulk/operations/{operation_id}/undo",status="200""#), "{metrics}");
}

#[test]
fn who_sends_camel_case_is_answered_in_it_and_else_the_config_says() {
    let store = kept();
    let plain = serve(&store);
    let id = rerun(&plain, r#"{"ids": ["a1"]}"#);
    let config = Config { wire: Spelling::Camel, ..Config::new(store.path_str()) };
    let camel = Server::start(&config, HttpConfig::default(), ServerConfig::default());
    for (server, query, is_camel) in [
        (&plain, "", false),
        (&plain, "?limit=5", false),
        (&plain, "?runId=a1", true),
        (&plain, "?createdAfter=2026-01-01T00:00:00Z", true),
        (&plain, "?run_id=a1", false),
        (&camel, "", true),
        (&camel, "?limit=5", true),
        (&camel, "?run_id=a1", false),
    ] {
        let page = server.get(&format!("{OPERATIONS}{query}")).json();
        let [one] = &page["operations"].as_array().unwrap()[..] else { panic!("{query}: {page}") };
        assert_eq!(one.get("operationId").is_some(), is_camel, "{query}: {page}");
        assert_eq!(one.get("operation_id").is_some(), !is_camel, "{query}: {page}");
    }
    for (server, name) in [(&plain, "run_id"), (&camel, "runId")] {
        let one = server.get(&format!("{OPERATIONS}/{id}")).json();
        assert!(one["runs"][0].get(name).is_some(), "{one}");
    }
    let undone = undo(&camel, &id).json();
    assert!(undone["undone"][0]["runId"].is_string(), "{undone}");
}

#[test]
fn a_parameter_that_can_not_be_used_is_told_with_its_place() {
    let store = kept();
    let server = serve(&store);
    let id = rerun(&server, r#"{"ids": ["a1"]}"#);
    let one = format!("{OPERATIONS}/{id}");
    for (path, location, value) in [
        (format!("{OPERATIONS}?limit=0"), "query.limit", json!(0)),
        (format!("{OPERATIONS}?limit=1001"), "query.limit", json!(1001)),
        (format!("{OPERATIONS}?limit=all"), "query.limit", json!("all")),
        (format!("{OPERATIONS}?limit="), "query.limit", json!("")),
        (format!("{OPERATIONS}?limit=1.5"), "query.limit", json!(1.5)),
        (format!("{OPERATIONS}?limit=1e999"), "query.limit", json!("1e999")),
        (format!("{OPERATIONS}?limit=1&limit=2"), "query.limit", json!(2)),
        (format!("{OPERATIONS}?run_id=a&runId=b"), "query.runId", json!("b")),
        (format!("{OPERATIONS}?created_after=yesterday"), "query.created_after", json!("yesterday")),
        (format!("{OPERATIONS}?createdAfter=now"), "query.createdAfter", json!("now")),
        (format!("{OPERATIONS}?before=+"), "query.before", json!(" ")),
        (format!("{OPERATIONS}?run_id=%00"), "query.run_id", json!("\0")),
        (format!("{OPERATIONS}?operation_id={id}"), "query.operation_id", json!(id)),
        (format!("{OPERATIONS}?limits=1"), "query.limits", json!("1")),
        (format!("{one}?limit=1"), "query.limit", json!(1)),
    ] {
        let problem = problem(&server.get(&path), 422);
        assert_eq!(
            (&problem["errors"][0]["location"], &problem["errors"][0]["value"]),
            (&json!(location), &value),
            "{path}"
        );
    }
    let both = problem(&server.get(&format!("{OPERATIONS}?limit=x&before=")), 422);
    assert_eq!(both["errors"].as_array().unwrap().len(), 2, "{both}");
    let unknown = problem(&server.get(&format!("{OPERATIONS}?limits=1")), 422);
    assert_eq!(unknown["errors"][0]["message"], "unknown field; did you mean `limit`?");

    let path = format!("{one}/undo");
    let send = |kind: &str, path: &str, body: &str| server.send("POST", path, &[("content-type", kind)], body);
    let json = |body: &str| send("application/json", &path, body);
    assert_eq!(problem(&json(r#"{"force": true}"#), 422)["errors"][0]["location"], "body.force");
    problem(&json("[]"), 400);
    problem(&json("{"), 400);
    problem(&send("text/plain", &path, ""), 415);
    let with_query = problem(&send("application/json", &format!("{path}?force=1"), ""), 422);
    assert_eq!(with_query["errors"][0]["location"], "query.force");
    let long = Server::over(&store.path, HttpConfig { body_limit: 10, ..HttpConfig::default() });
    problem(&long.send("POST", &path, &[], &" ".repeat(11)), 413);
    assert_eq!(server.get(&one).json()["states"], json!({"pending": 1}), "nothing was taken back");
}

#[test]
fn what_is_not_there_is_404_and_another_method_405() {
    let store = night();
    let server = serve(&store);
    let some = format!("{OPERATIONS}/01M860BN9H2Q6S8V0X4Z7B1D3F");
    for answer in [server.get(OPERATIONS), server.get(&some), undo(&server, "x")] {
        let problem = problem(&answer, 404);
        assert!(problem["detail"].as_str().unwrap().contains("the store has no ledger"), "{problem}");
    }
    open(&store.path).create_ledger().unwrap();
    assert_eq!(server.get(OPERATIONS).json()["operations"], json!([]));
    for path in
        [&some[..], &format!("{OPERATIONS}?before=x"), &format!("{OPERATIONS}/%00"), &format!("{OPERATIONS}/%ff")]
    {
        problem(&server.get(path), 404);
    }
    problem(&undo(&server, "01M860BN9H2Q6S8V0X4Z7B1D3F"), 404);
    problem(&undo(&server, &"x".repeat(300)), 404);
    for (method, path, allow) in
        [("POST", OPERATIONS, "GET,HEAD"), ("DELETE", &some, "GET,HEAD"), ("GET", &format!("{some}/undo"), "POST")]
    {
        let answer = server.send(method, path, &[], "");
        problem(&answer, 405);
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
}

#[test]
fn a_runner_that_takes_nothing_back_is_a_422_at_the_operation() {
    let ledgerly = include_str!("../conformance/hosts/ledgerly.toml");
    let folder = tempfile::tempdir().unwrap();
    let (path, profile) = (folder.path().join("jobs.db"), folder.path().join("ledgerly.toml"));
    std::fs::write(&profile, ledgerly).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch(include_str!("../conformance/hosts/ledgerly.sql")).unwrap();
    let config = Config {
        profile: Some(profile.to_str().unwrap().to_owned()),
        ledger: true,
        ..Config::new(path.to_str().unwrap())
    };
    let server = Server::start(&config, HttpConfig::default(), ServerConfig::default());
    let id = rerun(&server, r#"{"ids": ["nope"]}"#);
    let problem = problem(&undo(&server, &id), 422);
    assert_eq!(problem["errors"][0]["location"], "path.operation_id");
    assert_eq!(problem["errors"][0]["value"], *id);
}

#[test]
fn a_token_for_previews_looks_and_undoes_nothing() {
    let store = kept();
    let tokens = Token::read_all("anna:horse\nscreen:battery:preview\n").unwrap();
    let server = Server::over(&store.path, HttpConfig { tokens, ..HttpConfig::default() });
    let send = |token: &str, method: &str, path: &str, body: &str| {
        server.send(method, path, &[("authorization", &format!("Bearer {token}"))], body)
    };
    let id = send("horse", "POST", RERUN, r#"{"ids": ["a1"]}"#).json()["operation_id"].as_str().unwrap().to_owned();
    let one = format!("{OPERATIONS}/{id}");
    for (method, path) in [("GET", OPERATIONS), ("GET", &one), ("POST", &format!("{one}/undo"))] {
        let bare = server.send(method, path, &[], "");
        problem(&bare, 401);
        assert_eq!(bare.header("www-authenticate"), Some(r#"Bearer realm="bulk-rerun""#));
        problem(&send("wrong", method, path, ""), 401);
    }
    assert_eq!(send("battery", "GET", OPERATIONS, "").json()["operations"][0]["actor"], "anna");
    assert_eq!(send("battery", "GET", &one, "").json()["states"], json!({"pending": 1}));
    let refused = problem(&send("battery", "POST", &format!("{one}/undo"), ""), 403);
    assert_eq!(refused["detail"], r#"the token "screen" may only preview, and look: it can't undo a re-run"#);
    assert_eq!(send("battery", "GET", &one, "").json()["states"], json!({"pending": 1}));
    let undone = send("horse", "POST", &format!("{one}/undo"), "").json();
    assert_eq!(undone["undone"].as_array().unwrap().len(), 1, "{undone}");
}

#[test]
fn another_sites_page_undoes_nothing() {
    let store = kept();
    let server = serve(&store);
    let id = rerun(&server, r#"{"ids": ["a1"]}"#);
    let one = format!("{OPERATIONS}/{id}");
    for (name, value) in
        [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("host", "evil.example")]
    {
        assert_eq!(server.send("POST", &format!("{one}/undo"), &[(name, value)], "").status, 403, "{name}");
    }
    for path in [OPERATIONS, &one] {
        assert_eq!(server.send("GET", path, &[("host", "evil.example")], "").status, 403, "{path}");
    }
    assert_eq!(server.get(&one).json()["states"], json!({"pending": 1}));
}

/// Whoever goes away has undone all of it, once it has begun.
#[test]
fn an_undo_that_has_begun_is_completed() {
    let (store, reader) = held_up();
    reader.execute_batch("ROLLBACK").unwrap();
    open(&store.path).create_ledger().unwrap();
    let config = Config { busy_timeout_ms: u64::MAX, ..Config::new(store.path_str()) };
    let server = Server::start(&config, HttpConfig::default(), ServerConfig::default());
    let id = rerun(&server, r#"{"ids": ["a1", "b1"]}"#);
    reader.execute_batch("BEGIN; SELECT * FROM runs").unwrap();
    let mut client = server.connect();
    let head = format!("POST {OPERATIONS}/{id}/undo HTTP/1.1\r\nHost: localhost\r\n");
    client.write_all(format!("{head}Content-Length: 0\r\n\r\n").as_bytes()).unwrap();
    until_one_spawns(&store);
    drop(client);
    reader.execute_batch("ROLLBACK").unwrap();
    while !server.get("/metrics").text.contains("bulk_rerun_runs_undone_total 2") {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.get(&format!("{OPERATIONS}/{id}")).json()["states"], json!({"undone": 2}));
}

/// Whoever waits too long for the host is told, and nothing is undone behind anybody's back.
#[test]
fn an_undo_that_waits_too_long_is_given_up() {
    let store = kept();
    let id = rerun(&serve(&store), r#"{"ids": ["a1"]}"#);
    let config = Config { busy_timeout_ms: u64::MAX, ..Config::new(store.path_str()) };
    let http = HttpConfig { request_timeout: Duration::from_millis(300), ..HttpConfig::default() };
    let server = Server::start(&config, http, ServerConfig::default());
    let host = store.open();
    host.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = undo(&server, &id);
    host.execute_batch("ROLLBACK").unwrap();
    problem(&answer, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    drop(server);
    assert_eq!(serve(&store).get(&format!("{OPERATIONS}/{id}")).json()["states"], json!({"pending": 1}));
}

#[test]
fn an_app_of_ones_own_has_them_under_its_own_path() {
    let store = kept();
    let plugin = Arc::new(Plugin::open(&Config::new(store.path_str())).unwrap());
    // A part of its path may be anything.
    let nested = |routes| Server::of(axum::Router::new().nest("/{tenant}/rerun", routes), ServerConfig::default());
    for server in [
        nested(router(Arc::clone(&plugin), HttpConfig::default())),
        nested(api(Arc::clone(&plugin), HttpConfig::default())),
    ] {
        let answer = server.send("POST", &format!("/tools/rerun{RERUN}"), &[], r#"{"ids": ["a1"]}"#).json();
        let one = format!("/tools/rerun{OPERATIONS}/{}", answer["operation_id"].as_str().unwrap());
        for (method, path, schema) in [
            ("GET", &format!("/tools/rerun{OPERATIONS}"), "Operations"),
            ("GET", &one, "Operation"),
            ("POST", &format!("{one}/undo"), "Undone"),
        ] {
            let answer = server.send(method, path, &[], "");
            let schema = format!("/tools/rerun/schemas/{schema}.json");
            assert_eq!(
                (answer.status, answer.header("link").unwrap()),
                (200, &*format!("<{schema}>; rel=\"describedBy\""))
            );
            assert_eq!(answer.json()["$schema"], format!("http://{}{schema}", server.address()));
            assert_eq!(server.get(&schema).status, 200);
        }
    }
}
