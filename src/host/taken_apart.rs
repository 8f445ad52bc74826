//! How an id is taken apart, where it is made of several columns or is spelled in another way than the store has it: so
//! the key's own index finds its run.

use std::collections::{BTreeMap, HashSet};

use super::profile::SpawnParameter;

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
            if with(expression, "id", "") == *expression {
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
        self.0.iter().map(move |(_, expression)| format!("({})", with(expression, "id", id)))
    }

    /// That a row's columns are those of the id that this stands for; `before` stands before each column.
    pub(super) fn condition(&self, before: &str, id: &str) -> String {
        let equal = self.columns().zip(self.values(id)).map(|(column, value)| format!("{before}{column} = {value}"));
        equal.collect::<Vec<_>>().join(" AND ")
    }
}

/// So many runs are looked at to find one that its own id does not find.
pub(super) const LOOKED_AT: usize = 1_000;

/// A statement with what a generation's `key` says of the id in the place of each parameter that is named as the
/// column.
pub(super) fn spelled_out(statement: &str, key: &BTreeMap<String, String>) -> String {
    let is_one_of_ours = |name: &str| SpawnParameter::ALL.iter().any(|parameter| parameter.name() == name);
    let parts = key.iter().filter(|(column, _)| !is_one_of_ours(column));
    parts.fold(statement.to_owned(), |statement, (column, expression)| {
        with(&statement, column, &format!("({expression})"))
    })
}

/// SQL with this in the place of each parameter of that name: after another colon it is a cast's type, and `:idle` is
/// not `:id`.
fn with(sql: &str, name: &str, value: &str) -> String {
    let parameter = format!(":{name}");
    let mut text = String::with_capacity(sql.len() + value.len());
    let mut rest = sql;
    while let Some(at) = rest.find(&parameter) {
        let (before, after) = (&rest[..at], &rest[at + parameter.len()..]);
        text += before;
        let goes_on = after.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
        text += if goes_on || text.ends_with(':') { &parameter } else { value };
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_put_in_its_place() {
        let sql = "split_part(:id, ':', 1)::id || :idle, :id";
        assert_eq!(with(sql, "id", "?1"), "split_part(?1, ':', 1)::id || :idle, ?1");
        let key =
            [("seq", "CAST(:id AS INT)"), ("task_name", "'x' || :id")].map(|(name, sql)| (name.into(), sql.into()));
        let statement = "WHERE seq = :seq AND queue = :task_name";
        let expected = "WHERE seq = (CAST(:id AS INT)) AND queue = :task_name";
        assert_eq!(spelled_out(statement, &BTreeMap::from(key)), expected);
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
