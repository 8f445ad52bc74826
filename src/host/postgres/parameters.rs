//! Named parameters in a profile's statement, as PostgreSQL's numbered ones.

use std::error::Error;
use std::str::FromStr;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::host::profile::SpawnParameter;

/// A spawn statement as the server takes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numbered {
    pub(super) sql: String,
    /// What `$1`, `$2`, … stand for.
    pub(super) parameters: Vec<SpawnParameter>,
}

/// The kind of parameter that a statement for many runs takes.
pub(super) const ARRAY: &str = "text[]";

/// What an array may be cast to and bound as.
const BOUND_AS_SUCH: [&str; 2] = ["::uuid[]", "::bigint[]"];

/// A parameter's value in the form in which it goes to the server, or why it has none.
#[derive(Debug)]
pub(super) struct Encoded(Result<BytesMut, String>);

impl Encoded {
    /// `kind` is the type that the server has made of the parameter.
    pub(super) fn new(value: &dyn ToSql, kind: &Type) -> Encoded {
        let mut bytes = BytesMut::new();
        let encoded = value.to_sql_checked(kind, &mut bytes);
        Encoded(encoded.map(|_| bytes).map_err(|error| error.to_string()))
    }

    /// An array. A text that is none of its type is NULL, which is no run's id.
    pub(super) fn array<'t>(texts: impl Iterator<Item = Option<&'t str>>, kind: &Type) -> Encoded {
        fn read<'t, T: FromStr>(texts: impl Iterator<Item = Option<&'t str>>) -> Vec<Option<T>> {
            texts.map(|text| text.and_then(|text| text.parse().ok())).collect()
        }
        match *kind {
            Type::UUID_ARRAY => Encoded::new(&read::<Uuid>(texts), kind),
            Type::INT8_ARRAY => Encoded::new(&read::<i64>(texts), kind),
            _ => Encoded::new(&texts.collect::<Vec<_>>(), kind),
        }
    }
}

impl ToSql for Encoded {
    fn to_sql(&self, _kind: &Type, bytes: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        bytes.extend_from_slice(self.0.as_ref().map_err(String::as_str)?);
        Ok(IsNull::No)
    }

    /// It is of the type that it was made for.
    fn accepts(_kind: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Puts `$1::text` in place of the first parameter's name, and so on; `kind` is `text`, or `text[]`.
///
/// `:name` is a parameter wherever it stands, in quotes and comments too, but after another colon:
/// `x::id` is a cast. So a statement says `:id::bigint`, and binds a text, or an array of them: but for an array that is
/// cast to uuid or bigint at once, the types of most keys, which is bound as such and saves the server the reading.
pub(super) fn number(sql: &str, kind: &str) -> Numbered {
    let mut numbered = Numbered { sql: String::with_capacity(sql.len() + 32), parameters: Vec::new() };
    let mut rest = sql;
    while let Some(colon) = rest.find(':') {
        let (before, from_colon) = rest.split_at(colon);
        numbered.sql += before;
        let name = &from_colon[1..];
        let name = &name[..name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len())];
        // `:new_run` is for lists of statements.
        let mut known = SpawnParameter::ALL.into_iter().filter(|parameter| *parameter != SpawnParameter::NewRun);
        let parameter = known.find(|parameter| parameter.name() == name);
        match parameter.filter(|_| !numbered.sql.ends_with(':')) {
            Some(parameter) => {
                let known = numbered.parameters.iter().position(|known| *known == parameter);
                let index = known.unwrap_or_else(|| {
                    numbered.parameters.push(parameter);
                    numbered.parameters.len() - 1
                });
                // The time is the same for all runs of a call.
                let kind = if parameter == SpawnParameter::Now { "text" } else { kind };
                rest = &from_colon[1 + name.len()..];
                numbered.sql += &match kind == ARRAY && BOUND_AS_SUCH.iter().any(|cast| rest.starts_with(cast)) {
                    true => format!("${}", index + 1),
                    false => format!("${}::{kind}", index + 1),
                };
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
        assert_eq!(number("unnest(:id, :now):", ARRAY).sql, "unnest($1::text[], $2::text):");
        assert_eq!(number("unnest(:id::uuid[], :id::oid[])", ARRAY).sql, "unnest($1::uuid[], $1::text[]::oid[])");
    }
}
