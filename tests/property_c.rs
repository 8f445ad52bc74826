//! The same cases through the C ABI: the shared library, loaded by this process.
//!
//! The library uses the system's SQLite, and this process looks at the store with one of its own. Two copies of SQLite on
//! one file lose each other's locks, so each closes the store before the other opens it.

mod support;

#[path = "support/library.rs"]
#[allow(dead_code, reason = "the programs' tests use the rest")]
mod library;

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use libloading::{Library, Symbol};
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::{Value as Json, json};

use support::model::Request;
use support::own::OwnStore;
use support::own::case::{Case, Door, check, in_rounds};

type Keep = extern "C" fn(*mut c_void, *const c_char) -> i32;

/// `include/bulk_rerun.h`, as far as it is called here.
struct Abi<'l> {
    open: Symbol<'l, unsafe extern "C" fn(*const c_char, *mut *mut c_char) -> *mut c_void>,
    call_where: Symbol<'l, unsafe extern "C" fn(*mut c_void, *const c_char, Keep, *mut c_void) -> *mut c_char>,
    call: Symbol<'l, unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_char>,
    free: Symbol<'l, unsafe extern "C" fn(*mut c_char)>,
    close: Symbol<'l, unsafe extern "C" fn(*mut c_void)>,
}

impl<'l> Abi<'l> {
    fn of(library: &'l Library) -> Abi<'l> {
        // SAFETY: the types are those of the header that the library is installed with.
        unsafe {
            Abi {
                open: library.get(b"bulk_rerun_open\0").unwrap(),
                call_where: library.get(b"bulk_rerun_call_where\0").unwrap(),
                call: library.get(b"bulk_rerun_call\0").unwrap(),
                free: library.get(b"bulk_rerun_string_free\0").unwrap(),
                close: library.get(b"bulk_rerun_close\0").unwrap(),
            }
        }
    }

    /// A text that the library has handed over, which is freed.
    fn taken(&self, text: *mut c_char) -> String {
        // SAFETY: the library's own text, which ends with a NUL and is freed once.
        unsafe {
            let copy = CStr::from_ptr(text).to_str().unwrap().to_owned();
            (self.free)(text);
            copy
        }
    }
}

/// Keeps a run unless it has the end reason that the context names.
extern "C" fn keep(context: *mut c_void, run: *const c_char) -> i32 {
    // SAFETY: the context is the string that `call` handed over with this function, the run a text of the library's.
    let (dropped, run) = unsafe { (&*context.cast::<String>(), CStr::from_ptr(run)) };
    let run: Json = serde_json::from_slice(run.to_bytes()).unwrap();
    i32::from(run["end_reason"] != **dropped)
}

struct C<'l> {
    abi: &'l Abi<'l>,
    store: &'l OwnStore,
}

impl Door for C<'_> {
    fn call(&self, request: &Request, options: Json, _: &mut dyn FnMut()) -> Json {
        let config = json!({"store": self.store.path, "profile": self.store.profile, "busy_timeout_ms": 500});
        let config = CString::new(config.to_string()).unwrap();
        let text = CString::new(request.to_json(options).to_string()).unwrap();
        let mut error = ptr::null_mut();
        // SAFETY: texts that end with a NUL, a plugin that is open, and a context that outlives the call.
        let answer = unsafe {
            let plugin = (self.abi.open)(config.as_ptr(), &mut error);
            if plugin.is_null() {
                return serde_json::from_str(&self.abi.taken(error)).unwrap();
            }
            let answer = match &request.dropped_reason {
                Some(reason) => {
                    (self.abi.call_where)(plugin, text.as_ptr(), keep, ptr::from_ref(reason).cast_mut().cast())
                }
                None => (self.abi.call)(plugin, text.as_ptr()),
            };
            let answer = self.abi.taken(answer);
            (self.abi.close)(plugin);
            answer
        };
        serde_json::from_str(&answer).unwrap()
    }

    fn host(&self, with: &mut dyn FnMut(&Connection)) {
        with(&self.store.connect());
    }
}

#[test]
fn the_c_abi_answers_as_the_model_does() {
    // SAFETY: the library runs no code when it is loaded.
    let library = unsafe { Library::new(library::Installed::get().lib().join("libbulk_rerun.so")) }.unwrap();
    let abi = Abi::of(&library);
    in_rounds(400, |runner, cases| {
        let cases = cases.prop_map(|case| Case { meanwhile: Vec::new(), ..case });
        let done = runner.run(&cases, |case| {
            let store = OwnStore::new(case.shape);
            check(&store, &C { abi: &abi, store: &store }, &case).map_err(TestCaseError::fail)
        });
        done.unwrap_or_else(|error| panic!("{error}"));
    });
}
