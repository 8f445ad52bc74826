//! An answer's lists, as the model expects them and as they came.

use chrono::{DateTime, Utc};
use serde_json::Value as Json;

use super::plan::Plan;
use super::store::{Run, RunKey};

/// One of a dry run's `planned`.
#[derive(Debug, Clone, PartialEq, PartialOrd, Eq, Ord)]
pub struct Group {
    pub task: String,
    pub source: String,
    pub matched: usize,
    pub told: Option<Told>,
}

/// What is told of a group's selected runs. Times are in microseconds.
#[derive(Debug, Clone, PartialEq, PartialOrd, Eq, Ord)]
pub struct Told {
    /// The source run, and when it was created.
    pub run: RunKey,
    pub created: Option<i64>,
    pub first: Option<i64>,
    pub parameter_sets: usize,
    pub matched: usize,
}

impl Told {
    /// As an answer tells it; of what can't be spelled, the run's name and its id are as `like` has them.
    fn said(group: &Json, like: &RunKey) -> Result<Option<Told>, String> {
        if ["run", "first", "parameter_sets"].iter().all(|field| group.get(field).is_none()) {
            return Ok(None);
        }
        let run = &group["run"];
        let time = |time: &Json| time.as_str().map(|text| text.parse::<DateTime<Utc>>().unwrap().timestamp_micros());
        let key = |field: &str, like: &Option<Vec<u8>>| match like {
            Some(bytes) if std::str::from_utf8(bytes).is_ok() => run[field].as_str().map(|text| text.into()),
            like => like.clone(),
        };
        let parameter_sets = group["parameter_sets"].as_u64().ok_or("no parameter_sets")? as usize;
        run.as_object().ok_or("no run")?;
        let matched = group["matched"].as_u64().ok_or("no matched")? as usize;
        Ok(Some(Told {
            run: (key("task_name", &like.0), key("id", &like.1)),
            created: time(&run["created_at"]),
            first: time(&group["first"]),
            parameter_sets,
            matched,
        }))
    }
}

/// What `detail` must say.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// Nothing is promised.
    Unsaid,
    Is(String),
    HasOneOf(Vec<String>),
    /// One of these words, and an older run, which could be started.
    HasOneOfAndNames(Vec<String>, String),
    /// The host's own words, or what became of the row.
    Something,
}

impl Detail {
    /// The same, where an older run of the group could be started.
    pub fn and_names(self, older: Option<&str>) -> Detail {
        match (self, older) {
            (Detail::Is(word), Some(older)) => Detail::HasOneOfAndNames(vec![word], older.to_owned()),
            (Detail::HasOneOf(words), Some(older)) => Detail::HasOneOfAndNames(words, older.to_owned()),
            (detail, _) => detail,
        }
    }

    fn allows(&self, said: Option<&str>) -> bool {
        match (self, said) {
            (Detail::Unsaid, _) => true,
            (_, None) => false,
            (Detail::Is(word), Some(said)) => said == word,
            (Detail::HasOneOf(words), Some(said)) => words.iter().any(|word| said.contains(word)),
            (Detail::HasOneOfAndNames(words, older), Some(said)) => {
                let (why, names) = said.split_once("; the older run ").unwrap_or_default();
                words.iter().any(|word| why.contains(word))
                    && names.starts_with(&**older)
                    && names.contains("`ids`")
                    && names.contains("`except_ids`")
            }
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
    pub told: Option<Told>,
}

impl Skipped {
    pub fn of(run: &Run, reason: &'static str, detail: Detail) -> Skipped {
        Skipped { key: Some(run.key()), task: run.task.spelled(), run: run.id.spelled(), reason, detail, told: None }
    }

    pub fn not_found(id: &str) -> Skipped {
        Skipped {
            key: None,
            task: None,
            run: Some(id.to_owned()),
            reason: "not_found",
            detail: Detail::Unsaid,
            told: None,
        }
    }

    const FIELDS: [&str; 8] = ["task_name", "run_id", "reason", "detail", "matched", "run", "first", "parameter_sets"];

    fn tells(&self, said: &Json) -> bool {
        if self.told.is_none() && said.get("matched").is_some() {
            return false;
        }
        let no_key = (None, None);
        Told::said(said, self.key.as_ref().unwrap_or(&no_key)) == Ok(self.told.clone())
    }

    fn allows(&self, said: &Json) -> bool {
        let text = |field: &str| said.get(field).and_then(Json::as_str);
        text("task_name") == self.task.as_deref()
            && text("run_id") == self.run.as_deref()
            && text("reason") == Some(self.reason)
            && self.detail.allows(text("detail"))
            && self.tells(said)
            && said.as_object().unwrap().keys().all(|key| Self::FIELDS.contains(&&**key))
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
    let group = |group: &Json| {
        let (task, source) = (text(group, "task_name"), text(group, "rerun_of"));
        let matched = group["matched"].as_u64().unwrap_or(0) as usize;
        let told = Told::said(group, &(Some(task.clone().into()), Some(source.clone().into())))?;
        Ok(Group { task, source, matched, told })
    };
    let planned: Vec<Group> = list(answer, "planned").iter().map(group).collect::<Result<_, String>>()?;
    let expected = plan.planned();
    if planned != expected {
        return Err(format!("planned is {planned:#?}\nand should be {expected:#?}"));
    }
    check_skipped(answer, &plan.skipped)?;
    if answer.get("times") != plan.times.as_ref() {
        return Err(format!("times is {}\nand should be {:#?}", answer["times"], plan.times));
    }
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
