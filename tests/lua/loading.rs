//! How the module gets into a process, and what it says when it can't.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use libtest_mimic::Trial;

use crate::lua::{self, Interpreter};
use crate::support::{Row, Store};
use crate::{Test, in_every_lua, succeeded, text, trial};

pub fn trials() -> Vec<Trial> {
    let tests: [Test; 4] = [
        ("loading: the core beside the module, wherever the script is", beside),
        ("loading: the core that BULK_RERUN_LIB names, before the one beside the module", named),
        ("loading: no core, or none of bulk_rerun's", no_core),
        ("loading: a module for another Lua", another_lua),
    ];
    let every = tests.into_iter().flat_map(|(name, test)| in_every_lua(name, test));
    let name = "loading: a host in C, its own SQLite, the core and the module in one process";
    every.filter(is_for_modules).chain([trial(name, lua::LUA_5_5, embedded)]).collect()
}

/// The command line tool loads nothing.
fn is_for_modules(trial: &Trial) -> bool {
    !trial.name().ends_with("[bulk-rerun lua]")
}

/// A folder with the module, and with a script that opens a store.
fn folder(lua: Interpreter) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(lua.module().join("bulk_rerun.so"), folder.path().join("bulk_rerun.so")).unwrap();
    fs::write(folder.path().join("script.lua"), SCRIPT).unwrap();
    folder
}

const SCRIPT: &str = "local host = require('bulk_rerun').open { store = arg[1] }
                      print(#host:rerun({ match_all = true }).triggered)";

fn store() -> Store {
    Store::new().holding(&[Row::failed("a1", "backup", "2026-04-15T01:00:00Z")])
}

/// Runs the script with the module of its own folder.
fn run(lua: Interpreter, folder: &Path, library: &str) -> Output {
    let mut command = lua.run(Path::new("script.lua"));
    command.env("LUA_CPATH", "./?.so").env("LD_LIBRARY_PATH", "").current_dir(folder);
    if !library.is_empty() {
        command.env("BULK_RERUN_LIB", library);
    }
    command.arg(&store().path).output().unwrap()
}

fn beside(lua: Interpreter) {
    let store = store();
    let folder = folder(lua);
    let output = lua.run(&folder.path().join("script.lua")).arg(&store.path).current_dir("/").output().unwrap();
    assert_eq!(succeeded(&output), "1\n");
}

fn named(lua: Interpreter) {
    let library = lua.module().join("libbulk_rerun.so");
    let folder = folder(lua);
    fs::write(folder.path().join("libbulk_rerun.so"), "not what was meant").unwrap();
    let store = store();
    let mut command = lua.run(Path::new("script.lua"));
    command.env("LUA_CPATH", "./?.so").env("BULK_RERUN_LIB", library).current_dir(folder.path());
    assert_eq!(succeeded(&command.arg(&store.path).output().unwrap()), "1\n");
}

fn no_core(lua: Interpreter) {
    let folder = folder(lua);
    let not_ours = folder.path().join("other.so");
    fs::copy(lua.module().join("bulk_rerun.so"), &not_ours).unwrap();
    for (library, words) in [
        ("", &["was not found", "set BULK_RERUN_LIB", "libbulk_rerun.so.1"][..]),
        (
            "/no/such/libbulk_rerun.so",
            &["is not where BULK_RERUN_LIB says", "/no/such/libbulk_rerun.so: cannot open shared"],
        ),
        ("script.lua", &["is not where BULK_RERUN_LIB says", "script.lua"]),
        (not_ours.to_str().unwrap(), &["other.so has no function bulk_rerun_abi_version: it is not bulk_rerun's core"]),
    ] {
        let output = run(lua, folder.path(), library);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        for words in words {
            assert!(text(&output.stderr).contains(words), "{words:?} is not in\n{}", text(&output.stderr));
        }
        // Where it has looked, with the path that it has looked at: beside itself only if none is named.
        let beside = folder.path().canonicalize().unwrap().join("libbulk_rerun.so");
        let looked_beside = text(&output.stderr).contains(beside.to_str().unwrap());
        assert_eq!(looked_beside, library.is_empty(), "{}", text(&output.stderr));
    }
}

fn another_lua(lua: Interpreter) {
    let folder = folder(lua);
    let script = folder.path().join("script.lua");
    fs::write(&script, "print(require('bulk_rerun')._VERSION)").unwrap();
    for other in lua::ALL.into_iter().filter(|other| other.is_stock()) {
        let output = lua.run_with_module_of(other, &script).output().unwrap();
        // To a module, LuaJIT is a Lua 5.1.
        let alike = [lua.name, other.name].iter().all(|name| ["lua5.1", "luajit"].contains(name));
        if lua == other || alike {
            succeeded(&output);
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "the module for {}: {output:?}", other.name);
        let complaint = text(&output.stderr);
        let clean = complaint.contains("version mismatch")
            || complaint.contains("error loading module 'bulk_rerun'") && complaint.contains("undefined symbol: lua");
        assert!(clean, "the module for {}: {complaint}", other.name);
    }
}

fn embedded(lua: Interpreter) {
    let folder = lua.module().with_file_name("embed");
    let store = store();
    let mut host = Command::new(folder.join("embed"));
    host.env("LD_LIBRARY_PATH", &folder).env("LUA_CPATH", lua.module().join("?.so"));
    assert_eq!(succeeded(&host.arg(&store.path).output().unwrap()), "core: 1, sqlite: 1\n");
}
