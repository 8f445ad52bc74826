//! What is in the table `job`, and how it comes there.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params};

use super::super::model::call::Change;
use super::super::model::{Act, NewRow, Request, Run, Value};
use super::super::random::Draft;
use super::super::random::own::Meanwhile;
use super::{OwnStore, word};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(bytes) => ValueRef::Text(bytes),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn value(stored: ValueRef<'_>) -> Value {
    match stored {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(_) => unreachable!("nobody writes such a number"),
        ValueRef::Text(bytes) => Value::Text(bytes.to_vec()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

/// A whole row, its columns in the table's order.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow(pub Vec<Value>);

impl From<&StoredRow> for NewRow {
    fn from(row: &StoredRow) -> NewRow {
        let [task, id, phase, params] = [0, 1, 2, 8].map(|column: usize| row.0[column].clone());
        NewRow { task, id, phase, params }
    }
}

/// The runs that are in a store, and their rows' numbers.
pub struct Filled {
    pub runs: Vec<Run>,
    rowids: Vec<i64>,
}

fn insert(connection: &Connection, draft: &Draft) {
    let run = &draft.run;
    let sql = "INSERT OR IGNORE INTO job (queue, id, state, reason, code, origin, created, tries, payload, mark, why, removed)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let mut statement = connection.prepare_cached(sql).unwrap();
    statement
        .execute(params![
            run.task,
            run.id,
            run.phase,
            run.end_reason,
            run.exit_code,
            run.triggered_by,
            draft.created_at,
            run.retry_attempt,
            run.params,
            run.mark,
            run.unfit,
            run.deleted.then_some("yesterday"),
        ])
        .unwrap();
}

impl OwnStore {
    /// Puts these runs in place of those that are there, and says what came of them: a column's type changes values, a key
    /// lets some not in, and of those whose identity says nothing certain the first stays.
    pub fn fill(&self, connection: &Connection, drafts: &[Draft]) -> Filled {
        connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM rule; DELETE FROM tag; DELETE FROM job").unwrap();
        let mut filled = Filled { runs: Vec::new(), rowids: Vec::new() };
        for draft in drafts {
            if let Some((run, rowid)) = self.put(connection, draft, &filled.runs) {
                filled.runs.push(run);
                filled.rowids.push(rowid);
            }
        }
        connection.execute_batch("COMMIT").unwrap();
        filled
    }

    /// One run more, as it is stored; nothing if it can't be there, or would not be told apart from another one.
    fn put(&self, connection: &Connection, draft: &Draft, others: &[Run]) -> Option<(Run, i64)> {
        insert(connection, draft);
        if connection.changes() == 0 {
            return None;
        }
        let rowid = connection.last_insert_rowid();
        let mut run = self.as_stored(connection, &draft.run, rowid);
        let is_twin = |other: &Run| run.key() == other.key() && (run.id != Value::Null || run.instant == other.instant);
        if others.iter().any(is_twin) {
            connection.execute("DELETE FROM job WHERE rowid = ?1", [rowid]).unwrap();
            return None;
        }
        if !self.shape.joined || run.task == Value::Null || run.id == Value::Null {
            run.times = 1;
        }
        if self.shape.joined {
            for _ in 1..run.times {
                connection.execute("INSERT INTO tag VALUES (?1, 'x'), (?1, 'y')", [rowid]).unwrap();
            }
        }
        Some((run, rowid))
    }

    /// The run as the profile's view shows it.
    fn as_stored(&self, connection: &Connection, run: &Run, rowid: i64) -> Run {
        let mut statement = connection.prepare_cached("SELECT queue, id, payload FROM job WHERE rowid = ?1").unwrap();
        let mut stored = run.clone();
        [stored.task, stored.id, stored.params] = statement
            .query_row([rowid], |row| Ok([0, 1, 2].map(|column: usize| value(row.get_ref(column).unwrap()))))
            .unwrap();
        if !self.shape.whole {
            (stored.exit_code, stored.triggered_by, stored.retry_attempt) = (None, None, 0);
            (stored.mark, stored.unfit, stored.deleted) = (None, None, false);
        }
        stored
    }

    /// What the host's triggers do from now on; the acts that this store has.
    pub fn arm(&self, connection: &Connection, acts: &[(Value, Act)]) -> Vec<(Value, Act)> {
        let has = |act: Act| self.shape.triggers && (self.shape.whole || act != Act::Hides);
        let mut armed: Vec<(Value, Act)> = Vec::new();
        for (task, act) in acts {
            let is_first = armed.iter().all(|(other, _)| other.bytes() != task.bytes());
            if has(*act) && is_first && task.bytes().is_some() {
                connection.execute("INSERT INTO rule VALUES (?1, ?2)", params![task.bytes(), word(*act)]).unwrap();
                armed.push((task.clone(), *act));
            }
        }
        armed
    }

    /// Changes the store as somebody else would, in one transaction, and says what was changed.
    pub fn change(
        &self,
        connection: &Connection,
        filled: &Filled,
        case: (&Request, &[Meanwhile]),
        acts: &[(Value, Act)],
    ) -> Vec<Change> {
        let (request, meanwhile) = case;
        connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM rule").unwrap();
        let mut changes = Vec::new();
        let mut touched = Vec::new();
        let mut there = filled.runs.clone();
        for one in meanwhile {
            if let Meanwhile::Appears(draft) = one {
                let draft = Draft { run: Run { deleted: false, times: 1, ..draft.run.clone() }, ..(**draft).clone() };
                let is_whole = draft.run.task != Value::Null && draft.run.id != Value::Null;
                if let Some((run, _)) = is_whole.then(|| self.put(connection, &draft, &there)).flatten() {
                    there.push(run.clone());
                    changes.push(Change::Appears(Box::new(run)));
                }
            } else if let Some((index, change)) = one.on(&filled.runs, request) {
                let fits = self.shape.whole || !matches!(change, Change::SoftDeleted(_));
                if fits && !touched.contains(&index) {
                    touched.push(index);
                    apply(connection, &change, filled.rowids[index]);
                    changes.push(change);
                }
            }
        }
        self.arm(connection, acts);
        connection.execute_batch("COMMIT").unwrap();
        changes
    }

    pub fn dump(&self, connection: &Connection) -> Vec<StoredRow> {
        let mut statement = connection.prepare_cached("SELECT * FROM job ORDER BY rowid").unwrap();
        let row = |row: &rusqlite::Row<'_>| {
            Ok(StoredRow((0..12).map(|column| value(row.get_ref(column).unwrap())).collect()))
        };
        statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

fn apply(connection: &Connection, change: &Change, rowid: i64) {
    let done = match change {
        Change::Deleted(_) => connection.execute("DELETE FROM job WHERE rowid = ?1", [rowid]),
        Change::SoftDeleted(_) => connection.execute("UPDATE job SET removed = 'now' WHERE rowid = ?1", [rowid]),
        Change::Renamed(_, task) => {
            connection.execute("UPDATE job SET queue = ?2 WHERE rowid = ?1", params![rowid, task])
        }
        Change::Parameters(_, value) => {
            connection.execute("UPDATE job SET payload = ?2 WHERE rowid = ?1", params![rowid, value])
        }
        Change::Begins(_, phase) => {
            connection.execute("UPDATE job SET state = ?2, reason = NULL WHERE rowid = ?1", params![rowid, phase])
        }
        Change::Appears(_) => unreachable!("it has no row yet"),
    };
    assert_eq!(done.unwrap(), 1);
}
