//! Hosts that hand over their runs and start them themselves, through callbacks: for runners whose
//! store is none that we know, or that we must not open.
//!
//! A host is asked in the contract's own words, a selector as JSON, and answers with runs in canonical
//! columns. It may filter, or hand over everything: every run is checked again. Where it has the ledger, it
//! keeps each operation as the JSON that it is given.

mod handed;
mod kept;
mod ledger;
mod session;

use super::ledger::VERSION;
use super::profile::TriedWith;
use super::{Host, HostError, Particulars, RunnerState, Session, StoreInfo};
use session::CallbackSession;

/// A host behind callbacks. They come on the calling thread, one at a time for each call; several
/// threads may call at once.
pub trait HostCallbacks: Send + Sync {
    /// Hands each run that the selector means to `emit`, as JSON. Runs that it does not mean are
    /// left out again. One call may ask several times.
    ///
    /// # Errors
    ///
    /// The host's own failure. What `emit` refuses fails the call, whether it is passed on or not.
    fn runs(&self, selector_json: &str, emit: &mut dyn FnMut(&str) -> Result<(), HostError>) -> Result<(), HostError>;

    /// Starts a run again, with exactly its parameters.
    ///
    /// # Errors
    ///
    /// The host's own failure, which fails the call.
    fn spawn(&self, source_run_json: &str) -> Result<Reply, HostError>;

    /// Whether `spawn` heeds the source run's `due`: when the new run is due, in RFC 3339 and UTC; absent for at once.
    fn heeds_due(&self) -> bool {
        false
    }

    /// Whether `begin`, `commit` and `rollback` do something: all new runs, or none.
    fn has_transactions(&self) -> bool {
        false
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// The host's own failure.
    fn begin(&self) -> Result<(), HostError> {
        Ok(())
    }

    /// Makes what was spawned, taken back and recorded last.
    ///
    /// # Errors
    ///
    /// The host's own failure.
    fn commit(&self) -> Result<(), HostError> {
        Ok(())
    }

    /// Gives up what was spawned, taken back and recorded.
    ///
    /// # Errors
    ///
    /// The host's own failure.
    fn rollback(&self) -> Result<(), HostError> {
        Ok(())
    }

    /// Whether `undo` does something.
    fn can_undo(&self) -> bool {
        false
    }

    /// Takes back a run that no worker has begun, so that none ever will: true if it has done so, false if it
    /// was too late. From then on `runs` hands the run over as ended, or not at all.
    ///
    /// # Errors
    ///
    /// The host's own failure, which fails the call.
    fn undo(&self, _run_json: &str) -> Result<bool, HostError> {
        Ok(false)
    }

    /// Whether `find_operation` and `record_operation` do something: the host keeps the ledger, and each
    /// re-run is written down there.
    ///
    /// With transactions an `idempotency_key` is one re-run, if the host lets one of them in at a time, or fails
    /// to record a second operation with the key. Without transactions an operation is recorded when its runs
    /// have been started: a crash in between leaves them without it and the key free, and of two calls at once
    /// with one key both may start runs.
    fn keeps_ledger(&self) -> bool {
        false
    }

    /// The operation that is asked for, as it was recorded, as JSON; `{}` where there is none. The query is
    /// `{"operation_id": …}` or `{"idempotency_key": …}`. Or it is for a list: it has a `limit`, and maybe
    /// `before` (an operation's id: those that were recorded before it), `created_after` and `run_id` (the
    /// `run_id` or `rerun_of` of one of the `runs`). Then the answer is `{"operations": […]}`, the newest first,
    /// and may have more than is asked for: all of it is checked again.
    ///
    /// # Errors
    ///
    /// The host's own failure, which fails the call.
    fn find_operation(&self, _query_json: &str) -> Result<String, HostError> {
        Ok("{}".to_owned())
    }

    /// Keeps an operation: JSON, of which a host must understand nothing but `operation_id`, `created_at`, and
    /// `idempotency_key` where that is there. Recorded again, it takes the place of what was kept under its
    /// `operation_id`: so it is noted what was undone.
    ///
    /// # Errors
    ///
    /// The host's own failure, which fails the call.
    fn record_operation(&self, _operation_json: &str) -> Result<(), HostError> {
        Ok(())
    }
}

/// What a host did with a source run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It started a new run, with this id.
    Started(String),
    /// It declined, for this reason.
    Skipped(String),
}

/// A [`Host`] over callbacks.
pub(crate) struct CallbackHost {
    callbacks: Box<dyn HostCallbacks>,
}

impl CallbackHost {
    pub(crate) fn new(callbacks: Box<dyn HostCallbacks>) -> Self {
        CallbackHost { callbacks }
    }
}

impl Host for CallbackHost {
    fn session(&self) -> Result<Box<dyn Session + '_>, HostError> {
        Ok(Box::new(CallbackSession::new(&*self.callbacks)))
    }

    fn describe(&self) -> Result<StoreInfo, HostError> {
        Ok(StoreInfo {
            store: "the host's own, behind its callbacks".to_owned(),
            engine: "the host's own".to_owned(),
            profile: "callbacks".to_owned(),
            runner: "the host".to_owned(),
            parameters: Vec::new(),
            tried_with: TriedWith::Worker,
            generation: String::new(),
            schema_version: None,
            particulars: Particulars::Callbacks { transactions: self.callbacks.has_transactions() },
            lacks: Vec::new(),
            read_whole_for_an_id: Vec::new(),
            not_found_by_its_id: None,
            ledger: self.callbacks.keeps_ledger().then_some(VERSION as i64),
            has_due_time: self.callbacks.heeds_due(),
            writable: true,
            open_in: Vec::new(),
            runner_state: RunnerState::Seen,
            runner_unknown: None,
            start: "when the host starts it".to_owned(),
            daemon: None,
        })
    }
}
