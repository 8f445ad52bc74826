//! A host that hands its runs over and starts them itself: its table of callbacks, and what a callback
//! answers with.

use std::ffi::{c_char, c_void};
use std::mem::{self, MaybeUninit};
use std::{ptr, str};

use serde::Deserialize;

use super::plugin::PluginHandle;
use super::version::BULK_RERUN_ABI_VERSION;
use super::{boundary, strings};
use crate::contract::{Config, ErrorModel};
use crate::host::HostError;
use crate::host::callbacks::{self, HostCallbacks};
use crate::plugin::Plugin;

/// A host's callbacks. Every one returns 0 if it succeeded; anything else fails the call. They are
/// called on the thread that called the plugin, so from several threads at once if you call it from
/// several.
///
/// ```c
/// bulk_rerun_host host = {0};
/// host.struct_size = sizeof host;
/// host.abi_version = BULK_RERUN_ABI_VERSION;
/// host.context = &my_runner;
/// host.runs = my_runs;
/// host.spawn = my_spawn;
/// ```
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HostTable {
    /// `sizeof(bulk_rerun_host)`. Later versions of the library may add fields at the end.
    pub struct_size: usize,
    /// `BULK_RERUN_ABI_VERSION`.
    pub abi_version: u32,
    /// 0.
    pub flags: u32,
    /// Yours: it is handed to each callback as it is.
    pub context: *mut c_void,
    /// Hands each run to `bulk_rerun_emit`. The selector tells which ones are asked for; it is fine to
    /// hand over more, since the plugin checks every run again. One call may ask several times.
    pub runs: Option<unsafe extern "C" fn(context: *mut c_void, selector_json: *const c_char, sink: *mut Sink) -> i32>,
    /// Starts a run of the source run's task, with the source run's parameters, and tells what became
    /// of it with `bulk_rerun_reply_set`.
    pub spawn:
        Option<unsafe extern "C" fn(context: *mut c_void, source_run_json: *const c_char, reply: *mut Reply) -> i32>,
    /// Begins a transaction. `begin`, `commit` and `rollback` are all set or all NULL; without them,
    /// an error names the runs that were spawned before it.
    pub begin: Option<unsafe extern "C" fn(context: *mut c_void) -> i32>,
    /// Makes what was spawned since `begin` last.
    pub commit: Option<unsafe extern "C" fn(context: *mut c_void) -> i32>,
    /// Takes back what was spawned since `begin`.
    pub rollback: Option<unsafe extern "C" fn(context: *mut c_void) -> i32>,
}

// SAFETY: the header asks of a host that its callbacks, with its context, may be called from each
// thread that it calls the plugin from.
unsafe impl Send for HostTable {}
// SAFETY: as above; the table itself is never changed.
unsafe impl Sync for HostTable {}

/// Takes the runs that a `runs` callback hands over. Good until that callback returns.
pub struct Sink<'a> {
    emit: &'a mut dyn FnMut(&str) -> Result<(), HostError>,
    /// Why a run could not be taken: whether the host takes notice or not, the call fails.
    refused: Option<HostError>,
}

/// Takes what became of a run that a `spawn` callback has started. Good until that callback returns.
pub struct Reply(Option<Result<callbacks::Reply, String>>);

/// What a host may reply: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyJson {
    run_id: Option<String>,
    skipped: Option<String>,
}

impl HostCallbacks for HostTable {
    fn runs(&self, selector_json: &str, emit: &mut dyn FnMut(&str) -> Result<(), HostError>) -> Result<(), HostError> {
        let runs = self.runs.ok_or_else(|| failed("runs", "it is NULL"))?;
        let selector = strings::lend(selector_json);
        let mut sink = Sink { emit, refused: None };
        // SAFETY: a function of the host's, called as it was declared.
        let status = unsafe { runs(self.context, selector.as_ptr(), &mut sink) };
        match sink.refused {
            Some(refused) => Err(refused),
            None => check("runs", status),
        }
    }

    fn spawn(&self, source_run_json: &str) -> Result<callbacks::Reply, HostError> {
        let spawn = self.spawn.ok_or_else(|| failed("spawn", "it is NULL"))?;
        let run = strings::lend(source_run_json);
        let mut reply = Reply(None);
        // SAFETY: a function of the host's, called as it was declared.
        check("spawn", unsafe { spawn(self.context, run.as_ptr(), &mut reply) })?;
        match reply.0 {
            Some(reply) => reply.map_err(|message| failed("spawn", message)),
            None => Err(failed("spawn", "it returned 0, but never called bulk_rerun_reply_set")),
        }
    }

    fn has_transactions(&self) -> bool {
        self.begin.is_some()
    }

    fn begin(&self) -> Result<(), HostError> {
        self.transaction("begin", self.begin)
    }

    fn commit(&self) -> Result<(), HostError> {
        self.transaction("commit", self.commit)
    }

    fn rollback(&self) -> Result<(), HostError> {
        self.transaction("rollback", self.rollback)
    }
}

impl HostTable {
    fn transaction(
        &self,
        name: &'static str,
        callback: Option<unsafe extern "C" fn(context: *mut c_void) -> i32>,
    ) -> Result<(), HostError> {
        // SAFETY: a function of the host's, called as it was declared.
        callback.map_or(Ok(()), |callback| check(name, unsafe { callback(self.context) }))
    }

    /// Copies a table of the host's, however long its version of the struct is.
    ///
    /// # Safety
    ///
    /// `host` is NULL or a struct as long as its `struct_size` says.
    unsafe fn read(host: *const HostTable) -> Result<HostTable, ErrorModel> {
        let bad = |detail: String| Err(ErrorModel::new(400, detail));
        if host.is_null() {
            return bad("the host is NULL: give a bulk_rerun_host".to_owned());
        }
        // SAFETY: whatever its version, these two come first.
        let (size, version) = unsafe { ((*host).struct_size, (*host).abi_version) };
        if size < SIZE_OF_VERSION_1 {
            return bad(format!("host.struct_size is {size}: set it to sizeof(bulk_rerun_host)"));
        }
        if version != BULK_RERUN_ABI_VERSION {
            return bad(format!("host.abi_version is {version}: this library has version {BULK_RERUN_ABI_VERSION}"));
        }
        let mut table = MaybeUninit::<HostTable>::zeroed();
        // SAFETY: no longer than either side is, and all zeroes are a table without callbacks.
        let table = unsafe {
            ptr::copy_nonoverlapping(host.cast::<u8>(), table.as_mut_ptr().cast(), size.min(size_of::<HostTable>()));
            table.assume_init()
        };
        if table.flags != 0 {
            return bad(format!("host.flags is {}: this version has no flags, so set it to 0", table.flags));
        }
        if table.runs.is_none() || table.spawn.is_none() {
            return bad("host.runs and host.spawn must be set".to_owned());
        }
        let transaction = [table.begin, table.commit, table.rollback];
        if transaction.iter().any(Option::is_some) && transaction.iter().any(Option::is_none) {
            return bad("host.begin, host.commit and host.rollback must be all set or all NULL".to_owned());
        }
        Ok(table)
    }
}

/// How long the struct was when it was first published.
const SIZE_OF_VERSION_1: usize = mem::offset_of!(HostTable, rollback) + size_of::<*const c_void>();

fn check(callback: &'static str, status: i32) -> Result<(), HostError> {
    if status == 0 { Ok(()) } else { Err(failed(callback, format!("it returned {status}"))) }
}

fn failed(callback: &'static str, message: impl Into<String>) -> HostError {
    HostError::Callback { callback, message: message.into() }
}

/// Opens a plugin over a host's callbacks. The table is copied; its functions and its context must
/// stay good until the plugin is closed. Of the config only `tasks` and `wire` matter here; NULL is
/// the same as `{}`. Returns NULL if that fails, and an error in `*error_json`.
///
/// ```c
/// bulk_rerun_plugin *plugin = bulk_rerun_attach(&host, NULL, &error);
/// ```
///
/// # Safety
///
/// `host` is NULL (an error) or as long as its `struct_size` says. `config_json` is NULL or ends with
/// a NUL. `error_json` is NULL or can be written to.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_attach(
    host: *const HostTable,
    config_json: *const c_char,
    error_json: *mut *mut c_char,
) -> *mut PluginHandle {
    // SAFETY: as the caller promises.
    unsafe {
        boundary::pointer("bulk_rerun_attach", error_json, || {
            let host = HostTable::read(host)?;
            let config = match config_json.is_null() {
                true => Config::from_env()?,
                false => Config::from_json(strings::read(config_json))?,
            };
            Ok(PluginHandle::give(Plugin::attach(Box::new(host), &config)?))
        })
    }
}

/// Hands one run over, from within a `runs` callback: JSON with `id` and `task_name`, and as many of
/// `phase` (pending, running, ended), `end_reason`, `exit_code`, `triggered_by`, `created_at`,
/// `retry_attempt`, `params`, `is_failure` and `unfit` (why it is never re-run) as the host has.
/// Returns 0; anything else says that the run can't be read: return it from your callback.
///
/// ```c
/// bulk_rerun_emit(sink, "{\"id\": \"7\", \"task_name\": \"backup\", \"end_reason\": \"failed\"}");
/// ```
///
/// # Safety
///
/// `sink` is NULL (an error) or what the callback was given. `run_json` is NULL or ends with a NUL;
/// it is copied.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_emit(sink: *mut Sink<'_>, run_json: *const c_char) -> i32 {
    let status = boundary::quietly("bulk_rerun_emit", || {
        // SAFETY: as the caller promises.
        let (Some(sink), run) = (unsafe { (sink.as_mut(), strings::read(run_json)) }) else {
            return -1;
        };
        let emitted = match str::from_utf8(run) {
            Ok(run) => (sink.emit)(run),
            Err(error) => Err(failed("runs", format!("it handed over a run that is not UTF-8: {error}"))),
        };
        sink.refused = sink.refused.take().or(emitted.err());
        if sink.refused.is_none() { 0 } else { -1 }
    });
    status.unwrap_or_else(|| {
        // SAFETY: as the caller promises.
        if let Some(sink) = unsafe { sink.as_mut() } {
            sink.refused = Some(failed("runs", "a run could not be taken"));
        }
        -1
    })
}

/// Tells what became of the run, from within a `spawn` callback: `{"run_id": "..."}`, the new run's
/// id, or `{"skipped": "..."}`, why the host declines to start it. Returns 0; anything else says that
/// the text can't be read, and fails the call.
///
/// ```c
/// bulk_rerun_reply_set(reply, "{\"run_id\": \"8\"}");
/// ```
///
/// # Safety
///
/// `reply` is NULL (an error) or what the callback was given. `reply_json` is NULL or ends with a
/// NUL; it is copied.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_reply_set(reply: *mut Reply, reply_json: *const c_char) -> i32 {
    boundary::quietly("bulk_rerun_reply_set", || {
        // SAFETY: as the caller promises.
        let (Some(reply), json) = (unsafe { (reply.as_mut(), strings::read(reply_json)) }) else {
            return -1;
        };
        let read = match serde_json::from_slice(json) {
            Ok(ReplyJson { run_id: Some(id), skipped: None }) => Ok(callbacks::Reply::Started(id)),
            Ok(ReplyJson { run_id: None, skipped: Some(reason) }) => Ok(callbacks::Reply::Skipped(reason)),
            Ok(_) => Err("the reply has neither `run_id` nor `skipped`, or both".to_owned()),
            Err(error) => Err(format!("the reply can't be read: {error} (in {})", String::from_utf8_lossy(json))),
        };
        let status = if read.is_ok() { 0 } else { -1 };
        reply.0 = Some(read);
        status
    })
    .unwrap_or(-1)
}
