//! This process's connections to each store's file: idle ones wait here for the next session, of
//! whichever plugin on that file.
//!
//! Where the process may have a second copy of SQLite ([`Care::Watch`]), every descriptor on the file
//! beyond ours is one of another's. Closing a connection would drop the other's locks, and going on
//! with ours is unsafe, since the other drops them. So the connections are counted, they are closed
//! all together and not one by one, and once another has come in between they are left alone for good.
//!
//! No connection crosses a `fork`. A child that has a copy of one would have SQLite believe in locks
//! that only the parent holds, even in a connection of its own; what it commits is lost once the
//! parent is gone. So idle connections are closed before each fork, and a child that was forked in
//! the middle of a call refuses the file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::{io, mem, process};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::presence::{self, FileId};

/// How many idle connections to a file are kept: as many as callers usually come at once.
const IDLE_MAX: usize = 8;

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(|| {
    #[cfg(unix)]
    watch_forks();
    Mutex::new(Pool { pid: process::id(), files: BTreeMap::new() })
});

struct Pool {
    /// The process that the connections belong to.
    pid: u32,
    files: BTreeMap<FileId, File>,
}

/// What this process has of ours on one file.
struct File {
    care: Care,
    /// The stores that use it.
    users: usize,
    /// The connections that are open.
    open: usize,
    /// Those of them that nobody is using.
    idle: Vec<Connection>,
    /// Descriptors that are ours and no connection's: SQLite closes them later.
    left: usize,
    /// Why it can't be used any more.
    lost: Option<Lost>,
}

/// How much is known about who else in this process has a file open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// Nobody, or somebody with the same copy of SQLite.
    Trust,
    /// There may be another copy.
    Watch,
}

/// What makes connections useless.
#[derive(Debug, Clone, Copy)]
enum Lost {
    OpenHere,
    Forked,
}

/// Why a file can't be used from this process.
#[derive(Debug)]
pub(super) enum Conflict {
    /// Somebody else in this process has it open.
    OpenHere,
    /// The process was forked while a connection was in use.
    Forked,
    /// Nobody can tell, for want of `/proc`.
    Unknown(io::Error),
}

/// A connection in use; it goes back to the pool when it is dropped.
pub(super) struct Pooled {
    file: FileId,
    pid: u32,
    discarded: bool,
    /// Taken out only when it is dropped.
    connection: Option<Connection>,
}

/// A store begins to use a file.
pub(super) fn hold(file: FileId, care: Care) {
    lock().of(file, care).users += 1;
}

/// A store no longer uses a file.
pub(super) fn release(file: FileId) {
    let mut pool = lock();
    let Some(of_file) = pool.files.get_mut(&file) else { return };
    of_file.users -= 1;
    if of_file.users == 0 {
        of_file.close_idle(file);
        if of_file.open + of_file.left == 0 {
            pool.files.remove(&file);
        }
    }
}

/// Closes the connections to a file that nobody is using.
pub(super) fn close_idle(file: FileId) {
    if let Some(of_file) = lock().files.get_mut(&file) {
        of_file.close_idle(file);
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
        let of_file = pool.of(file, care);
        of_file.check(file)?;
        let idle = of_file.idle.pop();
        // Counted before there is one: a descriptor that is not counted would seem to be another's.
        of_file.open += usize::from(idle.is_none());
        (pid, idle)
    };
    let connection = match idle {
        Some(idle) => idle,
        None => open().inspect_err(|_| lock().of(file, care).open -= 1)?,
    };
    Ok(Pooled { file, pid, discarded: false, connection: Some(connection) })
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
    fn of(&mut self, file: FileId, care: Care) -> &mut File {
        let of_file = self.files.entry(file).or_insert_with(|| File::new(care));
        // What the host says of a file for one plugin holds for every other one on it.
        if care == Care::Trust {
            of_file.care = care;
        }
        of_file
    }
}

impl File {
    fn new(care: Care) -> Self {
        File { care, users: 0, open: 0, idle: Vec::new(), left: 0, lost: None }
    }

    /// What was lost to another copy is so only until the host says that there is none.
    fn is_lost(&self) -> bool {
        matches!((self.lost, self.care), (Some(Lost::Forked), _) | (Some(Lost::OpenHere), Care::Watch))
    }

    /// Whether it may be used. Where connections of ours are open when it may not, it never may again.
    fn check(&mut self, file: FileId) -> Result<(), Conflict> {
        let conflict = match (self.lost, self.care) {
            (Some(Lost::Forked), _) => Conflict::Forked,
            (Some(Lost::OpenHere), Care::Watch) => Conflict::OpenHere,
            (None, Care::Watch) if presence::here(file).map_err(Conflict::Unknown)? > self.open + self.left => {
                self.lost = (self.open > 0).then_some(Lost::OpenHere);
                Conflict::OpenHere
            }
            _ => return Ok(()),
        };
        mem::take(&mut self.idle).into_iter().for_each(mem::forget);
        Err(conflict)
    }

    fn close_idle(&mut self, file: FileId) {
        let some_are_in_use = self.idle.len() < self.open;
        if (self.care == Care::Watch && some_are_in_use) || self.check(file).is_err() {
            return;
        }
        self.open -= self.idle.len();
        self.idle.clear();
        self.count_what_is_left(file);
    }

    fn close(&mut self, file: FileId, connection: Connection) {
        if self.check(file).is_err() {
            return mem::forget(connection);
        }
        self.open -= 1;
        drop(connection);
        self.count_what_is_left(file);
    }

    /// SQLite keeps a closed connection's descriptor while another connection has a lock. Where none is
    /// open, none is kept.
    fn count_what_is_left(&mut self, file: FileId) {
        self.left = match self.care {
            Care::Watch if self.open > 0 => presence::here(file).map_or(0, |here| here.saturating_sub(self.open)),
            _ => 0,
        };
    }

    /// In a child: what its parent had open stays as it is.
    fn leave_to_the_parent(&mut self) {
        if self.open > 0 {
            self.lost = Some(Lost::Forked);
            mem::take(&mut self.idle).into_iter().for_each(mem::forget);
        }
    }
}

impl Pooled {
    /// Whether it may still be used.
    pub(super) fn check(&self) -> Result<(), Conflict> {
        match lock().files.get_mut(&self.file) {
            Some(of_file) => of_file.check(self.file),
            None => Ok(()),
        }
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
        let mut pool = lock();
        match pool.files.get_mut(&self.file) {
            Some(of_file) if self.pid == process::id() && !of_file.is_lost() => {
                let enough = of_file.care == Care::Trust && of_file.idle.len() >= IDLE_MAX;
                if self.discarded || enough {
                    of_file.close(self.file, connection);
                } else {
                    of_file.idle.push(connection);
                }
            }
            _ => mem::forget(connection),
        }
    }
}

/// From now on idle connections are closed before each fork. The pool is locked until it is over, so
/// that the child finds it whole.
#[cfg(unix)]
fn watch_forks() {
    thread_local! {
        static DURING_A_FORK: RefCell<Option<MutexGuard<'static, Pool>>> = const { RefCell::new(None) };
    }

    extern "C" fn before() {
        let mut pool = lock();
        for (&file, of_file) in &mut pool.files {
            for connection in &of_file.idle {
                // A fork is no time to copy a log into its database.
                let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            }
            of_file.close_idle(file);
        }
        let _ = DURING_A_FORK.try_with(|held| held.replace(Some(pool)));
    }

    extern "C" fn after() {
        let _ = DURING_A_FORK.try_with(RefCell::take);
    }

    // SAFETY: the functions stay where they are, since libraries that have this in them are never
    // unloaded (build.rs). They lock what no thread holds while it forks, and close connections.
    unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
}
