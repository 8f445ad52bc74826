//! What a host's callbacks answer with. A sink and a reply are good until their callback returns, on its thread alone: what C
//! holds is a number, so that an answer from elsewhere is told from a right one.

use std::cell::RefCell;
use std::ffi::c_char;
use std::mem;
use std::str;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;

use super::handles::Handles;
use super::{boundary, strings};
use crate::host::HostError;
use crate::host::callbacks::Reply;

/// Takes the runs that a `runs` callback hands over. Good until that callback returns, on its thread alone.
pub struct SinkHandle(());

/// Takes what a `spawn`, `undo`, `find_operation` or `record_operation` callback replies. Good until that callback
/// returns, on its thread alone.
pub struct ReplyHandle(());

/// Takes one run.
type Emit<'a> = dyn FnMut(&str) -> Result<(), HostError> + 'a;

/// Where a `runs` callback's runs go.
struct Sink<'a> {
    emit: RefCell<&'a mut Emit<'a>>,
    /// Why the call fails, whatever the callback returns.
    failure: RefCell<Option<HostError>>,
}

/// Takes what a callback replies: 0 if it can be read.
type Take<'a> = dyn Fn(&[u8]) -> i32 + 'a;

/// What is lent to a callback.
#[derive(Clone, Copy)]
enum Lent<'l, 'a> {
    Sink(&'l Sink<'a>),
    Reply(&'l Take<'a>),
}

/// What a `spawn` callback may reply: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpawnJson {
    run_id: Option<String>,
    skipped: Option<String>,
}

const SPAWN_REPLIES: &str = r#"{"run_id": "…"}, {"skipped": "…"} or {"error": "…"}"#;

/// What an `undo` callback may reply.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UndoJson {
    undone: bool,
}

const UNDO_REPLIES: &str = r#"{"undone": true}, {"undone": false} or {"error": "…"}"#;

/// What a host says in place of a run, or of any reply.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorJson {
    error: String,
}

/// What is lent in all threads, and whether another one than its own has used it.
static LENT: Handles<AtomicBool> = Handles::new();

thread_local! {
    /// What is lent on this thread, by its number.
    static HERE: RefCell<Vec<(usize, Lent<'static, 'static>)>> = const { RefCell::new(Vec::new()) };
}

/// Calls a `runs` callback.
pub(super) fn runs<'a>(emit: &'a mut Emit<'a>, callback: impl FnOnce(*mut SinkHandle) -> i32) -> Result<(), HostError> {
    let sink = Sink { emit: RefCell::new(emit), failure: RefCell::new(None) };
    let status = lend(Lent::Sink(&sink), callback).map_err(|why| failed("runs", why))?;
    match sink.failure.into_inner() {
        Some(failure) => Err(failure),
        None => check("runs", status),
    }
}

/// Calls a `spawn` callback.
pub(super) fn spawn(callback: impl FnOnce(*mut ReplyHandle) -> i32) -> Result<Reply, HostError> {
    let read = |json: &[u8]| match serde_json::from_slice(json) {
        Ok(SpawnJson { run_id: Some(id), skipped: None }) => Ok(Reply::Started(id)),
        Ok(SpawnJson { run_id: None, skipped: Some(why) }) => Ok(Reply::Skipped(why)),
        Ok(_) => Err(format!("the reply must be one of {SPAWN_REPLIES}")),
        Err(error) => Err(unreadable(&error, SPAWN_REPLIES)),
    };
    match replied("spawn", &read, callback)? {
        (Some(Reply::Skipped(why)), status) if status != 0 => {
            Err(failed("spawn", format!("it returned {status}: {why}")))
        }
        (reply, status) => needed("spawn", reply, status),
    }
}

/// Calls an `undo` callback.
pub(super) fn undo(callback: impl FnOnce(*mut ReplyHandle) -> i32) -> Result<bool, HostError> {
    let read = |json: &[u8]| match serde_json::from_slice(json) {
        Ok(UndoJson { undone }) => Ok(undone),
        Err(error) => Err(unreadable(&error, UNDO_REPLIES)),
    };
    let (reply, status) = replied("undo", &read, callback)?;
    needed("undo", reply, status)
}

/// Calls a `find_operation` callback. Its reply is read by whoever has asked.
pub(super) fn find_operation(callback: impl FnOnce(*mut ReplyHandle) -> i32) -> Result<String, HostError> {
    let read = |json: &[u8]| match str::from_utf8(json) {
        Ok(found) => Ok(found.to_owned()),
        Err(error) => Err(format!("the reply is not UTF-8: {error}")),
    };
    let (reply, status) = replied("find_operation", &read, callback)?;
    needed("find_operation", reply, status)
}

/// Calls a `record_operation` callback, which has nothing to reply but an error.
pub(super) fn record_operation(callback: impl FnOnce(*mut ReplyHandle) -> i32) -> Result<(), HostError> {
    let read = |_: &[u8]| Err::<(), _>(r#"the reply must be {"error": "…"}, or none"#.to_owned());
    let (_, status) = replied("record_operation", &read, callback)?;
    check("record_operation", status)
}

/// Calls a callback that replies: what it has said last, and what it has returned. An error that it says fails the
/// call, and so does what can't be read.
fn replied<T>(
    name: &'static str,
    read: &dyn Fn(&[u8]) -> Result<T, String>,
    callback: impl FnOnce(*mut ReplyHandle) -> i32,
) -> Result<(Option<T>, i32), HostError> {
    let said = RefCell::new(None);
    let take = |json: &[u8]| {
        let (reply, status) = match serde_json::from_slice(json) {
            Ok(ErrorJson { error }) => (Err(error), 0),
            Err(_) => {
                let reply = read(json);
                let status = if reply.is_ok() { 0 } else { -1 };
                (reply, status)
            }
        };
        said.replace(Some(reply));
        status
    };
    let status = lend(Lent::Reply(&take), callback).map_err(|why| failed(name, why))?;
    let reply = said.into_inner().transpose().map_err(|why| failed(name, why))?;
    Ok((reply, status))
}

/// What a callback has said that must say something.
fn needed<T>(name: &'static str, reply: Option<T>, status: i32) -> Result<T, HostError> {
    check(name, status)?;
    reply.ok_or_else(|| failed(name, "it returned 0, but never called bulk_rerun_reply_set"))
}

/// Why a reply can't be read: where, but not what, for it may quote the run's parameters.
fn unreadable(error: &serde_json::Error, replies: &str) -> String {
    format!("the reply can't be read (line {}, column {}): it must be {replies}", error.line(), error.column())
}

pub(super) fn check(callback: &'static str, status: i32) -> Result<(), HostError> {
    if status == 0 { Ok(()) } else { Err(failed(callback, format!("it returned {status}"))) }
}

pub(super) fn failed(callback: &'static str, message: impl Into<String>) -> HostError {
    HostError::Callback { callback, message: message.into() }
}

/// Calls a callback, which may use what it is lent until it returns.
fn lend<H>(lent: Lent<'_, '_>, callback: impl FnOnce(*mut H) -> i32) -> Result<i32, &'static str> {
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            HERE.with_borrow_mut(Vec::pop);
        }
    }
    let handle = LENT.give(AtomicBool::new(false));
    // SAFETY: only the lifetimes change, and `Back` takes it away before they are over.
    let lent = unsafe { mem::transmute::<Lent<'_, '_>, Lent<'static, 'static>>(lent) };
    HERE.with_borrow_mut(|here| here.push((handle.addr(), lent)));
    let back = Back;
    let status = callback(handle.cast());
    drop(back);
    let is_astray = LENT.take(handle).is_some_and(|is_astray| is_astray.load(Ordering::Relaxed));
    if is_astray { Err("it answered from another thread than the one that it was called on") } else { Ok(status) }
}

/// What this thread's callback was lent under this handle. (The lifetimes are the callback's, which is at work.)
fn find<H>(handle: *mut H, function: &str) -> Option<Lent<'static, 'static>> {
    let number = handle.addr();
    let here = HERE.with_borrow(|here| here.iter().rev().find(|lent| lent.0 == number).map(|lent| lent.1));
    if here.is_none() {
        match LENT.find(handle.cast()) {
            Some(is_astray) => is_astray.store(true, Ordering::Relaxed),
            None => tracing::warn!("{function} was called when its callback had returned, or with NULL"),
        }
    }
    here
}

impl Sink<'_> {
    fn take(&self, run_json: &[u8]) -> i32 {
        // Does not read further than to a run's first field.
        let taken = if let Ok(ErrorJson { error }) = serde_json::from_slice(run_json) {
            self.fail(failed("runs", error));
            return 0;
        } else if let Ok(mut emit) = self.emit.try_borrow_mut() {
            match str::from_utf8(run_json) {
                Ok(run_json) => emit(run_json),
                Err(error) => Err(failed("runs", format!("it handed over a run that is not UTF-8: {error}"))),
            }
        } else {
            Err(failed("runs", "it handed over a run from within the predicate that was asked about another one"))
        };
        taken.unwrap_or_else(|error| self.fail(error));
        if self.failure.borrow().is_none() { 0 } else { -1 }
    }

    /// The first failure is the one to tell.
    fn fail(&self, error: HostError) {
        self.failure.borrow_mut().get_or_insert(error);
    }
}

/// Hands one run over, from within a `runs` callback: JSON with `id` and `task_name`, and as many of
/// `phase` (pending, running, ended), `end_reason`, `exit_code`, `triggered_by`, `created_at`,
/// `retry_attempt`, `params`, `is_failure` and `unfit` (why it is never re-run) as the host has.
/// Returns 0; anything else says that no more runs are wanted, since this one can't be read or the call is
/// cancelled: return it from your callback. A callback that fails may say why first, in place of a run:
/// `{"error": "..."}`; that is the answer's `detail` then. From another thread, or when the callback has
/// returned, it takes nothing and returns -1; while the callback is at work, the call fails then.
///
/// ```c
/// static int32_t my_runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
///     (void)selector_json;
///     if (context == NULL) {
///         bulk_rerun_emit(sink, "{\"error\": \"the queue is away\"}");
///         return 1;
///     }
///     return bulk_rerun_emit(sink, "{\"id\": \"7\", \"task_name\": \"backup\", \"end_reason\": \"failed\"}");
/// }
/// ```
///
/// # Safety
///
/// `run_json` is NULL or ends with a NUL; it is copied.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_emit(sink: *mut SinkHandle, run_json: *const c_char) -> i32 {
    const NAME: &str = "bulk_rerun_emit";
    let status = boundary::quietly(NAME, || {
        // SAFETY: as the caller promises.
        let run = unsafe { strings::read(run_json) };
        match find(sink, NAME) {
            Some(Lent::Sink(sink)) => sink.take(run),
            _ => -1,
        }
    });
    status.unwrap_or_else(|| {
        if let Some(Lent::Sink(sink)) = find(sink, NAME) {
            sink.fail(failed("runs", "a run could not be taken"));
        }
        -1
    })
}

/// Tells what became of the run, from within a `spawn` callback: `{"run_id": "..."}`, the new run's id;
/// `{"skipped": "..."}`, why the host declines to start it; or `{"error": "..."}`, why it has failed, which
/// fails the call and is the answer's `detail` then. The host's `undo`, `find_operation` and `record_operation`
/// reply through it as well, in their own words, or with an `{"error": "..."}`. Returns 0; anything else says that
/// the text can't be read, and fails the call. From elsewhere: as `bulk_rerun_emit`.
///
/// ```c
/// static int32_t my_spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
///     (void)context, (void)source_run_json;
///     return bulk_rerun_reply_set(reply, "{\"run_id\": \"8\"}");
/// }
/// ```
///
/// # Safety
///
/// `reply_json` is NULL or ends with a NUL; it is copied.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_reply_set(reply: *mut ReplyHandle, reply_json: *const c_char) -> i32 {
    const NAME: &str = "bulk_rerun_reply_set";
    boundary::quietly(NAME, || {
        // SAFETY: as the caller promises.
        let json = unsafe { strings::read(reply_json) };
        match find(reply, NAME) {
            Some(Lent::Reply(take)) => take(json),
            _ => -1,
        }
    })
    .unwrap_or(-1)
}
