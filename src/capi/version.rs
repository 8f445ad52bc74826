//! Which library this is.

use std::ffi::{CStr, c_char};

use super::boundary;

/// The version of this ABI: what a `bulk_rerun_host` says as its `abi_version`. It stays as it is
/// while functions and fields are only added.
pub const BULK_RERUN_ABI_VERSION: u32 = 1;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no NUL"),
};

/// The library's version, such as "0.1.0". Static text: never free it.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub extern "C" fn bulk_rerun_version() -> *const c_char {
    boundary::quietly("bulk_rerun_version", || VERSION.as_ptr()).unwrap_or(c"".as_ptr())
}

/// The `BULK_RERUN_ABI_VERSION` that the loaded library was built with. A program that loads the
/// library at run time compares it with its header's.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub extern "C" fn bulk_rerun_abi_version() -> u32 {
    boundary::quietly("bulk_rerun_abi_version", || BULK_RERUN_ABI_VERSION).unwrap_or(0)
}
