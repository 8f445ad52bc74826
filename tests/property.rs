//! Random stores and random selectors through the core answer exactly as the naive model does.

mod support;

use bulk_rerun::{Config, Plugin};
use proptest::prelude::*;
use rusqlite::types::Value as SqlValue;
use serde_json::{Value, json};

use support::memory_host::{MemoryHost, canonical};
use support::model::Outcome;
use support::random::{requests, runs};
use support::{GENERATIONS, Row, Store, dump};

fn call(plugin: &Plugin, request: &Value) -> Value {
    let answer = plugin.call(request.to_string().as_bytes());
    serde_json::from_str(&answer.unwrap_or_else(|error| panic!("{request}: {}", error.to_json()))).unwrap()
}

fn list(answer: &Value, field: &str) -> Vec<Value> {
    answer[field].as_array().cloned().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn the_core_answers_as_the_model_does(
        (generation, wal, runs) in (0..3usize, any::<bool>())
            .prop_flat_map(|(generation, wal)| (Just(generation), Just(wal), runs(generation))),
        request in requests(),
    ) {
        let rows: Vec<Row> = runs.iter().map(|run| run.row.clone()).collect();
        let store = Store::of_generation(GENERATIONS[generation], if wal { "wal" } else { "delete" }).holding(&rows);
        let before = store.dump();
        let expected = request.outcome(&runs);
        let plugin = Plugin::open(&Config::new(store.path_str())).unwrap();

        let planned = call(&plugin, &request.to_json(json!({"dry_run": true})));
        prop_assert_eq!(&planned["triggered"], &json!([]));
        prop_assert_eq!(&Outcome::of_dry_run(&planned), &expected);
        prop_assert_eq!(&store.dump(), &before, "a dry run changes nothing");

        // A host behind callbacks that hands over everything plans the same.
        let visible = runs.iter().filter(|run| run.row.deleted_at.is_none());
        let host = MemoryHost::holding(visible.map(|run| canonical(&run.row, run.has_mark)));
        let attached = Plugin::attach(Box::new(host), &Config::new("")).unwrap();
        let asked = call(&attached, &request.to_json(json!({"dry_run": true})));
        prop_assert_eq!(&Outcome::of_dry_run(&asked), &expected);
        prop_assert_eq!(&asked["plan"], &planned["plan"]);

        let wanted = expected.spawned.len();
        if wanted > 0 {
            let limit = request.to_json(json!({"limit": wanted, "dry_run": true}));
            prop_assert_eq!(&Outcome::of_dry_run(&call(&plugin, &limit)), &expected);
        }
        if wanted > 1 {
            let error = plugin.call(request.to_json(json!({"limit": wanted - 1})).to_string().as_bytes()).unwrap_err();
            prop_assert_eq!(error.status, 422);
            prop_assert_eq!(&store.dump(), &before, "over the limit nothing is spawned");
        }

        let done = call(&plugin, &request.to_json(json!({"expect_plan": planned["plan"]})));
        let triggered = list(&done, "triggered");
        let pairs: Vec<_> = triggered
            .iter()
            .map(|run| (run["task_name"].as_str().unwrap().to_owned(), run["rerun_of"].as_str().unwrap().to_owned()))
            .collect();
        prop_assert_eq!(&pairs, &expected.spawned);
        prop_assert_eq!(&list(&done, "skipped"), &expected.skipped);
        prop_assert_eq!(done.get("planned"), None);

        let after = dump(&store.path);
        prop_assert_eq!(&after[..before.len()], &before[..], "every earlier row is untouched");
        prop_assert_eq!(after.len(), before.len() + wanted);
        for (new, run) in after[before.len()..].iter().zip(&triggered) {
            let source = rows.iter().find(|row| json!(row.id) == run["rerun_of"]).unwrap();
            check_new_row(&store, new, run, source, generation)?;
        }
    }
}

fn check_new_row(
    store: &Store,
    new: &[SqlValue],
    run: &Value,
    source: &Row,
    generation: usize,
) -> Result<(), TestCaseError> {
    let connection = store.open();
    let names: Vec<String> =
        connection.prepare("SELECT * FROM runs").unwrap().column_names().into_iter().map(str::to_owned).collect();
    let column = |name: &str| &new[names.iter().position(|column| column == name).unwrap()];
    let text = |text: &str| SqlValue::Text(text.to_owned());
    prop_assert_eq!(column("id"), &text(run["run_id"].as_str().unwrap()));
    prop_assert_eq!(column("task_name"), &text(&source.task_name));
    prop_assert_eq!(column("status"), &text("pending"));
    prop_assert_eq!(column("triggered_by"), &text("api"));
    prop_assert_eq!(column("retry_attempt"), &SqlValue::Integer(0));
    for empty in ["end_reason", "retry_of_run_id"] {
        prop_assert_eq!(column(empty), &SqlValue::Null);
    }
    if generation >= 1 {
        prop_assert_eq!(column("params_json"), &source.params_json.clone().map_or(SqlValue::Null, SqlValue::Text));
        prop_assert_eq!(column("deleted_at"), &SqlValue::Null);
    }
    Ok(())
}
