//! Calls as a client makes them, and what they answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bulk_rerun::{Config, ErrorModel, Plugin};
use rusqlite::Connection;
use rusqlite::types::Value as Column;
use serde_json::{Value, json};

/// The config for a store, with a wait short enough for a test that runs into a lock.
pub fn config(store: &Path) -> Config {
    Config { busy_timeout_ms: 100, ..Config::new(store.to_str().unwrap()) }
}

/// A plugin that is willing to wait.
pub fn open(store: &Path) -> Plugin {
    Plugin::open(&Config::new(store.to_str().unwrap())).unwrap()
}

/// Why a plugin can't be opened.
pub fn open_error(config: &Config) -> ErrorModel {
    Plugin::open(config).err().expect("the plugin should not open")
}

pub fn call(plugin: &Plugin, request: &Value) -> Result<Value, ErrorModel> {
    let answer = plugin.call(request.to_string().as_bytes())?;
    Ok(serde_json::from_str(&answer).unwrap())
}

/// What a call answers, be it an error.
pub fn answer(answer: Result<String, ErrorModel>) -> Value {
    serde_json::from_str(&answer.unwrap_or_else(|error| error.to_json())).unwrap()
}

/// Every failed run, with these options.
pub fn all_failed(options: Value) -> Value {
    json!({"match_all": true, "filter": {"status": "failed"}, "options": options})
}

/// The tasks that got a new run.
pub fn triggered(answer: &Value) -> Vec<&str> {
    answer["triggered"].as_array().unwrap().iter().map(|run| run["task_name"].as_str().unwrap()).collect()
}

/// What was skipped, as `run id: reason`.
pub fn skipped(answer: &Value) -> Vec<String> {
    let entries = answer["skipped"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().map(|skip| format!("{}: {}", as_str(&skip["run_id"]), as_str(&skip["reason"]))).collect()
}

/// What the first skipped group's `detail` says.
pub fn first_detail(answer: &Value) -> &str {
    as_str(&answer["skipped"][0]["detail"])
}

/// What got a new run, as `task: source run`.
pub fn pairs(answer: &Value) -> Vec<String> {
    let runs = answer["triggered"].as_array().unwrap().iter();
    runs.map(|run| format!("{}: {}", as_str(&run["task_name"]), as_str(&run["rerun_of"]))).collect()
}

/// What was skipped, as `task, run id: reason`; a dash stands for what is absent.
pub fn reasons(answer: &Value) -> Vec<String> {
    let entries = answer["skipped"].as_array().map(Vec::as_slice).unwrap_or_default();
    let or_dash = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |skip: &Value| {
        format!("{}, {}: {}", or_dash(&skip["task_name"]), or_dash(&skip["run_id"]), as_str(&skip["reason"]))
    };
    entries.iter().map(line).collect()
}

/// What a dry run would start, as `task: source run (matched)`.
pub fn planned(answer: &Value) -> Vec<String> {
    let plans = answer["planned"].as_array().unwrap().iter();
    plans
        .map(|plan| format!("{}: {} ({})", as_str(&plan["task_name"]), as_str(&plan["rerun_of"]), plan["matched"]))
        .collect()
}

/// Calls, and has something done by somebody else once the first run was found.
pub fn call_meanwhile(plugin: &Plugin, request: &Value, meanwhile: impl FnOnce()) -> Result<Value, ErrorModel> {
    let mut meanwhile = Some(meanwhile);
    let answer = plugin.call_where(request.to_string().as_bytes(), &mut |_| {
        if let Some(meanwhile) = meanwhile.take() {
            meanwhile();
        }
        Ok(true)
    })?;
    assert!(meanwhile.is_none(), "no run was found");
    Ok(serde_json::from_str(&answer).unwrap())
}

fn as_str(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string"))
}

/// The status is this one, and the detail has all of these words.
#[track_caller]
pub fn assert_error(error: &ErrorModel, status: u16, words: &[&str]) {
    assert_eq!(error.status, status, "{error}");
    for word in words {
        assert!(error.detail.contains(word), "{word:?} is not in {:?}", error.detail);
    }
}

/// Every file of a folder and what is in it.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// What a query finds in a store.
pub fn rows(store: &Path, sql: &str) -> Vec<Vec<Column>> {
    let connection = Connection::open(store).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|index| row.get(index)).collect()).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}
