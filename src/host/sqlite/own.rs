//! A session on a connection of our own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::connection::Store;
use super::pool::Pooled;
use super::presence::FileId;
use super::session::Transactions;
use crate::host::{HostError, Interrupter};

/// A statement looks whether it is cancelled after about so many steps of SQLite's machine: some
/// hundred rows, well under a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// The same where it is time that counts: some ten microseconds.
const STEPS_IN_MOMENTS: i32 = 500;

/// A connection of our own, and plain transactions on it.
pub(super) struct Own<'h> {
    store: &'h Store,
    file: FileId,
    connection: Pooled,
    /// The connection looks at an [`Interrupter`]'s flag, or at the clock.
    interruptible: bool,
}

impl<'h> Own<'h> {
    pub(super) fn new(store: &'h Store, file: FileId, connection: Pooled) -> Self {
        Own { store, file, connection, interruptible: false }
    }

    /// From now on it waits for no lock, and reads no longer than this; the next session on the connection waits again.
    pub(super) fn be_brief(&mut self, time: Duration) -> rusqlite::Result<()> {
        let end = Instant::now() + time;
        self.connection.busy_timeout(Duration::ZERO)?;
        self.connection.progress_handler(STEPS_IN_MOMENTS, Some(move || Instant::now() > end))?;
        self.interruptible = true;
        Ok(())
    }

    fn execute(&self, doing: &'static str, sql: &str) -> Result<(), HostError> {
        self.connection.execute_batch(sql).map_err(|error| self.store.place.error(doing, error))
    }
}

impl Transactions for Own<'_> {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn sees_every_change(&self) -> bool {
        true
    }

    fn begin_read(&mut self) -> Result<(), HostError> {
        self.execute("starting to read", "BEGIN")
    }

    fn begin_write(&mut self) -> Result<(), HostError> {
        self.store.check_alone(&self.connection)?;
        self.execute("taking the write lock", "BEGIN IMMEDIATE")?;
        self.store.check_same(self.file)
    }

    fn end(&mut self) -> Result<(), HostError> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.store.check_alone(&self.connection)?;
        self.execute("ending", "ROLLBACK")
    }

    fn commit(&mut self) -> Result<(), HostError> {
        self.store.check_alone(&self.connection)?;
        self.execute("making the new runs last", "COMMIT")
    }

    /// A flag that the statements look at. `sqlite3_interrupt` alone would be lost on a search
    /// that is just about to start, or is between two statements.
    fn interrupter(&mut self) -> Option<Interrupter> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&cancelled);
        let look = move || seen.load(Ordering::Relaxed);
        self.connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(look)).ok()?;
        self.interruptible = true;
        Some(Box::new(move || cancelled.store(true, Ordering::Relaxed)))
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        if self.interruptible {
            // It was set on this connection, so it can be taken off.
            let _ = self.connection.progress_handler(0, None::<fn() -> bool>);
        }
        // What was not committed is given up; a connection that can't even do that is of no more use.
        if self.end().is_err() {
            self.connection.discard();
        }
    }
}
