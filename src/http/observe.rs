//! What every request passes on its way: the look at its host, and what is told of it: its id, a line in the access log,
//! and the metrics. Its answer gets what every answer has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{Instrument, Span, info, info_span};
use ulid::Ulid;

use super::base::Base;
use super::door::Door;
use super::guard;
use super::problem::{self, Why};

/// The header of a request's id: taken from the client (or its proxy) where it has one, else made up.
pub(super) const REQUEST_ID: &str = "x-request-id";

const REQUEST_ID_MAX: usize = 128;

/// The client's address, which the server knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

pub(super) async fn observe(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let id = id_of(&request);
    let span = info_span!("request", id = id.to_str().unwrap_or_default());
    let mut sight = Sight {
        started: Instant::now(),
        method: request.method().clone(),
        // Never the query: it is not ours, and may hold anything.
        path: request.uri().path().to_owned(),
        route: request.extensions().get::<MatchedPath>().map_or("none", |route| route.as_str()).to_owned(),
        client: request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_string()),
        span: span.clone(),
        answered: false,
    };
    let base = Base::of(&request, &door.config);
    let mut response = match guard::refuse_host(&request, &door) {
        Some(problem) => problem.into_response(),
        None => next.run(request).instrument(span).await,
    };
    problem::render(&mut response, &base, &sight.method, &sight.path);
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Whatever is no file is about this very moment.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    door.metrics.answered(&sight.method, &sight.route, response.status(), sight.took());
    sight.tell(response.status().as_u16(), response.extensions().get::<Why>().map(|why| why.0.as_str()));
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn id_of(request: &Request) -> HeaderValue {
    let is_fine = |id: &&HeaderValue| {
        !id.is_empty() && id.len() <= REQUEST_ID_MAX && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let given = request.headers().get(REQUEST_ID).filter(is_fine).cloned();
    let new = || HeaderValue::from_str(&Ulid::generate().to_string());
    given.or_else(|| new().ok()).unwrap_or_else(|| HeaderValue::from_static("-"))
}

/// A request as the access log sees it.
struct Sight {
    started: Instant,
    method: Method,
    path: String,
    route: String,
    client: Option<String>,
    span: Span,
    answered: bool,
}

impl Sight {
    fn took(&self) -> Duration {
        self.started.elapsed()
    }

    fn tell(&mut self, status: u16, why: Option<&str>) {
        self.answered = true;
        let _in_the_request = self.span.enter();
        info!(
            method = %self.method,
            path = self.path,
            status,
            why,
            ms = self.took().as_micros() as f64 / 1e3,
            client = self.client,
            "answered"
        );
    }
}

impl Drop for Sight {
    /// Dropped without an answer: the client has gone away. 499 is what nginx logs then.
    fn drop(&mut self) {
        if !self.answered {
            self.tell(499, None);
        }
    }
}
