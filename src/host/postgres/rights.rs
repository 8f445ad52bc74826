//! The rights that a role lacks, each as the GRANT that gives it.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::error::for_people;
use super::fit::{Fitted, failure, relation};
use super::ledger;
use crate::host::HostError;

/// The GRANT statements for what the connection's role may not do and the profile needs; or what is wrong with the
/// profile's list.
pub(super) async fn missing(client: &Client, fitted: &Fitted) -> Result<Result<Vec<String>, HostError>, Error> {
    let read = vec!["SELECT".to_owned()];
    let generation = &fitted.generation;
    let listed = &generation.rights;
    let tables = generation.requires.keys().filter(|table| !listed.contains_key(*table)).map(|table| (table, &read));
    let mut grants: Vec<String> = Vec::new();
    for (name, rights) in tables.chain(listed) {
        match of_one(client, name, rights).await {
            Ok(lacking) => grants.extend(lacking),
            Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => {
                let said = error.as_db_error().map(for_people).unwrap_or_default();
                let part = format!("rights.{name}");
                let message = format!("one of {} is no right that there is on it: {said}", rights.join(", "));
                return Ok(Err(failure(&fitted.profile, generation, &part, message)));
            }
            Err(error) => return Err(error),
        }
        if has_insert(rights) {
            grants.extend(of_sequences(client, name).await?);
        }
    }
    // What the statement says, the list may have forgotten.
    let is_listed = |table: &&str| listed.get(*table).is_some_and(|rights| has_insert(rights));
    let unlisted: Vec<&str> = inserted_into(&fitted.spawn.sql).filter(|table| !is_listed(table)).collect();
    for table in &unlisted {
        grants.extend(of_sequences(client, table).await?);
    }
    if let Some(words) = denied(client, fitted).await? {
        for table in unlisted {
            grants.extend(of_one(client, table, &["INSERT".to_owned()]).await?);
        }
        if grants.is_empty() {
            grants.push(words);
        }
    }
    grants.extend(of_the_ledger(client).await?);
    grants.sort_unstable();
    grants.dedup();
    Ok(Ok(grants))
}

/// Where there is a ledger, a re-run that can't be written down is none.
async fn of_the_ledger(client: &Client) -> Result<Vec<String>, Error> {
    let mut grants = Vec::new();
    if !ledger::is_there(client).await? {
        return Ok(grants);
    }
    let sql = "SELECT quote_ident(current_user), has_schema_privilege('bulk_rerun', 'USAGE')";
    let asked = client.query_typed_one(sql, &[]).await?;
    let role: String = asked.try_get(0)?;
    if !asked.try_get(1)? {
        grants.push(format!("GRANT USAGE ON SCHEMA bulk_rerun TO {role};"));
    }
    for (table, rights) in ledger::RIGHTS {
        // By its number: a name would be refused to who may not use the schema.
        let sql = "SELECT coalesce(bool_and(has_table_privilege(class.oid, btrim(needed))), true)
                   FROM pg_catalog.pg_class AS class
                   JOIN pg_catalog.pg_namespace AS schema ON schema.oid = class.relnamespace,
                   unnest(string_to_array($2, ',')) AS needed
                   WHERE schema.nspname = 'bulk_rerun' AND class.relname = $1";
        let has = client.query_typed_one(sql, &[(&table, Type::TEXT), (&rights, Type::TEXT)]).await?;
        if !has.try_get::<_, bool>(0)? {
            grants.push(format!("GRANT {rights} ON bulk_rerun.{table} TO {role};"));
        }
    }
    Ok(grants)
}

fn has_insert(rights: &[String]) -> bool {
    rights.iter().any(|right| right.eq_ignore_ascii_case("INSERT"))
}

/// The tables that a statement inserts into.
fn inserted_into(sql: &str) -> impl Iterator<Item = &str> {
    let words: Vec<&str> =
        sql.split(|sign: char| sign.is_whitespace() || sign == '(').filter(|word| !word.is_empty()).collect();
    let is = |word: &str, keyword: &str| word.eq_ignore_ascii_case(keyword);
    let at =
        (2..words.len()).filter(|&at| is(words[at - 2], "INSERT") && is(words[at - 1], "INTO")).collect::<Vec<_>>();
    at.into_iter().map(move |at| words[at].trim_matches('"'))
}

/// What the server says of a spawn that this role may not do: planned, it is not carried out.
async fn denied(client: &Client, fitted: &Fitted) -> Result<Option<String>, Error> {
    let spawn = &fitted.spawn;
    client.batch_execute("SAVEPOINT spawn").await?;
    let nothing = (&None::<&str> as &(dyn ToSql + Sync), Type::TEXT);
    let values = vec![nothing; spawn.parameters.len()];
    let planned = client.query_typed(&format!("EXPLAIN {}", spawn.sql), &values).await;
    client.batch_execute("ROLLBACK TO spawn; RELEASE spawn").await?;
    Ok(planned.err().filter(|error| error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)).map(|error| {
        let said = error.as_db_error().map(for_people).unwrap_or_default();
        format!("a right that the profile's spawn needs and its `rights` do not list: {said}")
    }))
}

/// What is missing to use a table or a sequence.
async fn of_one(client: &Client, name: &str, rights: &[String]) -> Result<Vec<String>, Error> {
    let kind = "CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END";
    let sql = format!(
        "SELECT CASE WHEN has_schema_privilege(relnamespace, 'USAGE') THEN NULL
                ELSE format('GRANT USAGE ON SCHEMA %s TO %I;', relnamespace::regnamespace, current_user) END,
            (SELECT format('GRANT %s ON %s%s.%I TO %I;', string_agg(wanted, ', '), {kind}, relnamespace::regnamespace,
                relname, current_user)
             FROM unnest($2::text[]) AS wanted
             WHERE NOT CASE relkind WHEN 'S' THEN has_sequence_privilege(class.oid, wanted)
                       ELSE has_table_privilege(class.oid, wanted) END
             HAVING count(*) > 0)
         FROM pg_class AS class WHERE oid = {}",
        relation("$1::text")
    );
    let mut grants = Vec::new();
    for row in client.query(&sql, &[&name, &rights]).await? {
        let found = [row.try_get::<_, Option<String>>(0)?, row.try_get(1)?];
        grants.extend(found.into_iter().flatten());
    }
    Ok(grants)
}

/// What is missing to use the sequences that number a table's new rows. An identity column's own needs no right.
async fn of_sequences(client: &Client, table: &str) -> Result<Vec<String>, Error> {
    let sql = format!(
        "SELECT format('GRANT USAGE ON SEQUENCE %s.%I TO %I;', relnamespace::regnamespace, relname, current_user)
         FROM pg_attrdef AS preset
         JOIN pg_depend ON classid = 'pg_attrdef'::regclass AND objid = preset.oid AND refclassid = 'pg_class'::regclass
         JOIN pg_class AS sequence ON sequence.oid = refobjid
         WHERE adrelid = {}
            AND CASE relkind WHEN 'S' THEN NOT has_sequence_privilege(sequence.oid, 'USAGE, UPDATE') END",
        relation("$1::text")
    );
    client.query(&sql, &[&table]).await?.iter().map(|row| row.try_get(0)).collect()
}
