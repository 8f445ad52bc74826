//! The process's default plugin.

use std::ffi::c_char;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::plugin::PluginHandle;
use super::{boundary, strings};
use crate::contract::{Config, ErrorModel};
use crate::plugin::Plugin;

static DEFAULT: Mutex<Default<PluginHandle>> = Mutex::new(Default::FromEnvironment);

/// Which plugin `bulk_rerun` calls.
enum Default<P> {
    /// The one that the environment names, opened on first use.
    FromEnvironment,
    Open(Arc<P>),
    /// None, until another is configured.
    Closed,
}

/// The lock is held for a moment only: opening and closing a plugin may take for ever, if its server is silent.
fn lock<P>(default: &Mutex<Default<P>>) -> MutexGuard<'_, Default<P>> {
    default.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The default plugin. Of several callers who open it at once, the first one to be done sets it for all, unless another was
/// configured meanwhile.
fn get<P>(default: &Mutex<Default<P>>, open: impl FnOnce() -> Result<P, ErrorModel>) -> Result<Arc<P>, ErrorModel> {
    let known = |default: &Default<P>| match default {
        Default::FromEnvironment => None,
        Default::Open(plugin) => Some(Ok(Arc::clone(plugin))),
        Default::Closed => {
            Some(Err(ErrorModel::new(500, "the default plugin is closed: set one with bulk_rerun_configure")))
        }
    };
    if let Some(known) = known(&lock(default)) {
        return known;
    }
    let opened = open().map(Arc::new);
    let mut default = lock(default);
    known(&default).unwrap_or_else(|| {
        let opened = opened.as_ref().map_err(ErrorModel::clone)?;
        *default = Default::Open(Arc::clone(opened));
        Ok(Arc::clone(opened))
    })
}

/// What the environment says; a store at least.
fn from_env() -> Result<Config, ErrorModel> {
    let config = Config::from_env()?.through("c");
    if config.store.is_empty() {
        let detail = "no store is named: set BULK_RERUN_STORE in the environment to the path of the runner's database \
                      (or to postgres://…), or call bulk_rerun_configure first";
        return Err(ErrorModel::new(500, detail));
    }
    Ok(config)
}

/// As `bulk_rerun_call`, with the process's default plugin: the one that `bulk_rerun_configure` set,
/// else one over the store that BULK_RERUN_STORE names, opened on first use. Never returns NULL.
///
/// ```c
/// char *answer = bulk_rerun("{\"ids\": [\"01JRX3M7ZD7Q8M5T8E2Y9V4B6C\"]}");
/// puts(answer);
/// bulk_rerun_string_free(answer);
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
        let plugin = get(&DEFAULT, || Ok(PluginHandle::new(Plugin::open(&from_env()?)?)))?;
        plugin.enter().plugin().call(request)
    })
}

/// Sets the process's default plugin. Returns 0, or -1 with an error in `*error_json`; the default is
/// then what it was. A default that was set before is closed when the last call on it is over. NULL
/// as the config closes the default; `bulk_rerun` then answers an error until another is set.
///
/// ```c
/// char *error = NULL;
/// if (bulk_rerun_configure("{\"store\": \"runs.db\"}", &error) != 0) {
///     puts(error);
///     bulk_rerun_string_free(error);
/// }
/// ```
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
                    let config = Config::from_json(strings::read(config_json))?.through("c");
                    Default::Open(Arc::new(PluginHandle::new(Plugin::open(&config)?)))
                }
            };
            let old = mem::replace(&mut *lock(&DEFAULT), new);
            drop(old);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn two_that_open_it_at_once_have_one_plugin() {
        let default = Mutex::new(Default::FromEnvironment);
        let both_open = Barrier::new(2);
        let plugin = |name| {
            get(&default, || {
                both_open.wait();
                Ok(name)
            })
        };
        let [one, other] = thread::scope(|scope| {
            let callers = ["one", "other"].map(|name| scope.spawn(move || plugin(name)));
            callers.map(|caller| caller.join().expect("no panic").expect("a plugin"))
        });
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(Arc::strong_count(&one), 3, "it is kept for the next one");
    }

    #[test]
    fn what_goes_wrong_while_it_is_opened_is_the_callers_own() {
        let default = Mutex::new(Default::FromEnvironment);
        let panics = || get(&default, || panic!("while it is opened"));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert!(get(&default, || Err(ErrorModel::new(503, "busy"))).is_err());
        assert_eq!(*get(&default, || Ok("plugin")).expect("a plugin"), "plugin");
    }

    #[test]
    fn one_that_is_configured_meanwhile_stays() {
        let default = Mutex::new(Default::FromEnvironment);
        let configured = || *lock(&default) = Default::Open(Arc::new("configured"));
        for opened in [Ok("environment"), Err(ErrorModel::new(503, "silent"))] {
            let open = || {
                configured();
                opened
            };
            assert_eq!(*get(&default, open).expect("a plugin"), "configured");
        }
        *lock(&default) = Default::FromEnvironment;
        let closed = get(&default, || {
            *lock(&default) = Default::Closed;
            Ok("environment")
        });
        assert!(closed.unwrap_err().detail.contains("closed"));
    }
}
