//! The flags that name a store and a selector, and the request that they make.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::Failure;
use super::moments::{moment, until};
use crate::contract::{ErrorModel, Request, Spelling, each_once, of_the_environment, read_parameter};
use crate::{Caller, Config, Plugin, Via};

/// Which store, and how to work in it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Store")]
pub(super) struct StoreArguments {
    /// The runner's store: a path, sqlite:PATH, or postgres://…
    #[arg(long, env = "BULK_RERUN_STORE", hide_env_values = true, value_name = "STORE")]
    pub(super) store: OsString,
    /// A standby of the store's PostgreSQL server, which searches read: postgres://…
    #[arg(long, env = "BULK_RERUN_REPLICA", hide_env_values = true, value_name = "ADDRESS")]
    pub(super) replica: Option<String>,
    /// A built-in host profile or a profile's file [default: found from the schema]
    #[arg(long, env = "BULK_RERUN_PROFILE", hide_env_values = true, value_name = "NAME|FILE")]
    pub(super) profile: Option<String>,
    /// Set one of that profile's own parameters; may be given several times [env: BULK_RERUN_PARAMETERS=NAME=VALUE,…]
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = read_parameter)]
    pub(super) parameters: Vec<(String, String)>,
    /// The task catalogue, a runwisp.toml: tells services, and tasks that may not be run by hand
    #[arg(long, env = "BULK_RERUN_TASKS", hide_env_values = true, value_name = "FILE")]
    pub(super) tasks: Option<OsString>,
    /// Who starts the new runs: the runner, which finds them in its store, or its daemon, at once (RunWisp's, on its socket)
    #[arg(long, value_name = "WHO", value_enum, default_value_t)]
    via: ViaArgument,
    /// How long to wait for a lock that somebody else holds, or for an answer of the daemon's
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    pub(super) busy_timeout: Duration,
    /// Keep a ledger in the store, of every re-run from now on, whoever asks for it
    #[arg(long, env = "BULK_RERUN_LEDGER", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub(super) ledger: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum ViaArgument {
    #[default]
    Store,
    Daemon,
}

impl StoreArguments {
    /// The store as it is: `--ledger` is for whoever goes on to change something.
    pub(super) fn open(&self) -> Result<Plugin, Failure> {
        self.open_with(Spelling::default())
    }

    /// `wire`: how an answer is spelled when the request's fields show no spelling.
    pub(super) fn open_with(&self, wire: Spelling) -> Result<Plugin, Failure> {
        if self.store.is_empty() {
            let detail = "no store is named: BULK_RERUN_STORE is blank, and there is no --store";
            return Err(Failure::Usage(ErrorModel::new(400, detail)));
        }
        // A variable that is set, and to nothing, says nothing.
        let plugin = Plugin::open(&Config {
            wire,
            replica: self.replica.clone().filter(|replica| !replica.is_empty()),
            profile: self.profile.clone().filter(|profile| !profile.is_empty()),
            parameters: self.parameters()?,
            tasks: self.tasks().map(PathBuf::from),
            via: match self.via {
                ViaArgument::Store => Via::Store,
                ViaArgument::Daemon => Via::Daemon,
            },
            busy_timeout_ms: u64::try_from(self.busy_timeout.as_millis()).unwrap_or(u64::MAX),
            caller: Caller { actor: Some(user()), ..Caller::through("cli") },
            ..Config::new(&self.store)
        })?;
        Ok(plugin)
    }

    fn parameters(&self) -> Result<BTreeMap<String, String>, Failure> {
        let set = match self.parameters.as_slice() {
            [] => of_the_environment(),
            set => each_once(set.iter().cloned()),
        };
        set.map_err(|wrong| Failure::Usage(ErrorModel::new(400, wrong)))
    }

    pub(super) fn tasks(&self) -> Option<&Path> {
        self.tasks.as_deref().filter(|tasks| !tasks.is_empty()).map(Path::new)
    }
}

/// Who is at the command line: by name, else by the number that the system knows.
fn user() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()));
    // SAFETY: the call takes nothing, and never fails.
    named.unwrap_or_else(|| format!("uid {}", unsafe { libc::geteuid() }))
}

/// Which runs are meant.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selector (all that is given must hold)")]
pub(super) struct SelectorArguments {
    /// Phase or end reason is one of these words: failed,timeout,crashed,…
    #[arg(long, value_name = "WORDS")]
    status: Option<String>,
    /// Runs classified as a failure, beside what --status matches
    #[arg(long)]
    is_failure: bool,
    /// The task's name
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// The task's name or the run's id contains this
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// What triggered it: cron, api, ui, …
    #[arg(long, value_name = "TRIGGER")]
    triggered_by: Option<String>,
    /// Created at this time or later: 24h (ago), 7d, or 2026-04-15T02:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// Created at this time or earlier, the whole second that it shows included
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<String>,
    /// The exit code, or a range of them: 137, 1..125, 2.., ..-1
    #[arg(long, value_name = "MIN..MAX", value_parser = exit_codes, allow_hyphen_values = true)]
    exit_code: Option<ExitCodes>,
    /// Only retries
    #[arg(long)]
    retries_only: bool,
    /// Leave these runs out; blanks around an id are dropped
    #[arg(long, value_name = "ID,…", value_delimiter = ',', value_parser = id)]
    except: Vec<String>,
    /// Leave this task's runs out; may be given several times
    #[arg(long, value_name = "NAME")]
    except_task: Vec<String>,
    /// Every run; required where there is no condition on them (--except and --except-task are none)
    #[arg(long)]
    all: bool,
    /// Exactly these runs; blanks around an id are dropped (--selector takes it as it is)
    #[arg(long, value_name = "ID,…", value_delimiter = ',', value_parser = id, conflicts_with_all = FILTER_FLAGS)]
    ids: Vec<String>,
    /// A selector in JSON, as the contract has it; - reads standard input
    #[arg(long, value_name = "FILE|-", conflicts_with = "ids", conflicts_with_all = FILTER_FLAGS)]
    selector: Option<String>,
}

const FILTER_FLAGS: [&str; 12] = [
    "status",
    "is_failure",
    "task",
    "search",
    "triggered_by",
    "since",
    "until",
    "exit_code",
    "retries_only",
    "except",
    "except_task",
    "all",
];

/// The ends of a range of exit codes, both included.
#[derive(Debug, Clone, Copy)]
struct ExitCodes {
    min: Option<i64>,
    max: Option<i64>,
}

impl SelectorArguments {
    /// Whether a file says it all.
    pub(super) fn is_a_file(&self) -> bool {
        self.selector.is_some()
    }

    /// The request that the flags make: the same JSON that any other door is given.
    pub(super) fn request(&self) -> Result<Request, Failure> {
        let json = match &self.selector {
            Some(file) => read_selector(file)?,
            None => self.to_json().to_string().into_bytes(),
        };
        let request = Request::from_json(&json).map_err(Failure::Usage)?;
        // Whoever writes a selector says match_all there.
        if self.selector.is_none() && request.selector.is_unconditional() && !self.all {
            return Err(Failure::Usage(ErrorModel::new(
                400,
                "nothing says which runs: filter them (--status failed --since 24h), name them (--ids A,B), or say \
                 --all for every run",
            )));
        }
        Ok(request)
    }

    /// The same for whoever looks at failures: what is not said is assumed, and named as the flags that would say it.
    pub(super) fn failures(&self, window: &str) -> Result<(Request, Vec<&'static str>), Failure> {
        if self.selector.is_some() || !self.ids.is_empty() {
            return Ok((self.request()?, Vec::new()));
        }
        let mut request = self.to_json();
        let mut assumed = Vec::new();
        if self.status.is_none() && self.exit_code.is_none() && !self.is_failure {
            request["filter"]["is_failure"] = json!(true);
            assumed.push("--is-failure");
        }
        if self.since.is_none() && self.until.is_none() && !self.all {
            request["filter"]["created_after"] =
                json!(moment(window).map_err(|error| Failure::Usage(ErrorModel::new(400, error)))?);
            assumed.push("--since");
        }
        Ok((Request::from_json(request.to_string().as_bytes()).map_err(Failure::Usage)?, assumed))
    }

    fn to_json(&self) -> Value {
        if !self.ids.is_empty() {
            return json!({ "ids": self.ids });
        }
        let mut filter = Map::new();
        let texts = [
            ("status", &self.status),
            ("task_name", &self.task),
            ("search", &self.search),
            ("triggered_by", &self.triggered_by),
            ("created_after", &self.since),
            ("created_before", &self.until),
        ];
        for (field, text) in texts {
            if let Some(text) = text {
                filter.insert(field.to_owned(), json!(text));
            }
        }
        if let Some(codes) = self.exit_code {
            filter.insert("exit_code_min".to_owned(), json!(codes.min));
            filter.insert("exit_code_max".to_owned(), json!(codes.max));
        }
        for (field, flag) in [("retries_only", self.retries_only), ("is_failure", self.is_failure)] {
            if flag {
                filter.insert(field.to_owned(), json!(true));
            }
        }
        let options = json!({ "except_tasks": self.except_task });
        json!({ "match_all": true, "filter": filter, "except_ids": self.except, "options": options })
    }
}

fn read_selector(file: &str) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = match file {
        "-" => io::stdin().read_to_end(&mut text).map(|_| text),
        path => fs::read(path),
    };
    read.map_err(|error| Failure::Usage(ErrorModel::new(400, format!("the selector {file} can't be read: {error}"))))
}

/// An id out of a list that a person wrote, with blanks after the commas.
fn id(text: &str) -> Result<String, Infallible> {
    Ok(text.trim().to_owned())
}

fn exit_codes(text: &str) -> Result<ExitCodes, String> {
    let end = |text: &str| match text {
        "" => Ok(None),
        number => number.parse().map(Some).map_err(|_| format!("{number:?} is no exit code")),
    };
    let (min, max) = text.split_once("..").unwrap_or((text, text));
    let codes = ExitCodes { min: end(min)?, max: end(max)? };
    match (codes.min, codes.max) {
        (None, None) => Err("expected an exit code (137) or a range of them (1..125, 2.., ..-1)".to_owned()),
        (Some(min), Some(max)) if min > max => Err(format!("{min} is above {max}, so no run can match")),
        _ => Ok(codes),
    }
}
