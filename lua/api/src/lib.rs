//! The Lua API of bulk_rerun, once for every Lua: the module for stock interpreters and the command
//! line tool's own Lua both get it from here, so that a script behaves the same in both.
//!
//! The API itself is written in Lua (`bulk_rerun.lua`, `operations.lua`, and `script_host.lua` for hosts that are a
//! script's own), and runs in 5.1 to 5.5 and LuaJIT. Beneath it are the few functions of [`native`]: calls of the C ABI
//! ([`Core`]), and values to and from JSON.

#![deny(missing_docs, clippy::unwrap_used)]

mod core;
mod decode;
mod encode;
mod native;
mod plugin;
mod run;
mod script_host;

use mlua::{Lua, Table};

pub use crate::core::{ABI_VERSION, Core, Host, LentRun};

/// What `require "bulk_rerun"` returns.
///
/// # Errors
///
/// When Lua has no memory left.
pub fn module(lua: &Lua, core: &'static Core) -> mlua::Result<Table> {
    let chunk = |text: &'static str| lua.load(text).set_name("=bulk_rerun");
    let script_host = chunk(include_str!("script_host.lua")).into_function()?;
    let operations = chunk(include_str!("operations.lua")).into_function()?;
    chunk(include_str!("bulk_rerun.lua")).call((native::functions(lua, core)?, script_host, operations))
}
