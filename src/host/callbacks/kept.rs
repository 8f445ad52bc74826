//! An operation as a host behind callbacks keeps it: one JSON text, with its new runs.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::handed::kind;
use crate::contract::Triggered;
use crate::host::Entry;

/// An operation. What a host adds of its own does no harm.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) operation_id: String,
    created_at: String,
    door: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) idempotency_key: Option<String>,
    request: Value,
    request_digest: String,
    triggered: i64,
    skipped: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    undone_at: Option<String>,
    runs: Vec<KeptRun>,
    skipped_list: Vec<Value>,
}

/// One of its new runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptRun {
    task_name: String,
    run_id: String,
    rerun_of: String,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) undone_at: Option<String>,
}

/// A page of operations.
#[derive(Default, Deserialize)]
pub(super) struct List {
    pub(super) operations: Vec<Kept>,
}

impl Kept {
    pub(super) fn new(entry: &Entry, runs: &[Triggered]) -> Kept {
        let run = |Triggered { task_name, run_id, rerun_of }: Triggered| KeptRun {
            task_name,
            run_id,
            rerun_of,
            undone_at: None,
        };
        let Entry { operation_id, created_at, door, actor, reason, idempotency_key, undone_at, .. } = entry.clone();
        Kept {
            operation_id,
            created_at,
            door,
            actor,
            reason,
            idempotency_key,
            request: serde_json::from_str(&entry.request).unwrap_or_default(),
            request_digest: entry.request_digest.clone(),
            triggered: entry.triggered,
            skipped: entry.skipped,
            undone_at,
            runs: runs.iter().cloned().map(run).collect(),
            skipped_list: serde_json::from_str(&entry.skipped_list).unwrap_or_default(),
        }
    }

    pub(super) fn entry(&self) -> Entry {
        Entry {
            operation_id: self.operation_id.clone(),
            created_at: self.created_at.clone(),
            door: self.door.clone(),
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            idempotency_key: self.idempotency_key.clone(),
            request: self.request.to_string(),
            request_digest: self.request_digest.clone(),
            triggered: self.triggered,
            skipped: self.skipped,
            skipped_list: Value::from(self.skipped_list.clone()).to_string(),
            undone_at: self.undone_at.clone(),
        }
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = (Triggered, bool)> + '_ {
        self.runs.iter().map(|KeptRun { task_name, run_id, rerun_of, undone_at }| {
            let (task_name, run_id, rerun_of) = (task_name.clone(), run_id.clone(), rerun_of.clone());
            (Triggered { task_name, run_id, rerun_of }, undone_at.is_some())
        })
    }

    /// Whether it started this run, or started it again.
    pub(super) fn has_run(&self, id: &str) -> bool {
        self.runs.iter().any(|run| run.run_id == id || run.rerun_of == id)
    }

    pub(super) fn is_as_new_as(&self, time: &str) -> bool {
        *self.created_at >= *time
    }

    /// Notes that the runs at these places were taken back. When it was undone first stays.
    pub(super) fn mark_undone(&mut self, at: &str, places: &[i64]) {
        self.undone_at.get_or_insert_with(|| at.to_owned());
        for place in places {
            if let Some(run) = usize::try_from(*place).ok().and_then(|place| self.runs.get_mut(place)) {
                run.undone_at = Some(at.to_owned());
            }
        }
    }

    pub(super) fn to_json(&self) -> String {
        // Strings and numbers only: nothing in it can fail to serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// `{}`: there is none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What a host has found: `None` if that is nothing.
///
/// # Errors
///
/// What is wrong with it, in words that say where, and nothing of what its parts may be.
pub(super) fn read<T: DeserializeOwned>(json: &str) -> Result<Option<T>, String> {
    let unreadable = |why| format!("what it found can't be read: {why}");
    // serde would take an array for an object whose fields are in this order.
    if !json.trim_start().starts_with('{') {
        return Err(unreadable(fault(json, "line 1")));
    }
    if serde_json::from_str::<Nothing>(json).is_ok() {
        return Ok(None);
    }
    serde_json::from_str(json)
        .map(Some)
        .map_err(|error| unreadable(fault(json, &format!("line {}, column {}", error.line(), error.column()))))
}

/// What an operation's fields and its runs' are. The others may be absent.
const OPERATION: [(&str, &str); 9] = [
    ("operation_id", TEXT),
    ("created_at", TEXT),
    ("door", TEXT),
    ("request", OBJECT),
    ("request_digest", TEXT),
    ("triggered", INTEGER),
    ("skipped", INTEGER),
    ("runs", ARRAY),
    ("skipped_list", ARRAY),
];
const RUN: [(&str, &str); 3] = [("task_name", TEXT), ("run_id", TEXT), ("rerun_of", TEXT)];
const TEXT: &str = "a string";
const INTEGER: &str = "an integer of 64 bits";
const ARRAY: &str = "an array";
const OBJECT: &str = "an object";

/// Why it can't be read: which field, of what kind, or else at which place. (serde's own words may quote what is in it.)
fn fault(json: &str, place: &str) -> String {
    let found: Value = match serde_json::from_str(json) {
        Ok(found) => found,
        Err(error) => return format!("it is not JSON: {error}"),
    };
    let wrong = match found.get("operations").map(Value::as_array) {
        Some(Some(operations)) => (1..)
            .zip(operations)
            .find_map(|(number, operation)| Some(format!("operation {number}: {}", wrong_with(operation)?))),
        Some(None) => Some("`operations` is not an array".to_owned()),
        None => wrong_with(&found),
    };
    wrong.unwrap_or_else(|| {
        format!("it is neither what was asked for nor {{}}, or a field is of another kind or given twice ({place})")
    })
}

fn wrong_with(operation: &Value) -> Option<String> {
    let runs = operation.get("runs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let of_runs = || (1..).zip(runs).find_map(|(number, run)| Some(format!("run {number}: {}", misfit(run, &RUN)?)));
    misfit(operation, &OPERATION).or_else(of_runs)
}

fn misfit(found: &Value, fields: &[(&str, &str)]) -> Option<String> {
    let Some(object) = found.as_object() else { return Some(format!("it is {}, not an object", kind(found))) };
    fields.iter().find_map(|&(name, wanted)| match object.get(name) {
        None => Some(format!("`{name}` is missing")),
        Some(value) if kind(value) == wanted || (wanted == INTEGER && value.is_i64()) => None,
        Some(value) => Some(format!("`{name}` is {}, not {wanted}", kind(value))),
    })
}
