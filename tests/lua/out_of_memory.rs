//! Where Lua has no memory left in the midst of a call, that is an error like any other: nothing was started, and the host
//! still works and closes. The stock interpreters get their memory from a limiting allocator (`limit.c`), mlua has its own.

use std::fs;
use std::path::Path;

use bulk_rerun::capi;
use bulk_rerun_lua_api::{Core, module};
use libtest_mimic::Trial;
use mlua::{Lua, Table};

use crate::lua::{ALL, Interpreter};
use crate::support::{Row, Store};
use crate::{file, succeeded, trial};

pub fn trials() -> Vec<Trial> {
    ALL.into_iter().map(|lua| trial("out of memory", lua, out_of_memory)).collect()
}

fn out_of_memory(lua: Interpreter) {
    let rows = ["a1", "a2", "b1"].map(|id| Row::failed(id, &id[..1], "2026-04-15T01:00:00Z"));
    let store = Store::new().holding(&rows);
    let script = file("tests/lua/scripts/out_of_memory.lua");
    match lua.is_stock() {
        true => {
            let mut command = lua.run(&script);
            let folder = lua.module();
            let limit = folder.with_file_name("limit");
            command.env("LUA_CPATH", format!("{}/?.so;{}/?.so", folder.display(), limit.display()));
            succeeded(&command.arg(&store.path).output().unwrap());
        }
        false => in_this_process(&script, &store).unwrap(),
    }
    let ended = "SELECT count(*) FROM runs WHERE status = 'ended'";
    let left: i64 = store.open().query_row(ended, [], |row| row.get(0)).unwrap();
    assert_eq!(left, rows.len() as i64);
    assert_eq!(store.integrity(), "ok");
}

/// The API of the tool, in a Lua of its kind.
fn in_this_process(script: &Path, store: &Store) -> mlua::Result<()> {
    let lua = Lua::new();
    lua.set_memory_limit(1 << 40)?;
    // SAFETY: each name is the function that the header declares under it, and code of this program never goes.
    let core = Box::leak(Box::new(unsafe { Core::find(capi::function) }.unwrap()));
    let preloaded: Table = lua.globals().get::<Table>("package")?.get("preload")?;
    preloaded.set("bulk_rerun", lua.create_function(|lua, ()| module(lua, core))?)?;
    let limit = |lua: &Lua, bytes: Option<usize>| {
        lua.set_memory_limit(bytes.map_or(1 << 40, |bytes| lua.used_memory() + bytes)).map(|_| ())
    };
    lua.globals().set("limit", lua.create_function(limit)?)?;
    let arg = lua.create_table()?;
    arg.set(0, script.to_str())?;
    arg.set(1, store.path_str())?;
    lua.globals().set("arg", arg)?;
    lua.load(fs::read(script)?).set_name(format!("@{}", script.display())).exec()
}
