//! Named parameters in a profile's statement, as PostgreSQL's numbered ones.

use crate::host::profile::SpawnParameter;

/// A spawn statement as the server takes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numbered {
    pub(super) sql: String,
    /// What `$1`, `$2`, … stand for.
    pub(super) parameters: Vec<SpawnParameter>,
}

/// Puts `$1::text` in place of the first parameter's name, and so on; `kind` is `text`, or `text[]`.
///
/// `:name` is a parameter wherever it stands, in quotes and comments too, but after another colon:
/// `x::id` is a cast. So a statement says `:id::bigint`, and always binds a text.
pub(super) fn number(sql: &str, kind: &str) -> Numbered {
    let mut numbered = Numbered { sql: String::with_capacity(sql.len() + 32), parameters: Vec::new() };
    let mut rest = sql;
    while let Some(colon) = rest.find(':') {
        let (before, from_colon) = rest.split_at(colon);
        numbered.sql += before;
        let name = &from_colon[1..];
        let name = &name[..name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len())];
        let parameter = SpawnParameter::ALL.into_iter().find(|parameter| parameter.name() == name);
        match parameter.filter(|_| !numbered.sql.ends_with(':')) {
            Some(parameter) => {
                let known = numbered.parameters.iter().position(|known| *known == parameter);
                let index = known.unwrap_or_else(|| {
                    numbered.parameters.push(parameter);
                    numbered.parameters.len() - 1
                });
                // The time is the same for all runs of a call.
                let kind = if parameter == SpawnParameter::Now { "text" } else { kind };
                numbered.sql += &format!("${}::{kind}", index + 1);
                rest = &from_colon[1 + name.len()..];
            }
            None => {
                numbered.sql.push(':');
                rest = &from_colon[1..];
            }
        }
    }
    numbered.sql += rest;
    numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_numbers_and_casts_stay() {
        let numbered = number("SELECT :id::bigint, x::id, :task_name, a[1:2], CAST(:id AS text), :idle", "text");
        assert_eq!(numbered.sql, "SELECT $1::text::bigint, x::id, $2::text, a[1:2], CAST($1::text AS text), :idle");
        assert_eq!(numbered.parameters, [SpawnParameter::Id, SpawnParameter::TaskName]);
        assert_eq!(number("unnest(:id, :now):", "text[]").sql, "unnest($1::text[], $2::text):");
    }
}
