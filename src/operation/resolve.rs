//! From a selector to groups, each with its newest run.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::groups::{ByTask, Group, Names, Source};
use crate::contract::{ErrorModel, Params, Request, Run, Selector, UniqueBy};
use crate::host::{Columns, Query, RunRow, Session};

/// What a selector has come to.
pub(super) struct Resolved {
    /// Ordered by task name, then by source run.
    pub(super) groups: Vec<Group>,
    /// How many runs were selected.
    pub(super) matched: u64,
    /// The named ids that are no run, in the order in which they were named.
    pub(super) unknown: Vec<String>,
}

/// A predicate over the matched runs, before they are grouped. An error fails the call.
pub(super) type Keep<'k> = dyn FnMut(&Run) -> Result<bool, ErrorModel> + 'k;

/// Finds the selected runs and groups those that `keep` keeps. `ask_unfit`: the host says which runs are unfit.
pub(super) fn resolve(
    session: &mut dyn Session,
    request: &Request,
    ask_unfit: bool,
    mut keep: Option<&mut Keep<'_>>,
) -> Result<Resolved, ErrorModel> {
    let options = &request.options;
    let by_params = match options.unique_by {
        UniqueBy::Task => false,
        UniqueBy::Params => true,
        UniqueBy::Run => options.skip_active || options.skip_superseded,
    };
    let columns = match keep {
        Some(_) => WHOLE,
        None => Columns { params: by_params, unfit: ask_unfit, ..Columns::default() },
    };
    let mut grouping = match options.unique_by {
        UniqueBy::Task | UniqueBy::Params => Grouping::Shared(ByTask::new()),
        UniqueBy::Run => Grouping::Each(Vec::new(), Names::default()),
    };
    let mut matched = 0;
    let unknown = each_selected(session, &request.selector, columns, &mut |mut run| {
        if let Some(keep) = &mut keep
            && !keep(&run.to_run())?
        {
            return Ok(());
        }
        matched += 1;
        if !by_params {
            run.params = Params::None;
        }
        grouping.add(&run);
        Ok(())
    })?;
    let mut groups = grouping.into_groups();
    groups.sort_unstable_by(Group::order);
    Ok(Resolved { groups, matched, unknown })
}

/// Every column of a run.
const WHOLE: Columns = Columns { params: true, unfit: true, end_reason: true, rest: true };

/// Hands over each selected run, whole. An error ends it.
pub(super) fn each_run(
    session: &mut dyn Session,
    selector: &Selector,
    each: &mut dyn FnMut(Run) -> Result<(), ErrorModel>,
) -> Result<(), ErrorModel> {
    each_selected(session, selector, WHOLE, &mut |run| each(run.to_run())).map(|_unknown| ())
}

/// Hands over each selected run, and answers the named ids that are no run, in the order in which they were named.
fn each_selected(
    session: &mut dyn Session,
    selector: &Selector,
    columns: Columns,
    each: &mut dyn FnMut(RunRow<'_>) -> Result<(), ErrorModel>,
) -> Result<Vec<String>, ErrorModel> {
    let mut failed = None;
    let mut each = |run: RunRow<'_>| match each(run) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    };
    let unknown = match selector {
        Selector::Ids(ids) => {
            // Sorted, so that neighbours in the key's index are sought one after the other.
            let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
            sorted.sort_unstable();
            let mut found = HashSet::with_capacity(ids.len());
            session.runs(Query::Ids(&sorted), columns, &mut |run| {
                found.insert(run.id.to_owned());
                each(run)
            })?;
            ids.iter().filter(|id| !found.contains(*id)).cloned().collect()
        }
        Selector::Matching { filter, except_ids } => {
            session.runs(Query::Filter(filter), columns, &mut |run| {
                if except_ids.contains(run.id) { ControlFlow::Continue(()) } else { each(run) }
            })?;
            Vec::new()
        }
    };
    failed.map_or(Ok(unknown), Err)
}

/// Runs on their way into groups: many of them share one, or each is its own.
enum Grouping {
    Shared(ByTask<(Source, u64)>),
    Each(Vec<Group>, Names),
}

impl Grouping {
    fn add(&mut self, run: &RunRow<'_>) {
        match self {
            Grouping::Each(groups, names) => groups.push(Group {
                task_name: names.get(run.task_name),
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
            Grouping::Each(groups, _) => groups,
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
