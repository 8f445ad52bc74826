//! Whether SQLite finds a run by its id without reading a whole table.

use std::collections::HashSet;

use rusqlite::Connection;

use super::dialect::Sqlite;
use crate::host::Columns;
use crate::host::view::View;

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
        ["id = ?1", "+id = ?1"].map(|condition| view.by_id(condition, Columns::default(), &Sqlite::default()).0);
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
    plan.query_map(["an id"], step)?.collect()
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
