//! Text between C and Rust.

use std::ffi::{CStr, CString, c_char};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::boundary;

/// The bytes of a text of C's. NULL is the same as an empty one.
///
/// # Safety
///
/// `text` is NULL or ends with a NUL, and stays as it is for as long as the bytes are used.
pub(super) unsafe fn read<'a>(text: *const c_char) -> &'a [u8] {
    if text.is_null() {
        return b"";
    }
    // SAFETY: it is not NULL, so it ends with a NUL, as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// A text that C owns from now on.
pub(super) fn give(text: String) -> *mut c_char {
    lend(text).into_raw()
}

/// A text that C may look at for a while.
pub(super) fn lend(text: impl Into<Vec<u8>>) -> CString {
    // JSON writes a NUL as an escape, so there is none; a text would end at it.
    CString::new(text).unwrap_or_else(|error| {
        let length = error.nul_position();
        let mut bytes = error.into_vec();
        bytes.truncate(length);
        CString::new(bytes).unwrap_or_default()
    })
}

/// Whether an answer is an error: 1 for an ErrorModel, 0 for any other text and for NULL.
///
/// ```c
/// char *answer = bulk_rerun_call(plugin, request);
/// if (bulk_rerun_is_error(answer)) {
///     fprintf(stderr, "%s\n", answer);
/// }
/// bulk_rerun_string_free(answer);
/// ```
///
/// # Safety
///
/// `answer_json` is NULL or ends with a NUL.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_is_error(answer_json: *const c_char) -> i32 {
    /// What no answer has.
    #[derive(Deserialize)]
    struct OfAnErrorModel {
        #[serde(rename = "status")]
        _status: u16,
        #[serde(rename = "detail")]
        _detail: IgnoredAny,
    }
    let is_error = boundary::quietly("bulk_rerun_is_error", || {
        // SAFETY: as the caller promises.
        let answer = unsafe { read(answer_json) };
        serde_json::from_slice::<OfAnErrorModel>(answer).is_ok()
    });
    // An answer that nobody can look into is none to trust.
    is_error.unwrap_or(true).into()
}

/// Frees a text that this library has handed over. NULL is fine.
///
/// ```c
/// char *answer = bulk_rerun_call(plugin, request);
/// puts(answer);
/// bulk_rerun_string_free(answer);
/// ```
///
/// # Safety
///
/// `text` is NULL, or came from a function of this library and was not freed yet: `free()` does not
/// fit it, and this function fits nothing else.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_string_free(text: *mut c_char) {
    boundary::quietly("bulk_rerun_string_free", || {
        if !text.is_null() {
            // SAFETY: it came from `give`, and this is the one time that it comes back.
            drop(unsafe { CString::from_raw(text) });
        }
    });
}
