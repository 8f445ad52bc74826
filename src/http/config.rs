//! How the door behaves.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::uri::Authority;
use tower_http::csrf::CsrfLayer;

use super::Token;

/// As long as anybody waits: a longer time could not be added to the present.
pub(super) const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How the door behaves. The defaults are meant for a loopback address.
///
/// ```
/// use bulk_rerun::http::{HttpConfig, Token};
///
/// let config = HttpConfig {
///     tokens: vec![Token::new("correct-horse-battery-staple")?.named("anna")],
///     allow_hosts: vec!["ops.example.com".parse()?],
///     require_filter: true,
///     ..HttpConfig::default()
/// };
/// # Ok::<(), bulk_rerun::http::BadConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// One of these a client must send as `Authorization: Bearer`; without any, everybody is let in who can reach the
    /// address.
    pub tokens: Vec<Token>,
    /// The names under which the door may be asked, beside `localhost` and any IP address. A page
    /// elsewhere can give its own name our address (DNS rebinding), but none of these.
    pub allow_hosts: Vec<Hostname>,
    /// The pages of other sites that may use the door, beside the door's own.
    pub allow_origins: Vec<Origin>,
    /// Refuse a `match_all` with nothing in its filter: here nobody means "everything".
    pub require_filter: bool,
    /// The longest request body, in bytes.
    pub body_limit: usize,
    /// How many bytes of request bodies are in memory at once, or being worked on; beyond them, longer requests are
    /// turned away. At least one of the longest bodies fits.
    pub body_budget: usize,
    /// How long a client may take to send its body.
    pub body_timeout: Duration,
    /// How long a request may wait and search. What spawns by then completes.
    pub request_timeout: Duration,
    /// How many requests work on the store at once.
    pub workers: usize,
    /// How many more may wait for their turn; beyond them, requests are turned away at once.
    pub queue: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            tokens: Vec::new(),
            allow_hosts: Vec::new(),
            allow_origins: Vec::new(),
            require_filter: false,
            body_limit: 8 << 20,
            body_budget: 8 << 20,
            body_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            // As many as there are idle connections kept to an SQLite store.
            workers: 8,
            queue: 256,
        }
    }
}

/// A value that can't be used, and why.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct BadConfig(pub(super) String);

/// A host's name, without a port: `ops.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostname(String);

impl Hostname {
    /// Whether the host of an address is this one.
    pub(super) fn is(&self, host: &str) -> bool {
        self.0.eq_ignore_ascii_case(host.strip_suffix('.').unwrap_or(host))
    }
}

impl FromStr for Hostname {
    type Err = BadConfig;

    fn from_str(text: &str) -> Result<Self, BadConfig> {
        match text.parse::<Authority>() {
            Ok(authority) if authority.host() == text => Ok(Hostname(text.to_owned())),
            _ => Err(BadConfig(format!(
                "{text:?} is no host's name: expected one such as ops.example.com, without a port"
            ))),
        }
    }
}

/// Where a page comes from, as browsers write it: `https://ops.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl Origin {
    pub(super) fn as_header(&self) -> &HeaderValue {
        &self.0
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl FromStr for Origin {
    type Err = BadConfig;

    fn from_str(text: &str) -> Result<Self, BadConfig> {
        let bad = |reason: &dyn fmt::Display| {
            BadConfig(format!("{text:?} is no origin: expected one such as https://ops.example.com ({reason})"))
        };
        let _checked = CsrfLayer::new().add_trusted_origin(text).map_err(|error| bad(&error))?;
        Ok(Origin(HeaderValue::from_str(text).map_err(|error| bad(&error))?))
    }
}
