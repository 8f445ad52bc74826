//! `cargo bench --bench postgres`: new runs a second on PostgreSQL, beside the runners' own retries on the same server.
//!
//! Ours finds every failed run and starts each again (`unique_by: run`) in one durable transaction. pg-boss's own bulk
//! retry (`boss.retry(name, ids)`, after a SELECT of the failed ids) puts the same jobs back in their queue: an UPDATE
//! of rows where ours inserts new ones, whose foreign key the server checks. procrastinate's (`retry_job_by_id`, with the
//! ids at hand) takes one job at a time, so the larger numbers are left out. Each turn works on tables that were filled
//! anew; the median of some turns counts. Needs what `tests/run` installs.
//!
//! A second table says what the ledger costs: the same re-run in a database with one and in a database without. It alone is
//! `cargo bench --bench postgres -- ledger`.
//!
//! A third one has searches beside SQL by hand (`support/by_hand.rs`); it alone is `-- searches`, in a store of another size
//! `-- searches --runs 10000000`. With `--quick` everything is small, and takes less than a minute.

#[path = "support/by_hand.rs"]
mod by_hand;
#[path = "../tests/support/postgres.rs"]
mod postgres;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use bulk_rerun::{Config, Plugin};
use comfy_table::{CellAlignment, Table, presets};

use postgres::{Database, Kind, Server};

/// The words that ask for one table alone.
const LEDGER: &str = "ledger";
const SEARCHES: &str = "searches";

/// How much is done for a figure.
struct Effort {
    /// Failed jobs that are re-run.
    sizes: &'static [u32],
    /// Jobs in the store that is searched.
    runs: u32,
    turns: usize,
}

const FULL: Effort = Effort { sizes: &[1_000, 10_000, 100_000], runs: 1_000_000, turns: 7 };
const QUICK: Effort = Effort { sizes: &[1_000], runs: 100_000, turns: 3 };

/// How many runs are re-run with the ledger and without.
const WRITTEN_DOWN: u32 = 10_000;

/// More jobs than this are not retried one by one.
const ONE_BY_ONE_MAX: u32 = 10_000;

const REQUEST: &[u8] = br#"{"match_all": true, "filter": {"status": "failed"}, "options": {"unique_by": "run"}}"#;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    if !has("--bench") {
        return println!("these are benches: `cargo bench --bench postgres`");
    }
    let effort = if has("--quick") { QUICK } else { FULL };
    let runs = arguments.iter().skip_while(|argument| *argument != "--runs").nth(1);
    let runs = runs.map_or(effort.runs, |runs| runs.parse().expect("--runs takes a number"));
    let effort = Effort { runs, ..effort };
    let server: &'static Server = Box::leak(Box::new(Server::start(Kind::Durable)));
    let only_one = has(LEDGER) || has(SEARCHES);
    if !only_one {
        println!("{}", beside_the_runners(server, &effort));
    }
    if !only_one || has(LEDGER) {
        println!("{}", with_the_ledger(server, &effort));
    }
    if !only_one || has(SEARCHES) {
        println!("{}", by_hand::beside_sql(&PG_BOSS.set_up(server), effort.runs, effort.turns));
    }
}

fn table(header: [&str; 5]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    for index in 1..4 {
        let column = table.column_mut(index).expect("the header has it");
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn beside_the_runners(server: &'static Server, effort: &Effort) -> Table {
    let mut table = table(["failed jobs", "its own retry, jobs/s", "ours, new runs/s", "ours / its own", "goal"]);
    for (runner, goal) in [(&PG_BOSS, 1.0), (&PROCRASTINATE, 20.0)] {
        let database = runner.set_up(server);
        for &size in effort.sizes {
            eprintln!("{}: {size} jobs", runner.name);
            let (mut peer, mut ours) = (Vec::new(), Vec::new());
            for _ in 0..effort.turns {
                if size <= runner.peer_max {
                    database.client().execute(&runner.fill(size));
                    peer.push(f64::from(size) / runner.retry(&database));
                }
                database.client().execute(&runner.fill(size));
                ours.push(f64::from(size) / rerun(&database, size));
            }
            let ours = middle(&mut ours).expect("we always take our turns");
            let peer = middle(&mut peer);
            table.add_row([
                format!("{} {size}", runner.name),
                peer.map_or_else(String::new, |peer| format!("{peer:.0}")),
                format!("{ours:.0}"),
                peer.map_or_else(String::new, |peer| format!("{:.2}×", ours / peer)),
                format!("≥ {goal}×"),
            ]);
        }
    }
    table
}

/// How much longer a re-run takes that is written down.
fn with_the_ledger(server: &'static Server, effort: &Effort) -> Table {
    let mut table = table(["new runs", "no ledger, runs/s", "a ledger, runs/s", "a ledger / none, time", "goal"]);
    for runner in [&PG_BOSS, &PROCRASTINATE] {
        let [without, with] = [(); 2].map(|()| runner.set_up(server));
        Plugin::open(&Config { ledger: true, ..Config::new(&with.url) }).expect("a ledger");
        let fill = runner.fill(WRITTEN_DOWN);
        let fill_both = format!("TRUNCATE bulk_rerun.operations, bulk_rerun.runs; {fill}");
        eprintln!("{}: {WRITTEN_DOWN} jobs, with and without the ledger", runner.name);
        let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        for turn in 0..effort.turns {
            // Neither always comes first.
            for index in if turn % 2 == 0 { [0, 1] } else { [1, 0] } {
                let (database, fill) = [(&without, &fill), (&with, &fill_both)][index];
                database.client().execute(fill);
                times[index].push(rerun(database, WRITTEN_DOWN));
            }
        }
        let mut ratios: Vec<f64> = times[0].iter().zip(&times[1]).map(|(without, with)| with / without).collect();
        let per_second = |times: &mut [f64]| f64::from(WRITTEN_DOWN) / middle(times).expect("it took its turns");
        table.add_row([
            format!("{} {WRITTEN_DOWN}", runner.name),
            format!("{:.0}", per_second(&mut times[0])),
            format!("{:.0}", per_second(&mut times[1])),
            middle(&mut ratios).map_or_else(String::new, |ratio| format!("{ratio:.2}×")),
            "≤ 1.4×".to_owned(),
        ]);
    }
    table
}

/// A runner with a retry of its own.
struct Runner {
    name: &'static str,
    files: &'static str,
    /// Makes its schema.
    install: &'static [&'static str],
    /// Retries every failed job, and prints how many seconds that took.
    retry: &'static [&'static str],
    fill: &'static str,
    peer_max: u32,
}

const PG_BOSS: Runner = Runner {
    name: "pg-boss",
    files: "pg-boss",
    install: &["node", "app.js", "do", r#"[["createQueue", "mail"]]"#],
    retry: &["node", "app.js", "retry", "mail"],
    fill: "TRUNCATE pgboss.job;
           INSERT INTO pgboss.job (name, data, state, policy, started_on, completed_on)
           SELECT 'mail', jsonb_build_object('n', n), 'failed', 'standard', now(), now() FROM generate_series(1, $1) AS n;
           ANALYZE pgboss.job; CHECKPOINT",
    peer_max: u32::MAX,
};

const PROCRASTINATE: Runner = Runner {
    name: "procrastinate",
    files: "procrastinate",
    install: &["venv/bin/python", "-m", "procrastinate", "--app", "app.app", "schema", "--apply"],
    retry: &["venv/bin/python", "-m", "retry"],
    fill: "TRUNCATE procrastinate_jobs CASCADE;
           INSERT INTO procrastinate_jobs (queue_name, task_name, args, attempts)
           SELECT 'mail', 'steady', jsonb_build_object('n', n), 1 FROM generate_series(1, $1) AS n;
           UPDATE procrastinate_jobs SET status = 'failed';
           ANALYZE; CHECKPOINT",
    peer_max: ONE_BY_ONE_MAX,
};

impl Runner {
    fn set_up(&self, server: &'static Server) -> Database {
        let set_up = Command::new("tests/runners/set-up").arg(self.files).status().expect("the script is there");
        assert!(set_up.success(), "{} could not be set up", self.name);
        let database = server.database();
        self.command(self.install, &database);
        database
    }

    fn fill(&self, size: u32) -> String {
        self.fill.replace("$1", &size.to_string())
    }

    /// How many seconds its own retry takes, by its own clock.
    fn retry(&self, database: &Database) -> f64 {
        let printed = self.command(self.retry, database);
        printed.lines().last().and_then(|line| line.parse().ok()).expect("it prints how long it took")
    }

    fn command(&self, words: &[&str], database: &Database) -> String {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let installed = root.join("target/runners").join(self.files);
        let program = if words[0].contains('/') { installed.join(words[0]) } else { PathBuf::from(words[0]) };
        let output = Command::new(program)
            .args(&words[1..])
            .current_dir(installed)
            .env("PYTHONPATH", root.join("tests/runners").join(self.files))
            .env("STORE", &database.url)
            .env("NEEDED", "")
            .output()
            .expect("the runner is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// How many seconds a bulk re-run of every failed run takes.
fn rerun(database: &Database, size: u32) -> f64 {
    let plugin = Plugin::open(&Config::new(&database.url)).expect("the store");
    let begun = Instant::now();
    let answer = plugin.call(REQUEST).expect("an answer");
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(answer.matches("rerun_of").count(), size as usize, "every failed run has its new run");
    seconds
}

/// The median; `None` of nothing.
fn middle(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
