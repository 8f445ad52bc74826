//! Every error as a problem document (RFC 9457), those of axum, tower and a panic included.

use std::any::Any;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::Utc;

use super::base::Base;
use crate::contract::ErrorModel;

/// An error on its way out. [`render`] writes it.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    model: Box<ErrorModel>,
    headers: HeaderMap,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        ErrorModel::new(status.as_u16(), detail).into()
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl From<ErrorModel> for Problem {
    fn from(model: ErrorModel) -> Self {
        let mut headers = HeaderMap::new();
        if model.status == StatusCode::SERVICE_UNAVAILABLE {
            // In seconds. Whatever is in the way is gone soon, or nobody knows when.
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Problem { model: Box::new(model), headers }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.model.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        *response.headers_mut() = self.headers;
        response.extensions_mut().insert(*self.model);
        response
    }
}

/// What the access log says of an answer that is no fault of the client's.
#[derive(Debug, Clone)]
pub(super) struct Why(pub(super) String);

/// Gives an error its document, whoever answered it.
pub(super) fn render(response: &mut Response, base: &Base, method: &Method, path: &str) {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return;
    }
    let mut model = response
        .extensions_mut()
        .remove::<ErrorModel>()
        .unwrap_or_else(|| ErrorModel::new(status.as_u16(), explain(status, method, path)));
    model.schema = base.schema("ErrorModel");
    if status.is_server_error() {
        response.extensions_mut().insert(Why(model.detail.clone()));
    }
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    *response.body_mut() = Body::from(model.to_json());
}

/// What to say of an error that came without words of ours.
fn explain(status: StatusCode, method: &Method, path: &str) -> String {
    match status {
        StatusCode::NOT_FOUND => format!("there is nothing at {path}; /docs lists what there is"),
        StatusCode::METHOD_NOT_ALLOWED => {
            format!("{path} does not take {method}; the `Allow` header lists what it takes")
        }
        _ => status.canonical_reason().unwrap_or("the request failed").to_lowercase(),
    }
}

/// A whole answer for a client that sent no request, so that no layer sees it: the connection is over with it.
pub(super) fn bare(status: StatusCode, detail: String) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let body = ErrorModel { title: reason, ..ErrorModel::new(status.as_u16(), detail) }.to_json();
    let now = Utc::now().format("%a, %d %b %Y %H:%M:%S GMT");
    let head = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/problem+json\r\nx-content-type-options: nosniff\r\n\
         cache-control: no-store\r\nconnection: close\r\ncontent-length: {}\r\ndate: {now}\r\n\r\n",
        status.as_u16(),
        body.len()
    );
    (head + &body).into_bytes()
}

/// A panic is a defect of ours: the client is told no more than that.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = words.unwrap_or("no message"), "a request panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, PANICKED).into_response()
}

pub(super) const PANICKED: &str = "bulk-rerun met a defect of its own; its log says more";
