//! `bulk-rerun history`: the re-runs that the ledger has.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use super::arguments::StoreArguments;
use super::moments::moment;
use super::output::{DIM, People};
use super::report;
use super::table::{Column, print_whole_table};
use crate::Plugin;
use crate::contract::{ErrorModel, Instant, Operation, OperationsQuery, Spelling};

#[derive(Debug, Args)]
#[command(after_long_help = "\
It needs the ledger (`bulk-rerun ledger`), and knows of what was done since that
was made.

Examples:
  # The last re-runs
  bulk-rerun history --store runwisp.db

  # What was re-run today?
  bulk-rerun history --store runwisp.db --since 24h --limit 100

  # Where does this run come from, and was it re-run itself?
  bulk-rerun history --store runwisp.db --run 01JRX3M7ZD7Q8M5T8E2Y9V4B6C")]
pub(super) struct Arguments {
    /// Those at this time or later: 24h (ago), 7d, or 2026-04-15T02:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<Instant>,
    /// Those that made this run, or re-ran it
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// Those before this one, which was the last one of the list before
    #[arg(long, value_name = "OPERATION")]
    before: Option<String>,
    /// Print them as JSON on standard output
    #[arg(long)]
    pub(super) json: bool,
    /// Do not make the table fit the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
    #[command(flatten)]
    store: StoreArguments,
}

fn instant(text: &str) -> Result<Instant, String> {
    moment(text)?.parse().map_err(|error| format!("{error}"))
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let plugin = arguments.store.open()?;
    let mut query = OperationsQuery {
        limit: Some(arguments.limit),
        before: arguments.before.clone(),
        created_after: arguments.since,
        run_id: arguments.run.clone(),
        ..OperationsQuery::default()
    };
    if arguments.json {
        writeln!(io::stdout(), "{}", plugin.operations(&query)?.to_json(Spelling::default()))?;
        return Ok(ExitCode::SUCCESS);
    }
    // With one more it is known whether there are more.
    query.limit = Some(arguments.limit + 1);
    let mut operations = plugin.operations(&query)?.operations;
    let is_cut = operations.len() as u64 > arguments.limit;
    operations.truncate(usize::try_from(arguments.limit).unwrap_or(usize::MAX));
    print(arguments, &plugin, &operations, is_cut)?;
    Ok(ExitCode::SUCCESS)
}

const UNDONE: Column = Column::Time("UNDONE");

fn print(arguments: &Arguments, plugin: &Plugin, operations: &[Operation], is_cut: bool) -> Result<(), Failure> {
    let out = &mut People::on_stdout(arguments.wide);
    let Some(last) = operations.last() else {
        writeln!(out, "The ledger has no such re-run.")?;
        return Ok(());
    };
    let mut columns = vec![
        Column::Id("OPERATION"),
        Column::Time("WHEN"),
        Column::Text("WHO"),
        Column::Text("DOOR"),
        Column::Number("NEW RUNS"),
        Column::Number("SKIPPED"),
        UNDONE,
        Column::Detail("REASON"),
    ];
    if arguments.run.is_some() {
        columns.splice(1..1, [Column::Text("THE RUN"), Column::Id("OTHER RUN")]);
    }
    let row = |operation: &Operation| {
        let mut row = vec![
            operation.operation_id.clone(),
            report::to_the_second(&operation.created_at),
            operation.actor.clone().unwrap_or_else(|| "-".to_owned()),
            operation.door.clone(),
            operation.triggered.to_string(),
            operation.skipped.to_string(),
            operation.undone_at.as_deref().map(report::to_the_second).unwrap_or_default(),
            operation.reason.clone().unwrap_or_default(),
        ];
        if let Some(run_id) = &arguments.run {
            row.splice(1..1, part_of(plugin, &operation.operation_id, run_id)?);
        }
        Ok(row)
    };
    let mut rows = operations.iter().map(row).collect::<Result<Vec<Vec<String>>, ErrorModel>>()?;
    // Where none is undone there is the more room to say why they were made.
    if operations.iter().all(|operation| operation.undone_at.is_none()) {
        columns.retain(|column| *column != UNDONE);
        rows.iter_mut().for_each(|row| drop(row.remove(row.len() - 2)));
    }
    print_whole_table(out, &columns, rows)?;
    if is_cut {
        writeln!(out, "\n{DIM}There are more; to go on: --before {}{DIM:#}", last.operation_id)?;
    }
    Ok(())
}

/// What an operation has to do with a run, and the run at its other end.
fn part_of(plugin: &Plugin, operation_id: &str, run_id: &str) -> Result<[String; 2], ErrorModel> {
    let runs = plugin.operation(operation_id)?.runs.unwrap_or_default();
    let made = runs.iter().find(|new| new.run.run_id == run_id).map(|new| ("is a re-run of", &new.run.rerun_of));
    let reran = || runs.iter().find(|new| new.run.rerun_of == run_id).map(|new| ("was re-run as", &new.run.run_id));
    let (words, other) = made.or_else(reran).map_or(("", String::new()), |(words, other)| (words, other.clone()));
    Ok([words.to_owned(), other])
}
