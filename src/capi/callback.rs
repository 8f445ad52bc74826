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

/// Takes what became of a run that a `spawn` callback has started. Good until that callback returns, on its
/// thread alone.
pub struct ReplyHandle(());

/// Takes one run.
type Emit<'a> = dyn FnMut(&str) -> Result<(), HostError> + 'a;

/// Where a `runs` callback's runs go.
struct Sink<'a> {
    emit: RefCell<&'a mut Emit<'a>>,
    /// Why the call fails, whatever the callback returns.
    failure: RefCell<Option<HostError>>,
}

/// What a `spawn` callback has said, or what was wrong with that.
type Said = RefCell<Option<Result<Reply, String>>>;

/// What is lent to a callback.
#[derive(Clone, Copy)]
enum Lent<'l, 'a> {
    Sink(&'l Sink<'a>),
    Reply(&'l Said),
}

/// What a host may reply: one of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyJson {
    run_id: Option<String>,
    skipped: Option<String>,
    error: Option<String>,
}

const REPLIES: &str = r#"{"run_id": "…"}, {"skipped": "…"} or {"error": "…"}"#;

/// What a host says in place of a run.
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
    let said = Said::default();
    let status = lend(Lent::Reply(&said), callback).map_err(|why| failed("spawn", why))?;
    match (said.into_inner(), status) {
        (Some(Err(why)), _) => Err(failed("spawn", why)),
        (Some(Ok(reply)), 0) => Ok(reply),
        (Some(Ok(Reply::Skipped(why))), status) => Err(failed("spawn", format!("it returned {status}: {why}"))),
        (None, 0) => Err(failed("spawn", "it returned 0, but never called bulk_rerun_reply_set")),
        (_, status) => Err(failed("spawn", format!("it returned {status}"))),
    }
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
/// fails the call and is the answer's `detail` then. Returns 0; anything else says that the text can't be
/// read, and fails the call. From elsewhere: as `bulk_rerun_emit`.
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
        let Some(Lent::Reply(said)) = find(reply, NAME) else { return -1 };
        let (read, status) = match serde_json::from_slice(json) {
            Ok(ReplyJson { run_id: Some(id), skipped: None, error: None }) => (Ok(Reply::Started(id)), 0),
            Ok(ReplyJson { run_id: None, skipped: Some(why), error: None }) => (Ok(Reply::Skipped(why)), 0),
            Ok(ReplyJson { run_id: None, skipped: None, error: Some(why) }) => (Err(why), 0),
            Ok(_) => (Err(format!("the reply must be one of {REPLIES}")), -1),
            // Where, but not what: it may quote the run's parameters.
            Err(error) => {
                let place = format!("line {}, column {}", error.line(), error.column());
                (Err(format!("the reply can't be read ({place}): it must be {REPLIES}")), -1)
            }
        };
        said.replace(Some(read));
        status
    })
    .unwrap_or(-1)
}
