//! A caller that no longer waits, as C says it.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::handles::{Handles, next_number};
use super::plugin::{self, PluginHandle};
use super::{boundary, strings};
use crate::cancel::Cancel;
use crate::contract::{ErrorModel, Request};

/// Stops the calls that it was handed to. Good for one call or for many.
#[derive(Default)]
pub struct CancelHandle(Mutex<State>);

#[derive(Default)]
struct State {
    /// Each call that begins from now on is stopped.
    is_cancelled: bool,
    /// The calls at work.
    calls: BTreeMap<usize, Cancel>,
}

static OPEN: Handles<CancelHandle> = Handles::new();

impl CancelHandle {
    /// Does `work`, which the handle stops for as long as it can be stopped.
    fn watch<T>(&self, work: impl FnOnce(&Cancel) -> T) -> T {
        struct Watched<'h>(&'h CancelHandle, usize);
        impl Drop for Watched<'_> {
            fn drop(&mut self) {
                self.0.state().calls.remove(&self.1);
            }
        }
        let (cancel, number) = (Cancel::new(), next_number());
        let mut state = self.state();
        if state.is_cancelled {
            cancel.cancel();
        }
        state.calls.insert(number, cancel.clone());
        drop(state);
        let _watched = Watched(self, number);
        work(&cancel)
    }

    fn cancel(&self) {
        let mut state = self.state();
        state.is_cancelled = true;
        let calls: Vec<Cancel> = state.calls.values().cloned().collect();
        // Stopping one may wait for its server, and no other call is kept waiting for that.
        drop(state);
        for call in calls {
            call.cancel();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For `bulk_rerun_call_unless`: what another thread stops the call with. Free it with
/// `bulk_rerun_cancel_free`.
///
/// ```c
/// bulk_rerun_cancel *cancel = bulk_rerun_cancel_new();
/// pthread_t impatient;
/// if (pthread_create(&impatient, NULL, stop_after_a_while, cancel) == 0) {
///     char *answer = bulk_rerun_call_unless(plugin, request, cancel);
///     puts(answer);
///     bulk_rerun_string_free(answer);
///     pthread_join(impatient, NULL);
/// }
/// bulk_rerun_cancel_free(cancel);
/// ```
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub extern "C" fn bulk_rerun_cancel_new() -> *mut CancelHandle {
    let cancel = boundary::quietly("bulk_rerun_cancel_new", || OPEN.give(CancelHandle::default()));
    cancel.unwrap_or(std::ptr::null_mut())
}

/// Stops the calls that have this handle, from any thread: those at work, as long as they only search, and
/// all that begin later. What spawns completes. Calls with another handle, or with none, are not touched. May
/// wait for the store's server, where the store has one; not for a signal handler. NULL is fine.
///
/// ```c
/// static void *stop_after_a_while(void *cancel) {
///     sleep(1);
///     bulk_rerun_cancel_now((bulk_rerun_cancel *)cancel);
///     return NULL;
/// }
/// ```
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub extern "C" fn bulk_rerun_cancel_now(cancel: *mut CancelHandle) {
    boundary::quietly("bulk_rerun_cancel_now", || {
        if let Some(cancel) = OPEN.find(cancel) {
            cancel.cancel();
        }
    });
}

/// Frees such a handle. A call at work with it goes on. NULL is fine, and so is one that is freed already.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub extern "C" fn bulk_rerun_cancel_free(cancel: *mut CancelHandle) {
    boundary::quietly("bulk_rerun_cancel_free", || drop(OPEN.take(cancel)));
}

/// As `bulk_rerun_call`, unless it is cancelled before it spawns: then it answers an error (503) that says
/// so, and has changed nothing. With NULL as `cancel` it is `bulk_rerun_call`.
///
/// # Safety
///
/// `plugin` is NULL or open. `request_json` is NULL or ends with a NUL.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_call_unless(
    plugin: *mut PluginHandle,
    request_json: *const c_char,
    cancel: *mut CancelHandle,
) -> *mut c_char {
    boundary::answer("bulk_rerun_call_unless", || {
        // SAFETY: as the caller promises.
        let (call, request) = unsafe { (plugin::enter(plugin)?, strings::read(request_json)) };
        if cancel.is_null() {
            return call.plugin().call(request);
        }
        let cancel = OPEN.find(cancel).ok_or_else(|| {
            ErrorModel::new(400, "the cancel is freed already, or is none: make one with bulk_rerun_cancel_new")
        })?;
        let request = Request::from_json(request)?;
        let body = cancel.watch(|cancel| call.plugin().rerun_unless(cancel, &request))?;
        Ok(body.to_json(call.plugin().spelling_of(&request)))
    })
}
