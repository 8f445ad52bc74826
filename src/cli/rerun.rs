//! `bulk-rerun rerun`: shows the plan, asks, and re-runs exactly what was shown.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use serde_json::json;

use super::Failure;
use super::arguments::{SelectorArguments, StoreArguments};
use super::interrupt::Interruptible;
use super::moments::later;
use super::output::{People, count};
use super::page_link::PageArguments;
use super::progress::watch;
use super::waiting::{self, Waited};
use super::{ask, report, unknown_words};
use crate::Plugin;
use crate::contract::{
    BulkRerunBody, GroupName, Instant, KEY_MAX, REASON_MAX, Reason, Request, UniqueBy, spelled, wrong_with_text,
};

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    pub(super) selector: SelectorArguments,
    #[command(flatten)]
    options: OptionArguments,
    #[command(flatten)]
    pub(super) output: OutputArguments,
    #[command(flatten)]
    page: PageArguments,
}

/// How what was done is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArguments {
    /// Print the answer (or the error) as JSON on standard output, and nothing else there
    #[arg(long)]
    pub(super) json: bool,
    /// Print nothing where nothing was spawned
    #[arg(long, short, conflicts_with_all = ["json", "dry_run"])]
    quiet: bool,
    /// Print one line
    #[arg(long, conflicts_with = "json")]
    summary: bool,
    /// Do not make the tables fit the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
}

const EXAMPLES: &str = "\
Examples:
  # What would be re-run of last night's failures?
  bulk-rerun rerun --store runwisp.db --status failed,timeout,crashed \\
    --since 12h --dry-run

  # Re-run them, but not what has succeeded or is running by now
  bulk-rerun rerun --store runwisp.db --status failed,timeout,crashed \\
    --since 12h --skip-superseded --skip-active

  # Every failed import, one new run for each distinct set of parameters,
  # from a script
  bulk-rerun rerun --store runwisp.db --task import-orders --status failed \\
    --unique-by params --yes --json

  # Every morning from cron, which sends a mail if there is something to read
  bulk-rerun rerun --store runwisp.db --status failed --since 24h \\
    --skip-superseded --skip-active --yes --quiet

  # One of them first, to see whether it holds by now; the others later
  bulk-rerun rerun --store runwisp.db --status failed --since 24h \\
    --except-task newsletter --take 1

  # From a CI job, which is to fail where a new run fails
  bulk-rerun rerun --store runwisp.db --status failed --since 24h \\
    --skip-superseded --yes --json --wait 30m

  # Exactly these two runs
  bulk-rerun rerun --store runwisp.db \\
    --ids 01JRX3M7ZD7Q8M5T8E2Y9V4B6C,01JRX3N2K4W6P0S9D3F5G7H1JK

  # A selector from a file or from another program
  echo '{\"match_all\":true,\"filter\":{\"exit_code_min\":137}}' |
    bulk-rerun rerun --store runwisp.db --selector - --yes

Exit status:
  0    done; nothing to do is done, too
  1    failed, or declined; nothing was changed, unless --wait says otherwise,
       or --via daemon, what was started before
  2    bad usage
  3    done, but some runs were skipped since the host refused them
  4    with --wait: a new run has not succeeded
  5    with --wait: the time is up
  6    done, but the answer could not be written
  130  interrupted (Ctrl-C); nothing was changed, or no longer waiting";

#[derive(Debug, Args)]
#[command(next_help_heading = "What to do")]
struct OptionArguments {
    /// Show what would be re-run; change nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// With --dry-run --json: show also each source run, when the earliest run for it was created, and how many distinct
    /// parameters they have
    #[arg(long, requires_all = ["dry_run", "json"])]
    with_runs: bool,
    /// With --dry-run --json: count the selected runs over time, in N spans of equal length
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=500), requires_all = ["dry_run", "json"])]
    times: Option<u64>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Wait until the new runs have ended, or no longer than this; tells how they came out
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with = "dry_run")]
    wait: Option<Option<Duration>>,
    /// What gets one new run: each task, each distinct task and parameters, or each selected run
    #[arg(long, value_name = "WHAT", value_enum)]
    unique_by: Option<UniqueByArgument>,
    /// Skip what has a pending or running run
    #[arg(long)]
    skip_active: bool,
    /// Skip what has succeeded since
    #[arg(long)]
    skip_superseded: bool,
    /// Skip the group that this run of the task is in: what the plan lists as TASK and SOURCE RUN; may be given several times
    #[arg(long, value_names = ["TASK", "RUN"], num_args = 2, action = ArgAction::Append)]
    except_group: Vec<String>,
    /// At most so many new runs; if there would be more, fail and spawn none
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Start the first N that may start, in the order of the plan, and leave the rest: a canary, or work in portions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    take: Option<u64>,
    /// When the new runs are due, where the runner has a due time: 2h (from now), or 2026-04-15T02:00:00Z
    #[arg(long, value_name = "TIME", value_parser = later)]
    start_at: Option<Instant>,
    /// Let the new runs fall due evenly over so long a time
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    spread: Option<Duration>,
    /// Go ahead only if the plan is still the one that a dry run showed
    #[arg(long, value_name = "DIGEST")]
    expect_plan: Option<String>,
    /// A name for this re-run: with the same one and the same request nothing is spawned again, and the first answer is
    /// given once more (needs the ledger; give times with it that do not count from now)
    #[arg(long, value_name = "KEY", value_parser = name, help_heading = LEDGER)]
    idempotency_key: Option<String>,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT", value_parser = reason, help_heading = LEDGER)]
    reason: Option<String>,
    /// Who, for the ledger [default: the user]
    #[arg(long, value_name = "NAME", value_parser = name, help_heading = LEDGER)]
    actor: Option<String>,
}

const LEDGER: &str = "Ledger (see `bulk-rerun ledger`)";

fn name(text: &str) -> Result<String, String> {
    wrong_with_text(text, KEY_MAX).map_or_else(|| Ok(text.to_owned()), Err)
}

fn reason(text: &str) -> Result<String, String> {
    wrong_with_text(text, REASON_MAX).map_or_else(|| Ok(text.to_owned()), Err)
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
        options.with_runs |= self.with_runs;
        options.times = self.times.or(options.times);
        let groups = self.except_group.chunks_exact(2);
        options
            .except_groups
            .extend(groups.map(|group| GroupName { task_name: group[0].clone(), rerun_of: group[1].clone() }));
        options.skip_active |= self.skip_active;
        options.skip_superseded |= self.skip_superseded;
        options.limit = self.limit.or(options.limit);
        options.take = self.take.or(options.take);
        options.start_at = self.start_at.or(options.start_at);
        options.spread = self.spread.or(options.spread);
        options.expect_plan = self.expect_plan.clone().or(options.expect_plan.take());
        for (given, option) in [
            (&self.idempotency_key, &mut options.idempotency_key),
            (&self.reason, &mut options.reason),
            (&self.actor, &mut options.actor),
        ] {
            *option = given.clone().or(option.take());
        }
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
    let asks = !request.options.dry_run && !arguments.options.yes;
    if asks {
        ask::needs_a_terminal("--dry-run")?;
    }
    let calls = Interruptible::begin()?;
    let plugin = arguments.store.open()?;
    unknown_words::warn_of_unknown(&plugin, &request.selector);

    if request.options.dry_run {
        request.options.with_runs |= arguments.output.shows_plans();
        let body = watch("searching the store", || calls.call(&plugin, &request))?;
        arguments.output.print(&body, &request, |people| {
            report::plan(people, &plugin, &body)?;
            report::how_to_go_on(people, &body)?;
            arguments.page.say(people, &request)
        })?;
        return Ok(status_of(&body));
    }
    if asks {
        match show_and_ask(&plugin, &calls, &mut request, arguments).map_err(Failure::while_nothing_is_done)? {
            Answer::No => return Err(Failure::Declined),
            // For people the plan has said it all.
            Answer::NothingToDo(body) if !arguments.output.json => return Ok(status_of(&body)),
            Answer::Yes | Answer::NothingToDo(_) => {}
        }
    }
    if arguments.store.ledger {
        plugin.create_ledger()?;
    }
    let body = watch("re-running", || calls.call(&plugin, &request))?;
    let output = &arguments.output;
    let is_new = !body.triggered.is_empty() && !body.replayed;
    let tells = is_new || !output.quiet;
    let told = |told: Result<(), Failure>| {
        told.map_err(|failure| if is_new { failure.when_done(NEW_RUNS_ARE_THERE) } else { failure })
    };
    let report = |people: &mut People| report::result(people, &plugin, &body, &request.options);
    let Some(timeout) = arguments.options.wait else {
        if tells {
            told(output.print(&body, &request, report))?;
        }
        return Ok(status_of(&body));
    };
    // One document, or one line, is printed when all is known.
    if tells && !output.json && !output.summary {
        told(report(&mut People::on_stdout(output.wide)))?;
    }
    let operation_id = body.operation_id.as_deref();
    let waited = waiting::for_spawned(&plugin, &calls, &body.triggered, operation_id, timeout)?;
    waited.say_why(operation_id);
    if tells {
        told(output.print_waited(&body, &request, &waited))?;
    }
    Ok(waited.status().unwrap_or_else(|| status_of(&body)))
}

const NEW_RUNS_ARE_THERE: &str = "but the new runs are there: do not repeat the re-run, look for them";

/// What the host refused is for somebody to look at.
fn status_of(body: &BulkRerunBody) -> ExitCode {
    let refused = body.skipped.iter().any(|skipped| skipped.reason == Reason::Refused);
    if refused { ExitCode::from(3) } else { ExitCode::SUCCESS }
}

enum Answer {
    Yes,
    No,
    NothingToDo(Box<BulkRerunBody>),
}

/// Shows the plan and asks; what was shown is what `request` then stands for.
fn show_and_ask(
    plugin: &Plugin,
    calls: &Interruptible,
    request: &mut Request,
    arguments: &Arguments,
) -> Result<Answer, Failure> {
    let output = &arguments.output;
    (request.options.dry_run, request.options.with_runs) = (true, true);
    let body = watch("searching the store", || calls.call(plugin, request))?;
    request.options.dry_run = false;
    let planned = body.planned.as_ref().map_or(0, Vec::len);
    if planned == 0 && output.quiet {
        return Ok(Answer::NothingToDo(Box::new(body)));
    }
    let people = &mut ask::shown_on(output.json, output.wide);
    report::plan(people, plugin, &body)?;
    arguments.page.say(people, request)?;
    if planned == 0 {
        writeln!(people, "\nNothing to re-run.")?;
        return Ok(Answer::NothingToDo(Box::new(body)));
    }
    request.options.expect_plan = request.options.expect_plan.take().or(body.plan);
    let question = format!("Spawn {}?", count(planned as u64, "new run"));
    Ok(if ask::is_wanted(&question)? { Answer::Yes } else { Answer::No })
}

impl OutputArguments {
    /// Whether a dry run's plan is shown to people, with what there is to say of each run.
    fn shows_plans(&self) -> bool {
        !self.json && !self.summary
    }

    /// The answer as JSON, or the report for people.
    fn print(
        &self,
        body: &BulkRerunBody,
        request: &Request,
        report: impl FnOnce(&mut People) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.json {
            writeln!(io::stdout(), "{}", body.to_json(request.spelling.unwrap_or_default()))?;
            return Ok(());
        }
        let people = &mut People::on_stdout(self.wide);
        if self.summary { report::summary(people, body, None) } else { report(people) }
    }

    /// The same once the new runs were waited for; people have had the report before.
    fn print_waited(&self, body: &BulkRerunBody, request: &Request, waited: &Waited) -> Result<(), Failure> {
        if self.json {
            let mut answer = json!(body);
            answer["runs"] = json!(waited.runs);
            answer["states"] = json!(waited.states());
            writeln!(io::stdout(), "{}", spelled(answer, request.spelling.unwrap_or_default()))?;
            return Ok(());
        }
        let people = &mut People::on_stdout(self.wide);
        if self.summary { report::summary(people, body, Some(&waited.states())) } else { waited.print(people) }
    }
}
