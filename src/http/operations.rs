//! `/api/runs/bulk/operations`: what was re-run, as the ledger has it, and taking back what no worker has begun of it.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::base::Base;
use super::body;
use super::door::Door;
use super::openapi::{
    Body, Guarded, Ledger, NoObject, OPERATION_PATH, OPERATIONS_PATH, PageParameters, Store, UNDO_PATH,
};
use super::problem::Problem;
use super::token::Caller;
use crate::Cancel;
use crate::contract::{
    ErrorModel, KEY_MAX, Operation, Operations, OperationsQuery, Undone, no_fields, no_parameters, wrong_with_text,
};

/// List what was re-run
///
/// The re-runs that the store's ledger has, newest first: when, through which door, who, why, what was asked for, and how
/// many new runs there are. Where there are as many as the limit, `before` the last one's id there may be more.
#[utoipa::path(
    get,
    path = OPERATIONS_PATH,
    operation_id = "list-operations",
    tag = "operations",
    security((), ("token" = [])),
    params(PageParameters),
    responses(
        (status = 200, description = "A page of them", body = Operations, content_type = "application/json",
            headers(("Link" = String, description = "The answer's JSON Schema, as `rel=\"describedBy\"`")),
            example = json!({"operations": [{
                "operation_id": "01M860BN9H2Q6S8V0X4Z7B1D3F", "created_at": "2026-04-15T07:12:44.031Z", "door": "http",
                "actor": "anna", "reason": "the disk was full", "idempotency_key": null,
                "request": {"match_all": true, "filter": {"status": "failed"}},
                "triggered": 2, "skipped": 0, "undone_at": null}]})),
        Guarded, Ledger, Store,
    ),
)]
pub(super) async fn list(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let base = Base::of(&request, &door.config);
    let query = OperationsQuery::from_pairs(parameters(request.uri()))?;
    let schema = base.schema("Operations");
    let work = {
        let plugin = Arc::clone(&door.plugin);
        move |_: &Cancel| {
            let page = Operations { schema, ..plugin.operations(&query)? };
            Ok(page.to_json(plugin.spelling_or_wire(query.spelling)))
        }
    };
    let answer = door.queue.run(door.config.request_timeout, work).await?;
    Ok(base.answer("Operations", answer))
}

/// Look at one re-run
///
/// With its new runs, and where each of them stands now: `pending`, `running` or `ended`; `gone` where the runner does not
/// keep it any more, `undone` where it was taken back. `states` counts them.
#[utoipa::path(
    get,
    path = OPERATION_PATH,
    operation_id = "get-operation",
    tag = "operations",
    security((), ("token" = [])),
    params(("operation_id" = String, Path, description = "As the re-run answered it, or the list has it.",
        example = "01M860BN9H2Q6S8V0X4Z7B1D3F")),
    responses(
        (status = 200, description = "The re-run", body = Operation, content_type = "application/json",
            headers(("Link" = String, description = "The answer's JSON Schema, as `rel=\"describedBy\"`")),
            example = json!({
                "operation_id": "01M860BN9H2Q6S8V0X4Z7B1D3F", "created_at": "2026-04-15T07:12:44.031Z", "door": "http",
                "actor": "anna", "reason": "the disk was full", "idempotency_key": null,
                "request": {"match_all": true, "filter": {"status": "failed"}},
                "triggered": 2, "skipped": 0, "undone_at": null,
                "runs": [
                    {"task_name": "backup", "run_id": "01M860BN9J3TTM3Q1TWXSRA6C9",
                        "rerun_of": "01JRX3M7ZD7Q8M5T8E2Y9V4B6C", "phase": "ended", "end_reason": "success",
                        "exit_code": 0},
                    {"task_name": "report", "run_id": "01M860BN9J8F0A2C4E6G8J0K2M",
                        "rerun_of": "01JRX3Q2B4D6F8H0K2M4P6R8T0", "phase": "pending"}],
                "states": {"pending": 1, "success": 1}})),
        Guarded, Ledger, Store,
    ),
)]
pub(super) async fn one(
    State(door): State<Arc<Door>>,
    path: Result<Path<Named>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let base = Base::of(&request, &door.config);
    let operation_id = id_in(path)?;
    no_parameters(parameters(request.uri()))?;
    let schema = base.schema("Operation");
    let work = {
        let plugin = Arc::clone(&door.plugin);
        move |_: &Cancel| {
            let operation = Operation { schema, ..plugin.operation(&operation_id)? };
            Ok(operation.to_json(plugin.spelling_or_wire(None)))
        }
    };
    let answer = door.queue.run(door.config.request_timeout, work).await?;
    Ok(base.answer("Operation", answer))
}

/// Take back what no worker has begun of a re-run
///
/// All in one transaction: the new runs that are still pending are taken back, those that are running or over are kept, and
/// both are told. A second time nothing is left to do. A body is not needed.
#[utoipa::path(
    post,
    path = UNDO_PATH,
    operation_id = "undo-operation",
    tag = "operations",
    security((), ("token" = [])),
    params(("operation_id" = String, Path, description = "As the re-run answered it, or the list has it.",
        example = "01M860BN9H2Q6S8V0X4Z7B1D3F")),
    responses(
        (status = 200, description = "What was taken back, and what was kept", body = Undone,
            content_type = "application/json",
            headers(("Link" = String, description = "The answer's JSON Schema, as `rel=\"describedBy\"`")),
            example = json!({
                "undone": [{"task_name": "report", "run_id": "01M860BN9J8F0A2C4E6G8J0K2M"}],
                "kept": [{"task_name": "backup", "run_id": "01M860BN9J3TTM3Q1TWXSRA6C9", "phase": "ended",
                    "end_reason": "success"}]})),
        Guarded, Ledger, NoObject, Body, Store,
    ),
)]
pub(super) async fn undo(
    State(door): State<Arc<Door>>,
    path: Result<Path<Named>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let base = Base::of(&request, &door.config);
    let by = Caller::of(&request).cloned();
    if let Some(by) = by.as_ref().filter(|by| !by.may_spawn) {
        let detail = format!("the token {:?} may only preview, and look: it can't undo a re-run", by.name);
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    let operation_id = id_in(path)?;
    no_parameters(parameters(request.uri()))?;
    no_fields(&body::read(request, &door.config, &door.room).await?)?;
    let schema = base.schema("Undone");
    let work = {
        let door = Arc::clone(&door);
        move |cancel: &Cancel| {
            let undone = door.plugin.undo_unless(cancel, &operation_id).map_err(placed)?;
            door.metrics.count_undone(&undone);
            let by = by.map(|by| by.name.to_string());
            tracing::info!(operation_id, undone = undone.undone.len(), kept = undone.kept.len(), by, "undid");
            Ok(Undone { schema, ..undone }.to_json(door.plugin.spelling_or_wire(None)))
        }
    };
    let answer = door.queue.run(door.config.request_timeout, work).await?;
    Ok(base.answer("Undone", answer))
}

/// The parameters of a URL, in their order, each as often as it is given.
fn parameters(uri: &Uri) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned()
}

/// The operation that a path names. An app that nests the door may have more in its paths.
#[derive(Deserialize)]
pub(super) struct Named {
    operation_id: String,
}

/// Its id. What the ledger can't have as an id is none of its own.
fn id_in(path: Result<Path<Named>, PathRejection>) -> Result<String, Problem> {
    match path {
        Ok(Path(Named { operation_id })) if wrong_with_text(&operation_id, KEY_MAX).is_none() => Ok(operation_id),
        _ => {
            let detail =
                format!("the path names no operation: an operation's id is a ULID; {OPERATIONS_PATH} lists them");
            Err(Problem::new(StatusCode::NOT_FOUND, detail))
        }
    }
}

/// What is wrong with an operation is wrong with the path, which names it.
fn placed(mut error: ErrorModel) -> ErrorModel {
    for violation in &mut error.errors {
        violation.location = violation.location.replace("body.", "path.");
    }
    error
}
