//! Random stores and random selectors on PostgreSQL answer exactly as the naive model does, and as SQLite does.

#[path = "support/postgres.rs"]
mod postgres;
mod support;

use bulk_rerun::{Config, Plugin};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use postgres::{Client, server};
use support::calls::answer;
use support::model::request::rfc3339;
use support::model::{Fate, NewRow, Request, Run, Trial, Value, check_dry_run, new_rows};
use support::random::runwisp::{WORDS, Wisp, runs};
use support::random::{number, requests, runner};
use support::{GENERATIONS, Row, Store, fast_folder, insert};

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

fn call(plugin: &Plugin, request: &Json) -> Json {
    answer(plugin.call(request.to_string().as_bytes()))
}

/// The table, holding these runs and no others.
fn fill(client: &Client, wisps: &[Wisp]) {
    client.execute("TRUNCATE runs");
    for Wisp { row, run } in wisps {
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
                &run.instant.map(rfc3339),
                &(row.retry_attempt as i16),
                &row.params_json,
                &row.deleted_at,
                &(row.is_failure != 0),
            ],
        );
    }
}

type Line = Vec<Option<String>>;

fn dump(client: &Client) -> Vec<Line> {
    client.rows("SELECT task_name, id, status, params_json, runs::text FROM runs ORDER BY serial")
}

fn new_row(line: &Line) -> NewRow {
    let value = |column: usize| line[column].as_deref().map_or(Value::Null, Value::text);
    NewRow { task: value(0), id: value(1), phase: value(2), params: value(3) }
}

/// An answer without what is new in each store.
fn without_new_ids(mut answer: Json) -> Json {
    for run in answer["triggered"].as_array_mut().into_iter().flatten() {
        run.as_object_mut().unwrap().remove("run_id");
    }
    answer
}

/// Both engines' stores, by generation: without and with a mark of its own for failures.
struct Benches {
    client: Client,
    ours: [Plugin; 2],
    sqlite: [Store; 2],
    theirs: [Plugin; 2],
}

impl Benches {
    fn check(&self, generation: usize, wisps: &[Wisp], request: &Request, expects: bool) -> Result<(), String> {
        fill(&self.client, wisps);
        let (ours, theirs) = (&self.ours[generation - 1], &self.theirs[generation - 1]);
        let mut host = self.sqlite[generation - 1].open();
        host.execute("DELETE FROM runs", []).unwrap();
        insert(&mut host, &wisps.iter().map(|wisp| wisp.row.clone()).collect::<Vec<Row>>());
        let runs: Vec<Run> = wisps.iter().map(|wisp| wisp.run.clone()).collect();
        let before = dump(&self.client);

        let dry_run = request.to_json(json!({"dry_run": true}));
        let planned = call(ours, &dry_run);
        let expected = request.dry_run(&runs);
        check_dry_run(&planned, &expected)?;
        let other = call(theirs, &dry_run);
        if planned != other {
            return Err(format!("the other engine answers {other:#}\nand not {planned:#}"));
        }
        if dump(&self.client) != before {
            return Err("a dry run has changed something".to_owned());
        }

        let options = if expects { json!({"expect_plan": planned["plan"]}) } else { json!({}) };
        let done = request.to_json(options);
        let told = call(ours, &done);
        let new: Vec<NewRow> = new_rows(&before, &dump(&self.client))?.iter().map(new_row).collect();
        let plan = expected.ok().filter(|_| expects);
        let fate = |_: &Run| Fate::Started;
        Trial { request, search: &runs, spawn: &runs, expected: plan.as_ref(), fate: &fate, in_one_moment: true }
            .check(&told, &new)?;
        let (told, other) = (without_new_ids(told), without_new_ids(call(theirs, &done)));
        if told == other { Ok(()) } else { Err(format!("the other engine answers {other:#}\nand not {told:#}")) }
    }
}

#[test]
fn both_engines_answer_as_the_model_does() {
    let database = server().database().with(SCHEMA);
    let folder = tempfile::tempdir().unwrap();
    let ours = ["without", "with"].map(|mark| {
        let file = folder.path().join(mark);
        let text = if mark == "with" { PROFILE.to_owned() } else { PROFILE.replace("is_failure, ", "") };
        std::fs::write(&file, text).unwrap();
        let profile = Some(file.display().to_string());
        Plugin::open(&Config { profile, ..Config::new(&database.url) }).unwrap()
    });
    let sqlite = [1, 2].map(|generation| Store::in_folder(fast_folder(), GENERATIONS[generation], "wal"));
    let theirs = [0, 1].map(|place| Plugin::open(&Config::new(sqlite[place as usize].path_str())).unwrap());
    let benches = Benches { client: database.client(), ours, sqlite, theirs };
    let cases = (1..3usize).prop_flat_map(|generation| {
        let request = requests(WORDS).prop_map(|request| Request { dropped_reason: None, ..request });
        // No text in PostgreSQL has a NUL character.
        let runs = runs(generation).prop_map(|mut runs| {
            runs.retain(|wisp| !wisp.row.id.contains('\0'));
            runs
        });
        (Just(generation), runs, request, any::<bool>())
    });
    let done = runner(number(400)).run(&cases, |(generation, wisps, request, expects)| {
        benches.check(generation, &wisps, &request, expects).map_err(TestCaseError::fail)
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}
