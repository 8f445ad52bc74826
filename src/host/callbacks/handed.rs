//! A run as a host hands it over: JSON in canonical columns.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::contract::{Params, Phase, Run, has_ended};
use crate::host::time::read_instant;
use crate::host::{HostError, Key};

/// How many characters of a run an error shows.
const SHOWN_MAX: usize = 500;

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
pub(super) fn read(run_json: &str) -> Result<Handed, HostError> {
    let wrong = |message: String| HostError::Unusable(format!("the host handed over a run that {message}"));
    let run: Fields = serde_json::from_str(run_json)
        .map_err(|error| wrong(format!("can't be read: {error} (in {})", without_params(run_json))))?;
    let (has_id, has_task_name) = (run.id.is_some(), run.task_name.is_some());
    let id = run.id.unwrap_or_default();
    if let Some(phase) = run.phase.as_deref().filter(|phase| Phase::from_word(phase).is_none()) {
        return Err(wrong(format!("has the phase {phase:?}, not pending, running or ended: {id}")));
    }
    let is_failure = match &run.is_failure {
        Value::Null => None,
        Value::Bool(mark) => Some(*mark),
        Value::Number(mark) => Some(mark.as_i64() != Some(0)),
        _ => return Err(wrong(format!("has a mark is_failure that is neither true nor false: {id}"))),
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

/// The run as it was handed over, for an error: parameters may be secrets.
fn without_params(run_json: &str) -> String {
    let Ok(mut run) = serde_json::from_str::<Value>(run_json) else { return "what is no JSON".to_owned() };
    if let Some(params) = run.get_mut("params") {
        *params = Value::from("…");
    }
    run.to_string().chars().take(SHOWN_MAX).collect()
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
            ("", "EOF"),
            (r#"{"task_name": "t"}"#, "missing field `id`"),
            (r#"{"id": 7, "task_name": "t"}"#, "integer `7`, expected a string"),
            (r#"{"id": "7", "task_name": "t", "phase": "done"}"#, "pending, running or ended: 7"),
            (r#"{"id": "7", "task_name": "t", "is_failure": "yes"}"#, "is_failure"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains("the host handed over a run that") && error.contains(words), "{error}");
        }
    }
}
