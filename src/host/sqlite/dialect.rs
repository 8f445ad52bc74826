//! How SQLite says what a query asks for.

use chrono::{Datelike, Days, NaiveDate};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::functions::IS_UTC;
use crate::host::Key;
use crate::host::view::{Conditions, Dialect, Value, View, Window};

/// More values than this in one list are bound as one JSON array.
const PLACEHOLDERS_MAX: usize = 200;

/// SQLite's dialect.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sqlite {
    /// Go by the index on the time of creation.
    pub(super) seek_created_at: bool,
}

impl Dialect for Sqlite {
    fn placeholder(&self, number: usize) -> String {
        format!("?{number}")
    }

    /// Words are compared by their bytes, whatever collation a column has.
    fn column(&self, name: &'static str) -> String {
        match name {
            "phase" | "end_reason" | "triggered_by" => format!("{name} COLLATE BINARY"),
            _ => name.to_owned(),
        }
    }

    fn read(&self, name: &'static str) -> String {
        name.to_owned()
    }

    /// A long list is one value, since placeholders are limited.
    fn one_of(&self, column: &str, texts: Vec<String>, conditions: &mut Conditions<'_>) -> String {
        let list = if texts.len() > PLACEHOLDERS_MAX {
            let array = conditions.bind(Value::Text(serde_json::Value::from(texts).to_string()));
            format!("SELECT value FROM json_each({array})")
        } else {
            texts.into_iter().map(|text| conditions.bind(Value::Text(text))).collect::<Vec<_>>().join(", ")
        };
        format!("{column} IN ({list})")
    }

    fn named(&self, names: &[&Key<'_>], conditions: &mut Conditions<'_>) -> String {
        let forms = names.iter().flat_map(|name| forms(name));
        let list: Vec<_> = forms.map(|form| conditions.bind(Value::Key(form))).collect();
        format!("task_name IN ({})", list.join(", "))
    }

    /// SQLite's own lower() folds ASCII only, as the contract does.
    fn contains(&self, columns: [&str; 2], text: &str, conditions: &mut Conditions<'_>) -> String {
        let text = conditions.bind(Value::Text(text.to_ascii_lowercase()));
        let [one, other] = columns.map(|column| format!("instr(lower({column}), {text}) > 0"));
        format!("({one} OR {other})")
    }

    /// Bounds on the text, a superset of what the instants will let through: every layout begins with
    /// the local date, which is at most a day off from the date in UTC. By the index, a run of that day costs as much as one
    /// that is meant, and so [`IS_UTC`] leaves nearly all of them out while they are entries of the index.
    fn within(&self, window: Window, conditions: &mut Conditions<'_>) {
        let column = if self.seek_created_at { "created_at" } else { "+created_at" };
        let text = |date: NaiveDate| Value::Text(date.format("%Y-%m-%d").to_string());
        // Beyond these years a date has no four digits; then the instants alone decide.
        let ordinary = |date: &NaiveDate| (1..=9999).contains(&date.year());
        let bounds = [
            window.after.map(|at| (at, at.date_naive().checked_sub_days(Days::new(1)), ">=", "<", "")),
            // A fraction or a `Z` may follow the second, and both are before this sign.
            window.before.map(|at| (at, at.date_naive().checked_add_days(Days::new(2)), "<", ">=", "[")),
        ];
        for (at, day, within, beyond, end) in bounds.into_iter().flatten() {
            let Some(day) = day.filter(ordinary).filter(|_| ordinary(&at.date_naive())) else { continue };
            let bound = conditions.bind(text(day));
            conditions.add(format!("{column} {within} {bound}"));
            if self.seek_created_at {
                let second = conditions.bind(Value::Text(format!("{}{end}", at.format("%Y-%m-%dT%H:%M:%S"))));
                conditions.add(format!("NOT ({column} {beyond} {second} AND {IS_UTC}({column}))"));
            }
        }
    }
}

/// What a key may be stored as: SQLite finds none of another type.
pub(super) fn forms(key: &Key<'_>) -> Vec<Key<'static>> {
    let Some(bytes) = key.bytes() else { return Vec::new() };
    let text = str::from_utf8(&bytes).unwrap_or_default();
    let numbers = [text.parse().ok().map(Key::Integer), text.parse().ok().map(Key::Real)];
    let texts = [Key::Text(bytes.to_vec().into()), Key::Blob(bytes.to_vec().into())];
    // 007 is not 7, and 7.0 neither.
    let number = numbers.into_iter().flatten().find(|number| number == key);
    texts.into_iter().chain(number).collect()
}

/// A key as SQLite stores it.
pub(super) fn bindable<'k>(key: &'k Key<'_>) -> ToSqlOutput<'k> {
    ToSqlOutput::Borrowed(match key {
        Key::Null => ValueRef::Null,
        Key::Integer(number) => ValueRef::Integer(*number),
        Key::Real(number) => ValueRef::Real(*number),
        Key::Text(bytes) => ValueRef::Text(bytes),
        Key::Blob(bytes) => ValueRef::Blob(bytes),
    })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Value::Text(text) => text.to_sql(),
            Value::Integer(number) => number.to_sql(),
            Value::Key(key) => Ok(bindable(key)),
            #[cfg(feature = "postgres")]
            Value::Texts(_) | Value::Instant(_) => {
                Err(rusqlite::Error::ToSqlConversionFailure("SQLite has no such values".into()))
            }
        }
    }
}

/// Which end of all times.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    First,
    Last,
}

/// The times of creation at one end, as texts, a few of them: where there is an index on it, one seek. No time begins with
/// anything but a digit, and those that are none for another reason may be passed over.
pub(super) fn times_at(view: &View, end: End) -> String {
    let order = match end {
        End::First => "ASC",
        End::Last => "DESC",
    };
    let times = view.select("created_at");
    format!("{times} WHERE created_at >= '0' AND created_at < ':' ORDER BY created_at {order} LIMIT 100")
}
