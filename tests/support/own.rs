//! A runner of nobody's, in an SQLite store: one table `job` in many shapes, and the profile for it.
//!
//! Ids repeat over its queues, columns have declared types or none, and triggers of the host's decline, swallow, rename or
//! end new rows.

pub mod case;
mod rows;

use std::path::PathBuf;

use proptest::prelude::*;
use rusqlite::Connection;

use super::fast_folder;
use super::model::{Act, Fate, Ids};

/// How a column is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Declared {
    Untyped,
    Text,
    /// Equal to the engine, whatever the case.
    NoCase,
    Blob,
    Integer,
}

impl Declared {
    fn sql(self) -> &'static str {
        match self {
            Declared::Untyped => "",
            Declared::Text => "TEXT",
            Declared::NoCase => "TEXT COLLATE NOCASE",
            Declared::Blob => "BLOB",
            Declared::Integer => "INTEGER",
        }
    }
}

/// The statement that starts a run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spawn {
    /// It inserts `:task_name` and `:params`.
    Values,
    /// It copies the source run's row.
    Copies,
    /// It copies the row and returns the id that it has made.
    Returns,
    /// The same without the parameters, which the next one of a list copies.
    Several,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    None,
    Primary,
    Index,
}

/// What a store looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    pub task: Declared,
    pub id: Declared,
    pub params: Declared,
    pub key: Key,
    pub spawn: Spawn,
    /// The view has every column; else only those that it must have, and the times, end reasons and parameters.
    pub whole: bool,
    /// The view joins a table that may have several rows for a run.
    pub joined: bool,
    /// The table has the host's triggers.
    pub triggers: bool,
    pub wal: bool,
}

pub fn shapes() -> impl Strategy<Value = Shape> {
    use Declared::{Blob, Integer, NoCase, Text, Untyped};
    let columns = (
        prop::sample::select(vec![Untyped, Text, NoCase, Blob]),
        prop::sample::select(vec![Untyped, Text, NoCase, Blob, Integer]),
        prop::sample::select(vec![Untyped, Text, Blob]),
        prop::sample::select(vec![Key::None, Key::Primary, Key::Index]),
        prop::sample::select(vec![Spawn::Values, Spawn::Copies, Spawn::Returns, Spawn::Several]),
    );
    let rest = (prop::bool::weighted(0.9), any::<bool>(), any::<bool>(), prop::bool::weighted(0.8));
    (columns, rest).prop_map(|((task, id, params, key, spawn), (whole, joined, triggers, wal))| Shape {
        task,
        id,
        params,
        key,
        spawn,
        whole,
        joined,
        triggers,
        wal,
    })
}

impl Shape {
    fn schema(&self) -> String {
        let key = match self.key {
            Key::Primary => ", PRIMARY KEY (queue, id)",
            _ => "",
        };
        let index = match self.key {
            Key::Index => "CREATE INDEX job_id ON job (id);",
            _ => "",
        };
        let triggers = if self.triggers { TRIGGERS } else { "" };
        let [task, id, params] = [self.task, self.id, self.params].map(Declared::sql);
        format!(
            "CREATE TABLE job (queue {task}, id {id}, state TEXT, reason TEXT, code INTEGER, origin TEXT, created,
                 tries INTEGER, payload {params}, mark INTEGER, why TEXT, removed TEXT{key});
             {index}
             CREATE TABLE tag (job INTEGER, word TEXT);
             CREATE INDEX tag_job ON tag (job);
             CREATE TABLE rule (queue BLOB, act TEXT);
             {triggers}"
        )
    }

    /// The profile's text.
    fn profile(&self) -> String {
        let from = if self.joined { "job LEFT JOIN tag ON tag.job = job.rowid" } else { "job" };
        let more = match self.whole {
            true => {
                ", job.code AS exit_code, job.origin AS triggered_by, job.tries AS retry_attempt,
                 job.mark AS is_failure, job.why AS unfit, job.removed IS NOT NULL AS deleted"
            }
            false => "",
        };
        let spawn = match self.spawn {
            Spawn::Several => {
                let first = self
                    .copy(&self.next_id(), "RETURNING id")
                    .replace(", payload", ", NULL")
                    .replace("NULL)", "payload)");
                let one = |id| format!("queue = :task_name COLLATE BINARY AND id = {id} COLLATE BINARY");
                format!(
                    "{first}\n''', '''\nUPDATE job SET payload = (SELECT payload FROM job WHERE {}) WHERE {}",
                    one(":id"),
                    one(":new_run")
                )
            }
            Spawn::Values => "INSERT INTO job (queue, id, state, created, tries, payload)
                 VALUES (:task_name, :new_id, 'pending', :now, 0, :params)"
                .to_owned(),
            Spawn::Copies => self.copy(":new_id", ""),
            Spawn::Returns => self.copy(&self.next_id(), "RETURNING id"),
        };
        format!(
            "name = 'own'\nrunner = 'Own'\nengine = 'sqlite'\n\n[[generation]]\n\
             requires.job = ['queue', 'id', 'state', 'reason', 'created', 'payload']\n\
             runs = '''\nSELECT job.id AS id, job.queue AS task_name, job.state AS phase, job.reason AS end_reason,\n\
             job.created AS created_at, job.payload AS params{more}\nFROM {from}\n'''\nspawn = ['''\n{spawn}\n''']\n"
        )
    }

    fn copy(&self, id: &str, end: &str) -> String {
        format!(
            "INSERT INTO job (queue, id, state, created, tries, payload)
             SELECT queue, {id}, 'pending', :now, 0, payload
             FROM job WHERE queue = :task_name COLLATE BINARY AND id = :id COLLATE BINARY {end}"
        )
    }

    /// Numbers of a queue's own, beyond those that are there; or words.
    fn next_id(&self) -> String {
        let of_queue = match self.task {
            Declared::NoCase => "true",
            _ => "CAST(other.queue AS BLOB) = CAST(:task_name AS BLOB)",
        };
        match self.id {
            Declared::Text | Declared::NoCase => "'new-' || hex(randomblob(8))".to_owned(),
            Declared::Blob => "CAST('new-' || hex(randomblob(8)) AS BLOB)".to_owned(),
            Declared::Untyped | Declared::Integer => format!(
                "(SELECT coalesce(max(other.id), 999) + 1 FROM job AS other
                  WHERE typeof(other.id) = 'integer' AND other.id >= 1000 AND {of_queue})"
            ),
        }
    }

    pub fn fate(&self, act: Act) -> Fate {
        // SQLite returns an id as it was before the triggers that come after.
        let ids = match self.spawn {
            Spawn::Returns | Spawn::Several => Ids::Returned,
            Spawn::Values | Spawn::Copies => Ids::Ours,
        };
        act.fate(ids, false)
    }
}

/// What happens is in the table `rule`, by the bytes of the queue's name.
const TRIGGERS: &str = "
    CREATE TRIGGER declines BEFORE INSERT ON job
    WHEN EXISTS (SELECT 1 FROM rule WHERE rule.queue = CAST(NEW.queue AS BLOB) AND act = 'Declines')
    BEGIN SELECT RAISE(ABORT, 'the queue is closed'); END;
    CREATE TRIGGER swallows BEFORE INSERT ON job
    WHEN EXISTS (SELECT 1 FROM rule WHERE rule.queue = CAST(NEW.queue AS BLOB) AND act = 'Swallows')
    BEGIN SELECT RAISE(IGNORE); END;
    CREATE TRIGGER renames AFTER INSERT ON job
    WHEN EXISTS (SELECT 1 FROM rule WHERE rule.queue = CAST(NEW.queue AS BLOB) AND act = 'Renames')
    BEGIN UPDATE job SET id = 'renamed-' || hex(randomblob(8)) WHERE rowid = NEW.rowid; END;
    CREATE TRIGGER ends AFTER INSERT ON job
    WHEN EXISTS (SELECT 1 FROM rule WHERE rule.queue = CAST(NEW.queue AS BLOB) AND act = 'Ends')
    BEGIN UPDATE job SET state = 'ended', reason = 'failed' WHERE rowid = NEW.rowid; END;
    CREATE TRIGGER hides AFTER INSERT ON job
    WHEN EXISTS (SELECT 1 FROM rule WHERE rule.queue = CAST(NEW.queue AS BLOB) AND act = 'Hides')
    BEGIN UPDATE job SET removed = 'at once' WHERE rowid = NEW.rowid; END;";

/// A store of one shape, in a folder of its own.
pub struct OwnStore {
    pub shape: Shape,
    pub path: PathBuf,
    pub profile: PathBuf,
    _folder: tempfile::TempDir,
}

impl OwnStore {
    pub fn new(shape: Shape) -> OwnStore {
        let folder = fast_folder();
        let (path, profile) = (folder.path().join("own.db"), folder.path().join("own.toml"));
        std::fs::write(&profile, shape.profile()).unwrap();
        let store = OwnStore { shape, path, profile, _folder: folder };
        let connection = store.connect();
        connection.pragma_update(None, "journal_mode", if shape.wal { "wal" } else { "delete" }).unwrap();
        connection.execute_batch(&shape.schema()).unwrap();
        store
    }

    pub fn connect(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        connection.pragma_update(None, "synchronous", "off").unwrap();
        connection
    }
}

/// The word that a trigger knows an act by.
fn word(act: Act) -> String {
    format!("{act:?}")
}
