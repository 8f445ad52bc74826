//! The boundary between C and Rust. Every exported function, and what the SQLite extension registers, is one call of a
//! function of this file, which turns a panic into an error: unwinding into C would end the host.

use std::any::Any;
use std::cell::Cell;
use std::ffi::c_char;
#[cfg(target_os = "linux")]
use std::ffi::c_int;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;

use super::strings;
use crate::contract::ErrorModel;

/// For a function that answers JSON in any case: its answer, or its error.
pub(super) fn answer(function: &str, work: impl FnOnce() -> Result<String, ErrorModel>) -> *mut c_char {
    strings::give(guard(function, work).unwrap_or_else(|error| error.to_json()))
}

/// For a function that answers a pointer: NULL if it fails, with the error in `error_json`.
///
/// # Safety
///
/// `error_json` is NULL or may be written to.
pub(super) unsafe fn pointer<T>(
    function: &str,
    error_json: *mut *mut c_char,
    work: impl FnOnce() -> Result<*mut T, ErrorModel>,
) -> *mut T {
    let result = guard(function, work);
    // SAFETY: as the caller promises.
    unsafe { tell(error_json, result.as_ref().err()) };
    result.unwrap_or(ptr::null_mut())
}

/// For a function that answers a status: 0, or -1 with the error in `error_json`.
///
/// # Safety
///
/// `error_json` is NULL or may be written to.
pub(super) unsafe fn status(
    function: &str,
    error_json: *mut *mut c_char,
    work: impl FnOnce() -> Result<(), ErrorModel>,
) -> i32 {
    let result = guard(function, work);
    // SAFETY: as the caller promises.
    unsafe { tell(error_json, result.as_ref().err()) };
    if result.is_ok() { 0 } else { -1 }
}

/// For a function that has no way to tell an error: `None` if it panicked.
pub(super) fn quietly<T>(function: &str, work: impl FnOnce() -> T) -> Option<T> {
    guard(function, || Ok(work())).ok()
}

/// What all of them do.
pub(crate) fn guard<T>(function: &str, work: impl FnOnce() -> Result<T, ErrorModel>) -> Result<T, ErrorModel> {
    let _inside = Inside::begin();
    // Unwind safe: what a call holds is given up with it, and locks are used as if never poisoned.
    panic::catch_unwind(AssertUnwindSafe(|| {
        #[cfg(feature = "capi")]
        super::log::start();
        panic_if_asked(function);
        work()
    }))
    .unwrap_or_else(|panic| {
        let message = message(&*panic);
        tracing::error!(function, message, "a panic was caught");
        let detail = format!("{function} failed by a defect of bulk_rerun, which you may report: {message}");
        Err(ErrorModel::new(500, detail))
    })
}

thread_local! {
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is one of the host's, in a call of the library.
#[cfg(feature = "capi")]
pub(super) fn is_inside() -> bool {
    IS_INSIDE.get()
}

/// This thread is in a call of the library while it lives. `pthread_cancel` waits for its end: a thread that is cancelled
/// unwinds its stack by force, and Rust's part of it must not be. In the host's callbacks too, which have such parts below.
struct Inside {
    was_inside: bool,
    #[cfg(target_os = "linux")]
    cancel_state: c_int,
}

impl Inside {
    fn begin() -> Inside {
        Inside {
            was_inside: IS_INSIDE.replace(true),
            #[cfg(target_os = "linux")]
            cancel_state: set_cancel_state(PTHREAD_CANCEL_DISABLE),
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        IS_INSIDE.set(self.was_inside);
        #[cfg(target_os = "linux")]
        set_cancel_state(self.cancel_state);
    }
}

#[cfg(target_os = "linux")]
const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// Returns what it was before.
#[cfg(target_os = "linux")]
fn set_cancel_state(state: c_int) -> c_int {
    // The libc crate has it for other systems only.
    unsafe extern "C" {
        safe fn pthread_setcancelstate(state: c_int, before: &mut c_int) -> c_int;
    }
    let mut before = 0;
    pthread_setcancelstate(state, &mut before);
    before
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}

/// # Safety
///
/// `error_json` is NULL or may be written to.
unsafe fn tell(error_json: *mut *mut c_char, error: Option<&ErrorModel>) {
    if !error_json.is_null() {
        let text = error.map_or(ptr::null_mut(), |error| strings::give(error.to_json()));
        // SAFETY: it is not NULL, so it may be written to.
        unsafe { error_json.write(text) };
    }
}

/// For the tests of this boundary alone: panics in the function that BULK_RERUN_TEST_PANIC names.
#[cfg(feature = "test-panic")]
fn panic_if_asked(function: &str) {
    if std::env::var("BULK_RERUN_TEST_PANIC").is_ok_and(|wanted| wanted == function) {
        panic!("as BULK_RERUN_TEST_PANIC asks");
    }
}

#[cfg(not(feature = "test-panic"))]
fn panic_if_asked(_function: &str) {}
