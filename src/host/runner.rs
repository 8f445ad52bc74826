//! Whether the runner is up: what its processes or connections are called, and what that means for a new run.

use serde::{Deserialize, Serialize};

use super::Process;
use super::profile::Profile;

/// Who has a store open to look at it, and runs nothing in it: by the name of the process or the connection.
const TOOLS: [&str; 10] = [
    "bulk-rerun",
    "sqlite3",
    "litecli",
    "psql",
    "pgcli",
    "pg_dump",
    "pg_restore",
    "pgAdmin*",
    "DBeaver*",
    "DB Browser for*",
];

/// When a run that was spawned will start: for `check`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// While the runner runs.
    pub running: String,
    /// While it does not.
    pub stopped: String,
}

impl Default for Start {
    fn default() -> Self {
        Start {
            running: "when the runner next looks for pending runs".to_owned(),
            stopped: "when the runner is started next".to_owned(),
        }
    }
}

/// What tells the runner from others who have the store open: patterns, in which `*` stands for any text.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenAs {
    /// SQLite: its process's name, or its command line.
    #[serde(default)]
    pub command: Vec<String>,
    /// PostgreSQL: what its connection is called.
    #[serde(default)]
    pub application_name: Vec<String>,
    /// PostgreSQL: the last statement on a connection of its own, each gap in it as one blank, with or without a semicolon.
    #[serde(default)]
    pub query: Vec<String>,
}

impl SeenAs {
    /// The profile does not say how the runner is told.
    pub(super) fn is_nothing(&self) -> bool {
        self.all().next().is_none()
    }

    /// Every pattern.
    pub(super) fn all(&self) -> impl Iterator<Item = &String> {
        self.command.iter().chain(&self.application_name).chain(&self.query)
    }

    /// PostgreSQL: whether a connection may be the runner's of which we know what it is called, and not what it does.
    pub(super) fn may_be_connection(&self, application_name: &str) -> bool {
        // By what it does, psql can be a worker too.
        !self.query.is_empty() || (self.application_name.is_empty() && !is_tool(application_name))
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.command.iter_mut().chain(&mut self.application_name).chain(&mut self.query)
    }

    pub(super) fn is_command(&self, command: &str) -> bool {
        is_any(&self.command, command)
    }

    pub(super) fn is_connection(&self, application_name: &str, query: &str) -> bool {
        let query: Vec<&str> = query.split_whitespace().collect();
        let query = query.join(" ");
        let is_query = || is_any(&self.query, query.trim_end_matches([';', ' ']));
        is_any(&self.application_name, application_name) || is_any(&self.query, &query) || is_query()
    }
}

/// Whether the runner is among those who have the store open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerState {
    /// It is.
    Seen,
    /// Nobody there is the runner.
    NotSeen,
    /// Somebody there may be.
    Unknown,
}

/// What is known of the runner, and what that means for a new run.
pub(super) struct Outlook {
    pub(super) runner: RunnerState,
    /// Why it can't be told whether it is up.
    pub(super) unknown: Option<String>,
    /// When a new run starts.
    pub(super) start: String,
}

impl Profile {
    /// `hidden`: whom we may not look at, and what may be done about it.
    pub(super) fn outlook(&self, open_in: &[Process], hidden: Option<String>) -> Outlook {
        let Start { running, stopped } = &self.start;
        let is_anybody = |process: &&Process| !is_tool(&process.name);
        let not_told = || {
            let somebody = open_in.iter().find(is_anybody).filter(|_| self.seen_as.is_nothing())?;
            Some(format!(
                "{} may be {} or another program, and the profile does not say how they are told apart",
                somebody.name, self.runner
            ))
        };
        let seen = open_in.iter().any(|process| process.is_runner);
        let unknown = if seen { None } else { hidden.or_else(not_told) };
        let (runner, start) = match &unknown {
            None if seen => (RunnerState::Seen, running.clone()),
            None => (RunnerState::NotSeen, stopped.clone()),
            Some(_) => (
                RunnerState::Unknown,
                format!("it can't be told whether {} is up; if it is: {running}; if not: {stopped}", self.runner),
            ),
        };
        Outlook { runner, unknown, start }
    }
}

/// Whether a name is that of a tool, which runs nothing.
pub(super) fn is_tool(name: &str) -> bool {
    is_any(&TOOLS, name)
}

fn is_any(patterns: &[impl AsRef<str>], text: &str) -> bool {
    patterns.iter().any(|pattern| is_like(pattern.as_ref(), text))
}

/// Whether a text is what a pattern says: each `*` stands for any text, and all else for itself.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let [middle @ .., last] = parts.as_slice() else { return true };
    for part in middle {
        match text.split_once(part) {
            Some((_, behind)) => text = behind,
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text) in [
            ("app", "app"),
            ("app*", "app"),
            ("*app", "my app"),
            ("*", ""),
            ("a*b*c", "a b b c"),
            ("*a*", "bab"),
            ("a**b", "ab"),
        ] {
            assert!(is_like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("app", "apps"),
            ("app", "App"),
            ("ab*ba", "aba"),
            ("a*b*c", "a c"),
            ("*a", "ab"),
            ("", "a"),
            ("a.c", "abc"),
        ] {
            assert!(!is_like(pattern, text), "{pattern} {text}");
        }
    }
}
