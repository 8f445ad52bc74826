//! The command line as it was typed. What is wrong with it is told like any other error: as JSON where JSON was asked for.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};

use super::Cli;
use super::output::print_error;
use crate::contract::ErrorModel;

/// The command line, or the exit status of a wrong one, or of `--help`.
pub(super) fn parse() -> Result<Cli, ExitCode> {
    let typed: Vec<OsString> = env::args_os().collect();
    let json = wants_json(&typed);
    let wrong = |detail: String| {
        print_error(&ErrorModel::new(400, detail), json);
        ExitCode::from(2)
    };
    let mut command = Cli::command();
    let parsed = command.try_get_matches_from_mut(typed).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((cli, blank_flag(&command, &matches)))
    });
    match parsed {
        Ok((cli, None)) => Ok(cli),
        Ok((_, Some(flag))) => Err(wrong(is_blank(&flag))),
        Err(error) => match blank_value(&error) {
            Some(flag) => Err(wrong(is_blank(&flag))),
            None if json && error.use_stderr() => Err(wrong(in_one_line(&error))),
            None => error.exit(),
        },
    }
}

/// A script has arguments of its own, and after `--` none is a flag.
fn wants_json(typed: &[OsString]) -> bool {
    let is_script = typed.get(1).is_some_and(|command| command == "lua");
    !is_script && typed.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json")
}

/// A flag that was typed with nothing but blanks, all of them or one of a list: most often a variable that is not set. What
/// it was to leave out or to ask for would be forgotten in silence.
fn blank_flag(command: &Command, matches: &ArgMatches) -> Option<String> {
    let (name, matches) = matches.subcommand()?;
    let command = command.find_subcommand(name)?;
    let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let mut flags = command.get_arguments().filter(|flag| flag.get_long().is_some() && typed(flag.get_id().as_str()));
    flags.find_map(|flag| {
        let mut values = matches.get_raw(flag.get_id().as_str())?;
        // The words of a status are taken apart later.
        let words = if flag.get_id() == "status" { "," } else { "" };
        let is_blank = |text: &str| text.chars().all(|sign| sign.is_whitespace() || words.contains(sign));
        values
            .any(|value| value.to_str().is_some_and(is_blank))
            .then(|| format!("--{}", flag.get_long().unwrap_or_default()))
    })
}

/// The flag whose value is blank, where that is what is wrong.
fn blank_value(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let is_value = matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation);
    let flag = text(ContextKind::InvalidArg)?.split([' ', '=']).next()?;
    (is_value && text(ContextKind::InvalidValue)?.trim().is_empty()).then(|| flag.to_owned())
}

fn is_blank(flag: &str) -> String {
    format!("{flag} is blank, probably because a variable is not set; give it a value, or leave it out")
}

/// What clap says over several lines, without its advice to ask for help.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let said =
        paragraphs.filter(|text| !text.is_empty() && !text.starts_with("Usage:") && !text.starts_with("For more "));
    said.collect::<Vec<_>>().join("; ").trim_start_matches("error: ").to_owned()
}
