//! A runner that nobody knows, on PostgreSQL: keys of several types, ids that repeat over its queues, what others do during
//! a call, and triggers of the host's, answered as the naive model says.

#[path = "../support/postgres.rs"]
mod postgres;
mod store;
#[path = "../support/mod.rs"]
mod support;

use std::thread;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use postgres::{Client, Database, server};
use store::{Key, Outside, SHAPES, Table, schema};
use support::calls::answer;
use support::model::call::{Change, changed};
use support::model::{Act, Fate, NewRow, Request, Run, Trial, Value, check_dry_run, new_rows};
use support::random::own::{Meanwhile, WORDS, acts, drafts, meanwhile};
use support::random::{Draft, Words, number, requests, runner};

const UUIDS: [&str; 5] = [
    "00000000-0000-4000-8000-000000000009",
    "00000000-0000-4000-8000-000000000010",
    "0a000000-0000-4000-8000-00000000000a",
    "f0000000-0000-4000-8000-000000000000",
    "0A000000-0000-4000-8000-00000000000A",
];

/// With the uuids' names; one of them is spelled as no uuid is.
const UUID_WORDS: Words = Words { ids: &UUIDS, searches: &["0a", "F", "rep", "9", "-", ""], ..WORDS };

#[derive(Debug, Clone)]
struct Case {
    shape: usize,
    drafts: Vec<Draft>,
    request: Request,
    acts: Vec<(Value, Act)>,
    meanwhile: Vec<Meanwhile>,
    expects: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let request = |shape: usize| match SHAPES[shape].0 {
        Key::Uuid => requests(UUID_WORDS).boxed(),
        _ => requests(WORDS).boxed(),
    };
    let runs = prop::collection::vec(drafts(), 0..11);
    let rest = (runs, acts(), meanwhile(), any::<bool>());
    ((0..SHAPES.len()).prop_flat_map(move |shape| (Just(shape), request(shape))), rest).prop_map(
        |((shape, request), (drafts, acts, mut meanwhile, expects))| {
            if request.limit.is_some() {
                meanwhile.clear();
            }
            Case { shape, drafts, request, acts, meanwhile, expects }
        },
    )
}

fn as_text(value: &Value) -> Value {
    let text = value.bytes().and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.contains('\0'));
    text.map_or(Value::Null, |text| Value::text(&text))
}

/// The run as the table keeps it: the model's classes become the columns' types.
fn as_stored(run: &Run, key: Key) -> Run {
    let bytes = run.id.bytes();
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>();
    let id = match (key, &bytes) {
        (_, None) => Value::Null,
        (Key::Bigint, Some(bytes)) => {
            let number = std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok());
            Value::Integer(number.unwrap_or(sum(bytes) as i64 % 3 + 7))
        }
        (Key::Uuid, Some(bytes)) => Value::text(UUIDS[sum(bytes) % 4]),
        (Key::Bytea, Some(bytes)) => Value::Blob(bytes.clone()),
        (Key::Text | Key::NoCase, Some(_)) => as_text(&run.id),
    };
    let params = match key {
        Key::Bytea => run.params.bytes().map_or(Value::Null, Value::Blob),
        _ => as_text(&run.params),
    };
    let task = as_text(&run.task);
    let times = if task == Value::Null || id == Value::Null { 1 } else { run.times };
    Run { task, id, params, times, ..run.clone() }
}

/// Whether a run is told apart from the others.
fn is_apart(run: &Run, others: &[Run]) -> bool {
    !others.iter().any(|other| run.key() == other.key() && (run.id != Value::Null || run.instant == other.instant))
}

struct Bench {
    client: Client,
    tables: Vec<Table>,
}

impl Bench {
    fn check(&self, case: &Case) -> Result<(), String> {
        let table = &self.tables[case.shape];
        let mut stored: Vec<Run> = Vec::new();
        for draft in &case.drafts {
            let run = as_stored(&draft.run, table.key);
            if is_apart(&run, &stored) {
                stored.push(run);
            }
        }
        let as_seen = |run: &Run| Run { id: table.id(&run.id), ..run.clone() };
        let runs: Vec<Run> = stored.iter().map(as_seen).collect();
        let mut acts: Vec<(Value, Act)> = Vec::new();
        for (task, act) in &case.acts {
            let task = as_text(task);
            if task != Value::Null && acts.iter().all(|(other, _)| *other != task) {
                acts.push((task, *act));
            }
        }
        self.client.execute(&table.fill(&stored));
        self.client.execute(&table.arm(&acts));
        let before = table.dump(&self.client);

        let planned = self.call(table, &case.request, json!({"dry_run": true}), &mut || ());
        let expected = case.request.dry_run(&runs);
        check_dry_run(&planned, &expected)?;
        if table.dump(&self.client) != before {
            return Err("a dry run has changed something".to_owned());
        }

        let (changes, statements) = self.meanwhile(table, case, &stored, &acts);
        let options = if case.expects { json!({"expect_plan": planned["plan"]}) } else { json!({}) };
        let (mut before, mut now) = (before, runs.clone());
        let told = self.call(table, &case.request, options, &mut || {
            if !changes.is_empty() {
                self.client.execute(&statements);
                before = table.dump(&self.client);
                now = changed(&runs, &changes);
            }
        });
        let new = new_rows(&before, &table.dump(&self.client))?;
        let new: Vec<NewRow> = new.iter().map(|line| table.new_row(line)).collect();
        let fate = |run: &Run| {
            let act = acts.iter().find(|(task, _)| *task == run.task);
            act.map_or(Fate::Started, |(_, act)| table.fate(*act))
        };
        let plan = expected.ok().filter(|_| case.expects);
        let request = &case.request;
        Trial { request, search: &runs, spawn: &now, expected: plan.as_ref(), fate: &fate, in_one_moment: true }
            .check(&told, &new)
            .map_err(|why| format!("{why}\nchanges: {changes:#?}"))
    }

    /// What others do, and the statements for it, in one transaction and without the host's rules.
    fn meanwhile(&self, table: &Table, case: &Case, stored: &[Run], acts: &[(Value, Act)]) -> (Vec<Change>, String) {
        let (mut changes, mut statements) = (Vec::new(), "BEGIN; DELETE FROM rule;".to_owned());
        let (mut touched, mut there) = (Vec::new(), stored.to_vec());
        for one in &case.meanwhile {
            if let Meanwhile::Appears(draft) = one {
                let run = Run { deleted: false, times: 1, ..as_stored(&draft.run, table.key) };
                if run.task != Value::Null && run.id != Value::Null && is_apart(&run, &there) {
                    let seen = Change::Appears(Box::new(Run { id: table.id(&run.id), ..run.clone() }));
                    statements += &table.change(&seen, &run);
                    changes.push(seen);
                    there.push(run);
                }
                continue;
            }
            let Some((place, change)) = one.on(stored, &case.request).filter(|(place, _)| !touched.contains(place))
            else {
                continue;
            };
            let change = match change {
                Change::Parameters(place, params) if table.key == Key::Bytea => {
                    Change::Parameters(place, Value::Blob(params.bytes().unwrap()))
                }
                other => other,
            };
            touched.push(place);
            statements += &table.change(&change, &stored[place]);
            changes.push(change);
        }
        statements += &format!("{} COMMIT", table.arm(acts));
        (changes, statements)
    }

    /// What a request answers. `first` is done when the predicate is asked for the first time, on a thread of its own:
    /// this one may be within another runtime.
    fn call(&self, table: &Table, request: &Request, options: Json, first: &mut (dyn FnMut() + Send)) -> Json {
        let mut asked = false;
        answer(table.plugin.call_where(request.to_json(options).to_string().as_bytes(), &mut |run| {
            if !asked {
                asked = true;
                thread::scope(|scope| scope.spawn(&mut *first).join().unwrap());
            }
            Ok(request.dropped_reason.is_none() || run.end_reason != request.dropped_reason)
        }))
    }
}

/// How this version shows a bytea key.
fn outside(database: &Database, folder: &std::path::Path) -> Outside {
    let table = Table::open(database, folder, SHAPES[SHAPES.len() - 1], Outside::Text);
    let run = Run::failed(Value::text("mail"), Value::blob("a"), 0);
    database.client().execute(&table.fill(&[run]));
    let planned = answer(table.plugin.call(br#"{"match_all": true, "options": {"dry_run": true}}"#));
    match planned["planned"][0]["rerun_of"].as_str() {
        Some("a") => Outside::Text,
        Some("\\x61") => Outside::Hex,
        _ => panic!("a bytea key is shown as neither: {planned:#}"),
    }
}

#[test]
fn stores_with_any_key_are_answered_as_the_model_does() {
    let database = server().database().with(&schema());
    let folder = tempfile::tempdir().unwrap();
    let outside = outside(&database, folder.path());
    let tables = SHAPES.iter().map(|shape| Table::open(&database, folder.path(), *shape, outside)).collect();
    let bench = Bench { client: database.client(), tables };
    let done = runner(number(500)).run(&cases(), |case| bench.check(&case).map_err(TestCaseError::fail));
    done.unwrap_or_else(|error| panic!("{error}"));
}
