//! How an id is taken apart, where it is made of several columns or is spelled in another way than the store has it: so the
//! key's own index finds its run.

use std::collections::{BTreeMap, HashSet};

/// The view's columns that find a run, each with what it is equal to: SQL of `:id`.
#[derive(Debug, Clone, Default)]
pub(super) struct TakenApart(Vec<(String, String)>);

impl TakenApart {
    /// As a generation's `key` says it, for a view with these columns.
    ///
    /// # Errors
    ///
    /// The part that is wrong, and what is wrong with it.
    pub(super) fn of(
        key: &BTreeMap<String, String>,
        columns: &HashSet<String>,
        spelled: impl Fn(&str) -> String,
    ) -> Result<TakenApart, (String, String)> {
        let part = |(column, expression): (&String, &String)| {
            let name = spelled(column);
            let fail = |message: &str| Err((format!("key.{column}"), message.to_owned()));
            if !columns.contains(&name) {
                return fail("the view `runs` has no such column: it must show each column that the key is made of");
            }
            if with_id(expression, "") == *expression {
                return fail("the expression does not use :id, so it says nothing of the id");
            }
            Ok((name, expression.clone()))
        };
        key.iter().map(part).collect::<Result<_, _>>().map(TakenApart)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a column of the view is one of them.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(column, _)| column == name)
    }

    /// The view's columns, each ready to stand in a statement.
    pub(super) fn columns(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(column, _)| format!("\"{}\"", column.replace('"', "\"\"")))
    }

    /// What they are equal to where this stands for the id.
    pub(super) fn values(&self, id: &str) -> impl Iterator<Item = String> {
        self.0.iter().map(move |(_, expression)| format!("({})", with_id(expression, id)))
    }

    /// That a row's columns are those of the id that this stands for; `before` stands before each column.
    pub(super) fn condition(&self, before: &str, id: &str) -> String {
        let equal = self.columns().zip(self.values(id)).map(|(column, value)| format!("{before}{column} = {value}"));
        equal.collect::<Vec<_>>().join(" AND ")
    }
}

/// An expression with this in the place of each `:id`: after another colon it is a cast's type, and `:idle` is another name.
fn with_id(expression: &str, id: &str) -> String {
    let mut text = String::with_capacity(expression.len() + id.len());
    let mut rest = expression;
    while let Some(at) = rest.find(":id") {
        let (before, after) = (&rest[..at], &rest[at + 3..]);
        text += before;
        let goes_on = after.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
        text += if goes_on || text.ends_with(':') { ":id" } else { id };
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_put_in_its_place() {
        assert_eq!(
            with_id("split_part(:id, ':', 1)::id || :idle, :id", "?1"),
            "split_part(?1, ':', 1)::id || :idle, ?1"
        );
    }

    #[test]
    fn a_part_that_says_nothing_is_a_mistake() {
        let columns = HashSet::from(["seq".to_owned()]);
        let of = |column: &str, expression: &str| {
            let key = BTreeMap::from([(column.to_owned(), expression.to_owned())]);
            TakenApart::of(&key, &columns, str::to_owned).map(|parts| parts.condition("+", "$1"))
        };
        assert_eq!(of("seq", "CAST(:id AS INTEGER)").unwrap(), "+\"seq\" = (CAST($1 AS INTEGER))");
        assert_eq!(of("queue", ":id").unwrap_err().0, "key.queue");
        assert_eq!(of("seq", "7").unwrap_err().0, "key.seq");
    }
}
