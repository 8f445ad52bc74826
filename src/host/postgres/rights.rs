//! The rights that a role lacks, each as the GRANT that gives it.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::error::for_people;
use super::fit::{Fitted, failure, relation};
use super::ledger;
use crate::host::HostError;

const INSERT: &str = "INSERT";

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
    // What the statements say, the list may have forgotten.
    for (part, sql, parameters) in fitted.statements() {
        let is_listed = |(right, table): &(&str, &str)| {
            listed.get(*table).is_some_and(|rights| rights.iter().any(|listed| listed.eq_ignore_ascii_case(right)))
        };
        let unlisted: Vec<_> = written(sql).filter(|written| !is_listed(written)).collect();
        for (_, table) in unlisted.iter().filter(|(right, _)| *right == INSERT) {
            grants.extend(of_sequences(client, table).await?);
        }
        if let Some(said) = denied(client, sql, parameters).await? {
            for (right, table) in unlisted {
                grants.extend(of_one(client, table, &[right.to_owned()]).await?);
            }
            if grants.is_empty() {
                grants.push(format!("a right that the profile's {part} needs and its `rights` do not list: {said}"));
            }
        }
    }
    grants.extend(on_the_ledger(client, &ledger::RIGHTS).await?);
    grants.sort_unstable();
    grants.dedup();
    Ok(Ok(grants))
}

/// What `ledger prune` needs besides.
pub(super) async fn missing_to_prune(client: &Client) -> Result<Vec<String>, Error> {
    on_the_ledger(client, &ledger::RIGHTS_TO_PRUNE).await
}

/// What is missing on the ledger's tables, where there is one: a re-run that can't be written down is none.
async fn on_the_ledger(client: &Client, rights: &[(&str, &str)]) -> Result<Vec<String>, Error> {
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
    for (table, rights) in rights {
        // By its number: a name would be refused to who may not use the schema.
        let sql = "SELECT coalesce(bool_and(has_table_privilege(class.oid, btrim(needed))), true)
                   FROM pg_catalog.pg_class AS class
                   JOIN pg_catalog.pg_namespace AS schema ON schema.oid = class.relnamespace,
                   unnest(string_to_array($2, ',')) AS needed
                   WHERE schema.nspname = 'bulk_rerun' AND class.relname = $1";
        let has = client.query_typed_one(sql, &[(table, Type::TEXT), (rights, Type::TEXT)]).await?;
        if !has.try_get::<_, bool>(0)? {
            grants.push(format!("GRANT {rights} ON bulk_rerun.{table} TO {role};"));
        }
    }
    Ok(grants)
}

fn has_insert(rights: &[String]) -> bool {
    rights.iter().any(|right| right.eq_ignore_ascii_case(INSERT))
}

/// The tables that a statement names as those that it writes to, each with the right that it takes.
fn written(sql: &str) -> impl Iterator<Item = (&'static str, &str)> {
    let words: Vec<&str> =
        sql.split(|sign: char| sign.is_whitespace() || "();".contains(sign)).filter(|word| !word.is_empty()).collect();
    let is = |words: &[&str], keywords: &[&str]| {
        words.iter().zip(keywords).all(|(word, keyword)| word.eq_ignore_ascii_case(keyword))
    };
    let at = |table: usize| match &words[..table] {
        [.., first, second] if is(&[first, second], &[INSERT, "INTO"]) => Some(INSERT),
        [.., first, second] if is(&[first, second], &["DELETE", "FROM"]) => Some("DELETE"),
        // None of FOR UPDATE, and of ON CONFLICT DO UPDATE.
        [rest @ .., last] if is(&[last], &["UPDATE"]) => {
            let is_another = |word: &&str| ["FOR", "KEY", "DO"].iter().any(|other| word.eq_ignore_ascii_case(other));
            (!rest.last().is_some_and(is_another)).then_some("UPDATE")
        }
        _ => None,
    };
    let found: Vec<_> =
        (0..words.len()).filter_map(|table| Some((at(table)?, words[table].trim_matches('"')))).collect();
    found.into_iter()
}

/// What the server says of a statement that this role may not carry out: planned, it is not carried out.
async fn denied(client: &Client, sql: &str, parameters: usize) -> Result<Option<String>, Error> {
    client.batch_execute("SAVEPOINT planned").await?;
    let nothing = (&None::<&str> as &(dyn ToSql + Sync), Type::TEXT);
    let planned = client.query_typed(&format!("EXPLAIN {sql}"), &vec![nothing; parameters]).await;
    client.batch_execute("ROLLBACK TO planned; RELEASE planned").await?;
    let denied = planned.err().filter(|error| error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    Ok(denied.map(|error| error.as_db_error().map(for_people).unwrap_or_default()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::profile::{Engine, Profile};

    #[test]
    fn what_a_statement_writes_to_is_read_in_it() {
        let sql = r#"WITH old AS (SELECT id FROM job FOR NO KEY UPDATE SKIP LOCKED), gone AS (delete from "Old" USING old)
            INSERT INTO log(id) SELECT 1 ON CONFLICT DO UPDATE SET id = 2; UPDATE shift.job SET id = 3"#;
        assert_eq!(written(sql).collect::<Vec<_>>(), [("DELETE", "Old"), ("INSERT", "log"), ("UPDATE", "shift.job")]);
    }

    #[test]
    fn a_built_in_profile_lists_the_rights_that_its_statements_need() {
        for profile in Profile::built_in_of(Engine::Postgres) {
            for generation in &profile.generations {
                let undo = generation.undo.iter().flat_map(|undo| undo.iter());
                let statements = generation.spawn.iter().chain(&generation.spawn_many).chain(undo);
                for (right, table) in statements.flat_map(|sql| written(sql)) {
                    let listed = generation.rights.get(table).map(Vec::as_slice).unwrap_or_default();
                    let is_listed = listed.iter().any(|listed| listed == right);
                    assert!(is_listed, "{}, {}: rights.{table} lacks {right}", profile.name, generation.name);
                }
            }
        }
    }
}
