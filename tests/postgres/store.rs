//! A small runner's store, and calls on it.

use std::path::PathBuf;

use bulk_rerun::{Config, ErrorModel, Plugin};
use serde_json::{Value, json};

use crate::postgres::{Client, Database, server};

/// The schema of a runner that nobody has heard of.
pub const SCHEMA: &str = "
    CREATE TABLE job (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        task text NOT NULL,
        state text NOT NULL DEFAULT 'waiting',
        made timestamptz NOT NULL DEFAULT now(),
        payload jsonb,
        once text
    );
    CREATE UNIQUE INDEX job_once ON job (once) WHERE state = 'waiting';";

/// Its profile.
pub const PROFILE: &str = r#"
name = "small"
runner = "Small"
engine = "postgres"

[[generation]]
requires.job = ["id", "task", "state", "made", "payload", "once"]
rights.job = ["SELECT", "INSERT"]
runs = '''
SELECT id, task AS task_name,
       CASE state WHEN 'waiting' THEN 'pending' ELSE 'ended' END AS phase,
       CASE WHEN state <> 'waiting' THEN state END AS end_reason,
       NULL AS exit_code, NULL AS triggered_by, made AS created_at, 0 AS retry_attempt, payload AS params
FROM job
'''
spawn = '''
INSERT INTO job (task, payload, once) SELECT task, payload, once FROM job WHERE id = :id::bigint
RETURNING id::text
'''
"#;

/// A store of that runner.
pub struct Store {
    pub database: Database,
    pub client: Client,
    pub folder: tempfile::TempDir,
}

impl Store {
    pub fn new() -> Store {
        let database = server().database().with(SCHEMA);
        let client = database.client();
        let store = Store { database, client, folder: tempfile::tempdir().unwrap() };
        std::fs::write(store.profile(), PROFILE).unwrap();
        store
    }

    /// With so many failed runs, each its own task.
    pub fn with_failed(count: u32) -> Store {
        let store = Store::new();
        store.client.execute(&format!(
            "INSERT INTO job (task, state, payload) SELECT 'task' || n, 'failed', json_build_object('n', n)
             FROM generate_series(1, {count}) AS n"
        ));
        store
    }

    pub fn profile(&self) -> PathBuf {
        self.folder.path().join("small.toml")
    }

    /// Puts more behind the profile's text.
    pub fn add_to_profile(&self, more: &str) {
        std::fs::write(self.profile(), format!("{PROFILE}{more}")).unwrap();
    }

    /// Changes the profile's text.
    pub fn reword(&self, from: &str, to: &str) {
        assert!(PROFILE.contains(from), "{from:?} is not in the profile");
        std::fs::write(self.profile(), PROFILE.replace(from, to)).unwrap();
    }

    pub fn config(&self, url: &str) -> Config {
        Config { profile: Some(self.profile().display().to_string()), busy_timeout_ms: 300, ..Config::new(url) }
    }

    pub fn open(&self) -> Plugin {
        Plugin::open(&self.config(&self.database.url)).unwrap()
    }

    /// Why the store can't be opened there.
    #[track_caller]
    pub fn open_error(&self, url: &str) -> ErrorModel {
        Plugin::open(&self.config(url)).err().expect("the plugin should not open")
    }

    pub fn count(&self) -> usize {
        self.client.value("SELECT count(*) FROM job").unwrap().parse().unwrap()
    }
}

pub fn call(plugin: &Plugin, request: &Value) -> Result<Value, ErrorModel> {
    let answer = plugin.call(request.to_string().as_bytes())?;
    Ok(serde_json::from_str(&answer).unwrap())
}

/// Every failed run, with these options.
pub fn all_failed(options: Value) -> Value {
    json!({"match_all": true, "filter": {"status": "failed"}, "options": options})
}

/// How many new runs there are in an answer.
pub fn triggered(answer: &Value) -> usize {
    answer["triggered"].as_array().unwrap().len()
}

/// What was skipped, as `task: reason`.
pub fn skipped(answer: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let entries = answer["skipped"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().map(|skip| format!("{}: {}", text(&skip["task_name"]), text(&skip["reason"]))).collect()
}

/// The status is this one, and the detail has all of these words.
#[track_caller]
pub fn assert_error(error: &ErrorModel, status: u16, words: &[&str]) {
    assert_eq!(error.status, status, "{error}");
    for word in words {
        assert!(error.detail.contains(word), "{word:?} is not in {:?}", error.detail);
    }
}
