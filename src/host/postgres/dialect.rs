//! How PostgreSQL says what a query asks for, and how a value goes to the server.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta};
use tokio_postgres::types::{ToSql, Type};

use super::ids::IdType;
use crate::contract::Instant;
use crate::host::Key;
use crate::host::view::{Conditions, Dialect, Value, Window};

/// PostgreSQL's dialect, for a view whose ids are of this type.
pub(super) struct Postgres<'k>(pub(super) &'k IdType);

impl Dialect for Postgres<'_> {
    fn placeholder(&self, number: usize) -> String {
        format!("${number}")
    }

    /// Columns are read in types of our choice, whatever a view has.
    fn column(&self, name: &'static str) -> String {
        match name {
            // Its type is checked when the store is opened.
            "created_at" => name.to_owned(),
            "exit_code" | "retry_attempt" => format!("{name}::bigint"),
            "is_failure" => format!("{name}::boolean"),
            "id" => self.0.spelled().to_owned(),
            _ => format!("{name}::text"),
        }
    }

    /// Of two tables that a view joins by the column, the planner knows that one text alone is that of both.
    fn one_of(&self, column: &str, texts: Vec<String>, conditions: &mut Conditions<'_>) -> String {
        match <[String; 1]>::try_from(texts) {
            Ok([text]) => format!("{column} = {}", conditions.bind(Value::Text(text))),
            Err(texts) => format!("{column} = ANY({})", conditions.bind(Value::Texts(texts))),
        }
    }

    /// Numbers are ordered as such; and the server spells a uuid more slowly than we do.
    fn read(&self, name: &'static str) -> String {
        match name {
            "id" => self.0.read().to_owned(),
            _ => self.column(name),
        }
    }

    fn named(&self, names: &[&Key<'_>], conditions: &mut Conditions<'_>) -> String {
        let names = names.iter().filter(|name| name.fault() != Some("not UTF-8")).map(|name| name.to_text());
        self.one_of(&self.column("task_name"), names.collect(), conditions)
    }

    fn nothing(&self, name: &'static str) -> String {
        let kind = if name == "created_at" { "timestamptz" } else { "text" };
        format!("NULL::{kind} AS {name}")
    }

    /// In the collation "C" lower() folds ASCII only, as the contract does.
    fn contains(&self, columns: [&str; 2], text: &str, conditions: &mut Conditions<'_>) -> String {
        let text = conditions.bind(Value::Text(text.to_ascii_lowercase()));
        let [one, other] = columns.map(|column| format!("strpos(lower({column} COLLATE \"C\"), {text}) > 0"));
        format!("({one} OR {other})")
    }

    /// The server counts in microseconds, and so may a bound without letting one run more or less through.
    fn within(&self, window: Window, conditions: &mut Conditions<'_>) {
        if let Some(after) = window.after {
            let bound = conditions.bind(Value::Instant(up_to_microseconds(after)));
            conditions.add(format!("created_at >= {bound}"));
        }
        if let Some(before) = window.before {
            let bound = conditions.bind(Value::Instant(down_to_microseconds(before)));
            conditions.add(format!("created_at <= {bound}"));
        }
    }
}

fn down_to_microseconds(instant: Instant) -> Instant {
    DateTime::from_timestamp_micros(instant.timestamp_micros()).unwrap_or(instant)
}

fn up_to_microseconds(instant: Instant) -> Instant {
    let down = down_to_microseconds(instant);
    if down < instant { down + TimeDelta::microseconds(1) } else { down }
}

/// The texts in values.
pub(super) fn texts(values: &[Value]) -> impl Iterator<Item = &str> {
    values.iter().flat_map(|value| match value {
        Value::Text(text) => std::slice::from_ref(text).iter().map(String::as_str),
        Value::Texts(texts) => texts.iter().map(String::as_str),
        Value::Integer(_) | Value::Instant(_) | Value::Key(_) => [].iter().map(String::as_str),
    })
}

/// A value with the type that it is sent as.
pub(super) type Bound<'v> = (Box<dyn ToSql + Sync + Send + 'v>, Type);

/// A value as it is sent. `foreign`: texts that the database's encoding has no signs for.
pub(super) fn bound<'v>(value: &'v Value, foreign: &HashSet<String>) -> Bound<'v> {
    let storable = |text: &'v str| storable(text).filter(|text| !foreign.contains(*text));
    match value {
        Value::Text(text) => (Box::new(storable(text)), Type::TEXT),
        Value::Integer(number) => (Box::new(*number), Type::INT8),
        Value::Texts(texts) => {
            let texts: Vec<&str> = texts.iter().filter_map(|text| storable(text)).collect();
            (Box::new(texts), Type::TEXT_ARRAY)
        }
        Value::Instant(instant) => (Box::new(*instant), Type::TIMESTAMPTZ),
        Value::Key(key) => (Box::new(key.to_text()), Type::TEXT),
    }
}

/// No text in PostgreSQL has a NUL character, so one that has equals none, as NULL does.
pub(super) fn storable(text: &str) -> Option<&str> {
    (!text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_between_two_microseconds_lets_the_same_runs_through() {
        let between: Instant = "2026-04-15T12:00:00.000000500Z".parse().unwrap();
        assert_eq!(down_to_microseconds(between), "2026-04-15T12:00:00Z".parse::<Instant>().unwrap());
        assert_eq!(up_to_microseconds(between), "2026-04-15T12:00:00.000001Z".parse::<Instant>().unwrap());
        let whole: Instant = "1969-12-31T23:59:59.999999Z".parse().unwrap();
        assert_eq!((down_to_microseconds(whole), up_to_microseconds(whole)), (whole, whole));
    }
}
