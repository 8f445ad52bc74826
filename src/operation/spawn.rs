//! Starts the source runs again, under the store's write lock: all of them, or none.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::Utc;

use super::groups::Group;
use super::resolve::Resolved;
use super::{check_limit, check_plan, judge, ledger, open, plan_of, skipped, sources};
use crate::cancel::Cancel;
use crate::contract::{BulkRerunBody, Caller, ErrorModel, Params, Reason, Request, RerunOptions, Triggered};
use crate::host::{Due, Freshness, Session, Spawned};

/// Spawns a run for each group that is not skipped, and writes that down where there is a ledger: what has come to nothing,
/// too, since its key stands for that.
pub(super) fn spawn(
    session: &mut dyn Session,
    resolved: Resolved,
    caller: &Caller,
    request: &Request,
    cancel: Option<&Cancel>,
) -> Result<BulkRerunBody, ErrorModel> {
    if writes_nothing(session, &resolved.groups)? {
        return Ok(nothing(resolved));
    }
    let Resolved { mut groups, unknown, .. } = resolved;
    let options = &request.options;
    let answer =
        |triggered, groups| BulkRerunBody { triggered, skipped: skipped(groups, unknown), ..BulkRerunBody::default() };
    let freshness = session.begin_write()?;
    if let Some(cancel) = cancel {
        cancel.spawn_begins()?;
    }
    // Of two with one key, the second waited for the lock until the first was done.
    if let Some(answer) = ledger::answered_before(session, request)? {
        session.end()?;
        return Ok(answer);
    }
    if freshness == Freshness::Changed {
        look_again(session, &mut groups, options)?;
    }
    let triggered = start(session, &mut groups, options)?;
    let mut body = answer(triggered, groups);
    ledger::write_down(session, request, caller, &mut body).map_err(|error| match session.is_atomic() {
        true => error,
        false => half_way(error, std::mem::take(&mut body.triggered)),
    })?;
    if body.triggered.is_empty() && body.operation_id.is_none() {
        session.end()?
    } else {
        session.commit()?
    }
    Ok(body)
}

/// Whether there is nothing to start, and nowhere to write that down.
pub(super) fn writes_nothing(session: &mut dyn Session, groups: &[Group]) -> Result<bool, ErrorModel> {
    Ok(open(groups).next().is_none() && session.ledger()?.is_none())
}

/// The answer where nothing is started.
pub(super) fn nothing(resolved: Resolved) -> BulkRerunBody {
    BulkRerunBody { skipped: skipped(resolved.groups, resolved.unknown), ..BulkRerunBody::default() }
}

/// Somebody has written since the search: who is active by now, and is the plan still the expected one?
fn look_again(session: &mut dyn Session, groups: &mut [Group], options: &RerunOptions) -> Result<(), ErrorModel> {
    judge::judge_again(session, groups, options)?;
    // Of a replica's groups, some that are active there are not here.
    check_limit(groups, 0, options)?;
    match options.expect_plan {
        Some(_) => check_plan(options, &plan_of(session, &sources(groups))?),
        None => Ok(()),
    }
}

/// Starts the runs, and marks the groups that got none.
fn start(
    session: &mut dyn Session,
    groups: &mut [Group],
    options: &RerunOptions,
) -> Result<Vec<Triggered>, ErrorModel> {
    let sources = sources(groups);
    let params: Option<Vec<&Params<'_>>> = open(groups).map(Group::params_as_read).collect();
    let mut outcomes: Vec<Option<Spawned>> = vec![None; sources.len()];
    let due = due(options, sources.len());
    let spawned =
        session.spawn(&sources, params.as_deref(), due, &mut |index, spawned| outcomes[index] = Some(spawned));
    if spawned.is_ok() && options.expect_plan.is_some() && session.is_atomic() && !session.keeps_others_out() {
        // A source run may have been changed, or have gone, after the plan was compared and before its own turn.
        check_plan(options, &plan_of(session, &sources)?)?;
    }
    let mut triggered = Vec::with_capacity(outcomes.len());
    let mut seen = HashSet::new();
    for (group, outcome) in groups.iter_mut().filter(|group| group.skip.is_none()).zip(outcomes) {
        match outcome {
            Some(Spawned::New(run_id)) if !seen.insert((Arc::clone(&group.task_name), run_id.clone())) => {
                let detail = format!("the host gave {run_id}, which is another group's new run already");
                group.skip = Some((Reason::Refused, Some(detail)));
            }
            Some(Spawned::New(run_id)) => {
                let (task_name, rerun_of) = (group.task_name.to_text(), group.source.id.to_text());
                triggered.push(Triggered { task_name, run_id, rerun_of });
            }
            Some(Spawned::Gone) => group.skip = Some((Reason::Gone, None)),
            Some(Spawned::Refused(detail)) => group.skip = Some((Reason::Refused, Some(detail))),
            // The host failed before its turn.
            None => {}
        }
    }
    match spawned {
        Err(error) if !session.is_atomic() => return Err(half_way(error.into(), triggered)),
        spawned => spawned?,
    }
    Ok(triggered)
}

/// When so many new runs are due, where that is not at once.
fn due(options: &RerunOptions, runs: usize) -> Option<Due> {
    let is_at_once = options.start_at.is_none() && options.spread.is_none();
    (!is_at_once).then(|| Due::new(options.start_at.unwrap_or_else(Utc::now), options.spread.unwrap_or_default(), runs))
}

/// The error of a host without transactions, which has started some runs all the same.
fn half_way(error: ErrorModel, triggered: Vec<Triggered>) -> ErrorModel {
    let started = match triggered.len() {
        0 => "no run was started".to_owned(),
        1 => "1 run was started before, and can't be undone: see `triggered`".to_owned(),
        many => format!("{many} runs were started before, and can't be undone: see `triggered`"),
    };
    let detail = format!("{}; {started}", error.detail);
    ErrorModel { detail, triggered, ..error }
}
