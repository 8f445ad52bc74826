//! `bulk-rerun rerun`: shows the plan, asks, and re-runs exactly what was shown.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::Failure;
use super::arguments::{SelectorArguments, StoreArguments};
use super::output::{BOLD, count, for_people};
use super::progress::watch;
use super::report;
use crate::Plugin;
use crate::contract::{BulkRerunBody, ErrorModel, Reason, Request, Spelling, UniqueBy};

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    selector: SelectorArguments,
    #[command(flatten)]
    options: OptionArguments,
    /// Print the answer (or the error) as JSON on standard output, and nothing else there
    #[arg(long)]
    pub(super) json: bool,
}

const EXAMPLES: &str = "\
Examples:
  What would be re-run of last night's failures?
    bulk-rerun rerun --store runwisp.db --status failed,timeout,crashed --since 12h --dry-run
  Re-run them, but not what has succeeded or is running by now:
    bulk-rerun rerun --store runwisp.db --status failed,timeout,crashed --since 12h --skip-superseded --skip-active
  Every failed import, one new run for each distinct set of parameters, from a script:
    bulk-rerun rerun --store runwisp.db --task import-orders --status failed --unique-by params --yes --json
  Exactly these two runs:
    bulk-rerun rerun --store runwisp.db --ids 01JRX3M7ZD7Q8M5T8E2Y9V4B6C,01JRX3N2K4W6P0S9D3F5G7H1JK
  A selector from a file or from another program:
    echo '{\"match_all\":true,\"filter\":{\"exit_code_min\":137}}' | bulk-rerun rerun --store runwisp.db --selector - --yes";

#[derive(Debug, Args)]
#[command(next_help_heading = "What to do")]
struct OptionArguments {
    /// Show what would be re-run; change nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// What gets one new run: each task, each distinct task and parameters, or each selected run
    #[arg(long, value_name = "WHAT", value_enum)]
    unique_by: Option<UniqueByArgument>,
    /// Skip what has a pending or running run
    #[arg(long)]
    skip_active: bool,
    /// Skip what has succeeded since
    #[arg(long)]
    skip_superseded: bool,
    /// At most so many new runs; if there would be more, fail and spawn none
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Go ahead only if the plan is still the one that a dry run showed
    #[arg(long, value_name = "DIGEST")]
    expect_plan: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum UniqueByArgument {
    Task,
    Params,
    Run,
}

impl OptionArguments {
    /// What the flags say goes before what the selector's file says.
    fn apply(&self, request: &mut Request) {
        let options = &mut request.options;
        options.dry_run |= self.dry_run;
        options.skip_active |= self.skip_active;
        options.skip_superseded |= self.skip_superseded;
        options.limit = self.limit.or(options.limit);
        options.expect_plan = self.expect_plan.clone().or(options.expect_plan.take());
        if let Some(unique_by) = self.unique_by {
            options.unique_by = match unique_by {
                UniqueByArgument::Task => UniqueBy::Task,
                UniqueByArgument::Params => UniqueBy::Params,
                UniqueByArgument::Run => UniqueBy::Run,
            };
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut request = arguments.selector.request()?;
    arguments.options.apply(&mut request);
    let mut people = for_people(arguments.json);
    let spelling = request.spelling.unwrap_or_default();

    if request.options.dry_run {
        let plugin = arguments.store.open()?;
        let body = watch("searching the store", || plugin.rerun(&request))?;
        print_answer(&body, arguments.json, spelling, || {
            report::plan(&mut *people, &plugin, &body)?;
            report::how_to_go_on(&mut *people, &body)
        })?;
        return Ok(ExitCode::SUCCESS);
    }

    if !arguments.options.yes {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            let detail = "there is no terminal to ask on: add --yes to go ahead, or --dry-run to look first";
            return Err(Failure::Usage(ErrorModel::new(400, detail)));
        }
        let plugin = arguments.store.open()?;
        return match ask(&plugin, &mut request, &mut *people)? {
            Answer::No => Err(Failure::Declined),
            // For people the plan has said it all.
            Answer::NothingToDo if !arguments.json => Ok(ExitCode::SUCCESS),
            Answer::Yes | Answer::NothingToDo => spawn(&plugin, &request, arguments.json, spelling, &mut *people),
        };
    }
    spawn(&arguments.store.open()?, &request, arguments.json, spelling, &mut *people)
}

enum Answer {
    Yes,
    No,
    NothingToDo,
}

/// Shows the plan and asks; what was shown is what `request` then stands for.
fn ask(plugin: &Plugin, request: &mut Request, people: &mut dyn Write) -> Result<Answer, Failure> {
    request.options.dry_run = true;
    let body = watch("searching the store", || plugin.rerun(request))?;
    request.options.dry_run = false;
    report::plan(people, plugin, &body)?;
    let planned = body.planned.as_ref().map_or(0, Vec::len);
    if planned == 0 {
        writeln!(people, "\nNothing to re-run.")?;
        return Ok(Answer::NothingToDo);
    }
    request.options.expect_plan = request.options.expect_plan.take().or(body.plan);
    let mut terminal = anstream::stderr();
    write!(terminal, "\n{BOLD}Spawn {}?{BOLD:#} [y/N] ", count(planned as u64, "new run"))?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(Answer::Yes);
    }
    writeln!(terminal, "Nothing was changed.")?;
    Ok(Answer::No)
}

fn spawn(
    plugin: &Plugin,
    request: &Request,
    json: bool,
    spelling: Spelling,
    people: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let body = watch("re-running", || plugin.rerun(request))?;
    print_answer(&body, json, spelling, || report::result(people, plugin, &body))?;
    let refused = body.skipped.iter().any(|skipped| skipped.reason == Reason::Refused);
    Ok(if refused { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

/// The answer as JSON, or the report for people.
fn print_answer(
    body: &BulkRerunBody,
    json: bool,
    spelling: Spelling,
    report: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    if json {
        writeln!(io::stdout(), "{}", body.to_json(spelling))?;
        return Ok(());
    }
    report()
}
