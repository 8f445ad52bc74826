//! The one error model of every door (RFC 9457, as RunWisp sends it).

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::Triggered;

/// Why a request failed. A failed request has changed nothing, but for what `triggered` names.
///
/// ```
/// use bulk_rerun::Request;
///
/// let error = Request::from_json(br#"{"match_al": true}"#).unwrap_err();
/// assert_eq!(error.status, 422);
/// assert_eq!(error.errors[0].location, "body.match_al");
/// assert!(error.errors[0].message.contains("did you mean `match_all`?"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct ErrorModel {
    /// HTTP only: the URL of this error's JSON Schema.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Always `about:blank`: the status says it all.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status code, the same at every door.
    pub status: u16,
    /// What went wrong and what to do next, for a person. Never SQL, never a secret.
    pub detail: String,
    /// Every violation of the request, each with its place and value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Violation>,
    /// The runs that were started all the same, by a host without transactions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub triggered: Vec<Triggered>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Violation {
    /// Where, in the client's own spelling: `body.filter.exit_code_min`, `body.ids[3]`.
    pub location: String,
    /// What is wrong there.
    pub message: String,
    /// The value that was found there.
    pub value: Value,
}

impl ErrorModel {
    /// An error without violations.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        ErrorModel {
            schema: None,
            kind: "about:blank",
            title: title(status),
            status,
            detail: detail.into(),
            errors: Vec::new(),
            triggered: Vec::new(),
        }
    }

    /// 422: the request is JSON, but not a request. Lists every violation, but for as many as are left out.
    pub(crate) fn unprocessable(errors: Vec<Violation>, left_out: usize) -> Self {
        let mut detail = String::from("validation failed");
        if let Some(first) = errors.first() {
            detail = format!("validation failed: {}: {}", first.location, first.message);
        }
        match (errors.len() + left_out, left_out) {
            (0 | 1, _) => {}
            (all, 0) => detail.push_str(&format!(" (and {} more, see `errors`)", all - 1)),
            (all, _) => {
                detail.push_str(&format!(" (and {} more; `errors` lists the first {})", all - 1, errors.len()));
            }
        }
        ErrorModel { errors, ..ErrorModel::new(422, detail) }
    }

    /// 422 with one violation, found while the request was carried out.
    pub(crate) fn violation(location: &str, message: String, value: Value) -> Self {
        ErrorModel::unprocessable(vec![Violation { location: location.to_owned(), message, value }], 0)
    }

    /// 400: each field is fine, but together they do not say which runs are meant.
    pub(super) fn invalid_selector(errors: Vec<Violation>) -> Self {
        let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
        let detail = format!("invalid run selector: {}", messages.join("; "));
        ErrorModel { errors, ..ErrorModel::new(400, detail) }
    }

    /// The error as JSON text.
    pub fn to_json(&self) -> String {
        // Strings, numbers and JSON values only: nothing in it can fail to serialize.
        serde_json::to_string(self).unwrap_or_else(|error| format!(r#"{{"status":500,"detail":"{error}"}}"#))
    }
}

impl fmt::Display for ErrorModel {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl std::error::Error for ErrorModel {}

/// The reason phrase of a status that this project answers with.
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Entity",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
