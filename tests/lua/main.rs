//! Scripts in every Lua: the command line tool's own, and the stock interpreters with the module.

mod examples;
mod interpreter;
mod loading;
mod memory;
mod out_of_memory;
mod scripts;
mod waiting;

#[path = "../support/lua.rs"]
mod lua;
#[path = "../../benches/support/store.rs"]
mod store;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use libtest_mimic::{Arguments, Trial};
use lua::Interpreter;

fn main() {
    let arguments = Arguments::from_args();
    let trials = [
        scripts::trials(),
        examples::trials(),
        interpreter::trials(),
        loading::trials(),
        memory::trials(),
        out_of_memory::trials(),
        waiting::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit();
}

/// A test's name, and what it does in a Lua.
type Test = (&'static str, fn(Interpreter));

/// A test in one Lua; listed as ignored where that Lua is not there.
fn trial(name: &str, lua: Interpreter, test: impl FnOnce(Interpreter) + Send + 'static) -> Trial {
    let run = move || {
        test(lua);
        Ok(())
    };
    Trial::test(format!("{name} [{}]", lua.name), run).with_ignored_flag(!lua.is_there())
}

/// A test in every Lua.
fn in_every_lua(name: &str, test: impl Fn(Interpreter) + Send + Sync + Clone + 'static) -> Vec<Trial> {
    lua::ALL.into_iter().map(|lua| trial(name, lua, test.clone())).collect()
}

/// A file of the project's.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a script that ran well put out.
#[track_caller]
fn succeeded(output: &Output) -> String {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{out}{err}", output.status);
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
