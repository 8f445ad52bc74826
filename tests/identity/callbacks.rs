//! A run is its task and its id together, also where the host hands its runs over itself.

use std::sync::atomic::{AtomicI32, Ordering};

use crate::support::calls::{all_failed, assert_error, call, pairs, planned, reasons};
use crate::support::memory_host::MemoryHost;
use bulk_rerun::host::HostError;
use bulk_rerun::host::callbacks::{HostCallbacks, Reply};
use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

const NOON: &str = "2026-04-15T12:00:00Z";

fn run(task: &str, id: &str, end_reason: &str, params: &str) -> Value {
    json!({"id": id, "task_name": task, "phase": "ended", "end_reason": end_reason, "created_at": NOON, "params": params})
}

/// The same host once with transactions and once without.
fn hosts(runs: &[Value]) -> [MemoryHost; 2] {
    [false, true].map(|transactions| MemoryHost { transactions, ..MemoryHost::holding(runs.iter().cloned()) })
}

fn attach(host: impl HostCallbacks + 'static) -> Plugin {
    Plugin::attach(Box::new(host), &Config::new("")).unwrap()
}

/// Task and parameters of the new runs, in order.
fn started(host: &MemoryHost) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("NULL").to_owned();
    let runs = host.runs.lock().unwrap();
    let new = runs.iter().filter(|run| run["phase"] == "pending");
    let mut new: Vec<String> = new.map(|run| format!("{}|{}", text(&run["task_name"]), text(&run["params"]))).collect();
    new.sort();
    new
}

#[test]
fn two_runs_with_one_id_are_each_started() {
    for request in [
        all_failed(json!({})),
        all_failed(json!({"unique_by": "params"})),
        all_failed(json!({"unique_by": "run"})),
        json!({"ids": ["1"]}),
        json!({"ids": ["1"], "options": {"unique_by": "run"}}),
    ] {
        for host in
            hosts(&[run("mail", "1", "failed", "m"), run("refund", "1", "failed", "r"), run("z", "2", "success", "z")])
        {
            let answer = call(&attach(host.clone()), &request).unwrap();
            assert_eq!((pairs(&answer), reasons(&answer)), (vec!["mail: 1".into(), "refund: 1".into()], vec![]));
            assert_eq!(started(&host), ["mail|m", "refund|r"], "{request}");
        }
    }
}

#[test]
fn a_run_is_started_with_its_own_parameters_where_another_task_has_its_id() {
    for (first, second) in [(0, 1), (1, 0)] {
        let runs = [run("mail", "1", "failed", "of mail"), run("z", "1", "success", "of z")];
        for host in hosts(&[runs[first].clone(), runs[second].clone()]) {
            assert_eq!(pairs(&call(&attach(host.clone()), &all_failed(json!({}))).unwrap()), ["mail: 1"]);
            assert_eq!(started(&host), ["mail|of mail"]);
        }
    }
}

#[test]
fn the_excepted_id_is_every_run_that_bears_it() {
    for host in hosts(&[run("a", "1", "failed", "p"), run("b", "1", "failed", "p"), run("b", "2", "failed", "p")]) {
        let request = json!({"match_all": true, "except_ids": ["1"]});
        assert_eq!(pairs(&call(&attach(host), &request).unwrap()), ["b: 2"]);
    }
}

#[test]
fn the_expected_plan_is_of_every_run_with_the_id() {
    let runs = [run("a", "1", "failed", "p"), run("b", "1", "failed", "q")];
    for host in hosts(&runs) {
        let plan = call(&attach(host.clone()), &all_failed(json!({"dry_run": true}))).unwrap();
        for changed in 0..2 {
            let before = host.runs.lock().unwrap().clone();
            host.runs.lock().unwrap()[changed]["params"] = json!("other");
            let error = call(&attach(host.clone()), &all_failed(json!({"expect_plan": plan["plan"]}))).unwrap_err();
            assert_error(&error, 409, &["nothing was spawned"]);
            assert_eq!(started(&host), [""; 0]);
            *host.runs.lock().unwrap() = before;
        }
        let answer = call(&attach(host.clone()), &all_failed(json!({"expect_plan": plan["plan"]}))).unwrap();
        assert_eq!((pairs(&answer).len(), reasons(&answer)), (2, vec![]));
    }
}

#[test]
fn a_run_that_is_handed_over_twice_is_one_run() {
    let runs = [run("a", "1", "failed", "p"), run("a", "1", "failed", "p"), run("b", "1", "failed", "p")];
    for request in
        [json!({"ids": ["1"], "options": {"unique_by": "run"}}), all_failed(json!({"unique_by": "run", "limit": 2}))]
    {
        for host in hosts(&runs) {
            let mut dry = request.clone();
            dry["options"]["dry_run"] = json!(true);
            let plan = call(&attach(host.clone()), &dry).unwrap();
            assert_eq!((&plan["matched"], planned(&plan)), (&json!(2), vec!["a: 1 (1)".into(), "b: 1 (1)".into()]));
            let answer = call(&attach(host.clone()), &request).unwrap();
            assert_eq!((pairs(&answer), reasons(&answer)), (vec!["a: 1".into(), "b: 1".into()], vec![]));
            assert_eq!(started(&host).len(), 2);
        }
    }
}

#[test]
fn what_can_not_be_carried_is_answered_and_never_started() {
    let mut nameless = run("", "4", "failed", "p");
    nameless["task_name"] = Value::Null;
    let mut without_id = run("no id", "", "failed", "p");
    without_id["id"] = Value::Null;
    let runs = [
        run("good", "1", "failed", "p"),
        run("", "2", "failed", "p"),
        run("empty id", "", "failed", "p"),
        nameless,
        without_id,
    ];
    for host in hosts(&runs) {
        let plan = call(&attach(host.clone()), &all_failed(json!({"dry_run": true}))).unwrap();
        assert_eq!((&plan["matched"], planned(&plan)), (&json!(5), vec!["good: 1 (1)".into()]));
        let answer = call(&attach(host.clone()), &all_failed(json!({}))).unwrap();
        assert_eq!(pairs(&answer), ["good: 1"]);
        assert_eq!(reasons(&answer), ["-, 4: refused", ", 2: refused", "empty id, : refused", "no id, -: refused"]);
        let why = ["its task name is NULL", "its task name is empty", "its id is empty", "its id is NULL"];
        for (skip, why) in answer["skipped"].as_array().unwrap().iter().zip(why) {
            assert!(skip["detail"].as_str().unwrap().contains(why), "{why:?} is not in {skip}");
        }
        assert_eq!(started(&host), ["good|p"]);
    }
}

/// Forgets a run once it has been asked so many times.
struct Forgetful {
    host: MemoryHost,
    task: &'static str,
    after: AtomicI32,
}

impl HostCallbacks for Forgetful {
    fn runs(&self, selector: &str, emit: &mut dyn FnMut(&str) -> Result<(), HostError>) -> Result<(), HostError> {
        let done = self.host.runs(selector, emit);
        if self.after.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.host.runs.lock().unwrap().retain(|run| run["task_name"] != self.task);
        }
        done
    }
    fn spawn(&self, source: &str) -> Result<Reply, HostError> {
        self.host.spawn(source)
    }
    fn has_transactions(&self) -> bool {
        self.host.transactions
    }
    fn begin(&self) -> Result<(), HostError> {
        self.host.begin()
    }
    fn commit(&self) -> Result<(), HostError> {
        self.host.commit()
    }
    fn rollback(&self) -> Result<(), HostError> {
        self.host.rollback()
    }
}

/// Whenever a source run vanishes: a plan that is no longer the expected one starts nothing, with or without transactions.
#[test]
fn a_changed_plan_is_told_before_anything_is_started() {
    let runs = ["a", "b", "c"].map(|task| run(task, task, "failed", "p"));
    let mut conflicts = 0;
    for host in hosts(&runs) {
        let plan = call(&attach(host.clone()), &all_failed(json!({"dry_run": true}))).unwrap()["plan"].clone();
        for after in 1..8 {
            for task in ["a", "c"] {
                *host.runs.lock().unwrap() = runs.to_vec();
                let plugin = attach(Forgetful { host: host.clone(), task, after: AtomicI32::new(after) });
                match call(&plugin, &all_failed(json!({"expect_plan": plan, "skip_active": true}))) {
                    Err(error) => {
                        conflicts += 1;
                        assert_error(&error, 409, &["nothing was spawned"]);
                        assert_eq!(started(&host), [""; 0], "{task} was gone after {after} questions");
                    }
                    // It came too late to be seen: the host was asked to start every run of the plan. Where it can't take
                    // back what it has started, a run that went at the very last is answered as gone.
                    Ok(answer) => {
                        let gone = if host.transactions { 0 } else { reasons(&answer).len() };
                        assert_eq!(pairs(&answer).len() + gone, 3, "{task} was gone after {after} questions: {answer}");
                    }
                }
            }
        }
    }
    assert!(conflicts > 0, "no call saw that a run was gone");
}

/// What its statement-like answers say is told as it is: one by one, each with its own source run.
#[test]
fn each_new_id_stands_beside_its_own_source_run() {
    let runs: Vec<Value> =
        (0..200).map(|n| run(&format!("task-{:03}", 199 - n), "1", "failed", &n.to_string())).collect();
    for host in hosts(&runs) {
        let declining = MemoryHost { declines: Some("task-100"), ..host.clone() };
        let answer = call(&attach(declining), &all_failed(json!({}))).unwrap();
        assert_eq!(reasons(&answer), ["task-100, 1: refused"]);
        let runs = host.runs.lock().unwrap();
        for new in answer["triggered"].as_array().unwrap() {
            let found = runs.iter().find(|run| run["id"] == new["run_id"]).unwrap();
            assert_eq!(found["task_name"], new["task_name"]);
        }
    }
}
