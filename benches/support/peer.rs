//! RunWisp's own bulk re-run on the same SQLite: the yardstick.
//!
//! One query in which every condition is a gate that a NULL opens, without an order; all its rows
//! into memory; the first row of each task stands for it; then, task by task, one SELECT of that
//! run and one INSERT that commits by itself. Where RunWisp's own SQL costs more than the idea
//! (`instr` over a joined list of words, the task's row in Go's types), the cheaper form is taken.

use std::collections::HashMap;
use std::path::Path;

use bulk_rerun::contract::Instant;
use bulk_rerun::{Request, RunFilter, Selector};
use chrono::{SecondsFormat, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, named_params, params, params_from_iter};

/// How far a commit goes before it returns.
#[derive(Debug, Clone, Copy)]
pub enum Synchronous {
    /// The disk has it.
    Full,
    /// The operating system has it.
    Normal,
}

/// RunWisp's algorithm over one store.
pub struct Peer {
    connection: Connection,
}

struct RunRef {
    id: String,
    task_name: String,
    _created_at: String,
}

const COLUMNS: &str = "SELECT id, task_name, created_at FROM runs WHERE deleted_at IS NULL";

const GATES: &str = "
  AND (?1 IS NULL OR status = ?1 OR end_reason = ?1)
  AND (?2 IS NULL OR created_at >= ?2)
  AND (?3 IS NULL OR created_at <= ?3)
  AND (?4 IS NULL OR triggered_by = ?4)
  AND (?5 IS NULL OR exit_code >= ?5)
  AND (?6 IS NULL OR exit_code <= ?6)
  AND (?7 IS NULL OR retry_attempt > 0)
  AND (?8 IS NULL OR task_name = ?8)
  AND (?9 IS NULL OR instr(lower(task_name), ?9) > 0 OR instr(lower(id), ?9) > 0)";

impl Peer {
    pub fn open(store: &Path, synchronous: Synchronous) -> Peer {
        let connection = Connection::open(store).expect("the store");
        connection.pragma_update(None, "synchronous", format!("{synchronous:?}")).expect("a setting");
        Peer { connection }
    }

    /// Each task and the run that stands for it, by the task's name.
    pub fn resolve(&self, request: &Request) -> Vec<(String, String)> {
        let refs = match &request.selector {
            Selector::Ids(ids) => self.refs(&format!("{COLUMNS} AND id IN ({})", marks(ids.len())), texts(ids)),
            Selector::Matching { filter, except_ids, .. } => {
                // An empty list would match nothing, so one holds the empty id.
                let except_ids: Vec<String> = match except_ids.is_empty() {
                    true => vec![String::new()],
                    false => except_ids.iter().cloned().collect(),
                };
                let sql = format!("{COLUMNS}{GATES}\n  AND id NOT IN ({})", marks(except_ids.len()));
                self.refs(&sql, gates(filter).into_iter().chain(texts(&except_ids)))
            }
        };
        let mut by_task = HashMap::new();
        for run in refs {
            by_task.entry(run.task_name).or_insert(run.id);
        }
        let mut tasks: Vec<_> = by_task.into_iter().collect();
        tasks.sort_unstable();
        tasks
    }

    /// Resolves, and starts one new run a task; answers how many.
    pub fn rerun(&self, request: &Request) -> usize {
        let connection = &self.connection;
        let tasks = self.resolve(request);
        for (task_name, id) in &tasks {
            let params = connection
                .prepare_cached("SELECT * FROM runs WHERE id = ?1 AND deleted_at IS NULL LIMIT 1")
                .and_then(|mut select| select.query_row([id], |row| row.get("params_json")).optional());
            let params: Option<String> = params.expect("the store can be read").flatten();
            connection
                .prepare_cached(
                    "INSERT INTO runs (id, task_name, status, triggered_by, created_at, params_json)
                     VALUES (:id, :task_name, 'pending', 'api', :now, :params)",
                )
                .and_then(|mut insert| {
                    insert.execute(named_params! {
                        ":id": ulid::Ulid::generate().to_string(),
                        ":task_name": task_name,
                        ":now": text(Utc::now()),
                        ":params": params,
                    })
                })
                .expect("a new run");
        }
        tasks.len()
    }

    fn refs(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Vec<RunRef> {
        let mut statement = self.connection.prepare(sql).expect("the query compiles");
        let rows = statement.query_map(params_from_iter(values), |row| {
            Ok(RunRef { id: row.get(0)?, task_name: row.get(1)?, _created_at: row.get(2)? })
        });
        rows.and_then(|rows| rows.collect()).expect("the store can be read")
    }
}

/// A row as the new runs are, for the bare loop.
pub struct NewRun {
    pub id: String,
    pub task_name: String,
    pub params: Option<String>,
}

/// The limit: the rows are at hand, one prepared statement inserts them in one transaction.
pub fn insert_all(connection: &mut Connection, rows: &[NewRun]) {
    let now = text(Utc::now());
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("the write lock");
    {
        let mut insert = transaction
            .prepare_cached(
                "INSERT INTO runs (id, task_name, status, triggered_by, created_at, params_json)
                 VALUES (?1, ?2, 'pending', 'api', ?3, ?4)",
            )
            .expect("the insert compiles");
        for row in rows {
            insert.execute(params![row.id, row.task_name, now, row.params]).expect("a new run");
        }
    }
    transaction.commit().expect("the new runs last");
}

fn gates(filter: &RunFilter) -> [Value; 9] {
    let text_of = |text: &Option<String>| Value::from(text.clone());
    [
        Value::from(filter.status.first().cloned()),
        Value::from(filter.created_after.map(text)),
        Value::from(filter.created_before.map(text)),
        text_of(&filter.triggered_by),
        Value::from(filter.exit_code_min),
        Value::from(filter.exit_code_max),
        Value::from(filter.retries_only.then_some(1)),
        text_of(&filter.task_name),
        text_of(&filter.search),
    ]
}

fn texts(ids: &[String]) -> impl Iterator<Item = Value> {
    ids.iter().cloned().map(Value::from)
}

fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn text(at: Instant) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
