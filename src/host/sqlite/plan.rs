//! How SQLite would find a run: whether an index serves it, and whether there can be only one.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};

use super::dialect::Sqlite;
use crate::host::Columns;
use crate::host::view::View;

/// The condition that runs bear an id, `?1`.
pub(super) fn of_an_id(view: &View) -> String {
    an_id(view, "")
}

/// The condition that a run has an id and is of a task, `?1` and `?2`.
pub(super) fn of_a_task_and_an_id(view: &View) -> String {
    format!("{} AND task_name = ?2", of_an_id(view))
}

/// `before`: what stands before each column of the key.
fn an_id(view: &View, before: &str) -> String {
    if view.key.is_empty() { format!("{before}id = ?1") } else { view.key.condition(before, "?1") }
}

/// How a view's runs are found. Where SQLite does not say, the slow way is always right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seeks {
    /// An index serves an id.
    pub(super) by_id: bool,
    /// An index serves the id of a task's run.
    pub(super) by_task_and_id: bool,
    /// No two rows have the same id, as SQLite compares them.
    pub(super) unique: bool,
    /// An index has the ids in their order.
    pub(super) ordered: bool,
    /// An index finds runs by their time of creation.
    pub(super) by_time: bool,
}

impl Seeks {
    pub(super) fn of(connection: &Connection, view: &View) -> rusqlite::Result<Seeks> {
        let by = |condition: &str| view.by_id(condition, Columns::default(), &Sqlite::default()).0;
        let plan = |condition: &str| plan(connection, &by(condition));
        let serves = |with: &[Step], without: &[Step]| {
            let (with, without) = (parts(with), parts(without));
            with.len() == without.len() && with.iter().zip(&without).all(|(with, without)| with != without)
        };
        let (one, scanned) = (of_an_id(view), an_id(view, "+"));
        let of_an_id = plan(&one)?;
        let in_order = self::plan(connection, &first_by_id(view, "ASC"))?;
        Ok(Seeks {
            by_id: serves(&of_an_id, &plan(&scanned)?),
            by_task_and_id: serves(
                &plan(&of_a_task_and_an_id(view))?,
                &plan(&format!("{scanned} AND task_name = ?2"))?,
            ),
            unique: finds_one_at_most(connection, &of_an_id)?,
            ordered: matches!(&in_order[..], [step] if step.detail.starts_with("SCAN ")),
            // Whatever the runner's own name for that column is.
            by_time: serves(&plan("created_at >= ?1")?, &plan("+created_at >= ?1")?),
        })
    }
}

/// The type of the first id in their order: numbers are before texts, and texts before blobs.
pub(super) fn first_by_id(view: &View, order: &str) -> String {
    format!("{} ORDER BY id {order} LIMIT 1", view.select("typeof(id)"))
}

/// An id is looked up in an index of one column, in which each key stands once. (Of an index of several, a plan does not say
/// whether a column is equal to one value or one of several.)
fn finds_one_at_most(connection: &Connection, plan: &[Step]) -> rusqlite::Result<bool> {
    let [Step { detail, .. }] = plan else { return Ok(false) };
    let Some((_, index)) = detail.strip_prefix("SEARCH ").and_then(|step| step.split_once(" USING ")) else {
        return Ok(false);
    };
    if index == "INTEGER PRIMARY KEY (rowid=?)" {
        return Ok(true);
    }
    let index = index.strip_prefix("COVERING ").unwrap_or(index);
    let Some((name, _)) = index.strip_prefix("INDEX ").and_then(|index| index.split_once(' ')) else {
        return Ok(false);
    };
    let columns: Option<i64> = connection
        .query_row(
            "SELECT (SELECT count(*) FROM pragma_index_info(?1))
             FROM sqlite_schema AS schema, pragma_index_list(schema.tbl_name) AS list
             WHERE schema.type = 'index' AND schema.name = ?1 AND list.name = ?1 AND list.\"unique\" AND NOT list.partial",
            [name],
            |row| row.get(0),
        )
        .optional()?;
    Ok(columns == Some(1))
}

/// A step of a plan, and the step that it is a part of. See <https://www.sqlite.org/eqp.html>.
#[derive(Debug)]
struct Step {
    number: i64,
    parent: i64,
    detail: String,
}

/// The tables of which every row is looked at to find a run by its id, as SQLite plans it: where the id makes no
/// difference to the plan, as it makes none behind a `+`, no index serves it.
pub(super) fn read_whole_for_an_id(connection: &Connection, view: &View) -> rusqlite::Result<Vec<String>> {
    let [sought, scanned] =
        ["", "+"].map(|before| view.by_id(&an_id(view, before), Columns::default(), &Sqlite::default()).0);
    let (sought, scanned) = (plan(connection, &sought)?, plan(connection, &scanned)?);
    let without_difference = parts(&sought).into_iter().zip(parts(&scanned)).filter(|(one, other)| one == other);
    let mut names: Vec<&str> = without_difference.flat_map(|(part, _)| part).filter_map(scanned_in).collect();
    let tables = tables(connection)?;
    if names.iter().any(|name| !tables.contains(*name)) {
        // A table under another name, or rows that are made from tables first.
        names.extend(sought.iter().filter_map(|step| scanned_in(&step.detail)).filter(|name| tables.contains(*name)));
        if names.iter().any(|name| tables.contains(*name)) {
            names.retain(|name| tables.contains(*name));
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names.into_iter().map(str::to_owned).collect())
}

fn plan(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<Step>> {
    let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let step = |row: &rusqlite::Row<'_>| {
        Ok(Step { number: row.get("id")?, parent: row.get("parent")?, detail: row.get("detail")? })
    };
    // Nothing is bound: a plan needs no values.
    plan.raw_query().mapped(step).collect()
}

/// The loops of each SELECT that the runs come from: of the only one, or of each in a UNION ALL.
fn parts(plan: &[Step]) -> Vec<Vec<&str>> {
    let of_a_union = |step: &&Step| step.detail == "LEFT-MOST SUBQUERY" || step.detail.starts_with("UNION ALL");
    let selects = [0].into_iter().chain(plan.iter().filter(of_a_union).map(|step| step.number));
    let loops = |select| {
        let steps = plan.iter().filter(move |step| step.parent == select).map(|step| step.detail.as_str());
        steps.filter(|step| step.starts_with("SCAN ") || step.starts_with("SEARCH ")).collect::<Vec<_>>()
    };
    selects.map(loops).filter(|loops| !loops.is_empty()).collect()
}

/// What `SCAN jobs`, or `SCAN jobs USING INDEX …`, reads from its first row to its last.
fn scanned_in(step: &str) -> Option<&str> {
    step.strip_prefix("SCAN ")?.split(' ').next()
}

fn tables(connection: &Connection) -> rusqlite::Result<HashSet<String>> {
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    tables.query_map([], |row| row.get(0))?.collect()
}
