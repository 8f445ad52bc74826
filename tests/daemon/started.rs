//! What it starts: exactly the source runs, and the options hold as ever.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::Duration;

use bulk_rerun::{Config, Plugin};
use rusqlite::types::Value as Column;
use serde_json::{Value, json};

use crate::stand_in::{Daemon, Manner, Quirk};
use crate::support::calls::{all_failed, assert_error, call, pairs, planned, rows, skipped, triggered};
use crate::support::{GENERATIONS, Row, Store, params_of};
use crate::{NOON, config, daemon, failed, night, open, rerun, taking};

#[test]
fn each_task_is_started_once_whatever_the_age_of_the_daemon_and_the_store_has_it() {
    for (schema, is_old, journal_mode) in [(GENERATIONS[0], true, "wal"), (GENERATIONS[2], false, "delete")] {
        let runs = [failed("b", "backup", None), failed("i", "import", None), failed("m", "mail", None)];
        let store = Store::of_generation(schema, journal_mode).holding(&runs);
        let before = store.dump();
        let version = if is_old { "0.9.0" } else { "0.12.0" };
        let daemon = Daemon::beside(&store.path, Manner { is_old, version, ..Manner::default() });
        let answer = rerun(&store, json!({})).unwrap();
        assert_eq!(pairs(&answer), ["backup: b", "import: i", "mail: m"]);
        let started = ["backup", "import", "mail"].map(|task| format!("POST /api/tasks/{task}/run"));
        assert_eq!(daemon.asked_to_start(), started);
        let after = store.dump();
        assert_eq!((&after[..3], after.len()), (&before[..], 6));
        for run in answer["triggered"].as_array().unwrap() {
            let of = format!("SELECT task_name FROM runs WHERE id = '{}'", run["run_id"].as_str().unwrap());
            assert_eq!(rows(&store.path, &of)[0][0], Column::Text(run["task_name"].as_str().unwrap().to_owned()));
        }
    }
}

/// A default that is new, or that was left out then, is none of the source run's parameters.
#[test]
fn each_run_gets_its_own_parameters_and_no_default() {
    let parameters = json!([
        {"kind": "env", "key": "DAY", "default": "today"},
        {"kind": "option", "key": "--tenant"},
        {"kind": "flag", "key": "--force", "default": "true"},
    ]);
    let given = r#"{"--force":"false","--tenant":"Łódzkie \"Meble\" <&>"}"#;
    let rows = [
        failed("old", "import", Some(r#"{"DAY":"1","--force":"true"}"#))
            .with(|row| row.created_at = NOON.replace("12", "11")),
        failed("new", "import", Some(given)),
        failed("none", "mail", None),
        failed("empty", "backup", Some("{}")),
    ];
    let store = Store::new().holding(&rows);
    let optional = json!([{"kind": "env", "key": "WHO", "default": "all"}]);
    let tasks = vec![taking("import", parameters), taking("mail", optional), json!({"name": "backup"})];
    let daemon = Daemon::beside(&store.path, Manner { tasks, ..Manner::default() });
    let answer = rerun(&store, json!({"unique_by": "run"})).unwrap();
    assert_eq!(pairs(&answer), ["backup: empty", "import: new", "import: old", "mail: none"]);
    let sources: HashMap<&str, Option<&str>> = HashMap::from([
        ("new", Some(given)),
        ("old", Some(r#"{"--force":"true","DAY":"1"}"#)),
        ("none", None),
        ("empty", None),
    ]);
    for run in answer["triggered"].as_array().unwrap() {
        let params = match params_of(&store.path, run["run_id"].as_str().unwrap()) {
            Column::Text(json) => Some(serde_json::from_str::<Value>(&json).unwrap()),
            _ => None,
        };
        let source = sources[run["rerun_of"].as_str().unwrap()].map(|json| serde_json::from_str(json).unwrap());
        assert_eq!(params, source, "{run}");
    }
    let asked = daemon.asked_to_start();
    assert_eq!(asked[0], "POST /api/tasks/backup/run");
    assert_eq!(asked[3], r#"POST /api/tasks/mail/run {"params":{"WHO":null}}"#);
}

#[test]
fn the_options_hold_as_ever() {
    let store = night().holding(&[Row::failed("p", "mail", NOON).with(|row| {
        (row.status, row.end_reason) = ("pending".to_owned(), None);
    })]);
    let daemon = daemon(&store);
    let plan = rerun(&store, json!({"dry_run": true, "skip_active": true, "idempotency_key": "k"})).unwrap();
    assert_eq!(planned(&plan), ["backup: b (1)", "import: i (1)"]);
    let error = rerun(&store, json!({"limit": 1})).unwrap_err();
    assert_eq!(error.status, 422);
    let error = rerun(&store, json!({"expect_plan": plan["plan"]})).unwrap_err();
    assert_error(&error, 409, &["nothing was spawned"]);
    assert!(daemon.asked().is_empty(), "nothing is asked before it is to start something");

    let answer = rerun(&store, json!({"skip_active": true, "take": 1, "expect_plan": null})).unwrap();
    assert_eq!(triggered(&answer), ["backup"]);
    assert_eq!(skipped(&answer), ["i: not_taken", "m: active"]);
    assert_eq!(daemon.asked_to_start().len(), 1);
    let plan = rerun(&store, json!({"dry_run": true, "skip_active": true})).unwrap();
    assert_eq!(planned(&plan), ["import: i (1)"], "what the daemon has started is active now");
    let answer = rerun(&store, json!({"skip_active": true, "expect_plan": plan["plan"]})).unwrap();
    assert_eq!(triggered(&answer), ["import"]);
}

#[test]
fn what_nobody_can_keep_is_refused_before_anything_is_asked() {
    let store = night();
    open(&store).create_ledger().unwrap();
    let daemon = daemon(&store);
    let options = json!({"start_at": NOON, "spread": "10m", "idempotency_key": "k"});
    let error = rerun(&store, options).unwrap_err();
    let places: Vec<&str> = error.errors.iter().map(|violation| &*violation.location).collect();
    assert_eq!(places, ["start_at", "spread", "idempotency_key"].map(|name| format!("body.options.{name}")));
    assert!(error.errors[2].message.contains("may break off half-way"), "{}", error.errors[2].message);
    assert!(error.status == 422 && daemon.asked().is_empty());
}

#[test]
fn a_source_run_that_is_gone_is_not_asked_for() {
    let store = night();
    let daemon = daemon(&store);
    let plugin = open(&store);
    let answer = crate::support::calls::call_meanwhile(&plugin, &all_failed(json!({})), || {
        store.open().execute("DELETE FROM runs WHERE id = 'i'", []).unwrap();
    })
    .unwrap();
    assert_eq!((triggered(&answer), skipped(&answer)), (vec!["backup", "mail"], vec!["i: gone".to_owned()]));
    assert_eq!(daemon.asked_to_start().len(), 2);
}

#[test]
fn it_works_in_async_code() {
    let store = night();
    let _daemon = daemon(&store);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        let plugin = Plugin::open(&config(&store)).unwrap();
        assert!(plugin.describe().unwrap().daemon.unwrap().fault.is_none());
        call(&plugin, &all_failed(json!({}))).unwrap()
    });
    assert_eq!(triggered(&answer).len(), 3);
}

/// The second call looks when the first has been answered, and not while nobody knows yet what that starts.
#[test]
fn two_calls_at_once_start_a_task_once() {
    let store = Store::new().holding(&[failed("b", "backup", None)]);
    let quirks = BTreeMap::from([("backup", Quirk::IsSlow)]);
    let daemon = Daemon::beside(&store.path, Manner { quirks, ..Manner::default() });
    let once = || {
        let patient = Config { busy_timeout_ms: 60_000, ..config(&store) };
        call(&Plugin::open(&patient).unwrap(), &all_failed(json!({"skip_active": true}))).unwrap()
    };
    let (second, first) = thread::scope(|scope| {
        let first = scope.spawn(once);
        while daemon.asked_to_start().is_empty() && !first.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        (scope.spawn(once).join().unwrap(), first.join().unwrap())
    });
    assert_eq!((triggered(&first), triggered(&second)), (vec!["backup"], Vec::new()));
    assert_eq!(skipped(&second), ["b: active"]);
    assert_eq!(daemon.asked_to_start().len(), 1);
}
