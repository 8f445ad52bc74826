//! `GET /docs`: Swagger UI over `/openapi.json`, from files in this program.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CONTENT_ENCODING, HeaderMap};
use axum::response::Redirect;
use axum::routing::get;

use super::files::File;

/// Swagger UI sets styles on its elements, and draws its icons from `data:`; its scripts are files.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const INDEX: &str = include_str!("page/docs.html");
const START: &str = include_str!("page/docs.js");

/// What of Swagger UI the page uses.
const FILES: [(&str, &str); 2] =
    [("swagger-ui.css", "text/css; charset=utf-8"), ("swagger-ui-bundle.js", "text/javascript; charset=utf-8")];

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let own = [
        ("/docs/".to_owned(), File::new("text/html; charset=utf-8", INDEX)),
        ("/docs/docs.js".to_owned(), File::new("text/javascript; charset=utf-8", START)),
    ];
    let swagger = FILES.into_iter().filter_map(|(name, kind)| Some((format!("/docs/{name}"), swagger(name, kind)?)));
    // Relative, so that it works where a host has nested the door.
    let routes = Router::new().route("/docs", get(async || Redirect::permanent("docs/")));
    own.into_iter().chain(swagger).fold(routes, |routes, (path, file)| {
        let file = file.under(POLICY);
        routes.route(&path, get(async move |headers: HeaderMap| file.answer(&headers)))
    })
}

/// One of Swagger UI's files, as it is in the program.
fn swagger(name: &str, kind: &'static str) -> Option<File> {
    let config = Arc::new(utoipa_swagger_ui::Config::from("../openapi.json"));
    let file = utoipa_swagger_ui::serve(name, config).ok()??;
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    let whole = File::new(kind, bytes);
    Some(if file.gzpipped { whole.with(CONTENT_ENCODING, "gzip") } else { whole })
}
