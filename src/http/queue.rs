//! A bounded queue in front of the store: work is done on blocking threads, so many at once, and
//! what does not fit is turned away at once instead of piling up.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::config::FOR_EVER;
use super::problem::{PANICKED, Problem};
use crate::Cancel;
use crate::contract::ErrorModel;

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    /// One for each request that works or waits.
    places: Arc<Semaphore>,
    /// One for each request that works.
    workers: Arc<Semaphore>,
    size: usize,
}

impl Queue {
    pub(super) fn new(workers: usize, waiting: usize) -> Self {
        let workers = workers.clamp(1, Semaphore::MAX_PERMITS);
        let size = workers.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        Queue { places: Arc::new(Semaphore::new(size)), workers: Arc::new(Semaphore::new(workers)), size }
    }

    /// How many requests work or wait.
    pub(super) fn occupied(&self) -> usize {
        self.size - self.places.available_permits()
    }

    /// Does `work` once it is its turn. It is cancelled if the caller goes away or the time is up;
    /// what it can no longer cancel it completes.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        time: Duration,
        work: impl FnOnce(&Cancel) -> Result<T, ErrorModel> + Send + 'static,
    ) -> Result<T, Problem> {
        let deadline = Instant::now() + time.min(FOR_EVER);
        // Both are given back when the work is done, even if nobody waits for it any more.
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let detail = format!("{} requests are at work or waiting already; nothing was changed", self.size);
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })?;
        let worker = timeout_at(deadline, Arc::clone(&self.workers).acquire_owned()).await;
        let worker = worker.map_err(|_| too_late(time))?;
        let cancel = Cancel::new();
        let mut gone = CancelOnDrop(Some(cancel.clone()));
        let span = Span::current();
        let mut work = spawn_blocking(move || {
            let _kept = (place, worker);
            span.in_scope(|| work(&cancel))
        });
        let done = match timeout_at(deadline, &mut work).await {
            Ok(done) => done,
            Err(_) if gone.cancel().await => return Err(too_late(time)),
            Err(_) => work.await,
        };
        gone.0 = None;
        match done {
            Ok(result) => result.map_err(Problem::from),
            Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, PANICKED)),
        }
    }
}

fn too_late(time: Duration) -> Problem {
    let detail = format!(
        "the search was given up after {} s; nothing was changed, so narrow the selector, or try again later",
        time.as_secs_f64()
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

/// Cancels the work when the future that waits for it is dropped: its client has gone away.
struct CancelOnDrop(Option<Cancel>);

impl CancelOnDrop {
    /// Whether the work could be cancelled. On a thread that may block: a store may have a server to ask.
    async fn cancel(&mut self) -> bool {
        let Some(cancel) = self.0.take() else { return false };
        spawn_blocking(move || cancel.cancel()).await.unwrap_or(false)
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let (Some(cancel), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            tracing::info!("the client has gone away; its search is cancelled");
            runtime.spawn_blocking(move || cancel.cancel());
        }
    }
}
