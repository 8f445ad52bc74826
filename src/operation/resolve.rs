//! From a selector to groups, each with its newest run.

use std::collections::HashSet;

use super::groups::{ByTask, Group, Source};
use crate::contract::{Request, Run, Selector, UniqueBy};
use crate::host::{Columns, HostError, Query, RunRow, Session};

/// What a selector has come to.
pub(super) struct Resolved {
    /// Ordered by task name, then by source run.
    pub(super) groups: Vec<Group>,
    /// How many runs were selected.
    pub(super) matched: u64,
    /// The named ids that are no run, in the order in which they were named.
    pub(super) unknown: Vec<String>,
}

/// Finds the selected runs and groups them. `ask_unfit`: the host says which runs are unfit.
pub(super) fn resolve(session: &mut dyn Session, request: &Request, ask_unfit: bool) -> Result<Resolved, HostError> {
    let options = &request.options;
    let by_params = match options.unique_by {
        UniqueBy::Task => false,
        UniqueBy::Params => true,
        UniqueBy::Run => options.skip_active || options.skip_superseded,
    };
    let columns = Columns { params: by_params, unfit: ask_unfit, ..Columns::default() };
    let mut grouping = match options.unique_by {
        UniqueBy::Task | UniqueBy::Params => Grouping::Shared(ByTask::new()),
        UniqueBy::Run => Grouping::Each(Vec::new()),
    };
    let mut matched = 0;
    let mut unknown = Vec::new();
    match &request.selector {
        Selector::Ids(ids) => {
            let mut found = HashSet::with_capacity(ids.len());
            each_named(session, ids, columns, &mut |run| {
                found.insert(run.id.to_owned());
                grouping.add(&run);
            })?;
            matched = found.len() as u64;
            unknown.extend(ids.iter().filter(|id| !found.contains(*id)).cloned());
        }
        Selector::Matching { filter, except_ids } => {
            session.runs(Query::Filter(filter), columns, &mut |run| {
                if !except_ids.contains(run.id) {
                    matched += 1;
                    grouping.add(&run);
                }
            })?;
        }
    }
    let mut groups = grouping.into_groups();
    groups.sort_unstable_by(|a, b| (&a.task_name, &a.source.id).cmp(&(&b.task_name, &b.source.id)));
    Ok(Resolved { groups, matched, unknown })
}

/// Hands over each selected run, whole.
pub(super) fn each_run(
    session: &mut dyn Session,
    selector: &Selector,
    each: &mut dyn FnMut(Run),
) -> Result<(), HostError> {
    let columns = Columns { params: true, unfit: false, end_reason: true, rest: true };
    match selector {
        Selector::Ids(ids) => each_named(session, ids, columns, &mut |run| each(whole(run))),
        Selector::Matching { filter, except_ids } => session.runs(Query::Filter(filter), columns, &mut |run| {
            if !except_ids.contains(run.id) {
                each(whole(run));
            }
        }),
    }
}

/// Sorted, so that neighbours in the key's index are sought one after the other.
fn each_named(
    session: &mut dyn Session,
    ids: &[String],
    columns: Columns,
    each: &mut dyn FnMut(RunRow<'_>),
) -> Result<(), HostError> {
    let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    session.runs(Query::Ids(&sorted), columns, each)
}

fn whole(run: RunRow<'_>) -> Run {
    Run {
        id: run.id.to_owned(),
        task_name: run.task_name.to_owned(),
        phase: run.phase.map(str::to_owned),
        end_reason: run.end_reason.map(str::to_owned),
        exit_code: run.exit_code,
        triggered_by: run.triggered_by.map(str::to_owned),
        created_at: run.created_at,
        retry_attempt: run.retry_attempt,
        params: run.params.into_owned(),
    }
}

/// Runs on their way into groups: many of them share one, or each is its own.
enum Grouping {
    Shared(ByTask<(Source, u64)>),
    Each(Vec<Group>),
}

impl Grouping {
    fn add(&mut self, run: &RunRow<'_>) {
        match self {
            Grouping::Each(groups) => groups.push(Group {
                task_name: run.task_name.to_owned(),
                params: run.params.clone().into_owned(),
                source: Source::of(run),
                matched: 1,
                skip: None,
            }),
            Grouping::Shared(groups) => {
                let (source, matched) = groups.or_insert_with(run.task_name, &run.params, || (Source::of(run), 0));
                *matched += 1;
                // The newest run: the latest, then the one with the highest id. An unreadable time is the oldest.
                if (run.created_at, run.id) > (source.created_at, &source.id) {
                    source.created_at = run.created_at;
                    run.id.clone_into(&mut source.id);
                    source.unfit = run.unfit.map(str::to_owned);
                }
            }
        }
    }

    fn into_groups(self) -> Vec<Group> {
        match self {
            Grouping::Each(groups) => groups,
            Grouping::Shared(groups) => groups
                .into_entries()
                .map(|(task_name, params, (source, matched))| Group { task_name, params, source, matched, skip: None })
                .collect(),
        }
    }
}

impl Source {
    fn of(run: &RunRow<'_>) -> Source {
        Source { id: run.id.to_owned(), created_at: run.created_at, unfit: run.unfit.map(str::to_owned) }
    }
}
