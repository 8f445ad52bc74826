//! The operation: from a selector to new runs. Every door comes here; every host is reached from here.
//!
//! The way of one request: search in a snapshot that blocks nobody ([`resolve`]), judge each group
//! ([`judge`]), and spawn what is left under the store's write lock, all or nothing.

mod groups;
mod judge;
mod plan;
mod resolve;
mod survey;

use serde_json::json;

use crate::catalogue::Catalogue;
use crate::contract::{
    BulkRerunBody, ErrorModel, Planned, Reason, Request, RerunOptions, Run, Selector, Skipped, Triggered,
};
use crate::host::{Care, Freshness, Host, Session, Spawned, Spawning};
use groups::Group;
use plan::PlanDigest;
use resolve::Resolved;
pub use survey::Survey;
pub(crate) use survey::survey;

/// Carries a request out on a host's store.
pub(crate) fn rerun(
    host: &dyn Host,
    catalogue: Option<&Catalogue>,
    request: &Request,
) -> Result<BulkRerunBody, ErrorModel> {
    let options = &request.options;
    let mut session = host.session()?;
    session.begin_read()?;
    let mut resolved = resolve::resolve(&mut *session, request, catalogue.is_none())?;
    judge::judge(&mut *session, &mut resolved.groups, catalogue, options)?;
    check_limit(&resolved, options)?;
    if options.dry_run {
        return plan_only(&mut *session, resolved);
    }
    session.end()?;
    spawn(&mut *session, resolved, options)
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
    let ids: Vec<&str> = fit.iter().map(|&index| groups[index].source.as_str()).collect();
    let mut digest = PlanDigest::new();
    session.params(&ids, &mut |index, params| {
        // The snapshot that found the run holds it still.
        let group = &groups[fit[index]];
        digest.add(&group.task_name, &group.source, &params.unwrap_or_default());
    })?;
    session.end()?;
    let planned = groups
        .iter()
        .filter(|group| group.skip.is_none())
        .map(|group| Planned {
            task_name: group.task_name.clone(),
            rerun_of: group.source.clone(),
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
fn spawn(session: &mut dyn Session, resolved: Resolved, options: &RerunOptions) -> Result<BulkRerunBody, ErrorModel> {
    let Resolved { mut groups, unknown, .. } = resolved;
    let (triggered, plan) = match write(session, &mut groups, options, Care::Fast)? {
        Some(written) => written,
        None => {
            session.end()?;
            // With savepoints no spawn stays unfinished.
            write(session, &mut groups, options, Care::Savepoints)?.unwrap_or_default()
        }
    };
    if let Some(expected) = options.expect_plan.as_ref().filter(|&expected| *expected != plan) {
        session.end()?;
        let detail = format!(
            "the plan is no longer the expected one: expected {expected}, but it is {plan} by now; nothing was \
             spawned, so look at a new dry run first"
        );
        return Err(ErrorModel::new(409, detail));
    }
    if triggered.is_empty() {
        session.end()?;
    } else {
        session.commit()?;
    }
    Ok(BulkRerunBody { triggered, skipped: skipped(groups, unknown), ..BulkRerunBody::default() })
}

/// Takes the write lock and starts the runs, but commits nothing. Answers the new runs and the
/// plan's digest; `None` if it must be done again with more care.
fn write(
    session: &mut dyn Session,
    groups: &mut [Group],
    options: &RerunOptions,
    care: Care,
) -> Result<Option<(Vec<Triggered>, String)>, ErrorModel> {
    let mut digest = PlanDigest::new();
    if groups.iter().all(|group| group.skip.is_some()) {
        return Ok(Some((Vec::new(), digest.finish())));
    }
    if session.begin_write()? == Freshness::Changed && options.skip_active {
        judge::skip_active(session, groups, options)?;
    }
    let fit: Vec<usize> = (0..groups.len()).filter(|&index| groups[index].skip.is_none()).collect();
    let ids: Vec<&str> = fit.iter().map(|&index| groups[index].source.as_str()).collect();
    let mut triggered = Vec::with_capacity(ids.len());
    let mut skips = Vec::new();
    let spawning = session.spawn(&ids, care, &mut |index, spawned| {
        let group = &groups[fit[index]];
        match spawned {
            Spawned::New { run_id, params } => {
                digest.add(&group.task_name, &group.source, &params);
                let (task_name, rerun_of) = (group.task_name.clone(), group.source.clone());
                triggered.push(Triggered { task_name, run_id, rerun_of });
            }
            Spawned::Gone => skips.push((fit[index], Reason::Gone, None)),
            Spawned::Refused { params, detail } => {
                digest.add(&group.task_name, &group.source, &params);
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
    Ok(Some((triggered, digest.finish())))
}

/// One entry for each group that is skipped, then one for each unknown id.
fn skipped(groups: Vec<Group>, unknown: Vec<String>) -> Vec<Skipped> {
    let of_groups = groups.into_iter().filter_map(|group| {
        let (reason, detail) = group.skip?;
        Some(Skipped { task_name: Some(group.task_name), run_id: group.source, reason, detail })
    });
    let of_ids =
        unknown.into_iter().map(|run_id| Skipped { task_name: None, run_id, reason: Reason::NotFound, detail: None });
    of_groups.chain(of_ids).collect()
}
