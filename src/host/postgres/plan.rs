//! Whether the server finds a run by its id without reading a whole table.

use serde_json::Value;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::dialect::IdType;
use super::fit::Fitted;
use crate::host::Columns;

/// The tables of which every row is looked at to find a run by its id, as the server plans it.
///
/// # Errors
///
/// The role may not read them, or the connection is lost.
pub(super) async fn read_whole_for_an_id(client: &Client, fitted: &Fitted) -> Result<Vec<String>, Error> {
    let sought = an_id(fitted.id_type);
    let condition = fitted.id_type.condition().replace("$1", &format!("ARRAY['{sought}']"));
    let (sql, _) = fitted.view.by_id(&condition, Columns::default(), &fitted.dialect());
    // As ids are sought; what still needs no index then has none.
    client.batch_execute("SET LOCAL enable_seqscan = off").await?;
    let mut tables = Vec::new();
    for message in client.simple_query(&format!("EXPLAIN (FORMAT JSON, COSTS OFF) {sql}")).await? {
        if let SimpleQueryMessage::Row(row) = message {
            let plan: Value = row.get(0).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            look_at(&plan[0]["Plan"], sought, &mut tables);
        }
    }
    tables.sort_unstable();
    tables.dedup();
    Ok(tables)
}

/// An id that is found again in a plan.
fn an_id(kind: IdType) -> &'static str {
    match kind {
        IdType::Text | IdType::Other => "a run that bulk_rerun looks for",
        IdType::Integer => "7261839405172634",
        IdType::Uuid => "5eed5eed-5eed-4eed-8eed-5eed5eed5eed",
    }
}

/// Adds the tables of a step that compares each row's id, where an index would have led to the right ones.
fn look_at(step: &Value, sought: &str, tables: &mut Vec<String>) {
    let compares = |condition: &str| step[condition].as_str().is_some_and(|text| text.contains(sought));
    if ["Filter", "Join Filter", "Hash Cond", "Merge Cond"].into_iter().any(compares) {
        add_tables(step, tables);
    }
    for below in steps_below(step) {
        look_at(below, sought, tables);
    }
}

/// The tables that a step reads, by itself or below.
fn add_tables(step: &Value, tables: &mut Vec<String>) {
    tables.extend(step["Relation Name"].as_str().map(str::to_owned));
    steps_below(step).for_each(|below| add_tables(below, tables));
}

fn steps_below(step: &Value) -> impl Iterator<Item = &Value> {
    step["Plans"].as_array().into_iter().flatten()
}
