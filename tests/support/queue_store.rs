//! A runner of any schema, with a profile of its own, on SQLite.

use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use bulk_rerun::{Config, ErrorModel, Plugin};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::Value;

use super::runners::bulk_rerun;

/// Runs that belong to a queue: `{key}` is what stands behind the column's name.
const QUEUES: &str = "CREATE TABLE jobs (
    queue {name},
    id {key},
    state TEXT NOT NULL,
    made TEXT DEFAULT '2026-04-15T12:00:00Z',
    params
)";

/// What a queue's jobs are as runs, with all canonical columns.
pub const QUEUES_VIEW: &str = "
SELECT id, queue AS task_name,
       CASE state WHEN 'queued' THEN 'pending' WHEN 'busy' THEN 'running' ELSE 'ended' END AS phase,
       CASE state WHEN 'fine' THEN 'succeeded' WHEN 'broken' THEN 'failed' END AS end_reason,
       NULL AS exit_code, NULL AS triggered_by, made AS created_at, 0 AS retry_attempt, params
FROM jobs";

/// Starts a job again under the next number of its queue: new ids repeat over queues as well.
pub const QUEUES_SPAWN: &str = "
INSERT INTO jobs (queue, id, state, made, params)
SELECT queue, (SELECT max(CAST(id AS INTEGER)) + 1 FROM jobs AS own WHERE own.queue = jobs.queue), 'queued', :now, params
FROM jobs WHERE queue = :task_name AND id = :id
RETURNING id";

/// The same where ids are unique in the whole table.
pub const NUMBERED_SPAWN: &str = "
INSERT INTO jobs (queue, id, state, made, params)
SELECT queue, (SELECT max(id) + 1 FROM jobs), 'queued', :now, params
FROM jobs WHERE queue = :task_name AND id = :id
RETURNING id";

/// A profile's text, over a store that has the table `jobs`.
pub fn profile(engine: &str, runs: &str, spawn: &str) -> String {
    format!(
        "name = 'own'\nrunner = 'Own'\nengine = '{engine}'\n\n[[generation]]\nrequires.jobs = ['id']\n\
         runs = '''{runs}\n'''\nspawn = '''{spawn}\n'''\n"
    )
}

/// A store in a folder of its own, with its profile beside it.
pub struct Own {
    folder: tempfile::TempDir,
}

impl Own {
    /// In WAL, so that a test may write while a call searches.
    pub fn new(schema: &str, profile: &str) -> Own {
        let own = Own { folder: tempfile::tempdir().unwrap() };
        own.set_profile(profile);
        own.execute(&format!("PRAGMA journal_mode = wal; {schema}"));
        own
    }

    /// Jobs of queues: each row is `(queue, id, state, params)` in SQL.
    pub fn queues(name: &str, key: &str, rows: &str) -> Own {
        let schema = QUEUES.replace("{name}", name).replace("{key}", key);
        let own = Own::new(&schema, &profile("sqlite", QUEUES_VIEW, QUEUES_SPAWN));
        own.execute(&format!("INSERT INTO jobs (queue, id, state, params) VALUES {rows}"));
        own
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("own.db")
    }

    fn profile_file(&self) -> PathBuf {
        self.folder.path().join("own.toml")
    }

    pub fn set_profile(&self, text: &str) {
        fs::write(self.profile_file(), text).unwrap();
    }

    pub fn open(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        connection
    }

    #[track_caller]
    pub fn execute(&self, sql: &str) {
        self.open().execute_batch(sql).unwrap_or_else(|error| panic!("{sql:.300}: {error}"));
    }

    pub fn try_plugin(&self) -> Result<Plugin, ErrorModel> {
        let profile = Some(self.profile_file().to_str().unwrap().to_owned());
        Plugin::open(&Config { profile, ..Config::new(self.path().to_str().unwrap()) })
    }

    #[track_caller]
    pub fn plugin(&self) -> Plugin {
        self.try_plugin().unwrap_or_else(|error| panic!("{error}"))
    }

    /// What a query finds: a line for each row, its values between bars.
    #[track_caller]
    pub fn lines(&self, sql: &str) -> Vec<String> {
        lines(&self.open(), sql)
    }

    /// Queue and parameters of the jobs that wait, in order.
    pub fn waiting(&self) -> Vec<String> {
        self.lines("SELECT queue, params FROM jobs WHERE state = 'queued' ORDER BY 1, 2")
    }

    /// Every row of `jobs` as it is stored, the storage classes too.
    pub fn dump(&self) -> Vec<String> {
        rows(&self.open(), "SELECT * FROM jobs ORDER BY rowid", |value| format!("{value:?}"))
    }

    /// The command line on this store.
    pub fn tool(&self, command: &str, flags: &[&str]) -> Told {
        let mut tool = bulk_rerun();
        tool.args([command, "--store", self.path().to_str().unwrap()]);
        tool.args(["--profile", self.profile_file().to_str().unwrap()]).args(flags);
        Told::by(tool.stdin(Stdio::null()).output().unwrap())
    }
}

/// What a query finds: a line for each row, its values between bars.
#[track_caller]
pub fn lines(connection: &Connection, sql: &str) -> Vec<String> {
    rows(connection, sql, |value| match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

/// Reads what is no UTF-8 as well.
#[track_caller]
fn rows(connection: &Connection, sql: &str, spelled: impl Fn(ValueRef<'_>) -> String) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql:.300}: {error}"));
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let values: Vec<String> = (0..columns).map(|at| spelled(row.get_ref(at).unwrap())).collect();
        lines.push(values.join("|"));
    }
    lines
}

/// What the command line has said, and its exit status.
#[derive(Debug)]
pub struct Told {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Told {
    pub fn by(output: Output) -> Told {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Told { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its exit status is this one, and it has said all of these words.
    #[track_caller]
    pub fn says(&self, status: i32, words: &[&str]) {
        let said = [self.out.as_str(), &self.err].concat();
        assert_eq!(self.status, status, "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in\n{said}");
        }
    }
}
