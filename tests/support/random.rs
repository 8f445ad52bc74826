//! Random stores and random requests, for property tests.

use chrono::{DateTime, FixedOffset, Utc};
use proptest::prelude::*;

use super::Row;
use super::model::{ModelRequest, ModelRun};

/// 2026-04-15T12:00:00Z, in milliseconds.
const NOON: i64 = 1_776_254_400_000;

/// Few, so that runs share a time; around midnight, so that dates differ from zone to zone.
const OFFSETS: [i64; 9] = [0, 1, 500, 1_000, 43_199_999, 43_200_000, 43_200_001, 90 * 86_400_000, -400 * 86_400_000];

const TASKS: [&str; 6] = ["backup", "Backup", "back%up_", "ünï \"q'uote\\", "", "Zoë\u{1F4A5}\tnews"];

const IDS: [&str; 16] = [
    "01JRX3M7ZD7Q8M5T8E2Y9V4B6C",
    "01jrx3m7zd7q8m5t8e2y9v4b6c",
    "a",
    "B",
    "aa",
    "é",
    "e\u{301}",
    "%",
    "_x",
    "'; DROP TABLE runs; --",
    "\" OR 1=1",
    "007",
    "7",
    " 7",
    "NULL",
    "naïve\u{0}zero",
];

const REASONS: [&str; 9] =
    ["success", "succeeded", "failed", "timeout", "crashed", "stopped", "missed", "log_overflow", "failure"];

const TRIGGERS: [&str; 4] = ["cron", "api", "service", "ui"];

const PARAMS: [&str; 5] = ["{}", "{\"a\":\"1\"}", "{\"a\": \"1\"}", "{\"é\":\"\\u0000 'x' \"}", "not json"];

/// Writes an instant as one of the layouts found in the field, and says which instant the text stands for.
fn written(milliseconds: i64, layout: usize) -> (String, Option<i64>) {
    let utc: DateTime<Utc> = DateTime::from_timestamp_millis(milliseconds).unwrap();
    let east = |minutes: i32| utc.with_timezone(&FixedOffset::east_opt(minutes * 60).unwrap());
    let whole = milliseconds.div_euclid(1_000) * 1_000;
    match layout {
        0 => (utc.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(), Some(milliseconds)),
        1 => (east(120).format("%Y-%m-%dT%H:%M:%S%:z").to_string(), Some(whole)),
        2 => (utc.format("%Y-%m-%d %H:%M:%S%.3f+00:00").to_string(), Some(milliseconds)),
        3 => (utc.format("%Y-%m-%d %H:%M:%S").to_string(), Some(whole)),
        4 => (utc.format("%Y-%m-%d %H:%M:%S%.9f +0000 UTC").to_string(), Some(milliseconds)),
        5 => (east(345).format("%Y-%m-%d %H:%M:%S%.3f %z +0545 m=+12.000345").to_string(), Some(milliseconds)),
        6 => (east(-660).format("%Y-%m-%d %H:%M:%S%.3f %z SST").to_string(), Some(milliseconds)),
        7 => (east(840).format("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(), Some(milliseconds)),
        8 => ("some day".to_owned(), None),
        _ => (utc.format("%d.%m.%Y %H:%M").to_string(), None),
    }
}

fn instants() -> impl Strategy<Value = i64> {
    prop::sample::select(OFFSETS.to_vec()).prop_map(|offset| NOON + offset)
}

fn texts(from: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(from).prop_map(str::to_owned)
}

fn row(id: String, generation: usize) -> impl Strategy<Value = ModelRun> {
    let state =
        (0..8u8, prop::option::weighted(0.95, texts(&REASONS)), prop::sample::select(vec![-2, -1, 0, 1, 124, 255]));
    let when = (instants(), 0..10usize);
    let origin = (texts(&TRIGGERS), prop_oneof![4 => Just(0), 1 => 1..4i64]);
    let rest = (prop::option::of(texts(&PARAMS)), prop::bool::weighted(0.1), any::<bool>());
    (texts(&TASKS), state, when, origin, rest).prop_map(
        move |(
            task_name,
            (phase, reason, code),
            (at, layout),
            (triggered_by, retry_attempt),
            (params, deleted, mark),
        )| {
            let (created_at, instant) = written(at, layout);
            let status = ["pending", "running", "ended"][usize::from(phase.min(2))];
            let ended = status == "ended";
            let row = Row {
                id: id.clone(),
                task_name,
                status: status.to_owned(),
                end_reason: reason.filter(|_| ended),
                exit_code: if ended { code } else { 0 },
                triggered_by,
                created_at,
                retry_attempt,
                params_json: params.filter(|_| generation >= 1),
                deleted_at: (deleted && generation >= 1).then(|| "2026-04-20 00:00:00".to_owned()),
                is_failure: i64::from(mark),
            };
            ModelRun { row, instant, has_mark: generation == 2 }
        },
    )
}

/// The runs of a store of one of RunWisp's generations.
pub fn runs(generation: usize) -> impl Strategy<Value = Vec<ModelRun>> {
    prop::sample::subsequence(IDS.to_vec(), 0..=IDS.len())
        .prop_shuffle()
        .prop_flat_map(move |ids| ids.into_iter().map(|id| row(id.to_owned(), generation)).collect::<Vec<_>>())
}

fn statuses() -> impl Strategy<Value = String> {
    let words =
        ["pending", "running", "ended", "success", "succeeded", "failed", "timeout", "failure", "Failed", "no such"];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..4).prop_map(|words| words.join(" , "))
}

fn sometimes<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.25, strategy)
}

/// A selector and options.
pub fn requests() -> impl Strategy<Value = ModelRequest> {
    let some_ids = || prop::collection::vec(prop_oneof![6 => texts(&IDS), 1 => texts(&["gone", ""])], 1..8);
    let searches = texts(&["", "BACK", "%", "_", "é", "É", "7", "'", "\"", "\\", "\u{0}"]);
    let texts_of_run = (
        sometimes(statuses()),
        sometimes(texts(&TASKS)),
        sometimes(texts(&TRIGGERS)),
        sometimes(searches),
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.15),
    );
    let times = (sometimes(instants()), sometimes(instants()));
    let codes = (sometimes(-3..256i64), sometimes(-3..256i64));
    let options = (prop::sample::select(vec!["task", "params", "run"]), any::<bool>(), any::<bool>());
    (prop::option::weighted(0.3, some_ids()), some_ids(), texts_of_run, times, codes, options).prop_map(
        |(
            ids,
            except_ids,
            (status, task_name, triggered_by, search, retries_only, is_failure),
            times,
            codes,
            options,
        )| {
            let ordered = |(low, high): (Option<i64>, Option<i64>)| match (low, high) {
                (Some(low), Some(high)) => (Some(low.min(high)), Some(low.max(high))),
                open => open,
            };
            let (created_after, created_before) = ordered(times);
            let (exit_code_min, exit_code_max) = ordered(codes);
            let (unique_by, skip_active, skip_superseded) = options;
            ModelRequest {
                ids,
                except_ids: if except_ids.len() > 3 { except_ids } else { Vec::new() },
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
                unique_by,
                skip_active,
                skip_superseded,
            }
        },
    )
}
