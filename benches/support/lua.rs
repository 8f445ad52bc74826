//! What Lua adds to a call, and what a script needs that goes over every run: `bulk-rerun lua`, which has the same SQLite
//! in it as the core here.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bulk_rerun::{Config, Plugin};

use super::measure::{Contender, take_turns, time};
use super::report::{Report, Row};
use super::resolve::short;
use super::store::{self, Kind};

/// So many calls are timed at once.
const CALLS: u32 = 1_000;

const NOTHING: &[u8] = br#"{"match_all":true,"filter":{"task_name":"no such task"}}"#;

/// One call that selects nothing in a small store.
pub fn bench_a_call(report: &mut Report) {
    eprintln!("one call: the core and Lua");
    let store = store::kept(Kind::Failures, 1_000);
    let core = Plugin::open(&Config::new(&store)).expect("the store");
    let contenders: Vec<Contender<'_>> = vec![
        Box::new(|| time(|| (0..CALLS).for_each(|_| drop(core.call(NOTHING).expect("an answer")))) / CALLS),
        Box::new(|| {
            let [seconds] = run("one_call.lua", &store, &CALLS.to_string());
            Duration::from_secs_f64(seconds)
        }),
    ];
    let times = take_turns(contenders);
    report.add(&Row {
        name: "one call: Lua, and the core".to_owned(),
        limit: Some(times.median(0)),
        ours: Some(times.median(1)),
        ours_to_limit: Some(times.ratio(1, 0)),
        goal: "6: ours − limit ≤ 0.015 ms".to_owned(),
        ..Row::default()
    });
}

/// Every run of a store, in a loop and through a predicate.
pub fn bench_every_run(runs: usize, report: &mut Report) {
    let store = store::kept(Kind::History, runs);
    for (how, what) in [("loop", "host:runs"), ("predicate", "a predicate")] {
        eprintln!("{runs} runs: {what} in Lua");
        let [_, microseconds, kilobytes] = run("every_run.lua", &store, how);
        let name = |unit: &str| format!("{}: every run through {what} in Lua{unit}", short(runs));
        let goal = format!("8: ≤ {} ms", runs / 500);
        report.add(&Row { name: name(""), ours: Some(microseconds / 1e3), goal, ..Row::default() });
        report.add(&Row { name: name(", peak memory in MB"), ours: Some(kilobytes / 1_024.0), ..Row::default() });
    }
}

/// The numbers that a script prints.
fn run<const N: usize>(script: &str, store: &Path, argument: &str) -> [f64; N] {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/support");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"));
    let output = command.arg("lua").arg(scripts.join(script)).arg(store).arg(argument).output().expect("bulk-rerun");
    let printed = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = printed.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{printed}{}", String::from_utf8_lossy(&output.stderr)))
}
