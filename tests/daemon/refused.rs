//! What it does not start: each with its reason, and the others are started.

use std::collections::BTreeMap;

use serde_json::json;

use crate::stand_in::{Daemon, Manner, Quirk};
use crate::support::Store;
use crate::support::calls::{first_detail, pairs, triggered};
use crate::support::tool::{self, text};
use crate::{failed, night, rerun, taking};

#[test]
fn what_the_daemon_declines_is_told_and_the_others_are_started() {
    let tasks = ["a", "d", "g", "h"].map(|name| failed(name, name, None));
    let rows = [failed("b", "b", None), failed("c", "c", None), failed("e", "e", None), failed("f", "f f", None)];
    let store = Store::new().holding(&tasks).holding(&rows);
    let tasks = vec![
        json!({"name": "a"}),
        json!({"name": "b", "manual_trigger": false}),
        json!({"name": "c", "kind": "service"}),
        json!({"name": "d"}),
        json!({"name": "f f"}),
        json!({"name": "g"}),
        json!({"name": "h"}),
    ];
    let quirks =
        BTreeMap::from([("d", Quirk::Answers(404, "task not found")), ("g", Quirk::Skips), ("h", Quirk::SkipsQuietly)]);
    let daemon = Daemon::beside(&store.path, Manner { tasks, quirks, ..Manner::default() });
    let answer = rerun(&store, json!({})).unwrap();
    assert_eq!(pairs(&answer), ["a: a"]);
    let expected = [
        ("b", "answers 403: manual triggering disabled for this task (the task may not be started by hand)"),
        (
            "c",
            "answers 409: services cannot be triggered; use the restart endpoint (the task is a long-running service)",
        ),
        ("d", "answers 404: task not found (it has no such task)"),
        ("e", "no such task"),
        ("f f", "no such task"),
        ("g", "answers 500: Failed to trigger run (as it does where the task's on_overlap"),
        ("h", "did not let it start: 01DAEMON000000000000000003 is marked as skipped"),
    ];
    let skipped = answer["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), expected.len(), "{answer}");
    for (skipped, (task, words)) in skipped.iter().zip(expected) {
        assert_eq!((&skipped["task_name"], &skipped["reason"]), (&json!(task), &json!("refused")));
        assert!(skipped["detail"].as_str().unwrap().contains(words), "{skipped}");
    }
    assert_eq!(daemon.asked_to_start().len(), 6, "not for what it does not know");
}

#[test]
fn parameters_that_would_not_be_the_same_start_nothing() {
    let flag = json!([{"kind": "flag", "key": "--force"}]);
    let required = json!([{"kind": "env", "key": "DAY", "required": true}]);
    let choice = json!([{"kind": "env", "key": "TOKEN", "choices": ["x"]}]);
    let old = Manner { is_old: true, version: "0.9.2", ..Manner::default() };
    for (params, manner, words) in [
        (Some(r#"{"DAY":"1"}"#), old, "RunWisp 0.9.2 would start it without"),
        (Some(r#"{"DAY":"1"}"#), Manner::default(), "it has the parameter \"DAY\", which the task does not declare"),
        (Some(r#"{"n":1}"#), Manner::default(), "no JSON object of texts"),
        (None, taking_tasks(flag), "declares the flag \"--force\""),
        (None, taking_tasks(required), "answers 400: invalid parameters: parameter \"DAY\" is required"),
        // Its words have the value, which may be a secret.
        (Some(r#"{"TOKEN":"s3cret"}"#), taking_tasks(choice), "answers 400 (it does not take what the run was given)"),
    ] {
        let store = Store::new().holding(&[failed("i", "import", params)]);
        let before = store.dump();
        let _daemon = Daemon::beside(&store.path, manner);
        let answer = rerun(&store, json!({})).unwrap();
        assert!(triggered(&answer).is_empty() && first_detail(&answer).contains(words), "{answer}");
        assert!(!answer.to_string().contains("s3cret"));
        assert_eq!(store.dump(), before);
    }
}

fn taking_tasks(parameters: serde_json::Value) -> Manner {
    Manner { tasks: vec![taking("import", parameters)], ..Manner::default() }
}

#[test]
fn at_the_command_line_refused_runs_are_for_somebody_to_look_at() {
    let store = night();
    let quirks = BTreeMap::from([("import", Quirk::Answers(403, "manual triggering disabled"))]);
    let _daemon = Daemon::beside(&store.path, Manner { quirks, ..Manner::default() });
    let output = tool::rerun(&store, &["--status", "failed", "--via", "daemon", "--yes"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{shown}");
    assert!(
        shown.starts_with("2 new runs spawned") && shown.contains("the host declined: RunWisp's daemon answers 403")
    );
    assert!(
        shown.ends_with("RunWisp's daemon starts a re-run at once, as far as its task's max_concurrent lets it.\n")
    );
}
