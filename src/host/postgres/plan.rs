//! How the server would find a run: whether an index serves it, and whether there can be only one.

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
    look_at(&explain(client, &sql).await?, sought, &mut tables);
    tables.sort_unstable();
    tables.dedup();
    Ok(tables)
}

async fn explain(client: &Client, sql: &str) -> Result<Value, Error> {
    let answers = client.simple_query(&format!("EXPLAIN (FORMAT JSON, COSTS OFF) {sql}")).await?;
    let plan = answers.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => serde_json::from_str::<Value>(row.get(0)?).ok(),
        _ => None,
    });
    Ok(plan.map(|mut plan| plan[0]["Plan"].take()).unwrap_or_default())
}

/// Whether no two rows of the view have the same task and id: each is looked up by all of a unique index. Where that can't
/// be told, they may. The transaction has to end afterwards, or its settings with it.
pub(super) async fn finds_one_at_most(client: &Client, fitted: &Fitted) -> Result<bool, Error> {
    let condition = format!("{} AND run.task_name::text = 'a task'", fitted.id_type.is(an_id(fitted.id_type)));
    let (sql, _) = fitted.view.by_id(&condition, Columns::default(), &fitted.dialect());
    client.batch_execute("SAVEPOINT plan; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off").await?;
    let plan = explain(client, &sql).await?;
    client.batch_execute("ROLLBACK TO plan; RELEASE plan").await?;
    let mut lookups = Vec::new();
    if !only_lookups(&plan, &mut lookups) {
        return Ok(false);
    }
    for (index, terms) in lookups {
        let sql = "SELECT coalesce(bool_and(indisunique AND indpred IS NULL AND indnkeyatts = $2), false)
                   FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relname = $1";
        let is_unique: bool = client.query_one(sql, &[&index, &terms]).await?.try_get(0)?;
        if !is_unique {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a step is made of look-ups in indexes alone; collects each index, and the number of its columns that are given.
fn only_lookups(step: &Value, lookups: &mut Vec<(String, i16)>) -> bool {
    // Beside the rows themselves, a column may have a question of its own.
    let is_of_rows =
        |below: &&Value| below["Parent Relationship"].as_str().is_some_and(|is| is == "Outer" || is == "Inner");
    match step["Node Type"].as_str() {
        Some("Nested Loop") => steps_below(step).filter(is_of_rows).all(|below| only_lookups(below, lookups)),
        Some("Index Scan" | "Index Only Scan") => {
            let terms = step["Index Cond"].as_str().map_or(0, |condition| condition.matches(" = ").count());
            let index = step["Index Name"].as_str().unwrap_or_default();
            lookups.push((index.to_owned(), i16::try_from(terms).unwrap_or(0)));
            true
        }
        _ => false,
    }
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
