//! What a plan tells of each group's runs, where it is asked to.

use crate::support::calls::{all_failed, call, open, pairs};
use crate::support::{Row, Store};
use serde_json::{Value, json};

/// Whether it would be started or not.
#[test]
fn a_plan_tells_of_each_groups_runs() {
    let with = |params: &'static str| move |row: &mut Row| row.params_json = Some(params.to_owned());
    let store = Store::new().holding(&[
        Row::failed("a1", "a", "2026-04-15T14:00:00+02:00").with(with("{}")),
        Row::failed("a2", "a", "2026-04-15T13:00:00Z").with(with("{ }")),
        Row::failed("a3", "a", "2026-04-15T11:59:59.5Z").with(with("{}")),
        Row::failed("a4", "a", "some day"),
        Row::failed("b1", "b", "some day").with(|row| row.triggered_by = "service".to_owned()),
    ]);
    let plugin = open(&store.path);
    let run = |id: &str, task: &str, created_at: Value, params: Value, triggered_by: &str| {
        json!({
            "id": id, "task_name": task, "phase": "ended", "end_reason": "failed", "exit_code": 1, "triggered_by": triggered_by,
            "created_at": created_at, "retry_attempt": 0, "params": params, "is_failure": true,
        })
    };
    let told = |options: Value| call(&plugin, &all_failed(options)).unwrap();
    let plan = told(json!({"dry_run": true, "with_runs": true}));
    let a2 = run("a2", "a", json!("2026-04-15T13:00:00Z"), json!("{ }"), "cron");
    let of_a = json!({"run": a2, "first": "2026-04-15T11:59:59.500Z", "parameter_sets": 3});
    let mut planned = json!({"task_name": "a", "rerun_of": "a2", "matched": 4});
    planned.as_object_mut().unwrap().extend(of_a.as_object().unwrap().clone());
    assert_eq!(plan["planned"], json!([planned]));
    let mut b1 = run("b1", "b", Value::Null, Value::Null, "service");
    b1["unfit"] = json!("service");
    let skipped =
        json!({"task_name": "b", "run_id": "b1", "reason": "service", "matched": 1, "run": b1, "parameter_sets": 1});
    assert_eq!(plan["skipped"], json!([skipped]));

    let same = told(json!({"dry_run": true, "unique_by": "task"}));
    assert_eq!(same["plan"], plan["plan"], "more words make no other plan");
    let each = told(json!({"dry_run": true, "with_runs": true, "unique_by": "run"}));
    assert_eq!((&each["planned"][0]["run"]["id"], &each["planned"][0]["parameter_sets"]), (&json!("a1"), &json!(1)));
    let camel = json!({"matchAll": true, "filter": {"taskName": "a"}, "options": {"dryRun": true, "withRuns": true}});
    let camel = call(&plugin, &camel).unwrap();
    assert_eq!(
        (&camel["planned"][0]["parameterSets"], &camel["planned"][0]["run"]["taskName"]),
        (&json!(3), &json!("a"))
    );

    let done = told(json!({"with_runs": true, "expect_plan": plan["plan"]}));
    assert_eq!(pairs(&done), ["a: a2"]);
    assert_eq!(done["skipped"], json!([{"task_name": "b", "run_id": "b1", "reason": "service"}]));
}
