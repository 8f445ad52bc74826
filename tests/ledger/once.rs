//! A key is one re-run, whoever asks, how often, at once, and killed at whatever moment; and a large one is answered again
//! in no more memory than its answer takes.

use std::io::Write;
use std::process::{Child, Command};
use std::thread;
use std::time::Instant;

use crate::support::calls::{all_failed, call, open};
use crate::support::{NEWEST, Row, Store, child};
use bulk_rerun::Plugin;
use serde_json::{Value, json};

const RUNS: usize = 2_000;
const KILLS: usize = 30;

fn store(runs: usize) -> Store {
    let row = |number| Row::failed(&format!("{number:06}"), &format!("task {}", number % 97), "2026-04-15T12:00:00Z");
    let store = Store::of_generation(NEWEST, "wal").holding(&(0..runs).map(row).collect::<Vec<_>>());
    assert_eq!(open(&store.path).create_ledger(), Ok(true));
    store
}

fn keyed(key: &str) -> Value {
    all_failed(json!({"unique_by": "run", "idempotency_key": key}))
}

fn counts(store: &Store) -> [i64; 3] {
    let connection = store.open();
    [
        "SELECT count(*) FROM runs WHERE triggered_by = 'api'",
        "SELECT count(*) FROM bulk_rerun_operations",
        "SELECT count(*) FROM bulk_rerun_runs JOIN runs ON runs.id = run_id",
    ]
    .map(|sql| connection.query_row(sql, [], |row| row.get(0)).unwrap())
}

/// The tool in the middle of its call.
fn caller(store: &Store, key: &str) -> Child {
    let mut process = child::rerun(&[], store.path_str()).stdout(std::process::Stdio::null()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(keyed(key).to_string().as_bytes()).unwrap();
    process
}

#[test]
fn threads_and_processes_with_one_key_spawn_once() {
    let store = store(RUNS);
    let shared = open(&store.path);
    let own: Vec<Plugin> = (0..3).map(|_| open(&store.path)).collect();
    let mut processes: Vec<Child> = (0..3).map(|_| caller(&store, "k")).collect();
    let answers: Vec<Value> = thread::scope(|scope| {
        let plugins = own.iter().chain([&shared, &shared, &shared]);
        let callers: Vec<_> = plugins.map(|plugin| scope.spawn(|| call(plugin, &keyed("k")).unwrap())).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    for process in &mut processes {
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(counts(&store), [RUNS as i64, 1, RUNS as i64]);
    assert!(answers.iter().filter(|answer| answer.get("replayed").is_none()).count() <= 1);
    for answer in &answers {
        assert_eq!(answer["triggered"].as_array().unwrap().len(), RUNS);
        assert_eq!(answer["triggered"], answers[0]["triggered"]);
    }
}

/// What `kill -9` leaves is all or nothing, and the same key again completes it or is told of it.
#[test]
fn a_killed_call_is_made_good_by_the_same_key() {
    let store = store(RUNS);
    let begun = Instant::now();
    assert!(caller(&store, "whole").wait().unwrap().success());
    let duration = begun.elapsed();
    let plugin = open(&store.path);
    let mut was_there = [0, 0];
    for kill in 0..KILLS {
        let before = counts(&store);
        let key = format!("kill {kill}");
        let mut process = caller(&store, &key);
        thread::sleep(duration.mul_f64((kill * 7 % KILLS) as f64 / KILLS as f64 * 1.3));
        process.kill().unwrap();
        process.wait().unwrap();
        let left = counts(&store);
        let answer = call(&plugin, &keyed(&key)).unwrap();
        let is_repeat = answer.get("replayed").is_some();
        was_there[usize::from(is_repeat)] += 1;
        assert_eq!(left == before, !is_repeat, "{before:?} {left:?}");
        assert_eq!(counts(&store), [before[0] + RUNS as i64, before[1] + 1, before[2] + RUNS as i64]);
    }
    println!("a call takes {duration:?}; nothing was left of {}, and all of {} calls", was_there[0], was_there[1]);
    assert_eq!(store.integrity(), "ok");
}

/// They are written down by the hundred, and what is left of them one by one.
#[test]
fn an_answer_of_any_length_is_repeated_as_it_was() {
    for runs in [0, 1, 99, 100, 101, 250] {
        let store = store(runs);
        let first = call(&open(&store.path), &keyed("k")).unwrap();
        assert_eq!(first["triggered"].as_array().unwrap().len(), runs);
        let mut again = call(&open(&store.path), &keyed("k")).unwrap();
        assert_eq!(again["replayed"].take(), true);
        assert_eq!((&again["triggered"], counts(&store)), (&first["triggered"], [runs as i64, 1, runs as i64]));
    }
}

/// The peak of a process that only repeats a call of 100,000 new runs, beside that of the one that spawned them.
#[test]
#[cfg(target_os = "linux")]
fn a_large_answer_is_repeated_in_no_more_memory_than_it_took_at_first() {
    const STORE: &str = "BULK_RERUN_TEST_LEDGER";
    const SAYS: &str = "peak memory in kB: ";
    if let Some(path) = std::env::var_os(STORE) {
        let answer = open(path.as_ref()).call(keyed("k").to_string().as_bytes()).unwrap();
        assert_eq!(answer.matches("run_id").count(), 100_000);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        println!("{SAYS}{}", peak.trim_end_matches("kB").trim());
        return;
    }
    let store = store(100_000);
    let peak = || -> u64 {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "once::a_large_answer_is_repeated_in_no_more_memory_than_it_took_at_first",
                "--nocapture",
            ])
            .env(STORE, &store.path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        text.split_once(SAYS).unwrap().1.lines().next().unwrap().parse().unwrap()
    };
    let [first, again] = [peak(), peak()];
    println!("{first} kB at first, {again} kB again");
    assert_eq!(counts(&store), [100_000, 1, 100_000]);
    assert!(again <= first, "{first} kB at first, {again} kB again");
}
