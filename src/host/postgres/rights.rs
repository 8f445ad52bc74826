//! The rights that a role lacks, each as the GRANT that gives it.

use tokio_postgres::Client;

use super::fit::{Fitted, relation};

/// The GRANT statements for what the connection's role may not do and the profile needs.
pub(super) async fn missing(client: &Client, fitted: &Fitted) -> Result<Vec<String>, tokio_postgres::Error> {
    let read = vec!["SELECT".to_owned()];
    let generation = &fitted.generation;
    let listed = &generation.rights;
    let tables = generation.requires.keys().filter(|table| !listed.contains_key(*table)).map(|table| (table, &read));
    let mut grants: Vec<String> = Vec::new();
    for (name, rights) in tables.chain(listed) {
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
        for row in client.query(&sql, &[name, rights]).await? {
            let found = [row.try_get::<_, Option<String>>(0)?, row.try_get(1)?];
            grants.extend(found.into_iter().flatten());
        }
    }
    grants.sort_unstable();
    grants.dedup();
    Ok(grants)
}
