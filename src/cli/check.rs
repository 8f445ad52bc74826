//! `bulk-rerun check`: does it fit this store, and what would a re-run meet there?

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::json;

use super::Failure;
use super::arguments::StoreArguments;
use super::output::{BOLD, count, for_people, printable};
use super::progress::watch;
use crate::host::StoreInfo;
use crate::operation::Survey;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  bulk-rerun check --store .runwisp/runwisp.db
  bulk-rerun check --store jobs.db --profile my-runner.toml    while you write a profile")]
pub(super) struct Arguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Print what was found as JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let plugin = arguments.store.open()?;
    let info = plugin.describe()?;
    let survey = watch("reading the runs", || plugin.survey());
    // Without the rights to read the runs, which rights those are is what matters.
    let survey = match survey {
        Err(error) if info.missing_rights.is_empty() => return Err(error.into()),
        survey => survey.ok(),
    };
    if arguments.json {
        writeln!(io::stdout(), "{}", json!({ "store": info, "runs": survey }))?;
    } else {
        print(&mut *for_people(false), &info, survey.as_ref(), arguments)?;
    }
    Ok(if survey.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(out: &mut dyn Write, info: &StoreInfo, survey: Option<&Survey>, arguments: &Arguments) -> io::Result<()> {
    let mut line = |label: &str, text: String| writeln!(out, "{BOLD}{label:10}{BOLD:#} {}", printable(&text));
    let journal_mode = info.journal_mode.as_ref().map(|mode| format!(", journal mode {mode}")).unwrap_or_default();
    line("store", format!("{} ({}{journal_mode})", info.store, info.engine))?;
    let version = match info.schema_version {
        Some(version) => format!(", schema version {version}"),
        None if info.schema_version_hidden => ", schema version not readable without the rights below".to_owned(),
        None => String::new(),
    };
    line("profile", format!("{}: {}{version}, {}", info.profile, info.runner, info.generation))?;
    match survey {
        Some(survey) => print_runs(&mut line, survey)?,
        None => line("runs", "can't be read without the rights below".to_owned())?,
    }
    if !info.read_whole_for_an_id.is_empty() {
        let text = format!(
            "to find a run by its id, all of {} is read, since no index serves; the profile's view must show the key's \
             column as it is",
            info.read_whole_for_an_id.join(", ")
        );
        line("ids", text)?;
    }
    if let Some(tasks) = &arguments.store.tasks {
        line("catalogue", format!("{} was read", tasks.display()))?;
    }
    line("open in", open_in(info))?;
    line("re-runs", info.start.clone())?;
    let writable = if info.writable { "yes" } else { "no: only dry runs will work" };
    line("writable", writable.to_owned())?;
    let mut rights = info.missing_rights.iter();
    rights.try_for_each(|grant| line("missing", grant.clone()))
}

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
        line("ended", words(&survey.end_reasons))?;
    }
    line("newest", newest(survey))?;
    if !survey.unknown_phases.is_empty() {
        let words = words(&survey.unknown_phases);
        line("phases", format!("{words}: neither pending, running nor ended; the profile's view must say which"))?;
    }
    if survey.nameless > 0 {
        line("names", format!("{} without an id or without a task", count(survey.nameless, "run")))?;
    }
    if survey.unreadable_times > 0 {
        let unreadable = count(survey.unreadable_times, "run");
        let text = format!(
            "{unreadable} with a time that can't be read, as 2026-04-15T12:00:00Z can: no time bound matches, and they \
             count as the oldest"
        );
        line("times", text)?;
    }
    Ok(())
}

/// `3 failed, 5 succeeded`.
fn words(words: &BTreeMap<String, u64>) -> String {
    words.iter().map(|(word, runs)| format!("{runs} {word}")).collect::<Vec<_>>().join(", ")
}

fn newest(survey: &Survey) -> String {
    let Some(newest) = &survey.newest else { return "none".to_owned() };
    let age = DateTime::parse_from_rfc3339(newest)
        .ok()
        .and_then(|at| Utc::now().signed_duration_since(at).to_std().ok())
        .map(|age| humantime::format_duration(std::time::Duration::from_secs(age.as_secs())));
    age.map_or_else(|| newest.clone(), |age| format!("{newest}, {age} ago"))
}

/// Who has the store open. What that tells about the runner is the profile's to say: some open it only to look.
fn open_in(info: &StoreInfo) -> String {
    let open_in: Vec<_> =
        info.open_in.iter().map(|process| format!("{} (pid {})", process.name, process.pid)).collect();
    if open_in.is_empty() { "no process that can be seen".to_owned() } else { open_in.join(", ") }
}
