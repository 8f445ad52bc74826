//! How this process stands with one store's file, and which connections of ours are open on it.

use std::{io, mem};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::super::loaders;
use super::super::presence::{self, FileId};

/// How many connections to a file are kept while nobody uses them: as many as callers usually come at once.
const KEPT_MAX: usize = 8;

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
    /// Our connections to it: those in use, those that rest, and those that are left alone for good.
    open: usize,
    standing: Standing,
}

/// What may be done with the connections.
enum Standing {
    /// Anything: there is one copy of SQLite, and it knows of all the locks.
    Trusted(Resting),
    /// Anything, as long as the host has the file open in a connection that has loaded us, or every descriptor on it is
    /// an open connection's of ours: one more is another copy's. Connections are closed all together, when none is in use.
    /// (SQLite would keep the descriptor of one that is closed before, and close it later.)
    Watched(Resting),
    /// Nothing: another copy came while they were open. Closing one would drop the other's locks, and going on is unsafe,
    /// since the other drops ours. It ends when the host says that there is one copy after all.
    Lost,
    /// Nothing, for good: they are the parent's, in a process that was forked in the middle of a call.
    Forked,
}

/// Connections that nobody is using.
#[derive(Default)]
struct Resting {
    of_use: Vec<Connection>,
    of_no_use: Vec<Connection>,
}

impl Resting {
    fn count(&self) -> usize {
        self.of_use.len() + self.of_no_use.len()
    }

    fn all(self) -> impl Iterator<Item = Connection> {
        self.of_no_use.into_iter().chain(self.of_use)
    }
}

impl File {
    pub(super) fn new(id: FileId, copies: Copies) -> Self {
        let standing = match copies {
            Copies::One => Standing::Trusted(Resting::default()),
            Copies::Unknown => Standing::Watched(Resting::default()),
        };
        File { id, users: 0, open: 0, standing }
    }

    /// What the host says of a file for one plugin holds for every other one on it.
    pub(super) fn trust(&mut self) {
        let resting = match &mut self.standing {
            Standing::Watched(resting) => mem::take(resting),
            Standing::Lost => Resting::default(),
            Standing::Trusted(_) | Standing::Forked => return,
        };
        self.standing = Standing::Trusted(resting);
    }

    /// Whether it may be used now. Where connections of ours are open when it may not, they are lost.
    pub(super) fn check(&mut self) -> Result<(), Refusal> {
        match self.standing {
            Standing::Trusted(_) => Ok(()),
            Standing::Lost => Err(Refusal::OpenHere),
            Standing::Forked => Err(Refusal::Forked),
            Standing::Watched(_) if loaders::have_open(self.id) => Ok(()),
            Standing::Watched(_) => {
                if presence::here(self.id).map_err(Refusal::Unknown)? <= self.open {
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
        if let Some(resting) = self.resting() {
            mem::take(resting).all().for_each(mem::forget);
        }
        self.standing = standing;
    }

    /// A connection that rests; where there is none, the caller opens one, which counts from now on: a descriptor that is
    /// not counted would seem to be another's.
    pub(super) fn take(&mut self) -> Result<Option<Connection>, Refusal> {
        self.check()?;
        let resting = self.resting().and_then(|resting| resting.of_use.pop());
        self.open += usize::from(resting.is_none());
        Ok(resting)
    }

    /// The one that the caller was to open could not be opened.
    pub(super) fn was_not_opened(&mut self) {
        self.open -= 1;
    }

    /// Lets a connection rest, if it may ever be closed.
    pub(super) fn give_back(&mut self, connection: Connection, is_of_use: bool) {
        match self.resting() {
            Some(resting) if is_of_use => resting.of_use.push(connection),
            Some(resting) => resting.of_no_use.push(connection),
            None => mem::forget(connection),
        }
    }

    /// Whether connections have to be closed, and none is in use. Where another copy may be at work, none rests for long: its
    /// next close would take the locks away that a resting one holds, and that the host's own connections believe in.
    pub(super) fn has_to_close(&self) -> bool {
        match &self.standing {
            Standing::Trusted(resting) => {
                resting.count() == self.open && (!resting.of_no_use.is_empty() || resting.of_use.len() > KEPT_MAX)
            }
            Standing::Watched(resting) => resting.count() == self.open,
            Standing::Lost | Standing::Forked => false,
        }
    }

    /// Closes the connections that rest.
    pub(super) fn close_resting(&mut self) {
        self.close_each(drop);
    }

    /// The same while the process is about to be forked, which is no time to copy a log into its database.
    pub(super) fn close_resting_in_a_hurry(&mut self) {
        self.close_each(|connection| {
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        });
    }

    fn close_each(&mut self, close: impl Fn(Connection)) {
        let must_wait = matches!(&self.standing, Standing::Watched(resting) if resting.count() < self.open);
        if must_wait || self.check().is_err() {
            return;
        }
        let resting = self.resting().map(mem::take).unwrap_or_default();
        self.open -= resting.count();
        resting.all().for_each(close);
    }

    /// Whether the copy of SQLite must stay: a connection is open, or the host has promised that this is its copy.
    #[cfg(feature = "shared-sqlite")]
    pub(super) fn needs_its_copy(&self) -> bool {
        self.open > 0 || matches!(self.standing, Standing::Trusted(_))
    }

    /// Whether there is nothing more to know about it.
    pub(super) fn is_done_with(&self) -> bool {
        self.users == 0 && self.open == 0
    }

    fn resting(&mut self) -> Option<&mut Resting> {
        match &mut self.standing {
            Standing::Trusted(resting) | Standing::Watched(resting) => Some(resting),
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
        file.give_back(connection, true);
        file.close_resting();
        assert!(file.is_done_with());
    }

    #[test]
    fn another_descriptor_beside_ours_refuses_for_good_until_the_host_promises() {
        let (mut file, path, _folder) = watched();
        let [in_use, resting] = [take(&mut file, &path), take(&mut file, &path)];
        file.give_back(resting, true);
        let another = fs::File::open(&path).expect("it opens");
        assert!(matches!(file.check(), Err(Refusal::OpenHere)));
        drop(another);
        assert!(matches!(file.check(), Err(Refusal::OpenHere)), "locks were lost meanwhile");
        file.give_back(in_use, true);
        file.close_resting();
        assert_eq!(presence::here(file.id).expect("they can be listed"), 2, "ours are left open");
        assert!(!file.is_done_with());

        file.trust();
        let connection = take(&mut file, &path);
        file.give_back(connection, true);
        file.close_resting();
        assert_eq!(presence::here(file.id).expect("they can be listed"), 2);
    }

    #[test]
    fn a_parents_connections_are_left_to_it_whatever_is_promised() {
        let (mut file, path, _folder) = watched();
        let in_use = take(&mut file, &path);
        file.leave_to_the_parent();
        file.trust();
        assert!(matches!(file.take(), Err(Refusal::Forked)));
        file.give_back(in_use, true);
        assert_eq!(presence::here(file.id).expect("they can be listed"), 1);
    }

    #[test]
    fn where_another_copy_may_come_connections_are_closed_all_together() {
        let (mut file, path, _folder) = watched();
        let [in_use, resting] = [take(&mut file, &path), take(&mut file, &path)];
        file.give_back(resting, true);
        file.close_resting();
        assert_eq!(presence::here(file.id).expect("they can be listed"), 2);
        file.give_back(in_use, true);
        file.close_resting();
        assert_eq!(presence::here(file.id).expect("they can be listed"), 0);
    }
}
