//! The Lua API of bulk_rerun, once for every Lua: the module for stock interpreters and the command
//! line tool's own Lua both get it from here, so that a script behaves the same in both.
//!
//! The API itself is written in Lua (`bulk_rerun.lua`, `operations.lua`), and runs in 5.1 to 5.5 and LuaJIT. Beneath
//! it are the few functions of [`native`]: calls of the C ABI ([`Core`]), and values to and from JSON.

#![deny(missing_docs, clippy::unwrap_used)]

mod core;
mod decode;
mod encode;
mod native;
mod plugin;

use mlua::{Lua, Table};

pub use crate::core::{ABI_VERSION, Core, Host};

/// What `require "bulk_rerun"` returns.
///
/// # Errors
///
/// When Lua has no memory left.
pub fn module(lua: &Lua, core: &'static Core) -> mlua::Result<Table> {
    let operations = lua.load(include_str!("operations.lua")).set_name("=bulk_rerun").into_function()?;
    let functions = native::functions(lua, core)?;
    lua.load(include_str!("bulk_rerun.lua")).set_name("=bulk_rerun").call((functions, operations))
}
