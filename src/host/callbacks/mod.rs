//! Hosts that hand over their runs and start them themselves, through callbacks: for runners whose
//! store is none that we know, or that we must not open.
//!
//! A host is asked in the contract's own words, a selector as JSON, and answers with runs in canonical
//! columns. It may filter, or hand over everything: every run is checked again.

mod handed;
mod session;

use super::{Host, HostError, Particulars, Session, StoreInfo};
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

    /// Makes what was spawned last.
    ///
    /// # Errors
    ///
    /// The host's own failure.
    fn commit(&self) -> Result<(), HostError> {
        Ok(())
    }

    /// Gives up what was spawned.
    ///
    /// # Errors
    ///
    /// The host's own failure.
    fn rollback(&self) -> Result<(), HostError> {
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
            generation: String::new(),
            schema_version: None,
            particulars: Particulars::Callbacks { transactions: self.callbacks.has_transactions() },
            lacks: Vec::new(),
            read_whole_for_an_id: Vec::new(),
            ledger: None,
            writable: true,
            open_in: Vec::new(),
            start: "when the host starts it".to_owned(),
        })
    }
}
