//! The door in a host's own axum app.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use bulk_rerun::Plugin;
use bulk_rerun::http::{HttpConfig, api, router};
use serde_json::Value;
use tower::ServiceExt;

use crate::server::RERUN;
use crate::support::Store;
use crate::support::calls::open;
use crate::{DRY_RUN, night};

fn plugin(store: &Store) -> Arc<Plugin> {
    Arc::new(open(&store.path))
}

async fn ask(app: &Router, method: &str, path: &str, body: &str) -> (StatusCode, String, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned()).unwrap_or_default();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, link, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_endpoint_merges_into_an_app_with_a_page_and_a_fallback_of_its_own() {
    let store = night();
    let app = Router::new()
        .route("/", get(async || "the host's page"))
        .route("/healthz", get(async || "the host's health"))
        .merge(api(plugin(&store), HttpConfig::default()))
        .fallback(async || (StatusCode::NOT_FOUND, "the host's 404"));
    assert_eq!(ask(&app, "GET", "/", "").await.2, "the host's page");
    assert_eq!(ask(&app, "GET", "/nope", "").await.2, "the host's 404");
    let (status, _, body) = ask(&app, "POST", RERUN, DRY_RUN).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &answer["matched"]), (StatusCode::OK, &3.into()));
    let (status, _, body) = ask(&app, "PUT", RERUN, "").await;
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status.as_u16(), &problem["status"]), (405, &405.into()));
}

#[tokio::test]
async fn who_is_turned_away_is_told_what_the_app_would_have_to_allow() {
    let store = night();
    let app = Router::new().merge(router(plugin(&store), HttpConfig::default()));
    for (name, value, advice) in [
        ("host", "ops.example.com", "`HttpConfig::allow_hosts`"),
        ("origin", "https://x.example", "`HttpConfig::allow_origins`"),
    ] {
        let request = Request::post(RERUN).header(name, value);
        let request = if name == "host" { request } else { request.header("host", "localhost") };
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        let body = String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap();
        assert!(body.contains(advice) && !body.contains("--"), "{body}");
    }
}

#[tokio::test]
async fn every_route_nests_under_a_path() {
    let store = night();
    let app = Router::new().nest("/tools/rerun/", router(plugin(&store), HttpConfig::default()));
    let (status, link, body) = ask(&app, "POST", &format!("/tools/rerun{RERUN}"), DRY_RUN).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(link, r#"</tools/rerun/schemas/BulkRerunBody.json>; rel="describedBy""#);
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["$schema"], "http://localhost/tools/rerun/schemas/BulkRerunBody.json");
    assert_eq!(ask(&app, "GET", "/tools/rerun/schemas/BulkRerunBody.json", "").await.0, StatusCode::OK);
    for path in ["/tools/rerun/", "/tools/rerun/docs/", "/tools/rerun/metrics", "/tools/rerun/healthz"] {
        assert_eq!(ask(&app, "GET", path, "").await.0, StatusCode::OK, "{path}");
    }
}
