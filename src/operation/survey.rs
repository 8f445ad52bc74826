//! What a store holds, for `check`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Serialize;

use super::groups::{Names, Seen};
use crate::contract::{ErrorModel, Phase, RunFilter};
use crate::host::{Columns, Host, Query};

/// So many different words are counted each by itself; a view that is wrong may have a million of them.
const WORDS_MAX: usize = 20;

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Survey {
    /// How many runs are visible.
    pub runs: u64,
    /// How many tasks they are of.
    pub tasks: u64,
    /// How many are pending or running.
    pub active: u64,
    /// How often each phase occurs that is none: neither pending, running nor ended. (`NULL` for no word at all.)
    pub unknown_phases: BTreeMap<String, u64>,
    /// How often each end reason occurs among the runs that have ended. (`NULL` for no word at all.)
    pub end_reasons: BTreeMap<String, u64>,
    /// How many runs searches for a status pass over, by what the view calls them and (in brackets) the runner's own word,
    /// which the profile's `states` do not say of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub passed_over: BTreeMap<String, u64>,
    /// How many have an id or a task that can't be carried faithfully (none, empty, no UTF-8): they are never started.
    pub nameless: u64,
    /// How many rows show a run that another row shows already: the view joins too much.
    pub repeated: u64,
    /// How many have a time of creation that can't be read: they match no time bound, and count as the oldest.
    pub unreadable_times: u64,
    /// When the newest run was created, in RFC 3339.
    pub newest: Option<String>,
}

/// Reads every run once.
pub(crate) fn survey(host: &dyn Host) -> Result<Survey, ErrorModel> {
    let mut session = host.session()?;
    session.begin_search()?;
    let mut survey = Survey::default();
    let mut tasks = Names::default();
    let mut seen = session.may_repeat(Query::Filter(&RunFilter::default()))?.then(Seen::default);
    let mut newest = None;
    let states = session.states();
    let columns = Columns { end_reason: true, rest: true, state: true, ..Columns::default() };
    session.runs(Query::Filter(&RunFilter::default()), columns, &mut |run| {
        if seen.as_mut().is_some_and(|seen| !seen.is_new(&run)) {
            survey.repeated += 1;
            return ControlFlow::Continue(());
        }
        survey.runs += 1;
        match run.phase.and_then(Phase::from_word) {
            Some(Phase::Pending | Phase::Running) => survey.active += 1,
            Some(Phase::Ended) => count(&mut survey.end_reasons, run.end_reason),
            None => count(&mut survey.unknown_phases, run.phase),
        }
        if let Some(word) = states.passed_over(&run) {
            count(&mut survey.passed_over, Some(&word));
        }
        survey.nameless += u64::from(run.id.fault().or(run.task_name.fault()).is_some());
        survey.unreadable_times += u64::from(run.created_at.is_none());
        newest = newest.max(run.created_at);
        if run.task_name.fault().is_none() {
            tasks.get(&run.task_name);
        }
        ControlFlow::Continue(())
    })?;
    session.end()?;
    survey.tasks = tasks.len() as u64;
    survey.newest = newest.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
    Ok(survey)
}

/// Counts a word; those beyond the first few together, as `…`.
fn count(words: &mut BTreeMap<String, u64>, word: Option<&str>) {
    let word = word.unwrap_or("NULL");
    let known = words.contains_key(word) || words.len() < WORDS_MAX;
    *words.entry(if known { word } else { "…" }.to_owned()).or_default() += 1;
}
