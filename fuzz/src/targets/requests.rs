//! A text as a request and as a config, through the C ABI: there is always an answer, and an error has changed nothing.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use super::{c_text, check_error, take};
use crate::support::{NEWEST, Row, Store, fast_folder};
use bulk_rerun::{Config, capi};
use rusqlite::Connection;
use serde_json::{Value, json};

struct Bench {
    plugin: *mut capi::PluginHandle,
    host: Connection,
    _store: Store,
}

impl Bench {
    fn new() -> Bench {
        let at = |hour: u8| format!("2026-04-15T{hour:02}:00:00Z");
        let rows = [
            Row::failed("a1", "backup", &at(1)),
            Row::failed("a2", "backup", &at(2)).with(|row| row.params_json = Some("{\"a\":1}".to_owned())),
            Row::failed("b1", "mail", &at(2)).with(|row| row.end_reason = Some("timeout".to_owned())),
            Row::failed("b2", "mail", &at(3)).with(|row| row.exit_code = 137),
            Row::failed("s1", "web", &at(3)).with(|row| row.triggered_by = "service".to_owned()),
            Row::failed("r1", "ünï", "some day")
                .with(|row| (row.status, row.end_reason) = ("running".to_owned(), None)),
        ];
        let store = Store::in_folder(fast_folder(), NEWEST, "delete").holding(&rows);
        let config = c_text(json!({ "store": store.path_str() }).to_string().as_bytes());
        // SAFETY: the text ends with a zero byte, and NULL stands for an error that nobody wants.
        let plugin = unsafe { capi::bulk_rerun_open(config.as_ptr(), ptr::null_mut()) };
        assert!(!plugin.is_null());
        Bench { plugin, host: store.open(), _store: store }
    }

    /// Every run's id and state.
    fn runs(&self) -> Vec<String> {
        let sql = "SELECT id || ' ' || task_name || ' ' || status || ' ' || coalesce(params_json, '-') FROM runs ORDER BY rowid";
        let mut statement = self.host.prepare_cached(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn check_call(&self, answer: &Value, before: &[String]) {
        let after = self.runs();
        if answer.get("status").is_some() {
            check_error(answer, &[400, 409, 422], "body");
            assert_eq!(after, before, "{answer:#}");
            return;
        }
        let triggered = answer["triggered"].as_array().unwrap();
        assert_eq!(after.len(), before.len() + triggered.len(), "{answer:#}");
        for new in triggered {
            let id = new.get("run_id").or(new.get("runId")).unwrap().as_str().unwrap();
            assert!(after[before.len()..].iter().any(|run| run.starts_with(id)), "{answer:#}\n{after:#?}");
        }
        if !triggered.is_empty() {
            self.host.execute("DELETE FROM runs WHERE length(id) > 2", []).unwrap();
        }
    }
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

unsafe extern "C" fn keep(_: *mut c_void, run: *const c_char) -> i32 {
    // SAFETY: the core's text ends with a zero byte.
    i32::from(unsafe { CStr::from_ptr(run) }.to_bytes().len() % 2 == 0)
}

unsafe extern "C" fn no_runs(_: *mut c_void, _: *const c_char, _: *mut capi::SinkHandle) -> i32 {
    0
}

unsafe extern "C" fn no_spawn(_: *mut c_void, _: *const c_char, _: *mut capi::ReplyHandle) -> i32 {
    -1
}

/// A host without runs, under any config that names no file (a text may name every file there is).
fn attach(json: &[u8]) {
    if Config::from_json(json).is_ok_and(|config| config.tasks.is_some()) {
        return;
    }
    let host = capi::HostTable {
        struct_size: size_of::<capi::HostTable>(),
        abi_version: capi::BULK_RERUN_ABI_VERSION,
        flags: 0,
        context: ptr::null_mut(),
        runs: Some(no_runs),
        spawn: Some(no_spawn),
        begin: None,
        commit: None,
        rollback: None,
        undo: None,
        find_operation: None,
        record_operation: None,
    };
    let (config, mut error) = (c_text(json), ptr::null_mut());
    // SAFETY: the table is whole, the text ends with a zero byte, and the error may be written to.
    let plugin = unsafe { capi::bulk_rerun_attach(&host, config.as_ptr(), &mut error) };
    let error = take(error);
    assert_eq!(plugin.is_null(), error.is_some());
    if let Some(error) = error {
        check_error(&error, &[400, 422], "config");
    }
    // SAFETY: it is NULL or open, and not used again.
    unsafe { capi::bulk_rerun_close(plugin) };
}

pub fn run(data: &[u8]) {
    let text = c_text(data);
    BENCH.with_borrow_mut(|bench| {
        let bench = bench.get_or_insert_with(Bench::new);
        let before = bench.runs();
        // SAFETY: the plugin is open, and the text ends with a zero byte.
        let answer = take(unsafe { capi::bulk_rerun_call(bench.plugin, text.as_ptr()) }).unwrap();
        bench.check_call(&answer, &before);
        // SAFETY: as above; `keep` wants no context.
        let kept = unsafe { capi::bulk_rerun_call_where(bench.plugin, text.as_ptr(), Some(keep), ptr::null_mut()) };
        bench.check_call(&take(kept).unwrap(), &before);

        let mut error = ptr::null_mut();
        // SAFETY: as above, and the error may be written to.
        let cursor = unsafe { capi::bulk_rerun_select(bench.plugin, text.as_ptr(), &mut error) };
        let error = take(error);
        assert_eq!(cursor.is_null(), error.is_some());
        if let Some(error) = error {
            check_error(&error, &[400, 422], "body");
            return;
        }
        // SAFETY: the cursor is open, and closed once.
        let walk = || take(unsafe { capi::bulk_rerun_cursor_next(cursor, ptr::null_mut()) });
        assert!(std::iter::from_fn(walk).count() <= before.len());
        capi::bulk_rerun_cursor_close(cursor);
        assert_eq!(bench.runs(), before, "a selector alone changes nothing");
    });
    attach(text.to_bytes());
}
