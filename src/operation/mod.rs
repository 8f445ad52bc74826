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
use std::ops::ControlFlow;

use serde_json::json;

use crate::cancel::Cancel;
use crate::catalogue::Catalogue;
use crate::contract::{
    BulkRerunBody, ErrorModel, Params, Planned, Reason, Request, RerunOptions, Run, Selector, Skipped, Triggered,
};
use crate::host::{Care, Columns, Freshness, Host, Query, Session, Sources, Spawned, Spawning};
use groups::Group;
use plan::PlanDigest;
use resolve::{Keep, Resolved};
pub use survey::Survey;
pub(crate) use survey::survey;

/// Carries a request out on a host's store, unless it is cancelled before it spawns. `keep` is asked of each
/// matched run, before grouping.
pub(crate) fn rerun(
    host: &dyn Host,
    catalogue: Option<&Catalogue>,
    request: &Request,
    keep: Option<&mut Keep<'_>>,
    cancel: Option<&Cancel>,
) -> Result<BulkRerunBody, ErrorModel> {
    rerun_in(&mut *host.session()?, catalogue, request, keep, cancel)
}

/// The same in a session of the caller's own.
pub(crate) fn rerun_in(
    session: &mut dyn Session,
    catalogue: Option<&Catalogue>,
    request: &Request,
    keep: Option<&mut Keep<'_>>,
    cancel: Option<&Cancel>,
) -> Result<BulkRerunBody, ErrorModel> {
    let options = &request.options;
    if let Some(cancel) = cancel {
        cancel.search_begins(session.interrupter())?;
    }
    session.begin_read()?;
    let mut resolved = resolve::resolve(session, request, catalogue.is_none(), keep)?;
    judge::judge(session, &mut resolved.groups, catalogue, options)?;
    check_limit(&resolved, options)?;
    if options.dry_run {
        return plan_only(session, resolved);
    }
    session.end()?;
    spawn(session, resolved, options, cancel)
}

/// Hands over each selected run, in the store's own order; changes nothing. An error ends it.
pub(crate) fn select(
    host: &dyn Host,
    selector: &Selector,
    each: &mut dyn FnMut(Run) -> Result<(), ErrorModel>,
) -> Result<(), ErrorModel> {
    let mut session = host.session()?;
    session.begin_read()?;
    resolve::each_run(&mut *session, selector, each)?;
    Ok(session.end()?)
}

/// Seeks a run that there is not.
pub(crate) fn ping(host: &dyn Host) -> Result<(), ErrorModel> {
    let mut session = host.session()?;
    session.begin_read()?;
    session.runs(Query::Ids(&[""]), Columns::default(), &mut |_| ControlFlow::Continue(()))?;
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
    let plan = digest(session, &groups)?;
    session.end()?;
    let planned = groups
        .iter()
        .filter(|group| group.skip.is_none())
        .map(|group| Planned {
            task_name: group.task_name.to_string(),
            rerun_of: group.source.id.clone(),
            matched: group.matched,
        })
        .collect();
    Ok(BulkRerunBody {
        triggered: Vec::new(),
        skipped: skipped(groups, unknown),
        planned: Some(planned),
        matched: Some(matched),
        plan: Some(plan),
        ..BulkRerunBody::default()
    })
}

/// The groups that get a new run, and their source runs' ids.
fn fit(groups: &[Group]) -> (Vec<usize>, Vec<&str>) {
    let fit = (0..groups.len()).filter(|&index| groups[index].skip.is_none());
    fit.map(|index| (index, groups[index].source.id.as_str())).unzip()
}

/// The digest of the plan: of what is there to be started again.
fn digest(session: &mut dyn Session, groups: &[Group]) -> Result<String, ErrorModel> {
    let (fit, ids) = fit(groups);
    let mut digest = PlanDigest::new();
    session.params(&ids, &mut |index, params| {
        let group = &groups[fit[index]];
        params.iter().for_each(|params| digest.add(&group.task_name, &group.source.id, params));
    })?;
    Ok(digest.finish())
}

/// What was shown is what runs, or nothing does.
fn check_plan(options: &RerunOptions, plan: &str) -> Result<(), ErrorModel> {
    match &options.expect_plan {
        Some(expected) if expected != plan => Err(ErrorModel::new(
            409,
            format!(
                "the plan is no longer the expected one: expected {expected}, but it is {plan} by now; nothing was \
                 spawned, so look at a new dry run first"
            ),
        )),
        _ => Ok(()),
    }
}

/// Spawns a run for each group that is not skipped: all of them, or none.
fn spawn(
    session: &mut dyn Session,
    resolved: Resolved,
    options: &RerunOptions,
    cancel: Option<&Cancel>,
) -> Result<BulkRerunBody, ErrorModel> {
    let Resolved { mut groups, unknown, .. } = resolved;
    let mut care = Care::Fast;
    let written = loop {
        match write(session, &mut groups, options, cancel, care)? {
            Some(written) => break written,
            // With savepoints a session says so a few times at most.
            None => care = Care::Savepoints,
        }
        session.end()?;
    };
    if let Err(error) = check_plan(options, &written.plan) {
        session.end()?;
        return Err(error);
    }
    if written.new_runs.is_empty() {
        session.end()?;
    } else {
        session.commit()?;
    }
    let triggered = take_triggered(&mut groups, written.new_runs);
    Ok(BulkRerunBody { triggered, skipped: skipped(groups, unknown), ..BulkRerunBody::default() })
}

/// Takes out the groups that got a new run. The new runs are in the groups' order.
fn take_triggered(groups: &mut Vec<Group>, new_runs: Vec<String>) -> Vec<Triggered> {
    let mut triggered = Vec::with_capacity(new_runs.len());
    let mut new_runs = new_runs.into_iter();
    groups.retain_mut(|group| {
        if group.skip.is_some() {
            return true;
        }
        triggered.extend(new_runs.next().map(|run_id| Triggered {
            task_name: group.task_name.to_string(),
            run_id,
            rerun_of: mem::take(&mut group.source.id),
        }));
        false
    });
    triggered
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
    groups: &mut Vec<Group>,
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
    if options.expect_plan.is_some() && !session.is_atomic() {
        // What is started can't be undone there, so the plan is checked first.
        let plan = self::digest(session, groups)?;
        check_plan(options, &plan)?;
    }
    let (fit, ids) = fit(groups);
    let mut new_runs = Vec::with_capacity(ids.len());
    let mut skips = Vec::new();
    let task_names: Vec<&str> = fit.iter().map(|&index| &*groups[index].task_name).collect();
    let sources = Sources { ids: &ids, task_names: &task_names, params: digest.is_some() };
    let spawned = session.spawn(sources, care, &mut |index, spawned| {
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
    });
    if matches!(spawned, Ok(Spawning::Unfinished)) {
        return Ok(None);
    }
    for (index, reason, detail) in skips {
        groups[index].skip = Some((reason, detail));
    }
    match spawned {
        Err(error) if !session.is_atomic() => return Err(half_way(error.into(), groups, new_runs)),
        spawned => spawned?,
    };
    Ok(Some(Written { new_runs, plan: plan(digest) }))
}

/// The error of a host without transactions, which has started some runs all the same.
fn half_way(error: ErrorModel, groups: &mut Vec<Group>, new_runs: Vec<String>) -> ErrorModel {
    let started = match new_runs.len() {
        0 => "no run was started".to_owned(),
        1 => "1 run was started before, and can't be undone: see `triggered`".to_owned(),
        many => format!("{many} runs were started before, and can't be undone: see `triggered`"),
    };
    let detail = format!("{}; {started}", error.detail);
    let triggered = take_triggered(groups, new_runs);
    ErrorModel { detail, triggered, ..error }
}

/// One entry for each group that is skipped, then one for each unknown id.
fn skipped(groups: Vec<Group>, unknown: Vec<String>) -> Vec<Skipped> {
    let of_groups = groups.into_iter().filter_map(|group| {
        let (reason, detail) = group.skip?;
        Some(Skipped { task_name: Some(group.task_name.to_string()), run_id: group.source.id, reason, detail })
    });
    let of_ids =
        unknown.into_iter().map(|run_id| Skipped { task_name: None, run_id, reason: Reason::NotFound, detail: None });
    of_groups.chain(of_ids).collect()
}
