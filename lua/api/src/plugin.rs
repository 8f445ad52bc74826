//! The core's plugins and cursors as Lua holds them, and the way back: a predicate and a host's
//! callbacks, which are Lua functions.
//!
//! Nothing may be thrown through the core's frames. The Lua functions that are called here catch
//! whatever a script raises, keep it, and say `nil`; `bulk_rerun.lua` raises it again when the core is back. Where Lua has
//! no memory left, they may not get so far: that is kept here.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;

use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, UserData, Value};

use crate::core::{ABI_VERSION, Core, HEEDS_DUE, Handle, Host};
use crate::decode;

/// No memory was left even to take back what was started.
pub(crate) const NOT_ROLLED_BACK: &str = "there was not enough memory to roll back";

/// What a callback answers to the core when it has failed.
const FAILED: i32 = -1;

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

/// What a script's own host can do beside handing runs over and starting them.
#[derive(Clone, Copy)]
pub(crate) struct Abilities {
    pub(crate) transactions: bool,
    pub(crate) heeds_due: bool,
    pub(crate) undo: bool,
    pub(crate) ledger: bool,
}

/// A host that is written in Lua.
struct ScriptHost {
    core: &'static Core,
    /// The function to call, while a call is under way.
    now: RefCell<Option<Callback>>,
    /// Where the runs go that are being handed over, while `runs` is at work.
    sink: Cell<Option<Handle>>,
}

/// A Lua function that the core may call while a call is under way. It does not raise.
#[derive(Clone)]
struct Callback {
    lua: Lua,
    function: Function,
    failure: Failure,
}

/// Why a function could not be asked, or could not answer.
type Failure = Rc<RefCell<Option<mlua::Error>>>;

impl Callback {
    /// What the function answers; `None` if it has failed.
    fn call<A: IntoLuaMulti, R: FromLuaMulti>(&self, arguments: impl FnOnce(&Lua) -> mlua::Result<A>) -> Option<R> {
        let answer = arguments(&self.lua).and_then(|arguments| self.function.call(arguments));
        answer.map_err(|error| *self.failure.borrow_mut() = Some(error)).ok()
    }
}

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
        let Abilities { transactions, heeds_due, undo: undoes, ledger } = abilities;
        let script = Box::new(ScriptHost { core, now: RefCell::default(), sink: Cell::default() });
        let host = Host {
            struct_size: size_of::<Host>(),
            abi_version: ABI_VERSION,
            flags: if heeds_due { HEEDS_DUE } else { 0 },
            context: (&raw const *script).cast_mut().cast(),
            runs: Some(runs),
            spawn: Some(spawn),
            begin: transactions.then_some(begin),
            commit: transactions.then_some(commit),
            rollback: transactions.then_some(rollback),
            undo: undoes.then_some(undo),
            find_operation: ledger.then_some(find_operation),
            record_operation: ledger.then_some(record_operation),
        };
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

    /// `bulk_rerun_call`, or `bulk_rerun_call_where` with a predicate. Answers the core's JSON, and why a function of the
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
                let context = (&raw const callback).cast_mut().cast();
                // SAFETY: as above; `keep` is called before this returns, with `callback` as its context.
                unsafe { (self.core.call_where)(self.handle.get(), request.as_ptr(), Some(keep), context) }
            }
        };
        // SAFETY: the core has just answered it.
        let answer = unsafe { self.core.take_text(answer) }.unwrap_or_default();
        self.started.set(started(&answer));
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
        let call = Call::begin(self, lua, dispatch);
        let mut error = ptr::null_mut();
        // SAFETY: the plugin is open and can't be closed while it is called; both pointers are good for the call.
        let handle = unsafe { (self.core.select)(self.handle.get(), selector.as_ptr(), &mut error) };
        // SAFETY: `error` is NULL or the core's.
        match unsafe { self.core.take_text(error) } {
            None if !handle.is_null() => Ok(Cursor { core: self.core, handle: Cell::new(handle) }),
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
}

impl UserData for Cursor {}

impl Cursor {
    /// The next run's JSON, `None` at the end, or the core's error as JSON.
    pub(crate) fn next(&self) -> Result<Option<String>, String> {
        if self.handle.get().is_null() {
            return Ok(None);
        }
        let mut error = ptr::null_mut();
        // SAFETY: the cursor is open, and `error` is good for the call.
        let run = unsafe { (self.core.cursor_next)(self.handle.get(), &mut error) };
        // SAFETY: both are NULL or the core's.
        let (run, error) = unsafe { (self.core.take_text(run), self.core.take_text(error)) };
        if run.is_none() {
            self.close();
        }
        error.map_or(Ok(run), Err)
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

/// Runs a callback's work; whatever goes wrong in it fails the core's call.
fn guarded(work: impl FnOnce() -> Option<i32>) -> i32 {
    catch_unwind(AssertUnwindSafe(work)).ok().flatten().unwrap_or(FAILED)
}

unsafe extern "C" fn keep(context: *mut c_void, run: *const c_char) -> i32 {
    guarded(|| {
        // SAFETY: `Plugin::call` hands a `Callback` over, which outlives the call; the core's text ends with a zero byte.
        let (callback, json) = unsafe { (&*context.cast::<Callback>(), CStr::from_ptr(run)) };
        let keeps: Option<bool> = callback.call(|lua| Ok(decode::run(lua, text(json)?)?))?;
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

/// A text of the core's, which is UTF-8.
fn text(json: &CStr) -> mlua::Result<&str> {
    json.to_str().map_err(mlua::Error::external)
}

impl ScriptHost {
    /// Calls the function for the step of this name; `None` if it failed.
    fn step<R: FromLuaMulti>(&self, name: &str, argument: impl FnOnce(&Lua) -> mlua::Result<Value>) -> Option<R> {
        // A clone: the function may call the plugin again.
        let callback = self.now.borrow().clone()?;
        callback.call(|lua| Ok((name, argument(lua)?)))
    }

    fn runs(&self, selector: &CStr, sink: Handle) -> Option<i32> {
        let outer = self.sink.replace(Some(sink));
        let done = self.step("runs", |lua| Ok(decode::value(lua, text(selector)?)?));
        self.sink.set(outer);
        done?
    }

    /// The step of this name answers with JSON.
    fn replying_step(
        &self,
        name: &str,
        reply: Handle,
        argument: impl FnOnce(&Lua) -> mlua::Result<Value>,
    ) -> Option<i32> {
        let answer: Option<String> = self.step(name, argument)?;
        let answer = CString::new(answer?).ok()?;
        // SAFETY: the reply is the core's for this callback, and the text ends with a zero byte.
        Some(unsafe { (self.core.reply_set)(reply, answer.as_ptr()) })
    }

    fn with_run(&self, name: &str, run: &CStr, reply: Handle) -> Option<i32> {
        self.replying_step(name, reply, |lua| Ok(decode::run(lua, text(run)?)?))
    }

    fn find_operation(&self, query: &CStr, reply: Handle) -> Option<i32> {
        self.replying_step("find_operation", reply, |lua| Ok(decode::value(lua, text(query)?)?))
    }

    fn record_operation(&self, operation: &CStr) -> Option<i32> {
        self.step("record_operation", |lua| Ok(Value::String(lua.create_string(operation.to_bytes())?)))?
    }

    /// Where there is no memory left for it, there may be something to collect: what was started should not stay.
    fn rollback(&self) -> Option<i32> {
        let once = || self.step("rollback", |_| Ok(Value::Nil));
        let collected = || self.now.borrow().as_ref().is_some_and(|callback| callback.lua.gc_collect().is_ok());
        let Some(done) = once().or_else(|| if collected() { once() } else { None }) else {
            let callback = self.now.borrow();
            *callback.as_ref()?.failure.borrow_mut() = Some(mlua::Error::runtime(NOT_ROLLED_BACK));
            return None;
        };
        done
    }

    fn transaction(&self, step: &str) -> Option<i32> {
        self.step(step, |_| Ok(Value::Nil))?
    }
}

/// The host that a callback is for.
///
/// # Safety
///
/// `context` is the one that `Plugin::attach` handed over, and its plugin is in use.
unsafe fn host<'a>(context: *mut c_void) -> &'a ScriptHost {
    // SAFETY: the plugin in use holds it.
    unsafe { &*context.cast::<ScriptHost>() }
}

unsafe extern "C" fn runs(context: *mut c_void, selector: *const c_char, sink: Handle) -> i32 {
    // SAFETY: the core hands over its own context, a text that ends with a zero byte, and a sink for this callback.
    guarded(|| unsafe { host(context).runs(CStr::from_ptr(selector), sink) })
}

unsafe extern "C" fn spawn(context: *mut c_void, source_run: *const c_char, reply: Handle) -> i32 {
    // SAFETY: the core hands over its own context, a text that ends with a zero byte, and a reply for this callback.
    guarded(|| unsafe { host(context).with_run("spawn", CStr::from_ptr(source_run), reply) })
}

unsafe extern "C" fn undo(context: *mut c_void, run: *const c_char, reply: Handle) -> i32 {
    // SAFETY: the core hands over its own context, a text that ends with a zero byte, and a reply for this callback.
    guarded(|| unsafe { host(context).with_run("undo", CStr::from_ptr(run), reply) })
}

unsafe extern "C" fn find_operation(context: *mut c_void, query: *const c_char, reply: Handle) -> i32 {
    // SAFETY: the core hands over its own context, a text that ends with a zero byte, and a reply for this callback.
    guarded(|| unsafe { host(context).find_operation(CStr::from_ptr(query), reply) })
}

unsafe extern "C" fn record_operation(context: *mut c_void, operation: *const c_char, _reply: Handle) -> i32 {
    // SAFETY: the core hands over its own context, and a text that ends with a zero byte.
    guarded(|| unsafe { host(context).record_operation(CStr::from_ptr(operation)) })
}

unsafe extern "C" fn begin(context: *mut c_void) -> i32 {
    // SAFETY: the core hands over its own context.
    guarded(|| unsafe { host(context) }.transaction("begin"))
}

unsafe extern "C" fn commit(context: *mut c_void) -> i32 {
    // SAFETY: the core hands over its own context.
    guarded(|| unsafe { host(context) }.transaction("commit"))
}

unsafe extern "C" fn rollback(context: *mut c_void) -> i32 {
    // SAFETY: the core hands over its own context.
    guarded(|| unsafe { host(context) }.rollback())
}
