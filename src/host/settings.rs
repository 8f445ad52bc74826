//! A profile's own parameters: a prefix of the runner's tables, a queue, a namespace. A profile declares them and says
//! `{{prefix}}` where one is meant; whoever opens a store sets them. No value can become SQL of its own: a name has
//! nothing but letters, digits and underscores, and a text stands in a statement as the hex digits of its bytes, so that it
//! is a text or a mistake wherever the profile puts it.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use serde::{Deserialize, Serialize};

use super::HostError;
use super::profile::{Engine, Generation, Profile};
use crate::contract::nearest;

/// The longest values, in characters. PostgreSQL cuts a name after 63, and a value may be a part of one.
const NAME_MAX: usize = 57;
const TEXT_MAX: usize = 255;

/// A parameter that a profile declares.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What it is for, to follow "the".
    pub what: String,
    /// What it is where nobody sets it; without one it must be set.
    pub default: Option<String>,
    /// Where it may stand.
    #[serde(default)]
    pub kind: ParameterKind,
}

/// What a parameter is in a statement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterKind {
    /// A name or a part of one: letters, digits and underscores.
    #[default]
    Name,
    /// A text, as an expression of its own; it can't stand in a table's name.
    Text,
}

/// What a profile's parameter is set to.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// The parameter.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Nobody has set it to anything else.
    pub is_default: bool,
    /// What it is for.
    pub what: String,
}

impl Parameter {
    /// Why it can't have this value, if so. What was given is not repeated: it may have been meant for another place.
    fn wrong_with(&self, value: &str) -> Option<String> {
        let length = value.chars().count();
        let longest = match self.kind {
            ParameterKind::Name => NAME_MAX,
            ParameterKind::Text => TEXT_MAX,
        };
        if length > longest {
            return Some(format!("its value has {length} characters; at most {longest} are taken"));
        }
        if value.is_empty() && self.default.as_deref() != Some("") {
            return Some("its value is empty".to_owned());
        }
        match self.kind {
            ParameterKind::Name => {
                let stranger = value.chars().find(|sign| !(sign.is_ascii_alphanumeric() || *sign == '_'))?;
                Some(format!(
                    "its value has a {stranger:?} in it, and may have letters (a to z), digits and underscores"
                ))
            }
            ParameterKind::Text => {
                value.contains('\0').then(|| "its value has a NUL in it, which no database keeps".to_owned())
            }
        }
    }

    /// What stands in a statement for this value.
    fn in_sql(&self, value: &str, engine: Engine) -> String {
        let hex = || value.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        match (self.kind, engine) {
            (ParameterKind::Name, _) => value.to_owned(),
            (ParameterKind::Text, Engine::Sqlite) => format!("CAST(x'{}' AS TEXT)", hex()),
            (ParameterKind::Text, Engine::Postgres) => format!("convert_from(decode('{}', 'hex'), 'UTF8')", hex()),
        }
    }
}

impl Setting {
    /// `name=value`, as it is set on the command line.
    fn in_words(&self) -> String {
        format!("{}={}", self.name, self.value)
    }
}

impl Profile {
    /// The profile with these parameters in its statements, and the defaults of the others.
    pub(super) fn with(mut self, given: &BTreeMap<String, String>) -> Result<Profile, HostError> {
        let parameters = mem::take(&mut self.parameters);
        self.check_parameters(&parameters)?;
        if self.seen_as.all().any(|pattern| pattern.chars().all(|sign| sign == '*')) {
            return Err(self.wrong("seen_as", "a pattern of stars alone is anybody; say more of it".to_owned()));
        }
        self.settings = self.settings_of(&parameters, given)?;
        self.identity = identity(&self.name, &self.settings);
        let mut filling = Filling { profile: &self, parameters: &parameters, used: BTreeSet::new() };
        let schema = self.schema.as_deref().map(|schema| filling.name("schema", schema)).transpose()?;
        let mut seen_as = self.seen_as.clone();
        for pattern in seen_as.all_mut() {
            *pattern = filling.name("seen_as", pattern)?;
        }
        let generations = self.generations.iter().map(|generation| filling.generation(generation));
        let generations = generations.collect::<Result<_, _>>()?;
        let used = filling.used;
        if let Some(unused) = parameters.keys().find(|name| !used.contains(*name)) {
            return Err(self
                .wrong(&format!("parameters.{unused}"), format!("nothing says {{{{{unused}}}}}; drop it, or use it")));
        }
        Ok(Profile { schema, seen_as, generations, parameters, ..self })
    }

    fn wrong(&self, part: &str, message: String) -> HostError {
        HostError::Profile { file: self.file.clone(), part: part.to_owned(), message }
    }

    fn check_parameters(&self, parameters: &BTreeMap<String, Parameter>) -> Result<(), HostError> {
        for (name, parameter) in parameters {
            let part = format!("parameters.{name}");
            if !is_name(name) {
                let message = "a parameter's name has letters, digits and underscores, and begins with a letter";
                return Err(self.wrong(&part, message.to_owned()));
            }
            if let Some(wrong) = parameter.default.as_deref().and_then(|default| parameter.wrong_with(default)) {
                return Err(self.wrong(&format!("{part}.default"), wrong));
            }
        }
        Ok(())
    }

    /// Every parameter's value; or all that is wrong with what was given.
    fn settings_of(
        &self,
        parameters: &BTreeMap<String, Parameter>,
        given: &BTreeMap<String, String>,
    ) -> Result<Vec<Setting>, HostError> {
        let mut wrong: Vec<String> = Vec::new();
        for name in given.keys().filter(|name| !parameters.contains_key(*name)) {
            wrong.push(format!("it has no parameter {name}{}", instead_of(name, parameters)));
        }
        let mut settings = Vec::new();
        for (name, parameter) in parameters {
            let what = &parameter.what;
            let Some(value) = given.get(name).or(parameter.default.as_ref()) else {
                wrong.push(format!("its parameter {name}, the {what}, is not set and has no default"));
                continue;
            };
            if let Some(why) = parameter.wrong_with(value) {
                wrong.push(format!("its parameter {name}, the {what}, can't be set so: {why}"));
            }
            let is_default = parameter.default.as_ref() == Some(value);
            settings.push(Setting { name: name.clone(), value: value.clone(), is_default, what: what.clone() });
        }
        if wrong.is_empty() {
            return Ok(settings);
        }
        Err(HostError::Unusable(format!(
            "the profile {} can't be used with these parameters (--set NAME=VALUE, `parameters` in the config, or \
             BULK_RERUN_PARAMETERS): {}",
            self.file,
            wrong.join("; ")
        )))
    }

    /// What it is set to, for behind a message about what it does not find; nothing where it has no parameters.
    pub(super) fn as_it_is_set(&self) -> String {
        let set: Vec<_> = self.settings.iter().map(Setting::in_words).collect();
        if set.is_empty() { String::new() } else { format!(" (with {})", set.join(", ")) }
    }
}

/// What the ledger knows the profile by: another queue's operations are others, and so are its keys. A default is left out,
/// so that a profile which gets a parameter later keeps its ledger.
fn identity(name: &str, settings: &[Setting]) -> String {
    let set: BTreeMap<&str, &str> =
        settings.iter().filter(|set| !set.is_default).map(|set| (&*set.name, &*set.value)).collect();
    if set.is_empty() { name.to_owned() } else { format!("{name} {}", serde_json::json!(set)) }
}

/// What may be meant by a parameter that is none.
fn instead_of(name: &str, parameters: &BTreeMap<String, Parameter>) -> String {
    let known = || parameters.keys().map(String::as_str);
    match nearest(name, known()) {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None if parameters.is_empty() => ", nor any other".to_owned(),
        None => format!("; it has {}", known().collect::<Vec<_>>().join(", ")),
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_')
}

/// Puts a profile's parameters where it says so.
struct Filling<'p> {
    profile: &'p Profile,
    parameters: &'p BTreeMap<String, Parameter>,
    used: BTreeSet<String>,
}

impl Filling<'_> {
    fn generation(&mut self, generation: &Generation) -> Result<Generation, HostError> {
        // Whoever adds a field decides here whether it may have parameters in it.
        let Generation { name, requires, version, rights, key, runs, states, spawn, spawn_many, undo } = generation;
        let part = |part: &str| format!("{part} (generation \"{name}\")");
        let mut required = BTreeMap::new();
        for (table, columns) in requires {
            let columns = columns.iter().map(|column| self.name(&part("requires"), column));
            let columns = columns.collect::<Result<_, _>>()?;
            required.insert(self.name(&part("requires"), table)?, columns);
        }
        let mut needed = BTreeMap::new();
        for (table, rights) in rights {
            needed.insert(self.name(&part("rights"), table)?, rights.clone());
        }
        let mut taken_apart = BTreeMap::new();
        for (column, expression) in key {
            taken_apart.insert(self.name(&part("key"), column)?, self.statement(&part("key"), expression)?);
        }
        let mut own_words = BTreeMap::new();
        for (word, own) in states {
            let own = own.iter().map(|own| self.name(&part("states"), own));
            own_words.insert(word.clone(), own.collect::<Result<_, _>>()?);
        }
        let mut version = version.clone();
        if let Some(version) = &mut version {
            version.query = self.statement(&part("version"), &version.query)?;
        }
        let spawn_many = spawn_many.as_ref().map(|sql| self.statement(&part("spawn_many"), sql)).transpose()?;
        let undo = undo.as_ref().map(|undo| undo.try_map(|sql| self.statement(&part("undo"), sql))).transpose()?;
        Ok(Generation {
            name: name.clone(),
            requires: required,
            version,
            rights: needed,
            key: taken_apart,
            runs: self.statement(&part("runs"), runs)?,
            states: own_words,
            spawn: spawn.try_map(|sql| self.statement(&part("spawn"), sql))?,
            spawn_many,
            undo,
        })
    }

    fn statement(&mut self, part: &str, sql: &str) -> Result<String, HostError> {
        let engine = self.profile.engine;
        self.fill(part, sql, |parameter, value| Ok(parameter.in_sql(value, engine)))
    }

    /// What is no statement: the name of a table, a column or a schema, or how the runner is seen.
    fn name(&mut self, part: &str, name: &str) -> Result<String, HostError> {
        self.fill(part, name, |parameter, value| match parameter.kind {
            ParameterKind::Name => Ok(value.to_owned()),
            ParameterKind::Text => Err("is a text, and can't stand in a name; make its kind \"name\", or use another"),
        })
    }

    /// What else stands in two braces, as the text of an array of arrays does, is left as it is.
    fn fill(
        &mut self,
        part: &str,
        text: &str,
        spell: impl Fn(&Parameter, &str) -> Result<String, &'static str>,
    ) -> Result<String, HostError> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            filled.push_str(before);
            match behind.split_once("}}").map(|(name, rest)| (name.trim(), rest)).filter(|(name, _)| is_name(name)) {
                Some((name, behind)) => {
                    let wrong = |why: &str| self.profile.wrong(part, format!("{{{{{name}}}}} {why}"));
                    let parameter = self.parameters.get(name).ok_or_else(|| {
                        wrong(&format!(
                            "is no parameter that the profile declares{}",
                            instead_of(name, self.parameters)
                        ))
                    })?;
                    let set = self.profile.settings.iter().find(|set| set.name == name);
                    let value = set.map(|set| set.value.as_str()).unwrap_or_default();
                    filled.push_str(&spell(parameter, value).map_err(wrong)?);
                    self.used.insert(name.to_owned());
                    rest = behind;
                }
                None => {
                    filled.push_str("{{");
                    rest = behind;
                }
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }
}
