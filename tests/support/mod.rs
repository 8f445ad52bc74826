//! Real stores in RunWisp's layouts, and what is in them before and after.

#![allow(dead_code, reason = "every test uses some of it")]

pub mod model;
pub mod own;
pub mod random;

use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, params};

/// The generations of RunWisp's schema.
pub const GENERATIONS: [&str; 3] = [
    include_str!("schemas/runwisp-1-first.sql"),
    include_str!("schemas/runwisp-2-params.sql"),
    include_str!("schemas/runwisp-3-is-failure.sql"),
];

/// RunWisp's newest schema.
pub const NEWEST: &str = GENERATIONS[2];

/// A row of RunWisp's table of runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub id: String,
    pub task_name: String,
    pub status: String,
    pub end_reason: Option<String>,
    pub exit_code: i64,
    pub triggered_by: String,
    pub created_at: String,
    pub retry_attempt: i64,
    pub params_json: Option<String>,
    pub deleted_at: Option<String>,
    pub is_failure: i64,
}

impl Row {
    /// A run that failed with exit code 1, triggered by cron, without parameters.
    pub fn failed(id: &str, task_name: &str, created_at: &str) -> Row {
        Row {
            id: id.to_owned(),
            task_name: task_name.to_owned(),
            status: "ended".to_owned(),
            end_reason: Some("failed".to_owned()),
            exit_code: 1,
            triggered_by: "cron".to_owned(),
            created_at: created_at.to_owned(),
            retry_attempt: 0,
            params_json: None,
            deleted_at: None,
            is_failure: 1,
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Row)) -> Row {
        change(&mut self);
        self
    }
}

/// A store in a folder of its own, which goes with it.
pub struct Store {
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Store {
    /// An empty store of RunWisp's newest generation, in WAL as RunWisp keeps it.
    pub fn new() -> Store {
        Store::of_generation(NEWEST, "wal")
    }

    pub fn of_generation(schema: &str, journal_mode: &str) -> Store {
        Store::in_folder(tempfile::tempdir().unwrap(), schema, journal_mode)
    }

    pub fn in_folder(folder: tempfile::TempDir, schema: &str, journal_mode: &str) -> Store {
        let path = folder.path().join("runwisp.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", journal_mode).unwrap();
        connection.execute_batch(schema).unwrap();
        Store { path, _folder: folder }
    }

    /// The store with these rows besides.
    pub fn holding(self, rows: &[Row]) -> Store {
        insert(&mut self.open(), rows);
        self
    }

    pub fn open(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        connection
    }

    pub fn path_str(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub fn dump(&self) -> Vec<Vec<Value>> {
        dump(&self.path)
    }

    pub fn integrity(&self) -> String {
        self.open().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
    }
}

/// A folder in memory where there is one: for tests that make thousands of stores or calls.
pub fn fast_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Inserts rows with the columns that the store's generation has.
pub fn insert(connection: &mut Connection, rows: &[Row]) {
    let has = |column: &str| {
        connection.prepare("SELECT 1 FROM pragma_table_info('runs') WHERE name = ?1").unwrap().exists([column]).unwrap()
    };
    let mut columns =
        vec!["id", "task_name", "status", "end_reason", "exit_code", "triggered_by", "created_at", "retry_attempt"];
    columns.extend(["params_json", "deleted_at", "is_failure"].into_iter().filter(|column| has(column)));
    let placeholders = (1..=columns.len()).map(|index| format!("?{index}")).collect::<Vec<_>>().join(", ");
    let sql = format!("INSERT INTO runs ({}) VALUES ({placeholders})", columns.join(", "));
    let transaction = connection.transaction().unwrap();
    {
        let mut statement = transaction.prepare(&sql).unwrap();
        for row in rows {
            let all: [&dyn rusqlite::ToSql; 11] = [
                &row.id,
                &row.task_name,
                &row.status,
                &row.end_reason,
                &row.exit_code,
                &row.triggered_by,
                &row.created_at,
                &row.retry_attempt,
                &row.params_json,
                &row.deleted_at,
                &row.is_failure,
            ];
            let names = [
                "id",
                "task_name",
                "status",
                "end_reason",
                "exit_code",
                "triggered_by",
                "created_at",
                "retry_attempt",
                "params_json",
                "deleted_at",
                "is_failure",
            ];
            let present: Vec<&dyn rusqlite::ToSql> =
                names.iter().zip(all).filter(|(name, _)| columns.contains(name)).map(|(_, value)| value).collect();
            statement.execute(present.as_slice()).unwrap();
        }
    }
    transaction.commit().unwrap();
}

/// Every row of the table of runs, every column, in the order of the rowids.
pub fn dump(path: &Path) -> Vec<Vec<Value>> {
    rows(&Connection::open(path).unwrap())
}

/// As [`dump`], on a connection that is there.
pub fn rows(connection: &Connection) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare("SELECT * FROM runs ORDER BY rowid").unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|index| row.get::<_, Value>(index)).collect()).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// The parameters of a run, as they stand in the store.
pub fn params_of(path: &Path, id: &str) -> Value {
    Connection::open(path)
        .unwrap()
        .query_row("SELECT params_json FROM runs WHERE id = ?1", params![id], |row| row.get(0))
        .unwrap()
}

pub mod anvil;
pub mod calls;
#[cfg(not(fuzzing))]
pub mod child;
pub mod memory_host;
// These run the command line tool.
#[cfg(not(fuzzing))]
pub mod killed;
#[cfg(not(fuzzing))]
pub mod queue_store;
#[cfg(not(fuzzing))]
pub mod runners;
// The fuzz targets have no tool to run.
#[cfg(not(fuzzing))]
pub mod tool;
