//! The functions that `bulk_rerun.lua` is written over. Each answers its result, or `nil` and an error
//! as a table (`status`, `detail`, `errors`); none of them raises, unless Lua has no memory left: mostly the error is `true`
//! then, or -1 if there was too little even to roll back what had been started.

use std::ffi::CString;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use mlua::{FromLuaMulti, Function, IntoLua, Lua, LuaString, MaybeSend, Table, UserDataRef, Value};
use serde_json::{Map, Value as Json};

use crate::core::{Answer, Core};
use crate::decode::{self, Unreadable};
use crate::encode::{self, Unwritable};
use crate::plugin::{Cursor, Plugin};
use crate::script_host::{Abilities, NOT_ROLLED_BACK};

/// A result, or `nil` and an error.
type Outcome = (Value, Value);

/// No memory is left, and nothing was started.
const NO_MEMORY: Outcome = (Value::Nil, Value::Boolean(true));

/// A function of the table: what goes wrong in Lua itself is that it has no memory left.
fn function<A: FromLuaMulti + 'static>(
    lua: &Lua,
    work: impl Fn(&Lua, A) -> mlua::Result<Outcome> + MaybeSend + 'static,
) -> mlua::Result<Function> {
    lua.create_function(move |lua, arguments| match work(lua, arguments) {
        Err(error) if error.to_string().contains(NOT_ROLLED_BACK) => Ok((Value::Nil, Value::Integer(-1))),
        Err(error) if is_of_memory(&error) => Ok(NO_MEMORY),
        outcome => outcome,
    })
}

fn is_of_memory(error: &mlua::Error) -> bool {
    match error {
        mlua::Error::MemoryError(_) => true,
        mlua::Error::CallbackError { cause, .. } => is_of_memory(cause),
        // As Lua raises it once more.
        other => other.to_string().contains("not enough memory"),
    }
}

/// The table of functions.
pub(crate) fn functions(lua: &Lua, core: &'static Core) -> mlua::Result<Table> {
    let functions = lua.create_table()?;
    functions.set("version", core.version())?;
    functions.set("null", Value::NULL)?;

    let open =
        move |lua: &Lua, config: LuaString| with_text(lua, &config, |config| answer(lua, Plugin::open(core, &config)));
    let attach =
        move |lua: &Lua, (config, transactions, heeds_due, undo, ledger): (LuaString, bool, bool, bool, bool)| {
            let abilities = Abilities { transactions, heeds_due, undo, ledger };
            with_text(lua, &config, |config| answer(lua, Plugin::attach(core, &config, abilities)))
        };
    functions.set("open", function(lua, open)?)?;
    functions.set("attach", function(lua, attach)?)?;
    functions.set("is_open", lua.create_function(|_, plugin: UserDataRef<Plugin>| Ok(plugin.is_open()))?)?;
    functions.set("started", lua.create_function(|_, plugin: UserDataRef<Plugin>| Ok(plugin.started()))?)?;
    functions.set("close", lua.create_function(|_, plugin: UserDataRef<Plugin>| Ok(plugin.close()))?)?;
    functions.set("call", function(lua, call)?)?;
    functions.set("operations", function(lua, |lua, asked| ask(lua, |core| core.operations, asked))?)?;
    functions.set("undo", function(lua, |lua, asked| ask(lua, |core| core.undo, asked))?)?;
    functions.set("select", function(lua, select)?)?;
    functions.set("next", function(lua, next)?)?;
    functions.set(
        "close_cursor",
        lua.create_function(|_, cursor: UserDataRef<Cursor>| {
            cursor.close();
            Ok(())
        })?,
    )?;
    functions.set("emit", function(lua, emit)?)?;

    functions.set("encode", function(lua, encode_value)?)?;
    functions.set("encode_request", function(lua, encode_request)?)?;
    functions.set("decode", function(lua, decode_text)?)?;
    let mark_array = |lua: &Lua, table: Table| encode::mark_array(lua, &table).map(|()| (Value::Nil, Value::Nil));
    functions.set("mark_array", function(lua, mark_array)?)?;
    functions.set("ago", function(lua, ago)?)?;
    functions.set("seconds", lua.create_function(|_, duration: LuaString| Ok(seconds(&duration)))?)?;
    functions.set("clock", lua.create_function(|_, ()| Ok(START.elapsed().as_secs_f64()))?)?;
    functions.set("sleep", lua.create_function(|_, seconds: f64| sleep(seconds))?)?;
    Ok(functions)
}

/// `call(plugin, request, keep, dispatch)`: the operation's answer.
fn call(
    lua: &Lua,
    (plugin, request, keep, dispatch): (UserDataRef<Plugin>, LuaString, Option<Function>, Option<Function>),
) -> mlua::Result<Outcome> {
    with_text(lua, &request, |request| {
        let (json, failure) = plugin.call(lua, &request, keep, dispatch);
        if let Some(error) = failure.filter(|_| plugin.started() == 0) {
            return Err(error);
        }
        let answer = match from_core(lua, &json) {
            // What has been done should be told: there may be something to collect.
            Err(_) if plugin.started() > 0 => lua.gc_collect().and_then(|()| from_core(lua, &json))?,
            answer => answer?,
        };
        told(answer)
    })
}

/// `operations(plugin, query, dispatch)` and `undo(plugin, request, dispatch)`: what the core answers.
fn ask(
    lua: &Lua,
    function: impl FnOnce(&Core) -> Answer,
    (plugin, request, dispatch): (UserDataRef<Plugin>, LuaString, Option<Function>),
) -> mlua::Result<Outcome> {
    with_text(lua, &request, |request| match plugin.ask(lua, function, &request, dispatch) {
        (_, Some(error)) => Err(error),
        (json, None) => told(from_core(lua, &json)?),
    })
}

/// An answer, or an error: of the two, only an error has a status.
fn told(answer: Value) -> mlua::Result<Outcome> {
    match &answer {
        Value::Table(model) if model.contains_key("status")? => Ok((Value::Nil, answer)),
        _ => Ok((answer, Value::Nil)),
    }
}

/// `select(plugin, selector, dispatch)`: a cursor.
fn select(
    lua: &Lua,
    (plugin, selector, dispatch): (UserDataRef<Plugin>, LuaString, Option<Function>),
) -> mlua::Result<Outcome> {
    with_text(lua, &selector, |selector| match plugin.select(lua, &selector, dispatch) {
        Err((_, Some(error))) => Err(error),
        selected => answer(lua, selected.map_err(|(error, _)| error)),
    })
}

/// `next(cursor)`: the next run, or `nil` at the end.
fn next(lua: &Lua, cursor: UserDataRef<Cursor>) -> mlua::Result<Outcome> {
    match cursor.next(lua)? {
        Ok(run) => Ok((run, Value::Nil)),
        Err(json) => Ok((Value::Nil, from_core(lua, &json)?)),
    }
}

/// `emit(plugin, run)`: hands a run of a script's own host to the core.
fn emit(lua: &Lua, (plugin, run): (UserDataRef<Plugin>, LuaString)) -> mlua::Result<Outcome> {
    with_text(lua, &run, |run| match plugin.emit(&run) {
        Some(taken) => Ok((Value::Boolean(taken), Value::Nil)),
        None => error(lua, 409, "emit works only while the host's runs function is at work"),
    })
}

/// `encode(value, root)`: JSON text.
fn encode_value(lua: &Lua, (value, root): (Value, String)) -> mlua::Result<Outcome> {
    encoded(lua, encode::to_json(lua, &value, &root))
}

/// `encode_request(selector, dry_run)`: a selector as JSON; `dry_run` sets that option.
fn encode_request(lua: &Lua, (selector, dry_run): (Value, bool)) -> mlua::Result<Outcome> {
    encoded(lua, encode::to_json(lua, &selector, "body").map(|request| as_request(request, dry_run)))
}

fn as_request(mut request: Json, dry_run: bool) -> Json {
    let Some(fields) = request.as_object_mut() else { return request };
    // These are always lists: here an empty table can be told from an empty object.
    let as_lists = |fields: &mut Map<String, Json>, names: &[&str]| {
        for name in names {
            if let Some(list) = fields.get_mut(*name).filter(|list| list.as_object().is_some_and(Map::is_empty)) {
                *list = Json::Array(Vec::new());
            }
        }
    };
    as_lists(fields, &["ids", "except_ids", "exceptIds"]);
    if let Some(options) = fields.get_mut("options").and_then(Json::as_object_mut) {
        as_lists(options, &["except_tasks", "exceptTasks", "except_groups", "exceptGroups"]);
    }
    if dry_run {
        let options = fields.entry("options").or_insert(Json::Null);
        if options.is_null() {
            *options = Json::Object(Map::new());
        }
        // What it is else, the core complains of.
        if let Some(options) = options.as_object_mut() {
            options.remove("dryRun");
            options.insert("dry_run".to_owned(), Json::Bool(true));
        }
    }
    request
}

fn encoded(lua: &Lua, json: Result<Json, Unwritable>) -> mlua::Result<Outcome> {
    match json {
        Ok(json) => Ok((json.to_string().into_lua(lua)?, Value::Nil)),
        Err(Unwritable::Lua(error)) => Err(error),
        Err(Unwritable::Misfit(misfit)) => {
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
fn decode_text(lua: &Lua, text: LuaString) -> mlua::Result<Outcome> {
    let Ok(json) = text.to_str() else { return error(lua, 400, "the text is not JSON: it is not UTF-8") };
    match decode::value(lua, &json) {
        Ok(value) => Ok((value, Value::Nil)),
        Err(Unreadable::Text(cause)) => error(lua, 400, &format!("the text is not JSON: {cause}")),
        Err(Unreadable::Lua(error)) => Err(error),
    }
}

/// `ago(duration)`: the time so long ago, as RFC 3339 in UTC.
fn ago(lua: &Lua, duration: LuaString) -> mlua::Result<Outcome> {
    let text = duration.to_string_lossy();
    let parsed = humantime::parse_duration(&text).ok();
    match parsed.and_then(|duration| SystemTime::now().checked_sub(duration)).filter(|&time| time >= FIRST) {
        Some(time) => Ok((humantime::format_rfc3339_millis(time).to_string().into_lua(lua)?, Value::Nil)),
        None => error(lua, 400, &format!("{text:?} is no duration: expected how long ago, such as 24h, 7d or 1h 30m")),
    }
}

/// `seconds(duration)`: how long that is; `nil` if it is no duration.
fn seconds(duration: &LuaString) -> Option<f64> {
    humantime::parse_duration(&duration.to_string_lossy()).ok().map(|duration| duration.as_secs_f64())
}

/// What `clock()` counts from, in seconds, whatever becomes of the time of day.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// `sleep(seconds)`.
fn sleep(seconds: f64) -> mlua::Result<()> {
    thread::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    Ok(())
}

/// Times before 1970 are not written.
const FIRST: SystemTime = SystemTime::UNIX_EPOCH;

/// The text as C takes it.
fn with_text(
    lua: &Lua,
    text: &LuaString,
    work: impl FnOnce(CString) -> mlua::Result<Outcome>,
) -> mlua::Result<Outcome> {
    match CString::new(text.as_bytes().to_vec()) {
        Ok(text) => work(text),
        Err(nul) => error(lua, 400, &format!("the request is not JSON: byte {} is zero", nul.nul_position() + 1)),
    }
}

/// What the core made, or its error.
fn answer<T: mlua::UserData + 'static>(lua: &Lua, made: Result<T, String>) -> mlua::Result<Outcome> {
    match made {
        Ok(object) => Ok((Value::UserData(lua.create_userdata(object)?), Value::Nil)),
        Err(json) => Ok((Value::Nil, from_core(lua, &json)?)),
    }
}

/// An answer or an error of the core's.
fn from_core(lua: &Lua, json: &str) -> mlua::Result<Value> {
    match decode::value(lua, json) {
        Ok(value) => Ok(value),
        Err(Unreadable::Text(cause)) => Ok(error(lua, 500, &format!("the core's answer can't be read: {cause}"))?.1),
        Err(Unreadable::Lua(error)) => Err(error),
    }
}

fn error(lua: &Lua, status: u16, detail: &str) -> mlua::Result<Outcome> {
    let model = lua.create_table()?;
    model.set("status", status)?;
    model.set("detail", detail)?;
    Ok((Value::Nil, Value::Table(model)))
}
