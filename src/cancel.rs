//! A caller that no longer waits stops its search.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::host::{HostError, Interrupter};

/// Stops one call from another thread, as long as it only searches. Once the spawn has begun it
/// is too late: the call completes, and its new runs are there.
///
/// ```no_run
/// use std::{thread, time::Duration};
///
/// use bulk_rerun::{Cancel, Config, Plugin, Request};
///
/// let plugin = Plugin::open(&Config::new(".runwisp/runwisp.db"))?;
/// let request = Request::from_json(br#"{"match_all": true}"#)?;
/// let cancel = Cancel::new();
/// let deadline = cancel.clone();
/// thread::spawn(move || {
///     thread::sleep(Duration::from_secs(10));
///     deadline.cancel();
/// });
/// let body = plugin.rerun_unless(&cancel, &request)?;
/// # Ok::<(), bulk_rerun::ErrorModel>(())
/// ```
#[derive(Clone, Default)]
pub struct Cancel(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    /// The call has not begun yet.
    #[default]
    Waiting,
    /// It searches; this stops it, where the host can be stopped.
    Searching(Option<Interrupter>),
    /// It was cancelled.
    Cancelled,
    /// It spawns, or is over.
    TooLate,
}

impl Cancel {
    /// For one call.
    pub fn new() -> Self {
        Cancel::default()
    }

    /// Stops the call, and answers whether it is stopped: false if it is spawning by now, or done.
    /// May wait for the store's server, where the store has one.
    pub fn cancel(&self) -> bool {
        let mut state = self.state();
        match &*state {
            State::TooLate => return false,
            State::Searching(Some(interrupter)) => interrupter(),
            State::Searching(None) | State::Waiting | State::Cancelled => {}
        }
        *state = State::Cancelled;
        true
    }

    /// The call begins to search, and can be cancelled until the guard is dropped, or the spawn begins.
    pub(crate) fn search_begins(&self, interrupter: Option<Interrupter>) -> Result<Searching<'_>, HostError> {
        self.go_on(State::Searching(interrupter))?;
        Ok(Searching(self))
    }

    /// The search is over: from here on the call completes.
    pub(crate) fn spawn_begins(&self) -> Result<(), HostError> {
        self.go_on(State::TooLate)
    }

    fn go_on(&self, next: State) -> Result<(), HostError> {
        let mut state = self.state();
        if matches!(*state, State::Cancelled) {
            return Err(HostError::Cancelled);
        }
        *state = next;
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that can be cancelled. Once it is over, nobody is stopped any more: its connection may be another call's by then.
pub(crate) struct Searching<'c>(&'c Cancel);

impl Drop for Searching<'_> {
    fn drop(&mut self) {
        // It waits for a cancel that is under way, and remembers one.
        let _ = self.0.go_on(State::TooLate);
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let state = match &*self.state() {
            State::Waiting => "waiting",
            State::Searching(_) => "searching",
            State::Cancelled => "cancelled",
            State::TooLate => "too late",
        };
        formatter.debug_tuple("Cancel").field(&state).finish()
    }
}
