//! Host profiles: text files that say in two SQL statements what a runner's runs are and how one
//! is started again. A new runner is a new file, not new code.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::HostError;
use super::built_in::BUILT_IN;
pub use super::runner::{SeenAs, Start};
pub use super::settings::{Parameter, ParameterKind, Setting};
pub use super::statement::Statements;
pub use super::tried_with::TriedWith;
pub use super::version::{Known, Number, SchemaVersion, Version};
use crate::contract::nearest;
use crate::toml_words::mistake;

/// The canonical columns of a run. One that a view does not have is NULL for every run, but for [`NECESSARY_COLUMNS`].
pub const CANONICAL_COLUMNS: [&str; 9] =
    ["id", "task_name", "phase", "end_reason", "exit_code", "triggered_by", "created_at", "retry_attempt", "params"];

/// The columns without which there is nothing to re-run.
pub const NECESSARY_COLUMNS: [&str; 3] = ["id", "task_name", "phase"];

/// The columns that a view may have besides: whether a run counts as a failure, why a run of its kind is never started
/// again, whether it is deleted and only waits to be purged, (SQLite, for a runner that never takes up a run again
/// that has ended) the number that each inserted row gets, higher than that of any row that is there, and the runner's own
/// word for where a run stands, as its indexes have it.
pub const OPTIONAL_COLUMNS: [&str; 5] = ["is_failure", "unfit", "deleted", "serial", "state"];

/// What is wrong with a spawn statement that started none or too many runs for a source run.
pub(super) const STARTED_NONE: &str = "the host's statement started no run";
pub(super) const NEVER_THE_SAME: &str = "each time that the new runs were looked at, another one of them was not there";
pub(super) const STARTED_MANY: &str = "it started more than one run for one source run";
pub(super) const TOLD_MANY: &str = "its statements started more than one run, or returned more than one id, for one source run; \
     only the one that starts the run may return an id";

/// What is wrong with an undo statement that does not tell which run is meant, or takes what there is not.
pub(super) const UNDOES_ANY: &str = "the statement does not use :id, so it can't tell which run to take back";
pub(super) const UNDOES_MANY: &str = "it took more than one run back for one";
pub(super) const UNDOES_UNSEEN: &str = "it changed rows and tells of none, as where a trigger does the work for a \
     view: end it with RETURNING";
pub(super) const UNDO_TAKES: &str =
    "a statement that takes a run back may use :id, :task_name and :now, and nothing else";

/// What is wrong with a statement that uses the new run's id before there is one.
pub(super) const NEW_RUN_IS_UNKNOWN: &str = "the statement uses :new_run, which is the new run's id once an earlier \
     statement has started it, and no statement before this one does";

/// What is wrong with a spawn statement that neither returns the new run's id nor takes it from us.
pub(super) const RETURNS_NO_ID: &str = "the statement returns no id; end it with RETURNING id, or take :new_id (a ULID) or :new_uuid for the new \
     run's id";

/// A parameter that a spawn statement may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpawnParameter {
    /// `:id`, the source run's id.
    Id,
    /// `:task_name`, its task.
    TaskName,
    /// `:params`, its parameters.
    Params,
    /// `:new_id`, a new ULID.
    NewId,
    /// `:new_uuid`, a new UUID (version 7).
    NewUuid,
    /// `:now`, the time, in RFC 3339 and UTC.
    Now,
    /// `:due`, when the new run is due, in RFC 3339 and UTC; NULL for at once.
    Due,
    /// `:new_run`, the new run's id, in a statement behind the one of the list that starts it.
    NewRun,
}

impl SpawnParameter {
    /// Every parameter.
    pub const ALL: [SpawnParameter; 8] = [
        SpawnParameter::Id,
        SpawnParameter::TaskName,
        SpawnParameter::Params,
        SpawnParameter::NewId,
        SpawnParameter::NewUuid,
        SpawnParameter::Now,
        SpawnParameter::Due,
        SpawnParameter::NewRun,
    ];

    /// Those of a statement that takes a run back: there is no new run, and no source run.
    pub const OF_AN_UNDO: [SpawnParameter; 3] = [SpawnParameter::Id, SpawnParameter::TaskName, SpawnParameter::Now];

    /// How a statement names it, after a colon.
    pub fn name(self) -> &'static str {
        &self.as_str()[1..]
    }

    /// How a statement spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            SpawnParameter::Id => ":id",
            SpawnParameter::TaskName => ":task_name",
            SpawnParameter::Params => ":params",
            SpawnParameter::NewId => ":new_id",
            SpawnParameter::NewUuid => ":new_uuid",
            SpawnParameter::Now => ":now",
            SpawnParameter::Due => ":due",
            SpawnParameter::NewRun => ":new_run",
        }
    }
}

/// A host profile.
///
/// ```
/// use bulk_rerun::host::profile::Profile;
///
/// let runwisp = Profile::built_in("runwisp").unwrap();
/// assert_eq!(runwisp.runner, "RunWisp");
/// assert!(runwisp.generations[0].spawn[0].contains("INSERT INTO runs"));
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What it is called by.
    pub name: String,
    /// The runner's own name.
    pub runner: String,
    /// The engine of the runner's store.
    pub engine: Engine,
    /// What it was tried with.
    #[serde(default)]
    pub tried_with: TriedWith,
    /// PostgreSQL: the schema that the runner's tables are in by default. They are looked for as the
    /// connection's search path finds them first, and in this schema then.
    pub schema: Option<String>,
    /// When a spawned run starts.
    #[serde(default)]
    pub start: Start,
    /// What tells the runner from others who have its store open.
    #[serde(default)]
    pub seen_as: SeenAs,
    /// Its own parameters, each of which stands as `{{name}}` in what follows.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// The generations of the runner's schema, the newest first. The first that fits the store is used.
    #[serde(rename = "generation")]
    pub generations: Vec<Generation>,
    /// The file that it was read from, or its built-in name.
    #[serde(skip)]
    pub file: String,
    /// What its parameters are set to: in its statements they are filled in already.
    #[serde(skip)]
    pub settings: Vec<Setting>,
    /// What the ledger knows it by: its name, and what its parameters are set to.
    #[serde(skip)]
    pub(crate) identity: String,
    /// It comes with this version.
    #[serde(skip)]
    pub is_built_in: bool,
}

/// The engine of a runner's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Engine {
    /// Its own name.
    pub fn as_str(self) -> &'static str {
        match self {
            Engine::Sqlite => "SQLite",
            Engine::Postgres => "PostgreSQL",
        }
    }
}

/// One generation of a runner's schema.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// What sets it apart.
    #[serde(default)]
    pub name: String,
    /// The columns that the store must have, by table: how the generation is detected.
    pub requires: BTreeMap<String, Vec<String>>,
    /// The versions of the schema that it is for, where the runner keeps one.
    pub version: Option<Version>,
    /// PostgreSQL: the rights that a role needs on tables and sequences, for `check`.
    #[serde(default)]
    pub rights: BTreeMap<String, Vec<String>>,
    /// A SELECT of the host's runs in canonical columns.
    pub runs: String,
    /// How an id is taken apart, where it is none of the store's columns as it stands: the columns of `runs` by which
    /// the key's index finds a run, each with what it is equal to, as SQL of `:id`.
    #[serde(default)]
    pub key: BTreeMap<String, String>,
    /// For the phases but `ended`, and for every end reason, what the view's column `state` is then: a search for them goes
    /// by these too, which an index of the runner's may serve.
    #[serde(default)]
    pub states: BTreeMap<String, Vec<String>>,
    /// A statement that starts one source run again. Its RETURNING gives the new run's id; without one, `:new_id` or
    /// `:new_uuid` is it. On SQLite there may be several: what one of them returns is the id, else the first one starts
    /// the run.
    pub spawn: Statements,
    /// PostgreSQL: the same for many source runs in one statement, each parameter an array. It returns pairs: the
    /// source run's id, and the new run's; or nothing, where `:new_id` or `:new_uuid` is the new run's.
    pub spawn_many: Option<String>,
    /// A statement that takes back one pending run, which no worker has begun. It changes (or returns) one row if it has,
    /// none if there is nothing to be taken back. It may use `:id`, `:task_name` and `:now`. On SQLite there may be
    /// several: what one of them returns tells, else the first.
    pub undo: Option<Statements>,
}

impl Profile {
    /// What may be done where it does not fit a store.
    pub(super) fn what_to_do(&self) -> String {
        let is_for: Vec<_> = self.generations.iter().map(|generation| generation.name.as_str()).collect();
        let is_for = is_for.join("; ");
        if self.is_built_in {
            return format!(
                "It is for {} ({is_for}). If that is the runner, in another version: move the runner to one of these, or copy \
                 the profile (`bulk-rerun profiles {}`), write its statements for the schema at hand, and use the copy with \
                 --profile",
                self.runner, self.name
            );
        }
        let set = self.as_it_is_set();
        format!("If that is the right store, the profile's `requires` and statements must name what is there{set}")
    }

    /// The built-in profiles of an engine.
    pub(super) fn built_in_of(engine: Engine) -> impl Iterator<Item = Profile> {
        Profile::built_in_names().filter_map(Profile::built_in).filter(move |profile| profile.engine == engine)
    }

    /// # Errors
    ///
    /// The profile is for another engine than the store's.
    pub(super) fn check_engine(&self, engine: Engine) -> Result<(), HostError> {
        if self.engine == engine {
            return Ok(());
        }
        let others: Vec<_> = Profile::built_in_of(engine).map(|profile| profile.name).collect();
        Err(HostError::Unusable(format!(
            "the profile {} is for runners on {}, and the store is in {}: name another profile ({}, or a file of yours), or \
             leave it out, and the one that fits is found",
            self.file,
            self.engine.as_str(),
            engine.as_str(),
            others.join(", ")
        )))
    }

    /// The names of the built-in profiles.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in profile's file.
    pub fn built_in_text(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(built_in, _)| *built_in == name).map(|(_, text)| *text)
    }

    /// A built-in profile.
    pub fn built_in(name: &str) -> Option<Profile> {
        let text = Profile::built_in_text(name)?;
        // A test reads every built-in profile, so this never fails for a released version.
        Profile::parse(text, name).ok().map(|profile| Profile { is_built_in: true, ..profile })
    }

    /// A built-in profile by its name, else one from a file; its parameters are set to these.
    ///
    /// # Errors
    ///
    /// The file can't be read, or is no profile, or its parameters can't be set so; the message names the place.
    pub fn load(name_or_file: &str, parameters: &BTreeMap<String, String>) -> Result<Profile, HostError> {
        if let Some(text) = Profile::built_in_text(name_or_file) {
            return Ok(Profile { is_built_in: true, ..Profile::parse_with(text, name_or_file, parameters)? });
        }
        let text = fs::read_to_string(Path::new(name_or_file)).map_err(|error| {
            if name_or_file.contains(['/', '.']) {
                return HostError::Unusable(format!("the profile's file {name_or_file} can't be read: {error}"));
            }
            let meant = nearest(name_or_file, Profile::built_in_names());
            let meant = meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            let names: Vec<_> = Profile::built_in_names().collect();
            HostError::Unusable(format!(
                "the profile `{name_or_file}` is neither built in ({}) nor a file that can be read: {error}{meant}",
                names.join(", ")
            ))
        })?;
        Profile::parse_with(&text, name_or_file, parameters)
    }

    /// Reads a profile from its text, with the defaults of its parameters; `file` is what messages call it.
    ///
    /// # Errors
    ///
    /// As [`Profile::parse_with`].
    pub fn parse(text: &str, file: &str) -> Result<Profile, HostError> {
        Profile::parse_with(text, file, &BTreeMap::new())
    }

    /// Reads a profile from its text; its parameters are set to these.
    ///
    /// # Errors
    ///
    /// The text is no profile, or its parameters can't be set so; the message names the place.
    pub fn parse_with(text: &str, file: &str, parameters: &BTreeMap<String, String>) -> Result<Profile, HostError> {
        let mut profile: Profile = toml::from_str(text).map_err(|error| HostError::Profile {
            file: file.to_owned(),
            part: "not a profile".to_owned(),
            message: mistake(text, &error),
        })?;
        profile.file = file.to_owned();
        match profile.generations.as_mut_slice() {
            [] => {
                return Err(HostError::Profile {
                    file: file.to_owned(),
                    part: "generation".to_owned(),
                    message: "there is none; add one [[generation]] with `requires`, `runs` and `spawn`".to_owned(),
                });
            }
            [only] if only.name.is_empty() => only.name = "the only one".to_owned(),
            several => {
                for (number, generation) in (1..).zip(several) {
                    if generation.name.is_empty() {
                        generation.name = format!("number {number} in the file");
                    }
                }
            }
        }
        if let Some(key) = profile.only_for_another_engine() {
            return Err(HostError::Profile {
                file: file.to_owned(),
                part: key.to_owned(),
                message: format!("this is not for {}; leave it out", profile.engine.as_str()),
            });
        }
        profile.with(parameters)
    }

    /// A key of it that means nothing in its engine.
    fn only_for_another_engine(&self) -> Option<&'static str> {
        let any = |has: fn(&Generation) -> bool| self.generations.iter().any(has);
        let is_there = match self.engine {
            Engine::Postgres => vec![("seen_as.command", !self.seen_as.command.is_empty())],
            Engine::Sqlite => vec![
                ("schema", self.schema.is_some()),
                ("seen_as.application_name", !self.seen_as.application_name.is_empty()),
                ("seen_as.query", !self.seen_as.query.is_empty()),
                ("rights", any(|generation| !generation.rights.is_empty())),
                ("spawn_many", any(|generation| generation.spawn_many.is_some())),
            ],
        };
        is_there.into_iter().find_map(|(key, is_there)| is_there.then_some(key))
    }
}
