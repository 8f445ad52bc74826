//! Reads a request's body: the right kind, not too long, and not too slowly.

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use http_body_util::LengthLimitError;
use mime::Mime;
use tokio::time::timeout;

use super::config::HttpConfig;
use super::problem::Problem;

/// The body, once it is all there.
pub(super) async fn read(request: Request, config: &HttpConfig) -> Result<Bytes, Problem> {
    let (head, body) = request.into_parts();
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    check_media_type(&head.headers)?;
    if body.size_hint().lower() > config.body_limit as u64 {
        return Err(too_large(config));
    }
    match timeout(config.body_timeout, collect(body, config)).await {
        Ok(read) => read,
        Err(_) => {
            let waited = config.body_timeout.as_secs_f64();
            let detail = format!("the request's body did not arrive within {waited} s; nothing was changed");
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}

async fn collect(body: Body, config: &HttpConfig) -> Result<Bytes, Problem> {
    to_bytes(body, config.body_limit).await.map_err(|error| {
        let is_too_large = error.into_inner().is::<LengthLimitError>();
        if is_too_large {
            too_large(config)
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "the request's body broke off")
        }
    })
}

fn too_large(config: &HttpConfig) -> Problem {
    let detail = format!("the request's body is longer than {} bytes", config.body_limit);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// JSON, which is UTF-8 (RFC 8259).
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |found: &str| {
        let detail = format!("expected the header `Content-Type: application/json`, got {found}");
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
    };
    let Some(value) = headers.get(CONTENT_TYPE) else { return refuse("none") };
    let text = String::from_utf8_lossy(value.as_bytes());
    let Ok(media) = text.parse::<Mime>() else { return refuse(&format!("{text:?}")) };
    let is_json =
        media.type_() == mime::APPLICATION && (media.subtype() == mime::JSON || media.suffix() == Some(mime::JSON));
    let is_utf_8 = media.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8);
    if is_json && is_utf_8 { Ok(()) } else { refuse(&format!("{text:?}")) }
}
