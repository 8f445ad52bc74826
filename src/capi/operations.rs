//! What the ledger has, and undoing it, as C asks for it.

use std::ffi::c_char;

use super::plugin::{PluginHandle, enter};
use super::{boundary, strings};

/// The re-runs that the store's ledger has, newest first: `{"operations": [...]}`. The query says which: `limit`
/// (50 if absent), `before` (the id of the last operation of the page before), `created_after`, and `run_id`
/// (those that spawned this run, or re-ran it); `{}` asks for the newest of all.
///
/// `{"operation_id": "..."}` asks for one operation, with its new `runs`, where each of them stands now, and
/// `states`: how many stand where. To wait for their end, ask again now and then; without a ledger, open a cursor
/// over the ids that the re-run has answered. Returns JSON in any case, which you free; an ErrorModel (404) where
/// there is no ledger, or no such operation.
///
/// ```c
/// char *page = bulk_rerun_operations(plugin, "{\"limit\": 10}");
/// fputs(page, bulk_rerun_is_error(page) ? stderr : stdout);
/// bulk_rerun_string_free(page);
/// ```
///
/// # Safety
///
/// `plugin` is NULL or open. `query_json` is NULL or ends with a NUL.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_operations(plugin: *mut PluginHandle, query_json: *const c_char) -> *mut c_char {
    boundary::answer("bulk_rerun_operations", || {
        // SAFETY: as the caller promises.
        let (call, query) = unsafe { (enter(plugin)?, strings::read(query_json)) };
        call.plugin().call_operations(query)
    })
}

/// Takes back what no worker has begun of an operation (`{"operation_id": "..."}`), in one transaction:
/// `{"undone": [...], "kept": [...]}`, each with `task_name` and `run_id`, those that are kept with where they
/// stand. A second undo finds nothing left to do. Returns JSON in any case, which you free; an ErrorModel where
/// there is no ledger or no such operation (404), or the host can't take a run back (422).
///
/// ```c
/// char *undone = bulk_rerun_undo(plugin, "{\"operation_id\": \"01JRX3M7ZD7Q8M5T8E2Y9V4B6C\"}");
/// fputs(undone, bulk_rerun_is_error(undone) ? stderr : stdout);
/// bulk_rerun_string_free(undone);
/// ```
///
/// # Safety
///
/// `plugin` is NULL or open. `request_json` is NULL or ends with a NUL.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_undo(plugin: *mut PluginHandle, request_json: *const c_char) -> *mut c_char {
    boundary::answer("bulk_rerun_undo", || {
        // SAFETY: as the caller promises.
        let (call, request) = unsafe { (enter(plugin)?, strings::read(request_json)) };
        call.plugin().call_undo(request)
    })
}
