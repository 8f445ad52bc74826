//! SQLite's own limit: the very statements with which a call of ours searches, stepped through from their first row to their
//! last, and nothing done with the rows.
//!
//! SQLite itself tells which they are, and what was bound in them (`sqlite3_trace_v2`).

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use bulk_rerun::{Config, Plugin};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::Value;
use rusqlite::{Connection, ffi};

/// How each statement begins that hands runs over.
const SEARCHES: &str = "SELECT id, task_name, created_at";

/// The statements that SQLite has begun, as they were prepared and with what was bound in them.
static BEGUN: Mutex<Vec<[String; 2]>> = Mutex::new(Vec::new());

/// The searches of one call.
pub struct Limit {
    connection: Connection,
    /// Each statement once, with what was bound each time.
    searches: BTreeMap<String, Vec<Vec<Value>>>,
}

impl Limit {
    /// Of a call on a store that nobody else uses meanwhile: connections are shared.
    pub fn of(config: &Config, request: &[u8]) -> Limit {
        // SAFETY: what is registered is a function of SQLite's own type, and is cancelled again below.
        unsafe { ffi::sqlite3_auto_extension(Some(watch)) };
        let plugin = Plugin::open(config).expect("the store");
        BEGUN.lock().unwrap_or_else(PoisonError::into_inner).clear();
        plugin.call(request).expect("an answer");
        // SAFETY: as above.
        unsafe { ffi::sqlite3_cancel_auto_extension(Some(watch)) };
        let begun = std::mem::take(&mut *BEGUN.lock().unwrap_or_else(PoisonError::into_inner));
        let connection = open(&config.store);
        let mut searches: BTreeMap<String, Vec<Vec<Value>>> = BTreeMap::new();
        for [sql, expanded] in begun {
            if sql.starts_with(SEARCHES) {
                let values = values(&connection, &sql, &expanded);
                searches.entry(sql).or_default().push(values);
            }
        }
        assert!(!searches.is_empty(), "the call searches");
        Limit { connection, searches }
    }

    /// Goes through them once, in one transaction, as ours does.
    pub fn step(&self) -> usize {
        let mut rows = 0;
        self.connection.execute_batch("BEGIN").expect("a transaction");
        for (sql, times) in &self.searches {
            let mut statement = self.connection.prepare_cached(sql).expect("a statement of ours");
            for values in times {
                for (place, value) in (1..).zip(values) {
                    statement.raw_bind_parameter(place, value).expect("a value of ours");
                }
                let mut stepped = statement.raw_query();
                while stepped.next().expect("the store can be read").is_some() {
                    rows += 1;
                }
            }
        }
        self.connection.execute_batch("ROLLBACK").expect("its end");
        rows
    }
}

/// With the function of ours that a narrow window calls.
fn open(store: &OsStr) -> Connection {
    let connection = Connection::open(store).expect("the store");
    let is_utc = |context: &Context<'_>| {
        let text = context.get_raw(0).as_bytes().unwrap_or_default();
        Ok(text.get(10) == Some(&b'T') && text.iter().skip(19).all(|sign| matches!(sign, b'.' | b'0'..=b'9' | b'Z')))
    };
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("bulk_rerun_is_utc", 1, flags, is_utc).expect("a function");
    connection
}

/// What stands in a statement's expanded text where the statement itself has `?1`, `?2` and so on.
fn values(connection: &Connection, sql: &str, expanded: &str) -> Vec<Value> {
    let mut parts = sql.split('?');
    let mut rest = expanded.strip_prefix(parts.next().unwrap_or_default()).expect("the same beginning");
    let mut values = BTreeMap::new();
    for part in parts {
        let text = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let number: usize = part[..part.len() - text.len()].parse().expect("a number");
        let end = if text.is_empty() { rest.len() } else { rest.find(text).expect("the same text") };
        let select = format!("SELECT {}", &rest[..end]);
        values.insert(number, connection.query_row(&select, [], |row| row.get(0)).expect("a literal"));
        rest = &rest[end + text.len()..];
    }
    values.into_values().collect()
}

/// SQLite calls it with each new connection.
unsafe extern "C" fn watch(
    connection: *mut ffi::sqlite3,
    _: *mut *mut c_char,
    _: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: the connection is the new one, and what is called needs no context.
    unsafe { ffi::sqlite3_trace_v2(connection, ffi::SQLITE_TRACE_STMT as c_uint, Some(begins), ptr::null_mut()) }
}

/// SQLite calls it with each statement that begins.
unsafe extern "C" fn begins(_: c_uint, _: *mut c_void, statement: *mut c_void, _: *mut c_void) -> c_int {
    let statement = statement.cast::<ffi::sqlite3_stmt>();
    // SAFETY: the statement is alive until this returns, both texts end with a zero, and the second one is ours to free.
    let texts = unsafe {
        let expanded = ffi::sqlite3_expanded_sql(statement);
        let texts =
            [ffi::sqlite3_sql(statement), expanded].map(|text| CStr::from_ptr(text).to_string_lossy().into_owned());
        ffi::sqlite3_free(expanded.cast());
        texts
    };
    BEGUN.lock().unwrap_or_else(PoisonError::into_inner).push(texts);
    0
}
