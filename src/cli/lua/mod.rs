//! `bulk-rerun lua`: runs a script in a Lua 5.4 of the tool's own, with the module loaded. The API is the
//! one of the Lua module (`lua/api`), over the same C ABI; only that here it is part of the tool.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::{fs, mem};

use bulk_rerun_lua_api::{ABI_VERSION, Core, Host, LentRun, module};
use clap::Args;
use mlua::Lua;

use super::Failure;
use super::output::{BAD, printable};
use crate::capi;
use crate::contract::ErrorModel;

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The script; - reads standard input
    #[arg(value_name = "SCRIPT")]
    script: PathBuf,
    /// What the script finds in `arg`, and as `...`
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  # What would be re-run of yesterday's failures?
  echo 'local bulk_rerun = require \"bulk_rerun\"
    local host = bulk_rerun.open { store = \"runwisp.db\" }
    local since = bulk_rerun.ago \"24h\"
    local filter = { status = \"failed\", created_after = since }
    for run in host:runs { match_all = true, filter = filter } do
      print(run.id, run.task_name, run.exit_code)
    end' | bulk-rerun lua -

  # Re-run them, except what ran out of memory
  bulk-rerun lua examples/lua/last_night.lua runwisp.db

The same scripts run in Lua 5.1 to 5.5 and LuaJIT with the module in lua/,
whose documentation, docs/lua.md, has the whole API.
Exit status: what the script gives os.exit, else 0; 1 after an error, 2 if the
script can't be read.";

/// Runs a script as the stock interpreter does; the script says how it ended, or how it failed.
const RUNNER: &str = include_str!("runner.lua");

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let (name, source) = read(arguments)?;
    die_with_the_pipe();
    match execute(arguments, &name, &source) {
        Ok(None) => Ok(ExitCode::SUCCESS),
        Ok(Some(message)) => Ok(report(&message)),
        Err(error) => Ok(report(&error.to_string())),
    }
}

/// The script, and what messages call it.
fn read(arguments: &Arguments) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let mut source = Vec::new();
    let script = &arguments.script;
    let (name, read) = if script.as_os_str() == "-" {
        (b"=stdin".to_vec(), io::stdin().read_to_end(&mut source).map(|_| source))
    } else {
        ([b"@", script.as_os_str().as_bytes()].concat(), fs::read(script))
    };
    let source = read.map_err(|error| {
        Failure::Usage(ErrorModel::new(400, format!("the script {} can't be read: {error}", script.display())))
    })?;
    Ok((name, source))
}

/// The message of the error that the script ended with, if it did.
fn execute(arguments: &Arguments, name: &[u8], source: &[u8]) -> mlua::Result<Option<String>> {
    // SAFETY: all of Lua's libraries are there, as in the stock interpreter: the script is the user's own program.
    let lua = unsafe { Lua::unsafe_new() };
    lua.set_memory_limit(memory())?;
    let preloaded: mlua::Table = lua.globals().get::<mlua::Table>("package")?.get("preload")?;
    preloaded.set("bulk_rerun", lua.create_function(|lua, ()| module(lua, core()?))?)?;

    let arg = lua.create_table()?;
    arg.set(-2, "bulk-rerun")?;
    arg.set(-1, "lua")?;
    arg.set(0, lua.create_string(arguments.script.as_os_str().as_bytes())?)?;
    for (index, argument) in arguments.arguments.iter().enumerate() {
        arg.set(index + 1, lua.create_string(argument.as_bytes())?)?;
    }
    lua.globals().set("arg", arg)?;
    lua.load(RUNNER).set_name("=bulk-rerun").call((lua.create_string(source)?, lua.create_string(name)?))
}

/// How much memory a script gets, in bytes: seven eighths of what the machine has, or of what the process may have. Who
/// asks for more gets an error that it may catch, as in the stock interpreter; mlua would end the process.
fn memory() -> usize {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the struct may be written to; where the call fails it stays as it is.
    unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) };
    // SAFETY: the calls take a name and answer a number, -1 where there is none.
    let machine = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES).saturating_mul(libc::sysconf(libc::_SC_PAGESIZE)) };
    let machine = usize::try_from(machine).ok().filter(|&bytes| bytes > 0).unwrap_or(usize::MAX);
    machine.min(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)) / 8 * 7
}

/// The core that is compiled in.
fn core() -> mlua::Result<&'static Core> {
    static CORE: OnceLock<Core> = OnceLock::new();
    if let Some(core) = CORE.get() {
        return Ok(core);
    }
    // SAFETY: each name is the function that the header declares under it, and code of this program never goes.
    let found = unsafe { Core::find(capi::function) };
    let core = found.map_err(|name| mlua::Error::runtime(format!("{name} is missing")))?;
    Ok(CORE.get_or_init(|| core))
}

// The API has the C ABI's structs once more: it knows the core by its functions alone.
const _: () = assert!(mem::size_of::<Host>() == mem::size_of::<capi::HostTable>());
const _: () = assert!(mem::size_of::<LentRun>() == mem::size_of::<capi::LentRun>());
const _: () = assert!(ABI_VERSION == capi::BULK_RERUN_ABI_VERSION);

/// A script whose reader has seen enough (`| head`) ends as it does in the stock interpreter, by SIGPIPE,
/// which Rust's start-up code ignores; so do the programs that it starts.
fn die_with_the_pipe() {
    // SAFETY: no handler of ours is there to be replaced, and no other thread runs yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Prints what the script failed with, line by line.
fn report(message: &str) -> ExitCode {
    let mut out = anstream::stderr();
    let mut heading = format!("{BAD}error:{BAD:#} ");
    for line in message.lines() {
        // Nothing is left to be done if even this can't be written.
        let _ = writeln!(out, "{heading}{}", printable(&line.replace('\t', "    ")));
        heading.clear();
    }
    ExitCode::FAILURE
}
