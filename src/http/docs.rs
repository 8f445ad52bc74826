//! `GET /docs`: Swagger UI over `/openapi.json`, from files in this program.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::page;

/// Swagger UI sets styles on its elements, and draws its icons from `data:`; its scripts are files.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const INDEX: &str = include_str!("page/docs.html");
const START: &str = include_str!("page/docs.js");

/// What of Swagger UI the page uses.
const FILES: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        // Relative, so that it works where a host has nested the door.
        .route("/docs", get(async || Redirect::permanent("docs/")))
        .route("/docs/", get(async || page::file("text/html; charset=utf-8", INDEX, POLICY)))
        .route("/docs/docs.js", get(async || page::file("text/javascript; charset=utf-8", START, POLICY)))
        .route("/docs/{file}", get(file))
}

async fn file(Path(name): Path<String>) -> Response {
    let config = Arc::new(utoipa_swagger_ui::Config::from("../openapi.json"));
    let found = FILES.contains(&name.as_str()).then(|| utoipa_swagger_ui::serve(&name, config));
    let Some(Ok(Some(file))) = found else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = ([(CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response();
    if file.gzpipped {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
