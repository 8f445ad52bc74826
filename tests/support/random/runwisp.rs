//! Runs in RunWisp's layout.

use proptest::prelude::*;
use rusqlite::types::Value as Column;

use super::super::Row;
use super::super::model::{NewRow, Run, Value};
use super::{TRIGGERS, Words, instants, states, texts, written};

const TASKS: [&str; 6] = ["backup", "Backup", "back%up_", "ünï \"q'uote\\", "", "Zoë\u{1F4A5}\tnews"];

const IDS: [&str; 16] = [
    "01JRX3M7ZD7Q8M5T8E2Y9V4B6C",
    "01jrx3m7zd7q8m5t8e2y9v4b6c",
    "a",
    "B",
    "aa",
    "é",
    "e\u{301}",
    "%",
    "_x",
    "'; DROP TABLE runs; --",
    "\" OR 1=1",
    "007",
    "7",
    " 7",
    "NULL",
    "naïve\u{0}zero",
];

pub const WORDS: Words =
    Words { tasks: &TASKS, ids: &IDS, searches: &["", "BACK", "%", "_", "é", "É", "7", "'", "\"", "\\", "\u{0}"] };

const PARAMS: [&str; 5] = ["{}", "{\"a\":\"1\"}", "{\"a\": \"1\"}", "{\"é\":\"\\u0000 'x' \"}", "not json"];

/// A row, and what it is to the model.
#[derive(Debug, Clone)]
pub struct Wisp {
    pub row: Row,
    pub run: Run,
}

fn row(id: String, generation: usize) -> impl Strategy<Value = Wisp> {
    let when = (instants(), 0..10usize);
    let origin = (texts(&TRIGGERS), prop_oneof![4 => Just(0), 1 => 1..4i64]);
    let rest = (prop::option::of(texts(&PARAMS)), prop::bool::weighted(0.1), any::<bool>());
    (texts(&TASKS), states(), when, origin, rest).prop_map(
        move |(task_name, (phase, end_reason, code), (at, layout), origin, (params, deleted, mark))| {
            let (created_at, instant) = written(at, layout);
            let row = Row {
                id: id.clone(),
                task_name,
                status: phase.to_owned(),
                end_reason,
                exit_code: if phase == "ended" { code } else { 0 },
                triggered_by: origin.0,
                created_at,
                retry_attempt: origin.1,
                params_json: params.filter(|_| generation >= 1),
                deleted_at: (deleted && generation >= 1).then(|| "2026-04-20 00:00:00".to_owned()),
                is_failure: i64::from(mark),
            };
            Wisp { run: run(&row, instant, generation), row }
        },
    )
}

fn run(row: &Row, instant: Option<i64>, generation: usize) -> Run {
    Run {
        task: Value::text(&row.task_name),
        id: Value::text(&row.id),
        phase: row.status.clone(),
        end_reason: row.end_reason.clone(),
        exit_code: (row.status == "ended").then_some(row.exit_code),
        triggered_by: Some(row.triggered_by.clone()),
        instant,
        retry_attempt: row.retry_attempt,
        params: row.params_json.as_deref().map_or(Value::Null, Value::text),
        mark: (generation == 2).then_some(row.is_failure != 0),
        unfit: (row.triggered_by == "service").then(|| "service".to_owned()),
        deleted: row.deleted_at.is_some(),
        times: 1,
    }
}

/// The runs of a store of one of RunWisp's generations.
pub fn runs(generation: usize) -> impl Strategy<Value = Vec<Wisp>> {
    prop::sample::subsequence(IDS.to_vec(), 0..=IDS.len())
        .prop_shuffle()
        .prop_flat_map(move |ids| ids.into_iter().map(|id| row(id.to_owned(), generation)).collect::<Vec<_>>())
}

/// What a new row of RunWisp's says; an error if it is not as RunWisp would have queued it.
pub fn new_row(names: &[String], row: &[Column]) -> Result<NewRow, String> {
    let column = |name: &str| names.iter().position(|column| column == name).map_or(&Column::Null, |place| &row[place]);
    let is = |name: &str, value: Column| match column(name) == &value {
        true => Ok(()),
        false => Err(format!("{name} is {:?}", column(name))),
    };
    is("triggered_by", Column::Text("api".to_owned()))?;
    is("retry_attempt", Column::Integer(0))?;
    is("end_reason", Column::Null)?;
    is("retry_of_run_id", Column::Null)?;
    is("deleted_at", Column::Null)?;
    let value = |name: &str| match column(name) {
        Column::Text(text) => Value::text(text),
        Column::Null => Value::Null,
        other => Value::text(&format!("{other:?}")),
    };
    Ok(NewRow { task: value("task_name"), id: value("id"), phase: value("status"), params: value("params_json") })
}
