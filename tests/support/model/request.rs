//! A request, before it is JSON, and the runs that it selects.

use serde_json::{Value as Json, json};

use super::store::{Run, visible};

/// What gets one new run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Unique {
    #[default]
    Task,
    Params,
    Run,
}

/// A selector, options, and what the caller's predicate drops. Instants are in microseconds.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub ids: Option<Vec<String>>,
    pub except_ids: Vec<String>,
    pub status: Option<String>,
    pub task_name: Option<String>,
    pub triggered_by: Option<String>,
    pub search: Option<String>,
    pub created_after: Option<i64>,
    pub created_before: Option<i64>,
    pub exit_code_min: Option<i64>,
    pub exit_code_max: Option<i64>,
    pub retries_only: bool,
    pub is_failure: bool,
    pub unique_by: Unique,
    pub skip_active: bool,
    pub skip_superseded: bool,
    pub limit: Option<usize>,
    pub take: Option<usize>,
    pub with_runs: bool,
    pub except_tasks: Vec<String>,
    /// Task and source run, as a dry run spells them.
    pub except_groups: Vec<(String, String)>,
    /// Into how many spans of time the runs are counted.
    pub spans: Option<usize>,
    /// The predicate drops runs with this end reason.
    pub dropped_reason: Option<String>,
}

pub fn rfc3339(microseconds: i64) -> String {
    chrono::DateTime::from_timestamp_micros(microseconds).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn is_set(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}

/// Whether some bytes have others among them, ASCII case ignored.
fn contains(bytes: Option<Vec<u8>>, wanted: &str) -> bool {
    let wanted = wanted.as_bytes().to_ascii_lowercase();
    bytes.is_some_and(|bytes| bytes.to_ascii_lowercase().windows(wanted.len()).any(|window| window == wanted))
}

fn is_failure(run: &Run) -> bool {
    let failures = ["failed", "timeout", "crashed", "log_overflow", "start_failed", "missed"];
    run.mark.unwrap_or(run.end_reason.as_deref().is_some_and(|reason| failures.contains(&reason)))
}

impl Request {
    /// The request with these options besides its own.
    pub fn to_json(&self, options: Json) -> Json {
        let mut all = json!({});
        let unique_by = match self.unique_by {
            Unique::Task => "task",
            Unique::Params => "params",
            Unique::Run => "run",
        };
        all["unique_by"] = json!(unique_by);
        all["skip_active"] = json!(self.skip_active);
        all["skip_superseded"] = json!(self.skip_superseded);
        if let Some(limit) = self.limit {
            all["limit"] = json!(limit);
        }
        if let Some(take) = self.take {
            all["take"] = json!(take);
        }
        if self.with_runs {
            all["with_runs"] = json!(true);
        }
        if let Some(spans) = self.spans {
            all["times"] = json!(spans);
        }
        if !self.except_groups.is_empty() {
            let groups = self.except_groups.iter().map(|(task, run)| json!({"task_name": task, "rerun_of": run}));
            all["except_groups"] = groups.collect();
        }
        if self.ids.is_none() && !self.except_tasks.is_empty() {
            all["except_tasks"] = json!(self.except_tasks);
        }
        for (name, value) in options.as_object().unwrap() {
            all[name] = value.clone();
        }
        if let Some(ids) = &self.ids {
            return json!({ "ids": ids, "options": all });
        }
        json!({
            "match_all": true,
            "except_ids": self.except_ids,
            "filter": {
                "status": self.status, "task_name": self.task_name, "triggered_by": self.triggered_by,
                "search": self.search, "created_after": self.created_after.map(rfc3339),
                "created_before": self.created_before.map(rfc3339), "exit_code_min": self.exit_code_min,
                "exit_code_max": self.exit_code_max, "retries_only": self.retries_only, "is_failure": self.is_failure,
            },
            "options": all,
        })
    }

    /// The runs that the request selects, before the predicate is asked.
    pub fn selected<'r>(&self, runs: &'r [Run]) -> Vec<&'r Run> {
        visible(runs).into_iter().filter(|run| self.selects(run)).collect()
    }

    pub fn keeps(&self, run: &Run) -> bool {
        self.dropped_reason.is_none() || run.end_reason != self.dropped_reason
    }

    fn selects(&self, run: &Run) -> bool {
        if let Some(ids) = &self.ids {
            return ids.iter().any(|id| run.id.is(id));
        }
        !self.except_ids.iter().any(|id| run.id.is(id))
            && !self.except_tasks.iter().any(|task| run.task.is(task))
            && self.has_status(run)
            && (!is_set(&self.task_name) || run.task.is(self.task_name.as_deref().unwrap()))
            && (!is_set(&self.triggered_by) || run.triggered_by == self.triggered_by)
            && (!is_set(&self.search) || self.is_found(run))
            && self.created_after.is_none_or(|after| run.instant.is_some_and(|at| at >= after))
            && self.created_before.is_none_or(|before| run.instant.is_some_and(|at| at <= before))
            && self.exit_code_min.is_none_or(|min| exit_code(run).is_some_and(|code| code >= min))
            && self.exit_code_max.is_none_or(|max| exit_code(run).is_some_and(|code| code <= max))
            && (!self.retries_only || run.retry_attempt > 0)
    }

    fn has_status(&self, run: &Run) -> bool {
        let text = self.status.clone().unwrap_or_default();
        let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        if words.is_empty() && !self.is_failure {
            return true;
        }
        let says = |word: &str| {
            run.phase == word
                || run.end_reason.as_deref() == Some(word)
                || matches!(word, "success" | "succeeded") && run.has_succeeded()
                || word == "failure" && is_failure(run)
        };
        words.into_iter().any(says) || self.is_failure && is_failure(run)
    }

    fn is_found(&self, run: &Run) -> bool {
        let wanted = self.search.as_deref().unwrap_or_default();
        contains(run.task.bytes(), wanted) || contains(run.id.bytes(), wanted)
    }
}

/// A run that has not ended has none, whatever its row says.
fn exit_code(run: &Run) -> Option<i64> {
    run.exit_code.filter(|_| run.has_ended())
}
