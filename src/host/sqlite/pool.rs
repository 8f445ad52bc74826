//! This process's connections to each store's file: idle ones wait here for the next session, of
//! whichever plugin on that file.
//!
//! Where the process may have a second copy of SQLite ([`Care::Watch`]), every descriptor on the file
//! beyond ours is one of another's. Closing a connection would drop the other's locks, and going on
//! with ours is unsafe, since the other drops them. So the connections are counted, they are closed
//! all together and not one by one, and once another has come in between they are left alone for good.
//!
//! A connection never crosses a `fork`: in the child all of the parent's are left alone, too.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::{io, mem, process};

use rusqlite::Connection;

use super::presence::{self, FileId};

/// How many idle connections to a file are kept: as many as callers usually come at once.
const IDLE_MAX: usize = 8;

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(|| Mutex::new(Pool { pid: process::id(), files: HashMap::new() }));

struct Pool {
    /// The process that the connections belong to.
    pid: u32,
    files: HashMap<FileId, File>,
}

/// What this process has of ours on one file.
#[derive(Default)]
struct File {
    /// The stores that use it.
    users: usize,
    /// The connections that are open.
    open: usize,
    /// Those of them that nobody is using.
    idle: Vec<Connection>,
    /// Descriptors that are ours, and that no connection uses: a parent's, or those that SQLite closes later.
    left: usize,
    /// Another copy of SQLite has come in between.
    lost: bool,
}

/// How much is known about who else in this process has the file open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// It has one copy of SQLite, or says so.
    Trust,
    /// There may be another copy.
    Watch,
}

/// Why a file can't be used from this process.
#[derive(Debug)]
pub(super) enum Conflict {
    /// Somebody else in this process has it open.
    OpenHere,
    /// The process was forked while the connection was in use.
    Forked,
    /// Nobody can tell, for want of `/proc`.
    Unknown(io::Error),
}

/// A connection in use; it goes back to the pool when it is dropped.
pub(super) struct Pooled {
    file: FileId,
    care: Care,
    pid: u32,
    discarded: bool,
    /// Taken out only when it is dropped.
    connection: Option<Connection>,
}

/// A store begins to use a file.
pub(super) fn hold(file: FileId) {
    lock().files.entry(file).or_default().users += 1;
}

/// A store no longer uses a file.
pub(super) fn release(file: FileId, care: Care) {
    let mut pool = lock();
    let Some(of_file) = pool.files.get_mut(&file) else { return };
    of_file.users -= 1;
    if of_file.users == 0 {
        of_file.close_idle(file, care);
        if of_file.open + of_file.left == 0 {
            pool.files.remove(&file);
        }
    }
}

/// Closes the connections to a file that nobody is using.
pub(super) fn close_idle(file: FileId, care: Care) {
    if let Some(of_file) = lock().files.get_mut(&file) {
        of_file.close_idle(file, care);
    }
}

/// An idle connection, else a new one.
pub(super) fn take<E: From<Conflict>>(
    file: FileId,
    care: Care,
    open: impl FnOnce() -> Result<Connection, E>,
) -> Result<Pooled, E> {
    let (pid, idle) = {
        let mut pool = lock();
        let pid = pool.pid;
        let of_file = pool.files.entry(file).or_default();
        of_file.check(file, care)?;
        let idle = of_file.idle.pop();
        // Counted before there is one: a descriptor that is not counted would seem to be another's.
        of_file.open += usize::from(idle.is_none());
        (pid, idle)
    };
    let connection = match idle {
        Some(idle) => idle,
        None => open().inspect_err(|_| lock().of(file).open -= 1)?,
    };
    Ok(Pooled { file, care, pid, discarded: false, connection: Some(connection) })
}

/// Does `work` while there is no connection, and none can be opened; `None` if there is one.
#[cfg(feature = "shared-sqlite")]
pub(super) fn while_unused<T>(work: impl FnOnce() -> T) -> Option<T> {
    let pool = lock();
    pool.files.values().all(|file| file.open == 0).then(work)
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

impl Pool {
    fn of(&mut self, file: FileId) -> &mut File {
        self.files.entry(file).or_default()
    }
}

impl File {
    /// Whether every descriptor on the file is ours. Once one was not, ours are never used again.
    fn check(&mut self, file: FileId, care: Care) -> Result<(), Conflict> {
        if care == Care::Watch && !self.lost {
            self.lost = presence::here(file).map_err(Conflict::Unknown)? > self.open + self.left;
        }
        if care == Care::Watch && self.lost {
            mem::take(&mut self.idle).into_iter().for_each(mem::forget);
            return Err(Conflict::OpenHere);
        }
        Ok(())
    }

    fn close_idle(&mut self, file: FileId, care: Care) {
        let some_are_in_use = self.idle.len() < self.open;
        match care {
            Care::Watch if some_are_in_use || self.check(file, care).is_err() => {}
            _ => {
                self.open -= self.idle.len();
                self.idle.clear();
                self.count_what_is_left(file, care);
            }
        }
    }

    fn close(&mut self, file: FileId, care: Care, connection: Connection) {
        if self.check(file, care).is_err() {
            return mem::forget(connection);
        }
        self.open -= 1;
        drop(connection);
        self.count_what_is_left(file, care);
    }

    /// SQLite keeps a closed connection's descriptor while another connection has a lock.
    fn count_what_is_left(&mut self, file: FileId, care: Care) {
        if care == Care::Watch {
            self.left = presence::here(file).map_or(0, |here| here.saturating_sub(self.open));
        }
    }

    /// In a child: its parent's connections stay as they are, descriptors and all.
    fn leave_to_the_parent(&mut self) {
        mem::take(&mut self.idle).into_iter().for_each(mem::forget);
        self.left += mem::take(&mut self.open);
    }
}

impl Pooled {
    /// Whether it may still be used: nobody else in this process has opened the file since.
    pub(super) fn check(&self) -> Result<(), Conflict> {
        if self.pid != process::id() {
            return Err(Conflict::Forked);
        }
        if self.care == Care::Watch { lock().of(self.file).check(self.file, self.care) } else { Ok(()) }
    }

    /// It is of no more use: it is not kept for another session.
    pub(super) fn discard(&mut self) {
        self.discarded = true;
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
        if self.pid != process::id() {
            return mem::forget(connection);
        }
        let mut pool = lock();
        let of_file = pool.of(self.file);
        let enough = self.care == Care::Trust && of_file.idle.len() >= IDLE_MAX;
        match of_file.lost && self.care == Care::Watch {
            true => mem::forget(connection),
            false if self.discarded || enough => of_file.close(self.file, self.care, connection),
            false => of_file.idle.push(connection),
        }
    }
}
