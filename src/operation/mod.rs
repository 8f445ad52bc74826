//! The operation: from a selector to new runs. Every door comes here; every host is reached from here.
//!
//! The way of one request: search in a snapshot that blocks nobody ([`resolve`]), judge each group
//! ([`judge`]), and spawn what is left under the store's write lock, all or nothing.

mod carry;
mod groups;
mod history;
mod judge;
pub(crate) mod ledger;
mod plan;
mod resolve;
mod spawn;
mod stand;
mod survey;
mod times;
mod trial;
mod undo;

#[cfg(feature = "http")]
use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::json;

use crate::cancel::Cancel;
use crate::catalogue::Catalogue;
use crate::contract::{
    BulkRerunBody, Caller, ErrorModel, GroupRuns, Planned, Request, RerunOptions, Selector, Skipped, Violation,
};
use crate::host::{Host, Key, RunRef, RunRow, Session};
use groups::{Group, Told};
pub(crate) use history::{one, operations};
pub(crate) use resolve::Keep;
use resolve::Resolved;
pub(crate) use stand::where_they_stand;
pub use survey::Survey;
pub(crate) use survey::survey;
pub(crate) use trial::trial;
pub use trial::{Trial, UndoTrial};
pub(crate) use undo::undo;

/// Carries a request out on a host's store, unless it is cancelled before it spawns. `keep` is asked of each
/// matched run, before grouping.
pub(crate) fn rerun(
    host: &dyn Host,
    catalogue: Option<&Catalogue>,
    caller: &Caller,
    request: &Request,
    keep: Option<&mut Keep<'_>>,
    cancel: Option<&Cancel>,
) -> Result<BulkRerunBody, ErrorModel> {
    rerun_in(&mut *host.session()?, catalogue, caller, request, keep, cancel)
}

/// The same in a session of the caller's own.
pub(crate) fn rerun_in(
    session: &mut dyn Session,
    catalogue: Option<&Catalogue>,
    caller: &Caller,
    request: &Request,
    keep: Option<&mut Keep<'_>>,
    cancel: Option<&Cancel>,
) -> Result<BulkRerunBody, ErrorModel> {
    let _searching = cancel.map(|cancel| cancel.search_begins(session.interrupter())).transpose()?;
    match search(session, catalogue, request, keep)? {
        Found::Answer(answer) => Ok(answer),
        Found::Groups(resolved) => spawn::spawn(session, resolved, caller, request, cancel),
    }
}

/// The same where that takes about so much time at most and writes nothing; else `None`, and nothing is done.
#[cfg(feature = "http")]
pub(crate) fn rerun_briefly(
    host: &dyn Host,
    catalogue: Option<&Catalogue>,
    request: &Request,
    time: Duration,
) -> Result<Option<BulkRerunBody>, ErrorModel> {
    let briefly = || -> Result<_, ErrorModel> {
        let Some(mut session) = host.brief_session(time)? else { return Ok(None) };
        let session = &mut *session;
        Ok(match search(session, catalogue, request, None)? {
            Found::Answer(answer) => Some(answer),
            Found::Groups(resolved) if spawn::writes_nothing(session, &resolved.groups)? => {
                Some(spawn::nothing(resolved))
            }
            Found::Groups(_) => None,
        })
    };
    // It took too long, or somebody has the lock.
    briefly().or_else(|error| if error.status == 503 { Ok(None) } else { Err(error) })
}

/// What a search has come to.
enum Found {
    /// All that there is to say.
    Answer(BulkRerunBody),
    /// Groups that may get a new run.
    Groups(Resolved),
}

/// All that comes before the spawn.
fn search(
    session: &mut dyn Session,
    catalogue: Option<&Catalogue>,
    request: &Request,
    keep: Option<&mut Keep<'_>>,
) -> Result<Found, ErrorModel> {
    let options = &request.options;
    check_what_the_host_can(session, request)?;
    session.begin_search()?;
    if !options.dry_run
        && let Some(answer) = ledger::answered_before(session, request)?
    {
        session.end()?;
        return Ok(Found::Answer(answer));
    }
    let mut resolved = resolve::resolve(session, request, &|run| judge::may_start(catalogue, run), keep)?;
    judge::judge(session, &mut resolved.groups, catalogue, options)?;
    check_limit(&resolved.groups, resolved.beyond, options)?;
    if options.dry_run {
        let plan = plan(session, &resolved.groups)?;
        session.end()?;
        return Ok(Found::Answer(BulkRerunBody { replica: session.replica(), ..planned(resolved, plan) }));
    }
    if options.expect_plan.is_some() {
        // What differs by now would differ under the lock, too; and where nobody writes in between, that was the look.
        check_plan(options, &plan(session, &resolved.groups)?)?;
    }
    session.end()?;
    Ok(Found::Groups(resolved))
}

/// Hands over each selected run, in the store's own order; changes nothing. An error ends it.
pub(crate) fn select(
    host: &dyn Host,
    selector: &Selector,
    each: &mut dyn FnMut(&RunRow<'_>) -> Result<(), ErrorModel>,
) -> Result<(), ErrorModel> {
    let mut session = host.session()?;
    session.begin_search()?;
    resolve::each_run(&mut *session, selector, each)?;
    Ok(session.end()?)
}

/// Seeks a run that there is not.
pub(crate) fn ping(host: &dyn Host) -> Result<(), ErrorModel> {
    let mut session = host.session()?;
    session.begin_search()?;
    let nothing = Key::text("");
    session.params(&[RunRef { task_name: &nothing, id: &nothing }], &mut |_, _| {})?;
    Ok(session.end()?)
}

/// A host that starts whatever is there at once can't be asked to wait, and where a first call may break off half-way, no
/// key can stand for it.
fn check_what_the_host_can(session: &dyn Session, request: &Request) -> Result<(), ErrorModel> {
    const NO_DUE_TIME: &str = "this host has no due time: it starts a new run as soon as it can; drop the field";
    const NO_KEYS: &str = "the runner's daemon starts the runs one by one, so that a call may break off half-way, and its \
                           key would stand for nothing: drop the field, or let the store have the new runs (leave `via` out)";
    let RerunOptions { start_at, spread, idempotency_key, dry_run, .. } = &request.options;
    let start_at = start_at.map(|at| ("start_at", json!(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))));
    let spread = spread.map(|spread| ("spread", json!(humantime::format_duration(spread).to_string())));
    let key = idempotency_key.as_ref().filter(|_| !dry_run).map(|key| ("idempotency_key", json!(key)));
    let due = start_at.into_iter().chain(spread).filter(|_| !session.has_due_time());
    let due = due.map(|(name, value)| (name, value, NO_DUE_TIME));
    let key = key.into_iter().filter(|_| !session.takes_keys()).map(|(name, value)| (name, value, NO_KEYS));
    let spelling = request.spelling.unwrap_or_default();
    let violations = due.chain(key).map(|(name, value, message)| Violation {
        location: format!("body.options.{}", spelling.of(name)),
        message: message.to_owned(),
        value,
    });
    let violations: Vec<Violation> = violations.collect();
    match violations.is_empty() {
        true => Ok(()),
        false => Err(ErrorModel::unprocessable(violations, 0)),
    }
}

/// More than the limit is an error, never a silent cut. `beyond`: how many there are beside the groups.
fn check_limit(groups: &[Group], beyond: u64, options: &RerunOptions) -> Result<(), ErrorModel> {
    let wanted = beyond + open(groups).count() as u64;
    match options.limit {
        Some(limit) if wanted > limit => {
            let message =
                format!("{wanted} runs would be spawned, more than the limit of {limit}; nothing was spawned");
            Err(ErrorModel::violation("body.options.limit", message, json!(limit)))
        }
        _ => Ok(()),
    }
}

/// The groups that get a new run, as far as is known.
fn open(groups: &[Group]) -> impl Iterator<Item = &Group> {
    groups.iter().filter(|group| group.skip.is_none())
}

/// Their source runs.
fn sources(groups: &[Group]) -> Vec<RunRef<'_>> {
    open(groups).map(Group::run).collect()
}

/// A dry run's answer.
fn planned(resolved: Resolved, plan: String) -> BulkRerunBody {
    let Resolved { groups, matched, unknown, times, .. } = resolved;
    let (mut planned, mut others) = (Vec::with_capacity(open(&groups).count()), Vec::new());
    // A million groups go one by one, with all that they have.
    for group in groups {
        match group.skip {
            Some(_) => others.push(group),
            None => planned.push(Planned {
                task_name: group.task_name.to_text(),
                rerun_of: group.source.id.into_text(),
                matched: group.matched,
                runs: group.told.map(as_told),
            }),
        }
    }
    BulkRerunBody {
        planned: Some(planned),
        matched: Some(matched),
        plan: Some(plan),
        times,
        skipped: skipped(others, unknown),
        ..BulkRerunBody::default()
    }
}

/// The digest of the plan, as the search has read its runs, which has not ended yet.
fn plan(session: &mut dyn Session, groups: &[Group]) -> Result<String, ErrorModel> {
    let carried: Option<Vec<_>> = open(groups).map(Group::of_plan).collect();
    match carried {
        Some(runs) => Ok(plan::of_all(runs.into_iter())),
        None => plan_of(session, &sources(groups)),
    }
}

/// The same, of what is there by now.
fn plan_of(session: &mut dyn Session, runs: &[RunRef<'_>]) -> Result<String, ErrorModel> {
    let mut digests = vec![None; runs.len()];
    session.params(runs, &mut |index, params| {
        digests[index] = params.map(|params| plan::of_run(runs[index], &params));
    })?;
    Ok(plan::of_all(digests.into_iter().flatten()))
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

/// One entry for each group that is skipped, then one for each unknown id.
fn skipped(groups: Vec<Group>, unknown: Vec<String>) -> Vec<Skipped> {
    let of_groups = groups.into_iter().filter_map(|group| {
        let (reason, detail) = group.skip?;
        let [task_name, run_id] = [&*group.task_name, &group.source.id].map(|key| key.spelled().map(Into::into));
        let matched = group.told.is_some().then_some(group.matched);
        Some(Skipped { task_name, run_id, reason, detail, matched, runs: group.told.map(as_told) })
    });
    of_groups.chain(unknown.into_iter().map(Skipped::unknown)).collect()
}

fn as_told(told: Box<Told>) -> Box<GroupRuns> {
    Box::new((*told).into())
}
