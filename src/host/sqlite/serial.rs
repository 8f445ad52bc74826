//! The newest row of a store, where its profile numbers the rows: what is inserted later has a higher number.

use rusqlite::OptionalExtension;

use super::row::key;
use super::session::{SqliteSession, Transactions};
use crate::host::Key;
use crate::host::view::Statement;

/// The newest row at some moment.
#[derive(Debug)]
pub(super) struct Mark {
    serial: i64,
    /// The id of its run.
    id: Key<'static>,
}

impl Mark {
    /// The newest row now; `None` if there is none, or rows have no numbers.
    pub(super) fn of_the_newest<T: Transactions>(session: &SqliteSession<'_, T>) -> rusqlite::Result<Option<Mark>> {
        let view = &session.fitted.view;
        if !view.has("serial") {
            return Ok(None);
        }
        let sql = view.select("serial, id") + " ORDER BY serial DESC LIMIT 1";
        let mut newest = session.connection().prepare_cached(&sql)?;
        let mark = newest.query_row([], |row| Ok((row.get(0)?, key(row.get_ref(1)?).to_owned()))).optional()?;
        // Behind the highest number there is, SQLite numbers rows at random.
        Ok(mark.filter(|(serial, _)| *serial < i64::MAX).map(|(serial, id)| Mark { serial, id }))
    }

    /// Whether its row is there as it was. As long as it is, no later one has its number or a lower one: SQLite gives a
    /// new row the number after the highest. (VACUUM may number all rows anew.)
    pub(super) fn still_stands<T: Transactions>(&self, session: &SqliteSession<'_, T>) -> rusqlite::Result<bool> {
        let sql = session.fitted.view.select("id") + " WHERE serial = ?1";
        let mut same = session.connection().prepare_cached(&sql)?;
        let id = same.query_row([self.serial], |row| Ok(key(row.get_ref(0)?).to_owned())).optional()?;
        Ok(id.is_some_and(|id| id == self.id))
    }

    /// The same statement for later rows alone.
    pub(super) fn only_later(&self, mut statement: Statement) -> Statement {
        statement.sql += &format!(" AND serial > {}", self.serial);
        statement
    }
}
