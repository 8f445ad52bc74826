//! The SQLite extension: `SELECT bulk_rerun(request [, config])` works in the caller's own connection
//! and transaction.
//!
//! The same `libbulk_rerun.so` is a shared library for C and an extension for SQLite
//! (`SELECT load_extension('libbulk_rerun')`). As an extension it is at home in any copy of SQLite,
//! since it uses the one that loads it.

use std::ffi::{c_char, c_int};
use std::fmt::Display;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use rusqlite::ffi::{self, sqlite3, sqlite3_api_routines};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use serde_json::Value;

use crate::capi::boundary;
use crate::catalogue::Catalogue;
use crate::contract::{Config, ErrorModel, Request};
use crate::host::sqlite::{CallersStore, binding, functions};
use crate::host::{self, check_is_not_the_store};
use crate::operation;

/// What SQLite calls when it loads the extension. It stays loaded: connections hold pointers to its function.
///
/// # Safety
///
/// To be called by SQLite alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_bulkrerun_init(
    db: *mut sqlite3,
    message: *mut *mut c_char,
    api: *mut sqlite3_api_routines,
) -> c_int {
    let registered = boundary::guard("sqlite3_bulkrerun_init", || {
        // SAFETY: SQLite hands over its table of functions.
        unsafe { binding::bind_to_the_loader(api) }.map_err(|error| failed(&error))?;
        // SAFETY: SQLite hands over the connection that loads us, which stays the caller's: it isn't closed here.
        let connection = unsafe { Connection::from_handle(db) }.map_err(|error| failed(&error))?;
        register(&connection).map_err(|error| failed(&error))
    });
    let Err(error) = registered else { return ffi::SQLITE_OK_LOAD_PERMANENTLY };
    // SAFETY: as SQLite hands them over; a message is to be in memory of SQLite's own.
    unsafe { tell(&error.detail, message, api) };
    ffi::SQLITE_ERROR
}

fn failed(error: &dyn Display) -> ErrorModel {
    ErrorModel::new(500, error.to_string())
}

/// Puts an error's words where SQLite looks for them.
///
/// # Safety
///
/// `message` is where a pointer may be written, or NULL; `api` is SQLite's table of functions, or NULL.
unsafe fn tell(why: &str, message: *mut *mut c_char, api: *mut sqlite3_api_routines) {
    if message.is_null() || api.is_null() {
        return;
    }
    // SAFETY: the table has this function since SQLite 3.0, whatever its version.
    let Some(malloc) = (unsafe { (*api).malloc }) else { return };
    let Ok(size) = c_int::try_from(why.len() + 1) else { return };
    // SAFETY: `size` bytes are asked for, and as many are written when they are given: the words and a NUL.
    unsafe {
        let words = malloc(size).cast::<u8>();
        if !words.is_null() {
            ptr::copy_nonoverlapping(why.as_ptr(), words, why.len());
            words.add(why.len()).write(0);
            message.write(words.cast());
        }
    }
}

/// Not for views and triggers, which may come with a foreign file: a statement has to name it itself.
fn register(connection: &Connection) -> rusqlite::Result<()> {
    functions::register(connection)?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    let busy = Arc::new(AtomicBool::new(false));
    // The functions go when the connection is closed, and with them this.
    let loader = Arc::new(binding::trust_the_file_of(connection));
    for arguments in [1, 2] {
        let (busy, loader) = (Arc::clone(&busy), Arc::clone(&loader));
        connection.create_scalar_function("bulk_rerun", arguments, flags, move |context| {
            let _held = &loader;
            let answer = boundary::guard("bulk_rerun", || alone(&busy, || call(context)));
            Ok(answer.unwrap_or_else(|error| error.to_json()))
        })?;
    }
    Ok(())
}

/// A profile's own statements can name the function too, and it would call itself.
fn alone<T>(busy: &AtomicBool, work: impl FnOnce() -> Result<T, ErrorModel>) -> Result<T, ErrorModel> {
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(false, Ordering::Relaxed);
        }
    }
    if busy.swap(true, Ordering::Relaxed) {
        return Err(ErrorModel::new(500, "bulk_rerun was called from within itself; nothing was changed"));
    }
    let _done = Done(busy);
    work()
}

/// The operation on the caller's connection: JSON in, JSON out.
fn call(context: &Context<'_>) -> Result<String, ErrorModel> {
    let request = Request::from_json(&argument(context, 0))?;
    let config = match context.len() {
        2 if context.get_raw(1) != ValueRef::Null => config(&argument(context, 1))?,
        _ => config(b"{}")?,
    };
    // SAFETY: the connection is used by this thread alone, and not after this call.
    let connection = unsafe { context.get_connection() }
        .map_err(|error| ErrorModel::new(500, format!("the connection can't be used: {error}")))?;
    for file in config.files() {
        check_is_not_the_store(Path::new(connection.path().unwrap_or_default()), file)?;
    }
    let profile = host::load(&config)?;
    let catalogue = config.tasks.as_deref().map(Catalogue::read).transpose()?;
    let store = CallersStore::new(&connection, profile)?;
    let mut session = store.session(&connection)?;
    if config.ledger {
        operation::ledger::create_in(&mut *session)?;
    }
    let body = operation::rerun_in(&mut *session, catalogue.as_ref(), &config.caller, &request, None, None)?;
    Ok(body.to_json(request.spelling.unwrap_or(config.wire)))
}

/// An argument's bytes. What is no text is no JSON either, and is told so like any other bad request.
fn argument(context: &Context<'_>, index: usize) -> Vec<u8> {
    match context.get_raw(index) {
        ValueRef::Null => Vec::new(),
        ValueRef::Integer(number) => number.to_string().into_bytes(),
        ValueRef::Real(number) => number.to_string().into_bytes(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
    }
}

/// A config without what the connection itself decides.
fn config(json: &[u8]) -> Result<Config, ErrorModel> {
    let config = Config::from_json(json)?.through("sqlite");
    if let Ok(Value::Object(given)) = serde_json::from_slice(json) {
        let decided = ["store", "replica", "busy_timeout_ms", "busyTimeoutMs", "via", "sqlite"];
        if let Some((name, value)) =
            given.iter().find(|(name, value)| decided.contains(&name.as_str()) && !value.is_null())
        {
            let message = "the store is this connection's main database, with its own settings; drop the field";
            return Err(ErrorModel::violation(&format!("config.{name}"), message.to_owned(), value.clone()));
        }
    }
    Ok(config)
}
