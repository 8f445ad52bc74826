//! Takes back what no worker has begun of an operation, all in one transaction.

use chrono::Utc;
use serde_json::json;

use super::history::recorded;
use super::ledger::{self, there_is_none};
use super::stand::{Found, stand, standing_of};
use crate::cancel::Cancel;
use crate::contract::{ErrorModel, KeptRun, Standing, Triggered, Undone, UndoneRun, ledger_time};
use crate::host::{Host, HostError, RunRef, Session};

/// Undoes an operation, as far as that can be done, unless it is cancelled before its turn to write: what was begun or is
/// over is kept, and told.
pub(crate) fn undo(host: &dyn Host, operation_id: &str, cancel: Option<&Cancel>) -> Result<Undone, ErrorModel> {
    let mut session = host.session()?;
    let session = &mut *session;
    let _waiting = cancel.map(|cancel| cancel.search_begins(session.interrupter())).transpose()?;
    session.begin_write()?;
    cancel.map(Cancel::spawn_begins).transpose()?;
    let way = session.way_to_a_ledger();
    let Some(ledger) = session.ledger()? else { return Err(there_is_none(way)) };
    let (entry, runs, was_undone) = recorded(ledger, operation_id)?;
    if let Some(by) = ledger::started_by(&entry) {
        let message = format!(
            "the runner's {by} has started these runs, and what still waits is in its memory, where a change of the store              would not reach it: stop them in the runner; nothing was changed"
        );
        return Err(ErrorModel::violation("body.operation_id", message, json!(operation_id)));
    }
    if !session.can_undo() {
        let message = "this host has no way to take a run back: its profile has no `undo` statement, or its \
                       callbacks no `undo`; nothing was changed";
        return Err(ErrorModel::violation("body.operation_id", message.to_owned(), json!(operation_id)));
    }
    let mut taken = vec![false; runs.len()];
    let standings = match take_back(session, &runs, &mut taken) {
        Ok(standings) => standings,
        Err(error) if session.is_undo_atomic() => return Err(error.into()),
        Err(error) => return Err(half_way(session, &entry.operation_id, &taken, error)),
    };

    let mut undone = Undone::default();
    let outcomes = runs.into_iter().zip(standings).zip(taken.iter().zip(was_undone));
    for ((run, found), (&is_taken, was_undone)) in outcomes {
        let Triggered { task_name, run_id, .. } = run;
        if is_taken {
            undone.undone.push(UndoneRun { task_name, run_id });
        } else if !was_undone {
            let Standing { phase, end_reason, .. } = standing_of(found);
            undone.kept.push(KeptRun { task_name, run_id, phase, end_reason });
        }
    }
    if undone.undone.is_empty() {
        session.end()?;
        return Ok(undone);
    }
    if let Err(error) = write_down(session, &entry.operation_id, &taken) {
        return Err(if session.is_undo_atomic() { error.into() } else { with_taken(error, &taken, NOT_WRITTEN_DOWN) });
    }
    session.commit()?;
    Ok(undone)
}

/// Takes those back that are pending, marks each one that was, and tells where all stand then.
fn take_back(
    session: &mut dyn Session,
    runs: &[Triggered],
    taken: &mut [bool],
) -> Result<Vec<Option<Found>>, HostError> {
    let found = stand(session, runs)?;
    let pending: Vec<(usize, RunRef<'_>)> = found
        .iter()
        .enumerate()
        .filter_map(|(place, found)| Some((place, found.as_ref().filter(|found| found.standing.phase == "pending")?)))
        .map(|(place, Found { task_name, id, .. })| (place, RunRef { task_name, id }))
        .collect();
    let refs: Vec<RunRef<'_>> = pending.iter().map(|(_, run)| *run).collect();
    session.undo(&refs, &mut |index, is_taken| taken[pending[index].0] = is_taken)?;
    let standings = stand(session, runs)?;
    check(session, runs, taken, &standings)?;
    Ok(standings)
}

/// What is told as undone is no run that will be run: else all of it is given up, as far as the host can.
fn check(
    session: &dyn Session,
    runs: &[Triggered],
    taken: &mut [bool],
    standings: &[Option<Found>],
) -> Result<(), HostError> {
    let mut still_there = None;
    for (place, (taken, found)) in taken.iter_mut().zip(standings).enumerate() {
        if *taken && found.as_ref().is_some_and(|found| !found.standing.has_ended()) {
            *taken = false;
            still_there.get_or_insert(place);
        }
    }
    let Some(place) = still_there else { return Ok(()) };
    Err(HostError::Unusable(format!(
        "the host's `undo` says that it took the run {} back, and its view shows it as one that will be run all \
         the same{}",
        runs[place].run_id,
        if session.is_undo_atomic() { "; nothing was changed" } else { "" }
    )))
}

fn write_down(session: &mut dyn Session, operation_id: &str, taken: &[bool]) -> Result<(), HostError> {
    let places: Vec<i64> = (0..).zip(taken).filter(|(_, taken)| **taken).map(|(place, _)| place).collect();
    match session.ledger()? {
        Some(ledger) if !places.is_empty() => ledger.mark_undone(operation_id, &ledger_time(Utc::now()), &places),
        _ => Ok(()),
    }
}

/// The error of a host without transactions, which has taken some runs back all the same: that is written down, if
/// it can be.
fn half_way(session: &mut dyn Session, operation_id: &str, taken: &[bool], error: HostError) -> ErrorModel {
    let is_written_down = write_down(session, operation_id, taken).is_ok();
    with_taken(error, taken, if is_written_down { WRITTEN_DOWN } else { NOT_WRITTEN_DOWN })
}

const WRITTEN_DOWN: &str = "which is written down: undo the operation again for the others";
const NOT_WRITTEN_DOWN: &str = "and that is not written down";

fn with_taken(error: HostError, taken: &[bool], what_of_it: &str) -> ErrorModel {
    let error = ErrorModel::from(error);
    let runs = match taken.iter().filter(|taken| **taken).count() {
        0 => "no run was taken back".to_owned(),
        1 => format!("1 run was taken back before, {what_of_it}"),
        many => format!("{many} runs were taken back before, {what_of_it}"),
    };
    ErrorModel { detail: format!("{}; {runs}", error.detail), ..error }
}
