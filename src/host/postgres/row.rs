//! A row as the server hands it over, as a run.

use std::borrow::Cow;
use std::error::Error;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Kind, Type};
use uuid::Uuid;

use super::numeric::Numeric;
use crate::contract::{Params, has_ended, is_writable};
use crate::host::view::Positions;
use crate::host::{Key, RunRow};

/// A text's bytes: those of a database without an encoding need be no UTF-8.
struct Bytes<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Bytes<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Bytes(bytes))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME) || matches!(kind.kind(), Kind::Enum(_))
    }
}

/// A value that is a name or an id.
pub(super) fn key(row: &Row, index: usize) -> Key<'_> {
    let key = match *row.columns()[index].type_() {
        Type::INT8 => row.try_get::<_, Option<i64>>(index).ok().flatten().map(Key::Integer),
        Type::INT4 => row.try_get::<_, Option<i32>>(index).ok().flatten().map(|id| Key::Integer(id.into())),
        Type::INT2 => row.try_get::<_, Option<i16>>(index).ok().flatten().map(|id| Key::Integer(id.into())),
        Type::UUID => {
            let id = row.try_get::<_, Option<Uuid>>(index).ok().flatten();
            id.map(|id| Key::Text(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes().to_vec().into()))
        }
        // As the server spells bytes.
        Type::BYTEA => {
            let id = row.try_get::<_, Option<&[u8]>>(index).ok().flatten();
            id.map(|id| {
                Key::Text(
                    id.iter().fold(String::from(r"\x"), |hex, byte| hex + &format!("{byte:02x}")).into_bytes().into(),
                )
            })
        }
        Type::NUMERIC => row.try_get::<_, Option<Numeric>>(index).ok().flatten().map(Numeric::into_key),
        Type::BPCHAR => text(row, index).map(without_blanks),
        _ => text(row, index),
    };
    key.unwrap_or_default()
}

fn text(row: &Row, index: usize) -> Option<Key<'_>> {
    row.try_get::<_, Option<Bytes<'_>>>(index).ok().flatten().map(|text| Key::Text(text.0.into()))
}

/// The blanks that fill `char(n)` up are no part of a name.
fn without_blanks(key: Key<'_>) -> Key<'_> {
    match key {
        Key::Text(Cow::Borrowed(mut bytes)) => {
            while let [rest @ .., b' '] = bytes {
                bytes = rest;
            }
            Key::Text(bytes.into())
        }
        other => other,
    }
}

/// Whether [`key`] reads values of a type.
pub(super) fn is_key(kind: &Type) -> bool {
    matches!(*kind, Type::INT8 | Type::INT4 | Type::INT2 | Type::UUID | Type::BYTEA | Type::NUMERIC)
        || Bytes::accepts(kind)
}

/// A row's wanted columns.
pub(super) fn read<'r>(row: &'r Row, at: &Positions) -> RunRow<'r> {
    // A value that is none of its column's type is as good as none: the time `infinity`, for one. So is a time in the year
    // 12026, which RFC 3339 has not.
    let text = |index: usize| row.try_get::<_, Option<&str>>(index).ok().flatten();
    let number = |index: usize| row.try_get::<_, Option<i64>>(index).ok().flatten();
    let params = |index: usize| row.try_get::<_, Option<Bytes<'_>>>(index).ok().flatten();
    let phase = at.rest.and_then(text);
    RunRow {
        id: key(row, 0),
        task_name: key(row, 1),
        created_at: row.try_get(2).ok().flatten().filter(is_writable),
        params: at.params.and_then(params).map_or(Params::None, |text| Params::Text(text.0.into())),
        unfit: at.unfit.and_then(text),
        end_reason: at.end_reason.and_then(text),
        phase,
        exit_code: at.rest.and_then(|index| number(index + 1)).filter(|_| has_ended(phase)),
        triggered_by: at.rest.and_then(|index| text(index + 2)),
        retry_attempt: at.rest.and_then(|index| number(index + 3)),
        is_failure: at.is_failure.and_then(|index| row.try_get(index).ok().flatten()),
        state: at.state.and_then(text),
    }
}
