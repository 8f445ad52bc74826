//! How this process stands with one store's file, and which connections of ours are open on it.

use std::{io, mem};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::super::presence::{self, FileId};

/// How many idle connections to a file are kept: as many as callers usually come at once.
const IDLE_MAX: usize = 8;

/// What is known of the copies of SQLite in this process, as far as a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Copies {
    /// Whoever else has the file open uses the same one.
    One,
    /// There may be another.
    Unknown,
}

/// Why a file can't be used from this process.
#[derive(Debug)]
pub(in super::super) enum Refusal {
    /// Somebody else in this process has it open.
    OpenHere,
    /// The process was forked while a connection was in use.
    Forked,
    /// Nobody can tell, for want of `/proc`.
    Unknown(io::Error),
}

/// One file.
pub(super) struct File {
    id: FileId,
    /// The stores that use it.
    pub(super) users: usize,
    /// Our connections to it: those in use, the idle ones, and those that are left alone for good.
    open: usize,
    standing: Standing,
}

/// What may be done with the connections.
enum Standing {
    /// Anything: there is one copy of SQLite, and it knows of all the locks.
    Trusted { idle: Vec<Connection> },
    /// Anything, as long as every descriptor on the file is ours: an open connection's, or one of those that are `left`,
    /// which SQLite closes later. One more is another copy's. The connections are closed all together where that is
    /// possible, so that nothing is left.
    Watched { idle: Vec<Connection>, left: usize },
    /// Nothing: another copy came while they were open. Closing one would drop the other's locks, and going on is unsafe,
    /// since the other drops ours. It ends when the host says that there is one copy after all.
    Lost,
    /// Nothing, for good: they are the parent's, in a process that was forked in the middle of a call.
    Forked,
}

impl File {
    pub(super) fn new(id: FileId, copies: Copies) -> Self {
        let standing = match copies {
            Copies::One => Standing::Trusted { idle: Vec::new() },
            Copies::Unknown => Standing::Watched { idle: Vec::new(), left: 0 },
        };
        File { id, users: 0, open: 0, standing }
    }

    /// What the host says of a file for one plugin holds for every other one on it.
    pub(super) fn trust(&mut self) {
        let idle = match &mut self.standing {
            Standing::Watched { idle, .. } => mem::take(idle),
            Standing::Lost => Vec::new(),
            Standing::Trusted { .. } | Standing::Forked => return,
        };
        self.standing = Standing::Trusted { idle };
    }

    /// Whether it may be used now. Where connections of ours are open when it may not, they are lost.
    pub(super) fn check(&mut self) -> Result<(), Refusal> {
        match self.standing {
            Standing::Trusted { .. } => Ok(()),
            Standing::Lost => Err(Refusal::OpenHere),
            Standing::Forked => Err(Refusal::Forked),
            Standing::Watched { left, .. } => {
                if presence::here(self.id).map_err(Refusal::Unknown)? <= self.open + left {
                    return Ok(());
                }
                if self.open > 0 {
                    self.leave_alone(Standing::Lost);
                }
                Err(Refusal::OpenHere)
            }
        }
    }

    /// In a forked child: what its parent had open stays as it is.
    pub(super) fn leave_to_the_parent(&mut self) {
        if self.open > 0 {
            self.leave_alone(Standing::Forked);
        }
    }

    fn leave_alone(&mut self, standing: Standing) {
        if let Some(idle) = self.idle() {
            mem::take(idle).into_iter().for_each(mem::forget);
        }
        self.standing = standing;
    }

    /// An idle connection; where there is none, the caller opens one, which counts from now on: a descriptor that is not
    /// counted would seem to be another's.
    pub(super) fn take(&mut self) -> Result<Option<Connection>, Refusal> {
        self.check()?;
        let idle = self.idle().and_then(Vec::pop);
        self.open += usize::from(idle.is_none());
        Ok(idle)
    }

    /// The one that the caller was to open could not be opened.
    pub(super) fn was_not_opened(&mut self) {
        self.open -= 1;
    }

    /// Keeps a connection for the next session, or hands it out again: it is to be closed.
    pub(super) fn give_back(&mut self, connection: Connection, is_of_use: bool) -> Option<Connection> {
        let (idle, kept_at_most) = match &mut self.standing {
            Standing::Trusted { idle } => (idle, IDLE_MAX),
            Standing::Watched { idle, .. } => (idle, usize::MAX),
            Standing::Lost | Standing::Forked => {
                mem::forget(connection);
                return None;
            }
        };
        if !is_of_use || idle.len() >= kept_at_most {
            return Some(connection);
        }
        idle.push(connection);
        None
    }

    pub(super) fn close(&mut self, connection: Connection) {
        if self.check().is_err() {
            return mem::forget(connection);
        }
        drop(connection);
        self.were_closed(1);
    }

    /// Closes the connections that nobody is using.
    pub(super) fn close_idle(&mut self) {
        self.close_each_idle(drop);
    }

    /// The same while the process is about to be forked, which is no time to copy a log into its database.
    pub(super) fn close_idle_in_a_hurry(&mut self) {
        self.close_each_idle(|connection| {
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        });
    }

    fn close_each_idle(&mut self, close: impl Fn(Connection)) {
        let must_wait = matches!(&self.standing, Standing::Watched { idle, .. } if idle.len() < self.open);
        if must_wait || self.check().is_err() {
            return;
        }
        let idle = self.idle().map(mem::take).unwrap_or_default();
        let count = idle.len();
        idle.into_iter().for_each(close);
        self.were_closed(count);
    }

    /// SQLite keeps a closed connection's descriptor while another connection has a lock. Where none is open, none is kept.
    fn were_closed(&mut self, count: usize) {
        self.open -= count;
        if let Standing::Watched { left, .. } = &mut self.standing {
            let here = if self.open > 0 { presence::here(self.id).unwrap_or_default() } else { 0 };
            *left = here.saturating_sub(self.open);
        }
    }

    /// Whether any connection of ours is open.
    #[cfg(feature = "shared-sqlite")]
    pub(super) fn is_open(&self) -> bool {
        self.open > 0
    }

    /// Whether there is nothing more to know about it.
    pub(super) fn is_done_with(&self) -> bool {
        let nothing_left = !matches!(self.standing, Standing::Watched { left: 1.., .. });
        self.users == 0 && self.open == 0 && nothing_left
    }

    fn idle(&mut self) -> Option<&mut Vec<Connection>> {
        match &mut self.standing {
            Standing::Trusted { idle } | Standing::Watched { idle, .. } => Some(idle),
            Standing::Lost | Standing::Forked => None,
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A store in a folder that goes with it, and how we stand with its file.
    fn watched() -> (File, PathBuf, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("runs.db");
        Connection::open(&path).expect("a store").execute_batch("CREATE TABLE runs (id)").expect("a table");
        let id = presence::file_id(&fs::metadata(&path).expect("it is there"));
        (File::new(id, Copies::Unknown), path, folder)
    }

    fn take(file: &mut File, path: &PathBuf) -> Connection {
        file.take().expect("nobody else has it open").unwrap_or_else(|| {
            let connection = Connection::open(path).expect("it opens");
            // SQLite opens the file at the first statement.
            connection.query_row("SELECT count(*) FROM runs", [], |_| Ok(())).expect("it can be read");
            connection
        })
    }

    #[test]
    fn another_descriptor_refuses_for_as_long_as_nothing_of_ours_is_open() {
        let (mut file, path, _folder) = watched();
        let another = fs::File::open(&path).expect("it opens");
        assert!(matches!(file.take(), Err(Refusal::OpenHere)));
        drop(another);
        let connection = take(&mut file, &path);
        assert!(file.give_back(connection, true).is_none());
        file.close_idle();
        assert!(file.is_done_with());
    }

    #[test]
    fn another_descriptor_beside_ours_refuses_for_good_until_the_host_promises() {
        let (mut file, path, _folder) = watched();
        let [in_use, idle] = [take(&mut file, &path), take(&mut file, &path)];
        assert!(file.give_back(idle, true).is_none());
        let another = fs::File::open(&path).expect("it opens");
        assert!(matches!(file.check(), Err(Refusal::OpenHere)));
        drop(another);
        assert!(matches!(file.check(), Err(Refusal::OpenHere)), "locks were lost meanwhile");
        assert!(file.give_back(in_use, true).is_none());
        file.close_idle();
        assert_eq!(presence::here(file.id).expect("they can be listed"), 2, "ours are left open");
        assert!(!file.is_done_with());

        file.trust();
        let connection = take(&mut file, &path);
        assert!(file.give_back(connection, true).is_none());
        file.close_idle();
        assert_eq!(presence::here(file.id).expect("they can be listed"), 2);
    }

    #[test]
    fn a_parents_connections_are_left_to_it_whatever_is_promised() {
        let (mut file, path, _folder) = watched();
        let in_use = take(&mut file, &path);
        file.leave_to_the_parent();
        file.trust();
        assert!(matches!(file.take(), Err(Refusal::Forked)));
        assert!(file.give_back(in_use, true).is_none());
        assert_eq!(presence::here(file.id).expect("they can be listed"), 1);
    }

    #[test]
    fn where_another_copy_may_come_connections_are_closed_all_together() {
        let (mut file, path, _folder) = watched();
        let [in_use, idle] = [take(&mut file, &path), take(&mut file, &path)];
        assert!(file.give_back(idle, true).is_none());
        file.close_idle();
        assert_eq!(presence::here(file.id).expect("they can be listed"), 2);
        assert!(file.give_back(in_use, true).is_none());
        file.close_idle();
        assert_eq!(presence::here(file.id).expect("they can be listed"), 0);
    }
}
