//! The contract once more, as naively as can be: lists, loops and sorting. It shares no code with
//! the crate, reads no times (whoever makes a run knows its instant), and is never fast.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Row;

/// A run, and the instant that its `created_at` stands for; `None` if that is no time.
#[derive(Debug, Clone)]
pub struct ModelRun {
    pub row: Row,
    pub instant: Option<i64>,
    /// The store has a mark for failures of its own.
    pub has_mark: bool,
}

/// A request, before it is JSON. Instants are in milliseconds.
#[derive(Debug, Clone, Default)]
pub struct ModelRequest {
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
    pub unique_by: &'static str,
    pub skip_active: bool,
    pub skip_superseded: bool,
}

/// What must come of it.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// Task and source run.
    pub spawned: Vec<(String, String)>,
    /// As in the answer.
    pub skipped: Vec<Value>,
    /// As in a dry run's answer.
    pub planned: Vec<Value>,
    pub matched: usize,
}

impl Outcome {
    /// What a dry run's answer says.
    pub fn of_dry_run(answer: &Value) -> Outcome {
        let list = |field: &str| answer[field].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let planned = list("planned");
        Outcome {
            spawned: planned.iter().map(|plan| (text(&plan["task_name"]), text(&plan["rerun_of"]))).collect(),
            skipped: list("skipped"),
            matched: answer["matched"].as_u64().unwrap() as usize,
            planned,
        }
    }
}

impl ModelRequest {
    pub fn to_json(&self, options: Value) -> Value {
        let instant = |at: Option<i64>| at.map(rfc3339);
        let mut all = json!({ "unique_by": self.unique_by, "skip_active": self.skip_active, "skip_superseded": self.skip_superseded });
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
                "search": self.search, "created_after": instant(self.created_after),
                "created_before": instant(self.created_before), "exit_code_min": self.exit_code_min,
                "exit_code_max": self.exit_code_max, "retries_only": self.retries_only, "is_failure": self.is_failure,
            },
            "options": all,
        })
    }

    fn selects(&self, run: &ModelRun) -> bool {
        if let Some(ids) = &self.ids {
            return ids.contains(&run.row.id);
        }
        let row = &run.row;
        let unset = |text: &Option<String>| text.as_deref().unwrap_or("").is_empty();
        let exit_code = (row.status == "ended").then_some(row.exit_code);
        !self.except_ids.contains(&row.id)
            && self.status_matches(run)
            && (unset(&self.task_name) || self.task_name.as_ref() == Some(&row.task_name))
            && (unset(&self.triggered_by) || self.triggered_by.as_ref() == Some(&row.triggered_by))
            && (unset(&self.search) || self.search_matches(row))
            && self.created_after.is_none_or(|after| run.instant.is_some_and(|at| at >= after))
            && self.created_before.is_none_or(|before| run.instant.is_some_and(|at| at <= before))
            && self.exit_code_min.is_none_or(|min| exit_code.is_some_and(|code| code >= min))
            && self.exit_code_max.is_none_or(|max| exit_code.is_some_and(|code| code <= max))
            && (!self.retries_only || row.retry_attempt > 0)
    }

    fn status_matches(&self, run: &ModelRun) -> bool {
        let text = self.status.clone().unwrap_or_default();
        let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        if words.is_empty() && !self.is_failure {
            return true;
        }
        let canonical = |word: &str| if word == "success" { "succeeded".to_owned() } else { word.to_owned() };
        let reason = run.row.end_reason.as_deref().map(canonical);
        words.iter().any(|word| run.row.status == *word || reason.as_ref() == Some(&canonical(word)))
            || ((self.is_failure || words.contains(&"failure")) && is_failure(run))
    }

    fn search_matches(&self, row: &Row) -> bool {
        let wanted = self.search.clone().unwrap_or_default().to_ascii_lowercase();
        row.task_name.to_ascii_lowercase().contains(&wanted) || row.id.to_ascii_lowercase().contains(&wanted)
    }

    /// What sets a group apart from others.
    fn key(&self, row: &Row) -> (String, Option<String>, String) {
        match self.unique_by {
            "task" => (row.task_name.clone(), None, String::new()),
            "params" => (row.task_name.clone(), row.params_json.clone(), String::new()),
            _ => (row.task_name.clone(), row.params_json.clone(), row.id.clone()),
        }
    }

    pub fn outcome(&self, runs: &[ModelRun]) -> Outcome {
        let visible: Vec<&ModelRun> = runs.iter().filter(|run| run.row.deleted_at.is_none()).collect();
        let selected: Vec<&ModelRun> = visible.iter().copied().filter(|run| self.selects(run)).collect();
        let mut groups: BTreeMap<_, Vec<&ModelRun>> = BTreeMap::new();
        for run in &selected {
            groups.entry(self.key(&run.row)).or_default().push(run);
        }
        let mut groups: Vec<(&ModelRun, usize)> = groups.values().map(|group| (newest(group), group.len())).collect();
        groups.sort_by_key(|(source, _)| (source.row.task_name.clone(), source.row.id.clone()));

        let mut outcome = Outcome { spawned: vec![], skipped: vec![], planned: vec![], matched: selected.len() };
        for (source, matched) in groups {
            let row = &source.row;
            match self.reason_to_skip(source, &visible) {
                None => {
                    outcome.spawned.push((row.task_name.clone(), row.id.clone()));
                    outcome.planned.push(json!({"task_name": row.task_name, "rerun_of": row.id, "matched": matched}));
                }
                Some((reason, detail)) => {
                    let mut skipped = json!({"task_name": row.task_name, "run_id": row.id, "reason": reason});
                    if let Some(detail) = detail {
                        skipped["detail"] = json!(detail);
                    }
                    outcome.skipped.push(skipped);
                }
            }
        }
        let mut named: Vec<&String> = Vec::new();
        for id in self.ids.iter().flatten() {
            if !named.contains(&id) && !visible.iter().any(|run| run.row.id == *id) {
                outcome.skipped.push(json!({"run_id": id, "reason": "not_found"}));
            }
            named.push(id);
        }
        outcome
    }

    fn reason_to_skip(&self, source: &ModelRun, visible: &[&ModelRun]) -> Option<(&'static str, Option<String>)> {
        let kin: Vec<&ModelRun> = visible
            .iter()
            .copied()
            .filter(|run| {
                run.row.task_name == source.row.task_name
                    && (self.unique_by == "task" || run.row.params_json == source.row.params_json)
            })
            .collect();
        if source.row.triggered_by == "service" {
            return Some(("service", None));
        }
        if self.skip_active && kin.iter().any(|run| run.row.status != "ended") {
            return Some(("active", None));
        }
        let newest = newest(&kin);
        let succeeded = matches!(newest.row.end_reason.as_deref(), Some("success" | "succeeded"));
        if self.skip_superseded && newest.row.id != source.row.id && succeeded {
            return Some(("superseded", Some(format!("succeeded since as {}", newest.row.id))));
        }
        None
    }
}

fn is_failure(run: &ModelRun) -> bool {
    if run.has_mark {
        return run.row.is_failure != 0;
    }
    let failures = ["failed", "timeout", "crashed", "log_overflow", "start_failed", "missed"];
    run.row.end_reason.as_deref().is_some_and(|reason| failures.contains(&reason))
}

/// The latest, then the one with the highest id; a run without a time is the oldest.
fn newest<'r>(runs: &[&'r ModelRun]) -> &'r ModelRun {
    let mut sorted = runs.to_vec();
    sorted.sort_by_key(|run| (run.instant.unwrap_or(i64::MIN), run.row.id.clone()));
    sorted[sorted.len() - 1]
}

pub fn rfc3339(milliseconds: i64) -> String {
    chrono::DateTime::from_timestamp_millis(milliseconds).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
