//! The header `Idempotency-Key`: the option `idempotency_key` in HTTP's own place. The IETF's draft has it as a quoted string
//! (RFC 9651); many clients send it bare.

use axum::http::header::HeaderMap;
use serde_json::json;

use crate::contract::{ErrorModel, KEY_MAX, Request, wrong_with_text};

const HEADER: &str = "idempotency-key";
const LOCATION: &str = "header.Idempotency-Key";

/// The key that the header gives, if it is there.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<String>, ErrorModel> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused("the header is there twice; send one key", value.as_bytes()));
    }
    let text = value.to_str().map_err(|_| refused("the key is to be visible ASCII characters", value.as_bytes()))?;
    match unquoted(text.trim()) {
        Some(key) => match wrong_with_text(&key, KEY_MAX) {
            None => Ok(Some(key)),
            Some(wrong) => Err(refused(&wrong, value.as_bytes())),
        },
        None => Err(refused("the key begins with a quotation mark and is no whole quoted string", value.as_bytes())),
    }
}

/// Sets the request's key as the header says, unless the body has another one.
pub(super) fn add(request: &mut Request, key: Option<&str>) -> Result<(), ErrorModel> {
    let Some(key) = key else { return Ok(()) };
    match &request.options.idempotency_key {
        Some(other) if *other != key => Err(refused(
            "the header and the option `idempotency_key` differ; send one of them, or the same in both",
            key.as_bytes(),
        )),
        _ => {
            request.options.idempotency_key = Some(key.to_owned());
            Ok(())
        }
    }
}

/// What is wrong with a key that the header gave is wrong there.
pub(super) fn placed(mut error: ErrorModel) -> ErrorModel {
    for violation in &mut error.errors {
        if violation.location == "body.options.idempotency_key" {
            violation.location = LOCATION.to_owned();
        }
    }
    error
}

/// A quoted string's text, or the bare text itself; `None` for one that is quoted in part.
fn unquoted(text: &str) -> Option<String> {
    let Some(rest) = text.strip_prefix('"') else { return Some(text.to_owned()) };
    let mut key = String::new();
    let mut signs = rest.chars();
    loop {
        match signs.next()? {
            '"' => return signs.next().is_none().then_some(key),
            '\\' => key.push(signs.next().filter(|sign| matches!(sign, '"' | '\\'))?),
            sign => key.push(sign),
        }
    }
}

fn refused(message: &str, value: &[u8]) -> ErrorModel {
    ErrorModel::violation(LOCATION, message.to_owned(), json!(String::from_utf8_lossy(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_quoted_or_bare() {
        for (text, key) in [
            ("k1", Some("k1")),
            (r#""k1""#, Some("k1")),
            (r#""a \"b\" \\""#, Some(r#"a "b" \"#)),
            (r#"a"b"#, Some(r#"a"b"#)),
            (r#""k1"#, None),
            (r#""k1" x"#, None),
            (r#""k\1""#, None),
        ] {
            assert_eq!(unquoted(text).as_deref(), key, "{text}");
        }
    }
}
