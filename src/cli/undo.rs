//! `bulk-rerun undo`: takes back what no worker has begun of an operation.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::arguments::StoreArguments;
use super::interrupt::Interruptible;
use super::output::{BOLD, GOOD, People, count};
use super::progress::watch;
use super::table::{Column, print_table};
use super::{Failure, ask, standings};
use crate::Plugin;
use crate::contract::{KeptRun, NewRun, Spelling, Standing, Undone};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Takes back, in one transaction, every new run of an operation that is pending.
What a worker has begun, or has done, is kept and listed. Not every runner's
jobs can be taken back; where they can't, it says so and changes nothing.

Examples:
  # Shows what would be taken back, and asks
  bulk-rerun undo --store runwisp.db 01JRX3M7ZD7Q8M5T8E2Y9V4B6C

  # From a script
  bulk-rerun undo --store runwisp.db 01JRX3M7ZD7Q8M5T8E2Y9V4B6C \\
    --yes --json

Exit status:
  0    done; nothing left to take back is done, too
  1    failed, or declined; nothing was changed
  2    bad usage
  6    done, but the answer could not be written
  130  interrupted (Ctrl-C); nothing was changed")]
pub(super) struct Arguments {
    /// The operation's id, as `rerun` and `history` show it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    operation: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print what was taken back, and what was kept, as JSON on standard output, and nothing else there
    #[arg(long)]
    pub(super) json: bool,
    /// Do not make the tables fit the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if !arguments.yes {
        ask::needs_a_terminal("`bulk-rerun show`")?;
    }
    let calls = Interruptible::begin()?;
    let plugin = arguments.store.open()?;
    if !arguments.yes {
        match ask(&plugin, arguments).map_err(Failure::while_nothing_is_done)? {
            Answer::No => return Err(Failure::Declined),
            Answer::NothingToDo(kept) => {
                // People have read it.
                if arguments.json {
                    print(arguments, &Undone { kept, ..Undone::default() })?;
                }
                return Ok(ExitCode::SUCCESS);
            }
            Answer::Yes => {}
        }
    }
    // It is one transaction, and is finished.
    calls.only_note();
    let undone = watch("taking back", || plugin.undo(&arguments.operation))?;
    let told = print(arguments, &undone);
    if undone.undone.is_empty() {
        told?;
    } else {
        told.map_err(|failure| failure.when_done("but what was pending is taken back: `bulk-rerun show` tells"))?;
    }
    Ok(ExitCode::SUCCESS)
}

enum Answer {
    Yes,
    No,
    NothingToDo(Vec<KeptRun>),
}

/// Shows what would be taken back, and asks.
fn ask(plugin: &Plugin, arguments: &Arguments) -> Result<Answer, Failure> {
    let runs = plugin.operation(&arguments.operation)?.runs.unwrap_or_default();
    let (pending, others): (Vec<NewRun>, Vec<NewRun>) =
        runs.into_iter().partition(|run| run.standing.phase == "pending");
    let people = &mut ask::shown_on(arguments.json, arguments.wide);
    if pending.is_empty() {
        writeln!(people, "Nothing to take back: no new run of it is pending.")?;
        let kept =
            others.into_iter().filter(|run| run.standing.phase != Standing::UNDONE).map(|NewRun { run, standing }| {
                let Standing { phase, end_reason, .. } = standing;
                KeptRun { task_name: run.task_name, run_id: run.run_id, phase, end_reason }
            });
        return Ok(Answer::NothingToDo(kept.collect()));
    }
    let number = count(pending.len() as u64, "new run");
    writeln!(people, "{BOLD}{number} would be taken back{BOLD:#}")?;
    standings::print(people, &pending)?;
    Ok(if ask::is_wanted(&format!("Take {number} back?"))? { Answer::Yes } else { Answer::No })
}

fn print(arguments: &Arguments, undone: &Undone) -> Result<(), Failure> {
    if arguments.json {
        writeln!(io::stdout(), "{}", undone.to_json(Spelling::default()))?;
        return Ok(());
    }
    let people = &mut People::on_stdout(arguments.wide);
    match undone.undone.len() {
        0 => writeln!(people, "{BOLD}Nothing was taken back.{BOLD:#}")?,
        number => writeln!(people, "{GOOD}{} taken back{GOOD:#}", count(number as u64, "new run"))?,
    }
    if undone.kept.is_empty() {
        return Ok(());
    }
    writeln!(people, "\n{BOLD}{} kept{BOLD:#}, since a worker has begun it, or it is over\n", undone.kept.len())?;
    let row = |run: &KeptRun| {
        let word = run.end_reason.as_ref().unwrap_or(&run.phase).clone();
        vec![run.task_name.clone(), run.run_id.clone(), word]
    };
    let columns = [Column::Text("TASK"), Column::Id("NEW RUN"), Column::Text("NOW")];
    Ok(print_table(people, &columns, undone.kept.iter().map(row).collect())?)
}
