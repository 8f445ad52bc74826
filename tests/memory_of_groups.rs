//! Memory grows with what is started, and not with what is selected.
#![cfg(target_os = "linux")]

#[path = "../benches/support/memory.rs"]
mod memory;
mod support;

use std::path::PathBuf;
use std::process::Command;

use bulk_rerun::{Config, Plugin};
use serde_json::Value;
use support::queue_store::{NUMBERED_SPAWN, Own, QUEUES_VIEW, profile};

/// Set for the child process: the store, the profile and the request.
const STORE: &str = "BULK_RERUN_TEST_CHILD_STORE";
const PROFILE: &str = "BULK_RERUN_TEST_CHILD_PROFILE";
const REQUEST: &str = "BULK_RERUN_TEST_CHILD_REQUEST";

/// What the child says before its peak and its answer.
const SAYS: &str = "peak memory in kB: ";

/// Not a test: what a child process does that looks at its own peak.
#[test]
fn the_child() {
    let Some(store) = std::env::var_os(STORE) else { return };
    let profile = std::env::var(PROFILE).ok();
    let config = Config { profile, ..Config::new(store) };
    let answer = Plugin::open(&config).unwrap().call(std::env::var(REQUEST).unwrap().as_bytes());
    let (status, text) = match answer {
        Ok(text) => (200, text),
        Err(error) => (error.status, error.detail),
    };
    println!("{SAYS}{} {status} {text}", memory::own_peak());
}

/// The peak of a process that sends this request and nothing else, the status and the text of the answer.
fn peak(store: &Own, request: &str) -> (u64, u16, String) {
    let profile: PathBuf = store.path().with_file_name("own.toml");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child", "--nocapture"])
        .envs([(STORE, store.path().as_os_str()), (PROFILE, profile.as_os_str()), (REQUEST, request.as_ref())])
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}{}", String::from_utf8_lossy(&child.stderr));
    let (_, said) = output.split_once(SAYS).unwrap_or_else(|| panic!("the child told no peak: {output}"));
    let mut words = said.lines().next().unwrap().splitn(3, ' ');
    let mut word = || words.next().unwrap();
    (word().parse().unwrap(), word().parse().unwrap(), word().to_owned())
}

fn numbered() -> Own {
    let store = Own::queues("TEXT", "INTEGER PRIMARY KEY", "('none', -1, 'fine', NULL)");
    store.set_profile(&profile("sqlite", QUEUES_VIEW, NUMBERED_SPAWN));
    store
}

/// Runs of so many distinct parameters, each so large, of which one is running.
fn with_large_params(distinct: u32, size: u32) -> Own {
    let store = numbered();
    store.execute(&format!(
        "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n LIMIT {})
         INSERT INTO jobs (queue, id, state, params)
         SELECT 'large', i, iif(i = 0, 'busy', 'broken'), printf('%.*c', {size}, 'x') || i FROM n;
         PRAGMA wal_checkpoint(TRUNCATE)",
        distinct
    ));
    store
}

#[test]
fn large_parameters_are_not_kept_to_be_compared() {
    let store = with_large_params(2_000, 100_000);
    let request =
        |options: &str| format!(r#"{{"match_all": true, "filter": {{"status": "failed"}}, "options": {{{options}}}}}"#);
    for options in [
        r#""dry_run": true, "unique_by": "params""#,
        r#""dry_run": true, "unique_by": "params", "skip_active": true"#,
        r#""dry_run": true, "unique_by": "params", "skip_active": true, "skip_superseded": true"#,
    ] {
        let (peak, status, answer) = peak(&store, &request(options));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, &answer["matched"]), (200, &1_999.into()), "{options}");
        assert_eq!(answer["planned"].as_array().unwrap().len(), 1_999, "{options}");
        println!("{peak} kB for {options}");
        assert!(peak < 64 * 1_024, "{peak} kB for 200 MB of parameters: {options}");
    }
}

/// The spawn needs the parameters of a few at a time.
#[test]
fn large_parameters_are_not_kept_to_be_started() {
    let store = with_large_params(600, 200_000);
    let request = r#"{"match_all": true, "filter": {"status": "failed"}, "options": {"unique_by": "params", "skip_active": true}}"#;
    let (peak, status, answer) = peak(&store, request);
    assert_eq!(status, 200, "{answer:.300}");
    assert_eq!(store.lines("SELECT count(*), count(DISTINCT params) FROM jobs WHERE state = 'queued'"), ["599|599"]);
    println!("{peak} kB");
    assert!(peak < 64 * 1_024, "{peak} kB for 120 MB of parameters");
}

fn many(runs: u32) -> Own {
    let store = numbered();
    store.execute(&format!(
        "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n LIMIT {runs})
         INSERT INTO jobs (queue, id, state, params) SELECT 'task-' || i, i, 'broken', 'p' || i FROM n;
         PRAGMA wal_checkpoint(TRUNCATE)"
    ));
    store
}

#[test]
fn a_limit_bounds_the_search_and_names_both_numbers() {
    let [few, many] = [many(1_000), many(200_000)];
    for unique_by in ["task", "params", "run"] {
        let request = |dry: bool| {
            format!(
                r#"{{"match_all": true, "filter": {{"status": "failed"}}, "options": {{"unique_by": "{unique_by}", "limit": 10, "dry_run": {dry}}}}}"#
            )
        };
        for dry in [true, false] {
            let (small, ..) = peak(&few, &request(dry));
            let (large, status, detail) = peak(&many, &request(dry));
            println!("{unique_by}: {small} kB for 1,000 runs, {large} kB for 200,000");
            assert_eq!(status, 422, "{detail:.300}");
            let digits: String = detail.chars().filter(|letter| *letter != ',').collect();
            assert!(digits.contains("200000") && digits.contains("10"), "{detail:.300}");
            // Tasks and sets of parameters have to be told apart to be counted; runs do not.
            if unique_by == "run" {
                assert!(large < small + 4 * 1_024, "{small} kB for 1,000 runs, {large} kB for 200,000");
            }
        }
    }
    assert_eq!(many.lines("SELECT count(*) FROM jobs"), ["200001"]);
}

/// What can be skipped is no new run: then the search can't stop counting at the limit.
#[test]
fn a_limit_counts_what_is_left_after_skipping() {
    let store = many(50);
    store.execute(
        "INSERT INTO jobs (queue, id, state) SELECT queue, id + 1000, 'busy' FROM jobs WHERE id BETWEEN 0 AND 44",
    );
    let call = |limit: u32| {
        let request = format!(
            r#"{{"match_all": true, "filter": {{"status": "failed"}}, "options": {{"skip_active": true, "limit": {limit}}}}}"#
        );
        store.plugin().call(request.as_bytes())
    };
    let error = call(4).unwrap_err();
    assert!(error.status == 422 && error.detail.contains('5') && error.detail.contains('4'), "{error}");
    let answer: Value = serde_json::from_str(&call(5).unwrap()).unwrap();
    assert_eq!(answer["triggered"].as_array().unwrap().len(), 5);
}
