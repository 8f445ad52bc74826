//! Names and ids are equal when their bytes are, whatever collation or storage class; what can't be carried is answered.

use crate::support::calls::{all_failed, call, pairs, planned, reasons};
use crate::support::queue_store::{Own, QUEUES_SPAWN, QUEUES_VIEW, profile};
use serde_json::{Value, json};

#[test]
fn names_that_a_collation_takes_for_equal_are_other_tasks() {
    for (collation, other) in [("NOCASE", "REPORT"), ("RTRIM", "report ")] {
        let store = Own::queues(
            &format!("TEXT COLLATE {collation}"),
            "INTEGER PRIMARY KEY",
            &format!(
                "('report', 1, 'broken', 'lower'), ('{other}', 3, 'broken', 'other'), ('REPORT', 2, 'fine', 'third')"
            ),
        );
        let told = store.tool("rerun", &["--task", "report", "--yes", "--json"]);
        assert_eq!((told.status, pairs(&told.json())), (0, vec!["report: 1".to_owned()]), "{collation}");
        assert_eq!(store.waiting(), ["report|lower"], "{collation}");
        let other = store.tool("rerun", &["--task", other, "--status", "failed", "--dry-run", "--json"]).json();
        assert_eq!(planned(&other), [format!("{}: 3 (1)", other["planned"][0]["task_name"].as_str().unwrap())]);
    }
}

#[test]
fn groups_and_what_is_active_or_newer_go_by_the_bytes() {
    let store = Own::queues(
        "TEXT COLLATE NOCASE",
        "INTEGER PRIMARY KEY",
        "('report', 1, 'broken', 'p'), ('Report', 2, 'broken', 'p'), ('REPORT', 3, 'busy', 'p'), ('rEport', 4, 'fine', 'p')",
    );
    for unique_by in ["task", "params"] {
        let options = json!({"dry_run": true, "skip_active": true, "skip_superseded": true, "unique_by": unique_by});
        let plan = call(&store.plugin(), &all_failed(options)).unwrap();
        assert_eq!((planned(&plan), reasons(&plan)), (vec!["Report: 2 (1)".into(), "report: 1 (1)".into()], vec![]));
    }
}

#[test]
fn ids_that_a_collation_takes_for_equal_are_other_ids() {
    let store = Own::queues(
        "TEXT",
        "TEXT PRIMARY KEY COLLATE NOCASE",
        "('a', 'abc', 'broken', 'p'), ('a', 'x', 'broken', 'p')",
    );
    let plan = call(&store.plugin(), &json!({"ids": ["ABC", "abc", "X"], "options": {"dry_run": true}})).unwrap();
    assert_eq!(
        (planned(&plan), reasons(&plan)),
        (vec!["a: abc (1)".into()], vec!["-, ABC: not_found".into(), "-, X: not_found".into()])
    );
    let except = json!({"match_all": true, "except_ids": ["ABC"], "options": {"dry_run": true, "unique_by": "run"}});
    assert_eq!(planned(&call(&store.plugin(), &except).unwrap()), ["a: abc (1)", "a: x (1)"]);
}

#[test]
fn a_key_in_bytes_is_a_key() {
    let store =
        Own::queues("TEXT", "BLOB PRIMARY KEY", "('a', x'6161', 'broken', 'one'), ('b', x'6162', 'broken', 'two')");
    store.set_profile(&profile(
        "sqlite",
        QUEUES_VIEW,
        &QUEUES_SPAWN.replace("max(CAST(id AS INTEGER)) + 1", "hex(randomblob(8))"),
    ));
    let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(planned(&plan), ["a: aa (1)", "b: ab (1)"]);
    let answer = call(&store.plugin(), &all_failed(json!({"expect_plan": plan["plan"]}))).unwrap();
    assert_eq!((pairs(&answer), reasons(&answer)), (vec!["a: aa".into(), "b: ab".into()], vec![]));
    assert_eq!(store.waiting(), ["a|one", "b|two"]);
    let answer = call(&store.plugin(), &json!({"ids": ["ab"]})).unwrap();
    assert_eq!(pairs(&answer), ["b: ab"]);
}

/// The digest of a plan over such keys is no digest of nothing.
#[test]
fn a_plan_over_keys_in_bytes_is_of_its_parameters() {
    let store = Own::queues("TEXT", "BLOB PRIMARY KEY", "('a', x'6161', 'broken', 'one')");
    let plan = |store: &Own| call(&store.plugin(), &all_failed(json!({"dry_run": true}))).unwrap()["plan"].clone();
    let before = plan(&store);
    store.execute("UPDATE jobs SET params = 'changed'");
    assert_ne!(plan(&store), before);
}

/// An id is found whatever its storage class, and is no other number's.
#[test]
fn a_number_a_text_and_bytes_spell_one_id() {
    let store = Own::queues(
        "TEXT",
        "",
        "('a', 7, 'broken', 'n'), ('b', '7', 'broken', 't'), ('c', x'37', 'broken', 'b'), ('d', '007', 'broken', 'z'), ('e', ' 7', 'broken', 's')",
    );
    let answer = call(&store.plugin(), &json!({"ids": ["7"]})).unwrap();
    assert_eq!(pairs(&answer), ["a: 7", "b: 7", "c: 7"]);
    assert_eq!(store.waiting(), ["a|n", "b|t", "c|b"]);
    // A name in bytes is the same name.
    store.execute("UPDATE jobs SET queue = CAST('d' AS BLOB) WHERE queue = 'e'");
    let plan =
        call(&store.plugin(), &json!({"match_all": true, "filter": {"task_name": "d"}, "options": {"dry_run": true}}))
            .unwrap();
    assert_eq!((&plan["matched"], planned(&plan).len()), (&json!(2), 1), "{plan}");
}

/// One run of each kind that can't be carried, beside one that can.
fn unfit_names() -> Own {
    Own::queues(
        "TEXT",
        "",
        "('good', 1, 'broken', 'p'), (CAST(x'75ff' AS TEXT), 2, 'broken', 'p'), (CAST(x'75fe' AS TEXT), 3, 'broken', 'p'),
         (NULL, 4, 'broken', 'p'), (NULL, 5, 'broken', 'q'), ('', 6, 'broken', 'p'), ('no id', NULL, 'broken', 'p'),
         ('empty id', '', 'broken', 'p'), ('bytes id', CAST(x'ff00' AS TEXT), 'broken', 'p'), ('blob id', x'00FF', 'broken', 'p')",
    )
}

#[test]
fn what_can_not_be_carried_is_answered_and_never_started() {
    let store = unfit_names();
    let before = store.dump();
    let expected = [
        ("-", "5", "its task name is NULL"),
        ("", "6", "its task name is empty"),
        ("blob id", "x'00ff'", "its id is not UTF-8"),
        ("bytes id", "x'ff00'", "its id is not UTF-8"),
        ("empty id", "", "its id is empty"),
        ("no id", "-", "its id is NULL"),
        ("x'75fe'", "3", "its task name is not UTF-8"),
        ("x'75ff'", "2", "its task name is not UTF-8"),
    ];
    let answers = [
        call(&store.plugin(), &all_failed(json!({"dry_run": true}))).unwrap(),
        call(&store.plugin(), &all_failed(json!({}))).unwrap(),
    ];
    assert_eq!(planned(&answers[0]), ["good: 1 (1)"]);
    assert_eq!(answers[0]["matched"], 10);
    assert_eq!(pairs(&answers[1]), ["good: 1"]);
    for answer in &answers {
        assert_eq!(reasons(answer), expected.map(|(task, id, _)| format!("{task}, {id}: refused")));
        for (skip, (_, _, why)) in answer["skipped"].as_array().unwrap().iter().zip(expected) {
            assert!(skip["detail"].as_str().unwrap().contains(why), "{why:?} is not in {skip}");
        }
        assert_eq!(answer["skipped"][0].get("task_name"), None::<&Value>, "a NULL is absent");
    }
    assert_eq!(store.dump()[..before.len()], before);
    assert_eq!(store.waiting(), ["good|p"]);
    // Exit status 3 says that some were refused.
    assert_eq!(unfit_names().tool("rerun", &["--all", "--yes"]).status, 3);
}

#[test]
fn a_task_whose_name_can_not_be_carried_may_be_active() {
    for (name, spelled) in [("NULL", "-"), ("''", ""), ("CAST(x'75ff' AS TEXT)", "x'75ff'")] {
        let store = unfit_names();
        store.execute(&format!("INSERT INTO jobs (queue, id, state, params) VALUES ({name}, 99, 'busy', 'p')"));
        let answer = call(&store.plugin(), &all_failed(json!({"skip_active": true, "dry_run": true}))).unwrap();
        let active: Vec<String> = reasons(&answer).into_iter().filter(|reason| reason.ends_with(": active")).collect();
        assert_eq!(active.len(), 1, "{answer}");
        assert!(active[0].starts_with(&format!("{spelled}, ")), "{active:?}");
    }
}

#[test]
fn runs_without_an_id_are_each_a_run_of_their_own() {
    let store =
        Own::queues("TEXT", "", "('a', NULL, 'broken', 'p'), ('a', NULL, 'broken', 'p'), ('a', 1, 'broken', 'p')");
    let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true, "unique_by": "run"}))).unwrap();
    assert_eq!((&plan["matched"], planned(&plan)), (&json!(3), vec!["a: 1 (1)".into()]));
    assert_eq!(reasons(&plan), ["a, -: refused", "a, -: refused"]);
    // By task the one with an id is the newest: NULL is lower than any.
    let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(planned(&plan), ["a: 1 (3)"]);
}

#[test]
fn no_filter_takes_one_name_for_another() {
    let store = unfit_names();
    // What a lossy reading would make of both names.
    for name in ["u\u{FFFD}", "x'75ff'"] {
        let request = json!({"match_all": true, "filter": {"task_name": name}, "options": {"dry_run": true}});
        assert_eq!(call(&store.plugin(), &request).unwrap()["matched"], 0, "{name}");
    }
    let answer = call(&store.plugin(), &json!({"ids": ["\u{FFFD}\u{0}", "x'ff00'"]})).unwrap();
    assert!(reasons(&answer).iter().all(|reason| reason.ends_with("not_found")), "{answer}");
}

/// As Go's drivers write a text and a `[]byte`.
fn mixed_classes() -> Own {
    Own::queues(
        "TEXT",
        "INTEGER PRIMARY KEY",
        "('a', 1, 'broken', '{\"n\":1}'), ('a', 2, 'broken', CAST('{\"n\":1}' AS BLOB)), ('a', 3, 'broken', 5), ('a', 4, 'broken', '5'),
         ('a', 5, 'broken', NULL), ('a', 6, 'broken', ''), ('a', 7, 'broken', x''), ('a', 8, 'broken', x'ff'), ('a', 9, 'broken', CAST(x'ff' AS TEXT))",
    )
}

#[test]
fn the_same_parameters_in_another_storage_class_are_the_same() {
    let store = mixed_classes();
    let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true, "unique_by": "params"}))).unwrap();
    assert_eq!(planned(&plan), ["a: 2 (2)", "a: 4 (2)", "a: 5 (1)", "a: 7 (2)", "a: 9 (2)"]);
    // The new run has the source run's class.
    call(&store.plugin(), &all_failed(json!({"unique_by": "params"}))).unwrap();
    let classes = store.lines("SELECT typeof(params), hex(params) FROM jobs WHERE state = 'queued' ORDER BY 1, 2");
    assert_eq!(classes, ["blob|", "blob|7B226E223A317D", "null|", "text|35", "text|FF"]);
}

#[test]
fn an_active_run_counts_whatever_class_its_parameters_have() {
    for (failed, active) in [("'p'", "x'70'"), ("x'70'", "'p'"), ("5", "'5'"), ("x'ff'", "CAST(x'ff' AS TEXT)")] {
        let store = Own::queues(
            "TEXT",
            "INTEGER PRIMARY KEY",
            &format!("('a', 1, 'broken', {failed}), ('a', 2, 'busy', {active})"),
        );
        let options = json!({"unique_by": "params", "skip_active": true});
        assert_eq!(reasons(&call(&store.plugin(), &all_failed(options)).unwrap()), ["a, 1: active"], "{failed}");
        store.execute("UPDATE jobs SET state = 'fine' WHERE id = 2");
        let options = json!({"unique_by": "params", "skip_superseded": true});
        assert_eq!(reasons(&call(&store.plugin(), &all_failed(options)).unwrap()), ["a, 1: superseded"], "{failed}");
    }
    let store = Own::queues("TEXT", "INTEGER PRIMARY KEY", "('a', 1, 'broken', NULL), ('a', 2, 'busy', '')");
    let options = json!({"unique_by": "params", "skip_active": true});
    assert_eq!(pairs(&call(&store.plugin(), &all_failed(options)).unwrap()), ["a: 1"], "NULL is another set than ''");
}
