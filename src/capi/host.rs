//! A host that hands its runs over and starts them itself: its table of callbacks.

use std::ffi::{c_char, c_void};
use std::mem::{self, MaybeUninit};
use std::ptr;

use super::callback::{self, ReplyHandle, SinkHandle, check, failed};
use super::plugin::PluginHandle;
use super::version::BULK_RERUN_ABI_VERSION;
use super::{boundary, strings};
use crate::contract::{Config, ErrorModel};
use crate::host::HostError;
use crate::host::callbacks::{HostCallbacks, Reply};
use crate::plugin::Plugin;

/// For a host's `flags`: `spawn` heeds the field `due` of the source run that it is given, which says (in RFC 3339)
/// when the new run is due. Without it requests that say when are refused.
pub const BULK_RERUN_HEEDS_DUE: u32 = 1;

/// A host's callbacks. Every one returns 0 if it succeeded; anything else fails the call. They are
/// called on the thread that called the plugin, so from several threads at once if you call it from
/// several. `bulk_rerun_emit` and `bulk_rerun_reply_set` show two of them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HostTable {
    /// `sizeof(bulk_rerun_host)`. Later versions of the library may add fields at the end; one that does not
    /// know them takes them only if they are 0.
    pub struct_size: usize,
    /// `BULK_RERUN_ABI_VERSION`.
    pub abi_version: u32,
    /// `BULK_RERUN_HEEDS_DUE`, or 0.
    pub flags: u32,
    /// Yours: it is handed to each callback as it is.
    pub context: *mut c_void,
    /// Hands each run to `bulk_rerun_emit`. The selector tells which ones are asked for; it is fine to
    /// hand over more, since the plugin checks every run again. One call may ask several times.
    pub runs:
        Option<unsafe extern "C" fn(context: *mut c_void, selector_json: *const c_char, sink: *mut SinkHandle) -> i32>,
    /// Starts a run of the source run's task, with the source run's parameters, and tells what became
    /// of it with `bulk_rerun_reply_set`.
    pub spawn: Option<
        unsafe extern "C" fn(context: *mut c_void, source_run_json: *const c_char, reply: *mut ReplyHandle) -> i32,
    >,
    /// Begins a transaction. `begin`, `commit` and `rollback` are all set or all NULL; without them,
    /// an error names the runs that were spawned before it.
    pub begin: Option<unsafe extern "C" fn(context: *mut c_void) -> i32>,
    /// Makes what was done since `begin` last.
    pub commit: Option<unsafe extern "C" fn(context: *mut c_void) -> i32>,
    /// Takes back what was done since `begin`.
    pub rollback: Option<unsafe extern "C" fn(context: *mut c_void) -> i32>,
    /// Takes a run back that no worker has begun, so that none ever will, and tells with `bulk_rerun_reply_set`
    /// whether it did: `{"undone": true}`, or `{"undone": false}` if it was too late. From then on `runs` hands
    /// the run over as ended, or not at all. NULL if the host can't do that.
    pub undo:
        Option<unsafe extern "C" fn(context: *mut c_void, run_json: *const c_char, reply: *mut ReplyHandle) -> i32>,
    /// Finds an operation that was recorded: replies its JSON as it was, or `{}` if there is none. The query is
    /// `{"operation_id": "..."}` or `{"idempotency_key": "..."}`. Or it is for a list: it has a `limit`, and maybe
    /// `before` (an operation's id: those that were recorded before it), `created_after` and `run_id` (the
    /// `run_id` or `rerun_of` of one of the `runs`). Then the reply is `{"operations": [...]}`, the newest first,
    /// and may have more than is asked for, since the plugin checks each one again. It comes within a transaction
    /// and without. `find_operation` and `record_operation` are both set, and the host has a ledger, or both NULL.
    pub find_operation:
        Option<unsafe extern "C" fn(context: *mut c_void, query_json: *const c_char, reply: *mut ReplyHandle) -> i32>,
    /// Keeps an operation: what was re-run, by whom and why, and the new runs. All that a host must understand of
    /// its JSON is `operation_id`, `created_at`, and `idempotency_key` where that is there; it may keep the text as
    /// it is. It comes between `begin` and `commit`, and once more when the operation is undone: then it takes
    /// the place of what was kept under its `operation_id`. Nothing need be replied, but an `{"error": "..."}`
    /// may.
    ///
    /// A key is one re-run if the host lets one transaction in at a time, or fails to record another operation
    /// with the same key. Without `begin` an operation is recorded when its runs have been started: a crash in
    /// between leaves them without it and the key free, and of two calls at once with one key both may start runs.
    pub record_operation: Option<
        unsafe extern "C" fn(context: *mut c_void, operation_json: *const c_char, reply: *mut ReplyHandle) -> i32,
    >,
}

// SAFETY: the header asks of a host that its callbacks, with its context, may be called from each
// thread that it calls the plugin from.
unsafe impl Send for HostTable {}
// SAFETY: as above; the table itself is never changed.
unsafe impl Sync for HostTable {}

impl HostCallbacks for HostTable {
    fn runs(&self, selector_json: &str, emit: &mut dyn FnMut(&str) -> Result<(), HostError>) -> Result<(), HostError> {
        let runs = self.runs.ok_or_else(|| failed("runs", "it is NULL"))?;
        let selector = strings::lend(selector_json);
        // SAFETY: a function of the host's, called as it was declared.
        callback::runs(emit, |sink| unsafe { runs(self.context, selector.as_ptr(), sink) })
    }

    fn spawn(&self, source_run_json: &str) -> Result<Reply, HostError> {
        let spawn = self.spawn.ok_or_else(|| failed("spawn", "it is NULL"))?;
        let run = strings::lend(source_run_json);
        // SAFETY: a function of the host's, called as it was declared.
        callback::spawn(|reply| unsafe { spawn(self.context, run.as_ptr(), reply) })
    }

    fn heeds_due(&self) -> bool {
        self.flags & BULK_RERUN_HEEDS_DUE != 0
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

    fn can_undo(&self) -> bool {
        self.undo.is_some()
    }

    fn undo(&self, run_json: &str) -> Result<bool, HostError> {
        let undo = self.undo.ok_or_else(|| failed("undo", "it is NULL"))?;
        let run = strings::lend(run_json);
        // SAFETY: a function of the host's, called as it was declared.
        callback::undo(|reply| unsafe { undo(self.context, run.as_ptr(), reply) })
    }

    fn keeps_ledger(&self) -> bool {
        self.find_operation.is_some() && self.record_operation.is_some()
    }

    fn find_operation(&self, query_json: &str) -> Result<String, HostError> {
        let find = self.find_operation.ok_or_else(|| failed("find_operation", "it is NULL"))?;
        let query = strings::lend(query_json);
        // SAFETY: a function of the host's, called as it was declared.
        callback::find_operation(|reply| unsafe { find(self.context, query.as_ptr(), reply) })
    }

    fn record_operation(&self, operation_json: &str) -> Result<(), HostError> {
        let record = self.record_operation.ok_or_else(|| failed("record_operation", "it is NULL"))?;
        let operation = strings::lend(operation_json);
        // SAFETY: a function of the host's, called as it was declared.
        callback::record_operation(|reply| unsafe { record(self.context, operation.as_ptr(), reply) })
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
        let unknown = size.saturating_sub(size_of::<HostTable>());
        if unknown > UNKNOWN_MAX || (unknown == 0 && !SIZES.contains(&size)) {
            return bad(format!("host.struct_size is {size}, which no version has: set it to sizeof(bulk_rerun_host)"));
        }
        // SAFETY: the struct is as long as it says.
        let later = unsafe { std::slice::from_raw_parts(host.cast::<u8>().add(size - unknown), unknown) };
        if later.iter().any(|&byte| byte != 0) {
            return bad(format!(
                "the host sets fields that version {} of the library does not know (host.struct_size is {size}, and it \
                 knows {}): leave them 0, or load the version that the host was compiled for",
                env!("CARGO_PKG_VERSION"),
                size_of::<HostTable>()
            ));
        }
        let mut table = MaybeUninit::<HostTable>::zeroed();
        // SAFETY: no longer than either side is, and all zeroes are a table without callbacks.
        let table = unsafe {
            ptr::copy_nonoverlapping(host.cast::<u8>(), table.as_mut_ptr().cast(), size.min(size_of::<HostTable>()));
            table.assume_init()
        };
        if table.flags & !BULK_RERUN_HEEDS_DUE != 0 {
            return bad(format!(
                "host.flags is {}: this version has no flag but BULK_RERUN_HEEDS_DUE ({BULK_RERUN_HEEDS_DUE})",
                table.flags
            ));
        }
        if table.runs.is_none() || table.spawn.is_none() {
            return bad("host.runs and host.spawn must be set".to_owned());
        }
        let transaction = [table.begin, table.commit, table.rollback];
        if transaction.iter().any(Option::is_some) && transaction.iter().any(Option::is_none) {
            return bad("host.begin, host.commit and host.rollback must be all set or all NULL".to_owned());
        }
        let (missing, set) = match (table.find_operation, table.record_operation) {
            (Some(_), None) => ("record_operation", "find_operation"),
            (None, Some(_)) => ("find_operation", "record_operation"),
            _ => return Ok(table),
        };
        bad(format!("host.{missing} is NULL, and host.{set} is not: set both, and the host has a ledger, or neither"))
    }
}

/// How long the struct was when it was first published.
const SIZE_OF_VERSION_1: usize = mem::offset_of!(HostTable, rollback) + size_of::<*const c_void>();

/// How long it ever was: what is cut off in between would be half an address.
const SIZES: [usize; 2] = [SIZE_OF_VERSION_1, size_of::<HostTable>()];

/// As much longer may a later version's struct be: what is longer still was never set.
const UNKNOWN_MAX: usize = 4096;

/// Opens a plugin over a host's callbacks. The table is copied; its functions and its context must
/// stay good until the plugin is closed. Of the config only `tasks` and `wire` matter here; NULL is
/// the same as `{}`. Returns NULL if that fails, and an error in `*error_json`.
///
/// ```c
/// static char my_runner[] = "all that my callbacks need";
/// bulk_rerun_host host;
/// bulk_rerun_plugin *over_my_runner;
/// memset(&host, 0, sizeof host);
/// host.struct_size = sizeof host;
/// host.abi_version = BULK_RERUN_ABI_VERSION;
/// host.context = my_runner;
/// host.runs = my_runs;
/// host.spawn = my_spawn;
/// over_my_runner = bulk_rerun_attach(&host, NULL, NULL);
/// bulk_rerun_close(over_my_runner);
/// ```
///
/// Where the host keeps the ledger, every re-run is in it, and an `idempotency_key` is one re-run. This one has
/// room for a single operation, in its context. (What a query says of an operation's id or key, the operation
/// says in the same words.)
///
/// ```c
/// static int32_t my_record_operation(void *context, const char *operation_json, bulk_rerun_reply *reply) {
///     if (strlen(operation_json) > 4095) {
///         bulk_rerun_reply_set(reply, "{\"error\": \"there is no room for so many runs\"}");
///         return 1;
///     }
///     strcpy((char *)context, operation_json);
///     return 0;
/// }
///
/// static int32_t my_find_operation(void *context, const char *query_json, bulk_rerun_reply *reply) {
///     const char *kept = (const char *)context;
///     char json[4160];
///     if (strstr(query_json, "\"limit\":") != NULL) {
///         snprintf(json, sizeof json, "{\"operations\": [%s]}", kept);
///         return bulk_rerun_reply_set(reply, json);
///     }
///     snprintf(json, sizeof json, "%.*s", (int)strlen(query_json) - 2, query_json + 1);
///     return bulk_rerun_reply_set(reply, strstr(kept, json) != NULL ? kept : "{}");
/// }
///
/// static int32_t my_undo(void *context, const char *run_json, bulk_rerun_reply *reply) {
///     (void)context, (void)run_json;
///     return bulk_rerun_reply_set(reply, "{\"undone\": false}");
/// }
/// ```
///
/// Sent twice, the second answer is the first one, with `replayed`, and nothing is started again:
///
/// ```c
/// static char my_ledger[4096] = "";
/// const char *once = "{\"ids\": [\"7\"], \"options\": {\"idempotency_key\": \"monday\"}}";
/// bulk_rerun_host host;
/// bulk_rerun_plugin *with_a_ledger;
/// char *first, *again;
/// memset(&host, 0, sizeof host);
/// host.struct_size = sizeof host;
/// host.abi_version = BULK_RERUN_ABI_VERSION;
/// host.context = my_ledger;
/// host.runs = my_runs;
/// host.spawn = my_spawn;
/// host.undo = my_undo;
/// host.find_operation = my_find_operation;
/// host.record_operation = my_record_operation;
/// with_a_ledger = bulk_rerun_attach(&host, NULL, NULL);
/// first = bulk_rerun_call(with_a_ledger, once);
/// again = bulk_rerun_call(with_a_ledger, once);
/// puts(first);
/// puts(again);
/// bulk_rerun_string_free(first);
/// bulk_rerun_string_free(again);
/// bulk_rerun_close(with_a_ledger);
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
            Ok(PluginHandle::give(Plugin::attach(Box::new(host), &config.through("c"))?))
        })
    }
}
