//! The command line tool: one door among others, over the same contract.

mod arguments;
mod ask;
mod check;
mod completions;
mod demo;
mod failures;
mod flag_words;
mod history;
mod interrupt;
mod known;
mod ledger;
mod log;
#[cfg(feature = "lua")]
mod lua;
mod man;
mod moments;
mod output;
mod page_link;
mod parameters;
mod profiles;
mod progress;
mod report;
mod rerun;
#[cfg(feature = "http")]
mod serve;
mod shell;
mod show;
mod standings;
mod table;
mod undo;
mod unknown_words;
mod usage;
mod wait;
mod waiting;

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::contract::ErrorModel;
use interrupt::NoAnswer;
use output::print_error;

/// Re-run the unique tasks behind a selector's runs, inside the job runner's own store.
#[derive(Debug, Parser)]
#[command(name = "bulk-rerun", version, about, long_about = None, max_term_width = 100, after_long_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  # See it work on a made-up store
  bulk-rerun demo

  # Does it fit your store?
  bulk-rerun check --store .runwisp/runwisp.db

  # What failed last night?
  bulk-rerun failures --store .runwisp/runwisp.db

  # What would be re-run of a day's failures?
  bulk-rerun rerun --store .runwisp/runwisp.db --dry-run \\
    --status failed,timeout --since 24h

  # What was re-run today, where the store has a ledger?
  bulk-rerun history --store .runwisp/runwisp.db --since 24h

Exit status:
  0    done; nothing to do is done, too
  1    failed, or declined; nothing was changed
  2    bad usage
  3    done, but some runs were skipped since the host refused them
  4    waited for, and a new run has not succeeded
  5    waited for, and the time is up
  6    done, but the answer could not be written
  130  interrupted (Ctrl-C); nothing was changed, or no longer waiting";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a store with a bad night in it, and re-run what failed
    Demo(demo::Arguments),
    /// Tell what failed, how often, and from when to when; changes nothing
    Failures(Box<failures::Arguments>),
    /// Re-run the unique tasks behind the selected runs
    Rerun(Box<rerun::Arguments>),
    /// Serve the operation over HTTP, with a page for operators
    #[cfg(feature = "http")]
    Serve(Box<serve::Arguments>),
    /// List the built-in host profiles, or print one to start your own from
    Profiles(profiles::Arguments),
    /// Tell which profile fits a store, what it holds, and when a re-run would start
    Check(check::Arguments),
    /// Keep a ledger of every re-run in the store, or shorten it, or take it away
    Ledger(ledger::Arguments),
    /// List the re-runs that the ledger has
    History(history::Arguments),
    /// Show one of them, and where its new runs stand now
    Show(show::Arguments),
    /// Take back what no worker has begun of one
    Undo(undo::Arguments),
    /// Wait until the new runs of one have ended; the exit status tells how
    Wait(wait::Arguments),
    /// Run a script in Lua, which may select runs, choose among them, and re-run them
    #[cfg(feature = "lua")]
    Lua(lua::Arguments),
    /// Print what a shell needs to complete these commands, their flags, and tasks of your store
    Completions(completions::Arguments),
    /// Print the manual page of the tool, or of one of its commands
    Man(man::Arguments),
    #[command(name = "__complete", hide = true)]
    Complete(completions::Question),
}

impl Command {
    /// Whether the answer is JSON, errors too.
    fn is_in_json(&self) -> bool {
        match self {
            Command::Rerun(arguments) => arguments.output.json,
            Command::Failures(arguments) => arguments.json,
            Command::Check(arguments) => arguments.json,
            Command::Profiles(arguments) => arguments.json,
            Command::History(arguments) => arguments.json,
            Command::Show(arguments) => arguments.json,
            Command::Undo(arguments) => arguments.json,
            Command::Wait(arguments) => arguments.json,
            _ => false,
        }
    }

    /// Whether the request was made of flags, and no file says it in the contract's own words.
    fn has_flags_for_fields(&self) -> bool {
        match self {
            Command::Rerun(arguments) => !arguments.selector.is_a_file(),
            Command::Failures(arguments) => !arguments.selector.is_a_file(),
            _ => false,
        }
    }
}

/// Why a command did not do what it was told.
#[derive(Debug)]
enum Failure {
    /// The command line or the selector is wrong: exit status 2.
    Usage(ErrorModel),
    /// The operation failed, and has changed nothing: exit status 1.
    Failed(ErrorModel),
    /// Our own output could not be written; what was to be done was no more than that.
    Output(io::Error),
    /// What was to be done is done, and the answer that tells it could not be written: what is said of it instead.
    Untold(io::Error, &'static str),
    /// Ctrl-C stopped it, and nothing was changed.
    Interrupted(ErrorModel),
    /// The user said no.
    Declined,
}

impl Failure {
    /// The same while nothing was done yet of what was to be done.
    fn while_nothing_is_done(self) -> Failure {
        match self {
            Failure::Output(error) => Failure::Failed(unwritable(&error, "nothing was changed")),
            other => other,
        }
    }

    /// The same when it is done.
    fn when_done(self, done: &'static str) -> Failure {
        match self {
            Failure::Output(error) => Failure::Untold(error, done),
            other => other,
        }
    }
}

fn unwritable(error: &io::Error, done: &str) -> ErrorModel {
    ErrorModel::new(500, format!("the output can't be written: {error}; {done}"))
}

impl From<ErrorModel> for Failure {
    fn from(error: ErrorModel) -> Self {
        Failure::Failed(error)
    }
}

impl From<NoAnswer> for Failure {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::Failed(error) => Failure::Failed(error),
            NoAnswer::Interrupted(error) => Failure::Interrupted(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

/// Runs the tool with the process's arguments and answers its exit status.
pub fn main() -> ExitCode {
    let cli = match usage::parse() {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    match &cli.command {
        // A server has a log of its own.
        #[cfg(feature = "http")]
        Command::Serve(_) => {}
        _ => log::causes(),
    }
    let json = cli.command.is_in_json();
    let has_flags = cli.command.has_flags_for_fields();
    let in_words = |error: ErrorModel| if has_flags && !json { flag_words::error_in_flags(error) } else { error };
    let done = match cli.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Rerun(arguments) => rerun::run(&arguments),
        Command::Failures(arguments) => failures::run(&arguments),
        Command::Profiles(arguments) => profiles::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Ledger(arguments) => ledger::run(&arguments),
        Command::History(arguments) => history::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Undo(arguments) => undo::run(&arguments),
        Command::Wait(arguments) => wait::run(&arguments),
        #[cfg(feature = "lua")]
        Command::Lua(arguments) => lua::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Complete(question) => completions::answer(&question),
        Command::Man(arguments) => man::run(&arguments),
        #[cfg(feature = "http")]
        Command::Serve(arguments) => serve::run(&arguments),
    };
    match done {
        Ok(status) => status,
        Err(Failure::Usage(error)) => {
            print_error(&in_words(error), json);
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            print_error(&in_words(error), json);
            ExitCode::FAILURE
        }
        Err(Failure::Interrupted(error)) => {
            print_error(&error, json);
            ExitCode::from(interrupt::STATUS)
        }
        Err(Failure::Declined) => ExitCode::FAILURE,
        // Whoever reads a list or a plan has seen enough (`| head`).
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => {
            print_error(&unwritable(&error, "nothing was changed"), false);
            ExitCode::FAILURE
        }
        Err(Failure::Untold(error, done)) => {
            print_error(&unwritable(&error, done), false);
            ExitCode::from(6)
        }
    }
}
