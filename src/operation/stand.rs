//! Where runs stand now.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::contract::{ErrorModel, NewRun, Standing, Triggered};
use crate::host::{Columns, Host, HostError, Key, Query, RunRow, Session};

/// A new run that the host has, and where it stands.
pub(super) struct Found {
    /// Its keys, as the host has them.
    pub(super) task_name: Key<'static>,
    pub(super) id: Key<'static>,
    pub(super) standing: Standing,
}

/// Where a run stands, if the host has it; else it is gone.
pub(super) fn standing_of(found: Option<Found>) -> Standing {
    found.map_or_else(|| Standing::without_a_run(Standing::GONE), |found| found.standing)
}

/// Where each of these new runs stands; `None` for one that the host does not have.
pub(super) fn stand(session: &mut dyn Session, runs: &[Triggered]) -> Result<Vec<Option<Found>>, HostError> {
    let mut found: Vec<Option<Found>> = Vec::new();
    found.resize_with(runs.len(), || None);
    let places: HashMap<(&str, &str), usize> =
        runs.iter().enumerate().map(|(place, run)| ((&*run.task_name, &*run.run_id), place)).collect();
    let mut ids: Vec<&str> = runs.iter().map(|run| &*run.run_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let columns = Columns { end_reason: true, rest: true, ..Columns::default() };
    session.runs(Query::Ids(&ids), columns, &mut |run: RunRow<'_>| {
        if let Some(&place) = places.get(&(&*run.task_name.to_text(), &*run.id.to_text())) {
            let standing = Standing {
                phase: run.phase.unwrap_or("pending").to_owned(),
                end_reason: run.end_reason.map(str::to_owned),
                exit_code: run.exit_code,
            };
            found[place] = Some(Found { task_name: run.task_name.to_owned(), id: run.id.to_owned(), standing });
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// Where each of these new runs stands now.
pub(crate) fn where_they_stand(host: &dyn Host, runs: &[Triggered]) -> Result<Vec<NewRun>, ErrorModel> {
    let mut session = host.session()?;
    session.begin_read()?;
    let found = stand(&mut *session, runs)?;
    session.end()?;
    let standings = found.into_iter().map(standing_of);
    Ok(runs.iter().cloned().zip(standings).map(|(run, standing)| NewRun { run, standing }).collect())
}
