//! A run as a host hands it over: JSON in canonical columns.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::contract::{Params, Phase, Run, has_ended};
use crate::host::Key;
use crate::host::time::read_instant;

/// The fields of a run that matter here; a host may hand over more.
#[derive(Deserialize)]
struct Fields {
    #[serde(deserialize_with = "Option::deserialize")]
    id: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    task_name: Option<String>,
    #[serde(default)]
    phase: Option<String>,
    #[serde(default)]
    end_reason: Option<String>,
    #[serde(default)]
    exit_code: Option<i64>,
    #[serde(default)]
    triggered_by: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    retry_attempt: Option<i64>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    is_failure: Value,
    #[serde(default)]
    unfit: Option<String>,
}

/// A run that a host has handed over.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) run: Run,
    has_id: bool,
    has_task_name: bool,
}

impl Handed {
    pub(super) fn id(&self) -> Key<'_> {
        if self.has_id { Key::text(&self.run.id) } else { Key::Null }
    }

    pub(super) fn task_name(&self) -> Key<'_> {
        if self.has_task_name { Key::text(&self.run.task_name) } else { Key::Null }
    }
}

/// Reads a run that a host has handed over.
///
/// # Errors
///
/// What is wrong with it, in words that say where, and nothing of what its parameters may be.
pub(super) fn read(run_json: &str) -> Result<Handed, String> {
    let run: Fields = serde_json::from_str(run_json).map_err(|error| fault(run_json, &error))?;
    let (has_id, has_task_name) = (run.id.is_some(), run.task_name.is_some());
    let id = run.id.unwrap_or_default();
    let wrong = |message: String| format!("(id {id:?}): {message}");
    if let Some(phase) = run.phase.as_deref().filter(|phase| Phase::from_word(phase).is_none()) {
        return Err(wrong(format!("`phase` is {phase:?}, not pending, running or ended")));
    }
    let is_failure = match &run.is_failure {
        Value::Null => None,
        Value::Bool(mark) => Some(*mark),
        Value::Number(mark) => Some(mark.as_i64() != Some(0)),
        other => return Err(wrong(format!("`is_failure` is {}, neither true nor false", kind(other)))),
    };
    let has_ended = has_ended(run.phase.as_deref());
    let run = Run {
        id,
        task_name: run.task_name.unwrap_or_default(),
        phase: run.phase,
        end_reason: run.end_reason,
        exit_code: run.exit_code.filter(|_| has_ended),
        triggered_by: run.triggered_by,
        created_at: run.created_at.as_deref().and_then(read_instant),
        retry_attempt: run.retry_attempt,
        params: match run.params {
            Value::Null => Params::None,
            Value::String(text) => text_params(text),
            // A host that has them as JSON may say so; their text is the same each time.
            json => text_params(json.to_string()),
        },
        is_failure,
        unfit: run.unfit,
    };
    Ok(Handed { run, has_id, has_task_name })
}

/// The fields with a type of their own, and what it is called.
const TYPES: [(&str, &str); 9] = [
    ("id", TEXT),
    ("task_name", TEXT),
    ("phase", TEXT),
    ("end_reason", TEXT),
    ("exit_code", INTEGER),
    ("triggered_by", TEXT),
    ("created_at", TEXT),
    ("retry_attempt", INTEGER),
    ("unfit", TEXT),
];
const TEXT: &str = "a string";
const INTEGER: &str = "an integer of 64 bits";

/// Why a run can't be read: which field, of what kind. Its values stay out of it, for they may be secrets, and so does what
/// serde says of them.
fn fault(run_json: &str, error: &serde_json::Error) -> String {
    let run = match serde_json::from_str(run_json) {
        Ok(Value::Object(run)) => run,
        Ok(other) => return format!("it is {}, not an object", kind(&other)),
        Err(error) => return format!("it is not JSON: {error}"),
    };
    let id = run.get("id").and_then(Value::as_str).map(|id| format!("(id {id:?}): ")).unwrap_or_default();
    let wrong = TYPES.iter().find_map(|&(name, wanted)| match run.get(name) {
        None if matches!(name, "id" | "task_name") => Some(format!("`{name}` is missing")),
        None | Some(Value::Null) => None,
        Some(Value::String(_)) if wanted == TEXT => None,
        Some(number) if wanted == INTEGER && number.is_i64() => None,
        Some(other) => Some(format!("`{name}` is {}, not {wanted}", kind(other))),
    });
    // Nothing else can be wrong.
    let wrong =
        wrong.unwrap_or_else(|| format!("a field is given twice (line {}, column {})", error.line(), error.column()));
    id + &wrong
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn text_params(text: String) -> Params<'static> {
    Params::Text(Cow::Owned(text.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_hosts_write() {
        let run = read(
            r#"{"id": "7", "task_name": "t", "created_at": "2026-04-15 14:00:00 +0200 CEST", "params": {"b": 1, "a": []},
                "is_failure": 1, "queue": "q"}"#,
        )
        .unwrap()
        .run;
        assert_eq!(run.created_at.unwrap().to_rfc3339(), "2026-04-15T12:00:00+00:00");
        assert_eq!(run.params.to_text().as_deref(), Some(r#"{"b":1,"a":[]}"#));
        assert_eq!((run.is_failure, run.phase), (Some(true), None));
        let text = read(r#"{"id": "7", "task_name": "t", "params": "{ \"b\": 1}"}"#).unwrap().run;
        assert_eq!(text.params.to_text().as_deref(), Some(r#"{ "b": 1}"#));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (json, words) in [
            ("", "it is not JSON: EOF while parsing a value at line 1 column 0"),
            ("[7]", "it is an array, not an object"),
            (r#"{"task_name": "t"}"#, "`id` is missing"),
            (r#"{"id": 7, "task_name": "t"}"#, "`id` is a number, not a string"),
            (r#"{"id": "7"}"#, r#"(id "7"): `task_name` is missing"#),
            (
                r#"{"id": "7", "task_name": "t", "phase": "done"}"#,
                r#"(id "7"): `phase` is "done", not pending, running or ended"#,
            ),
            (
                r#"{"id": "7", "task_name": "t", "is_failure": "yes"}"#,
                r#"(id "7"): `is_failure` is a string, neither true nor false"#,
            ),
            (
                r#"{"id": "7", "task_name": "t", "exit_code": 1.5}"#,
                r#"(id "7"): `exit_code` is a number, not an integer of 64 bits"#,
            ),
            (r#"{"id": "7", "task_name": "t", "id": "8"}"#, r#"(id "8"): a field is given twice (line 1, column 34)"#),
        ] {
            assert_eq!(read(json).unwrap_err(), words, "{json}");
        }
    }

    #[test]
    fn what_is_wrong_is_not_quoted() {
        for json in [
            r#"{"id": "7", "task_name": {"token": "s3cret"}}"#,
            r#"{"id": "7", "task_name": "t", "exit_code": "s3cret", "params": {"token": "s3cret"}}"#,
            r#"{"id": "7", "task_name": "t", "is_failure": {"token": "s3cret"}}"#,
            r#"{"id": "7", "task_name": "t", "params": "s3cret", "params": "s3cret"}"#,
            r#"{"id": "7", "task_name": "t", "params": "s3cret"#,
        ] {
            let error = read(json).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
