//! Which groups get no new run, and why. The first reason that applies, in the contract's order.

use std::ops::ControlFlow;

use super::groups::{ByTask, Group};
use crate::catalogue::Catalogue;
use crate::contract::{Instant, Reason, RerunOptions, UniqueBy, is_success};
use crate::host::{Columns, HostError, Query, Session};

/// Up to so many tasks are asked for by name; for more, all runs are read, which is cheaper than seeking each.
const NAMED_TASKS_MAX: usize = 32;

/// Judges every group as of the session's snapshot.
pub(super) fn judge(
    session: &mut dyn Session,
    groups: &mut [Group],
    catalogue: Option<&Catalogue>,
    options: &RerunOptions,
) -> Result<(), HostError> {
    for group in groups.iter_mut() {
        group.skip = match catalogue {
            Some(catalogue) => catalogue.refuses(&group.task_name).map(|reason| (reason, None)),
            None => group.source.unfit.take().map(unfit),
        };
    }
    if options.skip_active {
        skip_active(session, groups, options)?;
    }
    if options.skip_superseded {
        skip_superseded(session, groups, options)?;
    }
    Ok(())
}

/// A profile's own word for why a run is unfit: one of the contract's reasons, else the host declines with it.
fn unfit(word: String) -> (Reason, Option<String>) {
    let known = [Reason::Service, Reason::UnknownTask, Reason::TriggerDisabled];
    match known.into_iter().find(|reason| reason.as_str() == word) {
        Some(reason) => (reason, None),
        None => (Reason::Refused, Some(word)),
    }
}

/// Skips the groups that have a pending or running run.
pub(super) fn skip_active(
    session: &mut dyn Session,
    groups: &mut [Group],
    options: &RerunOptions,
) -> Result<(), HostError> {
    let mut active = open_groups(groups, || false);
    let columns = Columns { params: options.unique_by != UniqueBy::Task, ..Columns::default() };
    of_open_groups(groups, |names| {
        session.runs(Query::Tasks { names, active: true }, columns, &mut |run| {
            if let Some(active) = active.get_mut(run.task_name, &run.params) {
                *active = true;
            }
            ControlFlow::Continue(())
        })
    })?;
    for group in groups.iter_mut().filter(|group| group.skip.is_none()) {
        if active.get(&group.task_name, &group.params) == Some(&true) {
            group.skip = Some((Reason::Active, None));
        }
    }
    Ok(())
}

/// Skips the groups whose newest run of all is newer than the source run and succeeded.
fn skip_superseded(session: &mut dyn Session, groups: &mut [Group], options: &RerunOptions) -> Result<(), HostError> {
    #[derive(Default)]
    struct Newest {
        created_at: Option<Instant>,
        id: String,
        succeeded: bool,
    }
    let mut newest = open_groups(groups, Newest::default);
    let columns = Columns { params: options.unique_by != UniqueBy::Task, end_reason: true, ..Columns::default() };
    of_open_groups(groups, |names| {
        session.runs(Query::Tasks { names, active: false }, columns, &mut |run| {
            if let Some(newest) = newest.get_mut(run.task_name, &run.params)
                && (run.created_at, run.id) > (newest.created_at, &newest.id)
            {
                newest.created_at = run.created_at;
                run.id.clone_into(&mut newest.id);
                newest.succeeded = run.end_reason.is_some_and(is_success);
            }
            ControlFlow::Continue(())
        })
    })?;
    for group in groups.iter_mut().filter(|group| group.skip.is_none()) {
        if let Some(newest) = newest.get(&group.task_name, &group.params)
            && newest.succeeded
            && (newest.created_at, &newest.id) > (group.source.created_at, &group.source.id)
        {
            group.skip = Some((Reason::Superseded, Some(format!("succeeded since as {}", newest.id))));
        }
    }
    Ok(())
}

/// A table with an entry for each group that may still get a new run.
fn open_groups<V>(groups: &[Group], new: impl Fn() -> V) -> ByTask<V> {
    let mut table = ByTask::new();
    for group in groups.iter().filter(|group| group.skip.is_none()) {
        table.or_insert_with(&group.task_name, &group.params, &new);
    }
    table
}

/// Asks for the runs of the tasks behind the groups that may still get a new run, if there are any.
fn of_open_groups(
    groups: &[Group],
    ask: impl FnOnce(Option<&[&str]>) -> Result<(), HostError>,
) -> Result<(), HostError> {
    let mut names: Vec<&str> =
        groups.iter().filter(|group| group.skip.is_none()).map(|group| &*group.task_name).collect();
    // The groups are ordered by task.
    names.dedup();
    match names.len() {
        0 => Ok(()),
        1..=NAMED_TASKS_MAX => ask(Some(&names)),
        _ => ask(None),
    }
}
