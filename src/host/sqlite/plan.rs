//! Whether SQLite finds a run by its id without reading a whole table.

use std::collections::HashSet;

use rusqlite::Connection;

use super::dialect::Sqlite;
use crate::host::Columns;
use crate::host::view::View;

/// The tables of which every row is looked at to find a run by its id, as SQLite plans it: the plan's outermost loop
/// goes over a whole table, or over what is made of some.
///
/// See <https://www.sqlite.org/eqp.html>.
pub(super) fn read_whole_for_an_id(connection: &Connection, view: &View) -> rusqlite::Result<Vec<String>> {
    let (sql, _) = view.by_id("id = ?1", Columns::default(), &Sqlite::default());
    let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let steps: Vec<(i64, String)> =
        plan.query_map(["an id"], |row| Ok((row.get("parent")?, row.get("detail")?)))?.collect::<Result<_, _>>()?;
    let is_loop = |step: &str| step.starts_with("SCAN ") || step.starts_with("SEARCH ");
    let outermost = steps.iter().find(|(parent, step)| *parent == 0 && is_loop(step));
    if outermost.is_none_or(|(_, step)| step.starts_with("SEARCH ")) {
        return Ok(Vec::new());
    }
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let tables: HashSet<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    // `SCAN jobs`, `SCAN jobs USING INDEX …`: a table goes by its alias, where it has one.
    let scanned = steps.iter().filter_map(|(_, step)| step.strip_prefix("SCAN ")?.split(' ').next());
    let mut scanned: Vec<String> = scanned.map(str::to_owned).collect();
    if scanned.iter().any(|name| tables.contains(name)) {
        scanned.retain(|name| tables.contains(name));
    }
    scanned.sort_unstable();
    scanned.dedup();
    Ok(scanned)
}
