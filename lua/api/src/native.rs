//! The functions that `bulk_rerun.lua` is written over. Each answers its result, or `nil` and an error
//! as a table (`status`, `detail`, `errors`); none of them raises.

use std::ffi::CString;
use std::time::SystemTime;

use mlua::{Function, IntoLua, Lua, Table, UserDataRef, Value};

use crate::core::Core;
use crate::plugin::{Cursor, Plugin};
use crate::{decode, encode};

/// A result, or `nil` and an error.
type Outcome = (Value, Value);

/// The table of functions.
pub(crate) fn functions(lua: &Lua, core: &'static Core) -> mlua::Result<Table> {
    let functions = lua.create_table()?;
    functions.set("version", core.version())?;
    functions.set("null", Value::NULL)?;

    functions.set(
        "open",
        lua.create_function(move |lua, config: mlua::LuaString| {
            with_text(lua, &config, |config| answer(lua, Plugin::open(core, &config)))
        })?,
    )?;
    functions.set(
        "attach",
        lua.create_function(move |lua, (config, transactions): (mlua::LuaString, bool)| {
            with_text(lua, &config, |config| answer(lua, Plugin::attach(core, &config, transactions)))
        })?,
    )?;
    functions.set("is_open", lua.create_function(|_, plugin: UserDataRef<Plugin>| Ok(plugin.is_open()))?)?;
    functions.set("close", lua.create_function(|_, plugin: UserDataRef<Plugin>| Ok(plugin.close()))?)?;
    functions.set("call", lua.create_function(call)?)?;
    functions.set("select", lua.create_function(select)?)?;
    functions.set("next", lua.create_function(next)?)?;
    functions.set(
        "close_cursor",
        lua.create_function(|_, cursor: UserDataRef<Cursor>| {
            cursor.close();
            Ok(())
        })?,
    )?;
    functions.set("emit", lua.create_function(emit)?)?;

    functions.set("encode", lua.create_function(encode_value)?)?;
    functions.set("decode", lua.create_function(decode_text)?)?;
    functions.set("mark_array", lua.create_function(|lua, table: Table| encode::mark_array(lua, &table))?)?;
    functions.set("ago", lua.create_function(ago)?)?;
    Ok(functions)
}

/// `call(plugin, request, keep, dispatch)`: the operation's answer.
fn call(
    lua: &Lua,
    (plugin, request, keep, dispatch): (UserDataRef<Plugin>, mlua::LuaString, Option<Function>, Option<Function>),
) -> mlua::Result<Outcome> {
    with_text(lua, &request, |request| {
        let json = plugin.call(lua, &request, keep, dispatch);
        let answer = from_core(lua, &json)?;
        // Of the two, only an error has a status.
        match &answer {
            Value::Table(model) if model.contains_key("status")? => Ok((Value::Nil, answer)),
            _ => Ok((answer, Value::Nil)),
        }
    })
}

/// `select(plugin, selector, dispatch)`: a cursor.
fn select(
    lua: &Lua,
    (plugin, selector, dispatch): (UserDataRef<Plugin>, mlua::LuaString, Option<Function>),
) -> mlua::Result<Outcome> {
    with_text(lua, &selector, |selector| answer(lua, plugin.select(lua, &selector, dispatch)))
}

/// `next(cursor)`: the next run, or `nil` at the end.
fn next(lua: &Lua, cursor: UserDataRef<Cursor>) -> mlua::Result<Outcome> {
    match cursor.next() {
        Ok(None) => Ok((Value::Nil, Value::Nil)),
        Ok(Some(json)) => match decode::run(lua, &json) {
            Ok(run) => Ok((run, Value::Nil)),
            Err(cause) => error(lua, 500, &format!("a run of the core's can't be read: {cause}")),
        },
        Err(json) => Ok((Value::Nil, from_core(lua, &json)?)),
    }
}

/// `emit(plugin, run)`: hands a run of a script's own host to the core.
fn emit(lua: &Lua, (plugin, run): (UserDataRef<Plugin>, mlua::LuaString)) -> mlua::Result<Outcome> {
    with_text(lua, &run, |run| match plugin.emit(&run) {
        Some(taken) => Ok((Value::Boolean(taken), Value::Nil)),
        None => error(lua, 409, "emit works only while the host's runs function is at work"),
    })
}

/// `encode(value, root)`: JSON text.
fn encode_value(lua: &Lua, (value, root): (Value, std::string::String)) -> mlua::Result<Outcome> {
    match encode::to_json(lua, &value, &root) {
        Ok(json) => Ok((json.to_string().into_lua(lua)?, Value::Nil)),
        Err(misfit) => {
            let violation = lua.create_table()?;
            violation.set("location", misfit.location.as_str())?;
            violation.set("message", misfit.message.as_str())?;
            violation.set("value", misfit.value)?;
            let detail = format!("validation failed: {}: {}", misfit.location, misfit.message);
            let (_, model) = error(lua, 422, &detail)?;
            if let Value::Table(model) = &model {
                model.set("errors", [violation])?;
            }
            Ok((Value::Nil, model))
        }
    }
}

/// `decode(text)`: the value that a JSON text says.
fn decode_text(lua: &Lua, text: mlua::LuaString) -> mlua::Result<Outcome> {
    let Ok(json) = text.to_str() else { return error(lua, 400, "the text is not JSON: it is not UTF-8") };
    match decode::value(lua, &json) {
        Ok(value) => Ok((value, Value::Nil)),
        Err(cause) => error(lua, 400, &format!("the text is not JSON: {cause}")),
    }
}

/// `ago(duration)`: the time so long ago, as RFC 3339 in UTC.
fn ago(lua: &Lua, duration: mlua::LuaString) -> mlua::Result<Outcome> {
    let text = duration.to_string_lossy();
    let parsed = humantime::parse_duration(&text).ok();
    match parsed.and_then(|duration| SystemTime::now().checked_sub(duration)).filter(|&time| time >= FIRST) {
        Some(time) => Ok((humantime::format_rfc3339_millis(time).to_string().into_lua(lua)?, Value::Nil)),
        None => error(lua, 400, &format!("{text:?} is no duration: expected how long ago, such as 24h, 7d or 1h 30m")),
    }
}

/// Times before 1970 are not written.
const FIRST: SystemTime = SystemTime::UNIX_EPOCH;

/// The text as C takes it.
fn with_text(
    lua: &Lua,
    text: &mlua::LuaString,
    work: impl FnOnce(CString) -> mlua::Result<Outcome>,
) -> mlua::Result<Outcome> {
    match CString::new(text.as_bytes().to_vec()) {
        Ok(text) => work(text),
        Err(nul) => error(lua, 400, &format!("the request is not JSON: byte {} is zero", nul.nul_position() + 1)),
    }
}

/// What the core made, or its error.
fn answer<T: mlua::UserData + 'static>(lua: &Lua, made: Result<T, std::string::String>) -> mlua::Result<Outcome> {
    match made {
        Ok(object) => Ok((Value::UserData(lua.create_userdata(object)?), Value::Nil)),
        Err(json) => Ok((Value::Nil, from_core(lua, &json)?)),
    }
}

/// An answer or an error of the core's.
fn from_core(lua: &Lua, json: &str) -> mlua::Result<Value> {
    match decode::value(lua, json) {
        Ok(value) => Ok(value),
        Err(cause) => Ok(error(lua, 500, &format!("the core's answer can't be read: {cause}"))?.1),
    }
}

fn error(lua: &Lua, status: u16, detail: &str) -> mlua::Result<Outcome> {
    let model = lua.create_table()?;
    model.set("status", status)?;
    model.set("detail", detail)?;
    Ok((Value::Nil, Value::Table(model)))
}
