//! How long it takes to find the runs that a selector means and the newest of each task.
//!
//! Ours is the whole of `Plugin::call` with a task catalogue that knows no task: every group is
//! found, then skipped as `unknown_task`, so that nothing is spawned and no parameters are read.
//! That is what the peer's resolve does too, which has RunWisp's catalogue at hand; ours also
//! reads the request's JSON and writes the answer's. A dry run does more (it reads each source
//! run's parameters for the plan's digest, and without a catalogue which runs are services'), so
//! it stands in a column of its own. The limit is SQLite's own, for the very statements of ours ([`Limit`]).

use std::fs;
use std::path::{Path, PathBuf};

use bulk_rerun::{Config, Plugin, Request};
use chrono::{SecondsFormat, TimeDelta};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::apart::{Apart, Work};
use super::condition::Condition;
use super::limit::Limit;
use super::measure::{Contender, take_turns};
use super::peer::{Peer, Synchronous};
use super::plot::Point;
use super::report::{Report, Row};
use super::store::{self, Kind};

const GOAL: &str = "ours / limit ≤ 1.25";

/// A question, and how it is asked.
struct Case {
    name: &'static str,
    request: Value,
}

/// `with_peer`: beside the peer as well, which is always warm.
pub fn bench(runs: usize, condition: Condition, with_peer: bool, report: &mut Report) -> Vec<Point> {
    let (store, _writer) = condition.store(runs);
    let searching = searching(&store);
    let asked = |case: &Case| case.request.to_string().into_bytes();
    let cases = cases(&store, runs);
    // Before there are other plugins, with which a connection would be shared.
    let limits: Vec<Limit> = cases.iter().map(|case| Limit::of(&searching, &asked(case))).collect();
    let plugin = |config| Plugin::open(config).expect("the store");
    let (resolving, planning) = (plugin(&searching), plugin(&Config::new(&store)));
    let mut points = Vec::new();
    for (case, limit) in cases.into_iter().zip(limits) {
        eprintln!("{runs} runs: {}", case.name);
        let (text, dry_text) = (asked(&case), with_dry_run(case.request).to_string().into_bytes());
        let mut apart = with_peer.then(|| {
            let request = Request::from_json(&text).expect("a good request");
            agree(&planning, &dry_text, &Peer::open(&store, Synchronous::Full), &request, case.name);
            Apart::start(Work::Resolve, &store, &text)
        });
        let mut contenders: Vec<Contender<'_>> = vec![
            Box::new(|| condition.time(&store, || resolving.call(&text).expect("an answer"))),
            Box::new(|| condition.time(&store, || limit.step())),
            Box::new(|| condition.time(&store, || planning.call(&dry_text).expect("an answer"))),
        ];
        if let Some(apart) = &mut apart {
            contenders.push(Box::new(|| apart.turn()));
        }
        let times = take_turns(contenders);
        report.add(&Row {
            name: format!("{}: {}{}", short(runs), case.name, condition.name()),
            peer: with_peer.then(|| times.median(3)),
            limit: Some(times.median(1)),
            ours: Some(times.median(0)),
            dry_run: Some(times.median(2)),
            peer_to_ours: with_peer.then(|| times.ratio(3, 0)),
            ours_to_limit: Some(times.ratio(0, 1)),
            goal: GOAL.to_owned(),
        });
        points.push(Point { name: case.name, runs, ours: times.median(0), limit: times.median(1) });
    }
    points
}

/// One search, for who counts its instructions.
pub fn one(runs: usize, name: &str) -> (Plugin, Vec<u8>) {
    let store = store::kept(Kind::History, runs);
    let case = cases(&store, runs).into_iter().find(|case| case.name == name).expect("a case of that name");
    (Plugin::open(&searching(&store)).expect("the store"), case.request.to_string().into_bytes())
}

/// With a catalogue that knows no task.
fn searching(store: &Path) -> Config {
    let tasks: PathBuf = store::folder().join("no-tasks.toml");
    fs::write(&tasks, "").expect("an empty catalogue");
    Config { tasks: Some(tasks), ..Config::new(store) }
}

fn cases(store: &Path, runs: usize) -> Vec<Case> {
    let ids = some_ids(store, runs, 1_000);
    let yesterday = (store::newest() - TimeDelta::days(1)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let matching = |filter| json!({ "match_all": true, "filter": filter });
    vec![
        Case { name: "match_all", request: matching(json!({})) },
        Case { name: "failed", request: matching(json!({ "status": "failed" })) },
        Case { name: "failed, 1 day", request: matching(json!({ "status": "failed", "created_after": yesterday })) },
        Case { name: "one task", request: matching(json!({ "task_name": "report-00019" })) },
        Case { name: "1,000 ids", request: json!({ "ids": ids }) },
        Case { name: "except_ids 1,000", request: json!({ "match_all": true, "except_ids": ids }) },
        Case {
            name: "exit code and trigger",
            request: matching(json!({ "exit_code_min": 100, "triggered_by": "api" })),
        },
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
