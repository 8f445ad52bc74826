//! What a store holds, for `check`.

use std::collections::HashSet;
use std::ops::ControlFlow;

use serde::Serialize;

use crate::contract::{ErrorModel, RunFilter};
use crate::host::{Columns, Host, Query};

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Survey {
    /// How many runs are visible.
    pub runs: u64,
    /// How many tasks they are of.
    pub tasks: u64,
    /// How many are pending or running.
    pub active: u64,
    /// How many have a time of creation that can't be read: they match no time bound, and count as the oldest.
    pub unreadable_times: u64,
    /// When the newest run was created, in RFC 3339.
    pub newest: Option<String>,
}

/// Reads every run once.
pub(crate) fn survey(host: &dyn Host) -> Result<Survey, ErrorModel> {
    let mut session = host.session()?;
    session.begin_read()?;
    let mut survey = Survey::default();
    let mut tasks = HashSet::new();
    let mut newest = None;
    let columns = Columns { rest: true, ..Columns::default() };
    session.runs(Query::Filter(&RunFilter::default()), columns, &mut |run| {
        survey.runs += 1;
        survey.active += u64::from(run.phase != Some("ended"));
        survey.unreadable_times += u64::from(run.created_at.is_none());
        newest = newest.max(run.created_at);
        if !tasks.contains(run.task_name) {
            tasks.insert(run.task_name.to_owned());
        }
        ControlFlow::Continue(())
    })?;
    session.end()?;
    survey.tasks = tasks.len() as u64;
    survey.newest = newest.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
    Ok(survey)
}
