//! `POST /api/runs/bulk/rerun`: the operation.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::base::Base;
use super::body::{self, Received};
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
    let asked = Asked { json, by, key, click, schema: base.schema("BulkRerunBody") };
    let answer = match asked.briefly(&door)? {
        Some(answer) => answer,
        None => {
            let work = {
                let door = Arc::clone(&door);
                move |cancel: &Cancel| asked.carry_out(&door, cancel)
            };
            door.queue.run(door.config.request_timeout, work).await?
        }
    };
    Ok(base.answer("BulkRerunBody", answer))
}

/// So long a search may keep the thread that every connection shares. What can't be done by then is begun again in the
/// queue, where it may wait.
const BRIEFLY: Duration = Duration::from_micros(250);

/// The longest body that is read on that thread, in bytes.
const SHORT: usize = 4 << 10;

/// A request, as it came.
struct Asked {
    json: Received,
    /// Whose token it bears.
    by: Option<token::Caller>,
    key: Option<String>,
    click: Option<String>,
    /// What the answer says of its schema.
    schema: Option<String>,
}

impl Asked {
    /// The answer, where it is there in moments and nothing has to be written for it. Two threads' taking turns would cost
    /// more than such a search.
    fn briefly(&self, door: &Door) -> Result<Option<String>, ErrorModel> {
        // A click is heeded once, and may have to look for the ledger.
        if self.json.len() > SHORT || self.click.is_some() {
            return Ok(None);
        }
        let request = self.request(door, self.read()?)?;
        let body = self.placed(door.plugin.rerun_briefly(BRIEFLY, &request))?;
        Ok(body.map(|body| self.answer(door, &request, body)))
    }

    /// From the body to the answer, on a blocking thread.
    fn carry_out(mut self, door: &Door, cancel: &Cancel) -> Result<String, ErrorModel> {
        let mut request = self.read();
        if let Some(click) = self.click.take() {
            door.clicks.heed(click, request.as_mut().ok(), &door.plugin)?;
        }
        let request = self.request(door, request?)?;
        let body = self.placed(door.plugin.rerun_unless(cancel, &request))?;
        Ok(self.answer(door, &request, body))
    }

    /// What the body and the headers say.
    fn read(&self) -> Result<RerunRequest, ErrorModel> {
        let mut request = RerunRequest::from_json(&self.json)?;
        idempotency_key::add(&mut request, self.key.as_deref())?;
        Ok(request)
    }

    /// The same, if the caller may ask that.
    fn request(&self, door: &Door, mut request: RerunRequest) -> Result<RerunRequest, ErrorModel> {
        if let Some(by) = self.by.as_ref().filter(|by| !by.may_spawn && !request.options.dry_run) {
            let detail = format!("the token {:?} may only preview: set `options.dry_run` to true", by.name);
            return Err(ErrorModel::new(StatusCode::FORBIDDEN.as_u16(), detail));
        }
        request.caller = Some(Caller { actor: self.by_name(), ..Caller::through("http") });
        if door.config.require_filter {
            refuse_everything(&request)?;
        }
        Ok(request)
    }

    fn by_name(&self) -> Option<String> {
        self.by.as_ref().map(|by| by.name.to_string())
    }

    /// What is wrong with a key that the header gave is wrong there.
    fn placed<T>(&self, done: Result<T, ErrorModel>) -> Result<T, ErrorModel> {
        if self.key.is_some() { done.map_err(idempotency_key::placed) } else { done }
    }

    fn answer(&self, door: &Door, request: &RerunRequest, mut body: BulkRerunBody) -> String {
        if !request.options.dry_run && !body.replayed {
            door.metrics.count(&body);
            let by = self.by_name();
            tracing::info!(triggered = body.triggered.len(), skipped = body.skipped.len(), by, "re-ran");
        }
        body.schema.clone_from(&self.schema);
        body.to_json(door.plugin.spelling_of(request))
    }
}

/// Where a filter is required, nobody means "everything".
fn refuse_everything(request: &RerunRequest) -> Result<(), ErrorModel> {
    if request.selector.is_unconditional() {
        let message = "this server requires a filter: say which runs, or name them in `ids`";
        return Err(ErrorModel::violation("body.filter", message.to_owned(), Value::Null));
    }
    Ok(())
}
