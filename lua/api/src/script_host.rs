//! The way back from the core into Lua: a predicate, and the callbacks of a host that is a script's own.
//!
//! Nothing may be thrown through the core's frames. The Lua functions that are called here catch
//! whatever a script raises, keep it, and say `nil`; `bulk_rerun.lua` raises it again when the core is back. Where
//! Lua has no memory left, they may not get so far: that is kept here.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, Value};

use crate::core::{ABI_VERSION, Core, HEEDS_DUE, Handle, Host};
use crate::decode;
use crate::run;

/// No memory was left even to take back what was started.
pub(crate) const NOT_ROLLED_BACK: &str = "there was not enough memory to roll back";

/// What a callback answers to the core when it has failed.
const FAILED: i32 = -1;

/// What a script's own host can do beside handing runs over and starting them.
#[derive(Clone, Copy)]
pub(crate) struct Abilities {
    pub(crate) transactions: bool,
    pub(crate) heeds_due: bool,
    pub(crate) undo: bool,
    pub(crate) ledger: bool,
}

/// A host that is written in Lua.
pub(crate) struct ScriptHost {
    core: &'static Core,
    /// The function to call, while a call is under way.
    pub(crate) now: RefCell<Option<Callback>>,
    /// Where the runs go that are being handed over, while `runs` is at work.
    pub(crate) sink: Cell<Option<Handle>>,
}

/// A Lua function that the core may call while a call is under way. It does not raise.
#[derive(Clone)]
pub(crate) struct Callback {
    pub(crate) lua: Lua,
    pub(crate) function: Function,
    pub(crate) failure: Failure,
}

/// Why a function could not be asked, or could not answer.
pub(crate) type Failure = Rc<RefCell<Option<mlua::Error>>>;

impl Callback {
    /// What the function answers; `None` if it has failed.
    pub(crate) fn call<A: IntoLuaMulti, R: FromLuaMulti>(
        &self,
        arguments: impl FnOnce(&Lua) -> mlua::Result<A>,
    ) -> Option<R> {
        let answer = arguments(&self.lua).and_then(|arguments| self.function.call(arguments));
        answer.map_err(|error| *self.failure.borrow_mut() = Some(error)).ok()
    }
}

/// Runs a callback's work; whatever goes wrong in it fails the core's call.
pub(crate) fn guarded(work: impl FnOnce() -> Option<i32>) -> i32 {
    catch_unwind(AssertUnwindSafe(work)).ok().flatten().unwrap_or(FAILED)
}

/// A text of the core's, which is UTF-8.
fn text(json: &CStr) -> mlua::Result<&str> {
    json.to_str().map_err(mlua::Error::external)
}

impl ScriptHost {
    pub(crate) fn new(core: &'static Core) -> ScriptHost {
        ScriptHost { core, now: RefCell::default(), sink: Cell::default() }
    }

    /// The table of its callbacks, good for as long as it stays where it is.
    pub(crate) fn table(&self, abilities: Abilities) -> Host {
        let Abilities { transactions, heeds_due, undo: undoes, ledger } = abilities;
        Host {
            struct_size: size_of::<Host>(),
            abi_version: ABI_VERSION,
            flags: if heeds_due { HEEDS_DUE } else { 0 },
            context: (&raw const *self).cast_mut().cast(),
            runs: Some(runs),
            spawn: Some(spawn),
            begin: transactions.then_some(begin),
            commit: transactions.then_some(commit),
            rollback: transactions.then_some(rollback),
            undo: undoes.then_some(undo),
            find_operation: ledger.then_some(find_operation),
            record_operation: ledger.then_some(record_operation),
        }
    }

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

    fn with_run(&self, name: &str, json: &CStr, reply: Handle) -> Option<i32> {
        self.replying_step(name, reply, |lua| run::from_json(lua, text(json)?))
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
