//! A plugin, as C holds it.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::in_flight::{Calls, InFlight};
use super::run::LentRun;
use super::{boundary, strings};
use crate::contract::{Config, ErrorModel, Run, RunText};
use crate::plugin::Plugin;

/// A plugin over one store, or over one host's callbacks. Any number of threads may call it at once.
pub struct PluginHandle {
    plugin: Plugin,
    calls: Arc<Calls>,
}

/// A call at work. While it lives, the plugin is not closed.
pub(super) struct Call {
    // No reference: the plugin may be gone by the time that the call has said that it is over.
    plugin: *const Plugin,
    _in_flight: InFlight,
}

impl Call {
    pub(super) fn plugin(&self) -> &Plugin {
        // SAFETY: closing waits for the call that this is.
        unsafe { &*self.plugin }
    }
}

impl PluginHandle {
    pub(super) fn new(plugin: Plugin) -> PluginHandle {
        PluginHandle { plugin, calls: Arc::default() }
    }

    /// A handle that C owns from now on.
    pub(super) fn give(plugin: Plugin) -> *mut PluginHandle {
        Box::into_raw(Box::new(PluginHandle::new(plugin)))
    }

    /// Starts a call.
    pub(super) fn enter(&self) -> Call {
        Call { plugin: &self.plugin, _in_flight: self.calls.enter() }
    }
}

/// Starts a call on a handle of C's.
///
/// # Safety
///
/// `plugin` is NULL or an open handle.
pub(super) unsafe fn enter(plugin: *const PluginHandle) -> Result<Call, ErrorModel> {
    if plugin.is_null() {
        return Err(ErrorModel::new(400, "the plugin is NULL: open one with bulk_rerun_open or bulk_rerun_attach"));
    }
    // SAFETY: it is not NULL, so it is open.
    Ok(unsafe { &*plugin }.enter())
}

/// Opens a plugin over a store: `{"store": "/var/lib/runner/runs.db"}`. What the config does not say
/// is taken from the environment (BULK_RERUN_STORE, _REPLICA, _PROFILE, _PARAMETERS, _TASKS, _LEDGER); `{}` is the
/// environment alone. `replica` is a standby of the store's PostgreSQL server, which searches read in its place. `parameters` sets those that the profile declares: `{"profile": "mine.toml", "parameters": {"queue": "mail"}}`.
/// With `"via": "daemon"` a live RunWisp is asked on its socket to start the new runs, one by one and at once: an error
/// then lists in `triggered` what was started before it.
/// Returns NULL if that fails, and an error in `*error_json`.
///
/// ```c
/// char *error = NULL;
/// bulk_rerun_plugin *runs = bulk_rerun_open("{\"store\": \"runs.db\"}", &error);
/// if (runs == NULL) {
///     fprintf(stderr, "%s\n", error);
///     bulk_rerun_string_free(error);
/// }
/// bulk_rerun_close(runs);
/// ```
///
/// # Safety
///
/// `config_json` is NULL or ends with a NUL. `error_json` is NULL or can be written to.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_open(
    config_json: *const c_char,
    error_json: *mut *mut c_char,
) -> *mut PluginHandle {
    // SAFETY: as the caller promises.
    unsafe {
        boundary::pointer("bulk_rerun_open", error_json, || {
            let config = Config::from_json(strings::read(config_json))?.through("c");
            Ok(PluginHandle::give(Plugin::open(&config)?))
        })
    }
}

/// Re-runs what the request selects. Returns JSON in any case, a BulkRerunBody or an ErrorModel,
/// which you free. `bulk_rerun_is_error` tells the two apart. With an `idempotency_key` in its options, which
/// needs the ledger, the same request spawns once, however often you send it.
///
/// ```c
/// char *answer = bulk_rerun_call(plugin, "{\"match_all\": true, \"filter\": {\"status\": \"failed\"}}");
/// fputs(answer, bulk_rerun_is_error(answer) ? stderr : stdout);
/// bulk_rerun_string_free(answer);
/// ```
///
/// # Safety
///
/// `plugin` is NULL or open. `request_json` is NULL or ends with a NUL.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_call(plugin: *mut PluginHandle, request_json: *const c_char) -> *mut c_char {
    boundary::answer("bulk_rerun_call", || {
        // SAFETY: as the caller promises.
        let (call, request) = unsafe { (enter(plugin)?, strings::read(request_json)) };
        call.plugin().call(request)
    })
}

/// As `bulk_rerun_call`, with a say of yours on each run that matched, before the runs are grouped:
/// exactly 1 keeps it, and 0 drops it. Any other number fails the call, and nothing is spawned: what a
/// language's binding returns for a callback that threw may be any number. So catch what yours may throw, and
/// return -1. (Python's ctypes returns what happens to be in memory, and cffi 0, unless the callback is made
/// with `error=-1`.)
///
/// ```c
/// static int32_t not_killed(void *context, const char *run_json) {
///     (void)context;
///     return strstr(run_json, "\"exit_code\":137") == NULL;
/// }
/// ```
///
/// ```c
/// char *answer = bulk_rerun_call_where(plugin, request, not_killed, NULL);
/// puts(answer);
/// bulk_rerun_string_free(answer);
/// ```
///
/// # Safety
///
/// As for `bulk_rerun_call`. `keep` is NULL (an error) or a function; it is called on this thread,
/// before this function returns, and neither keeps nor frees `run_json`.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_call_where(
    plugin: *mut PluginHandle,
    request_json: *const c_char,
    keep: Option<unsafe extern "C" fn(context: *mut c_void, run_json: *const c_char) -> i32>,
    context: *mut c_void,
) -> *mut c_char {
    boundary::answer("bulk_rerun_call_where", || {
        let keep = keep.ok_or_else(|| ErrorModel::new(400, "keep is NULL: give a function, or use bulk_rerun_call"))?;
        // SAFETY: as the caller promises.
        let (call, request) = unsafe { (enter(plugin)?, strings::read(request_json)) };
        call.plugin().call_where(request, &mut |run: &Run| {
            let json = strings::lend(run.to_json());
            // SAFETY: a function of the host's, called as it was declared.
            judged(unsafe { keep(context, json.as_ptr()) }, run)
        })
    })
}

/// As `bulk_rerun_call_where`, for who judges many: no JSON is made of a run. Its texts are yours to look at until `keep`
/// returns.
///
/// ```c
/// static int32_t not_killed_either(void *context, const bulk_rerun_run *run) {
///     (void)context;
///     return !((run->has & BULK_RERUN_HAS_EXIT_CODE) && run->exit_code == 137);
/// }
/// ```
///
/// ```c
/// char *answer = bulk_rerun_call_where_run(plugin, request, not_killed_either, NULL);
/// puts(answer);
/// bulk_rerun_string_free(answer);
/// ```
///
/// # Safety
///
/// As for `bulk_rerun_call_where`.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_call_where_run(
    plugin: *mut PluginHandle,
    request_json: *const c_char,
    keep: Option<unsafe extern "C" fn(context: *mut c_void, run: *const LentRun) -> i32>,
    context: *mut c_void,
) -> *mut c_char {
    boundary::answer("bulk_rerun_call_where_run", || {
        let keep = keep.ok_or_else(|| ErrorModel::new(400, "keep is NULL: give a function, or use bulk_rerun_call"))?;
        // SAFETY: as the caller promises.
        let (call, request) = unsafe { (enter(plugin)?, strings::read(request_json)) };
        call.plugin().call_where(request, &mut |run: &Run| {
            let text = RunText::of(run);
            // SAFETY: a function of the host's, called as it was declared; the texts stay until it returns.
            judged(unsafe { keep(context, &LentRun::of(&text)) }, run)
        })
    })
}

/// What a predicate has said of a run.
fn judged(said: i32, run: &Run) -> Result<bool, ErrorModel> {
    match said {
        0 => Ok(false),
        1 => Ok(true),
        other => {
            let told = format!("the predicate returned {other} at run `{}`, neither 1 nor 0", run.id);
            Err(ErrorModel::new(500, told + "; nothing was spawned"))
        }
    }
}

/// Closes a plugin. Waits for the calls that are at work on it; no other may begin. NULL is fine.
/// From within a callback of a call on the same plugin it does nothing, since it would wait for
/// itself: close it when that call has returned.
///
/// # Safety
///
/// `plugin` is NULL or open, and is not used after this.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_close(plugin: *mut PluginHandle) {
    boundary::quietly("bulk_rerun_close", || {
        // SAFETY: it is NULL or open.
        if unsafe { plugin.as_ref() }.is_some_and(|plugin| plugin.calls.wait()) {
            // SAFETY: it came from `Box::into_raw`, and no call is at work on it.
            drop(unsafe { Box::from_raw(plugin) });
        }
    });
}
