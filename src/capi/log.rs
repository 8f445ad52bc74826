//! The log: on standard error, where the environment asks for it, and at the host, where the host does.

use std::cell::Cell;
use std::env;
use std::ffi::{c_char, c_void};
use std::fmt::{Debug, Write};
use std::io;
use std::sync::{Arc, Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::in_flight::Calls;
use super::{boundary, strings};

/// Why a call failed, in the engine's own words; a defect of this library.
pub const BULK_RERUN_LOG_ERROR: i32 = 1;
/// What is not as it should be, and was put up with.
pub const BULK_RERUN_LOG_WARN: i32 = 2;
/// Why a run was not started, in the engine's own words. The log has what is as severe as this, or more.
pub const BULK_RERUN_LOG_INFO: i32 = 3;
/// Details for whoever looks for a defect; only if BULK_RERUN_LOG is `debug` or `trace`.
pub const BULK_RERUN_LOG_DEBUG: i32 = 4;
/// As above; only if BULK_RERUN_LOG is `trace`.
pub const BULK_RERUN_LOG_TRACE: i32 = 5;

/// How much goes to standard error: `error`, `warn`, `info`, `debug` or `trace`.
const VARIABLE: &str = "BULK_RERUN_LOG";

/// A host's log. It is called by the threads that call the library, several at once.
struct HostLog {
    log: unsafe extern "C" fn(context: *mut c_void, level: i32, message: *const c_char),
    context: *mut c_void,
    calls: Arc<Calls>,
}

// SAFETY: the header asks of a host that its log, with its context, may be called from each thread that calls the library.
unsafe impl Send for HostLog {}
// SAFETY: as above; it is never changed.
unsafe impl Sync for HostLog {}

static HOST_LOG: Mutex<Option<Arc<HostLog>>> = Mutex::new(None);

thread_local! {
    /// The host's log is at work on this thread. What it makes the library say meanwhile would call it once more.
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Starts it on the first call.
pub(super) fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // Whoever sets it to anything wants to see something.
        let asked = env::var(VARIABLE).ok().filter(|level| !level.is_empty());
        let asked = asked.map(|level| level.parse().unwrap_or(LevelFilter::WARN));
        let on_standard_error = asked.map(|level| {
            let log = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
            // A standard error that takes nothing must not end the host.
            log.log_internal_errors(false).with_filter(level)
        });
        let at_the_host = ToHost.with_filter(asked.unwrap_or(LevelFilter::INFO).max(LevelFilter::INFO));
        // A host in Rust may have a subscriber of its own already, which then gets everything.
        let _ = tracing_subscriber::registry().with(on_standard_error).with(at_the_host).try_init();
    });
}

/// Hands what this library says to the host's log.
struct ToHost;

impl<S: Subscriber> Layer<S> for ToHost {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let about = event.metadata();
        // Not what the libraries say that we are made of: nobody has looked through that for secrets.
        if about.target().starts_with(env!("CARGO_CRATE_NAME")) {
            tell(*about.level(), || {
                let mut words = Words::default();
                event.record(&mut words);
                words.message + &words.rest
            });
        }
    }
}

fn tell(level: Level, message: impl FnOnce() -> String) {
    // A thread of the library's own is none that a host expects to be called by.
    if AT_WORK.get() || !boundary::is_inside() {
        return;
    }
    let host_log = HOST_LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(host) = host_log.as_ref().map(Arc::clone) else { return };
    // Under the lock still, so that nobody who takes the log back misses it.
    let _in_flight = host.calls.enter();
    drop(host_log);
    let level = match level {
        Level::ERROR => BULK_RERUN_LOG_ERROR,
        Level::WARN => BULK_RERUN_LOG_WARN,
        Level::INFO => BULK_RERUN_LOG_INFO,
        Level::DEBUG => BULK_RERUN_LOG_DEBUG,
        Level::TRACE => BULK_RERUN_LOG_TRACE,
    };
    let message = strings::lend(message());
    AT_WORK.set(true);
    // SAFETY: a function of the host's, called as it was declared.
    unsafe { (host.log)(host.context, level, message.as_ptr()) };
    AT_WORK.set(false);
}

/// An event in words: its message, then everything else that it says.
#[derive(Default)]
struct Words {
    message: String,
    rest: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // A String takes everything.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.rest, " {name}={value:?}"),
        };
    }
}

/// Hands the log over to the host, for the whole process: a level (`BULK_RERUN_LOG_ERROR`, …), and what is to
/// be said, good until `log` returns. An answer never has the engine's own words, which may quote data; the
/// log has. It never has a password. NULL takes it back: once this has returned, `log` is not called any
/// more. (From within `log` itself, once that has returned.) BULK_RERUN_LOG writes to standard error besides.
///
/// `log` is called by the threads that call the library, before their calls return, by several at once if
/// several call. What it makes the library say is dropped.
///
/// ```c
/// static void to_standard_error(void *context, int32_t level, const char *message) {
///     fprintf(stderr, "%s: %s%s\n", (const char *)context, level == BULK_RERUN_LOG_ERROR ? "error: " : "", message);
/// }
/// ```
///
/// ```c
/// static char name[] = "my runner";
/// bulk_rerun_set_log(to_standard_error, name);
/// ```
///
/// # Safety
///
/// `log` is NULL, or a function that may be called with this context until it is taken back.
#[cfg_attr(feature = "capi", unsafe(no_mangle))]
pub unsafe extern "C" fn bulk_rerun_set_log(
    log: Option<unsafe extern "C" fn(context: *mut c_void, level: i32, message: *const c_char)>,
    context: *mut c_void,
) {
    boundary::quietly("bulk_rerun_set_log", || {
        let new = log.map(|log| Arc::new(HostLog { log, context, calls: Arc::default() }));
        let old = std::mem::replace(&mut *HOST_LOG.lock().unwrap_or_else(PoisonError::into_inner), new);
        if let Some(old) = old {
            old.calls.wait();
        }
    });
}
