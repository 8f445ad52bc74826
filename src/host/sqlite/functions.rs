//! What statements may call besides SQLite's own functions: a profile's, and ours.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error};
use sha2::{Digest, Sha256};

use crate::host::time::is_ordered_utc;

/// Whether a text is a time in UTC, if it is any, and written so that such texts are ordered as their seconds are. SQLite's own
/// functions would take longer to tell than to look up the run.
pub(super) const IS_UTC: &str = "bulk_rerun_is_utc";

/// Adds them to a connection. The host's views and triggers can't call them: without us they would fail.
pub(crate) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function(IS_UTC, 1, flags, |context| {
        Ok(matches!(context.get_raw(0), ValueRef::Text(text) if is_ordered_utc(text)))
    })?;
    connection.create_scalar_function("bulk_rerun_sha256", 1, flags, sha256)
}

/// The SHA-256 of a text's or a blob's bytes in hexadecimal digits, as runners have it in their keys.
fn sha256(context: &Context<'_>) -> rusqlite::Result<Option<String>> {
    let bytes = match context.get_raw(0) {
        ValueRef::Null => return Ok(None),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        ValueRef::Integer(_) | ValueRef::Real(_) => {
            return Err(Error::UserFunctionError(
                "bulk_rerun_sha256 takes a text or a blob, and this is a number".into(),
            ));
        }
    };
    Ok(Some(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()))
}
