//! What foreign texts, and whole sequences of calls, must hold to. `fuzz/run` makes them up with libFuzzer, and
//! `tests/fuzz_targets.rs` without it.

pub mod addresses;
pub mod calls;
pub mod catalogues;
pub mod lua_values;
pub mod profiles;
pub mod requests;
pub mod times;

use std::ffi::{CStr, CString, c_char};

use bulk_rerun::capi;
use serde_json::Value;

/// A target: its name, which its corpus and its program have, too, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

pub const ALL: [Target; 7] = [
    ("addresses", addresses::run),
    ("calls", calls::run),
    ("catalogues", catalogues::run),
    ("lua_values", lua_values::run),
    ("profiles", profiles::run),
    ("requests", requests::run),
    ("times", times::run),
];

/// The text up to its first zero byte, as C sees it.
fn c_text(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap()
}

/// An answer of the C ABI, copied and freed; it must be JSON.
fn take(answer: *mut c_char) -> Option<Value> {
    if answer.is_null() {
        return None;
    }
    // SAFETY: the C ABI has just answered it; its texts end with a zero byte.
    let value = serde_json::from_slice(unsafe { CStr::from_ptr(answer) }.to_bytes());
    // SAFETY: as above, and it is not used again.
    unsafe { capi::bulk_rerun_string_free(answer) };
    Some(value.expect("an answer is JSON"))
}

/// An error says what is wrong, and where.
fn check_error(error: &Value, statuses: &[u64], root: &str) {
    let status = error["status"].as_u64().unwrap();
    assert!(statuses.contains(&status), "{error:#}");
    assert!(!error["title"].as_str().unwrap().is_empty() && !error["detail"].as_str().unwrap().is_empty(), "{error:#}");
    for violation in error["errors"].as_array().into_iter().flatten() {
        assert!(violation["location"].as_str().unwrap().starts_with(root), "{error:#}");
        assert!(!violation["message"].as_str().unwrap().is_empty(), "{error:#}");
    }
}
