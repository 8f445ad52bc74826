//! `bulk-rerun show`: one operation, and where its new runs stand now.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::arguments::StoreArguments;
use super::output::{BOLD, People, printable};
use super::{Failure, report, standings};
use crate::contract::{Operation, Spelling};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  # What, who, when and why, and where the new runs stand now
  bulk-rerun show --store runwisp.db 01JRX3M7ZD7Q8M5T8E2Y9V4B6C")]
pub(super) struct Arguments {
    /// The operation's id, as `rerun` and `history` show it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    operation: String,
    /// Print the operation as JSON on standard output
    #[arg(long)]
    pub(super) json: bool,
    /// Do not make the tables fit the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let operation = arguments.store.open()?.operation(&arguments.operation)?;
    if arguments.json {
        writeln!(io::stdout(), "{}", operation.to_json(Spelling::default()))?;
    } else {
        print(&mut People::on_stdout(arguments.wide), &operation)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(out: &mut People, operation: &Operation) -> Result<(), Failure> {
    let mut line =
        |label: &str, text: &str| writeln!(out, "{BOLD}{label:10}{BOLD:#} {}", printable(text)).map_err(Failure::from);
    line("operation", &operation.operation_id)?;
    line("when", &report::to_the_second(&operation.created_at))?;
    line("who", &format!("{}, through {}", operation.actor.as_deref().unwrap_or("nobody named"), operation.door))?;
    for (label, text) in [("why", &operation.reason), ("key", &operation.idempotency_key)] {
        text.as_deref().map_or(Ok(()), |text| line(label, text))?;
    }
    line("request", &operation.request.to_string())?;
    let states = operation.states.as_ref().filter(|states| !states.is_empty()).map(standings::in_words);
    line("new runs", &states.map_or("none".to_owned(), |states| format!("{}: {states}", operation.triggered)))?;
    line("skipped", &operation.skipped.to_string())?;
    if let Some(undone_at) = &operation.undone_at {
        line("undone", &format!("{}, as far as nothing had begun", report::to_the_second(undone_at)))?;
    }
    match operation.runs.as_deref() {
        Some(runs @ [_, ..]) => standings::print(out, runs),
        _ => Ok(()),
    }
}
