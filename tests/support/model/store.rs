//! What a store holds: values with their storage classes, and runs.

use std::fmt;

/// A value as a store keeps it. Text is bytes: SQLite lets any be there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Null,
    Integer(i64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => write!(formatter, "Null"),
            Value::Integer(number) => write!(formatter, "Integer({number})"),
            Value::Text(bytes) => write!(formatter, "Text(b\"{}\")", bytes.escape_ascii()),
            Value::Blob(bytes) => write!(formatter, "Blob(b\"{}\")", bytes.escape_ascii()),
        }
    }
}

impl Value {
    pub fn text(text: &str) -> Value {
        Value::Text(text.as_bytes().to_vec())
    }

    pub fn blob(text: &str) -> Value {
        Value::Blob(text.as_bytes().to_vec())
    }

    /// What makes two values one, whatever class each is stored in.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Value::Null => None,
            Value::Integer(number) => Some(number.to_string().into_bytes()),
            Value::Text(bytes) | Value::Blob(bytes) => Some(bytes.clone()),
        }
    }

    pub fn is(&self, text: &str) -> bool {
        self.bytes() == Some(text.as_bytes().to_vec())
    }

    /// As an answer spells it: nothing for NULL, and a blob's literal for what is no text.
    pub fn spelled(&self) -> Option<String> {
        self.bytes().map(|bytes| match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let digits: String = error.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                format!("x'{digits}'")
            }
        })
    }

    /// Why a run with such an id or name is never started.
    pub fn fault(&self) -> Option<&'static str> {
        match self.bytes() {
            None => Some("NULL"),
            Some(bytes) if bytes.is_empty() => Some("empty"),
            Some(bytes) if std::str::from_utf8(&bytes).is_err() => Some("not UTF-8"),
            Some(_) => None,
        }
    }

    /// Of equally new runs the one with the higher id is the newer: NULL, then integers by number, then all others by
    /// their bytes.
    fn rank(&self) -> (u8, i64, Vec<u8>) {
        match self {
            Value::Null => (0, 0, Vec::new()),
            Value::Integer(number) => (1, *number, Vec::new()),
            Value::Text(bytes) | Value::Blob(bytes) => (2, 0, bytes.clone()),
        }
    }
}

/// A run's task and its id, in bytes.
pub type RunKey = (Option<Vec<u8>>, Option<Vec<u8>>);

/// A run as the profile's view, or the host, hands it over.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub task: Value,
    pub id: Value,
    pub phase: String,
    pub end_reason: Option<String>,
    pub exit_code: Option<i64>,
    pub triggered_by: Option<String>,
    /// What its `created_at` stands for, in microseconds; `None` if that is no time.
    pub instant: Option<i64>,
    pub retry_attempt: i64,
    pub params: Value,
    /// The store's own mark for failures, where it has one.
    pub mark: Option<bool>,
    pub unfit: Option<String>,
    pub deleted: bool,
    /// How often it is handed over.
    pub times: usize,
}

impl Run {
    /// A run that failed, without anything special.
    pub fn failed(task: Value, id: Value, instant: i64) -> Run {
        Run {
            task,
            id,
            phase: "ended".to_owned(),
            end_reason: Some("failed".to_owned()),
            exit_code: Some(1),
            triggered_by: None,
            instant: Some(instant),
            retry_attempt: 0,
            params: Value::Null,
            mark: None,
            unfit: None,
            deleted: false,
            times: 1,
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Run)) -> Run {
        change(&mut self);
        self
    }

    /// The same run: its task and its id together. What has no name or no id is like nothing else.
    pub fn is_same_as(&self, other: &Run) -> bool {
        match (self.key(), other.key()) {
            ((Some(task), Some(id)), (Some(other_task), Some(other_id))) => task == other_task && id == other_id,
            _ => false,
        }
    }

    /// In the order of the answer.
    pub fn key(&self) -> RunKey {
        (self.task.bytes(), self.id.bytes())
    }

    pub fn has_ended(&self) -> bool {
        self.phase == "ended"
    }

    pub fn has_succeeded(&self) -> bool {
        matches!(self.end_reason.as_deref(), Some("success" | "succeeded"))
    }

    pub fn is_newer_than(&self, other: &Run) -> bool {
        (self.instant, self.id.rank()) > (other.instant, other.id.rank())
    }
}

/// The runs that can be selected, each once: no soft-deleted ones, and one run of those that are handed over twice.
pub fn visible(runs: &[Run]) -> Vec<&Run> {
    let mut found: Vec<&Run> = Vec::new();
    for run in runs.iter().filter(|run| !run.deleted) {
        for _ in 0..run.times {
            if !found.iter().any(|other| other.is_same_as(run)) {
                found.push(run);
            }
        }
    }
    found
}

/// The newest of some runs.
pub fn newest<'r>(runs: &[&'r Run]) -> &'r Run {
    let mut newest = runs[0];
    for run in runs {
        if run.is_newer_than(newest) {
            newest = run;
        }
    }
    newest
}
