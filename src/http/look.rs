//! What many ask for at once, and is looked up once for all of them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::Span;

use super::problem::{PANICKED, Problem};
use crate::contract::ErrorModel;

/// So long what was seen is told again, however often it is asked for.
const FRESH: Duration = Duration::from_millis(250);

type Seen<T> = watch::Receiver<Option<Result<T, Problem>>>;

/// See the module. A look goes on when its asker goes away, and there is never more than one.
#[derive(Debug)]
pub(super) struct Look<T>(Mutex<Option<(Instant, Seen<T>)>>);

impl<T> Default for Look<T> {
    fn default() -> Self {
        Look(Mutex::default())
    }
}

impl<T: Clone + Send + Sync + 'static> Look<T> {
    /// What `work` finds, or somebody else's has just found.
    pub(super) async fn at(
        &self,
        time: Duration,
        work: impl FnOnce() -> Result<T, ErrorModel> + Send + 'static,
    ) -> Result<T, Problem> {
        let mut seen = self.latest(work);
        let found =
            timeout(time, seen.wait_for(Option::is_some)).await.map(|found| found.ok().and_then(|found| found.clone()));
        match found {
            Ok(Some(found)) => found,
            Ok(None) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, PANICKED)),
            Err(_) => {
                let detail = format!("the store did not answer within {} s", time.as_secs_f64());
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
            }
        }
    }

    fn latest(&self, work: impl FnOnce() -> Result<T, ErrorModel> + Send + 'static) -> Seen<T> {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((began, seen)) = &*latest {
            let is_under_way = seen.borrow().is_none() && seen.has_changed().is_ok();
            if is_under_way || began.elapsed() < FRESH {
                return seen.clone();
            }
        }
        let (tell, seen) = watch::channel(None);
        *latest = Some((Instant::now(), seen.clone()));
        let span = Span::current();
        spawn_blocking(move || tell.send_replace(Some(span.in_scope(work).map_err(Problem::from))));
        seen
    }
}
