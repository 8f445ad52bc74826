//! The operators' page of a server on the same store, and the link that opens it on a request: `http/page/form.js` reads it.

use std::io::Write;

use chrono::SecondsFormat;
use clap::Args;
use form_urlencoded::Serializer;
use serde_json::json;

use super::Failure;
use super::output::{BOLD, DIM, People};
use crate::contract::{Instant, Request, RunFilter, Selector, UniqueBy};

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct PageArguments {
    /// The page of a server on the same store (see `bulk-rerun serve`): a plan is told with its link there
    #[arg(long, env = "BULK_RERUN_PAGE", value_name = "URL", value_parser = address)]
    page: Option<String>,
}

/// A variable that is set, and to nothing, says nothing.
fn address(text: &str) -> Result<String, String> {
    let is_one = text.is_empty() || text.starts_with("http://") || text.starts_with("https://");
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| "expected the page's address, as in https://ops.example.com/".to_owned())
}

impl PageArguments {
    /// Says where else the same plan can be seen, if that is known.
    pub(super) fn say(&self, out: &mut People, request: &Request) -> Result<(), Failure> {
        let Some(page) = self.page.as_deref().filter(|page| !page.is_empty()) else { return Ok(()) };
        let page = page.split('#').next().unwrap_or_default();
        match fragment(request) {
            Ok(fragment) => writeln!(out, "\n{BOLD}See it at{BOLD:#} {page}#{fragment}")?,
            Err(flag) => writeln!(out, "\n{DIM}The page has no {flag}, so there is no link to it.{DIM:#}")?,
        }
        let left_out = left_out(request);
        if !left_out.is_empty() {
            let flags = left_out.join(", ");
            writeln!(out, "{DIM}The page has no {flags}: it shows, and re-runs, what there is without.{DIM:#}")?;
        }
        Ok(())
    }
}

/// What the page has no field for: it changes what is started of the runs that are selected, or when.
fn left_out(request: &Request) -> Vec<&'static str> {
    let options = &request.options;
    let flags = [
        (options.take.is_some(), "--take"),
        (options.start_at.is_some(), "--start-at"),
        (options.spread.is_some(), "--spread"),
    ];
    flags.into_iter().filter_map(|(is_set, flag)| is_set.then_some(flag)).collect()
}

/// The page's form, filled in; or what of a flag no field can hold.
fn fragment(request: &Request) -> Result<String, &'static str> {
    let options = &request.options;
    let mut form = Serializer::new(String::new());
    let list =
        |ids: &[&str], flag| match ids.iter().any(|id| id.contains(|sign: char| sign == ',' || sign.is_whitespace())) {
            true => Err(flag),
            false => Ok(ids.join(",")),
        };
    match &request.selector {
        Selector::Ids(ids) => {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            form.append_pair("mode", "ids").append_pair("ids", &list(&ids, "--ids with a blank or a comma in an id")?);
        }
        Selector::Matching { filter, except_ids, except_tasks } => {
            form.append_pair("mode", "filter");
            for (field, text) in fields(filter) {
                form.append_pair(field, &text);
            }
            let mut except: Vec<&str> = except_ids.iter().map(String::as_str).collect();
            except.sort_unstable();
            if !except.is_empty() {
                form.append_pair("except_ids", &list(&except, "--except with a blank or a comma in an id")?);
            }
            let mut tasks: Vec<&str> = except_tasks.iter().map(String::as_str).collect();
            tasks.sort_unstable();
            if tasks.iter().any(|task| task.trim() != *task || task.is_empty() || task.contains(['\n', '\r'])) {
                return Err("--except-task with a name of several lines, or with a blank at an end");
            }
            if !tasks.is_empty() {
                form.append_pair("except_tasks", &tasks.join("\n"));
            }
        }
    }
    let check = |is_on: bool| if is_on { "1" } else { "0" };
    form.append_pair("skip_superseded", check(options.skip_superseded));
    form.append_pair("skip_active", check(options.skip_active));
    let unique_by = match options.unique_by {
        UniqueBy::Task => "task",
        UniqueBy::Params => "params",
        UniqueBy::Run => "run",
    };
    form.append_pair("unique_by", unique_by);
    if let Some(limit) = options.limit {
        form.append_pair("limit", &limit.to_string());
    }
    for group in &options.except_groups {
        form.append_pair("except_group", &json!([group.task_name, group.rerun_of]).to_string());
    }
    Ok(form.finish())
}

/// A filter as the form's fields have it.
fn fields(filter: &RunFilter) -> impl Iterator<Item = (&'static str, String)> {
    // The word `failure` says what the flag says.
    let failure = (filter.is_failure && !filter.status.iter().any(|word| word == "failure")).then_some("failure");
    let status: Vec<&str> = filter.status.iter().map(String::as_str).chain(failure).collect();
    let text = |text: &Option<String>| text.clone();
    let time = |at: Option<Instant>| at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    let fields = [
        ("status", (!status.is_empty()).then(|| status.join(", "))),
        ("task_name", text(&filter.task_name)),
        ("search", text(&filter.search)),
        ("triggered_by", text(&filter.triggered_by)),
        ("created_after", time(filter.created_after)),
        ("created_before", time(filter.created_before)),
        ("exit_code_min", number(filter.exit_code_min)),
        ("exit_code_max", number(filter.exit_code_max)),
        ("retries_only", filter.retries_only.then(|| "1".to_owned())),
    ];
    fields.into_iter().filter_map(|(field, text)| Some((field, text?)))
}
