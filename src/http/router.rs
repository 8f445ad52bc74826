//! Which path leads where, and what every request passes on its way.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;

use super::config::HttpConfig;
use super::door::{Advice, Door};
use super::{docs, guard, health, metrics, observe, openapi, operations, page, problem, rerun, token};
use crate::Plugin;

/// Every route of the door, for a host's own axum app: merged into it, or nested under a path.
/// Paths that it does not have are the app's own affair.
pub fn router(plugin: Arc<Plugin>, config: HttpConfig) -> Router {
    let door = Door::new(plugin, config, Advice::FIELDS);
    guarded(endpoints(&door).merge(surroundings(&door)), &door)
}

/// The endpoints and what describes them, without the page, `/docs`, `/healthz` and `/metrics`: for an
/// app that has paths of its own there.
pub fn api(plugin: Arc<Plugin>, config: HttpConfig) -> Router {
    let door = Door::new(plugin, config, Advice::FIELDS);
    guarded(endpoints(&door), &door)
}

/// The whole of a server of its own: every route, and an answer for every other path.
pub fn app(plugin: Arc<Plugin>, config: HttpConfig) -> Router {
    whole(&Door::new(plugin, config, Advice::FIELDS))
}

/// The same for the command line tool, whose errors name its flags.
#[cfg(feature = "cli")]
pub(crate) fn tool(plugin: Arc<Plugin>, config: HttpConfig) -> Router {
    whole(&Door::new(plugin, config, Advice::FLAGS))
}

fn whole(door: &Arc<Door>) -> Router {
    let nothing = async || StatusCode::NOT_FOUND;
    guarded(endpoints(door).merge(surroundings(door)).fallback(nothing), door)
}

fn endpoints(door: &Arc<Door>) -> Router<Arc<Door>> {
    Router::new()
        .route(openapi::RERUN_PATH, post(rerun::rerun))
        .route(openapi::OPERATIONS_PATH, get(operations::list))
        .route(openapi::OPERATION_PATH, get(operations::one))
        .route(openapi::UNDO_PATH, post(operations::undo))
        .route_layer(from_fn_with_state(Arc::clone(door), token::require))
        .route("/openapi.json", get(openapi::document))
        .route("/schemas/{file}", get(openapi::schema))
}

fn surroundings(door: &Arc<Door>) -> Router<Arc<Door>> {
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/page/store.json", get(page::store))
        .route_layer(from_fn_with_state(Arc::clone(door), token::require))
        .route("/healthz", get(health::health))
        .merge(page::routes())
        .merge(docs::routes())
}

/// The layers around the routes; the last one is the outermost.
fn guarded(routes: Router<Arc<Door>>, door: &Arc<Door>) -> Router {
    let door = Arc::clone(door);
    routes
        .method_not_allowed_fallback(other_method)
        .layer(guard::same_origin(&door))
        .layer(option_layer(guard::cross_origin(&door.config)))
        .layer(CatchPanicLayer::custom(problem::panicked))
        // One function for all that every request passes: each more would copy what is below it once more.
        .layer(from_fn_with_state(Arc::clone(&door), observe::observe))
        .with_state(door)
}

/// axum adds the `Allow` header to either answer.
async fn other_method(method: Method) -> Response {
    match method {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}
