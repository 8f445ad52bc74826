//! What of a re-run is written into the ledger, and what a repeated key is answered from it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::plan::in_hex;
use crate::contract::{BulkRerunBody, Caller, ErrorModel, Request, RerunOptions, ledger_time};
use crate::host::{Entry, Host, HostError, Session};

/// The answer of the re-run that was written down under the request's key, if there is one.
pub(super) fn answered_before(
    session: &mut dyn Session,
    request: &Request,
) -> Result<Option<BulkRerunBody>, ErrorModel> {
    let way = session.way_to_a_ledger();
    let Some(ledger) = session.ledger()? else { return refuse_what_needs_it(&request.options, way).map(|()| None) };
    let Some(key) = &request.options.idempotency_key else { return Ok(None) };
    let Some(entry) = ledger.find(key)? else { return Ok(None) };
    if entry.request_digest != digest(&request.to_json()) {
        let message = format!(
            "the key was used for another request at {} (operation {}): nothing was spawned; take a new key, or send \
             what was sent then (a time that counts from now is another one each time)",
            entry.created_at, entry.operation_id
        );
        return Err(ErrorModel::violation("body.options.idempotency_key", message, json!(key)));
    }
    let mut triggered = Vec::new();
    ledger.runs(&entry.operation_id, &mut |recorded| triggered.push(recorded.run))?;
    let skipped = serde_json::from_str(&entry.skipped_list).map_err(|error| {
        ErrorModel::new(500, format!("the ledger's operation {} can't be read: {error}", entry.operation_id))
    })?;
    let operation_id = Some(entry.operation_id);
    Ok(Some(BulkRerunBody { triggered, skipped, operation_id, replayed: true, ..BulkRerunBody::default() }))
}

/// Writes a re-run down in the transaction in which it was done, where there is a ledger; its id is then the answer's, too.
pub(super) fn write_down(
    session: &mut dyn Session,
    request: &Request,
    caller: &Caller,
    body: &mut BulkRerunBody,
) -> Result<(), ErrorModel> {
    let (way, started_by) = (session.way_to_a_ledger(), session.started_by());
    let Some(ledger) = session.ledger()? else { return refuse_what_needs_it(&request.options, way) };
    let caller = request.caller.as_ref().unwrap_or(caller);
    let options = &request.options;
    let carried_out = request.to_json();
    let entry = Entry {
        operation_id: ulid::Ulid::generate().to_string(),
        created_at: ledger_time(Utc::now()),
        door: caller.door.clone().into_owned(),
        actor: options.actor.clone().or_else(|| caller.actor.clone()),
        reason: options.reason.clone(),
        idempotency_key: options.idempotency_key.clone(),
        request_digest: digest(&carried_out),
        request: started_by.map_or(carried_out.clone(), |by| with_via(&carried_out, by)),
        triggered: body.triggered.len() as i64,
        skipped: body.skipped.len() as i64,
        skipped_list: json!(body.skipped).to_string(),
        undone_at: None,
    };
    ledger.record(&entry, &body.triggered)?;
    body.operation_id = Some(entry.operation_id);
    Ok(())
}

/// A request as it was carried out by somebody else than the store.
fn with_via(carried_out: &str, started_by: &str) -> String {
    // It was made of a value a moment ago.
    let mut request: Value = serde_json::from_str(carried_out).unwrap_or_default();
    request["via"] = json!(started_by);
    request.to_string()
}

/// Who has started the new runs of an operation, where that was not the store.
pub(super) fn started_by(entry: &Entry) -> Option<String> {
    let request: Value = serde_json::from_str(&entry.request).ok()?;
    request["via"].as_str().map(str::to_owned)
}

/// Whether a re-run could be written down: it is, and the caller takes it back.
pub(super) fn try_out(session: &mut dyn Session) -> Result<(), HostError> {
    let Some(ledger) = session.ledger()? else { return Ok(()) };
    let operation_id = ulid::Ulid::generate().to_string();
    ledger.record(&Entry { operation_id, created_at: ledger_time(Utc::now()), ..Entry::default() }, &[])
}

/// What can't be kept must not look as if it were.
fn refuse_what_needs_it(options: &RerunOptions, way_to_a_ledger: &str) -> Result<(), ErrorModel> {
    let given = [("idempotency_key", &options.idempotency_key), ("reason", &options.reason), ("actor", &options.actor)];
    let mut refusal: Option<ErrorModel> = None;
    for (field, text) in given {
        let Some(text) = text else { continue };
        let message =
            format!("this needs the ledger, and the store has none: make one ({way_to_a_ledger}), or drop the field");
        let error = ErrorModel::violation(&format!("body.options.{field}"), message, json!(text));
        match &mut refusal {
            None => refusal = Some(error),
            Some(refusal) => refusal.errors.extend(error.errors),
        }
    }
    refusal.map_or(Ok(()), Err)
}

/// Nobody is kept from writing for the sake of this look.
pub(crate) fn is_there(session: &mut dyn Session) -> Result<bool, ErrorModel> {
    session.begin_read()?;
    let is_there = session.ledger()?.is_some();
    session.end()?;
    Ok(is_there)
}

/// Whether a key may stand for a re-run.
#[cfg(feature = "http")]
pub(crate) fn takes_keys(session: &mut dyn Session) -> Result<bool, ErrorModel> {
    Ok(session.takes_keys() && is_there(session)?)
}

/// Makes the ledger where there is none; false if there was one.
pub(crate) fn create(host: &dyn Host) -> Result<bool, ErrorModel> {
    create_in(&mut *host.session()?)
}

/// The same in a session of the caller's own.
pub(crate) fn create_in(session: &mut dyn Session) -> Result<bool, ErrorModel> {
    let is_there = is_there(session)?;
    if !is_there {
        session.begin_write()?;
        session.create_ledger()?;
        session.commit()?;
    }
    Ok(!is_there)
}

/// Takes the re-runs away that are older than this, some at a time, so that nobody waits long for the store's lock; tells
/// how many. Their keys are free again.
pub(crate) fn prune(host: &dyn Host, before: DateTime<Utc>) -> Result<u64, ErrorModel> {
    let mut session = host.session()?;
    let mut pruned = 0;
    loop {
        session.begin_write()?;
        let way = session.way_to_a_ledger();
        let Some(ledger) = session.ledger()? else { return Err(there_is_none(way)) };
        let some = ledger.prune(&ledger_time(before))?;
        session.commit()?;
        pruned += some;
        if some == 0 {
            return Ok(pruned);
        }
    }
}

/// Takes the whole ledger away.
pub(crate) fn drop(host: &dyn Host) -> Result<(), ErrorModel> {
    let mut session = host.session()?;
    session.begin_write()?;
    match session.ledger()? {
        Some(_) => session.drop_ledger()?,
        None => return Err(there_is_none(session.way_to_a_ledger())),
    }
    Ok(session.commit()?)
}

pub(super) fn there_is_none(way_to_a_ledger: &str) -> ErrorModel {
    let detail = format!(
        "the store has no ledger, so nothing is known of what was re-run; make one, and all is written down from \
         then on ({way_to_a_ledger})"
    );
    ErrorModel::new(404, detail)
}

fn digest(text: &str) -> String {
    in_hex(Sha256::digest(text.as_bytes()).into())
}
