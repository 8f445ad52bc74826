//! A cursor over selected runs, as C holds it.

use std::ffi::c_char;
use std::process;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use super::handles::Handles;
use super::plugin::{self, PluginHandle};
use super::run::LentRun;
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
            let run = find(cursor)?.cursor.lock().unwrap_or_else(PoisonError::into_inner).next_run()?;
            Ok(run.map_or(ptr::null_mut(), strings::give))
        })
    }
}

/// As `bulk_rerun_cursor_next`, for who reads many: no JSON is made, and nothing is to be freed. Returns 1 and fills in
/// `run`, whose texts are yours to look at until the cursor's next call; 0 at the end; -1 with an error in `*error_json`.
/// One thread at a time.
///
/// ```c
/// bulk_rerun_cursor *many = bulk_rerun_select(plugin, "{\"match_all\": true}", NULL);
/// bulk_rerun_run run;
/// while (bulk_rerun_cursor_run(many, &run, NULL) == 1) {
///     printf("%.*s\n", (int)run.id.length, run.id.bytes);
/// }
/// bulk_rerun_cursor_close(many);
/// ```
///
/// # Safety
///
/// `run` is NULL (an error) or can be written to. `error_json` is NULL or can be written to. The texts are not looked at
/// after the cursor's next call, nor once it is closed.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_cursor_run(
    cursor: *mut CursorHandle,
    run: *mut LentRun,
    error_json: *mut *mut c_char,
) -> i32 {
    let mut is_there = 0;
    // SAFETY: as the caller promises.
    let status = unsafe {
        boundary::status("bulk_rerun_cursor_run", error_json, || {
            if run.is_null() {
                return Err(ErrorModel::new(400, "run is NULL: give a bulk_rerun_run to be filled in"));
            }
            let cursor = find(cursor)?;
            let mut cursor = cursor.cursor.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(text) = cursor.next_text()? {
                run.write(LentRun::of(&text));
                is_there = 1;
            }
            Ok(())
        })
    };
    if status == 0 { is_there } else { status }
}

/// A cursor that is open, in the process that opened it.
fn find(cursor: *mut CursorHandle) -> Result<Arc<CursorHandle>, ErrorModel> {
    let cursor = OPEN.find(cursor).ok_or_else(|| {
        let state = if cursor.is_null() { "NULL" } else { "closed" };
        ErrorModel::new(400, format!("the cursor is {state}: open one with bulk_rerun_select"))
    })?;
    if cursor.pid != process::id() {
        let detail = "the cursor was opened before this process was forked off: open one here";
        return Err(ErrorModel::new(409, detail));
    }
    Ok(cursor)
}

/// Closes a cursor. Another thread that is waiting for its next run still gets that; later ones get an error.
/// NULL is fine, and so is one that is closed already.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub extern "C" fn bulk_rerun_cursor_close(cursor: *mut CursorHandle) {
    boundary::quietly("bulk_rerun_cursor_close", || drop(OPEN.take(cursor)));
}
