//! The token that a client must show.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::config::BadConfig;
use super::door::Door;
use super::problem::Problem;

/// A shared secret, kept as its digest: it can be compared, but neither printed nor logged.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// A token is visible ASCII, as a header can carry it; white space around it is dropped.
    ///
    /// # Errors
    ///
    /// It is empty, or has other characters.
    pub fn new(secret: &str) -> Result<Self, BadConfig> {
        let secret = secret.trim();
        if secret.is_empty() {
            return Err(BadConfig("the token is empty".to_owned()));
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadConfig("the token must be visible ASCII characters, without spaces".to_owned()));
        }
        Ok(Token(digest(secret)))
    }

    /// Compares digests in constant time: how long it takes tells neither the secret nor its length.
    fn is(&self, secret: &str) -> bool {
        self.0.ct_eq(&digest(secret)).into()
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// Lets a request through that shows the door's token, if the door has one.
pub(super) async fn require(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let Some(token) = &door.config.token else { return next.run(request).await };
    match bearer(request.headers()) {
        Some(secret) if token.is(secret) => next.run(request).await,
        Some(_) => unauthorized("the token is wrong", r#"Bearer realm="bulk-rerun", error="invalid_token""#),
        None => unauthorized(
            "a token is required: send the header `Authorization: Bearer …`",
            r#"Bearer realm="bulk-rerun""#,
        ),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

fn unauthorized(detail: &str, challenge: &'static str) -> Response {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
        .with(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
        .into_response()
}
