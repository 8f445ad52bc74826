//! Stopping what a session is at, from another thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::runtime::Builder;
use tokio_postgres::CancelToken;

use super::address::Address;

/// Where a session reads: the server, and what stops that connection.
pub(super) type Place = (Arc<Address>, CancelToken);

/// What an [`Interrupter`](crate::host::Interrupter) and its session share.
pub(super) struct Interruption {
    is_wanted: AtomicBool,
    place: Mutex<Place>,
}

impl Interruption {
    pub(super) fn of(place: Place) -> Interruption {
        Interruption { is_wanted: AtomicBool::new(false), place: Mutex::new(place) }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// From now on the session reads there.
    pub(super) fn moves_to(&self, place: Place) {
        *self.place() = place;
    }

    pub(super) fn interrupt(&self) {
        self.is_wanted.store(true, Ordering::Relaxed);
        let (address, token) = self.place().clone();
        // The flag is seen between two rows; the server must be told where none comes.
        let tell = || {
            let runtime = Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(address.cancel(token.clone())).err()
        };
        // On a thread of its own: whoever cancels may be in a runtime, which no other can be started in.
        let failed = thread::scope(|scope| scope.spawn(tell).join().ok().flatten());
        if let Some(error) = failed {
            tracing::warn!(%error, "the server could not be told to stop a search");
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
