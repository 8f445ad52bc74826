//! A run as scripts have it: a table of its columns. Those that are not there are left out, and `params`, the host's own
//! text, is a table where it is a JSON object or array; the text itself is `params_text`.

use std::slice;

use mlua::ffi::{self, lua_State};
use mlua::{Lua, Table, Value};

use crate::core::{HAS_EXIT_CODE, HAS_IS_FAILURE, HAS_RETRY_ATTEMPT, LentRun, LentText};
use crate::decode::{self, Part};
use crate::encode;

/// The columns, in the order of their names' numbers below.
const NAMES: [&str; 12] = [
    "id",
    "task_name",
    "phase",
    "end_reason",
    "triggered_by",
    "created_at",
    "unfit",
    "exit_code",
    "retry_attempt",
    "is_failure",
    "params",
    "params_text",
];

/// How many texts there are before the numbers.
const TEXTS: usize = 7;
const EXIT_CODE: ffi::lua_Integer = 8;
const RETRY_ATTEMPT: ffi::lua_Integer = 9;
const IS_FAILURE: ffi::lua_Integer = 10;
const PARAMS: ffi::lua_Integer = 11;
const PARAMS_TEXT: ffi::lua_Integer = 12;

/// Where things are on the stack while a run is made.
const COLUMN_NAMES: i32 = 1;
const ARRAYS: i32 = 2;
const RUN: i32 = 3;

/// What Lua needs to make many runs.
pub(crate) struct Columns {
    /// The columns' names: Lua would look for each once more.
    names: Table,
    /// The metatable of arrays.
    arrays: Table,
}

/// The columns' names as a list, which is made once.
fn names(lua: &Lua) -> mlua::Result<Table> {
    const KEPT: &str = "bulk_rerun.columns";
    if let Ok(names) = lua.named_registry_value(KEPT) {
        return Ok(names);
    }
    let names = lua.create_sequence_from(NAMES)?;
    lua.set_named_registry_value(KEPT, &names)?;
    Ok(names)
}

/// A run's columns.
struct Fields<'r> {
    texts: [Option<&'r [u8]>; TEXTS],
    exit_code: Option<i64>,
    retry_attempt: Option<i64>,
    is_failure: Option<bool>,
    params: Option<&'r [u8]>,
}

impl Columns {
    pub(crate) fn new(lua: &Lua) -> mlua::Result<Columns> {
        Ok(Columns { names: names(lua)?, arrays: encode::array_metatable(lua)? })
    }

    /// The run as a table.
    ///
    /// # Safety
    ///
    /// Its texts are there.
    pub(crate) unsafe fn table(&self, lua: &Lua, run: &LentRun) -> mlua::Result<Value> {
        let has = |bit| run.has & bit != 0;
        // SAFETY: as the caller says.
        let text = |text| unsafe { bytes(text) };
        let texts =
            [run.id, run.task_name, run.phase, run.end_reason, run.triggered_by, run.created_at, run.unfit].map(text);
        self.made(
            lua,
            &Fields {
                texts,
                exit_code: has(HAS_EXIT_CODE).then_some(run.exit_code),
                retry_attempt: has(HAS_RETRY_ATTEMPT).then_some(run.retry_attempt),
                is_failure: has(HAS_IS_FAILURE).then_some(run.is_failure != 0),
                params: text(run.params),
            },
        )
    }

    fn made(&self, lua: &Lua, fields: &Fields<'_>) -> mlua::Result<Value> {
        let parts = fields.params.and_then(parts_of_params);
        let made = |state| {
            // SAFETY: the stack has the names and the metatable, and Lua catches its own errors around this; nothing here is
            // to be dropped when it does.
            unsafe {
                push(state, fields, parts.as_deref());
                ffi::lua_replace(state, 1);
                ffi::lua_settop(state, 1);
            }
        };
        // SAFETY: as above.
        unsafe { lua.exec_raw((&self.names, &self.arrays), made) }
    }
}

/// A run's JSON as the core writes it for a host, as a table: its columns, and what else is said of it.
pub(crate) fn from_json(lua: &Lua, json: &str) -> mlua::Result<Value> {
    let fields = decode::read(json).map_err(mlua::Error::external)?;
    let text = fields.windows(2).find_map(|pair| match pair {
        [Part::Name(name), Part::Text(text)] if name == "params" => Some(text.as_bytes()),
        _ => None,
    });
    let parts = text.and_then(parts_of_params);
    let Columns { names, arrays } = Columns::new(lua)?;
    let made = |state| {
        let mut fields = fields.iter();
        // The object's own beginning.
        fields.next();
        // SAFETY: as for `Columns::made`; there is room for some values more.
        unsafe {
            ffi::lua_createtable(state, 0, NAMES.len() as i32);
            while let Some(Part::Name(name)) = fields.next() {
                match fields.as_slice().first() {
                    Some(Part::Null) => _ = fields.next(),
                    Some(Part::Text(text)) if name == "params" => {
                        push_params(state, text.as_bytes(), parts.as_deref());
                        fields.next();
                    }
                    _ => {
                        decode::push_text(state, name.as_bytes());
                        // The core says nothing twice.
                        let _ = decode::push(state, &mut fields, ARRAYS);
                        ffi::lua_rawset(state, RUN);
                    }
                }
            }
            ffi::lua_replace(state, 1);
            ffi::lua_settop(state, 1);
        }
    };
    // SAFETY: as above.
    unsafe { lua.exec_raw((names, arrays), made) }
}

/// The parts of parameters that are a JSON object or array.
fn parts_of_params(text: &[u8]) -> Option<Vec<Part<'_>>> {
    let is_one = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    decode::read(str::from_utf8(text).ok().filter(|_| is_one)?).ok()
}

/// # Safety
///
/// The text is there for as long as its bytes are used.
unsafe fn bytes<'r>(text: LentText) -> Option<&'r [u8]> {
    // SAFETY: as the caller says.
    (!text.bytes.is_null()).then(|| unsafe { slice::from_raw_parts(text.bytes.cast(), text.length) })
}

/// Pushes a run's table; `parts`: those of its parameters, where they are JSON.
///
/// # Safety
///
/// The names and the metatable are where they should be on the stack, and Lua's errors are caught.
unsafe fn push(state: *mut lua_State, fields: &Fields<'_>, parts: Option<&[Part<'_>]>) {
    // SAFETY: as the caller says; a function of Lua's has room for twenty values.
    unsafe {
        ffi::lua_createtable(state, 0, NAMES.len() as i32);
        for (number, text) in (1..).zip(fields.texts) {
            if let Some(text) = text {
                push_name(state, number);
                decode::push_text(state, text);
                ffi::lua_rawset(state, RUN);
            }
        }
        for (number, value) in [(EXIT_CODE, fields.exit_code), (RETRY_ATTEMPT, fields.retry_attempt)] {
            if let Some(value) = value {
                push_name(state, number);
                decode::push_integer(state, value);
                ffi::lua_rawset(state, RUN);
            }
        }
        if let Some(is_failure) = fields.is_failure {
            push_name(state, IS_FAILURE);
            ffi::lua_pushboolean(state, is_failure.into());
            ffi::lua_rawset(state, RUN);
        }
        if let Some(text) = fields.params {
            push_params(state, text, parts);
        }
    }
}

/// Puts parameters into the run.
///
/// # Safety
///
/// As for [`push`].
unsafe fn push_params(state: *mut lua_State, text: &[u8], parts: Option<&[Part<'_>]>) {
    // SAFETY: as the caller says.
    unsafe {
        push_name(state, PARAMS);
        let is_table = parts.is_some_and(|parts| decode::push(state, &mut parts.iter(), ARRAYS).is_ok());
        if !is_table {
            // What says something twice is in pieces above the name.
            ffi::lua_settop(state, RUN);
            push_name(state, PARAMS);
            decode::push_text(state, text);
        }
        ffi::lua_rawset(state, RUN);
        push_name(state, PARAMS_TEXT);
        decode::push_text(state, text);
        ffi::lua_rawset(state, RUN);
    }
}

/// # Safety
///
/// As for [`push`].
unsafe fn push_name(state: *mut lua_State, number: ffi::lua_Integer) {
    // SAFETY: as the caller says.
    unsafe { ffi::lua_rawgeti(state, COLUMN_NAMES, number) };
}
