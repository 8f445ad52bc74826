//! Random runs and requests, for property tests: few tasks, ids and instants, so that what is alike in one way or another
//! is common.

pub mod own;
pub mod runwisp;

use chrono::{DateTime, FixedOffset, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::model::{Request, Run, Unique, Value};

/// A run, and how its `created_at` is written.
#[derive(Debug, Clone)]
pub struct Draft {
    pub run: Run,
    pub created_at: Value,
}

/// The number of cases: so many, or as many as `BULK_RERUN_CASES` says.
pub fn number(cases: u32) -> u32 {
    std::env::var("BULK_RERUN_CASES").map_or(cases, |said| said.parse().expect("BULK_RERUN_CASES is no number"))
}

/// Runs so many cases. What is found becomes a test with a name, and no file of seeds.
pub fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() })
}

/// 2026-04-15T12:00:00Z, in microseconds.
pub const NOON: i64 = 1_776_254_400_000_000;

/// Few, so that runs share a time; around midnight, so that dates differ from zone to zone.
const OFFSETS: [i64; 9] =
    [0, 0, 1, 500_000, 1_000_000, 43_199_999_999, 43_200_000_000, 90 * 86_400_000_000, -400 * 86_400_000_000];

/// Writes an instant as one of the layouts found in the field, and says which instant the text stands for.
pub fn written(microseconds: i64, layout: usize) -> (String, Option<i64>) {
    let utc: DateTime<Utc> = DateTime::from_timestamp_micros(microseconds).unwrap();
    let east = |minutes: i32| utc.with_timezone(&FixedOffset::east_opt(minutes * 60).unwrap());
    let whole = microseconds.div_euclid(1_000_000) * 1_000_000;
    match layout {
        0 => (utc.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(), Some(microseconds)),
        1 => (east(120).format("%Y-%m-%dT%H:%M:%S%:z").to_string(), Some(whole)),
        2 => (utc.format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string(), Some(microseconds)),
        3 => (utc.format("%Y-%m-%d %H:%M:%S").to_string(), Some(whole)),
        4 => (utc.format("%Y-%m-%d %H:%M:%S%.9f +0000 UTC").to_string(), Some(microseconds)),
        5 => (east(345).format("%Y-%m-%d %H:%M:%S%.6f %z +0545 m=+12.000345").to_string(), Some(microseconds)),
        6 => (east(-660).format("%Y-%m-%d %H:%M:%S%.6f %z SST").to_string(), Some(microseconds)),
        7 => (east(840).format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string(), Some(microseconds)),
        8 => ("some day".to_owned(), None),
        _ => (utc.format("%d.%m.%Y %H:%M").to_string(), None),
    }
}

pub fn instants() -> impl Strategy<Value = i64> {
    prop::sample::select(OFFSETS.to_vec()).prop_map(|offset| NOON + offset)
}

pub fn texts(from: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(from).prop_map(str::to_owned)
}

/// The end reasons that runs have.
pub const REASONS: [&str; 9] =
    ["success", "succeeded", "failed", "failed", "timeout", "crashed", "stopped", "missed", "failure"];

pub const TRIGGERS: [&str; 4] = ["cron", "api", "service", "ui"];

/// A phase, an end reason and an exit code; most runs have ended.
pub fn states() -> impl Strategy<Value = (&'static str, Option<String>, i64)> {
    let phases = prop::sample::select(vec!["pending", "running", "ended", "ended", "ended", "ended", "ended"]);
    let reasons = prop::option::weighted(0.95, texts(&REASONS));
    let codes = prop::sample::select(vec![-1, 0, 1, 1, 137, 255]);
    (phases, reasons, codes).prop_map(|(phase, reason, code)| (phase, reason.filter(|_| phase == "ended"), code))
}

/// What requests ask for: names, ids and parts of them, some of which are there.
#[derive(Clone, Copy)]
pub struct Words {
    pub tasks: &'static [&'static str],
    pub ids: &'static [&'static str],
    pub searches: &'static [&'static str],
}

fn statuses() -> impl Strategy<Value = String> {
    let words =
        ["pending", "running", "ended", "success", "succeeded", "failed", "timeout", "failure", "Failed", "no such"];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..4).prop_map(|words| words.join(" , "))
}

fn sometimes<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.15, strategy)
}

fn ordered((low, high): (Option<i64>, Option<i64>)) -> (Option<i64>, Option<i64>) {
    match (low, high) {
        (Some(low), Some(high)) => (Some(low.min(high)), Some(low.max(high))),
        open => open,
    }
}

/// A selector and options.
pub fn requests(words: Words) -> impl Strategy<Value = Request> {
    let some_ids = move || prop::collection::vec(prop_oneof![8 => texts(words.ids), 1 => texts(&["gone", ""])], 1..8);
    let filter = (
        prop::option::weighted(0.4, statuses()),
        sometimes(texts(words.tasks)),
        sometimes(texts(&TRIGGERS)),
        sometimes(texts(words.searches)),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
    );
    let times = (sometimes(instants()), sometimes(instants()));
    let codes = (sometimes(-3..256i64), sometimes(-3..256i64));
    let unique_by = prop::sample::select(vec![Unique::Task, Unique::Task, Unique::Params, Unique::Run]);
    let options = (unique_by, prop::bool::weighted(0.3), prop::bool::weighted(0.3), prop::bool::weighted(0.3));
    let portions = (
        sometimes(1..6usize),
        sometimes(1..4usize),
        sometimes(prop::collection::vec(texts(words.tasks), 1..3)),
        sometimes(prop::collection::vec((texts(words.tasks), texts(words.ids)), 1..4)),
        prop::option::weighted(0.1, texts(&["failed", "timeout"])),
        sometimes(prop_oneof![3 => 1..10usize, 1 => Just(500)]),
    );
    let ids = (prop::option::weighted(0.35, some_ids()), prop::option::weighted(0.2, some_ids()));
    (ids, filter, times, codes, options, portions).prop_map(|(ids, filter, times, codes, options, portions)| {
        let (status, task_name, triggered_by, search, retries_only, is_failure) = filter;
        let (created_after, created_before) = ordered(times);
        let (exit_code_min, exit_code_max) = ordered(codes);
        let (limit, take, except_tasks, except_groups, dropped_reason, spans) = portions;
        Request {
            ids: ids.0,
            except_ids: ids.1.unwrap_or_default(),
            status,
            task_name,
            triggered_by,
            search,
            created_after,
            created_before,
            exit_code_min,
            exit_code_max,
            retries_only,
            is_failure,
            unique_by: options.0,
            skip_active: options.1,
            skip_superseded: options.2,
            limit,
            take,
            with_runs: options.3,
            except_tasks: except_tasks.unwrap_or_default(),
            except_groups: except_groups.unwrap_or_default(),
            spans,
            dropped_reason,
        }
    })
}
