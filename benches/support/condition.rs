//! How a store is found by a search: in the system's cache, on the disk alone, or with its host at work in it.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::measure::{time, time_warm};
use super::store::{self, Kind};

/// 200 runs a second, each durable by itself.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, PartialEq)]
pub enum Condition {
    /// It was read a moment ago.
    Warm,
    /// Nothing of it is in the system's cache.
    Cold,
    /// A host commits a run every 5 ms, and the write-ahead log is never brought back into the store.
    Written,
}

impl Condition {
    /// What stands behind a row's name.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Warm => "",
            Condition::Cold => ", cold",
            Condition::Written => ", a host writes",
        }
    }

    /// A store of so many runs, and the host that is at work in it as long as this is there.
    pub fn store(self, runs: usize) -> (PathBuf, Option<Writer>) {
        let kept = store::kept(Kind::History, runs);
        if self != Condition::Written {
            return (kept, None);
        }
        let copy = kept.with_extension("written.db");
        fs::copy(&kept, &copy).expect("a copy of the store");
        (copy.clone(), Some(Writer::start(copy)))
    }

    pub fn time<T>(self, store: &Path, work: impl FnMut() -> T) -> Duration {
        if self != Condition::Cold {
            return time_warm(work);
        }
        let file = File::open(store).expect("the store");
        // SAFETY: the descriptor is open as long as `file` is; the advice touches no memory of this process.
        let refused = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        assert_eq!(refused, 0, "the system keeps the store in its cache");
        time(work)
    }
}

/// A host at work.
pub struct Writer {
    store: PathBuf,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(store: PathBuf) -> Writer {
        let connection = Connection::open(&store).expect("the copy");
        connection
            .execute_batch("PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 0")
            .expect("settings of a host that never checkpoints");
        connection.busy_timeout(Duration::from_secs(60)).expect("a setting");
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let thread = thread::spawn(move || {
            let begun = Instant::now();
            for number in 0.. {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                write(&connection, number);
                thread::sleep((begun + PAUSE * (number + 1)).saturating_duration_since(Instant::now()));
            }
        });
        Writer { store, ended, thread: Some(thread) }
    }
}

/// A run that has succeeded, of a task that the store has.
fn write(connection: &Connection, number: u32) {
    connection
        .prepare_cached(
            "INSERT INTO runs (id, task_name, status, end_reason, triggered_by, created_at)
             VALUES (?1, 'report-00019', 'ended', 'succeeded', 'cron', ?2)",
        )
        .and_then(|mut insert| {
            let created_at = store::newest().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            insert.execute(params![format!("written-{number:09}"), created_at])
        })
        .expect("a run is written");
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
        for ending in ["db", "db-wal", "db-shm"] {
            let _ = fs::remove_file(self.store.with_extension(ending));
        }
    }
}
