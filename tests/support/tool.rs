//! The command line tool as a person or a script meets it.

use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};

use super::{Row, Store};

pub const BINARY: &str = env!("CARGO_BIN_EXE_bulk-rerun");

/// The tool with these arguments, and nothing of the environment's own.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_remove("BULK_RERUN_STORE").stdin(Stdio::null());
    command
}

pub fn bulk_rerun(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// `bulk-rerun rerun` on a store.
pub fn rerun(store: &Store, flags: &[&str]) -> Output {
    bulk_rerun(&[&["rerun", "--store", store.path_str()], flags].concat())
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A night of failed runs: 5 of 4 tasks.
pub fn night() -> Store {
    Store::new().holding(&[
        Row::failed("a1", "backup", "2026-04-15T01:00:00Z"),
        Row::failed("a2", "backup", "2026-04-15T02:00:00Z").with(|row| row.exit_code = 137),
        Row::failed("b1", "import", "2026-04-15T02:00:00Z").with(|row| row.end_reason = Some("timeout".to_owned())),
        Row::failed("c1", "web", "2026-04-15T02:00:00Z").with(|row| row.triggered_by = "service".to_owned()),
        Row::failed("d1", "mail", "2026-04-15T02:00:00Z").with(|row| row.end_reason = Some("success".to_owned())),
    ])
}

/// A shell's command, in which `bulk-rerun` is the tool.
pub fn shell(line: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", line]).env("PATH", path()).env_remove("BULK_RERUN_STORE").stdin(Stdio::null());
    command
}

fn path() -> String {
    let folder = std::path::Path::new(BINARY).parent().unwrap().display();
    format!("{folder}:{}", std::env::var("PATH").unwrap())
}

/// A shell's command on a terminal that is so wide, with `keys` typed once it asks. Answers its exit status, and what the
/// terminal shows.
pub fn at_a_terminal(columns: usize, line: &str, keys: &str) -> (Option<i32>, String) {
    typed_at("[y/N]", columns, line, keys)
}

/// The same (on a terminal of util-linux's `script`), with `keys` typed once these words are shown.
pub fn typed_at(words: &str, columns: usize, line: &str, keys: &str) -> (Option<i32>, String) {
    let line = format!("stty cols {columns} rows 50; {line}");
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"])
        .env("TERM", "xterm")
        .env("PATH", path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Not closed before the end: that would be one for the tool, too.
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    read_until(&mut screen, &mut shown, words);
    keyboard.write_all(keys.as_bytes()).unwrap();
    screen.read_to_end(&mut shown).unwrap();
    (child.wait().unwrap().code(), text(&shown).replace('\r', ""))
}

/// Reads what a program writes, up to these words, or to its end.
pub fn read_until(from: &mut impl Read, read: &mut Vec<u8>, words: &str) {
    let mut bytes = [0; 4096];
    while !String::from_utf8_lossy(read).contains(words) {
        match from.read(&mut bytes).unwrap() {
            0 => break,
            count => read.extend_from_slice(&bytes[..count]),
        }
    }
}

/// What is shown, without its colours.
pub fn plain(shown: &str) -> String {
    let mut parts = shown.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or(part, |(_, text)| text))
}

/// Presses Ctrl-C.
pub fn interrupt(child: &Child) {
    // SAFETY: a signal to a child that was not waited for yet, so the number is still its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
}
