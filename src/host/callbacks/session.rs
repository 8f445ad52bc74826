//! One call's conversation with a host behind callbacks.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::handed::{self, Handed};
use super::kept::Kept;
use super::{HostCallbacks, Reply};
use crate::contract::{Params, Phase, Run, RunFilter, Selector};
use crate::host::{
    Columns, Due, Freshness, HostError, Interrupter, Key, Ledger, Query, RunRef, RunRow, Session, Spawned,
};

/// As many source runs are asked for at once, before they are started again.
const ASKED_AT_ONCE: usize = 10_000;

/// A session; what of it is open is given up when it is dropped.
pub(super) struct CallbackSession<'h> {
    pub(super) callbacks: &'h dyn HostCallbacks,
    in_transaction: bool,
    /// The operation that was found last.
    pub(super) found: Option<Kept>,
    /// Set when nobody waits for the search any more.
    is_cancelled: Arc<AtomicBool>,
}

impl<'h> CallbackSession<'h> {
    pub(super) fn new(callbacks: &'h dyn HostCallbacks) -> Self {
        CallbackSession { callbacks, in_transaction: false, found: None, is_cancelled: Arc::default() }
    }

    /// Asks for runs, and hands over those that the query means.
    fn ask(&self, query: Query<'_>, each: &mut dyn FnMut(Handed) -> ControlFlow<()>) -> Result<(), HostError> {
        let (selector, tasks) = selector(query);
        let ids: HashSet<&str> = match &selector {
            Selector::Ids(ids) => ids.iter().map(String::as_str).collect(),
            Selector::Matching { .. } => HashSet::new(),
        };
        self.check_is_wanted()?;
        let mut number = 0_u64;
        let mut ended = false;
        let mut refused = None;
        let answered = self.callbacks.runs(&selector.to_json(), &mut |run_json| {
            self.check_is_wanted()?;
            number += 1;
            if ended {
                return Ok(());
            }
            let run = match handed::read(run_json) {
                Ok(run) => run,
                Err(fault) => {
                    ended = true;
                    let message = format!("the host handed over a run that can't be read, number {number}: {fault}");
                    refused = Some(message.clone());
                    return Err(HostError::Unusable(message));
                }
            };
            let meant = match &selector {
                Selector::Ids(_) => run.id() != Key::Null && ids.contains(&*run.run.id),
                Selector::Matching { filter, .. } => filter.matches(&run.run),
            };
            if meant && tasks.as_ref().is_none_or(|tasks| tasks.contains(&run.task_name())) {
                ended = each(run).is_break();
            }
            Ok(())
        });
        self.check_is_wanted()?;
        match refused {
            Some(message) => Err(HostError::Unusable(message)),
            // Who has seen enough does not care how it would have gone on.
            None if ended => Ok(()),
            None => answered,
        }
    }

    fn check_is_wanted(&self) -> Result<(), HostError> {
        if self.is_cancelled.load(Ordering::Relaxed) { Err(HostError::Cancelled) } else { Ok(()) }
    }

    /// Each of these runs as the host has it now, with its index; `None` for one that is gone.
    fn each_of_runs(
        &self,
        runs: &[RunRef<'_>],
        each: &mut dyn FnMut(usize, Option<Run>) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        for (chunk, wanted) in runs.chunks(ASKED_AT_ONCE).enumerate() {
            let ids: Vec<String> = wanted.iter().map(|run| run.id.to_text()).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let mut found = HashMap::with_capacity(ids.len());
            self.ask(Query::Ids(&ids), &mut |Handed { run, .. }| {
                found.insert((run.task_name.clone(), run.id.clone()), run);
                ControlFlow::Continue(())
            })?;
            for (index, run) in wanted.iter().enumerate() {
                let run = found.remove(&(run.task_name.to_text(), run.id.to_text()));
                each(chunk * ASKED_AT_ONCE + index, run)?;
            }
        }
        Ok(())
    }
}

/// A query in the contract's words, and the tasks that it is about where those have no word for it.
fn selector(query: Query<'_>) -> (Selector, Option<HashSet<&Key<'_>>>) {
    let matching = |filter| Selector::Matching { filter, except_ids: HashSet::new(), except_tasks: HashSet::new() };
    match query {
        Query::Ids(ids) => (Selector::Ids(ids.iter().map(|id| (*id).to_owned()).collect()), None),
        Query::Filter(filter) => (matching(filter.clone()), None),
        Query::Tasks(names) | Query::Active { names, .. } => {
            let mut filter = RunFilter::default();
            if let Query::Active { .. } = query {
                filter.status = [Phase::Pending, Phase::Running].map(|phase| phase.as_str().to_owned()).to_vec();
            }
            if let Some([name]) = names {
                filter.task_name = Some(name.to_text());
            }
            (matching(filter), names.map(|names| names.iter().copied().collect()))
        }
    }
}

impl Session for CallbackSession<'_> {
    fn is_atomic(&self) -> bool {
        self.callbacks.has_transactions()
    }

    fn begin_read(&mut self) -> Result<(), HostError> {
        Ok(())
    }

    fn interrupter(&mut self) -> Option<Interrupter> {
        let is_cancelled = Arc::clone(&self.is_cancelled);
        Some(Box::new(move || is_cancelled.store(true, Ordering::Relaxed)))
    }

    fn begin_write(&mut self) -> Result<Freshness, HostError> {
        if self.callbacks.has_transactions() {
            self.callbacks.begin()?;
            self.in_transaction = true;
        }
        Ok(Freshness::Changed)
    }

    fn end(&mut self) -> Result<(), HostError> {
        if std::mem::take(&mut self.in_transaction) { self.callbacks.rollback() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), HostError> {
        if self.in_transaction {
            self.callbacks.commit()?;
            self.in_transaction = false;
        }
        Ok(())
    }

    fn runs(
        &mut self,
        query: Query<'_>,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), HostError> {
        self.ask(query, &mut |run| each(row(&run, columns)))
    }

    fn params(
        &mut self,
        runs: &[RunRef<'_>],
        each: &mut dyn FnMut(usize, Option<Params<'_>>),
    ) -> Result<(), HostError> {
        self.each_of_runs(runs, &mut |index, run| {
            each(index, run.map(|run| run.params));
            Ok(())
        })
    }

    fn spawn(
        &mut self,
        sources: &[RunRef<'_>],
        _: Option<&[&Params<'_>]>,
        due: Option<Due>,
        each: &mut dyn FnMut(usize, Spawned),
    ) -> Result<(), HostError> {
        self.each_of_runs(sources, &mut |index, run| {
            let spawned = match run {
                None => Spawned::Gone,
                Some(run) => match self.callbacks.spawn(&source_run(&run, due.map(|due| due.of(index))))? {
                    Reply::Started(run_id) if run_id.is_empty() => return Err(no_id()),
                    Reply::Started(run_id) => Spawned::New(run_id),
                    Reply::Skipped(detail) => Spawned::Refused(detail),
                },
            };
            each(index, spawned);
            Ok(())
        })
    }

    fn can_undo(&self) -> bool {
        self.callbacks.can_undo()
    }

    fn undo(&mut self, runs: &[RunRef<'_>], each: &mut dyn FnMut(usize, bool)) -> Result<(), HostError> {
        self.each_of_runs(runs, &mut |index, run| {
            each(index, run.map_or(Ok(false), |run| self.callbacks.undo(&run.to_json()))?);
            Ok(())
        })
    }

    fn ledger(&mut self) -> Result<Option<&mut dyn Ledger>, HostError> {
        Ok(if self.callbacks.keeps_ledger() { Some(self) } else { None })
    }

    fn way_to_a_ledger(&self) -> &'static str {
        "the host's callbacks `find_operation` and `record_operation`"
    }

    fn has_due_time(&self) -> bool {
        self.callbacks.heeds_due()
    }
}

/// A source run, as a host is given it to start it again.
fn source_run(run: &Run, due: Option<String>) -> String {
    let Some(due) = due else { return run.to_json() };
    let mut source = json!(run);
    source["due"] = json!(due);
    source.to_string()
}

fn no_id() -> HostError {
    HostError::Callback { callback: "spawn", message: "the new run's id is empty".to_owned() }
}

/// The wanted columns. Parameters that nobody asked for would set runs apart that are the same work.
fn row(handed: &Handed, columns: Columns) -> RunRow<'_> {
    let run = &handed.run;
    RunRow {
        id: handed.id(),
        task_name: handed.task_name(),
        created_at: run.created_at,
        params: if columns.params { run.params.clone() } else { Params::None },
        unfit: run.unfit.as_deref(),
        end_reason: run.end_reason.as_deref(),
        phase: run.phase.as_deref(),
        exit_code: run.exit_code,
        triggered_by: run.triggered_by.as_deref(),
        retry_attempt: run.retry_attempt,
        is_failure: run.is_failure,
        state: None,
    }
}

impl Drop for CallbackSession<'_> {
    fn drop(&mut self) {
        // The error that led here is the one to tell.
        let _ = self.end();
    }
}
