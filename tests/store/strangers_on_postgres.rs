//! One caller's error, or its cancel that comes too late, is nobody else's: the connection that it was for is handed to
//! no other call.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::queue_store_postgres::{Own, SPAWNS};
use crate::support::calls::{all_failed, call};
use bulk_rerun::{Cancel, ErrorModel, Plugin, Request};
use serde_json::{Value, json};

/// How often each of the callers that break off does so.
const TIMES: usize = 500;

/// Failed runs of so many tasks, which a search reads in more than one piece.
fn store(runs: u32) -> Own {
    let store = SPAWNS[0].store(&[("a", 0, "broken", "p")]);
    store.execute(&format!(
        "INSERT INTO jobs (queue, id, state, params) SELECT 'q' || n, n, 'broken', repeat('p', 200) FROM generate_series(1, {runs}) AS n"
    ));
    store
}

/// Searches and re-runs go on beside `harm`, and none of them may fail. Answers how many there were.
fn beside_strangers(plugin: &Plugin, harm: impl FnOnce()) -> usize {
    let (done, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let requests = [
        json!({"ids": ["1"], "options": {"dry_run": true}}),
        json!({"ids": ["2"]}),
        all_failed(json!({"dry_run": true, "unique_by": "run"})),
    ];
    thread::scope(|scope| {
        let strangers: Vec<_> = requests
            .iter()
            .map(|request| {
                let (done, calls) = (&done, &calls);
                scope.spawn(move || {
                    let mut failed: Vec<ErrorModel> = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        calls.fetch_add(1, Ordering::Relaxed);
                        failed.extend(call(plugin, request).err());
                    }
                    failed
                })
            })
            .collect();
        harm();
        done.store(true, Ordering::Relaxed);
        let failed: Vec<ErrorModel> = strangers.into_iter().flat_map(|stranger| stranger.join().unwrap()).collect();
        let all = calls.load(Ordering::Relaxed);
        assert!(failed.is_empty(), "{} of {all} calls of others failed, the first with {}", failed.len(), failed[0]);
        all
    })
}

#[test]
fn a_predicates_error_is_its_own_callers_alone() {
    let store = store(3_000);
    let plugin = store.plugin();
    let all = beside_strangers(&plugin, || {
        let mut lost = Vec::new();
        for turn in 0..TIMES {
            // At the first run, at the last, and in between.
            let mut left = [0, 2_999, turn * 5][turn % 3];
            let mut keep = |_: &_| {
                left -= usize::from(left > 0);
                if left == 0 {
                    Err(ErrorModel::new(500, format!("the script failed in turn {turn}")))
                } else {
                    Ok(true)
                }
            };
            let request = all_failed(json!({"dry_run": turn % 2 == 0})).to_string();
            let error = plugin.call_where(request.as_bytes(), &mut keep).unwrap_err();
            if error.detail != format!("the script failed in turn {turn}") {
                lost.push(error);
            }
        }
        assert!(lost.is_empty(), "{} of {TIMES} errors were lost, the first to {}", lost.len(), lost[0]);
    });
    assert!(all > 100, "the strangers had {all} calls");
}

/// One after the other on one plugin: the call after a broken-off one is the first that could be hit.
#[test]
fn the_next_call_after_a_predicates_error_is_not_hit() {
    let store = store(3_000);
    let plugin = store.plugin();
    for turn in 0..TIMES {
        let request = all_failed(json!({})).to_string();
        let mut keep = |_: &_| Err(ErrorModel::new(500, "the script failed"));
        assert_eq!(
            plugin.call_where(request.as_bytes(), &mut keep).unwrap_err().detail,
            "the script failed",
            "turn {turn}"
        );
        let answer = call(&plugin, &json!({"ids": ["1", "2", "3"], "options": {"dry_run": true}}));
        assert_eq!(answer.unwrap_or_else(|error| panic!("turn {turn}: {error}"))["matched"], 3);
    }
    assert_eq!(store.waiting().len(), 0);
}

#[test]
fn a_cancel_for_a_call_that_is_over_stops_nobody() {
    let store = store(3_000);
    let plugin = store.plugin();
    let over: [Value; 5] = [
        json!({"ids": ["1"], "options": {"dry_run": true}}),
        json!({"ids": ["no such run"]}),
        json!({"match_all": true, "filter": {"status": "no such word"}}),
        json!({"ids": ["1"], "options": {"expect_plan": "another"}}),
        json!({"ids": ["3"]}),
    ];
    let late = AtomicUsize::new(0);
    let all = beside_strangers(&plugin, || {
        for turn in 0..TIMES {
            let request = Request::from_json(over[turn % over.len()].to_string().as_bytes()).unwrap();
            let cancel = Cancel::new();
            let failed = plugin.rerun_unless(&cancel, &request).is_err();
            assert_eq!(failed, turn % over.len() == 3);
            late.fetch_add(usize::from(cancel.cancel()), Ordering::Relaxed);
        }
    });
    assert!(all > 100, "the strangers had {all} calls");
    assert_eq!(late.into_inner(), 0, "a call that is over was said to be stopped");
}

/// Cancelled in the middle, again and again: it is answered with what it was, and nobody else notices.
#[test]
fn a_cancel_in_the_middle_stops_its_own_call_alone() {
    let store = store(3_000);
    let plugin = store.plugin();
    let request =
        Request::from_json(all_failed(json!({"unique_by": "run", "dry_run": true})).to_string().as_bytes()).unwrap();
    beside_strangers(&plugin, || {
        for turn in 0..TIMES / 2 {
            let cancel = Cancel::new();
            let (answer, stopped) = thread::scope(|scope| {
                let answer = scope.spawn(|| plugin.rerun_unless(&cancel, &request));
                thread::sleep(std::time::Duration::from_micros(turn as u64 * 40));
                let stopped = cancel.cancel();
                (answer.join().unwrap(), stopped)
            });
            match answer {
                Ok(body) => assert_eq!((body.matched, stopped), (Some(3_001), false), "turn {turn}"),
                Err(error) => assert_eq!((error.status, stopped), (503, true), "turn {turn}: {error}"),
            }
        }
    });
}
