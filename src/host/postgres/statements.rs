//! Checks a profile's statements against the store, before they are used.

use std::collections::HashSet;
use std::iter;

use tokio_postgres::Statement;
use tokio_postgres::error::ErrorPosition;
use tokio_postgres::types::{Kind, Type};

use super::dialect::Postgres;
use super::fit::{Fitting, Spawn, Undo, failure};
use super::ids::{IdType, Ids};
use super::parameters::{ARRAY, Numbered, number};
use super::row::is_key;
use crate::contract::RunFilter;
use crate::host::new_ids::IdKind;
use crate::host::profile::{Generation, Profile, RETURNS_NO_ID, SpawnParameter, UNDO_TAKES, UNDOES_ANY};
use crate::host::statement::{fitted_text, line_at};
use crate::host::states::States;
use crate::host::taken_apart::{TakenApart, spelled_out};
use crate::host::view::View;
use crate::host::{Columns, HostError, Query};

impl Fitting<'_> {
    /// The view compiles, and has the canonical columns.
    pub(super) fn check_runs(&self, profile: &Profile, generation: &Generation) -> Result<(View, IdType), HostError> {
        let fail = |message: String| failure(profile, generation, "runs", message);
        let runs = self.text(&generation.runs, &fail)?;
        let statement = self.prepare("SELECT * FROM (\n", &runs, "\n) AS run", &fail)?;
        if !statement.params().is_empty() {
            return Err(fail("the statement takes parameters; a view of the runs has none".to_owned()));
        }
        let columns: HashSet<String> = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        let type_of = |name: &str| statement.columns().iter().find(|column| column.name() == name).map(|c| c.type_());
        if type_of("created_at").is_some_and(|kind| *kind != Type::TIMESTAMPTZ) {
            return Err(fail(
                "the column created_at is no timestamp with time zone; say created_at AT TIME ZONE 'UTC' where a \
                 timestamp without one is in UTC, to_timestamp(…) where it is in seconds"
                    .to_owned(),
            ));
        }
        let id_type = type_of("id").map_or(IdType::Other, IdType::of);
        let key = TakenApart::of(&generation.key, &columns, str::to_owned);
        let key = key.map_err(|(part, message)| failure(profile, generation, &part, message))?;
        let view = View::new(runs, &columns, key, &Postgres(&id_type)).map_err(&fail)?;
        let wrong_states = |message| failure(profile, generation, "states", message);
        let states = States::of(&generation.states, |name| view.has(name)).map_err(wrong_states)?;
        let states = match type_of("state").map(Type::kind) {
            Some(Kind::Enum(labels)) => states.known_to(labels),
            _ => states,
        };
        let view = View { states, ..view };
        self.check_states(&view, &wrong_states)?;
        self.check_key(&view, &|message| failure(profile, generation, "key", message))?;
        Ok((view, id_type))
    }

    /// The column `state` can be compared with the words that it is said to have: an enum knows its own alone.
    fn check_states(&self, view: &View, fail: &dyn Fn(String) -> HostError) -> Result<(), HostError> {
        let filter = RunFilter { status: view.states.words().cloned().collect(), ..RunFilter::default() };
        if filter.status.is_empty() {
            return Ok(());
        }
        let (statement, _) = view.compile(Query::Filter(&filter), Columns::default(), &Postgres(&IdType::Other));
        self.prepare("", &statement.sql, "", fail).map(drop)
    }

    /// What takes an id apart compiles, and is of the types of the view's columns.
    fn check_key(&self, view: &View, fail: &dyn Fn(String) -> HostError) -> Result<(), HostError> {
        if view.key.is_empty() {
            return Ok(());
        }
        let before =
            format!("SELECT FROM (\n{}\n) AS run, (VALUES (NULL::text)) AS wanted(wanted_id) WHERE ", view.runs);
        let statement = self.prepare(&before, &view.key.condition("run.", Ids::WANTED), "", fail)?;
        match statement.params() {
            [] => Ok(()),
            _ => Err(fail("it takes another parameter than :id; there is none".to_owned())),
        }
    }

    /// Both spawns are in order, and spell the new run's id in one way.
    pub(super) fn check_spawns(
        &self,
        profile: &Profile,
        generation: &Generation,
    ) -> Result<(Spawn, Option<Spawn>, Option<IdKind>), HostError> {
        let one = self.check_spawn(profile, generation)?;
        let many = self.check_spawn_many(profile, generation)?;
        if many.as_ref().is_some_and(|many| many.has_due_time() != one.has_due_time()) {
            let message = "spawn and spawn_many must take :due both, or neither of them".to_owned();
            return Err(failure(profile, generation, "spawn_many", message));
        }
        let parameters: Vec<_> = iter::once(&one).chain(&many).flat_map(|spawn| &spawn.parameters).copied().collect();
        let new_ids = IdKind::of(&parameters).map_err(|message| failure(profile, generation, "spawn", message))?;
        Ok((one, many, new_ids))
    }

    /// The spawn compiles, returns an id, and takes only the parameters that there are.
    fn check_spawn(&self, profile: &Profile, generation: &Generation) -> Result<Spawn, HostError> {
        let fail = |message: String| failure(profile, generation, "spawn", message);
        let text = self.text(generation.spawn.only().map_err(&fail)?, &fail)?;
        let Numbered { sql, parameters } = number(&spelled_out(&text, &generation.key), "text");
        let statement = self.prepare("", &sql, "", &fail)?;
        let takes = |parameter| parameters.contains(&parameter);
        if !takes(SpawnParameter::Id) && !takes(SpawnParameter::TaskName) {
            return Err(fail(
                "the statement uses neither :id nor :task_name, so it can't tell what to start".to_owned(),
            ));
        }
        let returns_ids = !statement.columns().is_empty();
        if !returns_ids && !takes_new_ids(&parameters) {
            return Err(fail(RETURNS_NO_ID.to_owned()));
        }
        check_ids(&statement, &fail)?;
        Ok(Spawn { sql, parameters, returns_ids })
    }

    fn check_spawn_many(&self, profile: &Profile, generation: &Generation) -> Result<Option<Spawn>, HostError> {
        let Some(sql) = &generation.spawn_many else { return Ok(None) };
        let fail = |message: String| failure(profile, generation, "spawn_many", message);
        let Numbered { sql, parameters } = number(&self.text(sql, &fail)?, ARRAY);
        let statement = self.prepare("", &sql, "", &fail)?;
        let returns_ids = match statement.columns().len() {
            2 => true,
            0 if takes_new_ids(&parameters) => false,
            _ => {
                return Err(fail(
                    "the statement returns two columns, the source run's id and the new run's, or nothing where it takes \
                     :new_id or :new_uuid for the new run's id"
                        .to_owned(),
                ));
            }
        };
        check_ids(&statement, &fail)?;
        if !parameters.contains(&SpawnParameter::Id) {
            return Err(fail("the statement does not use the array :id, so it can't tell what to start".to_owned()));
        }
        Ok(Some(Spawn { sql, parameters, returns_ids }))
    }

    /// The undo compiles, and takes only the parameters that there are for it.
    pub(super) fn check_undo(&self, profile: &Profile, generation: &Generation) -> Result<Option<Undo>, HostError> {
        let Some(undo) = &generation.undo else { return Ok(None) };
        let fail = |message: String| failure(profile, generation, "undo", message);
        let text = self.text(undo.only().map_err(&fail)?, &fail)?;
        let Numbered { sql, parameters } = number(&spelled_out(&text, &generation.key), "text");
        self.prepare("", &sql, "", &fail)?;
        if let Some(other) = parameters.iter().find(|parameter| !SpawnParameter::OF_AN_UNDO.contains(parameter)) {
            return Err(fail(format!("the parameter {} means nothing here: {UNDO_TAKES}", other.as_str())));
        }
        if !parameters.contains(&SpawnParameter::Id) {
            return Err(fail(UNDOES_ANY.to_owned()));
        }
        Ok(Some(Undo { sql, parameters }))
    }

    /// What of a profile's statement is for this store.
    fn text(&self, statement: &str, fail: &dyn Fn(String) -> HostError) -> Result<String, HostError> {
        let has = |table: &str, column: &str| {
            let columns = self.columns_of(table)?;
            Ok((!columns.is_empty()).then(|| columns.contains(column)))
        };
        fitted_text(statement, has, fail)
    }

    /// Has the server read a statement of the profile's, with what stands around it.
    fn prepare(
        &self,
        before: &str,
        statement: &str,
        after: &str,
        fail: &dyn Fn(String) -> HostError,
    ) -> Result<Statement, HostError> {
        let sql = format!("{before}{statement}{after}");
        let prepared = self.connection.wait_for(self.connection.client().prepare(&sql));
        let place = prepared.as_ref().err().and_then(|error| match error.as_db_error()?.position()? {
            // Counted in characters, from 1.
            ErrorPosition::Original(place) => {
                Some(sql.char_indices().nth(*place as usize - 1)?.0.checked_sub(before.len())?)
            }
            ErrorPosition::Internal { .. } => None,
        });
        let line = place.and_then(|place| line_at(statement, place)).unwrap_or_default();
        let does_not_compile = |message| fail(format!("the statement does not compile: {message}{line}"));
        prepared.map_err(|error| self.wrong_with("checking the profile", error, &does_not_compile))
    }

    /// What is wrong with a statement of the profile, in the server's own words, which its author needs: unless the
    /// trouble is the server's.
    pub(super) fn wrong_with(
        &self,
        doing: &'static str,
        error: tokio_postgres::Error,
        fail: &dyn Fn(String) -> HostError,
    ) -> HostError {
        let Some(said) = error.as_db_error() else { return self.server.error(doing, error) };
        let hint = said.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        self.server.meaning(doing, said).unwrap_or_else(|| fail(format!("{}{hint}", said.message())))
    }
}

/// The ids that a statement returns are of types that are read.
fn check_ids(statement: &Statement, fail: &dyn Fn(String) -> HostError) -> Result<(), HostError> {
    match statement.columns().iter().find(|column| !is_key(column.type_())) {
        Some(column) => {
            let (name, kind) = (column.name(), column.type_());
            Err(fail(format!("the statement returns {name} as {kind}, which is no type of an id; say {name}::text")))
        }
        None => Ok(()),
    }
}

/// In one spelling or in two, which is found out later.
fn takes_new_ids(parameters: &[SpawnParameter]) -> bool {
    IdKind::of(parameters) != Ok(None)
}
