//! What a violation says: its place, its words and the value that was given; and how an answer is spelled.

use bulk_rerun::{Config, ErrorModel, Plugin, Spelling};
use serde_json::{Value, json};

use crate::support::{Row, Store};

fn plugin(store: &Store, wire: Spelling) -> Plugin {
    Plugin::open(&Config { wire, ..Config::new(store.path_str()) }).unwrap()
}

/// `(place, message, value)` of each violation.
fn told(error: &ErrorModel) -> Vec<(&str, &str, &Value)> {
    error.errors.iter().map(|found| (found.location.as_str(), found.message.as_str(), &found.value)).collect()
}

#[test]
fn a_violation_of_a_request_shows_what_was_given() {
    const EXACT: i64 = 9_007_199_254_740_992;
    let store = Store::new();
    let plugin = plugin(&store, Spelling::Snake);
    let range = "the number is out of range: expected an integer of 64 bits";
    let whole = "expected an integer, got a number with a fraction";
    for (field, given, message) in [
        ("filter.exit_code_min", json!(1.5), whole),
        ("filter.exit_code_min", json!(1e30), range),
        ("filter.exit_code_min", json!(u64::MAX), range),
        ("filter.exit_code_min", json!((EXACT + 2) as f64), range),
        ("filter.exit_code_min", json!("7"), "expected an integer, got a string"),
        ("filter.task_name", json!({"a": [1, null, true, "x"]}), "expected a string, got an object"),
        ("filter.retries_only", json!([]), "expected true or false, got an array"),
        ("filter.created_after", json!("noon"), "expected an RFC 3339 timestamp such as 2026-04-15T12:00:00Z"),
        ("options.unique_by", json!("tasks"), "expected `task`, `params` or `run`"),
        ("options.limit", json!(0), "expected an integer from 1"),
        ("options.limit", json!(true), "expected an integer, got a boolean"),
    ] {
        let (part, name) = field.split_once('.').unwrap();
        let request = json!({"match_all": true, part: {name: given}});
        let error = plugin.call(request.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.status, 422);
        assert_eq!(told(&error), [(format!("body.{field}").as_str(), message, &given)]);
        assert!(error.to_string().contains(message), "{error}");
    }
    for exact in [json!(EXACT as f64), json!(-EXACT as f64), json!(-3.0)] {
        let request = json!({"match_all": true, "filter": {"exit_code_min": exact}});
        assert!(plugin.call(request.to_string().as_bytes()).is_ok(), "{request}");
    }
}

#[test]
fn a_bound_itself_is_still_allowed() {
    let store = Store::new();
    let plugin = plugin(&store, Spelling::Snake);
    let (noon, later) = ("2026-04-15T12:00:00Z", "2026-04-15T12:00:00.000001Z");
    for (allowed, refused) in [
        (json!({"search": "é".repeat(1_000)}), json!({"search": "é".repeat(1_001)})),
        (json!({"search": "x"}), json!({"search": "x".repeat(2_000)})),
        (json!({"exit_code_min": 3, "exit_code_max": 3}), json!({"exit_code_min": 4, "exit_code_max": 3})),
        (json!({"exit_code_min": 3, "exit_code_max": 4}), json!({"exit_code_min": 1, "exit_code_max": -1})),
        (
            json!({"created_after": noon, "created_before": noon}),
            json!({"created_after": later, "created_before": noon}),
        ),
    ] {
        let call = |filter: &Value| plugin.call(json!({"match_all": true, "filter": filter}).to_string().as_bytes());
        assert!(call(&allowed).is_ok(), "{allowed}");
        assert_eq!(call(&refused).unwrap_err().status, 422, "{refused}");
    }
}

#[test]
fn an_unknown_field_is_told_beside_the_nearest_that_is_known() {
    let store = Store::new();
    let plugin = plugin(&store, Spelling::Snake);
    for (field, words) in [
        ("idz", "did you mean `ids`?"),
        ("match_al", "did you mean `match_all`?"),
        ("except_id", "did you mean `except_ids`?"),
        ("idsxx", "known here: $schema, match_all, filter, ids, except_ids, options"),
        ("colour", "known here: $schema, match_all, filter, ids, except_ids, options"),
    ] {
        let error = plugin.call(json!({"match_all": true, field: 1}).to_string().as_bytes()).unwrap_err();
        assert_eq!(
            told(&error),
            [(format!("body.{field}").as_str(), format!("unknown field; {words}").as_str(), &json!(1))]
        );
    }
}

#[test]
fn a_violation_of_a_config_names_the_words_that_are_known() {
    for (field, given, message) in [
        ("sqlite", json!("mine"), "expected `shared`"),
        ("wire", json!("kebab"), "expected `snake` or `camel`"),
        ("busy_timeout_ms", json!(-1), "expected an integer from 0"),
    ] {
        let error = Config::from_json(json!({"store": "x", field: given}).to_string().as_bytes()).unwrap_err();
        assert_eq!(told(&error), [(format!("config.{field}").as_str(), message, &given)]);
    }
}

/// A request's own spelling goes before the config's; where it shows none, and in an error, the config's counts.
#[test]
fn an_answer_is_spelled_as_its_request() {
    let store = Store::new().holding(&[Row::failed("1", "a", "2026-04-15T12:00:00Z")]);
    let dry = |snake: bool| if snake { json!({"dry_run": true}) } else { json!({"dryRun": true}) };
    for wire in [Spelling::Snake, Spelling::Camel] {
        let plugin = plugin(&store, wire);
        let by_default = wire == Spelling::Snake;
        for (request, snake) in [
            (json!({"match_all": true, "options": dry(true)}), true),
            (json!({"matchAll": true, "options": dry(false)}), false),
            (json!({"matchAll": true, "options": dry(true)}), false),
            (json!({"ids": ["1"], "options": {"dry_run": true}}), true),
            (json!({"ids": ["1"], "options": {"dryRun": true}}), false),
            // The reading alone: these re-run, and show no spelling.
            (json!({"ids": ["1"]}), by_default),
        ] {
            let answer: Value = serde_json::from_str(&plugin.call(request.to_string().as_bytes()).unwrap()).unwrap();
            let item = answer["planned"].get(0).or(answer["triggered"].get(0)).unwrap();
            assert_eq!(item.get("task_name").is_some(), snake, "{wire:?} {request}: {answer}");
            assert_eq!(item.get("rerunOf").is_some(), !snake, "{wire:?} {request}: {answer}");
        }
    }
}
