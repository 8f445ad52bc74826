//! A session on a connection of the caller's, inside whatever transaction the caller is in.

use rusqlite::{Connection, Statement, ffi};

use super::place::Place;
use super::session::Transactions;
use crate::host::HostError;

const INSIDE_A_WRITE: &str = "bulk_rerun was called from inside a statement that writes; call it in a SELECT of its \
                              own, and use what it answers after that; nothing was changed";

/// The caller's connection. Outside of a transaction we have transactions of our own on it. Inside of
/// the caller's a savepoint does, and what we write lasts when the caller commits.
pub(super) struct Borrowed<'c> {
    connection: &'c Connection,
    place: &'c Place,
    words: &'static Words,
    /// A statement that writes nothing, and takes the write lock for it.
    nothing: Option<Statement<'c>>,
    /// A transaction of ours, or a savepoint, has begun and has not ended.
    open: bool,
}

struct Words {
    begin_read: &'static str,
    begin_write: &'static str,
    give_up: &'static str,
    keep: &'static str,
}

const OUTSIDE: Words =
    Words { begin_read: "BEGIN", begin_write: "BEGIN IMMEDIATE", give_up: "ROLLBACK", keep: "COMMIT" };

const INSIDE: Words = Words {
    begin_read: "SAVEPOINT bulk_rerun",
    begin_write: "SAVEPOINT bulk_rerun",
    give_up: "ROLLBACK TO bulk_rerun; RELEASE bulk_rerun",
    keep: "RELEASE bulk_rerun",
};

impl<'c> Borrowed<'c> {
    /// `column`: any table and column of the store.
    ///
    /// # Errors
    ///
    /// A statement that writes is under way on the connection.
    pub(super) fn new(
        connection: &'c Connection,
        place: &'c Place,
        column: Option<(&str, &str)>,
    ) -> Result<Self, HostError> {
        let nothing = column.and_then(|(table, column)| {
            let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
            let (table, column) = (quoted(table), quoted(column));
            connection.prepare(&format!("INSERT INTO {table} ({column}) SELECT {column} FROM {table} WHERE 0")).ok()
        });
        let words = if connection.is_autocommit() { &OUTSIDE } else { &INSIDE };
        let mut borrowed = Borrowed { connection, place, words, nothing, open: false };
        borrowed.check_outside_of_writes()?;
        Ok(borrowed)
    }

    /// SQLite itself refuses a savepoint inside of a statement that writes. A transaction it would begin,
    /// and that statement would then not be committed.
    fn check_outside_of_writes(&mut self) -> Result<(), HostError> {
        match self.connection.execute_batch(INSIDE.begin_read) {
            Ok(()) => {
                self.open = true;
                self.undo(INSIDE.give_up)
            }
            Err(error) if error.sqlite_error_code() == Some(ffi::ErrorCode::DatabaseBusy) => {
                Err(HostError::Unusable(INSIDE_A_WRITE.to_owned()))
            }
            Err(error) => Err(self.place.error("starting to read", error)),
        }
    }

    fn begin(&mut self, doing: &'static str, sql: &str) -> Result<(), HostError> {
        self.connection.execute_batch(sql).map_err(|error| self.error(doing, error))?;
        self.open = true;
        Ok(())
    }

    /// Ends what is open, or leaves it to SQLite: a call that is interrupted (`sqlite3_interrupt`) can't
    /// even roll back, but SQLite itself rolls the whole transaction back when what it interrupts writes.
    fn undo(&mut self, sql: &str) -> Result<(), HostError> {
        // A trigger of the store's may have rolled it back already.
        if !self.open || self.connection.is_autocommit() {
            self.open = false;
            return Ok(());
        }
        let undone = self.connection.execute_batch(sql);
        if undone.is_err()
            && let Some(nothing) = &mut self.nothing
        {
            // That it fails is what it is for.
            let _ = nothing.raw_execute();
        }
        self.open = false;
        undone.map_err(|error| self.place.error("ending", error))
    }

    fn error(&self, doing: &'static str, error: rusqlite::Error) -> HostError {
        // SAFETY: the handle is open for as long as the connection is borrowed, and nothing but its last error is read.
        let code = unsafe { ffi::sqlite3_extended_errcode(self.connection.handle()) };
        if code == ffi::SQLITE_BUSY_SNAPSHOT { HostError::Outdated } else { self.place.error(doing, error) }
    }
}

impl Transactions for Borrowed<'_> {
    fn connection(&self) -> &Connection {
        self.connection
    }

    /// The caller may have attached other stores.
    fn sees_every_change(&self) -> bool {
        false
    }

    fn begin_read(&mut self) -> Result<(), HostError> {
        self.begin("starting to read", self.words.begin_read)
    }

    fn begin_write(&mut self) -> Result<(), HostError> {
        let doing = "taking the write lock";
        self.begin(doing, self.words.begin_write)?;
        if let Some(nothing) = &mut self.nothing {
            nothing.raw_execute().map_err(|error| self.error(doing, error))?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), HostError> {
        self.undo(self.words.give_up)
    }

    fn commit(&mut self) -> Result<(), HostError> {
        self.connection
            .execute_batch(self.words.keep)
            .map_err(|error| self.error("making the new runs last", error))?;
        self.open = false;
        Ok(())
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        // What fails here has failed the call before.
        let _ = self.end();
    }
}
