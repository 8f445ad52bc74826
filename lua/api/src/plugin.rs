//! The core's plugins and cursors as Lua holds them. The way back, a predicate and a host's own callbacks, is
//! in `script_host.rs`.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use mlua::{Function, Lua, UserData, Value};

use crate::core::{Answer, Core, Handle, LentRun};
use crate::run::Columns;
use crate::script_host::{Abilities, Callback, Failure, ScriptHost, guarded};

/// A plugin of the core's; closed when Lua collects it, if not before.
pub(crate) struct Plugin {
    core: &'static Core,
    /// NULL once closed.
    handle: Cell<Handle>,
    /// How many of its calls are under way: more than one where a predicate calls the plugin again.
    calls: Cell<usize>,
    /// How many runs its last call has started.
    started: Cell<usize>,
    /// Where the store is a script's. Boxed: the core holds its address.
    host: Option<Box<ScriptHost>>,
}

impl UserData for Plugin {}

impl Plugin {
    /// `bulk_rerun_open`, or the core's error as JSON.
    pub(crate) fn open(core: &'static Core, config: &CStr) -> Result<Plugin, String> {
        let mut error = ptr::null_mut();
        // SAFETY: both pointers are good for the call.
        let handle = unsafe { (core.open)(config.as_ptr(), &mut error) };
        Plugin::new(core, handle, None, error)
    }

    /// `bulk_rerun_attach` over a host that is written in Lua.
    pub(crate) fn attach(core: &'static Core, config: &CStr, abilities: Abilities) -> Result<Plugin, String> {
        let script = Box::new(ScriptHost::new(core));
        let host = script.table(abilities);
        let mut error = ptr::null_mut();
        // SAFETY: the pointers are good for the call; the core copies `host`, and its context lives as long as the
        // plugin does.
        let handle = unsafe { (core.attach)(&host, config.as_ptr(), &mut error) };
        Plugin::new(core, handle, Some(script), error)
    }

    fn new(
        core: &'static Core,
        handle: Handle,
        host: Option<Box<ScriptHost>>,
        error: *mut c_char,
    ) -> Result<Plugin, String> {
        // SAFETY: `error` is NULL or the core's.
        match unsafe { core.take_text(error) } {
            None if !handle.is_null() => {
                Ok(Plugin { core, handle: Cell::new(handle), calls: Cell::new(0), started: Cell::new(0), host })
            }
            error => Err(error.unwrap_or_default()),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.handle.get().is_null()
    }

    /// `bulk_rerun_call`, or `bulk_rerun_call_where_run` with a predicate. Answers the core's JSON, and why a function of the
    /// script's could not be called, if so.
    pub(crate) fn call(
        &self,
        lua: &Lua,
        request: &CStr,
        keep_function: Option<Function>,
        dispatch: Option<Function>,
    ) -> (String, Option<mlua::Error>) {
        let call = Call::begin(self, lua, dispatch);
        self.started.set(0);
        let answer = match keep_function {
            // SAFETY: the plugin is open and can't be closed while it is called; the request ends with a zero byte.
            None => unsafe { (self.core.call)(self.handle.get(), request.as_ptr()) },
            Some(function) => {
                let callback = Callback { lua: lua.clone(), function, failure: call.failure.clone() };
                let predicate = match Columns::new(lua) {
                    Ok(columns) => Predicate { callback, columns },
                    Err(error) => return (String::new(), Some(error)),
                };
                let context = (&raw const predicate).cast_mut().cast();
                // SAFETY: as above; `keep` is called before this returns, with `predicate` as its context.
                unsafe { (self.core.call_where_run)(self.handle.get(), request.as_ptr(), Some(keep), context) }
            }
        };
        // SAFETY: the core has just answered it.
        let answer = unsafe { self.core.take_text(answer) }.unwrap_or_default();
        self.started.set(started(&answer));
        (answer, call.failure.take())
    }

    /// What this function of the core's answers, and why a function of the script's could not be called, if so.
    pub(crate) fn ask(
        &self,
        lua: &Lua,
        function: impl FnOnce(&Core) -> Answer,
        request: &CStr,
        dispatch: Option<Function>,
    ) -> (String, Option<mlua::Error>) {
        let call = Call::begin(self, lua, dispatch);
        // SAFETY: the plugin is open and can't be closed while it is called; the request ends with a zero byte.
        let answer = unsafe { function(self.core)(self.handle.get(), request.as_ptr()) };
        // SAFETY: the core has just answered it.
        let answer = unsafe { self.core.take_text(answer) }.unwrap_or_default();
        (answer, call.failure.take())
    }

    pub(crate) fn started(&self) -> usize {
        self.started.get()
    }

    /// `bulk_rerun_select`, or the core's error as JSON, and why a function of the script's could not be called, if so.
    pub(crate) fn select(
        &self,
        lua: &Lua,
        selector: &CStr,
        dispatch: Option<Function>,
    ) -> Result<Cursor, (String, Option<mlua::Error>)> {
        let columns = Columns::new(lua).map_err(|error| (String::new(), Some(error)))?;
        let call = Call::begin(self, lua, dispatch);
        let mut error = ptr::null_mut();
        // SAFETY: the plugin is open and can't be closed while it is called; both pointers are good for the call.
        let handle = unsafe { (self.core.select)(self.handle.get(), selector.as_ptr(), &mut error) };
        // SAFETY: `error` is NULL or the core's.
        match unsafe { self.core.take_text(error) } {
            None if !handle.is_null() => Ok(Cursor { core: self.core, handle: Cell::new(handle), columns }),
            error => Err((error.unwrap_or_default(), call.failure.take())),
        }
    }

    /// Hands a run to the core from within `runs`; `None` if no `runs` is at work, else whether the core took it.
    pub(crate) fn emit(&self, run: &CStr) -> Option<bool> {
        let sink = self.host.as_ref()?.sink.get()?;
        // SAFETY: the sink is good while `runs` is at work, which it is.
        Some(unsafe { (self.core.emit)(sink, run.as_ptr()) } == 0)
    }

    /// Closes it; false where one of its calls is under way.
    pub(crate) fn close(&self) -> bool {
        if self.calls.get() > 0 {
            return false;
        }
        let handle = self.handle.replace(ptr::null_mut());
        // SAFETY: it is NULL or an open plugin, and from here on nobody has it any more.
        unsafe { (self.core.close)(handle) };
        true
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.close();
    }
}

/// A call that is under way: the plugin stays open, and its host has the function to call.
struct Call<'a> {
    plugin: &'a Plugin,
    outer: Option<Callback>,
    failure: Failure,
}

impl<'a> Call<'a> {
    fn begin(plugin: &'a Plugin, lua: &Lua, dispatch: Option<Function>) -> Call<'a> {
        plugin.calls.set(plugin.calls.get() + 1);
        let failure = Failure::default();
        let callback = dispatch.map(|function| Callback { lua: lua.clone(), function, failure: failure.clone() });
        let outer = plugin.host.as_ref().and_then(|host| host.now.replace(callback));
        Call { plugin, outer, failure }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.plugin.calls.set(self.plugin.calls.get() - 1);
        if let Some(host) = &self.plugin.host {
            host.now.replace(self.outer.take());
        }
    }
}

/// A cursor of the core's; closed at its end, or when Lua collects it.
pub(crate) struct Cursor {
    core: &'static Core,
    /// NULL once closed.
    handle: Cell<Handle>,
    columns: Columns,
}

impl UserData for Cursor {}

impl Cursor {
    /// The next run as a table, `nil` at the end, or the core's error as JSON.
    pub(crate) fn next(&self, lua: &Lua) -> mlua::Result<Result<Value, String>> {
        if self.handle.get().is_null() {
            return Ok(Ok(Value::Nil));
        }
        let (mut run, mut error) = (MaybeUninit::uninit(), ptr::null_mut());
        // SAFETY: the cursor is open, and both places are good for the call.
        let status = unsafe { (self.core.cursor_run)(self.handle.get(), run.as_mut_ptr(), &mut error) };
        if status == 1 {
            // SAFETY: the core has filled it in, and its texts stay until the cursor's next call.
            return unsafe { self.columns.table(lua, run.assume_init_ref()) }.map(Ok);
        }
        self.close();
        // SAFETY: it is NULL or the core's.
        Ok(unsafe { self.core.take_text(error) }.map_or(Ok(Value::Nil), Err))
    }

    pub(crate) fn close(&self) {
        let handle = self.handle.replace(ptr::null_mut());
        if !handle.is_null() {
            // SAFETY: it is an open cursor, and from here on nobody has it any more.
            unsafe { (self.core.cursor_close)(handle) };
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.close();
    }
}

/// A predicate of a script's.
struct Predicate {
    callback: Callback,
    columns: Columns,
}

unsafe extern "C" fn keep(context: *mut c_void, run: *const LentRun) -> i32 {
    guarded(|| {
        // SAFETY: `Plugin::call` hands a `Predicate` over, which outlives the call; the core's run stays until this returns.
        let (Predicate { callback, columns }, run) = unsafe { (&*context.cast::<Predicate>(), &*run) };
        // SAFETY: as above.
        let keeps: Option<bool> = callback.call(|lua| unsafe { columns.table(lua, run) })?;
        keeps.map(i32::from)
    })
}

/// How many runs an answer, or an error half way, says to have been started.
fn started(json: &str) -> usize {
    // Most answers say so early, and some are long.
    if !json.contains(r#""triggered":[{"#) {
        return 0;
    }
    let answer: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    answer["triggered"].as_array().map_or(0, Vec::len)
}
