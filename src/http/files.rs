//! What does not change while the program runs: sent without a copy, and not again to who has it already.

use std::io::Write;

use axum::body::Bytes;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, IF_NONE_MATCH, REFERRER_POLICY, VARY,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// A file, and the headers that go with it.
#[derive(Debug, Clone)]
pub(super) struct File {
    headers: HeaderMap,
    bytes: Bytes,
    /// The same, for who can unpack it.
    packed: Option<Box<File>>,
}

impl File {
    pub(super) fn new(kind: &'static str, bytes: impl Into<Bytes>) -> Self {
        let file = File { headers: HeaderMap::new(), bytes: Bytes::new(), packed: None };
        // A page of yesterday's version must not talk to today's server, so a browser asks whether it is still this one.
        file.with(CONTENT_TYPE, kind).with(CACHE_CONTROL, "no-cache").holding(bytes.into())
    }

    fn holding(mut self, bytes: Bytes) -> Self {
        let tag: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::from_str(&format!("\"{tag}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        self.headers.insert(ETAG, tag);
        File { bytes, ..self }
    }

    /// With the same packed beside it; what headers there are go with either.
    pub(super) fn packed(self) -> Self {
        let file = self.with(VARY, "accept-encoding");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let Ok(bytes) = encoder.write_all(&file.bytes).and_then(|()| encoder.finish()) else { return file };
        let packed = file.clone().with(CONTENT_ENCODING, "gzip").holding(bytes.into());
        File { packed: Some(Box::new(packed)), ..file }
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
        if let Some(packed) = self.packed.as_ref().filter(|_| can_unpack(asked)) {
            return packed.answer(asked);
        }
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

/// Whether the client says that it takes gzip.
fn can_unpack(asked: &HeaderMap) -> bool {
    let codings = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    codings.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|weight| weight > 0.0)
    })
}
