//! `POST /api/runs/bulk/rerun`: the operation.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::base::Base;
use super::body;
use super::door::Door;
use super::openapi::{Body, Guarded, RERUN_PATH, Rerun, RunSelector, Store};
use super::problem::Problem;
use super::token;
use super::{click, idempotency_key};
use crate::Cancel;
use crate::contract::{BulkRerunBody, Caller, ErrorModel, Request as RerunRequest};

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
    params(("Idempotency-Key" = Option<String>, Header,
        description = "As `options.idempotency_key`: a quoted string, or bare. Needs the ledger.")),
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
        Rerun, Body, Store, Guarded,
    ),
)]
pub(super) async fn rerun(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let base = Base::of(&request, &door.config);
    let key = idempotency_key::of(request.headers())?;
    let click = click::of(request.headers())?;
    let by = token::Caller::of(&request).cloned();
    // A click is heeded when it is all there: what broke off on its way may be sent again.
    let json = body::read(request, &door.config, &door.room).await?;
    let schema = base.schema("BulkRerunBody");
    let work = {
        let door = Arc::clone(&door);
        move |cancel: &Cancel| carry_out(&door, cancel, &json, Headers { by, key, click }, schema)
    };
    let answer = door.queue.run(door.config.request_timeout, work).await?;
    Ok(base.answer("BulkRerunBody", answer))
}

/// What a request's headers say.
struct Headers {
    /// Whose token it bears.
    by: Option<token::Caller>,
    key: Option<String>,
    click: Option<String>,
}

/// From the body to the answer, on a blocking thread.
fn carry_out(
    door: &Door,
    cancel: &Cancel,
    json: &[u8],
    headers: Headers,
    schema: Option<String>,
) -> Result<String, ErrorModel> {
    let Headers { by, key, click } = headers;
    let mut request = RerunRequest::from_json(json).and_then(|mut request| {
        idempotency_key::add(&mut request, key.as_deref())?;
        Ok(request)
    });
    if let Some(click) = click {
        door.clicks.heed(click, request.as_mut().ok(), &door.plugin)?;
    }
    let mut request = request?;
    if let Some(by) = by.as_ref().filter(|by| !by.may_spawn && !request.options.dry_run) {
        let detail = format!("the token {:?} may only preview: set `options.dry_run` to true", by.name);
        return Err(ErrorModel::new(StatusCode::FORBIDDEN.as_u16(), detail));
    }
    let by = by.map(|by| by.name.to_string());
    request.caller = Some(Caller { actor: by.clone(), ..Caller::through("http") });
    if door.config.require_filter {
        refuse_everything(&request)?;
    }
    let body = door.plugin.rerun_unless(cancel, &request);
    let mut body = if key.is_some() { body.map_err(idempotency_key::placed)? } else { body? };
    if !request.options.dry_run && !body.replayed {
        door.metrics.count(&body);
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
