//! `require "bulk_rerun"`: the module that a stock Lua, or a host that embeds one, loads.
//!
//! It is thin: the API comes from `bulk_rerun_lua_api`, the work is done by `libbulk_rerun.so`, which
//! [`library`] finds. So there is one core in a process, however many of its doors are used.

#![deny(missing_docs, clippy::unwrap_used)]

mod library;

use std::ffi::c_int;

use mlua::Lua;
use mlua::ffi::{lua_State, lua_error, lua_pushlstring};

/// What `require "bulk_rerun"` calls.
///
/// # Safety
///
/// `state` is a Lua state, and the caller is Lua.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn luaopen_bulk_rerun(state: *mut lua_State) -> c_int {
    // SAFETY: as the caller says; nothing of Rust is on the stack that a raised error would have to clean up.
    unsafe { check_version(state) };
    match library::core() {
        // SAFETY: as the caller says.
        Ok(core) => unsafe { Lua::entrypoint1(state, |lua| bulk_rerun_lua_api::module(lua, core)) },
        Err(message) => {
            // SAFETY: as the caller says; Lua copies the text.
            unsafe { lua_pushlstring(state, message.as_ptr().cast(), message.len()) };
            drop(message);
            // SAFETY: the text is on the stack, and nothing of Rust is left there.
            unsafe { lua_error(state) }
        }
    }
}

/// Raises "version mismatch" in a Lua of another version. (5.1 and LuaJIT have no such check, and need
/// none: the others lack functions that the loader is asked for in a module for 5.1.)
///
/// # Safety
///
/// `state` is a Lua state, and the caller is Lua.
unsafe fn check_version(state: *mut lua_State) {
    #[cfg(feature = "lua52")]
    // SAFETY: as the caller says.
    unsafe {
        mlua::ffi::luaL_checkversion_(state, 502.0)
    }
    #[cfg(any(feature = "lua53", feature = "lua54", feature = "lua55"))]
    {
        use mlua::ffi::{lua_Integer, lua_Number, luaL_checkversion_};
        const VERSION: lua_Number = if cfg!(feature = "lua53") {
            503.0
        } else if cfg!(feature = "lua54") {
            504.0
        } else {
            505.0
        };
        // Lua's own LUAL_NUMSIZES.
        const SIZES: usize = size_of::<lua_Integer>() * 16 + size_of::<lua_Number>();
        // SAFETY: as the caller says.
        unsafe { luaL_checkversion_(state, VERSION, SIZES) }
    }
    let _ = state;
}
