//! One call's conversation with a host behind callbacks.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use super::{HostCallbacks, Reply, handed};
use crate::contract::{Params, Phase, Run, RunFilter, Selector};
use crate::host::{Care, Columns, Freshness, HostError, Query, RunRow, Session, Sources, Spawned, Spawning};

/// As many source runs are asked for at once, before they are started again.
const ASKED_AT_ONCE: usize = 10_000;

/// A session; what of it is open is given up when it is dropped.
pub(super) struct CallbackSession<'h> {
    callbacks: &'h dyn HostCallbacks,
    in_transaction: bool,
}

impl<'h> CallbackSession<'h> {
    pub(super) fn new(callbacks: &'h dyn HostCallbacks) -> Self {
        CallbackSession { callbacks, in_transaction: false }
    }

    /// Asks for runs, and hands over those that the query means.
    fn ask(&self, query: Query<'_>, each: &mut dyn FnMut(Run) -> ControlFlow<()>) -> Result<(), HostError> {
        let (selector, tasks) = selector(query);
        let mut ids = match &selector {
            Selector::Ids(ids) => Some(ids.iter().cloned().collect::<HashSet<String>>()),
            Selector::Matching { .. } => None,
        };
        let mut ended = false;
        let mut refused = None;
        let answered = self.callbacks.runs(&selector.to_json(), &mut |run_json| {
            if ended {
                return Ok(());
            }
            let run = match handed::read(run_json) {
                Ok(run) => run,
                Err(error) => {
                    ended = true;
                    let message = error.to_string();
                    refused = Some(error);
                    return Err(HostError::Unusable(message));
                }
            };
            let meant = match (&selector, &mut ids) {
                // An id counts once, however often the host hands it over.
                (Selector::Ids(_), Some(ids)) => ids.remove(&run.id),
                (Selector::Matching { filter, .. }, _) => filter.matches(&run),
                _ => false,
            };
            if meant && tasks.as_ref().is_none_or(|tasks| tasks.contains(run.task_name.as_str())) {
                ended = each(run).is_break();
            }
            Ok(())
        });
        match refused {
            Some(error) => Err(error),
            // Who has seen enough does not care how it would have gone on.
            None if ended => Ok(()),
            None => answered,
        }
    }

    /// These runs as the host has them now, by id.
    fn by_id(&self, ids: &[&str]) -> Result<HashMap<String, Run>, HostError> {
        let mut runs = HashMap::with_capacity(ids.len());
        self.ask(Query::Ids(ids), &mut |run| {
            runs.insert(run.id.clone(), run);
            ControlFlow::Continue(())
        })?;
        Ok(runs)
    }
}

/// A query in the contract's words, and the tasks that it is about where those have no word for it.
fn selector(query: Query<'_>) -> (Selector, Option<HashSet<&str>>) {
    let matching = |filter| Selector::Matching { filter, except_ids: HashSet::new() };
    match query {
        Query::Ids(ids) => (Selector::Ids(ids.iter().map(|id| (*id).to_owned()).collect()), None),
        Query::Filter(filter) => (matching(filter.clone()), None),
        Query::Tasks { names, active } => {
            let mut filter = RunFilter::default();
            if active {
                filter.status = [Phase::Pending, Phase::Running].map(|phase| phase.as_str().to_owned()).to_vec();
            }
            if let Some([name]) = names {
                filter.task_name = Some((*name).to_owned());
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

    fn params(&mut self, ids: &[&str], each: &mut dyn FnMut(usize, Option<Params<'_>>)) -> Result<(), HostError> {
        for (chunk, ids) in ids.chunks(ASKED_AT_ONCE).enumerate() {
            let mut runs = self.by_id(ids)?;
            for (index, id) in ids.iter().enumerate() {
                each(chunk * ASKED_AT_ONCE + index, runs.remove(*id).map(|run| run.params));
            }
        }
        Ok(())
    }

    /// A host that declines says so for each run, so there is nothing to be done again.
    fn spawn(
        &mut self,
        Sources { ids, .. }: Sources<'_>,
        _: Care,
        each: &mut dyn FnMut(usize, Spawned<'_>),
    ) -> Result<Spawning, HostError> {
        for (chunk, ids) in ids.chunks(ASKED_AT_ONCE).enumerate() {
            let mut runs = self.by_id(ids)?;
            for (index, id) in ids.iter().enumerate() {
                let spawned = match runs.remove(*id) {
                    None => Spawned::Gone,
                    Some(run) => match self.callbacks.spawn(&run.to_json())? {
                        Reply::Started(run_id) => Spawned::New { run_id, params: run.params },
                        Reply::Skipped(detail) => Spawned::Refused { params: run.params, detail },
                    },
                };
                each(chunk * ASKED_AT_ONCE + index, spawned);
            }
        }
        Ok(Spawning::Done)
    }
}

/// The wanted columns. Parameters that nobody asked for would set runs apart that are the same work.
fn row(run: &Run, columns: Columns) -> RunRow<'_> {
    RunRow {
        id: &run.id,
        task_name: &run.task_name,
        created_at: run.created_at,
        params: if columns.params { run.params.clone() } else { Params::None },
        unfit: run.unfit.as_deref(),
        end_reason: run.end_reason.as_deref(),
        phase: run.phase.as_deref(),
        exit_code: run.exit_code,
        triggered_by: run.triggered_by.as_deref(),
        retry_attempt: run.retry_attempt,
        is_failure: run.is_failure,
    }
}

impl Drop for CallbackSession<'_> {
    fn drop(&mut self) {
        // The error that led here is the one to tell.
        let _ = self.end();
    }
}
