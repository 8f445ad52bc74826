//! `bulk-rerun check`: does it fit this store, and what would a re-run meet there?

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::json;

use super::Failure;
use super::arguments::StoreArguments;
use super::output::{BOLD, People, count, printable};
use super::progress::watch;
use super::report::how_it_ended;
use super::standings::in_words;
use crate::contract::{ErrorModel, Replica};
use crate::host::{Particulars, RunnerState, StoreInfo};
use crate::operation::{Survey, Trial, UndoTrial};

/// What is said of a profile whose runner's worker was never seen with it.
pub(super) const TRIED_ON_ITS_SCHEMA: &str =
    "written for the runner's schema, and tried on that; never with its own worker";

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  bulk-rerun check --store .runwisp/runwisp.db

  # While you write a profile
  bulk-rerun check --store jobs.db --profile my-runner.toml

  # With a parameter that the profile declares
  bulk-rerun check --store jobs.db --profile my-runner.toml --set prefix=night_

  # Will a re-run work? Nothing of it is kept
  bulk-rerun check --store .runwisp/runwisp.db --try")]
pub(super) struct Arguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Print what was found as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Start one run for trial (the newest that may be), look at the new one, undo it, and roll all of it back
    #[arg(long = "try")]
    trial: bool,
    /// The task whose run is started for trial
    #[arg(long, value_name = "NAME", requires = "trial")]
    task: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let plugin = arguments.store.open()?;
    let info = plugin.describe()?;
    let survey = watch("reading the runs", || plugin.survey());
    // Without the rights to read the runs, which rights those are is what matters.
    let survey = match survey {
        Err(error) if info.missing_rights().is_empty() => return Err(error.into()),
        survey => survey.ok(),
    };
    let trial = arguments.trial.then(|| plugin.trial(arguments.task.as_deref()));
    if arguments.json {
        let mut found = json!({ "store": info, "runs": survey });
        match &trial {
            Some(Ok(trial)) => found["trial"] = json!(trial),
            Some(Err(error)) => found["trial"] = json!({ "error": error }),
            None => {}
        }
        writeln!(io::stdout(), "{found}")?;
    } else {
        let mut people = People::on_stdout(false);
        print(&mut people, &info, survey.as_ref(), arguments)?;
        print_trial(&mut people, trial.as_ref())?;
    }
    let works = trial.is_none_or(|trial| trial.is_ok_and(|trial| trial.works()));
    Ok(if survey.is_some() && works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What came of the trial, or that there is one to be had.
fn print_trial(out: &mut dyn Write, trial: Option<&Result<Trial, ErrorModel>>) -> io::Result<()> {
    let mut line = |text: String| writeln!(out, "{BOLD}{:10}{BOLD:#} {}", "trial", printable(&text));
    match trial {
        None => line(
            "none was made; --try starts one run, looks at the new one, undoes it, and rolls all of it back".to_owned(),
        ),
        Some(Err(error)) => line(format!("it fails: {error}")),
        Some(Ok(Trial { source, new: Some(new), undo, .. })) => {
            line(format!(
                "{} of {} was started again, and rolled back; the new run, as the view showed it:",
                source.id, source.task_name
            ))?;
            line(new.to_json())?;
            line(match undo {
                None => "there is no `undo`: new runs can't be taken back".to_owned(),
                Some(UndoTrial { fault: Some(fault), .. }) => format!("undo: {fault}"),
                Some(UndoTrial { run: Some(run), .. }) => {
                    format!("undo takes it back, and the view shows it as {} then", how_it_ended(run))
                }
                Some(UndoTrial { .. }) => "undo takes it back, and the view does not show it then".to_owned(),
            })
        }
        Some(Ok(Trial { source, refused, .. })) => {
            let words = refused.as_deref().unwrap_or("the view does not show the new run");
            line(format!("{} of {} can't be started again: {words}", source.id, source.task_name))
        }
    }
}

fn print(out: &mut dyn Write, info: &StoreInfo, survey: Option<&Survey>, arguments: &Arguments) -> io::Result<()> {
    let mut line = |label: &str, text: String| writeln!(out, "{BOLD}{label:10}{BOLD:#} {}", printable(&text));
    let particulars = match &info.particulars {
        Particulars::Sqlite { journal_mode } => format!(", journal mode {journal_mode}"),
        Particulars::Postgres { schema: Some(schema), .. } => format!(", schema {schema}"),
        Particulars::Postgres { .. } | Particulars::Callbacks { .. } => String::new(),
    };
    line("store", format!("{} ({}{particulars})", info.store, info.engine))?;
    let version = match (&info.schema_version, &info.particulars) {
        (Some(version), _) => format!(", schema version {version}"),
        (None, Particulars::Postgres { schema_version_hidden: true, .. }) => {
            ", schema version not readable without the rights below".to_owned()
        }
        (None, _) => String::new(),
    };
    line("profile", format!("{}: {}{version}, {}", info.profile, info.runner, info.generation))?;
    for set in &info.parameters {
        let default = if set.is_default { "its default, " } else { "" };
        line("parameter", format!("{}={} ({default}the {})", set.name, set.value, set.what))?;
    }
    if !info.tried_with.is_worker() {
        line("tried", format!("the profile was {TRIED_ON_ITS_SCHEMA}; see that the first re-runs are carried out"))?;
    }
    if !info.lacks.is_empty() {
        line("view", format!("lacks {}: NULL for every run", info.lacks.join(", ")))?;
    }
    match survey {
        Some(survey) => print_runs(&mut line, survey)?,
        None => line("runs", "can't be read without the rights below".to_owned())?,
    }
    if !info.read_whole_for_an_id.is_empty() {
        let text = format!(
            "to find a run by its id, all of {} is read, since no index serves; the profile's view must show the key's \
             column as it is, or `key` say how an id is taken apart",
            info.read_whole_for_an_id.join(", ")
        );
        line("ids", text)?;
    }
    if let Some(id) = &info.not_found_by_its_id {
        let text = format!(
            "{id} does not find its own run: what the profile's `key` makes of it is not what the view's columns of the \
             key have, so a run is answered as `not_found` or `gone` that is there"
        );
        line("ids", text)?;
    }
    if let Some(tasks) = arguments.store.tasks() {
        line("catalogue", format!("{} was read", tasks.display()))?;
    }
    line("open in", open_in(info))?;
    line("runner", runner(info))?;
    line("re-runs", info.start.clone())?;
    if !info.has_due_time {
        line("due", "a new run can't be put off, so --start-at and --spread are refused".to_owned())?;
    }
    if let Some(daemon) = &info.daemon {
        line("daemon", format!("{} ({UNTRIED})", daemon.in_words()))?;
    }
    if let Some(version) = info.ledger {
        line("ledger", format!("every re-run is written down (version {version})"))?;
    }
    let writable = if info.writable { "yes" } else { "no: only dry runs will work" };
    line("writable", writable.to_owned())?;
    info.missing_rights().iter().try_for_each(|grant| line("missing", grant.clone()))?;
    if let Particulars::Postgres { missing_to_prune, .. } = &info.particulars {
        missing_to_prune.iter().try_for_each(|grant| line("prune", format!("{grant} (for `ledger prune` alone)")))?;
    }
    if let Particulars::Postgres { replica: Some(replica), .. } = &info.particulars {
        let how = replica.error.clone().or_else(|| replica.lag.map(lag_in_words)).unwrap_or_default();
        line("replica", format!("{}: {how}", replica.address))?;
    }
    Ok(())
}

/// How far a replica is behind, for a person.
pub(super) fn lag_in_words(lag: Replica) -> String {
    match lag {
        Replica { lag_ms: Some(0), .. } => "it has all that the primary has".to_owned(),
        Replica { lag_ms, lag_bytes } => {
            let old = lag_ms.map_or_else(
                || "nobody can tell how old what it shows is".to_owned(),
                |ms| format!("what it shows is up to {} old", humantime::format_duration(Duration::from_millis(ms))),
            );
            let bytes = lag_bytes.map(|bytes| format!(" ({bytes} bytes of the primary's log to replay)"));
            old + &bytes.unwrap_or_default()
        }
    }
}

/// What is to be known of asking a daemon.
const UNTRIED: &str = "written from RunWisp's published API, and not yet tried on it";

fn print_runs(line: &mut dyn FnMut(&str, String) -> io::Result<()>, survey: &Survey) -> io::Result<()> {
    line(
        "runs",
        format!(
            "{} of {}, {} pending or running",
            count(survey.runs, "run"),
            count(survey.tasks, "task"),
            survey.active
        ),
    )?;
    if !survey.end_reasons.is_empty() {
        line("ended", in_words(&survey.end_reasons))?;
    }
    line("newest", newest(survey))?;
    if !survey.unknown_phases.is_empty() {
        let words = in_words(&survey.unknown_phases);
        line("phases", format!("{words}: neither pending, running nor ended; the profile's view must say which"))?;
    }
    if !survey.passed_over.is_empty() {
        let text = format!(
            "{}: the view calls these runs so, and the profile's `states` do not say that word (in brackets) of it, so searches \
             for a status, and --skip-active, pass them over",
            in_words(&survey.passed_over)
        );
        line("states", text)?;
    }
    if survey.nameless > 0 {
        let text = "with an id or a task that is NULL, empty or not UTF-8: they can't be started again";
        line("names", format!("{} {text}", count(survey.nameless, "run")))?;
    }
    if survey.repeated > 0 {
        let text = "too many: the profile's view shows a run twice or more often, and so joins too much";
        line("rows", format!("{} {text}", count(survey.repeated, "row")))?;
    }
    if survey.unreadable_times > 0 {
        let unreadable = count(survey.unreadable_times, "run");
        let text = format!(
            "{unreadable} with a time that can't be read, as 2026-04-15T12:00:00Z can, or that is beyond the year 9999, as \
             milliseconds are that are taken for seconds: no time bound matches, and they count as the oldest"
        );
        line("times", text)?;
    }
    Ok(())
}

fn newest(survey: &Survey) -> String {
    let Some(newest) = &survey.newest else { return "none".to_owned() };
    let age = DateTime::parse_from_rfc3339(newest)
        .ok()
        .and_then(|at| Utc::now().signed_duration_since(at).to_std().ok())
        .map(|age| humantime::format_duration(std::time::Duration::from_secs(age.as_secs())));
    age.map_or_else(
        || format!("{newest}: in the future; the view may take one unit of time for another, or a time zone"),
        |age| format!("{newest}, {age} ago"),
    )
}

/// Who has the store open.
fn open_in(info: &StoreInfo) -> String {
    let each = info.open_in.iter().map(|process| {
        let who = if process.is_runner { ", the runner" } else { "" };
        format!("{} (pid {}{who})", process.name, process.pid)
    });
    let open_in: Vec<_> = each.collect();
    if open_in.is_empty() { "no process that can be seen".to_owned() } else { open_in.join(", ") }
}

/// Whether the runner is one of them.
fn runner(info: &StoreInfo) -> String {
    match (info.runner_state, &info.runner_unknown) {
        (RunnerState::Seen, _) => "is up".to_owned(),
        (RunnerState::NotSeen, _) => "is not seen".to_owned(),
        (RunnerState::Unknown, why) => {
            format!("can't be told: {}", why.as_deref().unwrap_or("somebody there may be it"))
        }
    }
}
