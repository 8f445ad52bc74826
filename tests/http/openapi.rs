//! The description and the door are one: what the schema has the reader takes, and the other way round. (That both have the
//! same fields, `tests/one_story.rs` says.)

use bulk_rerun::{Request, Spelling};
use serde_json::{Map, Value, json};

use crate::support::calls::open;
use crate::{night, serve};

fn document() -> Value {
    let store = night();
    serve(&store).get("/openapi.json").json()
}

fn properties<'a>(document: &'a Value, schema: &str) -> &'a Map<String, Value> {
    document["components"]["schemas"][schema]["properties"].as_object().unwrap_or_else(|| panic!("no schema {schema}"))
}

/// Values of each field of the schema that the reader must take, by its type.
fn good_values(name: &str, schema: &Value, document: &Value) -> Vec<Value> {
    let mut values = vec![Value::Null];
    let schema = match schema["oneOf"][0]["$ref"].as_str() {
        Some(reference) => &document["components"]["schemas"][reference.rsplit('/').next().unwrap()],
        None => schema,
    };
    match (&schema["enum"], &schema["type"]) {
        (Value::Array(words), _) => values.extend(words.iter().cloned()),
        (_, kind) if kind.to_string().contains("boolean") => values.extend([json!(true), json!(false)]),
        (_, kind) if kind.to_string().contains("integer") => {
            values.extend(
                [schema["minimum"].clone(), schema["maximum"].clone()].into_iter().filter(|end| !end.is_null()),
            );
            assert_eq!(values.len(), 3, "{name} says nothing of its bounds");
        }
        _ if schema["pattern"].is_string() => values.push(schema["example"].clone()),
        (_, kind) if kind.to_string().contains("array") => {
            let item = match schema["items"]["$ref"].as_str() {
                Some(reference) => properties(document, reference.rsplit('/').next().unwrap())
                    .iter()
                    .map(|(field, _)| (field.clone(), json!("a")))
                    .collect(),
                None => json!("a"),
            };
            values.extend([json!([]), json!([item, item])]);
        }
        (_, kind) if kind.to_string().contains("string") => {
            let longest = schema["maxLength"].as_u64().unwrap_or(5) as usize;
            let shortest = schema["minLength"].as_u64().unwrap_or(0) as usize;
            values.extend([shortest, longest].map(|length| json!("ż".repeat(length))));
        }
        _ => values.extend([json!(""), json!("2026-04-15T02:00:00+02:00")]),
    }
    values
}

#[test]
fn the_reader_takes_what_the_schema_has_in_either_spelling() {
    let document = document();
    for (at, schema) in [("filter", "RunFilter"), ("options", "RerunOptions")] {
        for (twin, all) in [("", "match_all"), ("InCamelCase", "matchAll")] {
            for (name, field) in properties(&document, &format!("{schema}{twin}")) {
                for value in good_values(name, field, &document) {
                    let request = json!({all: true, at: {name: &value}});
                    let read = Request::from_json(request.to_string().as_bytes());
                    let read = read.unwrap_or_else(|error| panic!("{request}: {error}"));
                    let spelling = if twin.is_empty() { Spelling::Snake } else { Spelling::Camel };
                    assert_eq!(read.spelling, Some(spelling), "{request}");
                }
            }
        }
    }
}

#[test]
fn the_reader_refuses_what_the_schema_bounds() {
    let document = document();
    for (at, schema) in [("filter", "RunFilter"), ("options", "RerunOptions")] {
        for (name, field) in properties(&document, schema) {
            let kind = field["type"].to_string();
            let mut bad = vec![json!({})];
            if !kind.contains("array") {
                bad.extend([json!([]), json!(["x"])]);
            }
            if field["pattern"].is_string()
                || !kind.contains("string")
                    && !field.to_string().contains("date-time")
                    && !field.to_string().contains("UniqueBy")
            {
                bad.push(json!("x"));
            }
            if !kind.contains("boolean") {
                bad.push(json!(true));
            }
            if !kind.contains("integer") {
                bad.push(json!(7));
            }
            if field["minLength"] == 1 {
                bad.push(json!(""));
            }
            if let Some(longest) = field["maxLength"].as_u64() {
                bad.push(json!("x".repeat(longest as usize + 1)));
            }
            if field.to_string().contains("date-time") || field.to_string().contains("UniqueBy") {
                bad.push(json!("yesterday"));
            }
            if let Some(least) = field["minimum"].as_i64() {
                bad.push(least.checked_sub(1).map_or(json!(-1e30), |below| json!(below)));
            }
            for value in bad {
                let request = json!({"match_all": true, at: {name: &value}});
                let error = Request::from_json(request.to_string().as_bytes()).unwrap_err();
                assert_eq!(
                    (error.status, error.errors[0].location.as_str()),
                    (422, format!("body.{at}.{name}").as_str())
                );
            }
        }
    }
}

#[test]
fn every_field_is_described_and_every_error_documented() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        assert!(schema["description"].is_string(), "{name} is not described");
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            let is_described = schema.to_string().contains("\"description\"");
            assert!(is_described, "{name}.{field} is not described: {schema}");
        }
    }
    for (path, method, statuses) in [
        ("rerun", "post", "200 400 401 403 408 409 413 415 422 500 503"),
        ("operations", "get", "200 401 403 404 422 500 503"),
        ("operations/{operation_id}", "get", "200 401 403 404 422 500 503"),
        ("operations/{operation_id}/undo", "post", "200 400 401 403 404 408 413 415 422 500 503"),
    ] {
        let operation = &document["paths"][format!("/api/runs/bulk/{path}")][method];
        let mut sorted: Vec<&str> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        sorted.sort_unstable();
        assert_eq!(sorted.join(" "), statuses, "{path}");
        for status in &sorted[1..] {
            let content = &operation["responses"][status]["content"]["application/problem+json"];
            assert_eq!(content["schema"]["$ref"], "#/components/schemas/ErrorModel", "{path} {status}");
            assert_eq!(content["example"]["status"].to_string(), *status);
        }
        let good = &operation["responses"]["200"]["content"]["application/json"];
        assert!(good["example"].is_object() || good["examples"].is_object(), "{path} has no example");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{path}: {parameter}");
        }
    }
    let rerun = &document["paths"]["/api/runs/bulk/rerun"]["post"];
    assert!(rerun["requestBody"]["content"]["application/json"]["examples"].as_object().unwrap().len() >= 3);
}

/// A URL's parameters are those that the reader knows, and the examples look like answers.
#[test]
fn operations_are_described_as_they_are() {
    let store = night();
    open(&store.path).create_ledger().unwrap();
    let server = serve(&store);
    let document = server.get("/openapi.json").json();
    let list = "/api/runs/bulk/operations";
    let parameters = document["paths"][list]["get"]["parameters"].as_array().unwrap();
    let (camel, snake): (Vec<&str>, Vec<&str>) =
        parameters.iter().map(|one| one["name"].as_str().unwrap()).partition(|name| name.contains(char::is_uppercase));
    let unknown = server.get(&format!("{list}?zzzzzz=1")).json();
    assert_eq!(unknown["errors"][0]["message"], format!("unknown field; known here: {}", snake.join(", ")));
    assert_eq!(camel, ["createdAfter", "runId"]);

    let id = server.post(r#"{"ids": ["a1", "b1"]}"#).json()["operation_id"].as_str().unwrap().to_owned();
    store
        .open()
        .execute_batch("UPDATE runs SET status = 'running' WHERE status = 'pending' AND task_name = 'backup'")
        .unwrap();
    let fields =
        |value: &Value| value.as_object().unwrap().keys().filter(|key| *key != "$schema").cloned().collect::<Vec<_>>();
    for (path, method) in [("", "get"), ("/{operation_id}", "get"), ("/{operation_id}/undo", "post")] {
        let url = format!("{list}{path}").replace("{operation_id}", &id);
        let answer = server.send(&method.to_uppercase(), &url, &[], "").json();
        let good = &document["paths"][format!("{list}{path}")][method]["responses"]["200"]["content"];
        let example = &good["application/json"]["example"];
        assert_eq!(fields(example), fields(&answer), "{path}");
        for list in ["operations", "undone"] {
            if let (Some(shown), Some(real)) = (example[list].get(0), answer[list].get(0)) {
                assert_eq!(fields(shown), fields(real), "{list}");
            }
        }
    }
}

/// The document's examples are good requests, and every reference in it leads somewhere.
#[test]
fn examples_and_references_hold() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(parts) => {
                found.extend(parts.get("$ref").and_then(Value::as_str).map(str::to_owned));
                parts.values().for_each(|part| references(part, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let store = night();
    let server = serve(&store);
    let mut documents = vec![server.get("/openapi.json").json()];
    let examples = documents[0]["paths"]["/api/runs/bulk/rerun"]["post"]["requestBody"]["content"]["application/json"]
        ["examples"]
        .clone();
    for example in examples.as_object().unwrap().values() {
        Request::from_json(example["value"].to_string().as_bytes()).unwrap();
    }
    let names = ["BulkRerunBody", "ErrorModel", "Operation", "Operations", "RunSelector", "Undone"];
    documents.extend(names.map(|name| server.get(&format!("/schemas/{name}.json")).json()));
    for document in documents {
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let path = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(path).is_some(), "{reference} leads nowhere");
        }
    }
}
