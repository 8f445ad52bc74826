//! A host that hands over its runs and starts them itself.

use crate::support::calls::{all_failed, assert_error, call, skipped, triggered};
use crate::support::memory_host::MemoryHost;
use bulk_rerun::host::HostError;
use bulk_rerun::host::callbacks::{HostCallbacks, Reply};
use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

const NOON: &str = "2026-04-15T12:00:00Z";

fn failed(id: &str, task: &str) -> Value {
    json!({"id": id, "task_name": task, "phase": "ended", "end_reason": "failed", "created_at": NOON, "params": "{\"n\": 1}"})
}

fn three_tasks() -> MemoryHost {
    MemoryHost::holding([failed("a", "alpha"), failed("b", "beta"), failed("c", "gamma")])
}

fn attach(host: &MemoryHost) -> Plugin {
    Plugin::attach(Box::new(host.clone()), &Config::new("")).unwrap()
}

#[test]
fn it_is_asked_in_the_contracts_words_and_started_within_its_transaction() {
    let host = MemoryHost { transactions: true, ..three_tasks() };
    let answer = call(&attach(&host), &all_failed(json!({"skip_active": true}))).unwrap();
    assert_eq!(triggered(&answer), ["alpha", "beta", "gamma"]);
    assert_eq!(host.runs.lock().unwrap()[3]["params"], "{\"n\": 1}", "byte for byte");
    assert_eq!(
        *host.log.lock().unwrap(),
        [
            r#"runs {"match_all":true,"filter":{"status":"failed"}}"#,
            r#"runs {"match_all":true,"filter":{"status":"pending,running"}}"#,
            "begin",
            r#"runs {"match_all":true,"filter":{"status":"pending,running"}}"#,
            r#"runs {"ids":["a","b","c"]}"#,
            "commit",
        ]
    );
}

#[test]
fn with_transactions_a_failure_half_way_leaves_nothing() {
    let host = MemoryHost { transactions: true, fails: Some("gamma"), ..three_tasks() };
    let error = call(&attach(&host), &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["`spawn` callback failed: out of paper"]);
    assert!(error.triggered.is_empty());
    assert_eq!(host.ids(), ["a", "b", "c"]);
}

#[test]
fn without_transactions_a_failure_half_way_says_what_was_started() {
    let host = MemoryHost { fails: Some("gamma"), declines: Some("alpha"), ..three_tasks() };
    let error = call(&attach(&host), &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["out of paper", "1 run was started before", "can't be undone"]);
    let json: Value = serde_json::from_str(&error.to_json()).unwrap();
    assert_eq!(json["triggered"], json!([{"task_name": "beta", "run_id": "new-3", "rerun_of": "b"}]));
    assert_eq!(host.ids(), ["a", "b", "c", "new-3"]);

    let host = MemoryHost { fails: Some("alpha"), ..three_tasks() };
    let error = call(&attach(&host), &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["no run was started"]);
    assert_eq!(host.ids(), ["a", "b", "c"]);
}

#[test]
fn what_it_declines_is_refused_with_its_words() {
    let host = MemoryHost { declines: Some("beta"), ..three_tasks() };
    let answer = call(&attach(&host), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), ["alpha", "gamma"]);
    assert_eq!(
        answer["skipped"],
        json!([{"task_name": "beta", "run_id": "b", "reason": "refused", "detail": "not today"}])
    );
}

#[test]
fn a_plan_that_is_no_longer_the_expected_one_starts_nothing_there_either() {
    for transactions in [false, true] {
        let host = MemoryHost { transactions, ..three_tasks() };
        let plugin = attach(&host);
        let plan = call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap()["plan"].clone();
        host.runs.lock().unwrap().push(failed("d", "delta"));
        let error = call(&plugin, &all_failed(json!({"expect_plan": plan}))).unwrap_err();
        assert_error(&error, 409, &["nothing was spawned"]);
        assert_eq!(host.ids(), ["a", "b", "c", "d"]);
        host.runs.lock().unwrap().pop();
        assert_eq!(triggered(&call(&plugin, &all_failed(json!({"expect_plan": plan}))).unwrap()).len(), 3);
    }
}

#[test]
fn an_id_handed_over_twice_counts_once() {
    let host = MemoryHost::holding([failed("a", "alpha"), failed("a", "alpha"), failed("b", "beta")]);
    let request = json!({"ids": ["a", "zz", "a"], "options": {"unique_by": "run"}});
    let answer = call(&attach(&host), &request).unwrap();
    assert_eq!((triggered(&answer), skipped(&answer)), (vec!["alpha"], vec!["zz: not_found".to_owned()]));
}

#[test]
fn a_run_that_can_not_be_read_fails_the_call_and_starts_nothing() {
    let host = MemoryHost::holding([failed("a", "alpha"), json!({"id": 7, "task_name": "beta"})]);
    let error = call(&attach(&host), &all_failed(json!({}))).unwrap_err();
    assert_error(
        &error,
        500,
        &["the host handed over a run that can't be read, number 2: `id` is a number, not a string"],
    );
    assert_eq!(host.runs.lock().unwrap().len(), 2);
}

#[test]
fn a_run_that_vanishes_before_it_is_started_is_gone() {
    /// Forgets the run `b` once it has been asked for the first time.
    struct Forgetful(MemoryHost);
    impl HostCallbacks for Forgetful {
        fn runs(&self, selector: &str, emit: &mut dyn FnMut(&str) -> Result<(), HostError>) -> Result<(), HostError> {
            let done = self.0.runs(selector, emit);
            self.0.runs.lock().unwrap().retain(|run| run["id"] != "b");
            done
        }
        fn spawn(&self, source: &str) -> Result<Reply, HostError> {
            self.0.spawn(source)
        }
    }
    let plugin = Plugin::attach(Box::new(Forgetful(three_tasks())), &Config::new("")).unwrap();
    let answer = call(&plugin, &all_failed(json!({}))).unwrap();
    assert_eq!((triggered(&answer), skipped(&answer)), (vec!["alpha", "gamma"], vec!["b: gone".to_owned()]));
}

#[test]
fn parameters_do_not_set_runs_of_a_task_apart() {
    let mut pending = failed("z", "alpha");
    pending["phase"] = json!("pending");
    pending["params"] = json!("{\"n\": 2}");
    let host = three_tasks();
    host.runs.lock().unwrap().push(pending);
    let answer = call(&attach(&host), &json!({"ids": ["a"], "options": {"skip_active": true}})).unwrap();
    assert_eq!(skipped(&answer), ["a: active"]);
}
