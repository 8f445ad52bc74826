//! How long it takes to find the runs that a selector means and the newest of each task.
//!
//! Ours is the whole of `Plugin::call` with a task catalogue that knows no task: every group is
//! found, then skipped as `unknown_task`, so that nothing is spawned and no parameters are read.
//! That is what the peer's resolve does too, which has RunWisp's catalogue at hand; ours also
//! reads the request's JSON and writes the answer's. A dry run does more (it reads each source
//! run's parameters for the plan's digest, and without a catalogue which runs are services'), so
//! it stands in a column of its own.

use std::fs;
use std::path::Path;

use bulk_rerun::{Config, Plugin, Request};
use chrono::{SecondsFormat, TimeDelta};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::apart::{Apart, Work};
use super::measure::{Contender, take_turns, time_warm};
use super::peer::{Peer, Synchronous};
use super::report::{Report, Row};
use super::store::{self, Kind};

struct Case {
    name: &'static str,
    request: Value,
    goal: &'static str,
    /// SQLite's own least work for the same question.
    limit: Option<&'static str>,
}

pub fn bench(runs: usize, report: &mut Report) {
    let store = store::kept(Kind::History, runs);
    let no_tasks = store::folder().join("no-tasks.toml");
    fs::write(&no_tasks, "").expect("an empty catalogue");
    let plugin = |tasks| Plugin::open(&Config { tasks, ..Config::new(&store) }).expect("the store");
    let (resolving, planning) = (plugin(Some(no_tasks)), plugin(None));
    let bare = Connection::open(&store).expect("the store");
    for case in cases(&store, runs) {
        eprintln!("{runs} runs: {}", case.name);
        let text = case.request.to_string().into_bytes();
        let request = Request::from_json(&text).expect("a good request");
        let dry_text = with_dry_run(case.request).to_string().into_bytes();
        agree(&planning, &dry_text, &Peer::open(&store, Synchronous::Full), &request, case.name);
        let mut apart = Apart::start(Work::Resolve, &store, &text);
        let mut contenders: Vec<Contender<'_>> = vec![
            Box::new(|| apart.turn()),
            Box::new(|| time_warm(|| resolving.call(&text).expect("an answer"))),
            Box::new(|| time_warm(|| planning.call(&dry_text).expect("an answer"))),
        ];
        if let Some(sql) = case.limit {
            let bare = &bare;
            contenders.push(Box::new(move || {
                let mut statement = bare.prepare_cached(sql).expect("the limit compiles");
                time_warm(|| statement.query_row([], |row| row.get::<_, i64>(0)).expect("a count"))
            }));
        }
        let times = take_turns(contenders);
        report.add(&Row {
            name: format!("{}: {}", short(runs), case.name),
            peer: Some(times.median(0)),
            ours: Some(times.median(1)),
            dry_run: Some(times.median(2)),
            limit: case.limit.map(|_| times.median(3)),
            peer_to_ours: Some(times.ratio(0, 1)),
            ours_to_limit: case.limit.map(|_| times.ratio(1, 3)),
            goal: case.goal.to_owned(),
        });
    }
}

fn cases(store: &Path, runs: usize) -> Vec<Case> {
    let ids = some_ids(store, runs, 1_000);
    let yesterday = (store::newest() - TimeDelta::days(1)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let case = |name, request, goal| Case { name, request, goal, limit: None };
    let matching = |filter| json!({ "match_all": true, "filter": filter });
    let goals = match runs {
        1_000_000 => ["1 (catalogue): peer / ours ≥ 100", "2: ours / limit ≤ 1.10", "3: peer / ours ≥ 200"],
        10_000_000 => ["1 (catalogue): peer / ours ≥ 500", "", ""],
        _ => [""; 3],
    };
    vec![
        case("match_all", matching(json!({})), goals[0]),
        Case {
            limit: Some("SELECT count(*) FROM runs NOT INDEXED WHERE end_reason = 'failed'"),
            ..case("failed", matching(json!({ "status": "failed" })), goals[1])
        },
        case("failed, 1 day", matching(json!({ "status": "failed", "created_after": yesterday })), ""),
        case("one task", matching(json!({ "task_name": "report-00019" })), ""),
        case("1,000 ids", json!({ "ids": ids }), goals[2]),
        case("except_ids 1,000", json!({ "match_all": true, "except_ids": ids }), ""),
        case("exit code and trigger", matching(json!({ "exit_code_min": 100, "triggered_by": "api" })), ""),
    ]
}

/// The same ids each time, from all over the store.
fn some_ids(store: &Path, runs: usize, count: usize) -> Vec<String> {
    let connection = Connection::open(store).expect("the store");
    let mut select = connection
        .prepare("SELECT id FROM runs WHERE rowid >= ?1 AND +deleted_at IS NULL ORDER BY rowid LIMIT 1")
        .expect("a seek");
    let step = (runs / count).max(1);
    let ids = (0..count.min(runs / 2)).map(|index| select.query_row([(index * step) as i64], |row| row.get(0)));
    ids.collect::<Result<_, _>>().expect("ids")
}

/// Both find the same tasks, or their times mean nothing.
fn agree(plugin: &Plugin, dry_run: &[u8], peer: &Peer, request: &Request, name: &str) {
    let answer: Value = serde_json::from_str(&plugin.call(dry_run).expect("an answer")).expect("JSON");
    let groups = |field: &str| answer[field].as_array().map_or(0, Vec::len);
    let ours = groups("planned") + groups("skipped");
    assert_eq!(ours, peer.resolve(request).len(), "{name}: the peer finds other tasks");
}

fn with_dry_run(mut request: Value) -> Value {
    request["options"] = json!({ "dry_run": true });
    request
}

/// 10k, 1M.
pub fn short(runs: usize) -> String {
    match runs {
        1_000_000.. => format!("{}M", runs / 1_000_000),
        1_000.. => format!("{}k", runs / 1_000),
        _ => runs.to_string(),
    }
}
