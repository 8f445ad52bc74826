//! The naive model itself, held against the words that it was written from: cases by hand, one line each.

mod calls;
mod plans;
#[path = "../support/mod.rs"]
mod support;

use support::model::{Request, Run, Unique, Value};

fn text(text: &str) -> Value {
    Value::text(text)
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Blob(bytes.to_vec())
}

/// A run that failed at noon.
fn failed(task: Value, id: Value) -> Run {
    Run::failed(task, id, 12)
}

fn succeeded(task: Value, id: Value) -> Run {
    failed(task, id).with(|run| run.end_reason = Some("succeeded".to_owned()))
}

fn all() -> Request {
    Request::default()
}

fn only_failed() -> Request {
    Request { status: Some("failed".to_owned()), ..all() }
}

fn ids(ids: &[&str]) -> Request {
    Request { ids: Some(ids.iter().map(|id| (*id).to_owned()).collect()), ..all() }
}

fn by(unique_by: Unique, request: Request) -> Request {
    Request { unique_by, ..request }
}
