//! Whether a call has done what it should, and has told what it has done.

use serde_json::Value as Json;

use super::answer::{Detail, Skipped, check_plan, check_skipped, triggered};
use super::call::{Done, Fate, Refusal};
use super::plan::{Moments, Plan, Source};
use super::request::Request;
use super::store::{Run, Value};

/// A call, and all that its answer depends on.
pub struct Trial<'t> {
    pub request: &'t Request,
    /// The runs when the call searches, and those at the moment of the spawn.
    pub search: &'t [Run],
    pub spawn: &'t [Run],
    /// The plan that the caller expects.
    pub expected: Option<&'t Plan>,
    pub fate: &'t dyn Fn(&Run) -> Fate,
    /// As [`Moments::in_one_moment`].
    pub in_one_moment: bool,
}

impl Trial<'_> {
    /// Whether the answer, which may be an error, and the new rows are right.
    pub fn check(&self, answer: &Json, new: &[NewRow]) -> Result<(), String> {
        // By which moment a group is superseded is left open.
        let by = |superseded| {
            let moments =
                Moments { search: self.search, spawn: self.spawn, superseded, in_one_moment: self.in_one_moment };
            match self.request.call(moments, self.expected, self.fate) {
                Ok(done) => check_call(answer, &done, self.fate, new),
                Err(refusal) if new.is_empty() => check_refusal(answer, &refusal),
                Err(refusal) => Err(format!("{refusal:?}, and still there are {new:#?}\nthe answer: {answer:#}")),
            }
        };
        by(self.spawn).or_else(|why| by(self.search).map_err(|_| why))
    }
}

/// Whether a dry run's answer, which may be an error, is the plan.
pub fn check_dry_run(answer: &Json, expected: &Result<Plan, Refusal>) -> Result<(), String> {
    match expected {
        Ok(plan) => check_plan(answer, plan),
        Err(refusal) => check_refusal(answer, refusal),
    }
}

fn check_refusal(answer: &Json, refusal: &Refusal) -> Result<(), String> {
    let words = match refusal {
        Refusal::Limit { wanted, limit } => vec![wanted.to_string(), limit.to_string()],
        Refusal::Plan => vec!["nothing was spawned".to_owned()],
    };
    let detail = answer["detail"].as_str().unwrap_or_default();
    let is_right = answer["status"] == refusal.status() && words.iter().all(|word| detail.contains(word));
    if is_right { Ok(()) } else { Err(format!("it should be {refusal:?}, and is {answer:#}")) }
}

/// A row that was not there before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NewRow {
    pub task: Value,
    pub id: Value,
    pub phase: Value,
    pub params: Value,
}

/// What is in `after` and not in `before`; an error if an earlier row is no longer as it was.
pub fn new_rows<T: PartialEq + Clone + std::fmt::Debug>(before: &[T], after: &[T]) -> Result<Vec<T>, String> {
    let mut new = after.to_vec();
    for row in before {
        let found = new.iter().position(|other| other == row);
        new.remove(found.ok_or_else(|| format!("an earlier row has changed: {row:?}\nnow there are {after:#?}"))?);
    }
    Ok(new)
}

/// Whether the answer and the new rows are what the model expects.
pub fn check_call(answer: &Json, done: &Done, fate: &dyn Fn(&Run) -> Fate, new: &[NewRow]) -> Result<(), String> {
    let told = triggered(answer);
    let pair = |source: &Source| (source.run.task.spelled().unwrap(), source.run.id.spelled().unwrap());
    let is_told = |source: &Source| told.iter().any(|(task, run, _)| (task, run) == (&pair(source).0, &pair(source).1));
    let mut done = done.clone();
    let (started, lost): (Vec<Source>, Vec<Source>) =
        done.started.into_iter().partition(|source| fate(&source.run) != Fate::Either || is_told(source));
    done.skipped.extend(lost.iter().map(|source| Skipped::of(&source.run, "refused", Detail::Something)));
    done.skipped.sort_by_key(|skipped| (skipped.key.is_none(), skipped.key.clone()));

    let expected: Vec<(String, String)> = started.iter().map(pair).collect();
    let pairs: Vec<(String, String)> = told.iter().map(|(task, run, _)| (task.clone(), run.clone())).collect();
    if pairs != expected {
        return Err(format!("triggered is {told:#?}\nand should be {expected:#?}\nthe answer: {answer:#}"));
    }
    check_skipped(answer, &done.skipped)?;
    for field in ["planned", "matched", "plan", "times"] {
        if answer.get(field).is_some() {
            return Err(format!("{field} is a dry run's only: {answer:#}"));
        }
    }
    check_rows(&told, &started, new)
}

/// Every new row is named, and is its source run's copy; and nothing else is named.
fn check_rows(told: &[(String, String, String)], started: &[Source], new: &[NewRow]) -> Result<(), String> {
    let mut left = new.to_vec();
    for ((task, _, id), source) in told.iter().zip(started) {
        let named = left.iter().position(|row| row.task.spelled().as_ref() == Some(task) && row.id.is(id));
        let row = left.remove(named.ok_or_else(|| format!("{task} {id} is triggered and not among {new:#?}"))?);
        let copy = NewRow {
            task: source.run.task.clone(),
            id: row.id.clone(),
            phase: Value::text("pending"),
            params: source.run.params.clone(),
        };
        if row != copy {
            return Err(format!("the new row is {row:#?}\nand should be {copy:#?}"));
        }
    }
    match left.is_empty() {
        true => Ok(()),
        false => Err(format!("rows that nobody named: {left:#?}\ntriggered: {told:#?}")),
    }
}
