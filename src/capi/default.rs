//! The process's default plugin.

use std::ffi::c_char;
use std::sync::{Arc, Mutex, PoisonError};

use super::plugin::{Call, PluginHandle};
use super::{boundary, strings};
use crate::contract::{Config, ErrorModel};
use crate::plugin::Plugin;

static DEFAULT: Mutex<Default> = Mutex::new(Default::FromEnvironment);

/// Which plugin `bulk_rerun` calls.
enum Default {
    /// The one that the environment names, opened on first use.
    FromEnvironment,
    Open(Arc<PluginHandle>),
    /// None, until another is configured.
    Closed,
}

fn lock() -> std::sync::MutexGuard<'static, Default> {
    DEFAULT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The default plugin, and a call on it.
fn enter() -> Result<(Arc<PluginHandle>, Call), ErrorModel> {
    let mut default = lock();
    if let Default::FromEnvironment = *default {
        *default = Default::Open(Arc::new(PluginHandle::new(Plugin::open(&Config::from_env()?)?)));
    }
    match &*default {
        Default::Open(plugin) => Ok((plugin.clone(), plugin.enter())),
        _ => Err(ErrorModel::new(500, "the default plugin is closed: set one with bulk_rerun_configure")),
    }
}

/// As `bulk_rerun_call`, with the process's default plugin: the one that `bulk_rerun_configure` set,
/// else one over the store that BULK_RERUN_STORE names, opened on first use. Never returns NULL.
///
/// ```c
/// char *answer = bulk_rerun("{\"ids\": [\"01JRX3M7ZD7Q8M5T8E2Y9V4B6C\"]}");
/// ```
///
/// # Safety
///
/// `request_json` is NULL or ends with a NUL.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun(request_json: *const c_char) -> *mut c_char {
    boundary::answer("bulk_rerun", || {
        // SAFETY: as the caller promises.
        let request = unsafe { strings::read(request_json) };
        let (_plugin, call) = enter()?;
        call.plugin().call(request)
    })
}

/// Sets the process's default plugin. Returns 0, or -1 with an error in `*error_json`; the default is
/// then what it was. A default that was set before is closed when the last call on it is over. NULL
/// as the config closes the default; `bulk_rerun` then answers an error until another is set.
///
/// # Safety
///
/// `config_json` is NULL or ends with a NUL. `error_json` is NULL or can be written to.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_configure(config_json: *const c_char, error_json: *mut *mut c_char) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        boundary::status("bulk_rerun_configure", error_json, || {
            let new = match config_json.is_null() {
                true => Default::Closed,
                false => {
                    let config = Config::from_json(strings::read(config_json))?;
                    Default::Open(Arc::new(PluginHandle::new(Plugin::open(&config)?)))
                }
            };
            // Closed without the lock: it may take a while.
            let old = std::mem::replace(&mut *lock(), new);
            drop(old);
            Ok(())
        })
    }
}
