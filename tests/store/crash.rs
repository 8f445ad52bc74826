//! A process killed at any moment of a call leaves all of its new runs or none, and a sound store.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::support::calls::{all_failed, call, open};
use crate::support::{NEWEST, Row, Store, child};
use rusqlite::Connection;
use serde_json::{Value, json};

const RUNS: usize = 5_000;
const KILLS: usize = 40;
/// So many kills at most, if the first ones all fell on one side of the commit.
const KILLS_MAX: usize = 120;

fn every_run() -> Value {
    all_failed(json!({"unique_by": "run"}))
}

/// The command line tool in the middle of its call: it spawns a run for each failed one.
struct Caller {
    process: Child,
    output: JoinHandle<String>,
}

impl Caller {
    fn start(store: &Path) -> Caller {
        let mut process = child::rerun(&[], store.to_str().unwrap()).spawn().unwrap();
        process.stdin.take().unwrap().write_all(every_run().to_string().as_bytes()).unwrap();
        let mut pipe = process.stdout.take().unwrap();
        let output = thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        });
        Caller { process, output }
    }

    /// `kill -9`. Whether the caller had begun to read its answer by then.
    fn kill(mut self) -> bool {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.output.join().unwrap().contains("triggered")
    }

    /// Lets the call end. Whether the caller has its answer.
    fn finish(mut self) -> bool {
        self.process.wait().unwrap().success() && self.output.join().unwrap().contains("triggered")
    }
}

/// What the kills met.
#[derive(Debug, Default)]
struct Tally {
    before_commit: usize,
    /// Of these: a transaction was half written to the disk.
    half_written: usize,
    after_commit: usize,
    /// Of these: before the caller had its answer.
    unanswered: usize,
}

struct Experiment {
    store: Store,
    /// A copy of the store as it was at first.
    original: PathBuf,
    calls_committed: usize,
}

impl Experiment {
    fn new(journal_mode: &str) -> Experiment {
        let row =
            |number| Row::failed(&format!("{number:05}"), &format!("task {}", number % 97), "2026-04-15T12:00:00Z");
        let params = |number| Some(format!(r#"{{"number":{number}}}"#));
        let rows: Vec<_> = (0..RUNS).map(|number| row(number).with(|row| row.params_json = params(number))).collect();
        let store = Store::of_generation(NEWEST, journal_mode).holding(&rows);
        let original = store.path.with_file_name("original.db");
        store.open().execute("VACUUM INTO ?1", [original.to_str().unwrap()]).unwrap();
        Experiment { store, original, calls_committed: 0 }
    }

    /// Kills a child this long after its call began.
    fn kill_after(&mut self, delay: Duration, tally: &mut Tally) {
        let caller = Caller::start(&self.store.path);
        thread::sleep(delay);
        let answered = caller.kill();
        let half_written = self.has_half_a_transaction();
        let committed = self.check();
        match committed {
            true => {
                tally.after_commit += 1;
                tally.unanswered += usize::from(!answered);
            }
            false => {
                assert!(!answered, "an answered call has left nothing");
                tally.before_commit += 1;
                tally.half_written += usize::from(half_written);
            }
        }
    }

    /// Whether the kill left a journal to be played back, or a log with frames.
    fn has_half_a_transaction(&self) -> bool {
        let size = |name| fs::metadata(self.store.path.with_file_name(name)).map_or(0, |metadata| metadata.len());
        size("runwisp.db-journal") > 0 || size("runwisp.db-wal") > 0
    }

    /// The store is sound, every earlier row is as it was, and the last call's runs are all there
    /// or none. Whether they are there.
    fn check(&mut self) -> bool {
        assert_eq!(self.store.integrity(), "ok");
        let connection = self.store.open();
        connection.execute("ATTACH ?1 AS original", [self.original.to_str().unwrap()]).unwrap();
        let count = |sql: &str| -> usize {
            let count: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
            usize::try_from(count).unwrap()
        };
        let lost = "SELECT count(*) FROM (SELECT rowid, * FROM original.runs EXCEPT SELECT rowid, * FROM main.runs)";
        assert_eq!(count(lost), 0, "earlier rows have changed");

        let new = count("SELECT count(*) FROM runs") - RUNS;
        let calls = new / RUNS;
        assert_eq!(new % RUNS, 0, "half a call's runs");
        assert!(calls == self.calls_committed || calls == self.calls_committed + 1, "{calls}");
        assert_eq!(count(COPIES_OF_EACH_SOURCE), if calls == 0 { 0 } else { RUNS });
        assert_eq!(count("SELECT count(DISTINCT created_at) FROM runs WHERE triggered_by = 'api'"), calls);
        let committed = calls > self.calls_committed;
        self.calls_committed = calls;
        committed
    }

    /// What its host does now and then, lest the store grow without end.
    fn purge(&mut self) {
        let connection: Connection = self.store.open();
        connection.execute("DELETE FROM runs WHERE triggered_by = 'api'", []).unwrap();
        self.calls_committed = 0;
    }
}

/// How many source runs have been started again as often as every other, with their own parameters.
const COPIES_OF_EACH_SOURCE: &str = "
    SELECT count(*) FROM (
        SELECT task_name, params_json, count(*) AS copies FROM main.runs
        WHERE triggered_by = 'api' AND status = 'pending' GROUP BY task_name, params_json)
    JOIN original.runs AS source USING (task_name, params_json)
    WHERE copies = (SELECT count(DISTINCT created_at) FROM main.runs WHERE triggered_by = 'api')";

fn kill_at_every_moment(journal_mode: &str) {
    let mut experiment = Experiment::new(journal_mode);
    // A whole call, from its beginning to its answer.
    let begun = Instant::now();
    assert!(Caller::start(&experiment.store.path).finish());
    let duration = begun.elapsed();
    assert!(experiment.check());

    let mut tally = Tally::default();
    let mut kills = 0;
    while kills < KILLS || (kills < KILLS_MAX && (tally.before_commit == 0 || tally.after_commit == 0)) {
        // Evenly over the time that a call takes, and somewhat longer; each step with its own odd part. Where that was not long
        // enough, others have begun to work on this machine meanwhile.
        let fraction = (kills * 7 % KILLS) as f64 / KILLS as f64 * 1.3 * (1 + kills / KILLS) as f64;
        experiment.kill_after(duration.mul_f64(fraction), &mut tally);
        kills += 1;
        if kills % 8 == 0 {
            experiment.purge();
        }
    }
    println!("{journal_mode}: {kills} kills in {:?}, a call takes {duration:?}: {tally:?}", begun.elapsed());
    assert!(tally.before_commit > 0 && tally.after_commit > 0, "{tally:?}");

    let answer = call(&open(&experiment.store.path), &every_run()).unwrap();
    assert_eq!(answer["triggered"].as_array().unwrap().len(), RUNS);
    assert!(experiment.check());
}

#[test]
fn a_killed_call_is_all_or_nothing_in_wal() {
    kill_at_every_moment("wal");
}

#[test]
fn a_killed_call_is_all_or_nothing_with_a_rollback_journal() {
    kill_at_every_moment("delete");
}
