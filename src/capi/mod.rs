//! The C ABI: the door for hosts in any language that can load a library.
//!
//! `include/bulk_rerun.h` is made from these files, comments included, so they are written for a
//! reader of C. There is one file for each thing that C sees; every exported function is one call
//! of `boundary.rs`, through which no panic gets out.
//!
//! Names are exported with the feature `capi` alone. A library with a SQLite compiled in (as `lua` makes these
//! functions a part of the command line tool) must not be taken for the one that a host may load.

pub(crate) mod boundary;
#[cfg(feature = "lua")]
mod by_name;
mod callback;
mod cancel;
mod cursor;
mod default;
mod handles;
mod host;
mod in_flight;
#[cfg(feature = "capi")]
mod log;
mod operations;
mod plugin;
mod run;
mod strings;
mod version;

#[cfg(feature = "lua")]
pub use by_name::function;
pub use callback::{ReplyHandle, SinkHandle, bulk_rerun_emit, bulk_rerun_reply_set};
pub use cancel::{
    CancelHandle, bulk_rerun_call_unless, bulk_rerun_cancel_free, bulk_rerun_cancel_new, bulk_rerun_cancel_now,
};
pub use cursor::{
    CursorHandle, bulk_rerun_cursor_close, bulk_rerun_cursor_next, bulk_rerun_cursor_run, bulk_rerun_select,
};
pub use default::{bulk_rerun, bulk_rerun_configure};
pub use host::{BULK_RERUN_HEEDS_DUE, HostTable, bulk_rerun_attach};
#[cfg(feature = "capi")]
pub use log::{
    BULK_RERUN_LOG_DEBUG, BULK_RERUN_LOG_ERROR, BULK_RERUN_LOG_INFO, BULK_RERUN_LOG_TRACE, BULK_RERUN_LOG_WARN,
    bulk_rerun_set_log,
};
pub use operations::{bulk_rerun_operations, bulk_rerun_undo};
pub use plugin::{
    PluginHandle, bulk_rerun_call, bulk_rerun_call_where, bulk_rerun_call_where_run, bulk_rerun_close, bulk_rerun_open,
};
pub use run::{BULK_RERUN_HAS_EXIT_CODE, BULK_RERUN_HAS_IS_FAILURE, BULK_RERUN_HAS_RETRY_ATTEMPT, LentRun, LentText};
pub use strings::{bulk_rerun_is_error, bulk_rerun_string_free};
pub use version::{BULK_RERUN_ABI_VERSION, bulk_rerun_abi_version, bulk_rerun_version};
