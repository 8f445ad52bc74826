//! Random stores and random selectors on PostgreSQL answer exactly as the naive model does, and as SQLite does.

#[path = "support/postgres.rs"]
mod postgres;
mod support;

use bulk_rerun::{Config, Plugin};
use proptest::prelude::*;
use serde_json::{Value, json};

use postgres::{Client, server};
use support::calls::call;
use support::model::{ModelRun, Outcome, rfc3339};
use support::random::{requests, runs};
use support::{GENERATIONS, Row, Store};

const SCHEMA: &str = "CREATE TABLE runs (
    serial bigint GENERATED ALWAYS AS IDENTITY, id text PRIMARY KEY, task_name varchar NOT NULL, status text NOT NULL,
    end_reason text, exit_code integer NOT NULL, triggered_by text NOT NULL, created_at timestamptz,
    retry_attempt smallint NOT NULL, params_json text, deleted_at timestamptz, is_failure boolean NOT NULL DEFAULT false)";

/// RunWisp's generations 2 and 3, had RunWisp kept them in PostgreSQL.
const PROFILE: &str = r#"
name = "random"
runner = "Random"
engine = "postgres"

[[generation]]
requires.runs = ["id"]
runs = '''
SELECT id, task_name, status AS phase, end_reason, CASE WHEN status = 'ended' THEN exit_code END AS exit_code, triggered_by,
       created_at, retry_attempt, params_json AS params, is_failure, deleted_at IS NOT NULL AS deleted,
       CASE WHEN triggered_by = 'service' THEN 'service' END AS unfit
FROM runs
'''
spawn = '''
INSERT INTO runs (id, task_name, status, exit_code, triggered_by, created_at, retry_attempt, params_json)
VALUES (:new_id, :task_name, 'pending', 0, 'api', :now::timestamptz, 0, :params)
'''
"#;

/// The table, holding these runs and no others.
fn fill(client: &Client, runs: &[ModelRun]) {
    client.execute("TRUNCATE runs");
    for ModelRun { row, instant, .. } in runs {
        let at = |text: Option<String>| text.map(|text| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap());
        client.insert(
            "INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, retry_attempt,
                               params_json, deleted_at, is_failure)
             VALUES ($1, $2, $3, $4, $5, $6, $7::text::timestamptz, $8, $9, $10::text::timestamptz, $11)",
            &[
                &row.id,
                &row.task_name,
                &row.status,
                &row.end_reason,
                &(row.exit_code as i32),
                &row.triggered_by,
                &at(instant.map(rfc3339)).map(|at| at.to_rfc3339()),
                &(row.retry_attempt as i16),
                &row.params_json,
                &row.deleted_at,
                &(row.is_failure != 0),
            ],
        );
    }
}

/// An answer without what is new in each store.
fn without_new_ids(mut answer: Value) -> Value {
    for run in answer["triggered"].as_array_mut().unwrap() {
        run.as_object_mut().unwrap().remove("run_id");
    }
    answer
}

#[test]
fn both_engines_answer_as_the_model_does() {
    let database = server().database().with(SCHEMA);
    let client = database.client();
    let folder = tempfile::tempdir().unwrap();
    // By generation: without and with a mark of its own for failures.
    let plugins = ["without", "with"].map(|mark| {
        let file = folder.path().join(mark);
        let text = if mark == "with" { PROFILE.to_owned() } else { PROFILE.replace("is_failure, ", "") };
        std::fs::write(&file, text).unwrap();
        let profile = Some(file.display().to_string());
        Plugin::open(&Config { profile, ..Config::new(&database.url) }).unwrap()
    });
    let strategy = ((1..3usize).prop_flat_map(|generation| (Just(generation), runs(generation))), requests());
    let config = ProptestConfig { cases: 300, ..ProptestConfig::default() };
    proptest!(config, |(((generation, runs), request) in strategy)| {
        // No text in PostgreSQL has a NUL character.
        let runs: Vec<ModelRun> = runs.into_iter().filter(|run| !run.row.id.contains('\0')).collect();
        fill(&client, &runs);
        let rows: Vec<Row> = runs.iter().map(|run| run.row.clone()).collect();
        let sqlite = Store::of_generation(GENERATIONS[generation], "wal").holding(&rows);
        let (ours, theirs) = (&plugins[generation - 1], Plugin::open(&Config::new(sqlite.path_str())).unwrap());
        let before = client.rows("SELECT runs::text FROM runs ORDER BY serial");
        let expected = request.outcome(&runs);

        let dry_run = request.to_json(json!({"dry_run": true}));
        let planned = call(ours, &dry_run).unwrap();
        prop_assert_eq!(&Outcome::of_dry_run(&planned), &expected);
        prop_assert_eq!(&planned, &call(&theirs, &dry_run).unwrap(), "the other engine answers otherwise");
        prop_assert_eq!(&client.rows("SELECT runs::text FROM runs ORDER BY serial"), &before);

        let done = request.to_json(json!({"expect_plan": planned["plan"]}));
        let answer = call(ours, &done).unwrap();
        let after = client.rows("SELECT runs::text FROM runs ORDER BY serial");
        prop_assert_eq!(&after[..before.len()], &before[..], "an old row has changed");
        prop_assert_eq!(after.len(), before.len() + expected.spawned.len());
        for run in answer["triggered"].as_array().unwrap() {
            let same = client.value(&format!(
                "SELECT new.params_json IS NOT DISTINCT FROM source.params_json AND new.status = 'pending'
                 FROM runs new, runs source WHERE new.id = '{}' AND source.id = '{}'",
                run["run_id"].as_str().unwrap(), run["rerun_of"].as_str().unwrap().replace('\'', "''")
            ));
            prop_assert_eq!(same.as_deref(), Some("t"));
        }
        prop_assert_eq!(without_new_ids(answer), without_new_ids(call(&theirs, &done).unwrap()));
    });
}
