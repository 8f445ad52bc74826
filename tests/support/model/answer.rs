//! An answer's lists, as the model expects them and as they came.

use serde_json::Value as Json;

use super::plan::Plan;
use super::store::{Run, RunKey};

/// One of a dry run's `planned`.
#[derive(Debug, Clone, PartialEq, PartialOrd, Eq, Ord)]
pub struct Group {
    pub task: String,
    pub source: String,
    pub matched: usize,
}

/// What `detail` must say.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// Nothing is promised.
    Unsaid,
    Is(String),
    HasOneOf(Vec<String>),
    /// The host's own words, or what became of the row.
    Something,
}

impl Detail {
    fn allows(&self, said: Option<&str>) -> bool {
        match (self, said) {
            (Detail::Unsaid, _) => true,
            (_, None) => false,
            (Detail::Is(word), Some(said)) => said == word,
            (Detail::HasOneOf(words), Some(said)) => words.iter().any(|word| said.contains(word)),
            (Detail::Something, Some(said)) => !said.is_empty(),
        }
    }
}

/// One of `skipped`.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// What it is ordered by; `None` for an id that is no run's.
    pub key: Option<RunKey>,
    pub task: Option<String>,
    pub run: Option<String>,
    pub reason: &'static str,
    pub detail: Detail,
}

impl Skipped {
    pub fn of(run: &Run, reason: &'static str, detail: Detail) -> Skipped {
        Skipped { key: Some(run.key()), task: run.task.spelled(), run: run.id.spelled(), reason, detail }
    }

    pub fn not_found(id: &str) -> Skipped {
        Skipped { key: None, task: None, run: Some(id.to_owned()), reason: "not_found", detail: Detail::Unsaid }
    }

    fn allows(&self, said: &Json) -> bool {
        let text = |field: &str| said.get(field).and_then(Json::as_str);
        text("task_name") == self.task.as_deref()
            && text("run_id") == self.run.as_deref()
            && text("reason") == Some(self.reason)
            && self.detail.allows(text("detail"))
            && said.as_object().unwrap().keys().all(|key| ["task_name", "run_id", "reason", "detail"].contains(&&**key))
    }
}

pub fn list(answer: &Json, field: &str) -> Vec<Json> {
    answer[field].as_array().cloned().unwrap_or_default()
}

/// Whether `skipped` is as expected. Groups that look alike may change places: those of runs without an id.
pub fn check_skipped(answer: &Json, expected: &[Skipped]) -> Result<(), String> {
    let said = list(answer, "skipped");
    let wrong = || Err(format!("skipped is {said:#?}\nand should be {expected:#?}"));
    if said.len() != expected.len() || answer.get("skipped").is_some() && said.is_empty() {
        return wrong();
    }
    let mut taken = vec![false; said.len()];
    for (place, wanted) in expected.iter().enumerate() {
        let alike = |other: &Skipped| other.key == wanted.key && other.key.is_some();
        let found = said.iter().enumerate().position(|(other, said)| {
            !taken[other] && (other == place || alike(&expected[other])) && wanted.allows(said)
        });
        match found {
            Some(found) => taken[found] = true,
            None => return wrong(),
        }
    }
    Ok(())
}

/// Whether a dry run's answer is the plan.
pub fn check_plan(answer: &Json, plan: &Plan) -> Result<(), String> {
    let text = |group: &Json, field: &str| group[field].as_str().unwrap_or("?").to_owned();
    let group = |group: &Json| Group {
        task: text(group, "task_name"),
        source: text(group, "rerun_of"),
        matched: group["matched"].as_u64().unwrap_or(0) as usize,
    };
    let planned: Vec<Group> = list(answer, "planned").iter().map(group).collect();
    let expected = plan.planned();
    if planned != expected {
        return Err(format!("planned is {planned:#?}\nand should be {expected:#?}"));
    }
    check_skipped(answer, &plan.skipped)?;
    match answer["matched"].as_u64() == Some(plan.matched as u64) && answer["triggered"] == serde_json::json!([]) {
        true => Ok(()),
        false => Err(format!("{answer:#}\nmatched should be {}, triggered empty", plan.matched)),
    }
}

/// `triggered` as (task, source run, new run).
pub fn triggered(answer: &Json) -> Vec<(String, String, String)> {
    let text = |run: &Json, field: &str| run[field].as_str().unwrap_or("?").to_owned();
    let of = |run: &Json| (text(run, "task_name"), text(run, "rerun_of"), text(run, "run_id"));
    list(answer, "triggered").iter().map(of).collect()
}
