//! What a generation of a profile requires and a store does not have, on any engine.

use std::collections::HashSet;

use super::HostError;
use super::profile::Generation;

/// What a store lacks.
#[derive(Debug, Default)]
pub(super) struct Lack {
    /// The tables and columns, and the version, in words.
    pub(super) words: Vec<String>,
    /// How many columns that makes.
    absent: usize,
    /// Of how many.
    required: usize,
}

impl Lack {
    /// `columns_of`: a table's columns, none if there is no such table.
    pub(super) fn of(
        generation: &Generation,
        columns_of: impl Fn(&str) -> Result<HashSet<String>, HostError>,
        is_in: impl Fn(&HashSet<String>, &str) -> bool,
    ) -> Result<Lack, HostError> {
        let mut lack = Lack::default();
        for (table, columns) in &generation.requires {
            let present = columns_of(table)?;
            let absent: Vec<_> = columns.iter().filter(|column| !is_in(&present, column)).collect();
            lack.required += columns.len();
            lack.absent += absent.len();
            if present.is_empty() {
                lack.words.insert(0, format!("the table {table}"));
            } else {
                lack.words.extend(absent.iter().map(|column| format!("the column {table}.{column}")));
            }
        }
        Ok(lack)
    }

    /// The first of them, by name.
    pub(super) fn in_words(&self) -> String {
        const SHOWN: usize = 6;
        let words = self.words.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        match self.words.len().saturating_sub(SHOWN) {
            0 => words,
            more => format!("{words}, and {more} more"),
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.words.is_empty()
    }

    /// More is there than is not: most likely the runner's, in a version that the profile does not know.
    pub(super) fn is_near(&self) -> bool {
        self.absent * 2 < self.required
    }

    /// The one that says most about what is wrong.
    pub(super) fn nearer(self, other: Lack) -> Lack {
        if other.absent < self.absent { other } else { self }
    }
}
