//! What to say where no built-in profile fits: what there is instead, and where what is meant may be.

use super::fit::{Fitting, TABLE_KINDS};
use crate::host::HostError;
use crate::host::profile::{Engine, Profile};

/// Schemas of people's own that the search path leaves out. A schema that the role may not use is one of them.
const OTHER_SCHEMA: &str =
    "nspname !~ '^pg_' AND nspname <> 'information_schema' AND nspname <> ALL (current_schemas(false))";

/// Why no built-in profile fits, and what helps.
pub(super) fn explain(fitting: &Fitting<'_>) -> Result<String, HostError> {
    fitting.execute("RESET search_path")?;
    let known: Vec<Profile> = Profile::built_in_of(Engine::Postgres).collect();
    let address = &fitting.server.address;
    for profile in &known {
        if let Some(hint) = hint_at_another_schema(fitting, profile)? {
            return Ok(format!("no built-in profile fits {address} along its search path, but {hint}"));
        }
    }
    let names: Vec<_> = known.iter().map(|profile| profile.name.as_str()).collect();
    let tables = list(
        fitting,
        "SELECT relname::text FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
         WHERE nspname = ANY (current_schemas(false)) AND relkind = ANY (string_to_array($1::text, NULL))",
    )?;
    let schemas = list(
        fitting,
        &format!(
            "SELECT nspname::text FROM pg_namespace n WHERE {OTHER_SCHEMA} AND EXISTS (SELECT FROM pg_class
                WHERE relnamespace = n.oid AND relkind = ANY (string_to_array($1::text, NULL)))"
        ),
    )?;
    let others = if schemas.is_empty() { String::new() } else { format!("; schemas besides: {schemas}") };
    Ok(format!(
        "no built-in profile ({}) fits {address}; its tables along the search path: {}{others}. A schema of another name \
         is found with ?options=-csearch_path%3Dmine, and another runner needs a profile file of its own (`--profile \
         FILE`; `bulk-rerun profiles {}` prints one to start from)",
        names.join(", "),
        if tables.is_empty() { "none at all" } else { &tables },
        names.first().unwrap_or(&"runwisp"),
    ))
}

/// Where all tables of a profile are, if not where they were looked for, and what makes them found.
fn hint_at_another_schema(fitting: &Fitting<'_>, profile: &Profile) -> Result<Option<String>, HostError> {
    let sql = format!(
        "SELECT (SELECT CASE
             WHEN has_schema_privilege(oid, 'USAGE') THEN format(
                 'the schema %s has tables like %s: if they are meant, add ?options=-csearch_path%%3D%s to the address',
                 nspname, $1::json->>'runner', nspname)
             ELSE format(
                 'the schema %s has tables like %s, and this role may not use it: GRANT USAGE ON SCHEMA %I TO %I',
                 nspname, $1::json->>'runner', nspname, current_user) END
         FROM pg_namespace n
         WHERE {OTHER_SCHEMA} AND nspname IS DISTINCT FROM $1::json->>'schema' AND NOT EXISTS (
             SELECT FROM json_array_elements_text($1::json->'tables') AS wanted
             WHERE NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relname = wanted))
         ORDER BY nspname LIMIT 1)"
    );
    for generation in &profile.generations {
        let tables: Vec<&String> = generation.requires.keys().collect();
        let runner = format!("{}'s", profile.runner);
        let sought = serde_json::json!({"runner": runner, "schema": profile.schema, "tables": tables});
        if let Some(hint) = fitting.one::<Option<String>>(&sql, &sought.to_string())? {
            return Ok(Some(hint));
        }
    }
    Ok(None)
}

/// The first names of a query, with commas between them.
fn list(fitting: &Fitting<'_>, names: &str) -> Result<String, HostError> {
    let sql = format!("SELECT coalesce(string_agg(name, ', '), '') FROM ({names} ORDER BY 1 LIMIT 20) AS known(name)");
    fitting.one(&sql, TABLE_KINDS)
}
