//! Big stores in RunWisp's newest layout, always the same for the same size, made once and kept.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bulk_rerun::contract::Instant;
use chrono::{DateTime, SecondsFormat, TimeDelta};
use rusqlite::{Connection, params};

/// RunWisp's schema; its indexes are made after the rows, which is several times quicker.
const SCHEMA: &str = include_str!("../../tests/support/schemas/runwisp-3-is-failure.sql");

/// Goes up when the same size would make other rows: older stores are then made anew.
const VERSION: u32 = 1;

/// How many tasks the runs of a [`Kind::History`] are of.
const TASKS: usize = 1_000;

/// How far back a store goes, in milliseconds.
const SPAN: i64 = 90 * 24 * 60 * 60 * 1_000;

/// What is in a store.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "the benches use all of it, the test of the memory one kind")]
pub enum Kind {
    /// 90 days of a runner's work: 1,000 tasks, some far busier than others, and few failures.
    History,
    /// Failed runs alone, each of a task of its own.
    Failures,
}

/// When the newest run of a store was created.
pub fn newest() -> Instant {
    DateTime::from_timestamp_millis(1_790_812_800_000).expect("a time in range")
}

/// A store of so many runs, from the folder of kept ones.
pub fn kept(kind: Kind, runs: usize) -> PathBuf {
    let folder = folder();
    let path = folder.join(format!("v{VERSION}-{kind:?}-{runs}.db").to_lowercase());
    if !path.exists() {
        // Its name appears when it is whole, so that an interrupted run leaves no half of one.
        let unfinished = path.with_extension(format!("{}.unfinished", std::process::id()));
        generate(&unfinished, kind, runs);
        fs::rename(&unfinished, &path).expect("the store gets its name");
    }
    path
}

/// Where stores are kept: beside what cargo builds, gone with `cargo clean`.
pub fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench-stores");
    fs::create_dir_all(&folder).expect("a folder for the stores");
    folder
}

fn generate(path: &Path, kind: Kind, runs: usize) {
    let _ = fs::remove_file(path);
    let mut connection = Connection::open(path).expect("a new store");
    connection
        .execute_batch("PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA cache_size = -200000;")
        .expect("settings for a quick start");
    let (table, indexes) = SCHEMA.split_at(SCHEMA.find("CREATE UNIQUE INDEX").expect("the schema has indexes"));
    connection.execute_batch(table).expect("the table of runs");
    insert(&mut connection, kind, runs);
    progress(runs, "indexes");
    connection.execute_batch(indexes).expect("the indexes");
    connection.pragma_update(None, "journal_mode", "wal").expect("WAL, as RunWisp keeps it");
    connection.close().expect("the store is whole");
    progress(runs, "done\n");
}

fn insert(connection: &mut Connection, kind: Kind, runs: usize) {
    let mut random = fastrand::Rng::with_seed(1);
    let tasks = Tasks::new(kind, runs);
    let transaction = connection.transaction().expect("a transaction");
    let mut insert = transaction
        .prepare(
            "INSERT INTO runs (id, execution_id, task_name, status, end_reason, exit_code, started_at, ended_at,
                               triggered_by, created_at, retry_attempt, params_json, deleted_at, is_failure)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .expect("the schema's own columns");
    for index in 0..runs {
        if index % 100_000 == 0 {
            progress(runs, &format!("{}%", index * 100 / runs));
        }
        let task = tasks.draw(index, &mut random);
        // 3 % are back-dated up to a minute: a run that waited in a queue is inserted late.
        let late = if random.u8(..100) < 3 { random.i64(0..60_000) } else { 0 };
        let since_first = SPAN * index as i64 / runs as i64;
        let at = newest() - TimeDelta::milliseconds(SPAN - since_first + late);
        let (end_reason, exit_code) = match (kind, random.u8(..100)) {
            (Kind::Failures, _) | (_, 0..5) => ("failed", [1, 1, 1, 2, 127, 137][random.usize(..6)]),
            (_, 5) => ("crashed", -2),
            (_, 6) => ("timeout", -1),
            _ => ("succeeded", 0),
        };
        // The newest few of a history are still at work.
        let status = match kind {
            Kind::History if index + 10 >= runs => "running",
            _ => "ended",
        };
        let ended = status == "ended";
        let started = at + TimeDelta::milliseconds(random.i64(1..2_000));
        let end = started + TimeDelta::milliseconds(random.i64(10..600_000));
        let deleted = matches!(kind, Kind::History) && random.u8(..100) < 2;
        let triggered_by = match (tasks.is_service(task), random.u8(..100)) {
            (true, _) => "service",
            (_, 0..20) => "api",
            (_, 20..25) => "ui",
            _ => "cron",
        };
        let params = (random.u8(..100) < 90).then(|| {
            let day = at.date_naive();
            format!(r#"{{"day":"{day}","region":"eu-west-{}","batch":"{}"}}"#, random.u8(1..4), random.u32(..))
        });
        insert
            .execute(params![
                ulid::Ulid::from_parts(at.timestamp_millis() as u64, random.u128(..)).to_string(),
                uuid(&mut random),
                tasks.name(task),
                status,
                ended.then_some(end_reason),
                if ended { exit_code } else { 0 },
                text(started),
                ended.then(|| text(end)),
                triggered_by,
                text(at),
                i64::from(random.u8(..100) < 3),
                params,
                deleted.then(|| text(end)),
                ended && end_reason != "succeeded",
            ])
            .expect("a run of its own id");
    }
    drop(insert);
    transaction.commit().expect("the runs last");
}

/// The names of the tasks, and which of them a run is of.
struct Tasks {
    names: Vec<String>,
    /// For each task how likely a run is of it or of one before it; none where each run has its own.
    cumulative: Vec<f64>,
}

impl Tasks {
    fn new(kind: Kind, runs: usize) -> Tasks {
        let count = match kind {
            Kind::History => TASKS,
            Kind::Failures => runs,
        };
        let words = ["backup", "export", "import", "invoice", "mail", "report", "sync"];
        let names = (0..count).map(|task| format!("{}-{task:05}", words[task % words.len()])).collect();
        // Zipf: the second task has half the runs of the first, the third a third.
        let mut sum = 0.0;
        let mut cumulative = Vec::new();
        if matches!(kind, Kind::History) {
            cumulative.extend((1..=count).map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            }));
        }
        Tasks { names, cumulative }
    }

    fn draw(&self, index: usize, random: &mut fastrand::Rng) -> usize {
        match self.cumulative.last() {
            Some(sum) => {
                let point = random.f64() * sum;
                self.cumulative.partition_point(|&upto| upto < point).min(self.names.len() - 1)
            }
            None => index,
        }
    }

    fn name(&self, task: usize) -> &str {
        &self.names[task]
    }

    /// 2 % of a history's tasks are long-running services.
    fn is_service(&self, task: usize) -> bool {
        !self.cumulative.is_empty() && task % 50 == 49
    }
}

/// Times as RunWisp's newest versions write them.
fn text(at: Instant) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn uuid(random: &mut fastrand::Rng) -> String {
    let bits = random.u128(..);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xffff,
        bits >> 64 & 0xffff,
        bits >> 48 & 0xffff,
        bits & 0xffff_ffff_ffff
    )
}

fn progress(runs: usize, text: &str) {
    eprint!("\rmaking a store of {runs} runs: {text:<10}");
    let _ = std::io::stderr().flush();
}
