//! A cursor over selected runs, as C holds it.

use std::ffi::c_char;
use std::process;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use super::handles::Handles;
use super::plugin::{self, PluginHandle};
use super::{boundary, strings};
use crate::contract::ErrorModel;
use crate::cursor::Cursor;

/// The runs that a selector meant when the cursor was opened. It stands on its own: it may outlive
/// its plugin, and holds no lock and no transaction on the store.
pub struct CursorHandle {
    pid: u32,
    cursor: Mutex<Cursor>,
}

static OPEN: Handles<CursorHandle> = Handles::new();

/// Evaluates a selector only; nothing is spawned. Takes what a request has, without `options`
/// (but for `except_tasks`).
/// Returns NULL if that fails, and an error in `*error_json`.
///
/// ```c
/// char *error = NULL, *run;
/// bulk_rerun_cursor *runs = bulk_rerun_select(plugin, "{\"match_all\": true}", &error);
/// while (error == NULL && (run = bulk_rerun_cursor_next(runs, &error)) != NULL) {
///     puts(run);
///     bulk_rerun_string_free(run);
/// }
/// if (error != NULL) {
///     puts(error);
///     bulk_rerun_string_free(error);
/// }
/// bulk_rerun_cursor_close(runs);
/// ```
///
/// # Safety
///
/// `plugin` is NULL or open. `selector_json` is NULL or ends with a NUL. `error_json` is NULL or can
/// be written to.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_select(
    plugin: *mut PluginHandle,
    selector_json: *const c_char,
    error_json: *mut *mut c_char,
) -> *mut CursorHandle {
    // SAFETY: as the caller promises.
    unsafe {
        boundary::pointer("bulk_rerun_select", error_json, || {
            let call = plugin::enter(plugin)?;
            let cursor = call.plugin().cursor(strings::read(selector_json))?;
            Ok(OPEN.give(CursorHandle { pid: process::id(), cursor: Mutex::new(cursor) }))
        })
    }
}

/// The next run as JSON, which you free. NULL at the end, and NULL with an error in `*error_json`
/// (which is NULL otherwise) if it fails. The runs come in the store's own order; what was spawned
/// since the cursor was opened is not among them.
///
/// # Safety
///
/// `error_json` is NULL or can be written to.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_cursor_next(
    cursor: *mut CursorHandle,
    error_json: *mut *mut c_char,
) -> *mut c_char {
    // SAFETY: as the caller promises.
    unsafe {
        boundary::pointer("bulk_rerun_cursor_next", error_json, || {
            let cursor = OPEN.find(cursor).ok_or_else(|| {
                let state = if cursor.is_null() { "NULL" } else { "closed" };
                ErrorModel::new(400, format!("the cursor is {state}: open one with bulk_rerun_select"))
            })?;
            if cursor.pid != process::id() {
                let detail = "the cursor was opened before this process was forked off: open one here";
                return Err(ErrorModel::new(409, detail));
            }
            let run = cursor.cursor.lock().unwrap_or_else(PoisonError::into_inner).next_run()?;
            Ok(run.map_or(ptr::null_mut(), strings::give))
        })
    }
}

/// Closes a cursor. Another thread that is waiting for its next run still gets that; later ones get an error.
/// NULL is fine, and so is one that is closed already.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub extern "C" fn bulk_rerun_cursor_close(cursor: *mut CursorHandle) {
    boundary::quietly("bulk_rerun_cursor_close", || drop(OPEN.take(cursor)));
}
