//! What the ledger tells of re-runs, and where their new runs stand now.

use serde_json::Value;

use super::ledger::there_is_none;
use super::stand::{stand, standing_of};
use crate::contract::{
    ErrorModel, NewRun, Operation, Operations, OperationsQuery, Standing, Triggered, count_states, ledger_time,
};
use crate::host::{Entry, Host, Ledger, Page, Recorded, Session};

/// The operations of a page, newest first.
pub(crate) fn operations(host: &dyn Host, query: &OperationsQuery) -> Result<Operations, ErrorModel> {
    let mut session = host.session()?;
    begin(&mut *session)?;
    let ledger = of(&mut *session)?;
    if let Some(before) = &query.before {
        find(ledger, before)?;
    }
    let since = query.created_after.map(ledger_time);
    let page = Page {
        limit: query.limit(),
        before: query.before.as_deref(),
        since: since.as_deref(),
        run_id: query.run_id.as_deref(),
    };
    let entries = ledger.list(page)?;
    session.end()?;
    let operations = entries.into_iter().map(operation).collect::<Result<_, _>>()?;
    Ok(Operations { schema: None, operations })
}

/// One operation, with its new runs and where they stand.
pub(crate) fn one(host: &dyn Host, operation_id: &str) -> Result<Operation, ErrorModel> {
    let mut session = host.session()?;
    begin(&mut *session)?;
    let (entry, runs, is_undone) = recorded(of(&mut *session)?, operation_id)?;
    let standings = stand(&mut *session, &runs)?;
    session.end()?;
    let standings = standings.into_iter().zip(is_undone).map(|(found, is_undone)| match found {
        // What the host has made of it (cancelled, or nothing at all) is what undoing is there.
        found if is_undone && found.as_ref().is_none_or(|found| found.standing.has_ended()) => {
            Standing::without_a_run(Standing::UNDONE)
        }
        found => standing_of(found),
    });
    let runs: Vec<NewRun> = runs.into_iter().zip(standings).map(|(run, standing)| NewRun { run, standing }).collect();
    let states = count_states(runs.iter().map(|run| &run.standing));
    Ok(Operation { runs: Some(runs), states: Some(states), ..operation(entry)? })
}

/// Begins to read. A ledger of an older version is made ours first.
fn begin(session: &mut dyn Session) -> Result<(), ErrorModel> {
    session.begin_read()?;
    if session.ledger()?.is_some_and(|ledger| ledger.is_old()) {
        session.end()?;
        session.begin_write()?;
        session.ledger()?;
        session.commit()?;
        session.begin_read()?;
    }
    Ok(())
}

fn of(session: &mut dyn Session) -> Result<&mut dyn Ledger, ErrorModel> {
    let way = session.way_to_a_ledger();
    session.ledger()?.ok_or_else(|| there_is_none(way))
}

fn find(ledger: &mut dyn Ledger, operation_id: &str) -> Result<Entry, ErrorModel> {
    let detail = || format!("the ledger has no operation {operation_id:?}; list them, or was it pruned?");
    ledger.get(operation_id)?.ok_or_else(|| ErrorModel::new(404, detail()))
}

/// An operation, its new runs in its answer's order, and which of them were taken back.
pub(super) fn recorded(
    ledger: &mut dyn Ledger,
    operation_id: &str,
) -> Result<(Entry, Vec<Triggered>, Vec<bool>), ErrorModel> {
    let entry = find(ledger, operation_id)?;
    let (mut runs, mut undone) = (Vec::new(), Vec::new());
    ledger.runs(&entry.operation_id, &mut |Recorded { run, is_undone }| {
        runs.push(run);
        undone.push(is_undone);
    })?;
    Ok((entry, runs, undone))
}

fn operation(entry: Entry) -> Result<Operation, ErrorModel> {
    let request: Value = serde_json::from_str(&entry.request).map_err(|error| {
        ErrorModel::new(500, format!("the ledger's operation {} can't be read: {error}", entry.operation_id))
    })?;
    Ok(Operation {
        schema: None,
        operation_id: entry.operation_id,
        created_at: entry.created_at,
        door: entry.door,
        actor: entry.actor,
        reason: entry.reason,
        idempotency_key: entry.idempotency_key,
        request,
        triggered: entry.triggered.unsigned_abs(),
        skipped: entry.skipped.unsigned_abs(),
        undone_at: entry.undone_at,
        runs: None,
        states: None,
    })
}
