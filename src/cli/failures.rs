//! `bulk-rerun failures`: what failed, how often, from when to when. The first thing that one types.

use std::collections::HashSet;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use super::arguments::{SelectorArguments, StoreArguments};
use super::interrupt::Interruptible;
use super::output::{BOLD, DIM, People, count};
use super::page_link::PageArguments;
use super::progress::watch;
use super::report::{how_it_ended, seconds};
use super::shell::quoted;
use super::table::{Column, print_table};
use super::unknown_words;
use crate::contract::{BulkRerunBody, GroupRuns, Times, UniqueBy};

#[derive(Debug, Args)]
#[command(after_long_help = "\
It changes nothing. Where no flag says which runs, it means those that count as a failure
(--is-failure); where none says from when, those of the last 24 hours.

Examples:
  # What failed last night?
  bulk-rerun failures --store runwisp.db

  # And in the week before, without the imports?
  bulk-rerun failures --store runwisp.db --since 7d --except-task import-orders

  # Which tasks were killed for their memory, ever?
  bulk-rerun failures --store runwisp.db --exit-code 137 --all

  # For a script: a dry run's answer, with the times in 24 spans
  bulk-rerun failures --store runwisp.db --json")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) selector: SelectorArguments,
    /// Print it as JSON on standard output: a dry run's answer
    #[arg(long)]
    pub(super) json: bool,
    /// Do not make the table fit the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
    #[command(flatten)]
    page: PageArguments,
    #[command(flatten)]
    store: StoreArguments,
}

/// Where nothing is said.
const WINDOW: &str = "24h";

/// How many bars there are, where the terminal says nothing else; in JSON, an hour of a day each.
const BARS: u64 = 60;
const BARS_IN_JSON: u64 = 24;

/// From one run in the fullest span to all of it.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let (mut request, assumed) = arguments.selector.failures(WINDOW)?;
    let people = &mut People::on_stdout(arguments.wide);
    let width = people.width().and_then(|width| u64::try_from(width).ok()).unwrap_or(BARS + 2);
    (request.options.dry_run, request.options.with_runs) = (true, true);
    request.options.times = Some(if arguments.json { BARS_IN_JSON } else { width.saturating_sub(2).clamp(1, BARS) });
    let calls = Interruptible::begin()?;
    let plugin = arguments.store.open()?;
    unknown_words::warn_of_unknown(&plugin, &request.selector);
    let body = watch("searching the store", || calls.call(&plugin, &request))?;
    if arguments.json {
        writeln!(io::stdout(), "{}", body.to_json(request.spelling.unwrap_or_default()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let window = assumed.contains(&"--since");
    let matched = body.matched.unwrap_or_default();
    let what = if assumed.contains(&"--is-failure") { "failure" } else { "run" };
    if matched == 0 {
        let when = if window { format!(" in the last {WINDOW}") } else { String::new() };
        writeln!(people, "{BOLD}No {what}s{when}.{BOLD:#}")?;
        if window {
            writeln!(people, "\n{DIM}--since 7d looks further back, and --all at everything.{DIM:#}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    print(people, &body, &count(matched, what), request.options.unique_by)?;
    say_how_to_go_on(people, &assumed)?;
    arguments.page.say(people, &request)?;
    Ok(ExitCode::SUCCESS)
}

/// One task's runs.
struct Row<'b> {
    task_name: &'b str,
    matched: u64,
    runs: &'b GroupRuns,
}

/// Every group, the fullest first.
fn rows(body: &BulkRerunBody) -> Vec<Row<'_>> {
    let planned = body.planned.iter().flatten().filter_map(|group| {
        Some(Row { task_name: &group.task_name, matched: group.matched, runs: group.runs.as_deref()? })
    });
    let skipped = body.skipped.iter().filter_map(|group| {
        let task_name = group.task_name.as_deref().unwrap_or("-");
        Some(Row { task_name, matched: group.matched?, runs: group.runs.as_deref()? })
    });
    let mut rows: Vec<Row<'_>> = planned.chain(skipped).collect();
    rows.sort_by(|one, other| other.matched.cmp(&one.matched).then(one.task_name.cmp(other.task_name)));
    rows
}

/// How many tasks they are of, and how many rows, where a selector's file wants others than one a task.
fn groups(rows: &[Row<'_>], unique_by: UniqueBy) -> String {
    let names: HashSet<&str> = rows.iter().map(|row| row.task_name).collect();
    let tasks = count(names.len() as u64, "task");
    match unique_by {
        UniqueBy::Task | UniqueBy::Run => tasks,
        UniqueBy::Params => format!("{tasks}, with {} of parameters", count(rows.len() as u64, "set")),
    }
}

fn print(out: &mut People, body: &BulkRerunBody, all: &str, unique_by: UniqueBy) -> Result<(), Failure> {
    let rows = rows(body);
    let last = |row: &Row<'_>| row.runs.run.as_ref().and_then(|run| run.created_at);
    let first = rows.iter().filter_map(|row| row.runs.first).min();
    let ends = first.zip(rows.iter().filter_map(last).max());
    let when = ends.map(|(first, last)| format!(", from {} to {}", seconds(first), seconds(last))).unwrap_or_default();
    writeln!(out, "{BOLD}{all}{BOLD:#} of {}{when}", groups(&rows, unique_by))?;
    if let Some(times) = &body.times {
        writeln!(out, "\n  {}", bars(times))?;
        writeln!(out, "  {DIM}{}{DIM:#}", scale(times))?;
    }
    let sets = |row: &Row<'_>| row.runs.parameter_sets.unwrap_or_default();
    let differ = rows.iter().any(|row| sets(row) > 1);
    let mut columns = vec![Column::Text("TASK"), Column::Number("RUNS"), Column::Time("FIRST"), Column::Time("LAST")];
    columns.extend(differ.then_some(Column::Number("PARAMS")));
    columns.extend([Column::Text("THE LAST ONE"), Column::Id("ITS RUN")]);
    let cells = |row: &Row<'_>| {
        let time = |time: Option<_>| time.map_or_else(|| "?".to_owned(), seconds);
        let run = row.runs.run.as_ref();
        let mut cells = vec![row.task_name.to_owned(), row.matched.to_string(), time(row.runs.first), time(last(row))];
        cells.extend(differ.then(|| count(sets(row), "set")));
        cells.extend([run.map(how_it_ended).unwrap_or_default(), run.map(|run| run.id.clone()).unwrap_or_default()]);
        cells
    };
    writeln!(out)?;
    print_table(out, &columns, rows.iter().map(cells).collect())?;
    Ok(())
}

/// A bar for each span; a span with any run has one that can be seen.
fn bars(times: &Times) -> String {
    let runs: Vec<u64> = times.buckets.iter().map(|bucket| bucket.values().sum()).collect();
    let most = runs.iter().copied().max().unwrap_or_default();
    let bar = |&runs: &u64| match runs.checked_mul(LEVELS.len() as u64).map(|eighths| eighths.div_ceil(most.max(1))) {
        Some(level) => level.checked_sub(1).and_then(|level| LEVELS.get(level as usize)).copied().unwrap_or(' '),
        None => LEVELS[LEVELS.len() - 1],
    };
    runs.iter().map(bar).collect()
}

/// How long a span is, and how many runs the fullest has.
fn scale(times: &Times) -> String {
    let most: u64 = times.buckets.iter().map(|bucket| bucket.values().sum()).max().unwrap_or_default();
    let step = humantime::format_duration(std::time::Duration::from_secs(times.step_seconds));
    format!("{step} a bar, {} in the highest", count(most, "run"))
}

/// An address with a password in it is never repeated, whatever flag it was typed for.
fn without_secrets(word: OsString) -> OsString {
    let text = word.to_string_lossy();
    let (flag, value) = match text.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => (Some(flag), value),
        _ => (None, &*text),
    };
    match (has_password(value), flag) {
        (false, _) => word,
        (true, Some(flag)) => format!("{flag}=STORE").into(),
        (true, None) => "STORE".into(),
    }
}

/// As in `postgres://user:password@host`, `?password=` of one, or libpq's key words, which may have blanks around their `=`.
fn has_password(value: &str) -> bool {
    let in_front = value.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    let dense: String = value.split_whitespace().collect();
    in_front.is_some_and(|(login, _)| login.contains(':')) || dense.to_ascii_lowercase().contains("password=")
}

/// The same runs, re-run.
fn say_how_to_go_on(out: &mut People, assumed: &[&str]) -> Result<(), Failure> {
    let typed = env::args_os().skip(2).filter(|word| word != "--wide").map(without_secrets);
    let assumed = assumed.iter().flat_map(|flag| match *flag {
        "--since" => vec!["--since".into(), WINDOW.into()],
        flag => vec![OsString::from(flag)],
    });
    let words: Vec<String> = assumed.chain(typed).map(quoted).collect();
    writeln!(
        out,
        "\n{DIM}Nothing was changed. To see what a re-run of them would do:\n  bulk-rerun rerun --dry-run {}{DIM:#}",
        words.join(" ")
    )?;
    Ok(())
}
