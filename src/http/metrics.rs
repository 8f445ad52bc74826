//! `GET /metrics`: counters in Prometheus's text format (OpenMetrics 1.0).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::door::Door;
use super::openapi::Guarded;
use super::problem::Problem;
use crate::contract::{BulkRerunBody, Undone};

/// The upper bounds of the durations' buckets, in seconds.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    /// The route, not the path: a client can't make labels up.
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// What the door counts.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    triggered: Counter,
    skipped: Family<ReasonLabels, Counter>,
    undone: Counter,
    queue: Gauge,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let durations: fn() -> Histogram = || Histogram::new(BUCKETS);
        let mut metrics = Metrics {
            registry: Registry::with_prefix("bulk_rerun"),
            requests: Family::default(),
            durations: Family::new_with_constructor(durations),
            triggered: Counter::default(),
            skipped: Family::default(),
            undone: Counter::default(),
            queue: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "How long requests took",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register("runs_triggered", "New runs spawned", metrics.triggered.clone());
        registry.register("skipped", "Groups and ids that got no new run, by reason", metrics.skipped.clone());
        registry.register("runs_undone", "New runs taken back", metrics.undone.clone());
        registry.register("queue_occupied", "Requests at work on the store or waiting for it", metrics.queue.clone());
        metrics
    }

    /// A request was answered.
    pub(super) fn answered(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let known =
            [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS, Method::PUT, Method::DELETE, Method::PATCH];
        let method = known.iter().find(|known| *known == method).map_or("other", |method| method.as_str());
        let (method, route) = (method.to_owned(), route.to_owned());
        self.durations.get_or_create(&RouteLabels { route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, route, status: status.as_u16() }).inc();
    }

    /// A re-run is undone.
    pub(super) fn count_undone(&self, undone: &Undone) {
        self.undone.inc_by(undone.undone.len() as u64);
    }

    /// A re-run is done.
    pub(super) fn count(&self, body: &BulkRerunBody) {
        self.triggered.inc_by(body.triggered.len() as u64);
        for skipped in &body.skipped {
            self.skipped.get_or_create(&ReasonLabels { reason: skipped.reason.as_str() }).inc();
        }
    }
}

/// Counters for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "server",
    security((), ("token" = [])),
    responses(
        (status = 200, description = "In the text format of OpenMetrics 1.0", body = String,
            content_type = "application/openmetrics-text"),
        Guarded,
    ),
)]
pub(super) async fn metrics(State(door): State<Arc<Door>>) -> Result<Response, Problem> {
    door.metrics.queue.set(i64::try_from(door.queue.occupied()).unwrap_or(i64::MAX));
    let mut text = String::new();
    encode(&mut text, &door.metrics.registry)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("no metrics: {error}")))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}
