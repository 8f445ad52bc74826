//! A text as a `runwisp.toml`, which may include what stands behind its first line of dashes: each task is skipped for the
//! reason that a plain reading of the two files gives.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs;

use crate::support::fast_folder;
use crate::support::memory_host::MemoryHost;
use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};
use toml::Table;

const TASKS: [&str; 4] = ["backup", "mail", "web", "ünï x"];

thread_local! {
    static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

/// Why each name is skipped, and whether names may come from elsewhere.
fn reasons(file: &Table, reasons: &mut HashMap<String, Option<&'static str>>) -> bool {
    let names = |part: &str| file.get(part).and_then(|part| part.as_table()).cloned().unwrap_or_default();
    for (name, task) in names("tasks") {
        let says = |key: &str| task.get(key).and_then(|flag| flag.as_bool());
        let by_hand = says("manual_trigger").or(says("api_trigger")).unwrap_or(true);
        reasons.insert(name, (!by_hand).then_some("trigger_disabled"));
    }
    for (name, _) in names("services") {
        reasons.insert(name, Some("service"));
    }
    !names("compose").is_empty()
}

fn include(file: &Table) -> Vec<String> {
    let list = file.get("daemon").and_then(|daemon| daemon.get("include")).and_then(|include| include.as_array());
    list.into_iter().flatten().filter_map(|pattern| pattern.as_str()).map(str::to_owned).collect()
}

pub fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (root, other) = text.split_once("\n---\n").unwrap_or((text, ""));
    let parsed = root.parse::<Table>();
    // A pattern may name every file there is.
    let patterns = parsed.as_ref().map(include).unwrap_or_default();
    if patterns.iter().any(|pattern| pattern.contains("..") || pattern.starts_with('/')) {
        return;
    }
    let read = FOLDER.with(|folder| {
        let folder = folder.get_or_init(fast_folder).path();
        fs::write(folder.join("runwisp.toml"), root).unwrap();
        fs::write(folder.join("other.toml"), other).unwrap();
        let config = Config { tasks: Some(folder.join("runwisp.toml")), ..Config::new("") };
        let runs = TASKS.map(|task| json!({"id": "1", "task_name": task, "phase": "ended", "end_reason": "failed"}));
        Plugin::attach(Box::new(MemoryHost::holding(runs)), &config)
    });
    let plugin = match read {
        Ok(plugin) => plugin,
        Err(error) => return assert!(error.status == 500 && error.detail.contains(".toml"), "{error}"),
    };
    // A number beyond 64 bits is TOML, though no value of this crate's; in a key that says nothing of tasks it does no harm.
    let root = match parsed {
        Err(error) if error.message().contains("as i128") || error.message().contains("as u128") => return,
        parsed => parsed.expect("what is no TOML is no catalogue"),
    };
    let mut known = HashMap::new();
    let mut open = reasons(&root, &mut known);
    open |= root
        .get("daemon")
        .and_then(|daemon| daemon.get("include_cron")?.as_array())
        .is_some_and(|list| !list.is_empty());
    // What else is in the folder is the root file itself.
    let included = |pattern: &String| glob_matches(pattern, "other.toml");
    if patterns.iter().any(included) {
        open |= reasons(&other.parse().expect("what is included is TOML"), &mut known);
    }
    let answer = plugin.call(br#"{"match_all": true, "options": {"dry_run": true}}"#).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    for task in TASKS {
        let skipped = answer["skipped"].as_array().into_iter().flatten().find(|skipped| skipped["task_name"] == task);
        let unknown = (!open).then_some("unknown_task");
        let expected = known.get(task).copied().unwrap_or(unknown);
        assert_eq!(skipped.map(|skipped| skipped["reason"].as_str().unwrap()), expected, "{task}: {answer:#}");
    }
}

fn glob_matches(pattern: &str, name: &str) -> bool {
    FOLDER.with(|folder| {
        let folder = folder.get().unwrap().path();
        glob::glob(&format!("{}/{pattern}", glob::Pattern::escape(folder.to_str().unwrap())))
            .is_ok_and(|found| found.flatten().any(|path| path.file_name().is_some_and(|file| file == name)))
    })
}
