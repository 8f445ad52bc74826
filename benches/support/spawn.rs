//! How long it takes to find 10,000 failed runs, each of a task of its own, and to start each again, durably.
//!
//! Every turn works on a fresh copy of the same store that the disk has already, with connections
//! that are open: copying and opening are not counted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bulk_rerun::{Config, Plugin};
use rusqlite::Connection;

use super::apart::{Apart, Work};
use super::measure::{Contender, take_turns, time};
use super::peer::{NewRun, Synchronous, insert_all};
use super::report::{Report, Row};
use super::store::{self, Kind};

const REQUEST: &[u8] = br#"{"match_all": true, "filter": {"status": "failed"}}"#;

/// `with_peer`: beside the peer as well.
pub fn bench(runs: usize, with_peer: bool, report: &mut Report) {
    let store = store::kept(Kind::Failures, runs);
    let rows = new_runs(&store);
    assert_eq!(rows.len(), runs);
    let ours = || ours(&store, runs, false);
    let bare = || {
        on_a_copy(&store, |copy| {
            let mut connection = Connection::open(copy).expect("the copy");
            connection.pragma_update(None, "synchronous", "full").expect("a setting");
            time(|| insert_all(&mut connection, &rows))
        })
    };

    eprintln!("spawning {runs} runs: ours and a bare loop of inserts");
    let times = take_turns(vec![Box::new(ours), Box::new(bare)]);
    let name = |what: &str| format!("spawn {runs}: {what}");
    report.add(&Row {
        name: name("a bare loop of inserts"),
        limit: Some(times.median(1)),
        ours: Some(times.median(0)),
        ours_to_limit: Some(times.ratio(0, 1)),
        goal: "ours / limit ≤ 1.3".to_owned(),
        ..Row::default()
    });
    if !with_peer {
        return;
    }
    for (synchronous, goal) in
        [(Synchronous::Full, "4: peer / ours ≥ 80"), (Synchronous::Normal, "4: peer / ours ≥ 10")]
    {
        eprintln!("spawning {runs} runs: ours and the peer at {synchronous:?}");
        let mut apart = Apart::start(Work::Rerun(synchronous), &store, REQUEST);
        let contenders: Vec<Contender<'_>> = vec![Box::new(ours), Box::new(|| apart.turn())];
        let times = take_turns(contenders);
        report.add(&Row {
            name: name(&format!("the peer at {synchronous:?}")),
            peer: Some(times.median(1)),
            ours: Some(times.median(0)),
            peer_to_ours: Some(times.ratio(1, 0)),
            goal: goal.to_owned(),
            ..Row::default()
        });
    }
}

/// What it costs to write all of it down. The limit is the same re-run in a store without a ledger.
pub fn bench_ledger(runs: usize, report: &mut Report) {
    let store = store::kept(Kind::Failures, runs);
    eprintln!("spawning {runs} runs: with and without the ledger");
    let contenders: [Contender<'_>; 2] = [false, true].map(|ledger| {
        let store = &store;
        Box::new(move || ours(store, runs, ledger)) as Contender<'_>
    });
    let times = take_turns(contenders.into());
    report.add(&Row {
        name: format!("spawn {runs}: with the ledger"),
        limit: Some(times.median(0)),
        ours: Some(times.median(1)),
        ours_to_limit: Some(times.ratio(1, 0)),
        goal: "with / without ≤ 1.4".to_owned(),
        ..Row::default()
    });
}

/// One spawn, for who counts its instructions.
pub fn one(runs: usize, ledger: bool, count: fn(&Plugin, &[u8])) {
    on_a_copy(&store::kept(Kind::Failures, runs), |copy| {
        let plugin = Plugin::open(&Config { ledger, ..Config::new(copy) }).expect("the copy");
        time(|| count(&plugin, REQUEST))
    });
}

/// `ledger`: it is there before the call.
fn ours(store: &Path, runs: usize, ledger: bool) -> Duration {
    on_a_copy(store, |copy| {
        let plugin = Plugin::open(&Config { ledger, ..Config::new(copy) }).expect("the copy");
        let (took, answer) = timed(|| plugin.call(REQUEST).expect("an answer"));
        assert_eq!(answer.matches("run_id").count(), runs, "every task has its new run");
        took
    })
}

/// The rows that a re-run of every task would insert, in the same order.
fn new_runs(store: &Path) -> Vec<NewRun> {
    let connection = Connection::open(store).expect("the store");
    let mut select = connection.prepare("SELECT task_name, params_json FROM runs ORDER BY task_name").expect("a query");
    let mut ids = ulid::Generator::new();
    let rows = select.query_map([], |row| {
        let id = ids.generate().expect("a new id").to_string();
        Ok(NewRun { id, task_name: row.get(0)?, params: row.get(1)? })
    });
    rows.and_then(|rows| rows.collect()).expect("the rows")
}

/// Works on a fresh copy of the store that the disk has already.
pub fn on_a_copy(store: &Path, work: impl FnOnce(&Path) -> Duration) -> Duration {
    let copy = Copy::of(store);
    work(&copy.0)
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let mut result = None;
    let took = time(|| result = Some(work()));
    (took, result.expect("the work is done"))
}

/// A copy of a store, gone with its side files when it is dropped.
struct Copy(PathBuf);

impl Copy {
    fn of(store: &Path) -> Copy {
        let path = store.with_extension(format!("copy-{}.db", std::process::id()));
        let copy = Copy(path);
        copy.remove();
        fs::copy(store, &copy.0).expect("a copy");
        // Else the first commit would wait for the copy's own pages.
        File::open(&copy.0).and_then(|file| file.sync_all()).expect("the disk has the copy");
        copy
    }

    fn remove(&self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut path = self.0.clone().into_os_string();
            path.push(suffix);
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.remove();
    }
}
