//! Every error is a problem document, whoever found it: the contract, axum, or a limit.

use std::time::Duration;

use bulk_rerun::Config;
use bulk_rerun::http::{HttpConfig, ServerConfig};
use serde_json::{Value, json};

use crate::server::{Answer, RERUN, Server};
use crate::{DRY_RUN, night, serve};

/// The answer is a problem document of this status; answers it.
#[track_caller]
pub fn problem(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["type"], "about:blank");
    assert!(problem["$schema"].as_str().unwrap().ends_with("/schemas/ErrorModel.json"), "{problem}");
    let title = match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Entity",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => panic!("{problem}"),
    };
    assert_eq!(problem["title"], title);
    assert!(problem["detail"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    problem
}

#[test]
fn every_row_of_the_table_of_bad_requests() {
    let store = night();
    let server = serve(&store);
    let before = store.dump();
    for (body, status, location) in [
        ("", 400, None),
        ("{", 400, None),
        ("[]", 400, None),
        (r#"{"match_all": true, "idz": []}"#, 422, Some("body.idz")),
        (r#"{"match_all": "yes"}"#, 422, Some("body.match_all")),
        (r#"{"match_all": true, "filter": {"created_after": "yesterday"}}"#, 422, Some("body.filter.created_after")),
        (r#"{"match_all": true, "filter": {"exit_code_min": 1e30}}"#, 422, Some("body.filter.exit_code_min")),
        (r#"{"ids": ["a1"], "ids": ["a2"]}"#, 422, Some("body.ids")),
        (r#"{"ids": ["a1", 7]}"#, 422, Some("body.ids[1]")),
        (r#"{"matchAll": true, "filter": {"exitCodeMin": 2, "exitCodeMax": 1}}"#, 422, Some("body.filter.exitCodeMin")),
        (r#"{"match_all": true, "options": {"limit": 1}}"#, 422, Some("body.options.limit")),
        (r#"{"match_all": true, "ids": ["a1"]}"#, 400, Some("body.ids")),
        (r#"{"ids": []}"#, 400, Some("body.ids")),
        (r#"{"ids": ["a1"], "except_ids": ["a2"]}"#, 400, Some("body.except_ids")),
        (r#"{"ids": ["a1"], "options": {"expect_plan": "sha256:0"}}"#, 409, None),
    ] {
        let problem = problem(&server.post(body), status);
        let found = problem["errors"][0]["location"].as_str();
        assert_eq!(found, location, "{body}: {problem}");
        let is_contradiction = status == 400 && location.is_some();
        assert_eq!(problem["detail"].as_str().unwrap().starts_with("invalid run selector:"), is_contradiction);
    }
    let long = format!(r#"{{"match_all": true, "filter": {{"search": "{}"}}}}"#, "x".repeat(1_001));
    assert_eq!(problem(&server.post(&long), 422)["errors"][0]["location"], "body.filter.search");
    assert_eq!(store.dump(), before);
}

#[test]
fn unknown_paths_and_wrong_methods() {
    let store = night();
    let server = serve(&store);
    problem(&server.get("/nope"), 404);
    problem(&server.get("/schemas/Nope.json"), 404);
    problem(&server.get("/docs/nope.js"), 404);
    problem(&server.get("/docs/../../etc/passwd"), 404);
    for (method, path, allow) in
        [("GET", RERUN, "POST"), ("PUT", RERUN, "POST"), ("POST", "/healthz", "GET,HEAD"), ("DELETE", "/", "GET,HEAD")]
    {
        let answer = server.send(method, path, &[], "");
        problem(&answer, 405);
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
}

#[test]
fn head_and_options_behave() {
    let store = night();
    let server = serve(&store);
    let head = server.send("HEAD", "/openapi.json", &[], "");
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), Some(server.get("/openapi.json").text.len().to_string().as_str()));
    let head = server.send("HEAD", RERUN, &[], "");
    assert_eq!((head.status, head.text.as_str(), head.header("allow")), (405, "", Some("POST")));
    let options = server.send("OPTIONS", RERUN, &[], "");
    assert_eq!((options.status, options.text.as_str(), options.header("allow")), (204, "", Some("POST")));
}

#[test]
fn media_types() {
    let store = night();
    let server = serve(&store);
    let send = |kind: &str| server.send("POST", RERUN, &[("content-type", kind)], DRY_RUN);
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "application/json; profile=x",
        "application/vnd.runwisp+json",
    ] {
        assert_eq!(send(kind).status, 200, "{kind}");
    }
    for kind in [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin1",
        "multipart/form-data; boundary=x",
        "json",
        "application/jsonx",
    ] {
        problem(&send(kind), 415);
    }
    // Who says nothing means JSON.
    for nothing in ["", "Content-Type:\r\n"] {
        let head = format!("POST {RERUN} HTTP/1.1\r\nHost: localhost\r\n{nothing}Connection: close\r\n");
        let answer = server.exchange(&format!("{head}Content-Length: {}\r\n\r\n{DRY_RUN}", DRY_RUN.len()));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // Whatever a client accepts, it gets JSON: there is nothing else to be had.
    for accept in ["*/*", "application/json", "text/html", "application/problem+json;q=0.1"] {
        let answer = server.send("POST", RERUN, &[("accept", accept)], DRY_RUN);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{accept}");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_json() {
    let store = night();
    let server = serve(&store);
    assert_eq!(server.post(&format!("\u{feff}{DRY_RUN}")).json()["matched"], 3);
    let problem = problem(&server.post("\u{feff}"), 400);
    assert!(problem["detail"].as_str().unwrap().starts_with("no request: expected a JSON object"), "{problem}");
}

#[test]
fn what_is_no_request_at_all_gets_a_problem_document_too() {
    let store = night();
    let limits = ServerConfig { header_timeout: Duration::from_secs(1), ..ServerConfig::default() };
    let server = Server::start(&Config::new(store.path_str()), HttpConfig::default(), limits);
    let long = "a".repeat(70_000);
    let fine = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (bytes, status, detail) in [
        ("garbage\r\n\r\n".to_owned(), 400, "invalid HTTP method parsed"),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), 400, "invalid HTTP version parsed"),
        ("GET / HTTP/1.1\r\nno header\r\n\r\n".to_owned(), 400, "invalid HTTP header parsed"),
        (format!("{fine}garbage\r\n\r\n"), 400, "invalid HTTP method parsed"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), 431, "longer than 16384 bytes"),
        (format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n"), 431, "longer than 16384 bytes"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "X: 1\r\n".repeat(200)), 431, "too many headers"),
        ("GET / HTTP/1.1\r\nHost: loc".to_owned(), 408, "did not arrive within 1 s"),
        (format!("{fine}GET / HTTP/1.1\r\nHost: loc"), 408, "did not arrive within 1 s"),
        (format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{}", " ".repeat(30)), 505, "HTTP/2 is not spoken here"),
    ] {
        let answers = server.exchange(&bytes);
        let start = answers.rfind(&format!("HTTP/1.1 {status} ")).unwrap_or_else(|| panic!("{status}, got {answers}"));
        let (head, body) = answers[start..].split_once("\r\n\r\n").unwrap();
        for header in ["content-type: application/problem+json", "cache-control: no-store", "connection: close"] {
            assert!(head.lines().any(|line| line == header), "{head}");
        }
        let problem: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&problem["status"], &problem["type"]), (&status.into(), &"about:blank".into()));
        assert!(head.lines().next().unwrap().ends_with(problem["title"].as_str().unwrap()), "{head} {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
    // Who has said nothing is told nothing.
    assert_eq!(server.exchange(""), "");
    assert_eq!(server.exchange(fine).matches("HTTP/1.1 ").count(), 1);
}

#[test]
fn an_answer_names_its_schema_on_the_host_that_was_asked() {
    let store = night();
    let server = serve(&store);
    let schema = |headers: &[(&str, &str)]| server.send("POST", RERUN, headers, DRY_RUN).json()["$schema"].clone();
    assert_eq!(schema(&[]), format!("http://{}/schemas/BulkRerunBody.json", server.address()));
    assert_eq!(schema(&[("host", "localhost:81")]), "http://localhost:81/schemas/BulkRerunBody.json");
    let proxied = [("host", "localhost"), ("x-forwarded-proto", "https")];
    assert_eq!(schema(&proxied), "https://localhost/schemas/BulkRerunBody.json");
    let answer = server.post(DRY_RUN);
    assert_eq!(answer.header("link"), Some(r#"</schemas/BulkRerunBody.json>; rel="describedBy""#));
    for name in ["BulkRerunBody", "ErrorModel", "RunSelector"] {
        let schema = server.get(&format!("/schemas/{name}.json"));
        assert_eq!((schema.status, &schema.json()["title"]), (200, &json!(name)));
    }
}

#[test]
fn an_idempotency_key_without_a_ledger_is_refused_rather_than_ignored() {
    let store = night();
    let answer = serve(&store).send("POST", RERUN, &[("idempotency-key", "k1")], r#"{"ids": ["a1"]}"#);
    let problem = problem(&answer, 422);
    assert_eq!(problem["errors"][0]["location"], "header.Idempotency-Key");
    assert_eq!(problem["errors"][0]["value"], "k1");
    assert_eq!(store.dump().len(), 3);
}

/// A browser whose connection dies sends a POST again by itself.
#[test]
fn a_click_is_heeded_once() {
    let store = night();
    let server = serve(&store);
    let body = r#"{"ids": ["a1"]}"#;
    let click = |name: &str, body: &str| server.send("POST", RERUN, &[("bulk-rerun-click", name)], body);
    assert_eq!(click("one", body).status, 200);
    for _ in 0..3 {
        let again = problem(&click("one", body), 422);
        assert_eq!(again["errors"][0]["location"], "header.Bulk-Rerun-Click");
        assert_eq!(again["errors"][0]["value"], "one");
    }
    assert_eq!(store.dump().len(), 4);
    assert_eq!(click("another", body).status, 200);
    assert_eq!(store.dump().len(), 5);
    // Whatever came of the first one: a refusal is one's own affair too.
    assert_eq!(click("third", "{").status, 400);
    assert_eq!(click("third", body).status, 422);
    assert_eq!(problem(&click(&"x".repeat(65), body), 422)["errors"][0]["message"], "longer than 64 bytes");
    assert_eq!(store.dump().len(), 5);
}

#[test]
fn where_a_filter_is_required_nobody_means_everything() {
    let store = night();
    let server = Server::over(&store.path, HttpConfig { require_filter: true, ..HttpConfig::default() });
    for body in [r#"{"match_all": true}"#, r#"{"matchAll": true, "filter": {"status": " , "}, "exceptIds": ["a1"]}"#] {
        assert_eq!(problem(&server.post(body), 422)["errors"][0]["location"], "body.filter");
    }
    assert_eq!(store.dump().len(), 3);
    assert_eq!(server.post(r#"{"match_all": true, "filter": {"status": "failed"}}"#).status, 200);
    assert_eq!(server.post(r#"{"ids": ["a1"]}"#).status, 200);
}

#[test]
fn a_busy_store_is_503_and_a_lost_one_500() {
    let store = night();
    let config = crate::support::calls::config(&store.path);
    let server = Server::start(&config, HttpConfig::default(), Default::default());
    let host = store.open();
    host.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = server.post(r#"{"ids": ["a1"]}"#);
    assert_eq!(problem(&answer, 503)["title"], "Service Unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    host.execute_batch("ROLLBACK").unwrap();
    drop(host);
    std::fs::rename(&store.path, store.path.with_extension("away")).unwrap();
    problem(&server.post(r#"{"ids": ["a1"]}"#), 500);
    problem(&server.get("/healthz"), 503);
    std::fs::rename(store.path.with_extension("away"), &store.path).unwrap();
    assert_eq!(server.post(r#"{"ids": ["a1"]}"#).status, 200);
}
