//! The errors of each route, with an example of each.

#![allow(dead_code, reason = "only their shape is used")]

use utoipa::IntoResponses;

use crate::contract::ErrorModel;

/// What the guard and the token answer, on any route.
#[derive(IntoResponses)]
pub(in super::super) enum Guarded {
    /// The token is missing or wrong
    #[response(status = 401, content_type = "application/problem+json",
        headers(("WWW-Authenticate" = String, description = "The scheme to use: `Bearer`")),
        example = json!({"type": "about:blank", "title": "Unauthorized", "status": 401,
            "detail": "a token is required: send the header `Authorization: Bearer …`"}))]
    Unauthorized(ErrorModel),
    /// The Host or the Origin is not allowed, or the token may only preview
    #[response(status = 403, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Forbidden", "status": 403,
            "detail": "this door does not answer for the host \"rebound.example\"; it can be allowed with --allow-host"}))]
    Forbidden(ErrorModel),
}

/// What a re-run answers besides. Whatever the error is, nothing was changed.
#[derive(IntoResponses)]
pub(in super::super) enum Rerun {
    /// No JSON object, or fields that contradict each other
    #[response(status = 400, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Bad Request", "status": 400,
            "detail": "invalid run selector: no runs are named: give `ids`, or set `match_all` to true",
            "errors": [{"location": "body.ids", "value": null,
                "message": "no runs are named: give `ids`, or set `match_all` to true"}]}))]
    BadRequest(ErrorModel),
    /// The plan is no longer the expected one
    #[response(status = 409, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Conflict", "status": 409,
            "detail": "the plan is no longer the expected one: expected sha256:3400ec02…, but it is sha256:9305d4aa… by now; \
                       nothing was spawned, so look at a new dry run first"}))]
    Conflict(ErrorModel),
    /// Fields that can't be used, every one of them listed with its place; or more new runs than `limit`
    #[response(status = 422, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Unprocessable Entity", "status": 422,
            "detail": "validation failed: body.filter.exit_code_min: expected an integer, got a string",
            "errors": [{"location": "body.filter.exit_code_min", "message": "expected an integer, got a string",
                "value": "one"}]}))]
    Unprocessable(ErrorModel),
}

/// What is wrong with a body, whatever stands in it.
#[derive(IntoResponses)]
pub(in super::super) enum Body {
    /// The body did not arrive in time
    #[response(status = 408, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Request Timeout", "status": 408,
            "detail": "the request's body did not arrive within 30 s; nothing was changed"}))]
    Slow(ErrorModel),
    /// The body is too long
    #[response(status = 413, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Content Too Large", "status": 413,
            "detail": "the request's body is longer than 8388608 bytes"}))]
    TooLarge(ErrorModel),
    /// The body is sent as something else than JSON
    #[response(status = 415, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Unsupported Media Type", "status": 415,
            "detail": "expected the header `Content-Type: application/json`, got \"text/plain\""}))]
    NotJson(ErrorModel),
}

/// What goes wrong in the store, or on the way to it. Nothing was changed.
#[derive(IntoResponses)]
pub(in super::super) enum Store {
    /// The store is gone, or the host failed; the server's log has the cause
    #[response(status = 500, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Internal Server Error", "status": 500,
            "detail": "the store failed while searching its runs; nothing was changed"}))]
    Failed(ErrorModel),
    /// The store is busy, the server is overloaded or full, or the search took too long
    #[response(status = 503, content_type = "application/problem+json",
        headers(("Retry-After" = u32, description = "When to try again, in seconds")),
        example = json!({"type": "about:blank", "title": "Service Unavailable", "status": 503,
            "detail": "264 requests are at work or waiting already; nothing was changed"}))]
    Unavailable(ErrorModel),
}

/// What the routes of the operations answer besides.
#[derive(IntoResponses)]
pub(in super::super) enum Ledger {
    /// The store has no ledger, or the ledger no such operation
    #[response(status = 404, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Not Found", "status": 404,
            "detail": "the ledger has no operation \"01M860BN9H2Q6S8V0X4Z7B1D3F\"; list them, or was it pruned?"}))]
    NotFound(ErrorModel),
    /// Parameters that can't be used, every one of them listed with its place; or a runner that can't take a run back
    #[response(status = 422, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Unprocessable Entity", "status": 422,
            "detail": "validation failed: query.limit: expected an integer, got a string",
            "errors": [{"location": "query.limit", "message": "expected an integer, got a string", "value": "all"}]}))]
    Unprocessable(ErrorModel),
}

/// A body that is no object.
#[derive(IntoResponses)]
pub(in super::super) enum NoObject {
    /// The body is there, and no JSON object
    #[response(status = 400, content_type = "application/problem+json",
        example = json!({"type": "about:blank", "title": "Bad Request", "status": 400,
            "detail": "the request is an array; expected a JSON object"}))]
    BadRequest(ErrorModel),
}
