//! RunWisp's API, as far as runs are started through it.

use std::collections::HashMap;

use hyper::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::socket::{NoReply, Reply, Socket};
use crate::host::HostError;

/// As much of a daemon's own words is passed on.
const WORDS_MAX: usize = 300;

/// The longest name of a task.
const NAME_MAX: usize = 100;

/// A daemon that has answered.
pub(super) struct Api<'s> {
    socket: &'s Socket,
    runtime: Runtime,
    pub(super) version: String,
}

/// A task, as the daemon knows it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Task {
    name: String,
    /// What may be given to a run. Daemons before 0.10 have none.
    #[serde(default)]
    pub(super) parameters: Option<Vec<Parameter>>,
}

/// A parameter that a task declares.
#[derive(Debug, Deserialize)]
pub(super) struct Parameter {
    pub(super) key: String,
    #[serde(default)]
    pub(super) kind: String,
}

/// What the daemon made of a task that it was to start.
#[derive(Debug)]
pub(super) enum Started {
    /// It answered with the new run's id.
    Run(String),
    /// It declined: the status, and its own words.
    Declined(u16, String),
}

/// The two shapes of a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tasks {
    Bare(Vec<Task>),
    Items { items: Option<Vec<Task>> },
}

impl<'s> Api<'s> {
    /// Asks who is there.
    ///
    /// # Errors
    ///
    /// Nobody is, or another than RunWisp, or somebody who must not be trusted.
    pub(super) fn reach(socket: &'s Socket) -> Result<Self, HostError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            HostError::Unusable(format!("RunWisp's daemon can't be asked on {}: {error}", socket.path.display()))
        })?;
        let mut api = Api { socket, runtime, version: String::new() };
        // The second is what it was called before.
        for path in ["/api/daemon", "/api/info"] {
            let reply = api.get(path)?;
            let version = serde_json::from_slice(&reply.body)
                .ok()
                .and_then(|info: Value| Some(info["version"].as_str()?.to_owned()));
            if let (200, Some(version)) = (reply.status, version) {
                api.version = version;
                return Ok(api);
            }
        }
        Err(api.stranger("it does not say which version it is"))
    }

    /// The daemon's tasks, by name.
    ///
    /// # Errors
    ///
    /// It does not list them.
    pub(super) fn tasks(&self) -> Result<HashMap<String, Task>, HostError> {
        let reply = self.get("/api/tasks")?;
        let tasks = match serde_json::from_slice(&reply.body) {
            Ok(Tasks::Bare(tasks)) => tasks,
            Ok(Tasks::Items { items }) => items.unwrap_or_default(),
            Err(_) => return Err(self.stranger(&format!("its list of tasks can't be read (status {})", reply.status))),
        };
        let named = tasks.into_iter().filter(|task| is_name(&task.name));
        Ok(named.map(|task| (task.name.clone(), task)).collect())
    }

    /// Lets the daemon start a run of a task.
    ///
    /// # Errors
    ///
    /// It is not known what came of it, or the daemon would answer the same to any other.
    pub(super) fn start(&self, task_name: &str, body: Option<String>) -> Result<Started, HostError> {
        let path = format!("/api/tasks/{task_name}/run");
        let unknown = |why: &str| {
            HostError::Unusable(format!(
                "RunWisp's daemon was asked to start {task_name}, and whether it has is not known ({why}): look for a new run \
                 of it before you repeat this"
            ))
        };
        let reply = self.socket.ask(&self.runtime, Method::POST, &path, body).map_err(|error| match error {
            NoReply::Unasked(error) => error,
            NoReply::Silent => unknown("it does not answer"),
            NoReply::Unreadable(why) => unknown(&why),
        })?;
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        match (reply.status, answer["id"].as_str()) {
            (401, _) => Err(self.wants_a_login()),
            (200..=299, Some(id)) if !id.is_empty() => Ok(Started::Run(id.to_owned())),
            (status @ 200..=299, _) => Err(unknown(&format!("it answered {status}, and no run's id"))),
            (status, _) => Ok(Started::Declined(status, words(&answer))),
        }
    }

    fn get(&self, path: &str) -> Result<Reply, HostError> {
        match self.socket.ask(&self.runtime, Method::GET, path, None) {
            Ok(Reply { status: 401, .. }) => Err(self.wants_a_login()),
            Ok(reply) => Ok(reply),
            Err(NoReply::Unasked(error)) => Err(error),
            Err(NoReply::Silent) => Err(self.socket.silent()),
            Err(NoReply::Unreadable(why)) => Err(self.stranger(&why)),
        }
    }

    fn wants_a_login(&self) -> HostError {
        self.stranger("it wants a login, which RunWisp's daemon wants of nobody on its own socket")
    }

    fn stranger(&self, why: &str) -> HostError {
        HostError::Unusable(format!(
            "what listens on {} is no RunWisp daemon that can be asked: {why}; RUNWISP_SOCKET names the right socket, and \
             without `via` (--via) the new runs are put into the store",
            self.socket.path.display()
        ))
    }
}

/// Whether it is a name as the API takes it: one that stands in a path as it is.
fn is_name(name: &str) -> bool {
    let is_sign = |sign: u8| sign.is_ascii_alphanumeric() || b"._:-".contains(&sign);
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_sign)
}

/// What a problem document says, in one line.
fn words(problem: &Value) -> String {
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    let mut words = Some(text("detail")).filter(|detail| !detail.is_empty()).unwrap_or_else(|| text("title"));
    for error in problem["errors"].as_array().into_iter().flatten() {
        if let Some(message) = error["message"].as_str() {
            words += "; ";
            words += message;
        }
    }
    words.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).take(WORDS_MAX).collect()
}
