//! Plans and results, as people read them.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use chrono::SecondsFormat;

use super::check::lag_in_words;
use super::flag_words::in_flags;
use super::output::{BOLD, DIM, GOOD, People, WARNING, count, printable};
use super::parameters::told_apart;
use super::table::{Column, print_table};
use super::{Failure, standings};
use crate::Plugin;
use crate::contract::{
    BulkRerunBody, GroupRuns, Instant, Planned, Reason, RerunOptions, Run, Selector, Skipped, States,
};

/// A dry run's plan, with what it tells of each source run (`with_runs`).
pub(super) fn plan(out: &mut People, plugin: &Plugin, body: &BulkRerunBody) -> Result<(), Failure> {
    let planned = body.planned.as_deref().unwrap_or_default();
    let matched = count(body.matched.unwrap_or_default(), "run");
    let spawns = count(planned.len() as u64, "new run");
    // What can't be told here is told by `check`.
    let store = plugin.describe().ok();
    let schema = store.as_ref().and_then(|store| store.schema());
    let place = schema.map(|schema| format!(", in the schema {schema}")).unwrap_or_default();
    writeln!(out, "{BOLD}{spawns} would be spawned{BOLD:#} for the {matched} selected{place}")?;
    if let Some(lag) = body.replica {
        writeln!(out, "{DIM}Searched on the replica: {}.{DIM:#}", lag_in_words(lag))?;
    }
    if let Some(daemon) = store.as_ref().and_then(|store| store.daemon.as_ref()) {
        writeln!(out, "{DIM}The daemon: {}.{DIM:#}", printable(&daemon.in_words()))?;
    }
    if !planned.is_empty() {
        // Groups of one task differ in their parameters alone.
        let alike = planned.windows(2).any(|pair| pair[0].task_name == pair[1].task_name);
        let shows_sets = planned.iter().any(|group| sets(&group.runs) > 1);
        let mut shown = match (alike, out.width()) {
            (false, _) => Vec::new(),
            // There is room for all of it.
            (true, None) => planned.iter().map(|group| source(group).map(parameters).unwrap_or_default()).collect(),
            (true, Some(_)) => told_apart(planned.iter().map(source)),
        }
        .into_iter();
        let rows = planned.iter().map(|group| {
            let source = source(group);
            let mut row =
                vec![group.task_name.clone(), group.rerun_of.clone(), source.map(created).unwrap_or_default()];
            row.extend(shows_sets.then(|| match sets(&group.runs) {
                sets @ 2.. => format!("1 of {sets} sets"),
                _ => String::new(),
            }));
            row.extend([source.map(how_it_ended).unwrap_or_default(), group.matched.to_string()]);
            row.extend(shown.next());
            row
        });
        // Where there is no room for all, the last ones go.
        let mut columns = vec![Column::Text("TASK"), Column::Id("SOURCE RUN"), Column::Time("CREATED")];
        columns.extend(shows_sets.then_some(Column::Number("PARAMETERS")));
        columns.extend([Column::Text("ENDED"), Column::Number("RUNS")]);
        columns.extend(alike.then_some(Column::Detail("PARAMETERS")));
        writeln!(out)?;
        print_table(out, &columns, rows.collect())?;
    }
    skipped(out, &body.skipped)?;
    say_what_one_run_stands_for(out, body)
}

/// How many distinct parameters a group's runs have, where that is told.
fn sets(runs: &Option<Box<GroupRuns>>) -> u64 {
    runs.as_ref().and_then(|runs| runs.parameter_sets).unwrap_or_default()
}

/// Where some of the parameters would not be run, or not even be looked at: one tenant's success is not another's.
fn say_what_one_run_stands_for(out: &mut People, body: &BulkRerunBody) -> Result<(), Failure> {
    let planned = body.planned.iter().flatten().filter(|group| sets(&group.runs) > 1).count() as u64;
    let skipped = body.skipped.iter().filter(|group| depends_on_others(group)).count() as u64;
    let have = match planned + skipped {
        0 => return Ok(()),
        1 => "1 task's runs have".to_owned(),
        several => format!("{several} tasks' runs have"),
    };
    let what = if planned > 0 {
        "only the newest run's would be run: --unique-by params makes a new run for each"
    } else {
        "are skipped as one: --unique-by params tells them apart"
    };
    writeln!(out, "\n{WARNING}{have} several sets of parameters{WARNING:#}, and {what}")?;
    Ok(())
}

/// Whether a group is skipped for a run that may have had other parameters.
fn depends_on_others(group: &Skipped) -> bool {
    matches!(group.reason, Reason::Active | Reason::Superseded) && sets(&group.runs) > 1
}

fn source(group: &Planned) -> Option<&Run> {
    group.runs.as_ref().and_then(|runs| runs.run.as_ref())
}

/// What to type after a dry run.
pub(super) fn how_to_go_on(out: &mut People, body: &BulkRerunBody) -> Result<(), Failure> {
    match (&body.plan, body.planned.as_deref()) {
        (Some(plan), Some([_, ..])) => writeln!(
            out,
            "\n{DIM}Nothing was changed. To spawn exactly this, put in place of --dry-run:\n  --expect-plan {plan}{DIM:#}"
        )?,
        _ => writeln!(out, "\n{DIM}Nothing was changed.{DIM:#}")?,
    }
    Ok(())
}

/// What a re-run has done.
pub(super) fn result(
    out: &mut People,
    plugin: &Plugin,
    body: &BulkRerunBody,
    options: &RerunOptions,
) -> Result<(), Failure> {
    let spawned = count(body.triggered.len() as u64, "new run");
    match &body.operation_id {
        Some(operation) if body.replayed => writeln!(
            out,
            "{BOLD}Nothing was spawned now.{BOLD:#} The key was used before, for this very request: {spawned} then \
             (operation {operation})"
        )?,
        Some(operation) => writeln!(out, "{GOOD}{spawned} spawned{GOOD:#} (operation {operation})")?,
        None => writeln!(out, "{GOOD}{spawned} spawned{GOOD:#}")?,
    }
    if !body.triggered.is_empty() {
        let rows = body
            .triggered
            .iter()
            .map(|run| vec![run.task_name.clone(), run.run_id.clone(), run.rerun_of.clone()])
            .collect();
        writeln!(out)?;
        print_table(out, &[Column::Text("TASK"), Column::Id("NEW RUN"), Column::Id("RE-RUN OF")], rows)?;
    }
    skipped(out, &body.skipped)?;
    if !body.triggered.is_empty() && !body.replayed {
        let start = match due(options) {
            Some(due) => due,
            // The runs are there, whatever becomes of this question.
            None => plugin.describe().map_or_else(
                |error| format!("they are spawned, but when they start can't be told ({})", error.detail),
                |info| match &info.daemon {
                    Some(daemon) if !daemon.is_asked => format!("{}; --via daemon would start it at once", info.start),
                    _ => info.start,
                },
            ),
        };
        writeln!(out, "\n{DIM}{start}.{DIM:#}")?;
    }
    Ok(())
}

/// When the new runs are due, where that was asked for.
fn due(options: &RerunOptions) -> Option<String> {
    let from = options.start_at.map_or_else(|| "from now on".to_owned(), |at| format!("from {} on", seconds(at)));
    match options.spread {
        Some(spread) => Some(format!("they fall due {from}, over {}", humantime::format_duration(spread))),
        None => options.start_at.map(|at| format!("they are due at {}", seconds(at))),
    }
}

/// What a re-run has done, or a dry run would do, in one line; with where its new runs stand, if they were waited for.
pub(super) fn summary(out: &mut People, body: &BulkRerunBody, states: Option<&States>) -> Result<(), Failure> {
    match (&body.planned, body.matched) {
        (Some(planned), Some(matched)) => {
            let [spawns, matched] = [count(planned.len() as u64, "new run"), count(matched, "run")];
            write!(out, "{spawns} would be spawned for the {matched} selected")?;
        }
        _ if body.replayed => {
            write!(out, "nothing was spawned now, and {} before", count(body.triggered.len() as u64, "new run"))?;
        }
        _ => write!(out, "{} spawned", count(body.triggered.len() as u64, "new run"))?,
    }
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    body.skipped.iter().for_each(|skipped| *reasons.entry(skipped.reason).or_default() += 1);
    if !reasons.is_empty() {
        let reasons: Vec<_> = reasons.iter().map(|(reason, number)| format!("{number} {}", reason.as_str())).collect();
        write!(out, "; {} skipped ({})", body.skipped.len(), reasons.join(", "))?;
    }
    if let Some(states) = states.filter(|states| !states.is_empty()) {
        write!(out, "; {}", standings::in_words(states))?;
    }
    Ok(writeln!(out)?)
}

fn skipped(out: &mut People, skipped: &[Skipped]) -> Result<(), Failure> {
    if skipped.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{BOLD}{} skipped{BOLD:#}\n", skipped.len())?;
    let rows = skipped.iter().map(|skipped| {
        vec![
            skipped.task_name.clone().unwrap_or_else(|| "-".to_owned()),
            skipped.run_id.clone().unwrap_or_default(),
            skipped.reason.as_str().to_owned(),
            why(skipped),
        ]
    });
    let columns = [Column::Text("TASK"), Column::Id("RUN"), Column::Text("REASON"), Column::Detail("WHY")];
    Ok(print_table(out, &columns, rows.collect())?)
}

/// A reason in a few more words.
fn why(skipped: &Skipped) -> String {
    let words = match skipped.reason {
        Reason::NotFound => "there is no such run",
        Reason::Service => "a long-running service is never re-run",
        Reason::UnknownTask => "the task catalogue does not have it",
        Reason::TriggerDisabled => "the task catalogue forbids to run it by hand",
        Reason::Active => "it has a pending or running run",
        Reason::Superseded => "it has a newer success",
        Reason::LeftOut => "left out with --except-group",
        Reason::NotTaken => "beyond --take",
        Reason::Gone => "the source run is no longer there",
        Reason::Refused => "the host declined",
    };
    let why = match (&skipped.detail, skipped.reason) {
        (Some(detail), Reason::Refused) => format!("{words}: {}", in_flags(detail)),
        (Some(detail), _) => detail.clone(),
        (None, _) => words.to_owned(),
    };
    if depends_on_others(skipped) {
        return format!("{why}; its {} sets of parameters are taken as one", sets(&skipped.runs));
    }
    why
}

/// When a run was created, to the second.
pub(super) fn created(run: &Run) -> String {
    run.created_at.map_or_else(|| "?".to_owned(), seconds)
}

pub(super) fn seconds(at: Instant) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A time of the ledger's, to the second.
pub(super) fn to_the_second(time: &str) -> String {
    time.parse().map_or_else(|_| time.to_owned(), seconds)
}

/// How a run ended, or that it has not.
pub(super) fn how_it_ended(run: &Run) -> String {
    let word = run.end_reason.as_deref().or(run.phase.as_deref()).unwrap_or_default();
    match run.exit_code {
        Some(code) => format!("{word} ({code})"),
        None => word.to_owned(),
    }
}

/// A run's parameters.
pub(super) fn parameters(run: &Run) -> String {
    run.params.to_text().map_or_else(|| "-".to_owned(), Into::into)
}

/// The runs with these ids, as they are now, by task and id.
pub(super) fn runs_of(plugin: &Plugin, ids: Vec<String>) -> Result<HashMap<(String, String), Run>, Failure> {
    let mut runs = HashMap::with_capacity(ids.len());
    plugin.select(&Selector::Ids(ids), &mut |run| {
        runs.insert((run.task_name.clone(), run.id.clone()), run);
        Ok(())
    })?;
    Ok(runs)
}
