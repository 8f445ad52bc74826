//! A profile's statement as a text.

use std::ops::Deref;

use serde::Deserialize;

/// One statement, or several that are carried out as one, in their order. A profile has a text for it, or a list of texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
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

    /// The same with each of them made into another.
    pub(super) fn try_map<E>(&self, each: impl FnMut(&String) -> Result<String, E>) -> Result<Statements, E> {
        self.0.iter().map(each).collect::<Result<_, E>>().map(Statements)
    }
}

impl Deref for Statements {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

/// [`Statements`] as a profile has them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a statement, or a list of statements")]
enum Written {
    One(String),
    Several(Vec<String>),
}

impl TryFrom<Written> for Statements {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Statements, &'static str> {
        match written {
            Written::One(statement) => Ok(Statements(vec![statement])),
            Written::Several(statements) if statements.is_empty() => Err("the list of statements is empty"),
            Written::Several(statements) => Ok(Statements(statements)),
        }
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
