//! What is said where no profile fits a store: what it lacks, and where that may be instead.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::fit::Fitting;
use crate::host::HostError;
use crate::host::lack::Lack;
use crate::host::profile::{Engine, Profile};

/// Why a profile does not fit a store.
pub(super) enum Misfit {
    /// The store lacks these.
    Lacks(Lack),
    /// It has all of it, in a version that the profile is not for.
    Version(String),
    /// It has the schema, and this role may not look into it.
    Hidden(String),
}

impl Misfit {
    /// The one that says most about what is wrong.
    pub(super) fn nearer(old: Option<Misfit>, new: Misfit) -> Misfit {
        match (old, new) {
            (None, new) => new,
            (Some(Misfit::Lacks(old)), Misfit::Lacks(new)) => Misfit::Lacks(old.nearer(new)),
            (Some(Misfit::Lacks(_)), new) => new,
            (Some(old), _) => old,
        }
    }
}

/// Tables, partitioned tables, views, materialized views, foreign tables; none of the server's own.
const TABLES: &str = "pg_class JOIN pg_namespace AS schema ON schema.oid = relnamespace
    WHERE relkind = ANY ('{r,p,v,m,f}') AND nspname !~ '^pg_' AND nspname <> 'information_schema'";

/// Where the search path does not lead to: a schema that this role may not use is left out of it.
const ELSEWHERE: &str = "nspname <> ALL (current_schemas(false))";

/// What lets this role use a schema, where it may not.
const GRANT: &str = "CASE WHEN NOT has_schema_privilege(schema.oid, 'USAGE')
    THEN format('GRANT USAGE ON SCHEMA %I TO %I', nspname, current_user) END";

/// How many schemas are named, and how many tables in each: enough to see which one is meant.
const SHOWN: usize = 5;

/// A schema that the search path does not lead to, or that this role may not use.
struct Schema {
    /// As SQL has it, in quotes where it needs them.
    name: String,
    grant: Option<String>,
}

impl Schema {
    /// Read from a row that begins with its name and [`GRANT`].
    fn of(row: &Row) -> Result<Schema, tokio_postgres::Error> {
        Ok(Schema { name: row.try_get(0)?, grant: row.try_get(1)? })
    }

    /// What names it in the store's URL.
    fn option(&self) -> String {
        const LEFT_ALONE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.');
        let mut value = String::with_capacity(self.name.len());
        for character in self.name.chars() {
            // The server takes a space for the end of a setting.
            if character.is_ascii_whitespace() || character == '\\' {
                value.push('\\');
            }
            value.push(character);
        }
        format!("?options=-csearch_path%3D{}", utf8_percent_encode(&value, LEFT_ALONE))
    }

    /// What lets this role use it, if it may not, for behind its name.
    fn permission(&self) -> String {
        let lets = |grant| format!(" (closed to this role: {grant})");
        self.grant.as_ref().map(lets).unwrap_or_default()
    }

    /// What it has, and how it is found.
    fn hint(&self, has: &str) -> String {
        let (permission, option) = (self.permission(), self.option());
        format!("the schema {}{permission} has {has}: name it in the store's address with {option}", self.name)
    }
}

impl Fitting<'_> {
    /// What is said of a profile that was asked for.
    pub(super) fn does_not_fit(&self, profile: &Profile, misfit: Misfit) -> Result<HostError, HostError> {
        let missing = match misfit {
            Misfit::Lacks(lack) => lack.in_words(),
            Misfit::Version(words) | Misfit::Hidden(words) => return Ok(HostError::Unusable(words)),
        };
        let mut words = format!(
            "the profile {} does not fit the store {}, which lacks {missing}. Tables are looked for along the connection's \
             search path",
            profile.file, self.server.address
        );
        match &profile.schema {
            _ if self.search_path.was_given => words += ", which the store's address names, and nowhere else",
            Some(schema) => _ = write!(words, ", then in {schema}"),
            None => {}
        }
        words += match &self.schemas_of(profile)?[..] {
            [] => "; ?options=-csearch_path%3Dmine names another schema".to_owned(),
            found => found.iter().map(|schema| format!("; {}", schema.hint("them"))).collect(),
        }
        .as_str();
        let _ = write!(words, ". {}", profile.what_to_do());
        Ok(HostError::Unusable(words))
    }

    /// What is said where no built-in profile fits.
    pub(super) fn none_fits(&self) -> Result<HostError, HostError> {
        let known: Vec<_> = Profile::built_in_of(Engine::Postgres).collect();
        let names: Vec<_> = known.iter().map(|profile| profile.name.as_str()).collect();
        let mut words = format!("no built-in profile ({}) fits {}", names.join(", "), self.server.address);
        let mut familiar = Vec::new();
        for profile in &known {
            for schema in self.schemas_of(profile)? {
                familiar.push(schema.hint(&format!("tables like {}'s", profile.runner)));
            }
        }
        if !familiar.is_empty() {
            return Ok(HostError::Unusable(format!("{words} along its search path, but {}", familiar.join("; "))));
        }
        for profile in &known {
            if let Some((schema, lack)) = self.of_another_version(profile)? {
                return Ok(HostError::Unusable(format!(
                    "{words}. Its schema {schema} looks like {}'s, but lacks {}. {}",
                    profile.runner,
                    lack.in_words(),
                    profile.what_to_do()
                )));
            }
        }

        let (path, here) = self.along_the_search_path()?;
        let _ = write!(words, "; its tables along the search path ({path}): {}", listed(&here));
        let others = self.other_schemas()?;
        for (schema, tables) in others.iter().take(SHOWN) {
            let _ = write!(words, "; in the schema {}{}: {}", schema.name, schema.permission(), listed(tables));
        }
        if others.len() > SHOWN {
            words += "; and in others";
        }
        match &others[..] {
            [] if here.is_empty() => words += ", nor in any other schema. Is that the right database? Another",
            [] => words += ". Another",
            [(schema, _), ..] => {
                let _ = write!(words, ". A schema is named with {}, and another", schema.option());
            }
        }
        let example = names.first().unwrap_or(&"runwisp");
        let _ = write!(
            words,
            " runner needs a profile file of its own (`--profile FILE`; `bulk-rerun profiles {example}` prints one to \
             start from)"
        );
        Ok(HostError::Unusable(words))
    }

    /// The schemas with all tables of a generation of the profile, but those that were looked into.
    fn schemas_of(&self, profile: &Profile) -> Result<Vec<Schema>, HostError> {
        let sql = format!(
            "SELECT quote_ident(nspname), {GRANT} FROM {TABLES} AND relname = ANY ($1) AND {ELSEWHERE}
             GROUP BY schema.oid, nspname HAVING count(*) = cardinality($1) ORDER BY nspname LIMIT {SHOWN}"
        );
        for generation in &profile.generations {
            let tables: Vec<_> = generation.requires.keys().collect();
            let found = self.rows(&sql, &[(&tables, Type::TEXT_ARRAY)])?;
            let found: Result<Vec<_>, _> = found.iter().map(Schema::of).collect();
            let found = found.map_err(|error| self.error(error))?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// The runner's own schema, where it is there with some of its tables, and what it lacks.
    fn of_another_version(&self, profile: &Profile) -> Result<Option<(String, Lack)>, HostError> {
        let Some(schema) = profile.schema.as_ref().filter(|_| !self.search_path.was_given) else { return Ok(None) };
        let tables: Vec<_> = profile.generations.iter().flat_map(|generation| generation.requires.keys()).collect();
        let sql = format!("SELECT FROM {TABLES} AND nspname = $1 AND relname = ANY ($2)");
        if self.rows(&sql, &[(schema, Type::TEXT), (&tables, Type::TEXT_ARRAY)])?.is_empty() {
            return Ok(None);
        }
        self.execute(&self.search_path.behind(self, schema)?)?;
        let mut nearest: Option<Lack> = None;
        for generation in &profile.generations {
            let lack = Lack::of(generation, |table| self.columns_of(table), |columns, name| columns.contains(name))?;
            nearest = Some(match nearest {
                Some(nearest) => nearest.nearer(lack),
                None => lack,
            });
        }
        Ok(nearest.filter(|lack| !lack.is_nothing()).map(|lack| (schema.clone(), lack)))
    }

    /// The search path, and the tables along it.
    fn along_the_search_path(&self) -> Result<(String, Vec<String>), HostError> {
        self.follow_the_search_path()?;
        let sql = format!(
            "SELECT current_setting('search_path'), coalesce(array_agg(relname::text ORDER BY relname), '{{}}')
             FROM {TABLES} AND NOT {ELSEWHERE}"
        );
        let rows = self.rows(&sql, &[])?;
        let Some(row) = rows.first() else { return Ok(Default::default()) };
        let read = || Ok((row.try_get(0)?, row.try_get(1)?));
        read().map_err(|error| self.error(error))
    }

    /// The other schemas with tables, and those: one more than are shown.
    fn other_schemas(&self) -> Result<Vec<(Schema, Vec<String>)>, HostError> {
        let sql = format!(
            "SELECT quote_ident(nspname), {GRANT}, (array_agg(relname::text ORDER BY relname))
             FROM {TABLES} AND {ELSEWHERE} GROUP BY schema.oid, nspname
             ORDER BY nspname = 'public', nspname LIMIT {}",
            SHOWN + 1
        );
        let rows = self.rows(&sql, &[])?;
        let read = |row: &Row| Ok((Schema::of(row)?, row.try_get(2)?));
        rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| self.error(error))
    }

    fn rows(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, HostError> {
        let rows = self.connection.wait_for(self.connection.client().query_typed(sql, parameters));
        rows.map_err(|error| self.error(error))
    }

    fn error(&self, error: tokio_postgres::Error) -> HostError {
        self.server.error("reading its schema", error)
    }
}

/// The first tables, by name.
fn listed(tables: &[String]) -> String {
    let shown = tables.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match tables.len() {
        0 => "none at all".to_owned(),
        1..=SHOWN => shown,
        _ => shown + ", …",
    }
}
