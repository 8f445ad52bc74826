//! Finds the profile and the generation that fit a store.

use std::collections::HashSet;
use std::iter;

use tokio_postgres::types::Type;

use super::connection::{Connection, Server};
use super::dialect::Postgres;
use super::ids::{IdType, Ids};
use super::misfit::Misfit;
use super::search_path::SearchPath;
use crate::host::HostError;
use crate::host::lack::Lack;
use crate::host::new_ids::IdKind;
use crate::host::profile::{Engine, Generation, Profile, SchemaVersion, SpawnParameter};
use crate::host::statement::bare;
use crate::host::view::View;

/// A profile that fits, and its statements.
#[derive(Debug)]
pub(super) struct Fitted {
    pub(super) profile: Profile,
    pub(super) generation: Generation,
    /// The schema's version, where the runner keeps one.
    pub(super) version: Option<SchemaVersion>,
    /// This role may not read it: the store may be of any version, and is good for `check` alone.
    pub(super) version_hidden: bool,
    /// What each transaction begins with, so that the runner's tables are found.
    pub(super) search_path: Option<String>,
    /// The schema in which the profile's tables were found: where they are in several, the first table's.
    pub(super) schema: Option<String>,
    /// The database's encoding has every sign, or takes every byte.
    pub(super) has_every_sign: bool,
    /// Where the store is.
    store: String,
    pub(super) view: View,
    pub(super) id_type: IdType,
    pub(super) spawn: Spawn,
    pub(super) spawn_many: Option<Spawn>,
    pub(super) new_ids: Option<IdKind>,
    /// What takes a run back, where the profile has it.
    pub(super) undo: Option<Undo>,
}

/// A statement that takes a run back.
#[derive(Debug)]
pub(super) struct Undo {
    pub(super) sql: String,
    /// What `$1`, `$2`, … stand for.
    pub(super) parameters: Vec<SpawnParameter>,
}

/// A statement that starts runs.
#[derive(Debug)]
pub(super) struct Spawn {
    pub(super) sql: String,
    /// What `$1`, `$2`, … stand for.
    pub(super) parameters: Vec<SpawnParameter>,
    /// It returns the new runs' ids; else it takes them.
    pub(super) returns_ids: bool,
}

impl Spawn {
    pub(super) fn has_due_time(&self) -> bool {
        self.parameters.contains(&SpawnParameter::Due)
    }
}

impl Fitted {
    pub(super) fn dialect(&self) -> Postgres<'_> {
        Postgres(&self.id_type)
    }

    pub(super) fn ids(&self) -> Ids<'_> {
        Ids { kind: &self.id_type, key: &self.view.key }
    }

    pub(super) fn has_due_time(&self) -> bool {
        self.spawn.has_due_time()
    }

    /// What it carries out, each with its part of the profile and how many parameters it takes.
    pub(super) fn statements(&self) -> impl Iterator<Item = (&'static str, &str, usize)> {
        let spawns = iter::once(("spawn", &self.spawn)).chain(self.spawn_many.iter().map(|many| ("spawn_many", many)));
        let spawns = spawns.map(|(part, spawn)| (part, spawn.sql.as_str(), spawn.parameters.len()));
        spawns.chain(self.undo.iter().map(|undo| ("undo", undo.sql.as_str(), undo.parameters.len())))
    }

    /// What asks for the schema's version again, as one text.
    pub(super) fn version_query(&self) -> Option<String> {
        self.generation.version.as_ref().map(|version| version_query(&version.query))
    }

    /// Whether the schema is still in a version that its generation is for: the runner may have been upgraded since the
    /// store was opened. `found` is what [`Self::version_query`] gives now.
    pub(super) fn check_version(&self, found: Option<&SchemaVersion>) -> Result<(), HostError> {
        if self.generation.is_for(found) {
            return Ok(());
        }
        Err(HostError::Unusable(format!(
            "{}; it has been migrated since this began to work with it, and nothing was changed",
            wrong_version(&self.profile, &self.store, self.schema.as_deref(), found)
        )))
    }

    /// A rule that the spawn statement broke while it ran.
    pub(super) fn spawn_error(&self, message: &str) -> HostError {
        self.broken("spawn", message)
    }

    /// A rule that a statement of the profile's broke while it ran.
    pub(super) fn broken(&self, part: &str, message: &str) -> HostError {
        failure(&self.profile, &self.generation, part, format!("{message}; nothing was changed"))
    }
}

/// The profile that fits: the given one, or the only built-in one.
pub(super) fn fit(server: &Server, connection: &Connection, given: Option<&Profile>) -> Result<Fitted, HostError> {
    let begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}", server.lock_timeout());
    let begun = connection.wait_for(connection.client().batch_execute(&begin));
    begun.map_err(|error| server.error("reading its schema", error))?;
    let search_path = SearchPath::of(server, connection)?;
    let mut fitting = Fitting { server, connection, search_path, has_every_sign: true };
    fitting.has_every_sign = fitting.one("SELECT getdatabaseencoding() IN ('UTF8', 'SQL_ASCII', $1)", "")?;
    let fitted = match given {
        Some(profile) => fitting.given(profile),
        None => fitting.built_in(),
    };
    fitting.execute("ROLLBACK")?;
    fitted
}

/// A transaction in which profiles are tried.
pub(super) struct Fitting<'s> {
    pub(super) server: &'s Server,
    pub(super) connection: &'s Connection,
    /// The connection's own.
    pub(super) search_path: SearchPath,
    has_every_sign: bool,
}

impl Fitting<'_> {
    fn given(&self, profile: &Profile) -> Result<Fitted, HostError> {
        match self.first_that_fits(profile)? {
            Ok(fitted) => Ok(fitted),
            Err(misfit) => Err(self.does_not_fit(profile, misfit)?),
        }
    }

    fn built_in(&self) -> Result<Fitted, HostError> {
        let mut fitting: Vec<Fitted> = Vec::new();
        let mut nearly = None;
        for profile in Profile::built_in_of(Engine::Postgres) {
            match self.first_that_fits(&profile)? {
                Ok(fitted) => fitting.push(fitted),
                Err(Misfit::Version(words) | Misfit::Hidden(words)) => nearly = nearly.or(Some(words)),
                Err(Misfit::Lacks(_)) => {}
            }
        }
        let address = &self.server.address;
        match (fitting.len(), nearly) {
            (1, _) => Ok(fitting.remove(0)),
            (0, Some(words)) => Err(HostError::Unusable(words)),
            (0, None) => Err(self.none_fits()?),
            _ => {
                let names: Vec<_> = fitting.iter().map(|fitted| fitted.profile.name.as_str()).collect();
                Err(HostError::Unusable(format!(
                    "several profiles fit {address}: {}; name the one that is meant (`--profile {}`)",
                    names.join(", "),
                    names[0]
                )))
            }
        }
    }

    /// The first generation whose tables and columns are all there: where the search path finds them, else in the
    /// profile's own schema. Who names a search path means it: a slip in there must not lead to other tenants' runs.
    fn first_that_fits(&self, profile: &Profile) -> Result<Result<Fitted, Misfit>, HostError> {
        self.follow_the_search_path()?;
        let along_the_path = match self.generation_that_fits(profile, None)? {
            Err(misfit) if !self.search_path.was_given && !matches!(misfit, Misfit::Version(_)) => misfit,
            // That is the store which is meant, fitting or not.
            decided => return Ok(decided),
        };
        let Some(schema) = profile.schema.as_deref().filter(|schema| !schema.is_empty()) else {
            return Ok(Err(along_the_path));
        };
        let search_path = self.search_path.behind(self, schema)?;
        self.execute(&search_path)?;
        let misfit = match self.generation_that_fits(profile, Some(search_path))? {
            Err(misfit) => Misfit::nearer(Some(along_the_path), misfit),
            fitted => return Ok(fitted),
        };
        Ok(Err(match self.grant_to_use(schema)? {
            None => misfit,
            Some(grant) => Misfit::Hidden(format!(
                "the store {} has a schema {schema}, and this role may not use it: {grant}; then `bulk-rerun check` lists \
                 what else is missing",
                self.server.address
            )),
        }))
    }

    fn generation_that_fits(
        &self,
        profile: &Profile,
        search_path: Option<String>,
    ) -> Result<Result<Fitted, Misfit>, HostError> {
        let mut misfit = None;
        for generation in &profile.generations {
            let lack = Lack::of(generation, |table| self.columns_of(table), |columns, name| columns.contains(name))?;
            if !lack.is_nothing() {
                misfit = Some(Misfit::nearer(misfit, Misfit::Lacks(lack)));
                continue;
            }
            let version_hidden = self.version_hidden(generation)?;
            let version = if version_hidden { None } else { self.version(profile, generation)? };
            if !version_hidden && !generation.is_for(version.as_ref()) {
                let schema = self.schema_of(generation)?;
                let words =
                    wrong_version(profile, &self.server.address.to_string(), schema.as_deref(), version.as_ref());
                misfit = Some(Misfit::Version(words));
                continue;
            }
            self.refuse_hidden_rows(generation)?;
            let (view, id_type) = self.check_runs(profile, generation)?;
            self.check_columns_types(profile, generation, &view, &id_type)?;
            let (spawn, spawn_many, new_ids) = self.check_spawns(profile, generation)?;
            let undo = self.check_undo(profile, generation)?;
            let schema = self.schema_of(generation)?;
            let (profile, generation) = (profile.clone(), generation.clone());
            return Ok(Ok(Fitted {
                profile,
                generation,
                version,
                version_hidden,
                search_path,
                schema,
                has_every_sign: self.has_every_sign,
                store: self.server.address.to_string(),
                view,
                id_type,
                spawn,
                spawn_many,
                new_ids,
                undo,
            }));
        }
        Ok(Err(misfit.unwrap_or(Misfit::Lacks(Lack::default()))))
    }

    /// What lets this role look into a schema that is there, if it may not.
    fn grant_to_use(&self, schema: &str) -> Result<Option<String>, HostError> {
        self.one(
            "SELECT (SELECT format('GRANT USAGE ON SCHEMA %I TO %I', nspname, current_user) FROM pg_namespace
             WHERE nspname = $1::text AND NOT has_schema_privilege(oid, 'USAGE'))",
            schema,
        )
    }

    /// The schema in which the first table of a generation is found.
    fn schema_of(&self, generation: &Generation) -> Result<Option<String>, HostError> {
        let sql = format!(
            "SELECT (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = {})",
            relation("$1::text")
        );
        generation.requires.keys().next().map_or(Ok(None), |table| self.one(&sql, table))
    }

    /// A table's columns; none if there is no such table.
    pub(super) fn columns_of(&self, table: &str) -> Result<HashSet<String>, HostError> {
        let sql = format!(
            "SELECT coalesce(array_agg(attname::text), '{{}}') FROM pg_attribute
             WHERE attrelid = {} AND attnum > 0 AND NOT attisdropped",
            relation("$1::text")
        );
        Ok(self.one::<Vec<String>>(&sql, table)?.into_iter().collect())
    }

    /// Whether this role lacks a right to read what the version may be in.
    fn version_hidden(&self, generation: &Generation) -> Result<bool, HostError> {
        let may_read = format!("SELECT has_table_privilege({}, 'SELECT')", relation("$1::text"));
        for table in generation.requires.keys().filter(|_| generation.version.is_some()) {
            if !self.one(&may_read, table)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn version(&self, profile: &Profile, generation: &Generation) -> Result<Option<SchemaVersion>, HostError> {
        let Some(version) = &generation.version else { return Ok(None) };
        let sql = version_query(&version.query);
        let found = self.connection.wait_for(self.connection.client().query_typed(&sql, &[]));
        let fails = |message| failure(profile, generation, "version", format!("the query fails: {message}"));
        let rows = found.map_err(|error| self.wrong_with("reading the schema's version", error, &fails))?;
        if rows.len() > 1 {
            let message =
                format!("the query finds {} rows; let it find the one that has the schema's version", rows.len());
            return Err(failure(profile, generation, "version.query", message));
        }
        Ok(rows.first().and_then(|row| row.get::<_, Option<String>>(0)).map(SchemaVersion))
    }

    /// Row level security without a policy shows this role no rows, which is not the same as there being none.
    fn refuse_hidden_rows(&self, generation: &Generation) -> Result<(), HostError> {
        for table in generation.requires.keys() {
            let sql = format!(
                "SELECT (SELECT format('row level security hides every row of %s from the role %I: connect as its owner \
                    %I, or let the role see them (ALTER ROLE %2$I BYPASSRLS)',
                    oid::regclass, current_user, pg_get_userbyid(relowner))
                 FROM pg_class WHERE oid = {} AND row_security_active(oid)
                    AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid))",
                relation("$1::text")
            );
            if let Some(words) = self.one::<Option<String>>(&sql, table)? {
                return Err(HostError::Unusable(words));
            }
        }
        Ok(())
    }

    /// One value of a query about the schema.
    pub(super) fn one<T: tokio_postgres::types::FromSqlOwned>(
        &self,
        sql: &str,
        parameter: &str,
    ) -> Result<T, HostError> {
        let row = self.connection.wait_for(self.connection.client().query_typed_one(sql, &[(&parameter, Type::TEXT)]));
        row.and_then(|row| row.try_get(0)).map_err(|error| self.server.error("reading its schema", error))
    }

    pub(super) fn execute(&self, sql: &str) -> Result<(), HostError> {
        let executed = self.connection.wait_for(self.connection.client().batch_execute(sql));
        executed.map_err(|error| self.server.error("reading its schema", error))
    }
}

/// The schema's version, as one text.
fn version_query(query: &str) -> String {
    format!("SELECT version::text FROM (\n{}\n) AS version(version)", bare(query))
}

/// What is said of a schema in a version that the profile is not for.
fn wrong_version(profile: &Profile, store: &str, schema: Option<&str>, found: Option<&SchemaVersion>) -> String {
    let schema = schema.map(|schema| format!(" {schema}")).unwrap_or_default();
    let known = profile.generations.iter().find_map(|generation| generation.version.as_ref());
    let found = known.and_then(|known| known.in_words(found));
    let version = found.map_or("no version".to_owned(), |found| format!("the version {found}"));
    let what_to_do = match profile.is_built_in {
        true => format!(
            "A newer bulk-rerun may know it; or copy the profile (`bulk-rerun profiles {}`), check its statements against \
             the new schema, and use the copy with --profile",
            profile.name
        ),
        false => "Check its statements against this schema, and its `version` may say so".to_owned(),
    };
    format!(
        "the schema{schema} of {} in {store} has {version}, and the profile {} is for {}. {what_to_do}",
        profile.runner,
        profile.file,
        known_versions(profile),
    )
}

impl Generation {
    /// Whether it is for a schema in this version; `None` where the schema has none.
    fn is_for(&self, version: Option<&SchemaVersion>) -> bool {
        self.version.as_ref().is_none_or(|known| known.is_met_by(version))
    }
}

/// The versions of the schema that a profile's generations are for, the oldest first.
fn known_versions(profile: &Profile) -> String {
    let known = profile.generations.iter().rev().filter_map(|generation| generation.version.as_ref());
    let known: Vec<_> = known.map(|version| version.known.to_string()).collect();
    known.join(" and ")
}

/// SQL for the relation of this name: along the search path, or `schema.table`.
pub(super) fn relation(name: &str) -> String {
    format!(
        "to_regclass((SELECT string_agg(quote_ident(part), '.') FROM unnest(string_to_array({name}, '.')) AS part))"
    )
}

pub(super) fn failure(profile: &Profile, generation: &Generation, part: &str, message: String) -> HostError {
    let part = format!("{part} (generation \"{}\")", generation.name);
    HostError::Profile { file: profile.file.clone(), part, message }
}
