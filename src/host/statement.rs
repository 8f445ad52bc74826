//! A profile's statement as a text.

use std::fmt::Formatter;
use std::ops::Deref;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// One statement, or several that are carried out as one, in their order. A profile has a text for it, or a list of texts.
#[derive(Debug, Clone)]
pub struct Statements(Vec<String>);

impl Statements {
    /// The statement, where it is to be the only one.
    ///
    /// # Errors
    ///
    /// There are several; the message says what to do.
    pub(super) fn only(&self) -> Result<&str, String> {
        match self.0.as_slice() {
            [only] => Ok(only),
            _ => Err(
                "a list of statements is for SQLite; on PostgreSQL one statement does several things: WITH started AS \
                      (INSERT … RETURNING id), more AS (INSERT … FROM started) SELECT id FROM started"
                    .to_owned(),
            ),
        }
    }
}

impl Deref for Statements {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Statements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Statements;

            fn expecting(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a statement, or a list of statements")
            }

            fn visit_str<E: Error>(self, statement: &str) -> Result<Statements, E> {
                Ok(Statements(vec![statement.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statements, A::Error> {
                let mut statements = Vec::new();
                while let Some(statement) = list.next_element()? {
                    statements.push(statement);
                }
                if statements.is_empty() {
                    return Err(A::Error::custom("the list of statements is empty"));
                }
                Ok(Statements(statements))
            }
        }

        deserializer.deserialize_any(OneOrSeveral)
    }
}

/// A statement for a store as it is: without the semicolon at its end, and without the lines that end in the comment
/// `-- if TABLE.COLUMN` where `has` says that the table has no such column. So one text serves schemas that differ by a
/// few columns.
///
/// # Errors
///
/// A line's table is none of the store's (`has` says `None`); and `has`'s own.
pub(super) fn fitted_text<E>(
    statement: &str,
    has: impl Fn(&str, &str) -> Result<Option<bool>, E>,
    fail: &dyn Fn(String) -> E,
) -> Result<String, E> {
    let mut kept = Vec::new();
    for line in statement.lines() {
        let condition = line.rsplit_once("-- if ").map(|(_, condition)| condition.trim().replace('"', ""));
        let is_one = |condition: &String| {
            condition.chars().all(|character| character.is_alphanumeric() || matches!(character, '_' | '.'))
        };
        let is_kept = match condition.filter(is_one).as_deref().and_then(|condition| condition.rsplit_once('.')) {
            None => true,
            Some((table, column)) => has(table, column)?.ok_or_else(|| {
                fail(format!(
                    "a line is there only if {table} has the column {column}, and the store has no table {table}"
                ))
            })?,
        };
        if is_kept {
            kept.push(line);
        }
    }
    Ok(bare(&kept.join("\n")).to_owned())
}

/// The line of a statement that a place of it (in bytes) is in, for behind what is wrong there.
pub(super) fn line_at(statement: &str, place: usize) -> Option<String> {
    let before = statement.get(..place)?;
    let number = before.matches('\n').count();
    let line = statement.lines().nth(number)?.trim();
    Some(format!(" (line {} of it: `{line}`)", number + 1))
}

/// A statement without the semicolon at its end.
pub(super) fn bare(statement: &str) -> &str {
    statement.trim().trim_end_matches(';').trim_end()
}
