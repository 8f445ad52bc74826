//! Finds the profile and the generation that fit a store, and checks their statements against it.

use std::collections::HashSet;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::dialect::Sqlite;
use super::newer::needs_newer;
use super::place::Place;
use super::plan::Seeks;
use super::row::key;
use super::statements::{Statements, check_spawn, check_undo};
use crate::host::HostError;
use crate::host::lack::Lack;
use crate::host::new_ids::IdKind;
use crate::host::profile::{Engine, Generation, Profile, SchemaVersion, SpawnParameter, Version};
use crate::host::statement::{fitted_text, line_at};
use crate::host::states::States;
use crate::host::taken_apart::TakenApart;
use crate::host::view::View;

/// A profile that fits, and its statements.
pub(super) struct Fitted {
    pub(super) profile: Profile,
    pub(super) generation: Generation,
    pub(super) view: View,
    pub(super) seeks: Seeks,
    pub(super) spawn: Statements,
    pub(super) new_ids: Option<IdKind>,
    /// What takes a run back, where the profile has it.
    pub(super) undo: Option<Statements>,
}

impl Fitted {
    /// The runner's tables, each with a column of it.
    #[cfg(feature = "capi")]
    pub(super) fn tables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.generation.requires.iter().filter_map(|(table, columns)| Some((table.as_str(), columns.first()?.as_str())))
    }

    /// Whether the schema still has a version that the profile is for: it may be migrated without any change of a table.
    pub(super) fn check_version(&self, connection: &Connection, place: &Place) -> Result<(), HostError> {
        let Some(known) = &self.generation.version else { return Ok(()) };
        let found = version(connection, &self.profile, &self.generation, known)?;
        if known.is_met_by(found.as_ref()) {
            return Ok(());
        }
        Err(HostError::Unusable(format!(
            "the schema of {} was migrated meanwhile: it has not {} any more; nothing was changed",
            place.path.display(),
            known.wanted(found.as_ref())
        )))
    }

    /// The spawn takes more of the source run from us than its id.
    pub(super) fn takes_what_is_read(&self) -> bool {
        let takes = |parameter| self.spawn.takes(parameter);
        takes(SpawnParameter::Params) || takes(SpawnParameter::TaskName) || !takes(SpawnParameter::Id)
    }

    pub(super) fn has_due_time(&self) -> bool {
        self.spawn.takes(SpawnParameter::Due)
    }

    /// A run that its own id, as the profile takes it apart, does not find.
    pub(super) fn not_found_by_its_id(&self, connection: &Connection) -> Result<Option<String>, HostError> {
        let Some(sql) = self.view.not_found_by_its_id("CAST(id AS TEXT)") else { return Ok(None) };
        let found = connection.query_row(&sql, [], |row| Ok(key(row.get_ref(0)?).to_text())).optional();
        found.map_err(|error| self.broken("key", &in_sqlites_words(&error)))
    }

    /// A rule that the spawn statement broke while it ran.
    pub(super) fn spawn_error(&self, message: &str) -> HostError {
        self.broken("spawn", message)
    }

    /// A rule that a statement of the profile's broke while it ran.
    pub(super) fn broken(&self, part: &str, message: &str) -> HostError {
        wrong(&self.profile, &self.generation, part, format!("{message}; nothing was changed"))
    }
}

/// The first generation of the profile whose tables and columns are all there.
pub(super) fn given(connection: &Connection, profile: &Profile, place: &Place) -> Result<Fitted, HostError> {
    first_that_fits(connection, profile, place)?.map_err(|lack| {
        HostError::Unusable(format!(
            "the profile {} does not fit the store {}, which lacks {}. {}",
            profile.file,
            place.path.display(),
            lack.in_words(),
            profile.what_to_do()
        ))
    })
}

/// The same for the first built-in profile that fits.
pub(super) fn built_in(connection: &Connection, place: &Place) -> Result<Fitted, HostError> {
    let mut near = None;
    for profile in Profile::built_in_of(Engine::Sqlite) {
        match first_that_fits(connection, &profile, place)? {
            Ok(fitted) => return Ok(fitted),
            Err(lack) if lack.is_near() => near = Some((profile.name, lack)),
            Err(_) => {}
        }
    }
    let tables = tables(connection).map_err(|error| place.error("reading its schema", error))?;
    let tables = if tables.is_empty() { "none at all".to_owned() } else { tables.join(", ") };
    let known: Vec<_> = Profile::built_in_of(Engine::Sqlite).map(|profile| profile.name).collect();
    let mut message = format!(
        "no built-in profile ({}) fits the schema of {}; its tables: {tables}. ",
        known.join(", "),
        place.path.display(),
    );
    let start_from = match near {
        None => "runwisp".to_owned(),
        Some((name, lack)) => {
            let lacks = lack.in_words();
            message += &format!("{name} comes nearest, but is for another version, since the store lacks {lacks}. ");
            name
        }
    };
    message += &format!(
        "Another runner or version needs a profile file of its own (`--profile FILE`; `bulk-rerun profiles \
         {start_from}` prints one to start from)"
    );
    Err(HostError::Unusable(message))
}

fn first_that_fits(
    connection: &Connection,
    profile: &Profile,
    place: &Place,
) -> Result<Result<Fitted, Lack>, HostError> {
    let mut nearest: Option<Lack> = None;
    for generation in &profile.generations {
        let lack = lack(connection, profile, generation, place)?;
        if lack.is_nothing() {
            let (view, seeks) = check_runs(connection, profile, generation)?;
            let (spawn, new_ids) = check_spawn(connection, profile, generation)?;
            let undo = check_undo(connection, profile, generation)?;
            return Ok(Ok(Fitted {
                profile: profile.clone(),
                generation: generation.clone(),
                view,
                seeks,
                spawn,
                new_ids,
                undo,
            }));
        }
        // The generation that comes nearest says most about what is wrong.
        nearest = Some(match nearest {
            Some(nearest) => nearest.nearer(lack),
            None => lack,
        });
    }
    Ok(Err(nearest.unwrap_or_default()))
}

/// What a generation requires and the store has not.
fn lack(connection: &Connection, profile: &Profile, generation: &Generation, place: &Place) -> Result<Lack, HostError> {
    let columns_of =
        |table: &str| columns_of(connection, table).map_err(|error| place.error("reading its schema", error));
    let mut lack = Lack::of(generation, columns_of, |columns, name| columns.contains(&name.to_ascii_lowercase()))?;
    if let Some(known) = generation.version.as_ref().filter(|_| lack.is_nothing()) {
        let found = version(connection, profile, generation, known)?;
        if !known.is_met_by(found.as_ref()) {
            lack.words.push(known.wanted(found.as_ref()));
        }
    }
    Ok(lack)
}

/// The schema's version.
fn version(
    connection: &Connection,
    profile: &Profile,
    generation: &Generation,
    known: &Version,
) -> Result<Option<SchemaVersion>, HostError> {
    let fail = |message: String| wrong(profile, generation, "version.query", message);
    let found = found_version(connection, known).map_err(|error| match error {
        rusqlite::Error::InvalidQuery => fail("the query writes; it must be a SELECT of the version".to_owned()),
        rusqlite::Error::QueryReturnedMoreThanOneRow => {
            fail("the query finds several rows; let it find the one that has the schema's version".to_owned())
        }
        error => fail(format!("the query fails: {}", in_sqlites_words(&error))),
    })?;
    let kind = match found {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Integer(number)) => return Ok(Some(SchemaVersion(number.to_string()))),
        Some(Value::Text(text)) => return Ok(Some(SchemaVersion(text))),
        // Its last zeros are lost: 4.1 may be 4.10.
        Some(Value::Real(number)) => format!("a number with a fraction, {number}"),
        Some(Value::Blob(_)) => "a blob".to_owned(),
    };
    Err(fail(format!("the version is {kind}; let the query make a whole number or a text of it")))
}

fn found_version(connection: &Connection, version: &Version) -> rusqlite::Result<Option<Value>> {
    let mut query = connection.prepare_cached(&version.query)?;
    if !query.readonly() {
        return Err(rusqlite::Error::InvalidQuery);
    }
    let mut rows = query.query([])?;
    let found = rows.next()?.map(|row| row.get(0)).transpose()?;
    match rows.next()? {
        None => Ok(found),
        Some(_) => Err(rusqlite::Error::QueryReturnedMoreThanOneRow),
    }
}

/// A table's columns, in lower case: SQLite's names are equal whatever their case.
fn columns_of(connection: &Connection, table: &str) -> rusqlite::Result<HashSet<String>> {
    let mut statement = connection.prepare_cached("SELECT lower(name) FROM pragma_table_xinfo(?1)")?;
    statement.query_map([table], |row| row.get(0))?.collect()
}

/// What of a profile's statement is for this store.
pub(super) fn text(
    connection: &Connection,
    statement: &str,
    fail: &dyn Fn(String) -> HostError,
) -> Result<String, HostError> {
    let has = |table: &str, column: &str| {
        let columns = columns_of(connection, table).map_err(|error| fail(in_sqlites_words(&error)))?;
        Ok((!columns.is_empty()).then(|| columns.contains(&column.to_ascii_lowercase())))
    };
    fitted_text(statement, has, fail)
}

pub(super) fn wrong(profile: &Profile, generation: &Generation, part: &str, message: String) -> HostError {
    let part = format!("{part} (generation \"{}\")", generation.name);
    HostError::Profile { file: profile.file.clone(), part, message }
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name LIMIT 20")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The view compiles, only reads, and has the canonical columns.
fn check_runs(connection: &Connection, profile: &Profile, generation: &Generation) -> Result<(View, Seeks), HostError> {
    const BEFORE: &str = "SELECT * FROM (\n";
    let fail = |message: String| wrong(profile, generation, "runs", message);
    let runs = text(connection, &generation.runs, &fail)?;
    let statement = connection
        .prepare(&format!("{BEFORE}{runs}\n) AS run"))
        .map_err(|error| fail(does_not_compile(&runs, BEFORE.len(), &error)))?;
    if statement.parameter_count() > 0 {
        return Err(fail("the statement takes parameters; a view of the runs has none".to_owned()));
    }
    let columns = statement.column_names().into_iter().map(str::to_ascii_lowercase).collect();
    let key = TakenApart::of(&generation.key, &columns, str::to_ascii_lowercase);
    let key = key.map_err(|(part, message)| wrong(profile, generation, &part, message))?;
    let view = View::new(runs, &columns, key, &Sqlite::default()).map_err(&fail)?;
    let states = States::of(&generation.states, |name| view.has(name));
    let view = View { states: states.map_err(|message| wrong(profile, generation, "states", message))?, ..view };
    check_key(connection, &view, &|message| wrong(profile, generation, "key", message))?;
    let seeks = Seeks::of(connection, &view).map_err(|error| fail(in_sqlites_words(&error)))?;
    Ok((view, seeks))
}

/// What takes an id apart compiles.
fn check_key(connection: &Connection, view: &View, fail: &dyn Fn(String) -> HostError) -> Result<(), HostError> {
    for value in view.key.values(":id") {
        let select = format!("SELECT {value}");
        let statement =
            connection.prepare(&select).map_err(|error| fail(format!("{value}: {}", in_sqlites_words(&error))))?;
        if (statement.parameter_count(), statement.parameter_name(1)) != (1, Some(":id")) {
            return Err(fail(format!("{value} takes another parameter than :id; there is none")));
        }
    }
    Ok(())
}

/// What is said of a statement of the profile's that SQLite does not take; it stands so far behind the beginning.
pub(super) fn does_not_compile(statement: &str, begins_at: usize, error: &rusqlite::Error) -> String {
    let place = place_in(error).and_then(|place| place.checked_sub(begins_at)).and_then(|at| line_at(statement, at));
    let newer = needs_newer(statement, rusqlite::version_number());
    format!(
        "the statement does not compile: {}{}{}",
        in_sqlites_words(error),
        place.unwrap_or_default(),
        newer.unwrap_or_default()
    )
}

/// Where in a statement the mistake is. Only an SQLite of 3.38 or newer tells the place, and only the bundled one surely is.
#[cfg(feature = "bundled")]
fn place_in(error: &rusqlite::Error) -> Option<usize> {
    match error {
        rusqlite::Error::SqlInputError { offset, .. } => usize::try_from(*offset).ok(),
        _ => None,
    }
}

#[cfg(not(feature = "bundled"))]
fn place_in(_: &rusqlite::Error) -> Option<usize> {
    None
}

/// SQLite's message alone: the whole error would repeat the statement.
fn in_sqlites_words(error: &rusqlite::Error) -> String {
    match error {
        // Only an SQLite of 3.38 or newer tells the place, and only the bundled one surely is.
        #[cfg(feature = "bundled")]
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}
