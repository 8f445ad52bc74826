//! From a selector to groups, each with its newest run.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

use super::carry::{Carrier, To};
use super::groups::{ByTask, Digest, Gathered, Group, Names, Seen};
use super::times::Spans;
use crate::contract::{ErrorModel, GroupName, Request, RerunOptions, Run, Selector, Times, UniqueBy};
use crate::host::{Columns, HostError, Key, Query, RunRow, Session};

/// What a selector has come to.
pub(super) struct Resolved {
    /// Ordered by task name, then by source run.
    pub(super) groups: Vec<Group>,
    /// How many groups would get a new run and were not kept, since they are more than the limit anyway.
    pub(super) beyond: u64,
    /// How many runs were selected.
    pub(super) matched: u64,
    /// The named ids that are no run, in the order in which they were named.
    pub(super) unknown: Vec<String>,
    /// How many of the selected runs were created when, where that is asked for.
    pub(super) times: Option<Times>,
}

/// A predicate over the matched runs, before they are grouped. An error fails the call.
pub(crate) type Keep<'k> = dyn FnMut(&Run) -> Result<bool, ErrorModel> + 'k;

/// Finds the selected runs and groups those that `keep` keeps. `may_start`: whether a run may be started again, as far as
/// it can tell by itself.
pub(super) fn resolve(
    session: &mut dyn Session,
    request: &Request,
    may_start: &dyn Fn(&RunRow<'_>) -> bool,
    mut keep: Option<&mut Keep<'_>>,
) -> Result<Resolved, ErrorModel> {
    let options = &request.options;
    let may_repeat = may_repeat(session, &request.selector)?;
    let to = match may_repeat {
        // Which of the two is read is left open.
        true => None,
        false if !options.dry_run && session.takes_params_as_read() => Some(To::Spawn),
        false => (options.dry_run || options.expect_plan.is_some()).then_some(To::Plan),
    };
    let reads_params = keep.is_some() || options.tells_runs() || by_params(options);
    // Where many runs are one task, all that were the newest for a while would be carried for nothing.
    let are_wanted = options.unique_by != UniqueBy::Task && (reads_params || options.take.is_none());
    let mut carrier = Carrier::of(to.filter(|_| are_wanted));
    let columns = match keep.is_some() || options.tells_runs() {
        true => Columns::WHOLE,
        false => {
            let (params, counts) = (by_params(options) || carrier.wants_params(), options.spans().is_some());
            Columns { params, unfit: true, end_reason: counts, rest: counts, ..Columns::default() }
        }
    };
    if keep.is_none()
        && !may_repeat
        && let Some(resolved) = newest_of_each_task(session, request, columns)?
    {
        return Ok(resolved);
    }
    let mut seen = may_repeat.then(Seen::default);
    let mut grouping = Grouping::new(options);
    let mut spans = options.spans().map(Spans::new);
    let mut matched = 0;
    let unknown = each_selected(session, &request.selector, columns, &mut |run| {
        if seen.as_mut().is_some_and(|seen| !seen.is_new(&run)) {
            return Ok(());
        }
        if let Some(keep) = &mut keep
            && !keep(&run.to_run())?
        {
            return Ok(());
        }
        matched += 1;
        if let Some(spans) = &mut spans {
            spans.add(&run);
        }
        grouping.add(&run, may_start, &mut carrier);
        Ok(())
    })?;
    let (mut groups, beyond) = grouping.into_groups();
    groups.sort_unstable_by(Group::order);
    Ok(Resolved { groups, beyond, matched, unknown, times: spans.and_then(Spans::into_times) })
}

/// The same by the newest run of each task alone, where nothing else of the others counts than their number, and the host
/// can tell that faster than it can hand them over.
fn newest_of_each_task(
    session: &mut dyn Session,
    request: &Request,
    columns: Columns,
) -> Result<Option<Resolved>, ErrorModel> {
    let options = &request.options;
    let Selector::Matching { filter, except_ids, except_tasks } = &request.selector else { return Ok(None) };
    let looks_at_each = options.unique_by != UniqueBy::Task
        || options.tells_runs()
        || options.spans().is_some()
        || !options.except_groups.is_empty()
        || !except_ids.is_empty();
    if looks_at_each {
        return Ok(None);
    }
    let mut groups = ByTask::new();
    let are_all = session.newest(filter, columns, &mut |run, matched| {
        if !is_among(except_tasks, &run.task_name) {
            let new = || Gathered::before(&run, false, &mut Carrier::of(None));
            groups.or_insert_with(&run.task_name, Digest::default(), new).add_one_of(&run, matched);
        }
    })?;
    let group = |(task_name, params, gathered)| Group::of(task_name, params, gathered);
    let mut groups: Vec<Group> = groups.into_entries().map(group).collect();
    // Where one may not be started, an older one that may is told of.
    if !are_all || !groups.iter().all(|group| group.source.is_fit()) {
        return Ok(None);
    }
    groups.sort_unstable_by(Group::order);
    let matched = groups.iter().map(|group| group.matched).sum();
    Ok(Some(Resolved { groups, beyond: 0, matched, unknown: Vec::new(), times: None }))
}

/// Whether parameters set groups apart: what they are themselves, or which runs are like them.
pub(super) fn by_params(options: &RerunOptions) -> bool {
    match options.unique_by {
        UniqueBy::Task => false,
        UniqueBy::Params => true,
        UniqueBy::Run => options.skip_active || options.skip_superseded,
    }
}

/// Hands over each selected run, whole. An error ends it.
pub(super) fn each_run(
    session: &mut dyn Session,
    selector: &Selector,
    each: &mut dyn FnMut(&RunRow<'_>) -> Result<(), ErrorModel>,
) -> Result<(), ErrorModel> {
    let mut seen = may_repeat(session, selector)?.then(Seen::default);
    let mut each = |run: RunRow<'_>| {
        let is_new = seen.as_mut().is_none_or(|seen| seen.is_new(&run));
        if is_new { each(&run) } else { Ok(()) }
    };
    each_selected(session, selector, Columns::WHOLE, &mut each).map(|_unknown| ())
}

/// Whether the runs of a selector may come twice.
fn may_repeat(session: &mut dyn Session, selector: &Selector) -> Result<bool, HostError> {
    match selector {
        Selector::Ids(ids) => session.may_repeat(Query::Ids(&ids.iter().map(String::as_str).collect::<Vec<_>>())),
        Selector::Matching { filter, .. } => session.may_repeat(Query::Filter(filter)),
    }
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
    let mut unknown = Vec::new();
    let searched = match selector {
        Selector::Ids(ids) => {
            // Sorted, so that neighbours in the key's index are sought one after the other.
            let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
            sorted.sort_unstable();
            let mut found = vec![false; sorted.len()];
            let place = |bytes: &[u8]| sorted.binary_search_by(|id| id.as_bytes().cmp(bytes));
            let searched = session.runs(Query::Ids(&sorted), columns, &mut |run| {
                match run.id.bytes().map(|bytes| place(&bytes)) {
                    Some(Ok(place)) => found[place] = true,
                    // A host that hands over more than it was asked for.
                    _ => return ControlFlow::Continue(()),
                }
                each(run)
            });
            let is_unknown = |id: &&String| place(id.as_bytes()).is_ok_and(|place| !found[place]);
            unknown.extend(ids.iter().filter(is_unknown).cloned());
            searched
        }
        Selector::Matching { filter, except_ids, except_tasks } => {
            session.runs(Query::Filter(filter), columns, &mut |run| {
                let is_excepted = is_among(except_ids, &run.id) || is_among(except_tasks, &run.task_name);
                if is_excepted { ControlFlow::Continue(()) } else { each(run) }
            })
        }
    };
    // What went wrong first is what is told.
    match failed {
        Some(error) => Err(error),
        None => Ok(searched.map(|()| unknown)?),
    }
}

/// Whether a name or an id is one of these, by its bytes.
fn is_among(texts: &HashSet<String>, key: &Key<'_>) -> bool {
    let is_among = |bytes: &[u8]| str::from_utf8(bytes).is_ok_and(|text| texts.contains(text));
    !texts.is_empty() && key.bytes().is_some_and(|bytes| is_among(&bytes))
}

/// Runs on their way into groups.
struct Grouping<'o> {
    groups: Groups,
    left_out: LeftOut<'o>,
    /// Parameters set them apart.
    by_params: bool,
    /// More is told of them than their number.
    with_runs: bool,
}

enum Groups {
    /// Many runs share one.
    Shared(ByTask<Gathered>),
    /// Each run is its own.
    Each {
        groups: Vec<Group>,
        names: Names,
        /// So many may get a new run, where nothing but the run itself decides whether it does.
        limit: Option<u64>,
        /// So many would.
        wanted: u64,
    },
}

impl<'o> Grouping<'o> {
    fn new(options: &'o RerunOptions) -> Grouping<'o> {
        let groups = match options.unique_by {
            UniqueBy::Task | UniqueBy::Params => Groups::Shared(ByTask::new()),
            UniqueBy::Run => {
                let may_skip = options.skip_active
                    || options.skip_superseded
                    || options.take.is_some()
                    || !options.except_groups.is_empty();
                let limit = options.limit.filter(|_| !may_skip);
                Groups::Each { groups: Vec::new(), names: Names::default(), limit, wanted: 0 }
            }
        };
        Grouping {
            groups,
            left_out: LeftOut::of(&options.except_groups),
            by_params: by_params(options),
            with_runs: options.tells_runs(),
        }
    }

    fn add(&mut self, run: &RunRow<'_>, may_start: &dyn Fn(&RunRow<'_>) -> bool, carrier: &mut Carrier) {
        let params = if self.by_params { Digest::of_params(&run.params) } else { Digest::default() };
        let is_left_out = self.left_out.has(run);
        match &mut self.groups {
            Groups::Shared(groups) => {
                let new = || Gathered::before(run, self.with_runs, carrier);
                groups.or_insert_with(&run.task_name, params, new).add(run, is_left_out, carrier);
            }
            Groups::Each { groups, names, limit, wanted } => {
                *wanted += u64::from(limit.is_some() && may_start(run));
                if limit.is_some_and(|limit| *wanted > limit) {
                    // By now it is an error, which needs no more than the number.
                    *groups = Vec::new();
                    return;
                }
                let mut gathered = Gathered::before(run, self.with_runs, carrier);
                gathered.add(run, is_left_out, carrier);
                groups.push(Group::of(names.get(&run.task_name), params, gathered));
            }
        }
    }

    /// The groups, and how many that would get a new run were not kept.
    fn into_groups(self) -> (Vec<Group>, u64) {
        match self.groups {
            Groups::Each { limit: Some(limit), wanted, .. } if wanted > limit => (Vec::new(), wanted),
            Groups::Each { groups, .. } => (groups, 0),
            Groups::Shared(groups) => {
                let group = |(task_name, params, gathered)| Group::of(task_name, params, gathered);
                (groups.into_entries().map(group).collect(), 0)
            }
        }
    }
}

/// The runs whose groups are left out. A group is left out with whichever of its runs is named: one that was shown as the
/// source run when the groups were looked at may be the older one by now, and is still what nobody wants run.
struct LeftOut<'o>(HashMap<&'o str, HashSet<&'o str>>);

impl<'o> LeftOut<'o> {
    fn of(groups: &'o BTreeSet<GroupName>) -> LeftOut<'o> {
        let mut of_task: HashMap<&str, HashSet<&str>> = HashMap::new();
        for GroupName { task_name, rerun_of } in groups {
            of_task.entry(task_name).or_default().insert(rerun_of);
        }
        LeftOut(of_task)
    }

    fn has(&self, run: &RunRow<'_>) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let (Some(task_name), Some(id)) = (run.task_name.bytes(), run.id.bytes()) else { return false };
        let (Ok(task_name), Ok(id)) = (str::from_utf8(&task_name), str::from_utf8(&id)) else { return false };
        self.0.get(task_name).is_some_and(|ids| ids.contains(id))
    }
}
