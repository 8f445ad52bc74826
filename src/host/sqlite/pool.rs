//! This process's connections to each store's file: those that rest wait here for the next session, of whichever plugin
//! on that file; where another copy of SQLite may be at work, only while a session is under way.
//!
//! [`File`] knows what may be done with them. Here is the lock under which it is asked; it is held for moments only. To
//! close connections, which may copy a log into its database, a file is taken [`away`], and whoever wants it waits until it
//! is back.
//!
//! No connection crosses a `fork`. A child that has a copy of one would have SQLite believe in locks
//! that only the parent holds, even in a connection of its own; what it commits is lost once the
//! parent is gone. So connections that rest are closed before each fork, and a child that was forked in
//! the middle of a call refuses the file.

mod file;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::{mem, process};

use rusqlite::Connection;

use self::file::File;
pub(super) use self::file::{Copies, Refusal};
use super::presence::FileId;

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(|| {
    #[cfg(unix)]
    watch_forks();
    Mutex::new(Pool { pid: process::id(), files: BTreeMap::new(), away: BTreeSet::new() })
});

/// A file is back.
static BACK: Condvar = Condvar::new();

struct Pool {
    /// The process that the connections belong to.
    pid: u32,
    files: BTreeMap<FileId, File>,
    /// The files that are away.
    away: BTreeSet<FileId>,
}

/// A connection in use; it goes back to the pool when it is dropped.
pub(super) struct Pooled {
    file: FileId,
    is_of_use: bool,
    /// Taken out only when it is dropped.
    connection: Option<Connection>,
}

/// A store begins to use a file.
pub(super) fn hold(file: FileId, copies: Copies) {
    lock_with(file).of(file, copies).users += 1;
}

/// A store no longer uses a file.
pub(super) fn release(file: FileId) {
    away(lock_with(file), file, |file| {
        file.users -= 1;
        if file.users == 0 {
            file.close_resting();
        }
    });
}

/// Closes the connections to a file that nobody is using.
pub(super) fn close_resting(file: FileId) {
    away(lock_with(file), file, File::close_resting);
}

/// A connection that rests, else a new one.
pub(super) fn take<E>(
    file: FileId,
    copies: Copies,
    refuse: impl FnOnce(Refusal) -> E,
    open: impl FnOnce() -> Result<Connection, E>,
) -> Result<Pooled, E> {
    let resting = lock_with(file).of(file, copies).take();
    let resting = resting.map_err(refuse)?;
    let connection = match resting {
        Some(resting) => resting,
        None => open().inspect_err(|_| lock_with(file).of(file, copies).was_not_opened())?,
    };
    Ok(Pooled { file, is_of_use: true, connection: Some(connection) })
}

/// Does `work` while another copy of SQLite may be taken, and no connection can be opened; `None` if it may not.
#[cfg(feature = "shared-sqlite")]
pub(super) fn while_unused<T>(work: impl FnOnce() -> T) -> Option<T> {
    let pool = lock_when(|pool| pool.away.is_empty());
    (!pool.files.values().any(File::needs_its_copy)).then(work)
}

fn lock() -> MutexGuard<'static, Pool> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = process::id();
    if pool.pid != pid {
        pool.pid = pid;
        pool.files.values_mut().for_each(File::leave_to_the_parent);
    }
    pool
}

fn lock_when(ready: impl Fn(&Pool) -> bool) -> MutexGuard<'static, Pool> {
    BACK.wait_while(lock(), |pool| !ready(pool)).unwrap_or_else(PoisonError::into_inner)
}

fn lock_with(file: FileId) -> MutexGuard<'static, Pool> {
    lock_when(|pool| !pool.away.contains(&file))
}

impl Pool {
    fn of(&mut self, id: FileId, copies: Copies) -> &mut File {
        let file = self.files.entry(id).or_insert_with(|| File::new(id, copies));
        if copies == Copies::One {
            file.trust();
        }
        file
    }
}

/// Does `work` on a file, if it is there, without the pool's lock; nobody else has the file meanwhile.
fn away(mut pool: MutexGuard<'static, Pool>, id: FileId, work: impl FnOnce(&mut File)) {
    let Some(mut file) = pool.files.remove(&id) else { return };
    pool.away.insert(id);
    drop(pool);
    let worked = catch_unwind(AssertUnwindSafe(|| work(&mut file)));
    let mut pool = lock();
    pool.away.remove(&id);
    if !file.is_done_with() {
        pool.files.insert(id, file);
    }
    drop(pool);
    BACK.notify_all();
    worked.unwrap_or_else(|panic| resume_unwind(panic));
}

impl Pooled {
    /// Whether it may still be used.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        lock_with(self.file).files.get_mut(&self.file).map_or(Ok(()), File::check)
    }

    /// It is of no more use: it is not kept for another session.
    pub(super) fn discard(&mut self) {
        self.is_of_use = false;
    }
}

impl Deref for Pooled {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("it has its connection until it is dropped")
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let mut pool = lock_with(self.file);
        let Some(file) = pool.files.get_mut(&self.file) else { return mem::forget(connection) };
        file.give_back(connection, self.is_of_use);
        if file.has_to_close() {
            away(pool, self.file, File::close_resting);
        }
    }
}

/// From now on connections that rest are closed before each fork. The pool is locked until it is over, so
/// that the child finds it whole.
#[cfg(unix)]
fn watch_forks() {
    thread_local! {
        static DURING_A_FORK: RefCell<Option<MutexGuard<'static, Pool>>> = const { RefCell::new(None) };
    }

    extern "C" fn before() {
        let mut pool = lock_when(|pool| pool.away.is_empty());
        pool.files.values_mut().for_each(File::close_resting_in_a_hurry);
        let _ = DURING_A_FORK.try_with(|held| held.replace(Some(pool)));
    }

    extern "C" fn after() {
        let _ = DURING_A_FORK.try_with(RefCell::take);
    }

    // SAFETY: the functions stay where they are, since libraries that have this in them are never
    // unloaded (build.rs). They lock what no thread holds while it forks, and close connections.
    unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn whoever_wants_a_file_that_is_away_waits_and_nobody_else_does() {
        // No device has these numbers.
        let [closing, other] = [(u64::MAX, 1), (u64::MAX, 2)];
        hold(closing, Copies::One);
        let (tell, told) = channel();
        away(lock_with(closing), closing, |_| {
            let told_by = |file| {
                let tell = tell.clone();
                thread::spawn(move || {
                    hold(file, Copies::One);
                    release(file);
                    tell.send(file).expect("somebody listens");
                });
            };
            told_by(closing);
            told_by(other);
            assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(other));
            assert!(told.try_recv().is_err(), "it is not there");
        });
        assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(closing));
        release(closing);
        assert!(!lock().files.contains_key(&closing));
    }
}
