//! `bulk-rerun profiles`: the built-in host profiles, and a text to start one's own from.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Failure;
use super::check::TRIED_ON_ITS_SCHEMA;
use super::output::People;
use super::table::{Column, print_table};
use crate::contract::ErrorModel;
use crate::host::profile::{Engine, Profile};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  bulk-rerun profiles

  # One of your own
  bulk-rerun profiles runwisp > my-runner.toml
  bulk-rerun check --store jobs.db --profile my-runner.toml")]
pub(super) struct Arguments {
    /// Print this profile's file
    name: Option<String>,
    /// Print the list as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Do not make the table fit the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if let Some(name) = &arguments.name {
        let Some(text) = Profile::built_in_text(name) else {
            let known: Vec<_> = Profile::built_in_names().collect();
            let detail = format!("there is no built-in profile {name:?}; there are: {}", known.join(", "));
            return Err(Failure::Usage(ErrorModel::new(400, detail)));
        };
        io::stdout().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let profiles: Vec<Profile> = Profile::built_in_names().filter_map(Profile::built_in).collect();
    let engine = |profile: &Profile| match profile.engine {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgres",
    };
    if arguments.json {
        let list: Vec<_> = profiles
            .iter()
            .map(|profile| {
                json!({
                    "name": profile.name,
                    "runner": profile.runner,
                    "engine": engine(profile),
                    "tried_with": profile.tried_with,
                })
            })
            .collect();
        writeln!(io::stdout(), "{}", json!(list))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = profiles
        .iter()
        .map(|profile| {
            let schema = match profile.generations.as_slice() {
                [only] => only.name.clone(),
                several => format!("{} generations", several.len()),
            };
            let tried_with = if profile.tried_with.is_worker() { "its worker" } else { "its schema only" };
            vec![
                profile.name.clone(),
                profile.runner.clone(),
                engine(profile).to_owned(),
                tried_with.to_owned(),
                schema,
            ]
        })
        .collect();
    let [runner, engine, tried_with] = ["RUNNER", "ENGINE", "TRIED WITH"].map(Column::Text);
    let columns = [Column::Id("NAME"), runner, engine, tried_with, Column::Detail("SCHEMA")];
    let out = &mut People::on_stdout(arguments.wide);
    print_table(out, &columns, rows)?;
    writeln!(out, "\nIts schema only: {TRIED_ON_ITS_SCHEMA}.")?;
    Ok(ExitCode::SUCCESS)
}
