//! The command line tool: one door among others, over the same contract.

mod arguments;
mod check;
mod demo;
mod log;
#[cfg(feature = "lua")]
mod lua;
mod output;
mod profiles;
mod progress;
mod report;
mod rerun;
#[cfg(feature = "http")]
mod serve;

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::contract::ErrorModel;
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
  bulk-rerun demo                                          see it work on a made-up store
  bulk-rerun check --store .runwisp/runwisp.db             does it fit your store?
  bulk-rerun rerun --store .runwisp/runwisp.db --status failed,timeout --since 24h --dry-run

Exit status: 0 done, 1 failed, 2 bad usage, 3 done but the host refused some.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a store with a bad night in it, and re-run what failed
    Demo {
        /// The folder for the store; a second demo in it goes on with the same store
        #[arg(default_value = "bulk-rerun-demo")]
        dir: PathBuf,
    },
    /// Re-run the unique tasks behind the selected runs
    Rerun(Box<rerun::Arguments>),
    /// Serve the operation over HTTP, with a page for operators
    #[cfg(feature = "http")]
    Serve(Box<serve::Arguments>),
    /// List the built-in host profiles, or print one to start your own from
    Profiles(profiles::Arguments),
    /// Tell which profile fits a store, what it holds, and when a re-run would start
    Check(check::Arguments),
    /// Run a script in Lua, which may select runs, choose among them, and re-run them
    #[cfg(feature = "lua")]
    Lua(lua::Arguments),
}

/// Why a command did not do what it was told.
#[derive(Debug)]
enum Failure {
    /// The command line or the selector is wrong: exit status 2.
    Usage(ErrorModel),
    /// The operation failed, and has changed nothing: exit status 1.
    Failed(ErrorModel),
    /// Our own output could not be written.
    Output(io::Error),
    /// The user said no.
    Declined,
}

impl From<ErrorModel> for Failure {
    fn from(error: ErrorModel) -> Self {
        Failure::Failed(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

/// Runs the tool with the process's arguments and answers its exit status.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        #[cfg(feature = "http")]
        Command::Serve(arguments) => log::requests(arguments.log_format),
        _ => log::causes(),
    }
    let json = match &cli.command {
        Command::Rerun(arguments) => arguments.json,
        Command::Check(arguments) => arguments.json,
        Command::Profiles(arguments) => arguments.json,
        Command::Demo { .. } => false,
        #[cfg(feature = "lua")]
        Command::Lua(_) => false,
        #[cfg(feature = "http")]
        Command::Serve(_) => false,
    };
    let done = match cli.command {
        Command::Demo { dir } => demo::run(&dir),
        Command::Rerun(arguments) => rerun::run(&arguments),
        Command::Profiles(arguments) => profiles::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        #[cfg(feature = "lua")]
        Command::Lua(arguments) => lua::run(&arguments),
        #[cfg(feature = "http")]
        Command::Serve(arguments) => serve::run(&arguments),
    };
    match done {
        Ok(status) => status,
        Err(Failure::Usage(error)) => {
            print_error(&error, json);
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            print_error(&error, json);
            ExitCode::FAILURE
        }
        Err(Failure::Declined) => ExitCode::FAILURE,
        // Whoever reads us has seen enough (`| head`); what was to be done is done.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => {
            print_error(&ErrorModel::new(500, format!("the output can't be written: {error}")), false);
            ExitCode::FAILURE
        }
    }
}
