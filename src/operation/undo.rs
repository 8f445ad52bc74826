//! Takes back what no worker has begun of an operation, all in one transaction.

use chrono::Utc;
use serde_json::json;

use super::history::recorded;
use super::ledger::there_is_none;
use super::stand::{Found, stand};
use crate::cancel::Cancel;
use crate::contract::{ErrorModel, KeptRun, Standing, Triggered, Undone, UndoneRun, ledger_time};
use crate::host::{Host, HostError, Recorded, RunRef, Session};

/// Undoes an operation, as far as that can be done, unless it is cancelled before its turn to write: what was begun or is
/// over is kept, and told.
pub(crate) fn undo(host: &dyn Host, operation_id: &str, cancel: Option<&Cancel>) -> Result<Undone, ErrorModel> {
    let mut session = host.session()?;
    let session = &mut *session;
    let _waiting = cancel.map(|cancel| cancel.search_begins(session.interrupter())).transpose()?;
    session.begin_write()?;
    cancel.map(Cancel::spawn_begins).transpose()?;
    let Some(ledger) = session.ledger()? else { return Err(there_is_none()) };
    let (entry, recorded) = recorded(ledger, operation_id)?;
    if !session.can_undo() {
        let message =
            "this host has no way to take a run back: its profile has no `undo` statement; nothing was changed";
        return Err(ErrorModel::violation("body.operation_id", message.to_owned(), json!(operation_id)));
    }
    let (runs, was_undone): (Vec<Triggered>, Vec<bool>) =
        recorded.into_iter().map(|Recorded { run, is_undone }| (run, is_undone)).unzip();
    let taken = take_back(session, &runs)?;
    let standings = stand(session, &runs)?;
    check(&runs, &taken, &standings)?;

    let mut undone = Undone::default();
    let mut places = Vec::new();
    let outcomes = runs.into_iter().zip(standings).zip(taken.into_iter().zip(was_undone));
    for (place, ((run, found), (is_taken, was_undone))) in (0_i64..).zip(outcomes) {
        let Triggered { task_name, run_id, .. } = run;
        if is_taken {
            places.push(place);
            undone.undone.push(UndoneRun { task_name, run_id });
        } else if !was_undone {
            let Standing { phase, end_reason, .. } =
                found.map_or_else(|| Standing::without_a_run(Standing::GONE), |found| found.standing);
            undone.kept.push(KeptRun { task_name, run_id, phase, end_reason });
        }
    }
    if places.is_empty() {
        session.end()?;
        return Ok(undone);
    }
    if let Some(ledger) = session.ledger()? {
        ledger.mark_undone(&entry.operation_id, &ledger_time(Utc::now()), &places)?;
    }
    session.commit()?;
    Ok(undone)
}

/// Takes those back that are pending, and tells of each whether it was.
fn take_back(session: &mut dyn Session, runs: &[Triggered]) -> Result<Vec<bool>, HostError> {
    let found = stand(session, runs)?;
    let pending: Vec<(usize, RunRef<'_>)> = found
        .iter()
        .enumerate()
        .filter_map(|(place, found)| Some((place, found.as_ref().filter(|found| found.standing.phase == "pending")?)))
        .map(|(place, Found { task_name, id, .. })| (place, RunRef { task_name, id }))
        .collect();
    let refs: Vec<RunRef<'_>> = pending.iter().map(|(_, run)| *run).collect();
    let mut taken = vec![false; runs.len()];
    session.undo(&refs, &mut |index, is_taken| taken[pending[index].0] = is_taken)?;
    Ok(taken)
}

/// What is told as undone is no run that will be run: else all of it is given up.
fn check(runs: &[Triggered], taken: &[bool], standings: &[Option<Found>]) -> Result<(), HostError> {
    let still_there = |(taken, found): (&bool, &Option<Found>)| {
        *taken && found.as_ref().is_some_and(|found| !found.standing.has_ended())
    };
    match taken.iter().zip(standings).position(still_there) {
        None => Ok(()),
        Some(place) => Err(HostError::Unusable(format!(
            "the profile's `undo` says that it took the run {} back, and the host's view shows it as one that will be run \
             all the same; nothing was changed",
            runs[place].run_id
        ))),
    }
}
