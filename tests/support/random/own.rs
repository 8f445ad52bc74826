//! Runs of a runner that nobody knows: its ids repeat over its queues, and its values are of any class.

use proptest::prelude::*;

use super::super::model::call::Change;
use super::super::model::{Act, Request, Run, Unique, Value};
use super::{Draft, NOON, TRIGGERS, Words, instants, states, texts, written};

pub const WORDS: Words = Words {
    tasks: &["report", "report", "Report", "mail", "7", "ünï", ""],
    ids: &["7", "9", "10", "12", "a", "A", "é", "007", " 7", "-1", "x'75ff'"],
    searches: &["", "REP", "7", "é", "É", "%", "_", "a", "u", "'"],
};

fn any_of(values: Vec<Value>) -> impl Strategy<Value = Value> {
    prop::sample::select(values)
}

/// Names: a few that are alike in one way or another, and now and then one that is none.
pub fn tasks() -> impl Strategy<Value = Value> {
    let plain = vec![Value::text("report"), Value::text("report"), Value::text("mail"), Value::text("Report")];
    let odd = vec![
        Value::blob("report"),
        Value::text("REPORT"),
        Value::Integer(7),
        Value::text("7"),
        Value::text("ünï"),
        Value::text("x'75ff'"),
    ];
    let unfit = vec![
        Value::Null,
        Value::text(""),
        Value::Blob(Vec::new()),
        Value::Text(b"u\xff".to_vec()),
        Value::Blob(b"u\xff".to_vec()),
        Value::Blob(b"u\xfe".to_vec()),
    ];
    prop_oneof![12 => any_of(plain), 4 => any_of(odd), 2 => any_of(unfit)]
}

pub fn ids() -> impl Strategy<Value = Value> {
    let numbers = [9, 10, 12, 7, -1].map(Value::Integer).to_vec();
    let words = ["9", "10", "a", "A", "é", "007", " 7"].map(Value::text).to_vec();
    let blobs = vec![Value::blob("a"), Value::blob("9"), Value::blob("10"), Value::blob("é")];
    let unfit = vec![
        Value::Null,
        Value::text(""),
        Value::Blob(Vec::new()),
        Value::Text(b"u\xff".to_vec()),
        Value::Blob(b"u\xff".to_vec()),
    ];
    prop_oneof![6 => any_of(numbers), 6 => any_of(words), 3 => any_of(blobs), 1 => any_of(unfit)]
}

pub fn params() -> impl Strategy<Value = Value> {
    any_of(vec![
        Value::Null,
        Value::text(""),
        Value::text(r#"{"n":1}"#),
        Value::text(r#"{"n":1}"#),
        Value::blob(r#"{"n":1}"#),
        Value::blob(r#"{"n":1}"#),
        Value::text(r#"{"n": 1}"#),
        Value::Integer(5),
        Value::text("5"),
        Value::Blob(b"\x00\xff".to_vec()),
        Value::Text(b"\xfe".to_vec()),
    ])
}

/// When a run was created, as it stands there: a text mostly, a number or nothing at times.
fn times() -> impl Strategy<Value = (Value, Option<i64>)> {
    let text = (instants(), 0..10usize).prop_map(|(at, layout)| {
        let (text, instant) = written(at, layout);
        (Value::text(&text), instant)
    });
    let none = prop::sample::select(vec![(Value::Null, None), (Value::Integer(NOON / 1_000_000), None)]);
    let noon = Just((Value::text("2026-04-15T12:00:00Z"), Some(NOON)));
    prop_oneof![6 => noon, 12 => text, 1 => none]
}

fn unfit_words() -> impl Strategy<Value = Option<String>> {
    let words = texts(&["service", "unknown_task", "trigger_disabled", "archived", "Service"]);
    prop::option::weighted(0.1, words)
}

pub fn drafts() -> impl Strategy<Value = Draft> {
    let origin = (prop::option::of(texts(&TRIGGERS)), prop_oneof![4 => Just(0), 1 => 1..4i64]);
    let rest = (
        prop::option::weighted(0.4, any::<bool>()),
        unfit_words(),
        prop::bool::weighted(0.1),
        prop_oneof![8 => Just(1), 1 => 2..4usize],
    );
    ((tasks(), ids(), params()), states(), times(), origin, rest).prop_map(
        |((task, id, params), (phase, end_reason, code), (created_at, instant), origin, rest)| {
            let (mark, unfit, deleted, times) = rest;
            let run = Run {
                task,
                id,
                phase: phase.to_owned(),
                end_reason,
                exit_code: Some(code),
                triggered_by: origin.0,
                instant,
                retry_attempt: origin.1,
                params,
                mark,
                unfit,
                deleted,
                times,
            };
            Draft { run, created_at }
        },
    )
}

/// What the host's triggers do to new runs of some tasks.
pub fn acts() -> impl Strategy<Value = Vec<(Value, Act)>> {
    let act = prop::sample::select(vec![Act::Declines, Act::Swallows, Act::Renames, Act::Ends, Act::Hides]);
    let one = (tasks(), act);
    prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(one, 1..4)]
}

/// What somebody else does between search and spawn, before it is known which runs there are.
#[derive(Debug, Clone)]
pub enum Meanwhile {
    Deleted(prop::sample::Index),
    SoftDeleted(prop::sample::Index),
    Renamed(prop::sample::Index),
    Parameters(prop::sample::Index),
    Begins(prop::sample::Index, bool),
    Appears(Box<Draft>),
}

pub fn meanwhile() -> impl Strategy<Value = Vec<Meanwhile>> {
    let index = any::<prop::sample::Index>;
    let one = prop_oneof![
        2 => index().prop_map(Meanwhile::Deleted),
        2 => index().prop_map(Meanwhile::SoftDeleted),
        1 => index().prop_map(Meanwhile::Renamed),
        2 => index().prop_map(Meanwhile::Parameters),
        2 => (index(), any::<bool>()).prop_map(|(index, pending)| Meanwhile::Begins(index, pending)),
        4 => drafts().prop_map(|draft| Meanwhile::Appears(Box::new(draft))),
    ];
    prop_oneof![1 => Just(Vec::new()), 1 => prop::collection::vec(one, 1..4)]
}

impl Meanwhile {
    /// The change of one of the runs that could be started (of those that could not, nobody looks twice); nothing where
    /// it is left open what a call makes of it.
    pub fn on(&self, runs: &[Run], request: &Request) -> Option<(usize, Change)> {
        let (Meanwhile::Deleted(index)
        | Meanwhile::SoftDeleted(index)
        | Meanwhile::Renamed(index)
        | Meanwhile::Parameters(index)
        | Meanwhile::Begins(index, _)) = self
        else {
            return None;
        };
        let fit = |run: &Run| run.task.fault().is_none() && run.id.fault().is_none();
        let places: Vec<usize> = (0..runs.len()).filter(|place| fit(&runs[*place])).collect();
        let place = *places.get(index.index(places.len().max(1)))?;
        let change = match self {
            Meanwhile::Deleted(_) => Change::Deleted(place),
            Meanwhile::SoftDeleted(_) => Change::SoftDeleted(place),
            Meanwhile::Renamed(_) => Change::Renamed(place, Value::text(&format!("elsewhere {place}"))),
            Meanwhile::Parameters(_) => Change::Parameters(place, Value::text(r#"{"changed":true}"#)),
            Meanwhile::Begins(_, pending) => Change::Begins(place, if *pending { "pending" } else { "running" }),
            Meanwhile::Appears(_) => unreachable!("it is not one of the runs"),
        };
        // A group that is active no longer, and one whose parameters are no longer those that it was found by.
        let is_open = match change {
            Change::Parameters(..) => {
                request.unique_by != Unique::Task && (request.skip_active || request.skip_superseded)
            }
            Change::Begins(..) => false,
            _ => request.skip_active && !runs[place].has_ended(),
        };
        (!is_open).then_some((place, change))
    }
}
