//! The task catalogue: what a `runwisp.toml` says about the tasks that may be started by hand.
//!
//! Its rules are RunWisp's own (`internal/config/include.go` in its public repository): includes
//! are globs relative to the file, only the root file includes, a pattern that matches nothing is
//! fine, and a name that stands in two files is an error.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::contract::{ErrorModel, Reason};
use crate::host::Key;
use crate::toml_words::mistake;

/// The tasks that a runner knows.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    entries: HashMap<String, Entry>,
    /// The file also takes tasks from elsewhere (compose projects, crontabs), so that a name which
    /// is not listed may still be a task.
    open: bool,
}

/// What a catalogue says of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may be started by hand.
    MayStart,
    /// It may not, for this reason.
    MayNot(Reason),
    /// The catalogue does not have it, and is not the only place that tasks come from.
    Unknown,
}

#[derive(Debug, Clone)]
struct Entry {
    refusal: Option<Reason>,
    file: PathBuf,
}

/// The parts of a `runwisp.toml` that matter here.
#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    daemon: Daemon,
    tasks: HashMap<String, Task>,
    services: HashMap<String, toml::Value>,
    compose: HashMap<String, toml::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a table, as in [daemon]")]
struct Daemon {
    include: Vec<String>,
    include_cron: toml::value::Array,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a table, as in [tasks.backup]")]
struct Task {
    /// RunWisp's first name for `manual_trigger`.
    api_trigger: Option<bool>,
    manual_trigger: Option<bool>,
}

impl Catalogue {
    /// Reads a `runwisp.toml` and the files that it includes.
    ///
    /// # Errors
    ///
    /// 500 if a file can't be read or understood; the detail names it.
    pub fn read(path: &Path) -> Result<Catalogue, ErrorModel> {
        let mut catalogue = Catalogue::default();
        let root = read_file(path)?;
        let mut seen = HashSet::from([identity(path)]);
        for pattern in &root.daemon.include {
            for included in matches(path, pattern)? {
                // A file counts once, however it is reached; the root is not included in itself.
                if !seen.insert(identity(&included)) {
                    continue;
                }
                let file = read_file(&included)?;
                if !file.daemon.include.is_empty() {
                    return Err(unusable(&included, "it sets [daemon] include, which only the root file may"));
                }
                catalogue.add(&included, file)?;
            }
        }
        catalogue.open |= !root.daemon.include_cron.is_empty();
        catalogue.add(path, root)?;
        Ok(catalogue)
    }

    /// Whether a task may be started by hand.
    pub(crate) fn verdict(&self, task_name: &Key<'_>) -> Verdict {
        let name = task_name.spelled().filter(|_| task_name.fault().is_none());
        let entry = name.and_then(|name| self.entries.get(&*name));
        match entry.map(|entry| entry.refusal) {
            Some(Some(reason)) => Verdict::MayNot(reason),
            Some(None) => Verdict::MayStart,
            None if self.open => Verdict::Unknown,
            None => Verdict::MayNot(Reason::UnknownTask),
        }
    }

    /// The tasks that it names.
    #[cfg(feature = "cli")]
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    fn add(&mut self, path: &Path, file: File) -> Result<(), ErrorModel> {
        self.open |= !file.compose.is_empty();
        let tasks = file.tasks.into_iter().map(|(name, task)| {
            let by_hand = task.manual_trigger.or(task.api_trigger).unwrap_or(true);
            (name, (!by_hand).then_some(Reason::TriggerDisabled))
        });
        let services = file.services.into_keys().map(|name| (name, Some(Reason::Service)));
        for (name, refusal) in tasks.chain(services) {
            if let Some(other) = self.entries.get(&name) {
                let message = format!("the name {name:?} is already taken in {}", other.file.display());
                return Err(unusable(path, &message));
            }
            self.entries.insert(name, Entry { refusal, file: path.to_owned() });
        }
        Ok(())
    }
}

fn read_file(path: &Path) -> Result<File, ErrorModel> {
    let text = fs::read_to_string(path).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::IsADirectory | ErrorKind::NotFound => "; name the runner's own file, such as runwisp.toml",
            _ => "",
        };
        unusable(path, &format!("it can't be read: {error}{hint}"))
    })?;
    toml::from_str(&text).map_err(|error| unusable(path, &mistake(&text, &error)))
}

/// What a file is known by, whatever path leads to it.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The files that a pattern matches, relative to the root file's folder.
fn matches(root: &Path, pattern: &str) -> Result<Vec<PathBuf>, ErrorModel> {
    let folder = root.parent().unwrap_or(Path::new(""));
    // The folder is meant as it is, whatever signs its name has.
    let folder = glob::Pattern::escape(&folder.to_string_lossy());
    let absolute = if Path::new(pattern).is_absolute() || folder.is_empty() {
        pattern.to_owned()
    } else {
        format!("{folder}/{pattern}")
    };
    let found = glob::glob(&absolute)
        .map_err(|error| unusable(root, &format!("[daemon] include {pattern:?} is no pattern: {error}")))?;
    // What is matched and can't be read, such as a link to nowhere, is an error when it is read.
    Ok(found.filter_map(Result::ok).filter(|path| !path.is_dir()).collect())
}

fn unusable(path: &Path, message: &str) -> ErrorModel {
    ErrorModel::new(500, format!("the task catalogue {}: {message}", path.display()))
}
