//! The ledger of a host behind callbacks, the keys in it, and what is taken back.

use crate::support::calls::{all_failed, assert_error, call, skipped, triggered};
use crate::support::memory_host::{MemoryHost, MemoryLedger};
use bulk_rerun::host::HostError;
use bulk_rerun::host::callbacks::{HostCallbacks, Reply};
use bulk_rerun::{Config, ErrorModel, Plugin};
use serde_json::{Value, json};

fn failed(id: &str, task: &str) -> Value {
    json!({"id": id, "task_name": task, "phase": "ended", "end_reason": "failed", "created_at": "2026-04-15T12:00:00Z"})
}

/// A host with a ledger, and three tasks that have failed.
fn kept(transactions: bool) -> MemoryHost {
    let ledger = Some(MemoryLedger::default());
    let runs = [failed("a", "alpha"), failed("b", "beta"), failed("c", "gamma")];
    MemoryHost { transactions, undoes: true, ledger, ..MemoryHost::holding(runs) }
}

fn attach(host: &(impl HostCallbacks + Clone + 'static)) -> Plugin {
    Plugin::attach(Box::new(host.clone()), &Config::new("")).unwrap()
}

fn keyed(key: &str) -> Value {
    all_failed(json!({"idempotency_key": key}))
}

fn operations(plugin: &Plugin, query: Value) -> Result<Value, ErrorModel> {
    plugin.call_operations(query.to_string().as_bytes()).map(|json| serde_json::from_str(&json).unwrap())
}

fn undo(plugin: &Plugin, answer: &Value) -> Result<Value, ErrorModel> {
    let request = json!({"operation_id": answer["operation_id"]}).to_string();
    plugin.call_undo(request.as_bytes()).map(|json| serde_json::from_str(&json).unwrap())
}

fn recorded(host: &MemoryHost) -> Vec<Value> {
    host.ledger.as_ref().unwrap().operations.lock().unwrap().clone()
}

/// The host's worker begins a run.
fn begin(host: &MemoryHost, id: &Value) {
    let mut runs = host.runs.lock().unwrap();
    runs.iter_mut().find(|run| run["id"] == *id).unwrap()["phase"] = json!("running");
}

#[test]
fn what_was_done_is_recorded_within_its_transaction() {
    let host = kept(true);
    let options = json!({"idempotency_key": "monday", "reason": "the disk was full", "actor": "ada"});
    let mut request = all_failed(options);
    request["except_ids"] = json!(["c"]);
    let answer = call(&attach(&host), &request).unwrap();
    assert_eq!(triggered(&answer), ["alpha", "beta"]);
    let key = r#"find {"idempotency_key":"monday"}"#;
    let runs = r#"runs {"match_all":true,"filter":{"status":"failed"},"except_ids":["c"]}"#;
    let log = host.log.lock().unwrap();
    assert_eq!((&*log[0], &*log[2], &*log[3], log.len()), (key, "begin", key, 7), "{log:?}");
    assert!(log[1] == runs || log[1].starts_with("runs"), "{log:?}");
    assert_eq!((&*log[4], &*log[5], &*log[6]), (r#"runs {"ids":["a","b"]}"#, "record", "commit"));

    let operation = &recorded(&host)[0];
    assert_eq!(operation["operation_id"], answer["operation_id"]);
    assert!(operation["created_at"].as_str().unwrap().ends_with('Z'), "{operation}");
    let [door, key, actor, reason] = ["door", "idempotency_key", "actor", "reason"].map(|field| &operation[field]);
    assert_eq!([door, key, actor, reason], ["rust", "monday", "ada", "the disk was full"]);
    assert_eq!(operation["request"]["except_ids"], json!(["c"]));
    assert_eq!((&operation["triggered"], &operation["skipped"]), (&json!(2), &json!(0)));
    assert_eq!(operation["runs"], answer["triggered"]);
    assert!(operation.get("undone_at").is_none());
}

#[test]
fn the_same_key_is_answered_as_the_first_time_and_stands_for_one_request() {
    for transactions in [true, false] {
        let host = MemoryHost { declines: Some("gamma"), ..kept(transactions) };
        let plugin = attach(&host);
        let request = json!({"ids": ["a", "c", "zz"], "options": {"idempotency_key": "k"}});
        let first = call(&plugin, &request).unwrap();
        assert_eq!(
            (triggered(&first), skipped(&first)),
            (vec!["alpha"], vec!["c: refused".into(), "zz: not_found".into()])
        );
        // Whatever has become of the runs since.
        host.runs.lock().unwrap().clear();
        let mut again = call(&plugin, &request).unwrap();
        assert_eq!(again.as_object_mut().unwrap().remove("replayed"), Some(json!(true)));
        assert_eq!(again, first);

        let error = call(&plugin, &keyed("k")).unwrap_err();
        assert_eq!((error.status, &*error.errors[0].location), (422, "body.options.idempotency_key"));
        assert!(error.errors[0].message.contains("another request"), "{error}");
        // What comes to nothing is kept, too.
        assert_eq!(call(&plugin, &keyed("none")).unwrap()["triggered"], json!([]));
        host.runs.lock().unwrap().push(failed("d", "delta"));
        let again = call(&plugin, &keyed("none")).unwrap();
        assert_eq!((&again["triggered"], &again["replayed"]), (&json!([]), &json!(true)));
        assert_eq!(recorded(&host).len(), 2);
        call(&plugin, &all_failed(json!({"dry_run": true, "idempotency_key": "dry"}))).unwrap();
        assert_eq!(recorded(&host).len(), 2, "a dry run is no operation");
    }
}

#[test]
fn many_threads_with_one_key_start_the_runs_once() {
    let host = kept(true);
    let plugin = attach(&host);
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| call(&plugin, &keyed("k")).unwrap())).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!((recorded(&host).len(), host.ids().len()), (1, 6));
    assert_eq!(answers.iter().filter(|answer| answer.get("replayed").is_none()).count(), 1);
    assert!(answers.iter().all(|answer| answer["triggered"] == answers[0]["triggered"]));
}

#[test]
fn what_can_not_be_recorded_is_not_done_or_told() {
    let fails = Some(MemoryLedger { fails: true, ..MemoryLedger::default() });
    let host = MemoryHost { ledger: fails.clone(), ..kept(true) };
    let error = call(&attach(&host), &keyed("k")).unwrap_err();
    assert_error(&error, 500, &["`record_operation` callback failed: out of ink"]);
    assert!(error.triggered.is_empty());
    assert_eq!(host.ids(), ["a", "b", "c"]);

    let host = MemoryHost { ledger: fails, ..kept(false) };
    let error = call(&attach(&host), &keyed("k")).unwrap_err();
    assert_error(&error, 500, &["out of ink", "3 runs were started before", "can't be undone"]);
    assert_eq!(error.triggered.len(), 3);
    assert_eq!(host.ids(), ["a", "b", "c", "new-3", "new-4", "new-5"]);
}

#[test]
fn a_call_that_fails_leaves_its_key_free() {
    for transactions in [true, false] {
        let host = MemoryHost { fails: Some("gamma"), ..kept(transactions) };
        assert_eq!(call(&attach(&host), &keyed("k")).unwrap_err().status, 500);
        assert_eq!(recorded(&host), [Value::Null; 0]);
        let host = MemoryHost { fails: None, ..host };
        assert!(call(&attach(&host), &keyed("k")).unwrap().get("replayed").is_none());
    }
}

#[test]
fn a_host_without_a_ledger_says_which_callbacks_make_one() {
    let plugin = attach(&MemoryHost { ledger: None, ..kept(true) });
    let error = call(&plugin, &all_failed(json!({"idempotency_key": "k", "reason": "why"}))).unwrap_err();
    assert_eq!((error.status, error.errors.len()), (422, 2));
    assert!(error.errors[0].message.contains("`find_operation` and `record_operation`"), "{error}");
    assert_error(&operations(&plugin, json!({})).unwrap_err(), 404, &["`find_operation` and `record_operation`"]);
    assert_eq!(undo(&plugin, &json!({"operation_id": "01ABC"})).unwrap_err().status, 404);
    assert_eq!((plugin.keeps_ledger(), plugin.describe().unwrap().ledger), (Ok(false), None));
}

#[test]
fn the_ledger_is_the_hosts_own_to_make_and_to_prune() {
    let plugin = attach(&kept(true));
    assert_eq!((plugin.keeps_ledger(), plugin.create_ledger()), (Ok(true), Ok(false)));
    assert!(plugin.describe().unwrap().ledger.is_some());
    assert_error(&plugin.prune_ledger(chrono::Utc::now()).unwrap_err(), 500, &["prunes its own"]);
    assert_error(&plugin.drop_ledger().unwrap_err(), 500, &["behind callbacks"]);
}

#[test]
fn a_trial_leaves_nothing_in_the_ledger() {
    let host = kept(true);
    attach(&host).trial(None).unwrap();
    assert_eq!((recorded(&host), host.ids().len()), (Vec::new(), 3));
    assert_eq!(*host.log.lock().unwrap().last().unwrap(), "rollback");
}

#[test]
fn what_is_pending_is_taken_back_and_the_rest_is_kept() {
    for transactions in [true, false] {
        let host = kept(transactions);
        let plugin = attach(&host);
        let answer = call(&plugin, &keyed("k")).unwrap();
        let begun = json!("new-4");
        begin(&host, &begun);
        let undone = undo(&plugin, &answer).unwrap();
        let is_kept = json!([{"task_name": "beta", "run_id": begun, "phase": "running"}]);
        let taken = json!([{"task_name": "alpha", "run_id": "new-3"}, {"task_name": "gamma", "run_id": "new-5"}]);
        assert_eq!(undone, json!({"undone": taken, "kept": is_kept}));
        assert_eq!(host.ids(), ["a", "b", "c", "new-4"]);
        let again = undo(&plugin, &answer).unwrap();
        assert_eq!(again, json!({"undone": [], "kept": is_kept}), "nothing is left to do");

        let operation = operations(&plugin, json!({"operation_id": answer["operation_id"]})).unwrap();
        assert_eq!(operation["states"], json!({"running": 1, "undone": 2}));
        assert!(operation["undone_at"].is_string(), "{operation}");
        assert_eq!(operation["runs"][0]["phase"], "undone");
        assert_eq!(recorded(&host).len(), 1, "it takes the place of what was kept");
        assert_eq!(call(&plugin, &keyed("k")).unwrap()["triggered"], answer["triggered"], "its key stays with it");
    }
}

#[test]
fn an_undo_that_fails_half_way_takes_back_nothing_or_tells_what() {
    let host = MemoryHost { fails_to_undo: Some("gamma"), ..kept(true) };
    let plugin = attach(&host);
    let answer = call(&plugin, &keyed("k")).unwrap();
    let error = undo(&plugin, &answer).unwrap_err();
    assert_error(&error, 500, &["`undo` callback failed: the door is stuck"]);
    assert_eq!(host.ids().len(), 6);
    assert!(recorded(&host)[0].get("undone_at").is_none());

    let host = MemoryHost { fails_to_undo: Some("gamma"), ..kept(false) };
    let plugin = attach(&host);
    let answer = call(&plugin, &keyed("k")).unwrap();
    let error = undo(&plugin, &answer).unwrap_err();
    assert_error(&error, 500, &["the door is stuck", "2 runs were taken back before", "undo the operation again"]);
    assert_eq!(host.ids(), ["a", "b", "c", "new-5"]);
    let plugin = attach(&MemoryHost { fails_to_undo: None, ..host });
    let undone = undo(&plugin, &answer).unwrap();
    assert_eq!(undone, json!({"undone": [{"task_name": "gamma", "run_id": "new-5"}], "kept": []}));
    let operation = operations(&plugin, json!({"operation_id": answer["operation_id"]})).unwrap();
    assert_eq!(operation["states"], json!({"undone": 3}));
}

#[test]
fn an_undo_that_can_not_be_recorded_takes_back_nothing_or_says_so() {
    for transactions in [true, false] {
        let mut host = kept(transactions);
        let answer = call(&attach(&host), &keyed("k")).unwrap();
        host.ledger.as_mut().unwrap().fails = true;
        let error = undo(&attach(&host), &answer).unwrap_err();
        assert_error(&error, 500, &["out of ink"]);
        let is_told = error.detail.contains("3 runs were taken back before, and that is not written down");
        assert_eq!((is_told, host.ids().len()), if transactions { (false, 6) } else { (true, 3) }, "{error}");
    }
}

#[test]
fn a_host_that_can_not_undo_says_so() {
    let host = MemoryHost { undoes: false, ..kept(true) };
    let plugin = attach(&host);
    let error = undo(&plugin, &call(&plugin, &keyed("k")).unwrap()).unwrap_err();
    assert_eq!((error.status, &*error.errors[0].location), (422, "body.operation_id"));
    assert!(error.errors[0].message.contains("its callbacks no `undo`"), "{error}");
    assert_eq!(host.ids().len(), 6);
}

/// Says that it takes runs back, and does not.
#[derive(Clone)]
struct Boaster(MemoryHost);

impl HostCallbacks for Boaster {
    fn runs(&self, selector: &str, emit: &mut dyn FnMut(&str) -> Result<(), HostError>) -> Result<(), HostError> {
        self.0.runs(selector, emit)
    }
    fn spawn(&self, source: &str) -> Result<Reply, HostError> {
        self.0.spawn(source)
    }
    fn can_undo(&self) -> bool {
        true
    }
    fn undo(&self, run: &str) -> Result<bool, HostError> {
        if run.contains("alpha") { self.0.undo(run) } else { Ok(true) }
    }
    fn keeps_ledger(&self) -> bool {
        true
    }
    fn find_operation(&self, query: &str) -> Result<String, HostError> {
        self.0.find_operation(query)
    }
    fn record_operation(&self, operation: &str) -> Result<(), HostError> {
        self.0.record_operation(operation)
    }
}

#[test]
fn a_host_that_says_undone_of_what_it_keeps_is_found_out() {
    let host = kept(false);
    let plugin = attach(&Boaster(host.clone()));
    let answer = call(&plugin, &keyed("k")).unwrap();
    let error = undo(&plugin, &answer).unwrap_err();
    assert_error(&error, 500, &["took the run new-4 back", "will be run all the same", "1 run was taken back before"]);
    assert_eq!(host.ids(), ["a", "b", "c", "new-4", "new-5"]);
}

#[test]
fn lists_are_filtered_again_and_go_on_where_they_ended() {
    let host = kept(true);
    let plugin = attach(&host);
    let answers: Vec<Value> =
        ["a", "b", "a"].map(|id| call(&plugin, &json!({"ids": [id]})).unwrap()).into_iter().collect();
    let ids: Vec<Value> = answers.iter().map(|answer| answer["operation_id"].clone()).collect();
    // One that the host hands over twice is one.
    let twice = recorded(&host)[0].clone();
    host.ledger.as_ref().unwrap().operations.lock().unwrap().insert(0, twice);
    let listed = |query: Value| {
        let page = operations(&plugin, query).unwrap();
        page["operations"].as_array().unwrap().iter().map(|one| one["operation_id"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(listed(json!({})), [ids[2].clone(), ids[1].clone(), ids[0].clone()]);
    assert_eq!(listed(json!({"limit": 2})), [ids[2].clone(), ids[1].clone()]);
    assert_eq!(listed(json!({"limit": 2, "before": ids[1]})), [ids[0].clone()]);
    assert_eq!(listed(json!({"run_id": "a"})), [ids[2].clone(), ids[0].clone()]);
    assert_eq!(listed(json!({"run_id": answers[1]["triggered"][0]["run_id"]})), [ids[1].clone()]);
    assert_eq!(listed(json!({"created_after": "2999-01-01T00:00:00Z"})), Vec::<Value>::new());
    let asked = host.log.lock().unwrap().last().unwrap().clone();
    assert_eq!(asked, r#"find {"limit":50,"created_after":"2999-01-01T00:00:00.000Z"}"#);
    assert_eq!(operations(&plugin, json!({"before": "01ABC"})).unwrap_err().status, 404);
}

/// A host whose ledger answers with what it is told to.
#[derive(Clone)]
struct Stammerer {
    host: MemoryHost,
    says: String,
}

impl HostCallbacks for Stammerer {
    fn runs(&self, selector: &str, emit: &mut dyn FnMut(&str) -> Result<(), HostError>) -> Result<(), HostError> {
        self.host.runs(selector, emit)
    }
    fn spawn(&self, source: &str) -> Result<Reply, HostError> {
        self.host.spawn(source)
    }
    fn keeps_ledger(&self) -> bool {
        true
    }
    fn find_operation(&self, _: &str) -> Result<String, HostError> {
        Ok(self.says.clone())
    }
}

/// An operation with the key `k`, as it would be recorded.
fn operation() -> Value {
    let host = kept(true);
    call(&attach(&host), &keyed("k")).unwrap();
    recorded(&host)[0].clone()
}

#[test]
fn what_a_host_finds_may_have_more_and_in_another_order() {
    let mut found = operation();
    found["version"] = json!(7);
    found["actor"] = Value::Null;
    let sorted: std::collections::BTreeMap<String, Value> = found.as_object().unwrap().clone().into_iter().collect();
    let host = Stammerer { host: kept(true), says: json!(sorted).to_string() };
    let answer = call(&attach(&host), &keyed("k")).unwrap();
    assert_eq!((&answer["replayed"], &answer["triggered"]), (&json!(true), &found["runs"]));
}

#[test]
fn what_can_not_be_read_fails_the_call_and_starts_nothing() {
    let with = |field: &str, value: Value| {
        let mut found = operation();
        match value {
            Value::Null => drop(found.as_object_mut().unwrap().shift_remove(field)),
            value => found[field] = value,
        }
        found.to_string()
    };
    let a_run = json!([{"task_name": "alpha", "run_id": 7, "rerun_of": "s3cret"}]);
    for (says, words) in [
        (String::new(), "it is not JSON"),
        ("s3cret".to_owned(), "it is not JSON"),
        ("[]".to_owned(), "an array, not an object"),
        (json!({"operations": [operation()]}).to_string(), "neither what was asked for nor {}"),
        (with("runs", Value::Null), "`runs` is missing"),
        (with("request_digest", Value::Null), "`request_digest` is missing"),
        (with("request", Value::Null), "`request` is missing"),
        (with("triggered", json!("s3cret")), "`triggered` is a string, not an integer of 64 bits"),
        (with("runs", a_run), "run 1: `run_id` is a number, not a string"),
        (with("idempotency_key", json!("other")), "with the idempotency_key \"k\", and found another one"),
        (with("actor", json!(["s3cret"])), "of another kind"),
    ] {
        let host = Stammerer { host: kept(false), says: says.clone() };
        let error = call(&attach(&host), &keyed("k")).unwrap_err();
        assert_error(&error, 500, &["the host's `find_operation` callback failed", words]);
        assert!(!error.detail.contains("s3cret"), "{error}");
        assert_eq!(host.host.ids(), ["a", "b", "c"], "{says}");
    }
    let host = Stammerer { host: kept(true), says: json!({"operations": [operation(), 7]}).to_string() };
    assert_error(&operations(&attach(&host), json!({})).unwrap_err(), 500, &["operation 2: it is a number"]);
}
