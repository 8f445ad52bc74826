//! The operation: from a selector to new runs. Every door comes here; every host is reached from here.
//!
//! The way of one request: search in a snapshot that blocks nobody ([`resolve`]), judge each group
//! ([`judge`]), and spawn what is left under the store's write lock, all or nothing.

mod groups;
mod judge;
mod plan;
mod resolve;
mod survey;

use std::mem;

use serde_json::json;

use crate::cancel::Cancel;
use crate::catalogue::Catalogue;
use crate::contract::{
    BulkRerunBody, ErrorModel, Params, Planned, Reason, Request, RerunOptions, Run, Selector, Skipped, Triggered,
};
use crate::host::{Care, Freshness, Host, Session, Spawned, Spawning};
use groups::Group;
use plan::PlanDigest;
use resolve::Resolved;
pub use survey::Survey;
pub(crate) use survey::survey;

/// Carries a request out on a host's store, unless it is cancelled before it spawns.
pub(crate) fn rerun(
    host: &dyn Host,
    catalogue: Option<&Catalogue>,
    request: &Request,
    cancel: Option<&Cancel>,
) -> Result<BulkRerunBody, ErrorModel> {
    let options = &request.options;
    let mut session = host.session()?;
    if let Some(cancel) = cancel {
        cancel.search_begins(session.interrupter())?;
    }
    session.begin_read()?;
    let mut resolved = resolve::resolve(&mut *session, request, catalogue.is_none())?;
    judge::judge(&mut *session, &mut resolved.groups, catalogue, options)?;
    check_limit(&resolved, options)?;
    if options.dry_run {
        return plan_only(&mut *session, resolved);
    }
    session.end()?;
    spawn(&mut *session, resolved, options, cancel)
}

/// Hands over each selected run, in the store's own order; changes nothing.
pub(crate) fn select(host: &dyn Host, selector: &Selector, each: &mut dyn FnMut(Run)) -> Result<(), ErrorModel> {
    let mut session = host.session()?;
    session.begin_read()?;
    resolve::each_run(&mut *session, selector, each)?;
    Ok(session.end()?)
}

/// More than the limit is an error, never a silent cut.
fn check_limit(resolved: &Resolved, options: &RerunOptions) -> Result<(), ErrorModel> {
    let wanted = resolved.groups.iter().filter(|group| group.skip.is_none()).count() as u64;
    match options.limit {
        Some(limit) if wanted > limit => {
            let message =
                format!("{wanted} runs would be spawned, more than the limit of {limit}; nothing was spawned");
            Err(ErrorModel::violation("body.options.limit", message, json!(limit)))
        }
        _ => Ok(()),
    }
}

/// A dry run's answer.
fn plan_only(session: &mut dyn Session, resolved: Resolved) -> Result<BulkRerunBody, ErrorModel> {
    let Resolved { groups, matched, unknown } = resolved;
    let fit: Vec<usize> = (0..groups.len()).filter(|&index| groups[index].skip.is_none()).collect();
    let ids: Vec<&str> = fit.iter().map(|&index| groups[index].source.id.as_str()).collect();
    let mut digest = PlanDigest::new();
    session.params(&ids, &mut |index, params| {
        // The snapshot that found the run holds it still.
        let group = &groups[fit[index]];
        digest.add(&group.task_name, &group.source.id, &params.unwrap_or_default());
    })?;
    session.end()?;
    let planned = groups
        .iter()
        .filter(|group| group.skip.is_none())
        .map(|group| Planned {
            task_name: group.task_name.clone(),
            rerun_of: group.source.id.clone(),
            matched: group.matched,
        })
        .collect();
    Ok(BulkRerunBody {
        triggered: Vec::new(),
        skipped: skipped(groups, unknown),
        planned: Some(planned),
        matched: Some(matched),
        plan: Some(digest.finish()),
    })
}

/// Spawns a run for each group that is not skipped: all of them, or none.
fn spawn(
    session: &mut dyn Session,
    resolved: Resolved,
    options: &RerunOptions,
    cancel: Option<&Cancel>,
) -> Result<BulkRerunBody, ErrorModel> {
    let Resolved { mut groups, unknown, .. } = resolved;
    let written = match write(session, &mut groups, options, cancel, Care::Fast)? {
        Some(written) => written,
        None => {
            session.end()?;
            // With savepoints no spawn stays unfinished.
            write(session, &mut groups, options, cancel, Care::Savepoints)?.unwrap_or_default()
        }
    };
    if let Some(expected) = options.expect_plan.as_ref().filter(|&expected| *expected != written.plan) {
        session.end()?;
        let detail = format!(
            "the plan is no longer the expected one: expected {expected}, but it is {} by now; nothing was spawned, \
             so look at a new dry run first",
            written.plan
        );
        return Err(ErrorModel::new(409, detail));
    }
    if written.new_runs.is_empty() {
        session.end()?;
    } else {
        session.commit()?;
    }
    let mut triggered = Vec::with_capacity(written.new_runs.len());
    let mut new_runs = written.new_runs.into_iter();
    groups.retain_mut(|group| {
        if group.skip.is_some() {
            return true;
        }
        // The new runs are in the groups' order.
        triggered.extend(new_runs.next().map(|run_id| Triggered {
            task_name: mem::take(&mut group.task_name),
            run_id,
            rerun_of: mem::take(&mut group.source.id),
        }));
        false
    });
    Ok(BulkRerunBody { triggered, skipped: skipped(groups, unknown), ..BulkRerunBody::default() })
}

/// What was written, but not committed.
#[derive(Default)]
struct Written {
    /// The ids of the new runs, one for each group that is not skipped, in their order.
    new_runs: Vec<String>,
    /// The digest of the plan that was carried out; empty if none is expected.
    plan: String,
}

/// Takes the write lock and starts the runs. `None` if it must be done again with more care.
fn write(
    session: &mut dyn Session,
    groups: &mut [Group],
    options: &RerunOptions,
    cancel: Option<&Cancel>,
    care: Care,
) -> Result<Option<Written>, ErrorModel> {
    let mut digest = options.expect_plan.as_ref().map(|_| PlanDigest::new());
    let plan = |digest: Option<PlanDigest>| digest.map(PlanDigest::finish).unwrap_or_default();
    if groups.iter().all(|group| group.skip.is_some()) {
        return Ok(Some(Written { new_runs: Vec::new(), plan: plan(digest) }));
    }
    let freshness = session.begin_write()?;
    if let Some(cancel) = cancel {
        cancel.spawn_begins()?;
    }
    if freshness == Freshness::Changed && options.skip_active {
        judge::skip_active(session, groups, options)?;
    }
    let fit: Vec<usize> = (0..groups.len()).filter(|&index| groups[index].skip.is_none()).collect();
    let ids: Vec<&str> = fit.iter().map(|&index| groups[index].source.id.as_str()).collect();
    let mut new_runs = Vec::with_capacity(ids.len());
    let mut skips = Vec::new();
    let spawning = session.spawn(&ids, care, &mut |index, spawned| {
        let group = &groups[fit[index]];
        let mut digest = |params: &Params<'_>| {
            digest.iter_mut().for_each(|digest| digest.add(&group.task_name, &group.source.id, params));
        };
        match spawned {
            Spawned::New { run_id, params } => {
                digest(&params);
                new_runs.push(run_id);
            }
            Spawned::Gone => skips.push((fit[index], Reason::Gone, None)),
            Spawned::Refused { params, detail } => {
                digest(&params);
                skips.push((fit[index], Reason::Refused, Some(detail)));
            }
        }
    })?;
    if spawning == Spawning::Unfinished {
        return Ok(None);
    }
    for (index, reason, detail) in skips {
        groups[index].skip = Some((reason, detail));
    }
    Ok(Some(Written { new_runs, plan: plan(digest) }))
}

/// One entry for each group that is skipped, then one for each unknown id.
fn skipped(groups: Vec<Group>, unknown: Vec<String>) -> Vec<Skipped> {
    let of_groups = groups.into_iter().filter_map(|group| {
        let (reason, detail) = group.skip?;
        Some(Skipped { task_name: Some(group.task_name), run_id: group.source.id, reason, detail })
    });
    let of_ids =
        unknown.into_iter().map(|run_id| Skipped { task_name: None, run_id, reason: Reason::NotFound, detail: None });
    of_groups.chain(of_ids).collect()
}
