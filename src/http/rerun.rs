//! `POST /api/runs/bulk/rerun`: the operation.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap, LINK};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::base::Base;
use super::body;
use super::door::Door;
use super::openapi::{Guarded, RERUN_PATH, Rerun, RunSelector};
use super::problem::Problem;
use super::token::Caller;
use crate::Cancel;
use crate::contract::{BulkRerunBody, ErrorModel, Request as RerunRequest};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Re-run the unique tasks behind a selector's runs
///
/// Finds the selected runs, groups them by task, and starts each task once more from its newest selected run, with
/// exactly that run's parameters: all new runs appear together, or none does. Every run that was selected is answered
/// for, as triggered or as skipped with a reason. With `options.dry_run` nothing is changed.
#[utoipa::path(
    post,
    path = RERUN_PATH,
    operation_id = "bulk-rerun",
    tag = "runs",
    security((), ("token" = [])),
    request_body(content = RunSelector, content_type = "application/json", examples(
        ("failed" = (summary = "What failed that night", value = json!({
            "match_all": true,
            "filter": {"status": "failed,timeout", "created_after": "2026-04-15T00:00:00Z"},
            "options": {"dry_run": true, "skip_active": true}}))),
        ("ids" = (summary = "Exactly these runs", value = json!({"ids": ["01JRX3M7ZD7Q8M5T8E2Y9V4B6C"]}))),
        ("camel" = (summary = "In camelCase", value = json!({
            "matchAll": true, "filter": {"taskName": "backup", "status": "failed"},
            "exceptIds": ["01JRX3M7ZD7Q8M5T8E2Y9V4B6C"]}))),
    )),
    responses(
        (status = 200, description = "What was triggered and what was skipped, or in a dry run what would be",
            body = BulkRerunBody, content_type = "application/json",
            headers(("Link" = String, description = "The answer's JSON Schema, as `rel=\"describedBy\"`")),
            examples(
                ("done" = (summary = "One new run, and one run that does not exist", value = json!({
                    "triggered": [{"task_name": "backup", "run_id": "01M860BN9J3TTM3Q1TWXSRA6C9",
                        "rerun_of": "01JRX3M7ZD7Q8M5T8E2Y9V4B6C"}],
                    "skipped": [{"run_id": "01HELLO", "reason": "not_found"}]}))),
                ("plan" = (summary = "A dry run", value = json!({
                    "triggered": [],
                    "planned": [{"task_name": "backup", "rerun_of": "01JRX3M7ZD7Q8M5T8E2Y9V4B6C", "matched": 4}],
                    "matched": 4, "plan": "sha256:3400ec022f80fe0de4cc4038324ccd903a94bc8c13cf651dc1f1eb20ba9305d4"}))),
            )),
        Rerun, Guarded,
    ),
)]
pub(super) async fn rerun(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let base = Base::of(&request, &door.config);
    refuse_idempotency_key(request.headers())?;
    let headers = request.headers().clone();
    let caller = Caller::of(&request).cloned();
    let json = body::read(request, &door.config, &door.room).await?;
    // Not before it is all there: what broke off on its way may be sent again.
    door.clicks.take(&headers)?;
    let schema = base.schema("BulkRerunBody");
    let work = {
        let door = Arc::clone(&door);
        move |cancel: &Cancel| carry_out(&door, cancel, &json, caller.as_ref(), schema)
    };
    let answer = door.queue.run(door.config.request_timeout, work).await?;
    let mut response = answer.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(link) = HeaderValue::from_str(&base.described_by("BulkRerunBody")) {
        headers.insert(LINK, link);
    }
    Ok(response)
}

/// From the body to the answer, on a blocking thread.
fn carry_out(
    door: &Door,
    cancel: &Cancel,
    json: &[u8],
    caller: Option<&Caller>,
    schema: Option<String>,
) -> Result<String, ErrorModel> {
    let request = RerunRequest::from_json(json)?;
    if let Some(caller) = caller.filter(|caller| !caller.may_spawn && !request.options.dry_run) {
        let detail = format!("the token {:?} may only preview: set `options.dry_run` to true", caller.name);
        return Err(ErrorModel::new(StatusCode::FORBIDDEN.as_u16(), detail));
    }
    if door.config.require_filter {
        refuse_everything(&request)?;
    }
    let mut body = door.plugin.rerun_unless(cancel, &request)?;
    if !request.options.dry_run {
        door.metrics.count(&body);
        let by = caller.map(|caller| &*caller.name);
        tracing::info!(triggered = body.triggered.len(), skipped = body.skipped.len(), by, "re-ran");
    }
    body.schema = schema;
    Ok(body.to_json(door.plugin.spelling_of(&request)))
}

/// Where a filter is required, nobody means "everything".
fn refuse_everything(request: &RerunRequest) -> Result<(), ErrorModel> {
    if request.selector.is_unconditional() {
        let message = "this server requires a filter: say which runs, or name them in `ids`";
        return Err(ErrorModel::violation("body.filter", message.to_owned(), Value::Null));
    }
    Ok(())
}

/// A key that is not heeded must not look as if it were: the client's second try would spawn again.
fn refuse_idempotency_key(headers: &HeaderMap) -> Result<(), ErrorModel> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(()) };
    let message = "this needs the ledger, which this version does not have yet; drop the header";
    let value = json!(String::from_utf8_lossy(key.as_bytes()));
    Err(ErrorModel::violation("header.Idempotency-Key", message.to_owned(), value))
}
