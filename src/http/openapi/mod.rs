//! `GET /openapi.json` and `GET /schemas/…`: what the door takes and answers, generated from the types.

mod errors;
mod parameters;
mod request;
mod twins;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderMap};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::door::Door;
use super::files::File;
use super::problem::Problem;
use super::{health, metrics, operations, rerun};
use crate::contract::{BulkRerunBody, ErrorModel, Operation, Operations, Undone};
pub(super) use errors::{Body, Guarded, Ledger, NoObject, Rerun, Store};
pub(super) use parameters::PageParameters;
pub(super) use request::RunSelector;

/// The endpoint's path, which is RunWisp's.
pub(super) const RERUN_PATH: &str = "/api/runs/bulk/rerun";

/// What was re-run, and its undoing.
pub(super) const OPERATIONS_PATH: &str = "/api/runs/bulk/operations";
pub(super) const OPERATION_PATH: &str = "/api/runs/bulk/operations/{operation_id}";
pub(super) const UNDO_PATH: &str = "/api/runs/bulk/operations/{operation_id}/undo";

/// The routes that a token guards, and what they answer in either spelling.
const GUARDED: [(&str, &str, Option<&str>); 5] = [
    (RERUN_PATH, "post", Some("BulkRerunBody")),
    (OPERATIONS_PATH, "get", Some("Operations")),
    (OPERATION_PATH, "get", Some("Operation")),
    (UNDO_PATH, "post", Some("Undone")),
    ("/metrics", "get", None),
];

/// The schemas that have a document of their own.
const DOCUMENTED: [&str; 6] = ["BulkRerunBody", "ErrorModel", "Operation", "Operations", "RunSelector", "Undone"];

/// What OpenAPI 3.1's schemas are written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "bulk_rerun",
        description = "Re-run the unique tasks behind a selector's runs, inside the job runner's own store.\n\n\
            Fields may be spelled in snake_case or in camelCase; the answer is spelled as the request is. \
            Every error is a problem document (RFC 9457), and a failed request has changed nothing.",
    ),
    paths(rerun::rerun, operations::list, operations::one, operations::undo, health::health, metrics::metrics),
    components(schemas(RunSelector, BulkRerunBody, ErrorModel, Operation, Operations, Undone))
)]
struct Description;

/// The documents, as they are sent.
pub(super) struct Documents {
    openapi: File,
    schemas: BTreeMap<&'static str, File>,
}

impl Documents {
    /// `with_token`: a client must show a token.
    pub(super) fn new(with_token: bool) -> Self {
        let openapi = openapi(with_token);
        let schemas = openapi["components"]["schemas"].as_object().cloned().unwrap_or_default();
        let standalone = |name| {
            let file = File::new("application/schema+json", standalone(name, &schemas).to_string());
            // Editors and validators on any page may read it: there is nothing secret in it.
            (name, file.with(ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        };
        Documents {
            schemas: DOCUMENTED.map(standalone).into(),
            openapi: File::new("application/json", openapi.to_string()),
        }
    }
}

pub(super) async fn document(State(door): State<Arc<Door>>, headers: HeaderMap) -> Response {
    door.documents.openapi.answer(&headers)
}

/// The schema that a path names.
#[derive(Deserialize)]
pub(super) struct Named {
    file: String,
}

pub(super) async fn schema(
    State(door): State<Arc<Door>>,
    Path(Named { file }): Path<Named>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let schema = file.strip_suffix(".json").and_then(|name| door.documents.schemas.get(name));
    let schema = schema.ok_or_else(|| {
        let known: Vec<String> = door.documents.schemas.keys().map(|name| format!("{name}.json")).collect();
        Problem::new(StatusCode::NOT_FOUND, format!("there is no schema {file}; there are {}", known.join(", ")))
    })?;
    Ok(schema.answer(&headers))
}

fn openapi(with_token: bool) -> Value {
    let mut description = Description::openapi();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The server's `BULK_RERUN_TOKEN`, where it has one."))
        .build();
    description.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    let mut document = json!(description);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.values_mut().for_each(without_code);
        twins::add(schemas);
    }
    let json = |schema: Value| json!({ "application/json": { "schema": schema } });
    document["paths"][RERUN_PATH]["post"]["requestBody"]["content"]["application/json"]["schema"] =
        twins::either("RunSelector");
    document["paths"][UNDO_PATH]["post"]["requestBody"] =
        json!({ "required": false, "content": json(json!({ "type": "object", "maxProperties": 0 })) });
    for (path, method, answer) in GUARDED {
        let operation = &mut document["paths"][path][method];
        if let Some(name) = answer {
            operation["responses"]["200"]["content"]["application/json"]["schema"] = twins::either(name);
        }
        if with_token {
            operation["security"] = json!([{ "token": [] }]);
        }
    }
    document
}

/// The descriptions are the types' own documentation, whose examples are in Rust.
fn without_code(value: &mut Value) {
    match value {
        Value::Object(parts) => {
            if let Some(Value::String(text)) = parts.get_mut("description") {
                text.truncate(text.find("\n\n```").unwrap_or(text.len()));
            }
            parts.values_mut().for_each(without_code);
        }
        Value::Array(items) => items.iter_mut().for_each(without_code),
        _ => {}
    }
}

/// A schema in a document of its own, in either spelling, with all that it refers to.
fn standalone(name: &str, schemas: &Map<String, Value>) -> Value {
    let mut document = json!({ "$schema": DIALECT, "title": name });
    let has_twin = twins::either(name)["anyOf"][1]["$ref"]
        .as_str()
        .and_then(|reference| reference.rsplit('/').next())
        .is_some_and(|twin| schemas.contains_key(twin));
    let root = if has_twin { twins::either(name) } else { json!({ "$ref": format!("#/components/schemas/{name}") }) };
    let mut definitions = Map::new();
    gather(&root, schemas, &mut definitions);
    if let (Value::Object(document), Value::Object(root)) = (&mut document, root) {
        document.extend(root);
        document.insert("$defs".to_owned(), Value::Object(definitions));
    }
    refer_within(&mut document);
    document
}

/// Collects every schema that `value` refers to, directly or not.
fn gather(value: &Value, schemas: &Map<String, Value>, found: &mut Map<String, Value>) {
    match value {
        Value::Object(parts) => {
            if let Some(name) = parts.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next())
                && let Some(schema) = schemas.get(name)
                && !found.contains_key(name)
            {
                found.insert(name.to_owned(), schema.clone());
                gather(schema, schemas, found);
            }
            parts.values().for_each(|part| gather(part, schemas, found));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, schemas, found)),
        _ => {}
    }
}

/// Turns the references of an OpenAPI document into those of a schema of its own.
fn refer_within(value: &mut Value) {
    match value {
        Value::Object(parts) => {
            if let Some(Value::String(reference)) = parts.get_mut("$ref") {
                *reference = reference.replace("#/components/schemas/", "#/$defs/");
            }
            parts.values_mut().for_each(refer_within);
        }
        Value::Array(items) => items.iter_mut().for_each(refer_within),
        _ => {}
    }
}
