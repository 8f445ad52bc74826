//! Anvil, a made-up runner with a schema of its own, and a profile for it.

use std::fs;
use std::path::{Path, PathBuf};

use bulk_rerun::{Config, ErrorModel, Plugin};
use rusqlite::Connection;
use rusqlite::types::Value;

const SCHEMA: &str = "
CREATE TABLE jobs (
    number    INTEGER PRIMARY KEY,
    kind      TEXT NOT NULL,
    state     TEXT NOT NULL,
    exit      INTEGER,
    queued    INTEGER NOT NULL,
    attempt   INTEGER NOT NULL DEFAULT 0,
    arguments TEXT,
    once      TEXT UNIQUE
)";

/// A profile that works. Tests for mistakes change a word of it.
pub const PROFILE: &str = "
name = 'anvil'
runner = 'Anvil'
engine = 'sqlite'

[[generation]]
requires.jobs = ['number', 'kind', 'state', 'exit', 'queued', 'attempt', 'arguments']
runs = '''
SELECT number AS id,
       kind AS task_name,
       CASE state WHEN 'queued' THEN 'pending' WHEN 'busy' THEN 'running' ELSE 'ended' END AS phase,
       CASE state WHEN 'fine' THEN 'succeeded' WHEN 'broken' THEN 'failed' END AS end_reason,
       exit AS exit_code,
       NULL AS triggered_by,
       strftime('%Y-%m-%dT%H:%M:%fZ', queued, 'unixepoch') AS created_at,
       attempt AS retry_attempt,
       arguments AS params
FROM jobs
'''
spawn = '''
INSERT INTO jobs (kind, state, queued, arguments)
SELECT kind, 'queued', unixepoch(), arguments FROM jobs WHERE number = :id
RETURNING number
'''
";

/// Noon of 15 April 2026.
pub const NOON: i64 = 1_776_254_400;

/// A store of Anvil's in a folder of its own, with its profile beside it.
pub struct Anvil {
    folder: tempfile::TempDir,
}

impl Anvil {
    /// A store with these failed jobs, numbered from 1, an hour apart.
    pub fn with_failed(kinds: &[&str]) -> Anvil {
        let anvil = Anvil { folder: tempfile::tempdir().unwrap() };
        let connection = anvil.open();
        connection.execute_batch(SCHEMA).unwrap();
        for (hours, kind) in kinds.iter().enumerate() {
            let arguments = format!("--heat {hours}");
            let sql = "INSERT INTO jobs (kind, state, exit, queued, arguments) VALUES (?1, 'broken', 3, ?2, ?3)";
            connection.execute(sql, (kind, NOON + hours as i64 * 3600, arguments)).unwrap();
        }
        anvil
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("anvil.db")
    }

    pub fn open(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// The store after its host has carried this out.
    pub fn after(self, sql: &str) -> Anvil {
        self.open().execute_batch(sql).unwrap();
        self
    }

    /// A store whose search never comes to its first row, once there is a job to look at: only an interrupt ends it.
    pub fn endless() -> (Anvil, Plugin) {
        let endless = profile_with(
            "FROM jobs",
            "FROM jobs WHERE (WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n) > 0",
        );
        let anvil = Anvil::with_failed(&[]);
        let plugin = anvil.plugin(&endless).unwrap();
        (anvil.after("INSERT INTO jobs (kind, state, queued) VALUES ('saw', 'broken', 0)"), plugin)
    }

    pub fn profile_file(&self) -> PathBuf {
        self.folder.path().join("anvil profile.toml")
    }

    /// Opens the store with this text as the profile's file.
    pub fn plugin(&self, profile: &str) -> Result<Plugin, ErrorModel> {
        fs::write(self.profile_file(), profile).unwrap();
        self.plugin_with(&self.profile_file())
    }

    pub fn plugin_with(&self, profile: &Path) -> Result<Plugin, ErrorModel> {
        let store = self.path().to_str().unwrap().to_owned();
        Plugin::open(&Config { profile: Some(profile.to_str().unwrap().to_owned()), ..Config::new(store) })
    }

    /// Every job as its host sees it.
    pub fn jobs(&self) -> Vec<Vec<Value>> {
        self.rows("SELECT * FROM jobs ORDER BY number")
    }

    pub fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        super::calls::rows(&self.path(), sql)
    }
}

/// The profile with one part in another's place, which must be there.
pub fn profile_with(part: &str, other: &str) -> String {
    assert!(PROFILE.contains(part), "{part:?} is not in the profile");
    PROFILE.replacen(part, other, 1)
}
