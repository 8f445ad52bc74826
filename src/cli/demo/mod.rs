//! `bulk-rerun demo`: a store with a bad night in it, and how that is put right.

mod history;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{self, Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Failure;
use super::output::{BOLD, DIM, People, count};
use super::progress::watch;
use super::report;
use super::shell::quoted;
use super::table::{Column, print_table};
use crate::contract::{BulkRerunBody, ErrorModel, Request, RerunOptions, Run};
use crate::{Config, Plugin};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder for the store; a second demo in it goes on with the same store
    #[arg(default_value = "bulk-rerun-demo")]
    dir: PathBuf,
    /// Do not make the tables fit the terminal
    #[arg(long)]
    wide: bool,
}

/// The demo's folder.
struct Folder {
    store: PathBuf,
    tasks: PathBuf,
    /// Says that the store is a demo's, and holds its [`Story`] once it is whole.
    story: PathBuf,
}

/// What a later demo in the same folder must know.
#[derive(Serialize, Deserialize)]
struct Story {
    bad_night: (DateTime<Utc>, DateTime<Utc>),
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let folder = Folder {
        store: arguments.dir.join("runwisp.db"),
        tasks: arguments.dir.join("runwisp.toml"),
        story: arguments.dir.join("bulk-rerun-demo.json"),
    };
    let out = &mut People::on_stdout(arguments.wide);
    let story = match folder.earlier_story()? {
        Some(story) => {
            writeln!(out, "The store of an earlier demo is still here, and this one goes on with it.")?;
            story
        }
        None => watch("making a store", || folder.make())?,
    };
    let plugin = Plugin::open(&Config {
        tasks: Some(folder.tasks.clone()),
        // Absolute, it looks like no address.
        ..Config::new(path::absolute(&folder.store).unwrap_or_else(|_| folder.store.clone()))
    })?;
    introduce(out, &plugin, &folder)?;
    what_failed(out, &plugin, &story)?;
    let plan = plan(out, &plugin, &folder, &story)?;
    if plan.planned.as_deref().is_some_and(|planned| !planned.is_empty()) {
        let done = rerun_one(out, &plugin, &story)?;
        new_run(out, &plugin, &done)?;
    } else {
        writeln!(
            out,
            "\n{BOLD}3. There is nothing left to re-run.{BOLD:#} The new runs are still pending, since no RunWisp works on \
             this store;\n   `--skip-active` keeps a second call from spawning them twice."
        )?;
    }
    try_next(out, &folder, &story)?;
    Ok(ExitCode::SUCCESS)
}

impl Folder {
    /// The story of an earlier demo's store, if there is one. A store that no demo made is never touched.
    fn earlier_story(&self) -> Result<Option<Story>, ErrorModel> {
        if self.store.exists() && !self.story.exists() {
            let detail = format!("{} was not made by a demo; name another folder for one", self.store.display());
            return Err(ErrorModel::new(500, detail));
        }
        let text = fs::read_to_string(&self.story).unwrap_or_default();
        // A story that is not whole belongs to a demo that was interrupted while it made its store.
        Ok(serde_json::from_str(&text).ok().filter(|_| self.store.exists()))
    }

    fn make(&self) -> Result<Story, ErrorModel> {
        let now = Utc::now();
        self.prepare().map_err(|error| self.failed(&error))?;
        let history = history::create(&self.store, now).map_err(|error| self.failed(&error))?;
        let story = Story { bad_night: history.bad_night };
        fs::write(&self.tasks, history::catalogue(now))
            .and_then(|()| fs::write(&self.story, json!(story).to_string()))
            .map_err(|error| self.failed(&error))?;
        Ok(story)
    }

    /// Makes the folder ready: a mark that what follows is ours, and nothing of an interrupted demo.
    fn prepare(&self) -> io::Result<()> {
        if let Some(folder) = self.store.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&self.story, "")?;
        for name in ["", "-wal", "-shm", "-journal"] {
            let mut file = self.store.clone().into_os_string();
            file.push(name);
            if Path::new(&file).exists() {
                fs::remove_file(&file)?;
            }
        }
        Ok(())
    }

    fn failed(&self, error: &dyn std::error::Error) -> ErrorModel {
        ErrorModel::new(500, format!("the demo's store {} can't be made: {error}", self.store.display()))
    }
}

fn introduce(out: &mut People, plugin: &Plugin, folder: &Folder) -> Result<(), Failure> {
    let survey = plugin.survey()?;
    let (runs, tasks) = (count(survey.runs, "run"), count(survey.tasks, "task"));
    writeln!(out, "A made-up company's RunWisp store: ninety days, {runs} of {tasks}.\n")?;
    writeln!(out, "  {}   {DIM}the runs{DIM:#}", folder.store.display())?;
    writeln!(out, "  {} {DIM}the tasks{DIM:#}", folder.tasks.display())?;
    Ok(())
}

fn what_failed(out: &mut People, plugin: &Plugin, story: &Story) -> Result<(), Failure> {
    let (from, to) = story.bad_night;
    writeln!(
        out,
        "\n{BOLD}1. In the night of {} the database's host was down, from {} to {} UTC. What failed:{BOLD:#}\n",
        from.format("%-d %B"),
        from.format("%H:%M"),
        to.format("%H:%M"),
    )?;
    let selector = request(story, json!({}))?.selector;
    let mut tasks: BTreeMap<String, (usize, Run)> = BTreeMap::new();
    plugin.select(&selector, &mut |run| {
        let (runs, newest) = tasks.entry(run.task_name.clone()).or_insert_with(|| (0, run.clone()));
        *runs += 1;
        if run.created_at > newest.created_at {
            *newest = run;
        }
        Ok(())
    })?;
    let columns =
        [Column::Text("TASK"), Column::Time("NEWEST FAILURE"), Column::Text("ENDED"), Column::Number("FAILURES")];
    let rows = tasks.into_iter().map(|(task, (runs, newest))| {
        vec![task, report::created(&newest), report::how_it_ended(&newest), runs.to_string()]
    });
    Ok(print_table(out, &columns, rows.collect())?)
}

fn plan(out: &mut People, plugin: &Plugin, folder: &Folder, story: &Story) -> Result<BulkRerunBody, Failure> {
    writeln!(
        out,
        "\n{BOLD}2. What would be re-run?{BOLD:#} Each task once, as its newest failed run was; not what succeeded since, \
         what is\n   running again, or what may not be started by hand. A dry run changes nothing:\n"
    )?;
    writeln!(out, "  $ {} --skip-active --skip-superseded --dry-run\n", command(folder, story))?;
    let body = plugin.rerun(&request(story, json!({ "dry_run": true, "with_runs": true }))?)?;
    report::plan(out, plugin, &body)?;
    Ok(body)
}

fn rerun_one(out: &mut People, plugin: &Plugin, story: &Story) -> Result<BulkRerunBody, Failure> {
    writeln!(
        out,
        "\n{BOLD}3. Re-run one of them first,{BOLD:#} to see whether it holds by now. The others are left for you:\n"
    )?;
    writeln!(out, "  $ … --skip-active --skip-superseded --take 1 --yes\n")?;
    let body = plugin.rerun(&request(story, json!({ "take": 1 }))?)?;
    // What is skipped has been shown with the plan.
    let shown = BulkRerunBody { skipped: Vec::new(), ..body.clone() };
    report::result(out, plugin, &shown, &RerunOptions::default())?;
    Ok(body)
}

fn new_run(out: &mut People, plugin: &Plugin, done: &BulkRerunBody) -> Result<(), Failure> {
    writeln!(
        out,
        "\n{BOLD}4. The new row{BOLD:#} is RunWisp's own: pending, with the parameters of its source run.\n"
    )?;
    let ids: Vec<String> = done.triggered.iter().map(|run| run.run_id.clone()).collect();
    let runs = report::runs_of(plugin, ids)?;
    let keys = done.triggered.iter().map(|run| (run.task_name.clone(), run.run_id.clone()));
    let rows = keys.filter_map(|key| runs.get(&key)).map(|run| {
        vec![
            run.id.clone(),
            run.task_name.clone(),
            run.phase.clone().unwrap_or_default(),
            run.triggered_by.clone().unwrap_or_default(),
            report::parameters(run),
        ]
    });
    let [task, phase, trigger] = ["TASK", "PHASE", "TRIGGERED BY"].map(Column::Text);
    let columns = [Column::Id("RUN"), task, phase, trigger, Column::Detail("PARAMETERS")];
    Ok(print_table(out, &columns, rows.collect())?)
}

fn try_next(out: &mut People, folder: &Folder, story: &Story) -> Result<(), Failure> {
    let tool = tool();
    let [store, tasks] = [&folder.store, &folder.tasks].map(quoted);
    writeln!(
        out,
        "\n{BOLD}Try next{BOLD:#}\n
  {DIM}# What does the tool make of a store? (Put your own .runwisp/runwisp.db in its place.){DIM:#}
  {tool} check --store {store}

  {DIM}# What failed in the last 24 hours, over time?{DIM:#}
  {tool} failures --store {store}

  {DIM}# Every failed run of that night, one new run for each distinct set of parameters; asks first{DIM:#}
  {} --unique-by params

  {DIM}# What ran out of memory in the last 30 days? As JSON, for a script{DIM:#}
  {tool} rerun --store {store} --exit-code 137 --since 30d --dry-run --json

  {DIM}# The night on a page, with the others to re-run: open http://127.0.0.1:9477/ in a browser{DIM:#}
  {tool} serve --store {store} --tasks {tasks}",
        command(folder, story),
    )?;
    Ok(())
}

/// The demo's request: what failed in the bad night.
fn request(story: &Story, options: serde_json::Value) -> Result<Request, ErrorModel> {
    let mut all = json!({ "skip_active": true, "skip_superseded": true });
    for (name, value) in options.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    let [from, to] = bounds(story);
    let json = json!({
        "match_all": true,
        "filter": { "is_failure": true, "created_after": from, "created_before": to },
        "options": all,
    });
    Request::from_json(json.to_string().as_bytes())
}

/// The same as a command line.
fn command(folder: &Folder, story: &Story) -> String {
    let [from, to] = bounds(story);
    format!(
        "{} rerun --store {} --tasks {} \\\n      --is-failure --since {from} --until {to}",
        tool(),
        quoted(&folder.store),
        quoted(&folder.tasks),
    )
}

fn bounds(story: &Story) -> [String; 2] {
    let (from, to) = story.bad_night;
    [from, to].map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// The tool as it was called, so that the commands shown can be typed.
fn tool() -> String {
    env::args_os().next().map_or_else(|| "bulk-rerun".to_owned(), quoted)
}
