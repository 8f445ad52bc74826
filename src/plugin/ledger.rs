//! The ledger: what was re-run, where it stands, and taking it back.

use chrono::{DateTime, Utc};

use super::Plugin;
use crate::cancel::Cancel;
use crate::contract::{ErrorModel, NewRun, Operation, Operations, OperationsQuery, Triggered, UndoRequest, Undone};
use crate::elsewhere::no_questions;
use crate::operation;

impl Plugin {
    /// Whether the store has a ledger, where every re-run is written down.
    ///
    /// # Errors
    ///
    /// 500 or 503 if the store fails.
    pub fn keeps_ledger(&self) -> Result<bool, ErrorModel> {
        self.reach(|host, _| operation::ledger::is_there(&mut *host.session()?), no_questions)
    }

    /// Whether a re-run may have an `idempotency_key`.
    #[cfg(feature = "http")]
    pub(crate) fn takes_keys(&self) -> Result<bool, ErrorModel> {
        self.reach(|host, _| operation::ledger::takes_keys(&mut *host.session()?), no_questions)
    }

    /// Makes the ledger in the store, where every re-run is written down from then on. False if there was one.
    ///
    /// # Errors
    ///
    /// 500 or 503 if the store fails, or we may not make it there.
    pub fn create_ledger(&self) -> Result<bool, ErrorModel> {
        self.reach(|host, _| operation::ledger::create(host), no_questions)
    }

    /// Takes the re-runs out of the ledger that are older than this, and tells how many. Their keys are free again.
    ///
    /// # Errors
    ///
    /// 404 if there is no ledger; 500 or 503 if the store fails.
    pub fn prune_ledger(&self, before: DateTime<Utc>) -> Result<u64, ErrorModel> {
        self.reach(|host, _| operation::ledger::prune(host, before), no_questions)
    }

    /// Takes the ledger away, with all that is in it.
    ///
    /// # Errors
    ///
    /// 404 if there is none; 500 or 503 if the store fails.
    pub fn drop_ledger(&self) -> Result<(), ErrorModel> {
        self.reach(|host, _| operation::ledger::drop(host), no_questions)
    }

    /// The operations that the ledger has of this query, newest first: JSON in, JSON out. Where the query names one, that one
    /// alone, with its runs.
    ///
    /// # Errors
    ///
    /// 422 if it is no query; as [`Plugin::operations`] and [`Plugin::operation`].
    pub fn call_operations(&self, query_json: &[u8]) -> Result<String, ErrorModel> {
        let query = OperationsQuery::from_json(query_json)?;
        let spelling = self.spelling_or_wire(query.spelling);
        Ok(match &query.operation_id {
            Some(operation_id) => self.operation(operation_id)?.to_json(spelling),
            None => self.operations(&query)?.to_json(spelling),
        })
    }

    /// A page of what the ledger has, newest first.
    ///
    /// # Errors
    ///
    /// 404 if there is no ledger, or the operation that the page is to begin before is none; 500 or 503 if the store fails.
    pub fn operations(&self, query: &OperationsQuery) -> Result<Operations, ErrorModel> {
        self.reach(|host, _| operation::operations(host, query), no_questions)
    }

    /// One operation, with its new runs and where they stand now.
    ///
    /// # Errors
    ///
    /// 404 if there is no ledger, or no such operation; 500 or 503 if the store fails.
    pub fn operation(&self, operation_id: &str) -> Result<Operation, ErrorModel> {
        self.reach(|host, _| operation::one(host, operation_id), no_questions)
    }

    /// Undoes an operation: JSON in (`{"operation_id": …}`), JSON out.
    ///
    /// # Errors
    ///
    /// 422 if it is no such request; as [`Plugin::undo`].
    pub fn call_undo(&self, request_json: &[u8]) -> Result<String, ErrorModel> {
        let request = UndoRequest::from_json(request_json)?;
        Ok(self.undo(&request.operation_id)?.to_json(self.spelling_or_wire(request.spelling)))
    }

    /// Takes back what no worker has begun of an operation.
    ///
    /// # Errors
    ///
    /// 404 if there is no ledger, or no such operation; 422 if the host can't take a run back; 500 or 503 if the store fails.
    pub fn undo(&self, operation_id: &str) -> Result<Undone, ErrorModel> {
        self.reach(|host, _| operation::undo(host, operation_id, None), no_questions)
    }

    /// The same, unless it is cancelled while it waits for its turn to write.
    ///
    /// # Errors
    ///
    /// As [`Plugin::undo`]; 503 if it was cancelled.
    pub fn undo_unless(&self, cancel: &Cancel, operation_id: &str) -> Result<Undone, ErrorModel> {
        self.reach(|host, _| operation::undo(host, operation_id, Some(cancel)), no_questions)
    }

    /// Where each of these new runs stands now.
    ///
    /// # Errors
    ///
    /// 500 or 503 if the store fails.
    pub fn where_they_stand(&self, runs: &[Triggered]) -> Result<Vec<NewRun>, ErrorModel> {
        self.reach(|host, _| operation::where_they_stand(host, runs), no_questions)
    }
}
