//! What does not change while the program runs: sent without a copy, and not again to who has it already.

use axum::body::Bytes;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, REFERRER_POLICY,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// A file, and the headers that go with it.
#[derive(Debug, Clone)]
pub(super) struct File {
    headers: HeaderMap,
    bytes: Bytes,
}

impl File {
    pub(super) fn new(kind: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let file = File { headers: HeaderMap::new(), bytes };
        let tag: String = Sha256::digest(&file.bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::from_str(&format!("\"{tag}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        // A page of yesterday's version must not talk to today's server, so a browser asks whether it is still this one.
        let mut file = file.with(CONTENT_TYPE, kind).with(CACHE_CONTROL, "no-cache");
        file.headers.insert(ETAG, tag);
        file
    }

    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// With headers that keep a browser from reading more into it than there is.
    pub(super) fn under(self, policy: &'static str) -> Self {
        self.with(CONTENT_SECURITY_POLICY, policy)
            .with(REFERRER_POLICY, "no-referrer")
            .with(HeaderName::from_static("cross-origin-opener-policy"), "same-origin")
            .with(HeaderName::from_static("cross-origin-resource-policy"), "same-origin")
    }

    /// The answer to a request with these headers.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response {
        let mut headers = self.headers.clone();
        if self.is_known(asked) {
            headers.remove(CONTENT_TYPE);
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, self.bytes.clone()).into_response()
    }

    /// Whether the client names this very file as the one that it has.
    fn is_known(&self, asked: &HeaderMap) -> bool {
        let tags = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = tags.flat_map(|value| value.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || self.headers.get(ETAG).is_some_and(|own| tag.trim_start_matches("W/") == own))
    }
}
