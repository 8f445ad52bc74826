//! The operator's page at `/`: a few files, nothing from outside, under a strict Content-Security-Policy.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::door::Door;
use super::files::File;
use super::problem::Problem;
use super::token::Caller;

/// Our own files and our own API; no inline script or style, no frame around us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Path, kind and text.
const FILES: [(&str, &str, &str); 18] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/page/page.js", SCRIPT, include_str!("page/page.js")),
    ("/page/active.js", SCRIPT, include_str!("page/active.js")),
    ("/page/api.js", SCRIPT, include_str!("page/api.js")),
    ("/page/copy.js", SCRIPT, include_str!("page/copy.js")),
    ("/page/form.js", SCRIPT, include_str!("page/form.js")),
    ("/page/handon.js", SCRIPT, include_str!("page/handon.js")),
    ("/page/history.js", SCRIPT, include_str!("page/history.js")),
    ("/page/lost.js", SCRIPT, include_str!("page/lost.js")),
    ("/page/operation.js", SCRIPT, include_str!("page/operation.js")),
    ("/page/rerun.js", SCRIPT, include_str!("page/rerun.js")),
    ("/page/rows.js", SCRIPT, include_str!("page/rows.js")),
    ("/page/sections.js", SCRIPT, include_str!("page/sections.js")),
    ("/page/text.js", SCRIPT, include_str!("page/text.js")),
    ("/page/times.js", SCRIPT, include_str!("page/times.js")),
    ("/page/token.js", SCRIPT, include_str!("page/token.js")),
    ("/page/view.js", SCRIPT, include_str!("page/view.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    // Packed once, for every router of the process.
    static PACKED: LazyLock<Vec<(&str, File)>> = LazyLock::new(|| {
        FILES.into_iter().map(|(path, kind, text)| (path, File::new(kind, text).under(POLICY).packed())).collect()
    });
    PACKED.iter().fold(Router::new(), |routes, (path, file)| {
        routes.route(path, get(async |headers: HeaderMap| file.answer(&headers)))
    })
}

/// What the page says of the store.
pub(super) async fn store(State(door): State<Arc<Door>>, request: Request) -> Result<Response, Problem> {
    let plugin = Arc::clone(&door.plugin);
    let may_spawn = Caller::of(&request).is_none_or(|caller| caller.may_spawn);
    let info = door.about.at(door.config.request_timeout, move || plugin.describe()).await?;
    let about = json!({
        "store": info.schema().map_or_else(|| info.store.clone(), |schema| format!("{}, schema {schema}", info.store)),
        "runner": info.runner, "runner_state": info.runner_state, "start": info.start, "writable": info.writable, "may_spawn": may_spawn,
        "requires_filter": door.config.require_filter, "ledger": info.ledger.is_some(),
    });
    Ok(([(CONTENT_TYPE, "application/json")], about.to_string()).into_response())
}
