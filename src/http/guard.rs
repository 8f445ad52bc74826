//! Who may ask: no page of another site, and nobody under another host's name.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, LINK, RETRY_AFTER};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use tower_http::cors::CorsLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};

use super::config::HttpConfig;
use super::door::Door;
use super::observe::REQUEST_ID;
use super::problem::Problem;

/// Why a request is turned away whose host is not ours.
///
/// A page can give a name of its own our address (DNS rebinding), so that its browser takes it for
/// one of our own pages; the name in `Host` gives it away. An IP address can't be rebound.
pub(super) fn refuse_host(request: &Request, door: &Door) -> Option<Problem> {
    let Some(host) = host_of(request) else {
        return Some(Problem::new(StatusCode::BAD_REQUEST, "the request has no valid `Host` header"));
    };
    (!is_ours(&host, &door.config)).then(|| {
        let detail = format!(
            "this door does not answer for the host {:?}; it can be allowed with {}",
            host.host(),
            door.advice.host
        );
        Problem::new(StatusCode::FORBIDDEN, detail)
    })
}

/// The host that the client asked.
pub(super) fn host_of(request: &Request) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok()?.parse().ok();
    host.filter(|_| hosts.next().is_none())
}

pub(super) fn is_ours(host: &Authority, config: &HttpConfig) -> bool {
    let name = host.host();
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let lower = name.to_ascii_lowercase();
    let is_loopback = lower == "localhost" || lower.ends_with(".localhost");
    is_address || is_loopback || config.allow_hosts.iter().any(|allowed| allowed.is(name))
}

/// Turns away what another site's page makes a browser send (the rule of Go 1.25's `CrossOriginProtection`).
pub(super) fn same_origin(door: &Door) -> CsrfLayer<impl Fn(ProtectionError) -> Response + Clone + use<>> {
    let layer = door.config.allow_origins.iter().fold(CsrfLayer::new(), |layer, origin| {
        // It was checked in the same way when it was read.
        layer.clone().add_trusted_origin(origin.as_str()).unwrap_or(layer)
    });
    let advice = door.advice.origin;
    layer.with_rejection_response(move |_| {
        let detail = format!("the request comes from a page of another site; its origin can be allowed with {advice}");
        Problem::new(StatusCode::FORBIDDEN, detail).into_response()
    })
}

/// Lets the pages of the allowed origins use the door, and read its answers.
pub(super) fn cross_origin(config: &HttpConfig) -> Option<CorsLayer> {
    if config.allow_origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(config.allow_origins.iter().map(|origin| origin.as_header().clone()).collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, HeaderName::from_static("idempotency-key")])
        .expose_headers([LINK, RETRY_AFTER, HeaderName::from_static(REQUEST_ID)]);
    Some(layer)
}
