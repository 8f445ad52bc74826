//! Where the door is, as the client sees it.

use axum::extract::{OriginalUri, Request};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, LINK};
use axum::http::uri::Authority;
use axum::response::{IntoResponse, Response};

use super::config::HttpConfig;
use super::guard;

/// The address that the client asked, for the URLs in an answer.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// `host:port`; `None` if the client named a host that is not ours.
    host: Option<Authority>,
    is_https: bool,
    /// The path under which a host's own app has nested the door; empty where it is not nested.
    prefix: String,
}

impl Base {
    pub(super) fn of(request: &Request, config: &HttpConfig) -> Self {
        // A proxy that speaks TLS for us says so; the header chooses between two words, no more.
        let is_https = request.headers().get("x-forwarded-proto").is_some_and(|proto| proto == "https");
        let host = guard::host_of(request).filter(|host| guard::is_ours(host, config));
        let path = request.uri().path();
        let asked = request.extensions().get::<OriginalUri>().map_or(path, |original| original.path());
        Base { host, is_https, prefix: asked.strip_suffix(path).unwrap_or_default().to_owned() }
    }

    /// The URL of a JSON Schema.
    pub(super) fn schema(&self, name: &str) -> Option<String> {
        let scheme = if self.is_https { "https" } else { "http" };
        self.host.as_ref().map(|host| format!("{scheme}://{host}{}/schemas/{name}.json", self.prefix))
    }

    /// A success: JSON, with a `Link` to the JSON Schema that describes it.
    pub(super) fn answer(&self, name: &str, json: String) -> Response {
        let mut response = ([(CONTENT_TYPE, "application/json")], json).into_response();
        let link = format!("<{}/schemas/{name}.json>; rel=\"describedBy\"", self.prefix);
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(LINK, link);
        }
        response
    }
}
