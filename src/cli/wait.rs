//! `bulk-rerun wait`: waits until an operation's new runs have ended, and tells whether they have succeeded.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::Failure;
use super::arguments::StoreArguments;
use super::interrupt::Interruptible;
use super::output::People;
use super::waiting::{self, Waited};
use crate::contract::{ErrorModel, Operation, Spelling, Standing};

#[derive(Debug, Args)]
#[command(after_long_help = "\
It needs the ledger (`bulk-rerun ledger`); right after a re-run, `rerun --wait`
does without. Whatever ends the waiting, the new runs go on.

Examples:
  # Did last night's re-run do any good? Half an hour is long enough
  bulk-rerun wait --store runwisp.db 01JRX3M7ZD7Q8M5T8E2Y9V4B6C \\
    --timeout 30m

  # Have they ended by now? Status 5 if not
  bulk-rerun wait --store runwisp.db 01JRX3M7ZD7Q8M5T8E2Y9V4B6C \\
    --timeout 0s --json

Exit status:
  0    all new runs have succeeded
  1    it can't be told; the new runs go on
  2    bad usage
  4    a new run has not succeeded
  5    the time is up
  130  interrupted (Ctrl-C); the new runs go on")]
pub(super) struct Arguments {
    /// The operation's id, as `rerun` and `history` show it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    operation: String,
    /// Wait no longer than this
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Print the operation with each run's end as JSON on standard output, and nothing else there
    #[arg(long)]
    pub(super) json: bool,
    /// Do not make the tables fit the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let calls = Interruptible::begin()?;
    let plugin = arguments.store.open()?;
    let mut operation = plugin.operation(&arguments.operation)?;
    let id = Some(operation.operation_id.as_str());
    let runs = operation.runs.take().unwrap_or_default();
    let waited = waiting::until_ended(&plugin, &calls, runs, id, arguments.timeout).map_err(|error| {
        let detail =
            format!("waiting failed, and the new runs go on. What failed is to look where they stand: {error}");
        ErrorModel { detail, ..error }
    })?;
    waited.say_why(id);
    if waited.runs.iter().any(|run| run.standing.phase == Standing::UNDONE) {
        // Maybe since we began to wait; what is known will do, if it can't be told.
        operation.undone_at =
            plugin.operation(&operation.operation_id).map_or(operation.undone_at, |now| now.undone_at);
    }
    let status = waited.status().unwrap_or(ExitCode::SUCCESS);
    match print(arguments, operation, waited) {
        // How the runs have ended matters to whoever reads no further, too.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(status),
        told => told.map(|()| status),
    }
}

fn print(arguments: &Arguments, operation: Operation, waited: Waited) -> Result<(), Failure> {
    if arguments.json {
        let states = Some(waited.states());
        let operation = Operation { states, runs: Some(waited.runs), ..operation };
        writeln!(io::stdout(), "{}", operation.to_json(Spelling::default()))?;
        return Ok(());
    }
    let people = &mut People::on_stdout(arguments.wide);
    if waited.runs.is_empty() {
        writeln!(people, "The operation has no new runs: there is nothing to wait for.")?;
    }
    waited.print(people)
}
