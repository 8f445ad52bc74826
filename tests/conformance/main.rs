//! The conformance suite: every case of the contract, through every door, on every host.
//!
//! The cases are data (`cases/*.toml`). A new door implements [`Door`], a new host implements
//! [`TestHost`]; each joins its list below and runs what all the others run.

mod attached;
mod cases;
mod doors;
mod hosts;
mod ids;
#[path = "../support/library.rs"]
mod library;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/http.rs"]
mod server;

use std::sync::Arc;

use bulk_rerun::{Config, Plugin};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

use cases::{Case, Expected, Step};
use ids::Ids;

/// A way to call the operation.
pub trait Door: Send + Sync {
    fn name(&self) -> &'static str;
    /// It attaches the host's callbacks, and does not open a store.
    fn attaches(&self) -> bool {
        false
    }
    /// Whether what it needs is there; if not, it is listed as ignored.
    fn is_there(&self) -> bool {
        true
    }
    /// Whether a request's fields reach the core in the order in which they stand. If not, so do its violations not;
    /// and of a field given in both spellings the other one may be called the second.
    fn keeps_the_order_of_fields(&self) -> bool {
        true
    }
    /// It is only for stores in SQLite.
    fn needs_sqlite(&self) -> bool {
        false
    }
    /// Sends the request as it is, and answers the status and the JSON that came back.
    fn call(&self, store: &dyn TestStore, request: &str) -> (u16, Value);
}

/// A runner whose stores are made for a case.
pub trait TestHost: Send + Sync {
    fn name(&self) -> &'static str;
    /// What of the contract it has no place for, such as `params`.
    fn lacks(&self) -> &'static [&'static str];
    /// It is behind callbacks, so that there is no store to be opened.
    fn is_attached(&self) -> bool {
        false
    }
    /// Its stores are in SQLite.
    fn is_sqlite(&self) -> bool {
        true
    }
    fn make(&self, runs: &[cases::Run]) -> Box<dyn TestStore>;
}

/// One store, as a door opens it and as a test looks into it.
pub trait TestStore {
    /// The config's `store`.
    fn address(&self) -> String;
    /// The config's `profile`, where it is not found by itself.
    fn profile(&self) -> Option<String>;
    /// Its callbacks make all new runs, or none.
    fn has_transactions(&self) -> bool {
        true
    }
    /// Gives it a ledger.
    fn make_ledger(&self) -> Result<(), String> {
        let config = Config { ledger: true, profile: self.profile(), ..Config::new(self.address()) };
        Plugin::open(&config).map(drop).map_err(|error| error.to_string())
    }
    /// Every row, every column, as text; new rows come last.
    fn rows(&self) -> Vec<String>;
    /// A run as the host has it: `None` if there is none.
    fn run(&self, id: &str) -> Option<HostRun>;
    /// What the case's runs are called here.
    fn ids(&self) -> Ids {
        Ids::default()
    }
}

/// What a spawned run must have of its source run, and what it must have of its own.
#[derive(Debug, PartialEq)]
pub struct HostRun {
    pub task_name: String,
    pub params: Option<String>,
    /// Ready to be started, as the host's own new runs are.
    pub fresh: bool,
}

fn main() {
    let arguments = Arguments::from_args();
    let (doors, absent): (Vec<_>, Vec<_>) = doors::all().into_iter().partition(|door| door.is_there());
    let ignored = |door: &Arc<dyn Door>| Trial::test(format!("[{}]", door.name()), || Ok(())).with_ignored_flag(true);
    let mut trials: Vec<Trial> = absent.iter().map(ignored).collect();
    for (file, case) in cases::all() {
        for host in hosts::all() {
            for door in &doors {
                if door.attaches() != host.is_attached()
                    || door.needs_sqlite() && !host.is_sqlite()
                    || case.needs.iter().any(|need| host.lacks().contains(&need.as_str()))
                {
                    continue;
                }
                let (case, host, door) = (case.clone(), host.clone(), door.clone());
                let name = format!("{file}: {} [{}, {}]", case.name, door.name(), host.name());
                trials.push(Trial::test(name, move || run(&case, &*door, &*host)));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Runs a case's steps one after the other on one store.
fn run(case: &Case, door: &dyn Door, host: &dyn TestHost) -> Result<(), Failed> {
    let store = host.make(&cases::store(&case.store));
    if case.ledger {
        store.make_ledger()?;
    }
    let mut plan = None;
    for (index, step) in case.step.iter().enumerate() {
        let before = store.rows();
        let request = step.request.replace("$plan", plan.as_deref().unwrap_or("$plan"));
        let request = store.ids().to_host(&request);
        let (status, answer) = door.call(&*store, &request);
        check(step, status, &answer, &*store, &before, door)
            .map_err(|message| format!("step {}: {message}\nanswer: {status} {answer:#}", index + 1))?;
        plan = answer["plan"].as_str().map(str::to_owned).or(plan);
    }
    Ok(())
}

fn check(
    step: &Step,
    status: u16,
    answer: &Value,
    store: &dyn TestStore,
    before: &[String],
    door: &dyn Door,
) -> Result<(), String> {
    let after = store.rows();
    if after.get(..before.len()) != Some(before) {
        return Err("a row that was there before has changed".to_owned());
    }
    let added = after.len() - before.len();
    match step.expected() {
        Expected::Answer(expected) => {
            if status != 200 {
                return Err("expected an answer, got an error".to_owned());
            }
            matches(&expected, &store.ids().to_case(answer), "answer")?;
            let triggered = answer["triggered"].as_array().ok_or("`triggered` is no array")?;
            let expected = if answer["replayed"] == true { 0 } else { triggered.len() };
            if expected != added {
                return Err(format!("{} runs were answered, {added} were added", triggered.len()));
            }
            triggered.iter().try_for_each(|run| carries_its_source(run, store))
        }
        Expected::Error { status: expected, locations, says } => {
            if status != expected || answer["status"] != expected {
                return Err(format!("expected status {expected}"));
            }
            if added > 0 {
                return Err(format!("the request failed, but {added} rows were added"));
            }
            is_error_model(answer)?;
            let mut locations = locations;
            let location = |violation: &Value| violation["location"].as_str().unwrap_or_default().to_owned();
            let mut found: Vec<String> = violations(answer).map(location).collect();
            if !door.keeps_the_order_of_fields() {
                for places in [&mut locations, &mut found] {
                    places.iter_mut().for_each(|place| *place = place.replace('_', "").to_lowercase());
                    places.sort();
                }
            }
            if !locations.is_empty() && found != locations {
                return Err(format!("expected violations at {locations:?}, got {found:?}"));
            }
            let text = answer.to_string();
            match says.iter().find(|words| !text.contains(words.as_str())) {
                Some(words) => Err(format!("it does not say {words:?}")),
                None => Ok(()),
            }
        }
    }
}

/// A spawned run is of its source's task, carries its source's parameters, and is ready to be started.
fn carries_its_source(triggered: &Value, store: &dyn TestStore) -> Result<(), String> {
    let id = |snake: &str, camel: &str| triggered[snake].as_str().or(triggered[camel].as_str()).map(str::to_owned);
    let new = id("run_id", "runId").and_then(|id| store.run(&id)).ok_or("the new run is not in the store")?;
    let source = id("rerun_of", "rerunOf").and_then(|id| store.run(&id)).ok_or("the source run is not in the store")?;
    let expected = HostRun { fresh: true, ..source };
    if new == expected { Ok(()) } else { Err(format!("expected the new run to be {expected:?}, it is {new:?}")) }
}

fn violations(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["errors"].as_array().into_iter().flatten()
}

fn is_error_model(answer: &Value) -> Result<(), String> {
    let text = |field: &str| answer[field].as_str().is_some_and(|text| !text.is_empty());
    let whole = violations(answer).all(|violation| {
        violation["location"].is_string() && violation["message"].is_string() && violation.get("value").is_some()
    });
    // As Go names the statuses, and so RunWisp.
    let title = match answer["status"].as_u64() {
        Some(400) => "Bad Request",
        Some(409) => "Conflict",
        Some(422) => "Unprocessable Entity",
        Some(500) => "Internal Server Error",
        _ => "(none of the operation's)",
    };
    if answer["type"] == "about:blank" && answer["title"] == title && text("detail") && whole {
        Ok(())
    } else {
        Err("it is no ErrorModel".to_owned())
    }
}

/// Compares exactly; `$new` and `$plan` stand for any text that is not empty.
fn matches(expected: &Value, actual: &Value, place: &str) -> Result<(), String> {
    match (expected, actual) {
        (Value::String(wild), Value::String(text)) if ["$new", "$plan"].contains(&wild.as_str()) => {
            if text.is_empty() {
                Err(format!("{place} is empty"))
            } else {
                Ok(())
            }
        }
        (Value::Object(expected), Value::Object(actual)) => {
            let names = |object: &serde_json::Map<String, Value>| {
                let mut names: Vec<String> = object.keys().cloned().collect();
                names.sort();
                names
            };
            if names(expected) != names(actual) {
                return Err(format!("{place} has the fields {:?}, expected {:?}", names(actual), names(expected)));
            }
            expected.iter().try_for_each(|(name, value)| matches(value, &actual[name], &format!("{place}.{name}")))
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            (expected.iter().zip(actual))
                .enumerate()
                .try_for_each(|(index, (expected, actual))| matches(expected, actual, &format!("{place}[{index}]")))
        }
        _ if expected == actual => Ok(()),
        _ => Err(format!("{place} is {actual}, expected {expected}")),
    }
}
