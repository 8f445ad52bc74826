//! The functions by their names, for the tool's own Lua, which has them compiled in.

use std::ffi::{CStr, c_void};

use super::*;

/// The function that the header declares under this name, if the Lua API calls it.
pub fn function(name: &CStr) -> Option<*const c_void> {
    let function = match name.to_bytes() {
        b"bulk_rerun_open" => bulk_rerun_open as *const c_void,
        b"bulk_rerun_attach" => bulk_rerun_attach as *const c_void,
        b"bulk_rerun_close" => bulk_rerun_close as *const c_void,
        b"bulk_rerun_call" => bulk_rerun_call as *const c_void,
        b"bulk_rerun_call_where_run" => bulk_rerun_call_where_run as *const c_void,
        b"bulk_rerun_call_where" => bulk_rerun_call_where as *const c_void,
        b"bulk_rerun_select" => bulk_rerun_select as *const c_void,
        b"bulk_rerun_cursor_next" => bulk_rerun_cursor_next as *const c_void,
        b"bulk_rerun_cursor_run" => bulk_rerun_cursor_run as *const c_void,
        b"bulk_rerun_cursor_close" => bulk_rerun_cursor_close as *const c_void,
        b"bulk_rerun_operations" => bulk_rerun_operations as *const c_void,
        b"bulk_rerun_undo" => bulk_rerun_undo as *const c_void,
        b"bulk_rerun_emit" => bulk_rerun_emit as *const c_void,
        b"bulk_rerun_reply_set" => bulk_rerun_reply_set as *const c_void,
        b"bulk_rerun_string_free" => bulk_rerun_string_free as *const c_void,
        b"bulk_rerun_version" => bulk_rerun_version as *const c_void,
        _ => return None,
    };
    Some(function)
}
