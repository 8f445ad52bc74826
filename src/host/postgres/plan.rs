//! How the server would find a run: whether an index serves it, and whether there can be only one.

use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::dialect::Bound;
use super::error::for_people;
use super::fit::Fitted;
use super::ids::Ids;
use crate::host::{Columns, HostError};

/// The tables of which every row is looked at to find a run by its id, as the server plans it.
///
/// # Errors
///
/// The role may not read them, or the connection is lost.
pub(super) async fn read_whole_for_an_id(client: &Client, fitted: &Fitted) -> Result<Vec<String>, Error> {
    let id = fitted.id_type.an_id();
    let condition = fitted.ids().condition().replace("$1", &format!("ARRAY['{}']", id.replace('\'', "''")));
    let sought = if fitted.view.key.is_empty() { id } else { Ids::WANTED };
    let (sql, _) = fitted.view.by_id(&condition, Columns::default(), &fitted.dialect());
    // As ids are sought; what still needs no index then has none.
    let mut tables = Vec::new();
    look_at(&explain(client, "SET LOCAL enable_seqscan = off", &sql, "").await?, sought, &mut tables);
    tables.sort_unstable();
    tables.dedup();
    Ok(tables)
}

/// A run that its own id, as the profile takes it apart, does not find; or what is wrong with the profile.
pub(super) async fn not_found_by_its_id(
    client: &Client,
    fitted: &Fitted,
) -> Result<Result<Option<String>, HostError>, Error> {
    let Some(sql) = fitted.view.not_found_by_its_id(fitted.id_type.spelled()) else { return Ok(Ok(None)) };
    match client.query_opt(&sql, &[]).await {
        Ok(row) => Ok(Ok(row.and_then(|row| row.get(0)))),
        Err(error) => match error.as_db_error().filter(|said| said.code().code().starts_with("22")) {
            Some(said) => Ok(Err(fitted.broken("key", &for_people(said)))),
            None => Err(error),
        },
    }
}

/// A statement's plan, with what is done before and after it: all in one message.
async fn explain(client: &Client, before: &str, sql: &str, after: &str) -> Result<Value, Error> {
    let all = format!("{before};\nEXPLAIN (FORMAT JSON, COSTS OFF, VERBOSE) {sql}\n;{after}");
    let answers = client.simple_query(&all).await?;
    let plan = answers.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => serde_json::from_str::<Value>(row.get(0)?).ok(),
        _ => None,
    });
    Ok(plan.map(|mut plan| plan[0]["Plan"].take()).unwrap_or_default())
}

/// What the planner thinks that a statement costs, and how many rows it finds.
pub(super) struct Cost {
    pub(super) total: f64,
    pub(super) rows: f64,
}

/// The cost of a statement with these values; beyond all measure where that can't be told.
pub(super) async fn cost(client: &Client, sql: &str, values: &[Bound<'_>]) -> Result<Cost, Error> {
    let values: Vec<(&(dyn ToSql + Sync), Type)> =
        values.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect();
    let lines = client.query_typed(&format!("EXPLAIN {sql}"), &values).await?;
    // Such as `Seq Scan on job  (cost=0.00..431.00 rows=21000 width=4)`.
    let first = lines.first().and_then(|line| line.try_get::<_, &str>(0).ok()).unwrap_or_default();
    let number = |before: &str| {
        let (_, number) = first.rsplit_once(before)?;
        number.split(' ').next()?.parse().ok()
    };
    Ok(Cost { total: number("..").unwrap_or(f64::INFINITY), rows: number(" rows=").unwrap_or(f64::INFINITY) })
}

/// Whether no two rows of the view have the same task and id: each table's row is looked up by all of a unique index. Where
/// that can't be told, they may.
pub(super) async fn finds_one_at_most(client: &Client, fitted: &Fitted) -> Result<bool, Error> {
    // What an id is taken apart into is the profile's to say, and so is whether it is another for each.
    if !fitted.view.key.is_empty() {
        return Ok(false);
    }
    // Behind a SELECT the planner knows no value, by which it could leave out a part of the view.
    let condition =
        format!("{} AND run.task_name::text = (SELECT 'a task')", fitted.id_type.is(fitted.id_type.an_id()));
    let (sql, _) = fitted.view.by_id(&condition, Columns::default(), &fitted.dialect());
    let before = "SAVEPOINT plan; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off";
    let plan = explain(client, before, &sql, "ROLLBACK TO plan; RELEASE plan").await?;
    let mut lookups = Vec::new();
    if !only_lookups(&plan, &mut lookups) {
        return Ok(false);
    }
    for partitions in lookups {
        let sql = "SELECT count(DISTINCT index.oid) = cardinality($1) AND count(*) = cardinality($1)
                       AND count(DISTINCT coalesce(pg_partition_root(index.oid), index.oid)) = 1
                       AND bool_and(indisunique AND indpred IS NULL AND indnkeyatts = looked_up.terms)
                   FROM unnest($1::text[], $2::text[], $3::bigint[]) AS looked_up(schema, name, terms)
                   JOIN pg_namespace ON nspname = schema
                   JOIN pg_class AS index ON index.relname = name AND index.relnamespace = pg_namespace.oid
                   JOIN pg_index ON indexrelid = index.oid";
        let schemas: Vec<&str> = partitions.iter().map(|lookup| &*lookup.schema).collect();
        let names: Vec<&str> = partitions.iter().map(|lookup| &*lookup.index).collect();
        let terms: Vec<i64> = partitions.iter().map(|lookup| lookup.terms).collect();
        let values: [(&(dyn ToSql + Sync), Type); 3] =
            [(&schemas, Type::TEXT_ARRAY), (&names, Type::TEXT_ARRAY), (&terms, Type::INT8_ARRAY)];
        let are_unique: Option<bool> = client.query_typed_one(sql, &values).await?.try_get(0)?;
        if are_unique != Some(true) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An index in which a row is looked up.
struct Lookup {
    schema: String,
    index: String,
    /// So many of its columns are equal to one value.
    terms: i64,
}

/// Whether a step is made of look-ups in indexes alone; collects the index of each table, or those of its partitions.
fn only_lookups(step: &Value, lookups: &mut Vec<Vec<Lookup>>) -> bool {
    // Beside the rows themselves, a column may have a question of its own.
    let gives_rows =
        |below: &&Value| matches!(below["Parent Relationship"].as_str(), Some("Outer" | "Inner" | "Member"));
    let mut below = steps_below(step).filter(gives_rows);
    match step["Node Type"].as_str() {
        Some("Nested Loop") => below.all(|below| only_lookups(below, lookups)),
        Some("Append") => {
            let partitions: Option<Vec<Lookup>> = below.map(Lookup::of).collect();
            partitions.map(|partitions| lookups.push(partitions)).is_some()
        }
        _ => Lookup::of(step).map(|lookup| lookups.push(vec![lookup])).is_some(),
    }
}

impl Lookup {
    fn of(step: &Value) -> Option<Lookup> {
        let text = |name: &str| step[name].as_str().map(str::to_owned);
        let condition = text("Index Cond").filter(|condition| !condition.contains(" ANY "))?;
        matches!(step["Node Type"].as_str(), Some("Index Scan" | "Index Only Scan")).then_some(())?;
        let terms = i64::try_from(condition.matches(" = ").count()).ok()?;
        Some(Lookup { schema: text("Schema")?, index: text("Index Name")?, terms })
    }
}

/// Adds the tables of a step that compares each row's id, where an index would have led to the right ones.
fn look_at(step: &Value, sought: &str, tables: &mut Vec<String>) {
    let compares = |condition: &str| step[condition].as_str().is_some_and(|text| text.contains(sought));
    if ["Filter", "Join Filter", "Hash Cond", "Merge Cond"].into_iter().any(compares) {
        add_tables(step, sought, tables);
    }
    for below in steps_below(step) {
        look_at(below, sought, tables);
    }
}

/// The tables that a step reads, by itself or below, but for those that an index leads into by the id.
fn add_tables(step: &Value, sought: &str, tables: &mut Vec<String>) {
    let leads = |condition: &&str| step[*condition].as_str().is_some_and(|text| text.contains(sought));
    if !["Index Cond", "Recheck Cond"].iter().any(leads) {
        tables.extend(step["Relation Name"].as_str().map(str::to_owned));
    }
    steps_below(step).for_each(|below| add_tables(below, sought, tables));
}

fn steps_below(step: &Value) -> impl Iterator<Item = &Value> {
    step["Plans"].as_array().into_iter().flatten()
}
