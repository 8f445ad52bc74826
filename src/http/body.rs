//! Reads a request's body: the right kind, not too long, not too slowly, and while there is room for it.

use std::ops::Deref;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use http_body_util::BodyExt;
use mime::Mime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::config::HttpConfig;
use super::problem::Problem;

/// A body is kept in blocks of so many bytes, since it may never come to its end: small ones leave no holes in the
/// memory. The first is free, and almost every body fits into it; a connection's own buffers are no smaller.
const BLOCK: usize = 16 << 10;

/// The room that all bodies share, in blocks.
#[derive(Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    pub(super) fn new(config: &HttpConfig) -> Self {
        // One body of the longest kind fits in any case.
        let blocks = config.body_budget.max(config.body_limit).div_ceil(BLOCK);
        Room(Arc::new(Semaphore::new(blocks.min(Semaphore::MAX_PERMITS))))
    }
}

/// A body that is all there. Its room is given back with it.
#[derive(Debug)]
pub(super) struct Received {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The body, once it is all there.
pub(super) async fn read(request: Request, config: &HttpConfig, room: &Room) -> Result<Received, Problem> {
    let (head, body) = request.into_parts();
    check_media_type(&head.headers)?;
    if body.size_hint().lower() > config.body_limit as u64 {
        return Err(too_large(config));
    }
    match timeout(config.body_timeout, collect(body, config, room)).await {
        Ok(read) => read,
        Err(_) => {
            let waited = config.body_timeout.as_secs_f64();
            let detail = format!("the request's body did not arrive within {waited} s; nothing was changed");
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}

async fn collect(mut body: Body, config: &HttpConfig, room: &Room) -> Result<Received, Problem> {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    let (mut length, mut taken) = (0_usize, None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the request's body broke off"))?;
        let Ok(mut data) = frame.into_data() else { continue };
        if blocks.is_empty() && data.len() <= BLOCK.min(config.body_limit) && body.is_end_stream() {
            // It came in one piece, as almost all do.
            return Ok(Received { bytes: data, _room: None });
        }
        length = length.saturating_add(data.len());
        if length > config.body_limit {
            return Err(too_large(config));
        }
        while !data.is_empty() {
            if blocks.last().is_none_or(|block| block.len() == BLOCK) {
                // Room is taken for what has come, not for what was announced: else a few words would take up all of it.
                if !blocks.is_empty() {
                    take_block(room, &mut taken)?;
                }
                blocks.push(Vec::with_capacity(BLOCK));
            }
            if let Some(block) = blocks.last_mut() {
                block.extend_from_slice(&data.split_to(data.len().min(BLOCK - block.len())));
            }
        }
    }
    let mut bytes = Vec::with_capacity(length);
    blocks.into_iter().for_each(|block| bytes.extend_from_slice(&block));
    Ok(Received { bytes: bytes.into(), _room: taken })
}

fn take_block(room: &Room, taken: &mut Option<OwnedSemaphorePermit>) -> Result<(), Problem> {
    let block = Arc::clone(&room.0).try_acquire_owned().map_err(|_| no_room())?;
    match taken {
        Some(taken) => taken.merge(block),
        none => *none = Some(block),
    }
    Ok(())
}

fn no_room() -> Problem {
    let detail =
        "the bodies of other requests take up all the room that there is; nothing was changed, so try again later";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

fn too_large(config: &HttpConfig) -> Problem {
    let detail = format!("the request's body is longer than {} bytes", config.body_limit);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// JSON, which is UTF-8 (RFC 8259), also where nothing is said.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(CONTENT_TYPE).filter(|value| !value.is_empty()) else { return Ok(()) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let is_json = text.parse::<Mime>().is_ok_and(|media| {
        let is_utf_8 = media.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8);
        let is_json = media.subtype() == mime::JSON || media.suffix() == Some(mime::JSON);
        media.type_() == mime::APPLICATION && is_json && is_utf_8
    });
    if is_json {
        return Ok(());
    }
    let detail = format!("expected the header `Content-Type: application/json`, got {text:?}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}
