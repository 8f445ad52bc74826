//! What may stand where the cursor is.

use std::time::Duration;

use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use super::super::Cli;
use super::super::arguments::StoreArguments;
use super::super::known::{Known, status_words};
use crate::Plugin;
use crate::contract::OperationsQuery;
use crate::host::profile::Profile;

/// Who presses Tab does not wait for somebody else's lock.
const PATIENCE: Duration = Duration::from_secs(1);

/// A candidate, and a few words about it.
type Candidate = (String, String);

/// What the last one of these words may become.
pub(super) fn of(words: &[String]) -> Vec<Candidate> {
    let Some((current, before)) = words.split_last() else { return Vec::new() };
    let mut root = Cli::command();
    root.build();
    let mut line = Line { command: &root, flag: None, places: 0, only_places: false };
    before.iter().skip(1).for_each(|word| line.read(word));

    let typed = Typed(before);
    let mut found = match line.flag {
        Some((flag, _)) if !(current.starts_with('-') && may_be_left_out(flag)) => typed.values(flag, current),
        _ if line.only_places || !current.starts_with('-') => match line.place() {
            Some(place) => typed.values(place, current),
            None => names(line.command),
        },
        _ => match current.split_once('=') {
            Some((name, value)) => {
                let flag = line.flag_named(name.trim_start_matches('-'));
                let values = flag.map(|flag| typed.values(flag, value)).unwrap_or_default();
                values.into_iter().map(|(value, about)| (format!("{name}={value}"), about)).collect()
            }
            None => flags(line.command),
        },
    };
    found.retain(|(value, _)| value.starts_with(current.as_str()));
    found
}

/// What stands before the cursor.
struct Line<'c> {
    command: &'c Command,
    /// A flag that wants so many values still.
    flag: Option<(&'c Arg, usize)>,
    /// How many arguments there were that are no flags.
    places: usize,
    /// After `--`.
    only_places: bool,
}

impl<'c> Line<'c> {
    fn read(&mut self, word: &str) {
        match self.flag.take() {
            Some((flag, _)) if word.starts_with('-') && may_be_left_out(flag) => {}
            Some((flag, wanted)) => {
                self.flag = (wanted > 1).then_some((flag, wanted - 1));
                return;
            }
            None => {}
        }
        if self.only_places {
            self.places += 1;
        } else if word == "--" {
            self.only_places = true;
        } else if let Some(name) = word.strip_prefix("--") {
            let values = |flag: &Arg| flag.get_num_args().map_or(0, |values| values.max_values());
            self.flag = self.flag_named(name).map(|flag| (flag, values(flag))).filter(|(_, values)| *values > 0);
        } else if word.starts_with('-') {
        } else if let Some(command) = self.command.find_subcommand(word).filter(|_| self.places == 0) {
            self.command = command;
        } else {
            self.places += 1;
        }
    }

    fn flag_named(&self, name: &str) -> Option<&'c Arg> {
        self.command.get_arguments().find(|flag| flag.get_long() == Some(name))
    }

    /// The argument whose turn it is.
    fn place(&self) -> Option<&'c Arg> {
        self.command.get_positionals().nth(self.places)
    }
}

/// As the time of `--wait`.
fn may_be_left_out(flag: &Arg) -> bool {
    flag.get_num_args().is_some_and(|values| values.min_values() == 0)
}

/// A command's own commands; where it has none, its flags.
fn names(command: &Command) -> Vec<Candidate> {
    if !command.has_subcommands() {
        return flags(command);
    }
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    let about = |command: &Command| command.get_about().map(ToString::to_string).unwrap_or_default();
    commands.map(|command| (command.get_name().to_owned(), about(command))).collect()
}

fn flags(command: &Command) -> Vec<Candidate> {
    let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
    let about = |flag: &Arg| flag.get_help().map(ToString::to_string).unwrap_or_default();
    flags.filter_map(|flag| Some((format!("--{}", flag.get_long()?), about(flag)))).collect()
}

/// The words before the cursor, as they name a store.
struct Typed<'w>(&'w [String]);

impl Typed<'_> {
    /// What a flag or an argument may be; nothing where it may be anything, a file for one.
    fn values(&self, of: &Arg, current: &str) -> Vec<Candidate> {
        let plain = |value: &str| (value.to_owned(), String::new());
        match of.get_id().as_str() {
            "task" | "except_task" => self.known().tasks.iter().map(|task| plain(task)).collect(),
            "status" => {
                // The last one of a list.
                let list = current.rfind(',').map_or("", |comma| &current[..=comma]);
                let mut words = self.known().words;
                words.extend(status_words().map(str::to_owned));
                words.iter().map(|word| plain(&format!("{list}{word}"))).collect()
            }
            "profile" | "name" => Profile::built_in_names().map(plain).collect(),
            "operation" | "before" => self.operations().unwrap_or_default(),
            _ => of
                .get_possible_values()
                .iter()
                .map(|value| {
                    (value.get_name().to_owned(), value.get_help().map(ToString::to_string).unwrap_or_default())
                })
                .collect(),
        }
    }

    fn known(&self) -> Known {
        self.store().map(|plugin| Known::of(&plugin)).unwrap_or_default()
    }

    fn operations(&self) -> Option<Vec<Candidate>> {
        let query = OperationsQuery { limit: Some(50), ..OperationsQuery::default() };
        let operations = self.store()?.operations(&query).ok()?.operations;
        let about = |who: Option<String>, when: &str, why: Option<String>| {
            [Some(when.to_owned()), who, why].into_iter().flatten().collect::<Vec<_>>().join(", ")
        };
        let candidate = operations
            .into_iter()
            .map(|operation| (operation.operation_id, about(operation.actor, &operation.created_at, operation.reason)));
        Some(candidate.collect())
    }

    /// The store, if it is named so far, and can be opened.
    fn store(&self) -> Option<Plugin> {
        let matches = Cli::command().ignore_errors(true).try_get_matches_from(self.0).ok()?;
        let mut store = StoreArguments::from_arg_matches(innermost(&matches)).ok()?;
        store.busy_timeout = store.busy_timeout.min(PATIENCE);
        store.open().ok()
    }
}

fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, matches)| innermost(matches))
}
