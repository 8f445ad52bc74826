//! `GET /healthz`: whether the store can be read.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::door::Door;
use super::problem::Problem;
use crate::contract::ErrorModel;

/// Longer than any probe waits.
const TIME: Duration = Duration::from_secs(10);

/// Whether the store can be read
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "server",
    responses(
        (status = 200, description = "It can", body = Object, content_type = "application/json",
            example = json!({"status": "ok"})),
        (status = 403, description = "The Host is not allowed", body = ErrorModel,
            content_type = "application/problem+json"),
        (status = 503, description = "It can't", body = ErrorModel, content_type = "application/problem+json"),
    ),
)]
// Looks a run up in the store, outside the queue: a server which is only busy must not seem dead.
pub(super) async fn health(State(door): State<Arc<Door>>) -> Result<Response, Problem> {
    let plugin = Arc::clone(&door.plugin);
    let work = move || {
        let found = plugin.ping();
        found.inspect_err(|error| tracing::error!(cause = error.detail, "the store is not healthy"))
    };
    match door.health.at(TIME, work).await {
        Ok(()) => Ok(([(CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#).into_response()),
        // Anybody may ask, so the answer does not say where the store is.
        Err(_) => {
            let detail = "the store can't be read; the log says why";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
        }
    }
}
