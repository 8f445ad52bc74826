//! A profile's statement that writes, or several that are carried out as one: checked, and then carried out for one run
//! after the other.

use std::collections::BTreeMap;

use rusqlite::types::ToSqlOutput;
use rusqlite::{CachedStatement, Connection};

use super::dialect::bindable;
use super::fit::{does_not_compile, text, wrong};
use super::row::key;
use crate::host::new_ids::IdKind;
use crate::host::profile::{
    self, Generation, NEW_RUN_IS_UNKNOWN, Profile, RETURNS_NO_ID, SpawnParameter, UNDO_TAKES, UNDOES_ANY,
};
use crate::host::taken_apart::spelled_out;
use crate::host::{HostError, Key};

/// Statements that were checked, in their order.
pub(super) struct Statements(Vec<Part>);

/// One of them.
struct Part {
    sql: String,
    /// What its parameters stand for, in their order.
    parameters: Vec<SpawnParameter>,
    returns: bool,
    /// It tells what became of a run: by the rows that it returns, or else has changed.
    tells: bool,
}

/// Statements that are ready to be carried out.
pub(super) struct Prepared<'s>(Vec<(&'s Part, CachedStatement<'s>)>);

/// What became of one run.
pub(super) enum Told {
    Nothing,
    /// One row was changed, or returned: with the id that is in it.
    One(Option<Key<'static>>),
    Many,
}

impl Statements {
    pub(super) fn takes(&self, parameter: SpawnParameter) -> bool {
        self.0.iter().any(|part| part.parameters.contains(&parameter))
    }

    pub(super) fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    pub(super) fn prepare<'s>(&'s self, connection: &'s Connection) -> rusqlite::Result<Prepared<'s>> {
        let prepared = self.0.iter().map(|part| Ok((part, connection.prepare_cached(&part.sql)?)));
        prepared.collect::<rusqlite::Result<_>>().map(Prepared)
    }
}

impl Prepared<'_> {
    /// Carries them out for one run. `value` is what a parameter stands for; `:new_run` is what was returned, else that.
    pub(super) fn carry_out<'v>(
        &mut self,
        value: impl Fn(SpawnParameter) -> ToSqlOutput<'v>,
    ) -> rusqlite::Result<Told> {
        let mut told = Told::Nothing;
        let last_to_tell = self.0.iter().rposition(|(part, _)| part.tells);
        for (index, (part, statement)) in self.0.iter_mut().enumerate() {
            let id = match &told {
                Told::Many => break,
                Told::Nothing if Some(index) > last_to_tell => break,
                // Another one may start it, where each is for a table of its own.
                Told::Nothing if part.parameters.contains(&SpawnParameter::NewRun) => continue,
                Told::Nothing => None,
                Told::One(id) => id.as_ref(),
            };
            for (place, parameter) in (1..).zip(&part.parameters) {
                match (parameter, id) {
                    (SpawnParameter::NewRun, Some(id)) => statement.raw_bind_parameter(place, bindable(id)),
                    _ => statement.raw_bind_parameter(place, value(*parameter)),
                }?;
            }
            let now = part.carry_out(statement)?;
            if part.tells {
                told = match (told, now) {
                    (Told::Nothing, now) => now,
                    (told, Told::Nothing) => told,
                    _ => Told::Many,
                };
            }
        }
        Ok(told)
    }
}

impl Part {
    /// Carries it out; its parameters are bound.
    fn carry_out(&self, statement: &mut CachedStatement<'_>) -> rusqlite::Result<Told> {
        if !self.returns {
            return Ok(match statement.raw_execute()? {
                0 => Told::Nothing,
                1 => Told::One(None),
                _ => Told::Many,
            });
        }
        let mut rows = statement.raw_query();
        let Some(row) = rows.next()? else { return Ok(Told::Nothing) };
        let id = key(row.get_ref(0)?).to_owned();
        // Step to the end, so that the statement is complete before its answer counts.
        let mut is_one = true;
        while rows.next()?.is_some() {
            is_one = false;
        }
        Ok(if is_one { Told::One(Some(id)) } else { Told::Many })
    }
}

/// The spawn compiles, writes, returns an id, and takes only the parameters that there are.
pub(super) fn check_spawn(
    connection: &Connection,
    profile: &Profile,
    generation: &Generation,
) -> Result<(Statements, Option<IdKind>), HostError> {
    let checks = Checks {
        connection,
        key: &generation.key,
        fail: &|part, message| wrong(profile, generation, part, message),
        part: "spawn",
        known: &SpawnParameter::ALL,
        only_reads: "the statement only reads; it must start a run",
        unknown: &|name| {
            format!(
                "the parameter {name} is unknown; there are {} (the source run's id, task and parameters, a new ULID, a \
                 new UUID, the time in UTC, when the new run is due, and the new run's id)",
                SpawnParameter::ALL.map(SpawnParameter::as_str).join(", ")
            )
        },
    };
    let spawn = checks.of(&generation.spawn)?;
    let fail = |message: String| wrong(profile, generation, "spawn", message);
    if !spawn.takes(SpawnParameter::Id) && !spawn.takes(SpawnParameter::TaskName) {
        return Err(fail("the statement uses neither :id nor :task_name, so it can't tell what to start".to_owned()));
    }
    let parameters: Vec<_> = spawn.0.iter().flat_map(|part| &part.parameters).copied().collect();
    let new_ids = IdKind::of(&parameters).map_err(&fail)?;
    if new_ids.is_none() && !spawn.0.iter().any(|part| part.returns) {
        return Err(fail(RETURNS_NO_ID.to_owned()));
    }
    Ok((spawn, new_ids))
}

/// The undo compiles, writes, and takes only the parameters that there are for it.
pub(super) fn check_undo(
    connection: &Connection,
    profile: &Profile,
    generation: &Generation,
) -> Result<Option<Statements>, HostError> {
    let Some(undo) = &generation.undo else { return Ok(None) };
    let checks = Checks {
        connection,
        key: &generation.key,
        fail: &|part, message| wrong(profile, generation, part, message),
        part: "undo",
        known: &SpawnParameter::OF_AN_UNDO,
        only_reads: "the statement only reads; it must take a run back",
        unknown: &|name| format!("the parameter {name} means nothing here: {UNDO_TAKES}"),
    };
    let undo = checks.of(undo)?;
    if !undo.takes(SpawnParameter::Id) {
        return Err(wrong(profile, generation, "undo", UNDOES_ANY.to_owned()));
    }
    Ok(Some(undo))
}

/// What is asked of statements, and how it is said of one that does not do so.
struct Checks<'c> {
    connection: &'c Connection,
    key: &'c BTreeMap<String, String>,
    fail: &'c dyn Fn(&str, String) -> HostError,
    part: &'static str,
    known: &'c [SpawnParameter],
    only_reads: &'static str,
    unknown: &'c dyn Fn(&str) -> String,
}

impl Checks<'_> {
    fn of(&self, statements: &profile::Statements) -> Result<Statements, HostError> {
        let fail_at = |index: usize, message: String| match statements.len() {
            1 => (self.fail)(self.part, message),
            _ => (self.fail)(&format!("{}, statement {}", self.part, index + 1), message),
        };
        let parts = statements.iter().enumerate();
        let parts = parts.map(|(index, statement)| self.of_one(statement, &|message| fail_at(index, message)));
        let mut parts = parts.collect::<Result<Vec<_>, _>>()?;
        let any_returns = parts.iter().any(|part| part.returns);
        let mut is_told = false;
        for (index, part) in parts.iter_mut().enumerate() {
            if !is_told && part.parameters.contains(&SpawnParameter::NewRun) {
                return Err(fail_at(index, NEW_RUN_IS_UNKNOWN.to_owned()));
            }
            part.tells = if any_returns { part.returns } else { index == 0 };
            is_told |= part.tells;
        }
        Ok(Statements(parts))
    }

    fn of_one(&self, statement: &str, fail: &dyn Fn(String) -> HostError) -> Result<Part, HostError> {
        let sql = spelled_out(&text(self.connection, statement, fail)?, self.key);
        let prepared = self.connection.prepare(&sql).map_err(|error| {
            let words = does_not_compile(&sql, 0, &error);
            fail(match error {
                rusqlite::Error::MultipleStatement => {
                    format!("{words}; several are a list: {} = [\"…\", \"…\"]", self.part)
                }
                _ => words,
            })
        })?;
        if prepared.readonly() {
            return Err(fail(self.only_reads.to_owned()));
        }
        let mut parameters = Vec::new();
        for index in 1..=prepared.parameter_count() {
            let name = prepared.parameter_name(index).unwrap_or("?");
            let known = self.known.iter().copied().find(|known| known.as_str() == name);
            parameters.push(known.ok_or_else(|| fail((self.unknown)(name)))?);
        }
        let returns = prepared.column_count() > 0;
        drop(prepared);
        Ok(Part { sql, parameters, returns, tells: false })
    }
}
