//! A row as SQLite hands it over, as a run.

use std::borrow::Cow;

use rusqlite::Row;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::contract::{Params, has_ended};
use crate::host::time::read_instant_of;
use crate::host::view::Positions;
use crate::host::{Key, RunRow};

/// Reads a row's wanted columns and hands them over. What is not wanted costs nothing: this runs once a row.
pub(super) fn with_row<T>(row: &Row<'_>, at: &Positions, each: impl FnOnce(RunRow<'_>) -> T) -> rusqlite::Result<T> {
    let mut spare: [String; 5] = Default::default();
    let [unfit, end_reason, phase, triggered_by, state] = &mut spare;
    let created_at = match row.get_ref(2)? {
        ValueRef::Text(bytes) => read_instant_of(bytes),
        _ => None,
    };
    let mut run = RunRow { id: key(row.get_ref(0)?), task_name: key(row.get_ref(1)?), created_at, ..RunRow::default() };
    if let Some(index) = at.params {
        run.params = params(row.get_ref(index)?);
    }
    if let Some(index) = at.unfit {
        run.unfit = text(row.get_ref(index)?, unfit);
    }
    if let Some(index) = at.end_reason {
        run.end_reason = text(row.get_ref(index)?, end_reason);
    }
    if let Some(index) = at.rest {
        run.phase = text(row.get_ref(index)?, phase);
        run.exit_code = row.get_ref(index + 1)?.as_i64().ok().filter(|_| has_ended(run.phase));
        run.triggered_by = text(row.get_ref(index + 2)?, triggered_by);
        run.retry_attempt = row.get_ref(index + 3)?.as_i64().ok();
    }
    if let Some(index) = at.is_failure {
        run.is_failure = row.get_ref(index)?.as_i64().ok().map(|mark| mark != 0);
    }
    if let Some(index) = at.state {
        run.state = text(row.get_ref(index)?, state);
    }
    Ok(each(run))
}

pub(super) fn key(value: ValueRef<'_>) -> Key<'_> {
    match value {
        ValueRef::Null => Key::Null,
        ValueRef::Integer(number) => Key::Integer(number),
        ValueRef::Real(number) => Key::Real(number),
        ValueRef::Text(bytes) => Key::Text(Cow::Borrowed(bytes)),
        ValueRef::Blob(bytes) => Key::Blob(Cow::Borrowed(bytes)),
    }
}

/// A word; `spare` holds it where it is not text as it stands.
fn text<'a>(value: ValueRef<'a>, spare: &'a mut String) -> Option<&'a str> {
    match value {
        ValueRef::Null => return None,
        ValueRef::Integer(number) => *spare = number.to_string(),
        ValueRef::Real(number) => *spare = number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => match str::from_utf8(bytes) {
            Ok(text) => return Some(text),
            Err(_) => *spare = String::from_utf8_lossy(bytes).into_owned(),
        },
    }
    Some(spare)
}

fn params(value: ValueRef<'_>) -> Params<'_> {
    match value {
        ValueRef::Null => Params::None,
        ValueRef::Text(bytes) => Params::Text(Cow::Borrowed(bytes)),
        ValueRef::Blob(bytes) => Params::Blob(Cow::Borrowed(bytes)),
        ValueRef::Integer(number) => Params::Integer(number),
        ValueRef::Real(number) => Params::Real(number),
    }
}

pub(super) fn bindable_params<'a>(params: &'a Params<'_>) -> ToSqlOutput<'a> {
    ToSqlOutput::Borrowed(match params {
        Params::None => ValueRef::Null,
        Params::Integer(number) => ValueRef::Integer(*number),
        Params::Real(number) => ValueRef::Real(*number),
        Params::Text(bytes) => ValueRef::Text(bytes),
        Params::Blob(bytes) => ValueRef::Blob(bytes),
    })
}
