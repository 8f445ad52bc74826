//! `cargo bench`: where we stand against RunWisp's own algorithm and against SQLite's limits.
//!
//! Prints one table: medians in milliseconds, ratios of one run, and the goal beside each; nothing
//! is asserted. `cargo bench -- --runs 10000000` (or `BENCH_RUNS=10000000`) measures a store of
//! that size besides the one of a million runs; a smaller number measures that size alone. `cargo bench --bench rerun --
//! ledger` measures what the ledger costs, and nothing else; `-- c`, `-- lua` and `-- http` what that door adds; `-- --quick`
//! searches and spawns beside SQLite's own limits alone; `-- --cold` and `-- --written` searches of a store that is on the
//! disk alone, and of one that its host writes to; and `-- --plot FILE` draws the searches' costs over stores of ten thousand
//! to ten million runs.
//! Stores are made once and kept under `target/bench-stores`.

mod support;

use std::path::Path;
use std::process::Command;

use bulk_rerun::{Config, Plugin, Request};
use support::condition::Condition;
use support::peer::{Peer, Synchronous};
use support::report::{Report, Row};
use support::store::Kind;
use support::{apart, door, http, lua, memory, plot, resolve, spawn, store};

const RUNS: usize = 1_000_000;
const SPAWNED: usize = 10_000;

/// The word that asks for the ledger's cost alone.
const LEDGER: &str = "ledger";

/// The words that ask for what one door adds, alone.
const DOORS: [&str; 3] = ["c", "lua", "http"];

/// The words that ask for searches and spawns beside their limits alone, and for a plot.
const QUICK: &str = "--quick";
const PLOT: &str = "--plot";

/// The words that ask for searches alone, where the store is not at its best.
const COLD: &str = "--cold";
const WRITTEN: &str = "--written";
const PLOTTED: [usize; 4] = [10_000, 100_000, RUNS, 10_000_000];

/// What a process is started with whose instructions are counted.
const ONE: &str = "--one";

/// What a child process is started with to tell its own peak of memory.
const PEAK_OF: &str = "--peak-of";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [peak_of, who, store] = arguments.as_slice()
        && peak_of == PEAK_OF
    {
        return tell_peak(who, Path::new(store));
    }
    if let [peer, work, store, request] = arguments.as_slice()
        && peer == apart::ARGUMENT
    {
        return apart::serve(work, Path::new(store), request.as_bytes());
    }
    if let [one, case, runs] = arguments.as_slice()
        && one == ONE
    {
        return do_one(case, runs.parse().expect("a number of runs"));
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        return println!("these are benches: `cargo bench`");
    }
    let runs = wanted_runs(&arguments);
    let sizes = if runs > RUNS { vec![RUNS, runs] } else { vec![runs] };

    let mut report = Report::new();
    let is_known = |word: &&str| [LEDGER, PLOT, QUICK, COLD, WRITTEN].contains(word) || DOORS.contains(word);
    match arguments.iter().map(String::as_str).find(is_known) {
        Some(LEDGER) => spawn::bench_ledger(SPAWNED, &mut report),
        Some(PLOT) => plot(&arguments, &mut report),
        Some(QUICK) => beside_limits(&sizes, &mut report),
        Some(COLD) => searches(&sizes, Condition::Cold, &mut report),
        Some(WRITTEN) => searches(&sizes, Condition::Written, &mut report),
        Some(door) => of_a_door(door, &sizes, &mut report),
        None => everything(&sizes, &mut report),
    }
    println!("times in ms, medians of turns; ratios are medians over the turns");
    report.print();
}

fn searches(sizes: &[usize], condition: Condition, report: &mut Report) {
    sizes.iter().for_each(|&runs| drop(resolve::bench(runs, condition, false, report)));
}

fn beside_limits(sizes: &[usize], report: &mut Report) {
    searches(sizes, Condition::Warm, report);
    spawn::bench(SPAWNED, false, report);
    spawn::bench_ledger(SPAWNED, report);
}

fn plot(arguments: &[String], report: &mut Report) {
    let file = arguments.iter().skip_while(|argument| *argument != PLOT).nth(1).expect("--plot takes a file");
    let points: Vec<_> =
        PLOTTED.iter().flat_map(|&runs| resolve::bench(runs, Condition::Warm, false, report)).collect();
    plot::draw(&points, Path::new(file));
}

fn everything(sizes: &[usize], report: &mut Report) {
    sizes.iter().for_each(|&runs| drop(resolve::bench(runs, Condition::Warm, true, report)));
    spawn::bench(SPAWNED, true, report);
    spawn::bench_ledger(SPAWNED, report);
    sizes.iter().for_each(|&runs| peaks(runs, report));
    DOORS.iter().for_each(|door| of_a_door(door, sizes, report));
}

fn of_a_door(door: &str, sizes: &[usize], report: &mut Report) {
    match door {
        "c" => door::bench(report),
        "lua" => {
            lua::bench_a_call(report);
            sizes.iter().for_each(|&runs| lua::bench_every_run(runs, report));
        }
        _ => http::bench(report),
    }
}

fn wanted_runs(arguments: &[String]) -> usize {
    let given = arguments.iter().skip_while(|argument| *argument != "--runs").nth(1).cloned();
    let wanted = given.or_else(|| std::env::var("BENCH_RUNS").ok());
    wanted.map_or(RUNS, |text| text.replace(['_', ','], "").parse().expect("--runs takes a number of runs"))
}

/// One piece of work, within a function of which valgrind can tell the name.
fn do_one(case: &str, runs: usize) {
    match case {
        "spawn" | "spawn with the ledger" => spawn::one(runs, case != "spawn", counted),
        search => {
            let (plugin, request) = resolve::one(runs, search);
            // What is read once, and kept, is no part of it.
            plugin.call(&request).expect("an answer");
            counted(&plugin, &request);
        }
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
fn counted(plugin: &Plugin, request: &[u8]) {
    std::hint::black_box(plugin.call(request).expect("an answer"));
}

/// The peak of resident memory of a `match_all`, each in a process of its own.
fn peaks(runs: usize, report: &mut Report) {
    let store = store::kept(Kind::History, runs);
    let peak = |who: &str| {
        eprintln!("{runs} runs: peak memory of {who}");
        let this = std::env::current_exe().expect("this program's file");
        let child = Command::new(this).args([PEAK_OF, who]).arg(&store).output().expect("a child process");
        let text = String::from_utf8_lossy(&child.stdout);
        text.trim().parse::<f64>().expect("the child tells its peak") / 1_024.0
    };
    let (peer, ours) = (peak("peer"), peak("ours"));
    report.add(&Row {
        name: format!("{}: match_all, peak memory in MB", resolve::short(runs)),
        peer: Some(peer),
        dry_run: Some(ours),
        peer_to_ours: Some(peer / ours),
        goal: if runs == 10_000_000 { "1: ≤ 16 MB".to_owned() } else { String::new() },
        ..Row::default()
    });
}

fn tell_peak(who: &str, store: &Path) {
    const DRY_RUN: &[u8] = br#"{"match_all": true, "options": {"dry_run": true}}"#;
    match who {
        "ours" => {
            let plugin = Plugin::open(&Config::new(store)).expect("the store");
            plugin.call(DRY_RUN).expect("an answer");
        }
        _ => {
            let request = Request::from_json(DRY_RUN).expect("a good request");
            Peer::open(store, Synchronous::Full).resolve(&request);
        }
    }
    println!("{}", memory::own_peak());
}
