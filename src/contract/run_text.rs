//! A run as texts that somebody else keeps: what scripts are handed, where making each run's own would cost more than
//! finding it.

use std::borrow::Cow;

use chrono::SecondsFormat;
use serde::Serialize;

use super::run::{Instant, Run};

/// A run in canonical columns. `None` where a host has no such thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RunText<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) task_name: Cow<'a, str>,
    pub(crate) phase: Option<&'a str>,
    pub(crate) end_reason: Option<&'a str>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) triggered_by: Option<&'a str>,
    /// As RFC 3339 has it, in UTC.
    pub(crate) created_at: Option<Cow<'a, str>>,
    pub(crate) retry_attempt: Option<i64>,
    pub(crate) params: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_failure: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unfit: Option<&'a str>,
}

impl<'a> RunText<'a> {
    /// A run that has texts of its own.
    pub(crate) fn of(run: &'a Run) -> Self {
        RunText {
            id: Cow::Borrowed(&run.id),
            task_name: Cow::Borrowed(&run.task_name),
            phase: run.phase.as_deref(),
            end_reason: run.end_reason.as_deref(),
            exit_code: run.exit_code,
            triggered_by: run.triggered_by.as_deref(),
            created_at: run.created_at.map(|at| Cow::Owned(as_rfc3339(&at))),
            retry_attempt: run.retry_attempt,
            params: run.params.to_text(),
            is_failure: run.is_failure,
            unfit: run.unfit.as_deref(),
        }
    }

    /// The same JSON as the run has where it is a part of an answer.
    pub(crate) fn to_json(&self) -> String {
        // Strings and numbers only: nothing in it can fail to serialize.
        serde_json::to_string(self).unwrap_or_else(|error| format!(r#"{{"id":null,"detail":"{error}"}}"#))
    }
}

/// An instant as a run's JSON has it.
pub(crate) fn as_rfc3339(at: &Instant) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::super::run::Params;
    use super::*;

    #[test]
    fn its_json_is_the_runs_own() {
        let whole = Run {
            id: "a\"1".to_owned(),
            task_name: "backup".to_owned(),
            phase: Some("ended".to_owned()),
            end_reason: Some("failed".to_owned()),
            exit_code: Some(-2),
            triggered_by: Some("cron".to_owned()),
            created_at: Some(Instant::UNIX_EPOCH),
            retry_attempt: Some(1),
            params: Params::Text(Cow::Borrowed(b"{\"day\":\xff}")),
            is_failure: Some(true),
            unfit: Some("service".to_owned()),
        };
        let number = Run { params: Params::Integer(7), ..Run::default() };
        for run in [whole, number, Run::default()] {
            assert_eq!(RunText::of(&run).to_json(), serde_json::to_string(&run).expect("a run's JSON"));
        }
    }
}
