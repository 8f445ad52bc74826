//! Reads the cases.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

/// The files of cases.
const FILES: [(&str, &str); 7] = [
    ("plain", include_str!("cases/plain.toml")),
    ("selectors", include_str!("cases/selectors.toml")),
    ("filters", include_str!("cases/filters.toml")),
    ("options", include_str!("cases/options.toml")),
    ("spelling", include_str!("cases/spelling.toml")),
    ("errors", include_str!("cases/errors.toml")),
    ("ledger", include_str!("cases/ledger.toml")),
];

/// Requests to one store, one after the other.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub store: String,
    /// What a host must have for the case to make sense there: `params`, `exit codes`, `triggers`, `services`,
    /// `end reasons` beside success and failure, `own reasons` why a run is never started again, and `any id`.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The store keeps a ledger.
    #[serde(default)]
    pub ledger: bool,
    pub step: Vec<Step>,
}

/// A request and what is expected of it: an `answer`, or else a `status` and what the error says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub request: String,
    answer: Option<String>,
    status: Option<u16>,
    /// Where the violations are, all of them, in order.
    #[serde(default)]
    locations: Vec<String>,
    /// Words that the error has somewhere.
    #[serde(default)]
    says: Vec<String>,
}

pub enum Expected {
    Answer(Value),
    Error { status: u16, locations: Vec<String>, says: Vec<String> },
}

impl Step {
    pub fn expected(&self) -> Expected {
        match (&self.answer, self.status) {
            (Some(answer), None) => Expected::Answer(serde_json::from_str(answer).expect("a case's answer is JSON")),
            (None, Some(status)) => {
                Expected::Error { status, locations: self.locations.clone(), says: self.says.clone() }
            }
            _ => panic!("a step expects either an answer or a status: {self:?}"),
        }
    }
}

/// A run that a case's store holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    pub id: String,
    pub task: String,
    #[serde(default = "ended")]
    pub phase: String,
    pub end_reason: Option<String>,
    pub exit_code: Option<i64>,
    #[serde(default = "cron")]
    pub triggered_by: String,
    pub created_at: String,
    #[serde(default)]
    pub retry_attempt: i64,
    pub params: Option<String>,
    #[serde(default)]
    pub deleted: bool,
}

fn ended() -> String {
    "ended".to_owned()
}

fn cron() -> String {
    "cron".to_owned()
}

/// Every case, with the name of its file.
pub fn all() -> Vec<(&'static str, Case)> {
    #[derive(Deserialize)]
    struct File {
        case: Vec<Case>,
    }
    let read = |(name, text)| {
        let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("cases/{name}.toml: {error}"));
        file.case.into_iter().map(move |case| (name, case))
    };
    FILES.into_iter().flat_map(read).collect()
}

/// The runs of a store.
pub fn store(name: &str) -> Vec<Run> {
    #[derive(Deserialize)]
    struct Store {
        runs: Vec<Run>,
    }
    let mut stores: HashMap<String, Store> =
        toml::from_str(include_str!("cases/stores.toml")).expect("cases/stores.toml is TOML");
    stores.remove(name).unwrap_or_else(|| panic!("there is no store {name:?}")).runs
}
