//! `/healthz`, `/metrics` and the request id.

use crate::server::RERUN;
use crate::{DRY_RUN, night, serve};

#[test]
fn health_is_the_stores() {
    let store = night();
    let server = serve(&store);
    let healthy = server.get("/healthz");
    assert_eq!((healthy.status, healthy.text.as_str()), (200, r#"{"status":"ok"}"#));
    store.open().execute_batch("DROP TABLE runs").unwrap();
    // A look is good for a moment.
    let mut answer = server.get("/healthz");
    while answer.status == 200 {
        answer = server.get("/healthz");
    }
    assert_eq!(answer.status, 503);
    // Anybody may ask; where the store is and what it is like is not for anybody.
    assert_eq!(answer.json()["detail"], "the store can't be read; the log says why");
}

#[test]
fn metrics_count_requests_runs_and_skips() {
    let store = night();
    let server = serve(&store);
    server.post(r#"{"ids": ["a1", "b1", "zz"]}"#);
    server.post(DRY_RUN);
    server.post("{");
    server.get("/made/up/by/a/client");
    let metrics = server.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    for line in [
        r#"bulk_rerun_http_requests_total{method="POST",route="/api/runs/bulk/rerun",status="200"} 2"#,
        r#"bulk_rerun_http_requests_total{method="POST",route="/api/runs/bulk/rerun",status="400"} 1"#,
        r#"bulk_rerun_http_requests_total{method="GET",route="none",status="404"} 1"#,
        r#"bulk_rerun_http_request_duration_seconds_count{route="/api/runs/bulk/rerun"} 3"#,
        "bulk_rerun_runs_triggered_total 2",
        r#"bulk_rerun_skipped_total{reason="not_found"} 1"#,
        "bulk_rerun_queue_occupied 0",
        "# EOF",
    ] {
        assert!(metrics.text.lines().any(|known| known == line), "{line} is not in {}", metrics.text);
    }
    assert!(!metrics.text.contains("made/up"));
}

#[test]
fn every_answer_has_a_request_id() {
    let store = night();
    let server = serve(&store);
    let id = |headers: &[(&str, &str)]| {
        server.send("POST", RERUN, headers, DRY_RUN).header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id(&[("x-request-id", "trace-7")]), "trace-7");
    assert_ne!(id(&[]), id(&[]));
    // What would break a line of the log, or fill it, is not taken over.
    for given in ["a b", &"x".repeat(129), ""] {
        assert_ne!(id(&[("x-request-id", given)]), given);
    }
}
