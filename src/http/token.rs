//! The tokens that a client may show, and what each of them lets it do.

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

/// The name of a token that was given none.
const NAMELESS: &str = "token";

/// A shared secret, and who shows it. It is kept as its digest: it can be compared, but neither printed nor logged.
#[derive(Clone)]
pub struct Token {
    name: Arc<str>,
    digest: [u8; 32],
    may_spawn: bool,
}

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
        Ok(Token { name: NAMELESS.into(), digest: digest(secret), may_spawn: true })
    }

    /// Whose token it is: the log says who has re-run.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Token { name: name.into(), ..self }
    }

    /// It may look and make dry runs, and nothing else.
    #[must_use]
    pub fn for_previews(self) -> Self {
        Token { may_spawn: false, ..self }
    }

    /// A file of tokens, one a line: `token`, `name:token`, or `name:token:preview` for one that may only preview. Empty
    /// lines, and those that begin with `#`, say nothing.
    ///
    /// ```
    /// use bulk_rerun::http::Token;
    ///
    /// let tokens = Token::read_all("# The night shift\nanna:correct-horse\nscreen:battery-staple:preview\n")?;
    /// assert_eq!(tokens.len(), 2);
    /// # Ok::<(), bulk_rerun::http::BadConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A line that is none of these, the same token twice, or no token at all.
    pub fn read_all(text: &str) -> Result<Vec<Self>, BadConfig> {
        let mut tokens: Vec<Self> = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |reason: &str| BadConfig(format!("line {number}: {reason}"));
            let token = Self::read(line).map_err(|error| bad(&error.0))?;
            if tokens.iter().any(|other| other.digest == token.digest) {
                return Err(bad("the same token stands on a line before"));
            }
            tokens.push(token);
        }
        if tokens.is_empty() { Err(BadConfig("there is no token in it".to_owned())) } else { Ok(tokens) }
    }

    /// No secret is repeated in an error.
    fn read(line: &str) -> Result<Self, BadConfig> {
        let mut parts = line.split(':').map(str::trim);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(secret), None, ..) => Token::new(secret),
            (Some(""), ..) => Err(BadConfig("the token's name is empty".to_owned())),
            (Some(name), Some(secret), None, _) => Ok(Token::new(secret)?.named(name)),
            (Some(name), Some(secret), Some("preview"), None) => Ok(Token::new(secret)?.named(name).for_previews()),
            _ => Err(BadConfig("expected `name:token`, or `name:token:preview`".to_owned())),
        }
    }

    fn caller(&self) -> Caller {
        Caller { name: Arc::clone(&self.name), may_spawn: self.may_spawn }
    }
}

/// Who asks, by the token that was shown.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) name: Arc<str>,
    pub(super) may_spawn: bool,
}

impl Caller {
    /// Of a door without tokens nobody is known, and everybody may do all.
    pub(super) fn of(request: &Request) -> Option<&Caller> {
        request.extensions().get()
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "Token({:?}, …)", self.name)
    }
}

/// Lets a request through that shows one of the door's tokens, if the door has any.
pub(super) async fn require(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    let tokens = &door.config.tokens;
    if tokens.is_empty() {
        return next.run(request).await;
    }
    let Some(secret) = bearer(request.headers()) else {
        return unauthorized(
            "a token is required: send the header `Authorization: Bearer …`",
            r#"Bearer realm="bulk-rerun""#,
        );
    };
    let Some(token) = shown(tokens, secret) else {
        return unauthorized("the token is wrong", r#"Bearer realm="bulk-rerun", error="invalid_token""#);
    };
    request.extensions_mut().insert(token.caller());
    next.run(request).await
}

/// Compares digests, each in constant time: how long it takes tells no secret, nor its length.
fn shown<'a>(tokens: &'a [Token], secret: &str) -> Option<&'a Token> {
    let digest = digest(secret);
    tokens.iter().find(|token| token.digest.ct_eq(&digest).into())
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
