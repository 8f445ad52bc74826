//! A runner of any schema, with a profile of its own, on PostgreSQL.

#![allow(dead_code, reason = "every test uses some of it")]

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use bulk_rerun::{Config, ErrorModel, Plugin};

use crate::postgres::{Client, Database, server};
use crate::support::queue_store::{Told, profile};
use crate::support::runners::bulk_rerun;

/// Runs that belong to a queue.
const QUEUES: &str = "CREATE SEQUENCE numbers START 1000; CREATE TABLE jobs (
    queue {name},
    id {key},
    state text NOT NULL DEFAULT 'queued',
    made timestamptz DEFAULT '2026-04-15T12:00:00Z',
    params text
)";

/// What a queue's jobs are as runs, with all canonical columns.
pub const QUEUES_VIEW: &str = "
SELECT id, queue AS task_name,
       CASE state WHEN 'queued' THEN 'pending' WHEN 'busy' THEN 'running' ELSE 'ended' END AS phase,
       CASE state WHEN 'fine' THEN 'succeeded' WHEN 'broken' THEN 'failed' END AS end_reason,
       NULL AS exit_code, NULL AS triggered_by, made AS created_at, 0 AS retry_attempt, params
FROM jobs";

/// How the new ids of a queue's jobs are made: what the column `id` is, and the two statements.
pub struct Spawns {
    pub key: &'static str,
    pub spawn: &'static str,
    pub spawn_many: &'static str,
}

/// Each kind of key, and each way that a new id can take.
pub const SPAWNS: [Spawns; 5] = [
    Spawns {
        key: "bigint",
        spawn: "
INSERT INTO jobs (queue, id, params) SELECT queue, nextval('numbers'), params
FROM jobs WHERE queue = :task_name AND id = :id::bigint
RETURNING id::text",
        spawn_many: "",
    },
    Spawns {
        key: "bigint",
        spawn: "
INSERT INTO jobs (queue, id, params) SELECT queue, nextval('numbers'), params
FROM jobs WHERE queue = :task_name AND id = :id::bigint
RETURNING id::text",
        spawn_many: "
WITH source AS MATERIALIZED (
    SELECT jobs.*, nextval('numbers') AS new_id
    FROM unnest(:id::bigint[], :task_name) AS wanted(id, queue) JOIN jobs USING (id, queue)
), started AS (
    INSERT INTO jobs (queue, id, params) SELECT queue, new_id, params FROM source RETURNING id
)
SELECT source.id::text, started.id::text FROM source JOIN started ON started.id = source.new_id",
    },
    Spawns {
        key: "text COLLATE \"C\"",
        spawn: "
INSERT INTO jobs (queue, id, params) SELECT queue, :new_id, params
FROM jobs WHERE queue = :task_name AND id = :id",
        spawn_many: "
INSERT INTO jobs (queue, id, params) SELECT jobs.queue, new_id, params
FROM unnest(:id, :task_name, :new_id) AS wanted(id, queue, new_id) JOIN jobs USING (id, queue)",
    },
    Spawns {
        key: "text",
        spawn: "
INSERT INTO jobs (queue, id, params) VALUES (:task_name, :new_id, :params)",
        spawn_many: "",
    },
    Spawns {
        key: "uuid",
        spawn: "
INSERT INTO jobs (queue, id, params) SELECT queue, :new_uuid::uuid, params
FROM jobs WHERE queue = :task_name AND id = :id::uuid",
        spawn_many: "
INSERT INTO jobs (queue, id, params) SELECT jobs.queue, new_id, params
FROM unnest(:id::uuid[], :task_name, :new_uuid::uuid[]) AS wanted(id, queue, new_id) JOIN jobs USING (id, queue)",
    },
];

impl Spawns {
    pub fn profile(&self) -> String {
        let text = profile("postgres", QUEUES_VIEW, self.spawn);
        if self.spawn_many.is_empty() { text } else { format!("{text}spawn_many = '''{}\n'''\n", self.spawn_many) }
    }

    /// The nth id of this kind, in SQL.
    pub fn id(&self, number: u32) -> String {
        match self.key {
            "bigint" => number.to_string(),
            "uuid" => format!("'{}'", self.text(number)),
            _ => format!("'{number}'"),
        }
    }

    /// The same, as it stands in an answer.
    pub fn text(&self, number: u32) -> String {
        if self.key == "uuid" { format!("00000000-0000-4000-8000-{number:012}") } else { number.to_string() }
    }

    /// Jobs of queues, whose key is (queue, id): each is a queue, the number of its id, its state and its parameters.
    pub fn store(&self, jobs: &[(&str, u32, &str, &str)]) -> Own {
        let schema = QUEUES.replace("{name}", "text NOT NULL").replace("{key}", self.key);
        let own = Own::new(&format!("{schema}; ALTER TABLE jobs ADD PRIMARY KEY (queue, id)"), &self.profile());
        for (queue, number, state, params) in jobs {
            let values = format!("('{queue}', {}, '{state}', '{params}')", self.id(*number));
            own.execute(&format!("INSERT INTO jobs (queue, id, state, params) VALUES {values}"));
        }
        own
    }
}

/// A database of its own, and a profile.
pub struct Own {
    pub database: Database,
    pub client: Client,
    folder: tempfile::TempDir,
}

impl Own {
    pub fn new(schema: &str, profile: &str) -> Own {
        let database = server().database().with(schema);
        let own = Own { client: database.client(), database, folder: tempfile::tempdir().unwrap() };
        own.set_profile(profile);
        own
    }

    /// Jobs of queues without a key: each row is `(queue, id, state, params)` in SQL.
    pub fn queues(name: &str, key: &str, spawn: &str, rows: &str) -> Own {
        let schema = QUEUES.replace("{name}", name).replace("{key}", key);
        let own = Own::new(&schema, &profile("postgres", QUEUES_VIEW, spawn));
        own.execute(&format!("INSERT INTO jobs (queue, id, state, params) VALUES {rows}"));
        own
    }

    fn profile_file(&self) -> PathBuf {
        self.folder.path().join("own.toml")
    }

    pub fn set_profile(&self, text: &str) {
        fs::write(self.profile_file(), text).unwrap();
    }

    #[track_caller]
    pub fn execute(&self, sql: &str) {
        self.client.execute(sql);
    }

    pub fn try_plugin(&self) -> Result<Plugin, ErrorModel> {
        let profile = Some(self.profile_file().display().to_string());
        Plugin::open(&Config { profile, ..Config::new(&self.database.url) })
    }

    #[track_caller]
    pub fn plugin(&self) -> Plugin {
        self.try_plugin().unwrap_or_else(|error| panic!("{error}"))
    }

    /// What a query finds: a line for each row, its values between bars.
    #[track_caller]
    pub fn lines(&self, sql: &str) -> Vec<String> {
        let line = |row: Vec<Option<String>>| {
            row.into_iter().map(|value| value.unwrap_or("NULL".to_owned())).collect::<Vec<_>>().join("|")
        };
        self.client.rows(sql).into_iter().map(line).collect()
    }

    /// Queue and parameters of the jobs that wait, in order.
    pub fn waiting(&self) -> Vec<String> {
        self.lines("SELECT queue, params FROM jobs WHERE state = 'queued' ORDER BY 1, 2")
    }

    /// Every row of `jobs`.
    pub fn dump(&self) -> Vec<String> {
        self.lines("SELECT * FROM jobs ORDER BY jobs::text")
    }

    /// The command line on this store.
    pub fn tool(&self, command: &str, flags: &[&str]) -> Told {
        self.tool_as(&self.database.url, command, flags)
    }

    /// The command line on this store, at another address.
    pub fn tool_as(&self, url: &str, command: &str, flags: &[&str]) -> Told {
        let mut tool = bulk_rerun();
        tool.args([command, "--store", url, "--profile", self.profile_file().to_str().unwrap()]).args(flags);
        Told::by(tool.stdin(Stdio::null()).output().unwrap())
    }
}
