//! Which groups get no new run, and why. The first reason that applies, in the contract's order.

use std::ops::ControlFlow;

use chrono::SecondsFormat;

use super::groups::{ByTask, Digest, Group, Source};
use super::resolve::by_params;
use crate::catalogue::{Catalogue, Verdict};
use crate::contract::{Reason, RerunOptions, is_success};
use crate::host::{Columns, HostError, Key, Query, RunRef, RunRow, Session, Since};

/// Up to so many tasks are asked for by name; for more, all runs are read, which is cheaper than seeking each.
const NAMED_TASKS_MAX: usize = 32;

/// The reasons that a host's view can give in the contract's own words.
const WORDS: [Reason; 3] = [Reason::Service, Reason::UnknownTask, Reason::TriggerDisabled];

type Skip = (Reason, Option<String>);

/// Judges every group as of the session's snapshot.
pub(super) fn judge(
    session: &mut dyn Session,
    groups: &mut [Group],
    catalogue: Option<&Catalogue>,
    options: &RerunOptions,
) -> Result<(), HostError> {
    for group in groups.iter_mut() {
        group.skip = of_its_kind(catalogue, &group.task_name, group.source.unfit.as_deref());
    }
    // Who is active on a replica is asked at the primary once more, and only that.
    let will_ask_again = !options.dry_run && session.replica().is_some();
    if options.skip_superseded && will_ask_again {
        skip_superseded(session, groups, options)?;
    }
    if options.skip_active {
        skip_active(session, groups, options, false)?;
    }
    if options.skip_superseded && !will_ask_again {
        skip_superseded(session, groups, options)?;
    }
    leave_out(groups);
    take(groups, options);
    Ok(())
}

/// Judges once more which groups are active, when somebody has written since.
pub(super) fn judge_again(
    session: &mut dyn Session,
    groups: &mut [Group],
    options: &RerunOptions,
) -> Result<(), HostError> {
    if !options.skip_active {
        return Ok(());
    }
    if session.replica().is_some() {
        // So it was there.
        groups.iter_mut().for_each(|group| _ = group.skip.take_if(|(reason, _)| *reason == Reason::Active));
        leave_out(groups);
    }
    // To be active is a reason that goes before these.
    let later = |group: &mut Group| group.skip.take_if(|(reason, _)| *reason > Reason::Active);
    let reasons: Vec<Option<Skip>> = groups.iter_mut().map(later).collect();
    skip_active(session, groups, options, true)?;
    for (group, reason) in groups.iter_mut().zip(reasons) {
        // The place of one that is active by now is another's.
        group.skip = group.skip.take().or(reason.filter(|(reason, _)| *reason < Reason::NotTaken));
    }
    take(groups, options);
    Ok(())
}

/// Those that the request names itself.
fn leave_out(groups: &mut [Group]) {
    for group in groups.iter_mut().filter(|group| group.is_left_out && group.skip.is_none()) {
        group.skip = Some((Reason::LeftOut, None));
    }
}

/// The last of the reasons that are known before the spawn: as many as are to be taken come before the group, or its source
/// run is never started. One that is not started for any such reason leaves its place to the next.
fn take(groups: &mut [Group], options: &RerunOptions) {
    let mut left = options.take.unwrap_or(u64::MAX);
    for group in groups.iter_mut().filter(|group| group.skip.is_none()) {
        group.skip = match left {
            0 => Some((Reason::NotTaken, None)),
            _ => refusal(group.run(), group.source.unfit.as_deref())
                .map(|(reason, detail)| (reason, detail.map(|detail| with_the_older(detail, group.fit.as_deref())))),
        };
        left -= u64::from(group.skip.is_none());
    }
}

/// Whether a run may be started again, as far as it can tell by itself.
pub(super) fn may_start(catalogue: Option<&Catalogue>, run: &RunRow<'_>) -> bool {
    let of = RunRef { task_name: &run.task_name, id: &run.id };
    of_its_kind(catalogue, &run.task_name, run.unfit).is_none() && refusal(of, run.unfit).is_none()
}

/// Why runs of this kind are never started again: as the catalogue says where it knows the task, else the host's view.
fn of_its_kind(catalogue: Option<&Catalogue>, task_name: &Key<'_>, unfit: Option<&str>) -> Option<Skip> {
    let verdict = catalogue.map_or(Verdict::Unknown, |catalogue| catalogue.verdict(task_name));
    let reason = match verdict {
        Verdict::MayStart => None,
        Verdict::MayNot(reason) => Some(reason),
        Verdict::Unknown => unfit.and_then(|word| WORDS.into_iter().find(|reason| reason.as_str() == word)),
    };
    reason.map(|reason| (reason, None))
}

/// Why this very run is not: it can't be carried faithfully, or the view has a word of its own.
fn refusal(run: RunRef<'_>, unfit: Option<&str>) -> Option<Skip> {
    let own_word = || unfit.filter(|word| WORDS.iter().all(|reason| reason.as_str() != *word)).map(str::to_owned);
    run.fault().or_else(own_word).map(|detail| (Reason::Refused, Some(detail)))
}

/// Why the source run is refused, and which older one is not: it is never started in the place of the newest unseen,
/// for it may have other parameters, and the newest may have done its work.
fn with_the_older(detail: String, fit: Option<&Source>) -> String {
    let Some(fit) = fit else { return detail };
    let created = fit.created_at.map(|at| format!(", created {},", at.to_rfc3339_opts(SecondsFormat::AutoSi, true)));
    format!(
        "{detail}; the older run {}{} may be started: name it in `ids`, or leave out those after it with `except_ids`",
        fit.id.to_text(),
        created.unwrap_or_default()
    )
}

/// Skips the groups that have a pending or running run. `new_only`: it was done before in this session.
fn skip_active(
    session: &mut dyn Session,
    groups: &mut [Group],
    options: &RerunOptions,
    new_only: bool,
) -> Result<(), HostError> {
    let mut active = Open::of(groups, options, || false);
    let columns = Columns { params: active.by_params, ..Columns::default() };
    of_open_groups(groups, |names| {
        session.runs(Query::Active { names, new_only }, columns, &mut |run| {
            if let Some(active) = active.of_run(&run) {
                *active = true;
            }
            ControlFlow::Continue(())
        })
    })?;
    for group in groups.iter_mut().filter(|group| group.skip.is_none()) {
        if active.of_group(group).is_some_and(|active| *active) {
            group.skip = Some((Reason::Active, None));
        }
    }
    Ok(())
}

/// Skips the groups whose newest run of all is newer than the source run and has succeeded.
fn skip_superseded(session: &mut dyn Session, groups: &mut [Group], options: &RerunOptions) -> Result<(), HostError> {
    // The newest run so far, and whether it has succeeded.
    let mut newest = Open::of(groups, options, || None::<(Source, bool)>);
    let columns = Columns { params: newest.by_params, end_reason: true, ..Columns::default() };
    // Among a task's parameters, each has a newest run of its own.
    let newest_only = !newest.by_params;
    let since = since(groups);
    of_open_groups(groups, |names| {
        session.newer(names, &since, newest_only, columns, &mut |run| {
            if let Some(newest) = newest.of_run(&run)
                && newest.as_ref().is_none_or(|(newest, _)| newest.is_older_than(run.created_at, &run.id))
            {
                *newest = Some((Source::of(&run), run.end_reason.is_some_and(is_success)));
            }
            ControlFlow::Continue(())
        })
    })?;
    for group in groups.iter_mut().filter(|group| group.skip.is_none()) {
        if let Some(Some((newest, true))) = newest.of_group(group)
            && group.source.is_older_than(newest.created_at, &newest.id)
        {
            group.skip = Some((Reason::Superseded, Some(format!("succeeded since as {}", newest.id.to_text()))));
        }
    }
    Ok(())
}

/// The tasks of the groups that may still get a new run, each with its oldest source run's time: only what is not older can
/// be newer than a source run.
fn since(groups: &[Group]) -> Vec<Since<'_>> {
    let mut since: Vec<Since<'_>> = Vec::new();
    for group in groups.iter().filter(|group| group.skip.is_none()) {
        let of_group = Since { task_name: &group.task_name, created_at: group.source.created_at };
        match since.last_mut() {
            // The groups are ordered by task. No time is the oldest one.
            Some(last) if *last.task_name == *of_group.task_name => {
                last.created_at = last.created_at.min(of_group.created_at);
            }
            _ => since.push(of_group),
        }
    }
    since
}

/// A value for each group that may still get a new run.
struct Open<V> {
    values: ByTask<V>,
    /// Parameters set them apart.
    by_params: bool,
}

impl<V> Open<V> {
    fn of(groups: &[Group], options: &RerunOptions, new: impl Fn() -> V) -> Self {
        let mut values = ByTask::new();
        for group in groups.iter().filter(|group| group.skip.is_none()) {
            values.or_insert_with(&group.task_name, group.params, &new);
        }
        Open { values, by_params: by_params(options) }
    }

    fn of_run(&mut self, run: &RunRow<'_>) -> Option<&mut V> {
        let params = if self.by_params { Digest::of_params(&run.params) } else { Digest::default() };
        self.values.get_mut(&run.task_name, params)
    }

    fn of_group(&mut self, group: &Group) -> Option<&V> {
        self.values.get_mut(&group.task_name, group.params).map(|value| &*value)
    }
}

/// Asks for the runs of the tasks behind the groups that may still get a new run, if there are any.
fn of_open_groups(
    groups: &[Group],
    ask: impl FnOnce(Option<&[&Key<'_>]>) -> Result<(), HostError>,
) -> Result<(), HostError> {
    let mut names: Vec<&Key<'_>> =
        groups.iter().filter(|group| group.skip.is_none()).map(|group| &*group.task_name).collect();
    // The groups are ordered by task.
    names.dedup();
    match names.len() {
        0 => Ok(()),
        // A name that can't be carried faithfully can't be asked for either.
        1..=NAMED_TASKS_MAX if names.iter().all(|name| name.fault().is_none()) => ask(Some(&names)),
        _ => ask(None),
    }
}
