//! Ctrl-C while a script waits: it ends as it does in the midst of any other call, and the new runs go on.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::{fs, io};

use libtest_mimic::Trial;

use crate::in_every_lua;
use crate::lua::{Interpreter, LUA_5_5};
use crate::support::{Row, Store};

pub fn trials() -> Vec<Trial> {
    in_every_lua("waiting: Ctrl-C", interrupted)
}

const SCRIPT: &str = "
    local host = require('bulk_rerun').open { store = arg[1] }
    local report = host:rerun { match_all = true }
    host:wait(report, { interval = '1h', each = function(states)
      io.stdout:write(states.pending, ' pending\\n')
      io.stdout:flush()
    end })";

/// A shell has its background jobs ignore Ctrl-C, and the tests may be one of them.
fn heed_interrupts() -> io::Result<()> {
    // SAFETY: the default is no handler of ours.
    match unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn interrupted(lua: Interpreter) {
    let store = Store::new().holding(&[Row::failed("a1", "backup", "2026-04-15T01:00:00Z")]);
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.lua");
    fs::write(&script, SCRIPT).unwrap();
    let mut command = lua.run(&script);
    // SAFETY: what is called between fork and exec may be called there, and touches no memory.
    unsafe { command.pre_exec(heed_interrupts) };
    let mut child = command.arg(&store.path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "1 pending\n");

    assert!(Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap().success());
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    // The stock interpreters make an error of it. (The one that is built for these tests is none of theirs.)
    match lua.is_stock() && lua != LUA_5_5 {
        true => assert!(status.code() == Some(1) && said.contains("interrupted!"), "{status}: {said}"),
        false => assert_eq!(status.signal(), Some(libc::SIGINT), "{status}: {said}"),
    }
    let pending = "SELECT count(*) FROM runs WHERE status = 'pending'";
    assert_eq!(store.open().query_row(pending, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}
