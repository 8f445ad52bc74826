//! `bulk-rerun lua` as an interpreter: arguments, standard input, errors, exit statuses.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use libtest_mimic::Trial;

use crate::{succeeded, text};

pub fn trials() -> Vec<Trial> {
    let tests: [(&str, fn()); 9] = [
        ("a script gets its arguments", arguments),
        ("a script comes from standard input", standard_input),
        ("an error has the script's line and exit status 1", errors),
        ("os.exit says the exit status", exit_statuses),
        ("a first line for the shell is no part of the script", shell_line),
        ("all of Lua's libraries are there", libraries),
        ("a script that wants too much memory may catch that", too_much),
        ("a script whose reader has seen enough ends", broken_pipe),
        ("a script that can't be read is bad usage", no_script),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(format!("bulk-rerun lua: {name}"), move || {
            test();
            Ok(())
        })
    };
    tests.into_iter().map(trial).collect()
}

fn tool() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"));
    command.arg("lua").stdin(Stdio::null());
    command
}

/// Runs a script from a file called `script.lua`, in that file's folder.
fn run(script: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("script.lua"), script).unwrap();
    tool().arg("script.lua").args(arguments).current_dir(folder.path()).output().unwrap()
}

/// Runs a script from standard input.
fn pipe(script: &str) -> Output {
    let mut child =
        tool().arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn arguments() {
    let script = "print(arg[-2], arg[-1], arg[0], #arg, ...) for _, word in ipairs(arg) do print(word) end";
    let output = run(script, &["a b", "--help", "-x", "--", "ü", ""]);
    let expected = "bulk-rerun\tlua\tscript.lua\t6\ta b\t--help\t-x\t--\tü\t\na b\n--help\n-x\n--\nü\n\n";
    assert_eq!(succeeded(&output), expected);
}

fn standard_input() {
    assert_eq!(succeeded(&pipe("print(arg[0], require 'bulk_rerun'._VERSION:match '^%S+')")), "-\tbulk_rerun\n");
    let output = pipe("\n\nerror 'no'");
    assert!(text(&output.stderr).contains("stdin:3: no"), "{output:?}");
}

fn errors() {
    for (script, words) in [
        ("\nerror 'no'", "error: script.lua:2: no"),
        ("local function f() error('no') end\n\nf()", "script.lua:3: in main chunk"),
        ("\n\nx =", "error: script.lua:3: unexpected symbol near <eof>"),
        ("error({})", "(error object is a table value)"),
        ("error(setmetatable({}, { __tostring = function() return 'mine' end }))", "error: mine"),
        ("error()", "(error object is a nil value)"),
        ("local host = require 'bulk_rerun'.open { store = arg[0] .. '.db' }", "error: script.lua:1: "),
        ("\nrequire 'bulk_rerun'.open { stor = 'x' }", "error: script.lua:2: validation failed: config.stor"),
        ("error('\\27[2Jred')", "\\u{1b}[2Jred"),
    ] {
        let output = run(script, &[]);
        assert_eq!(output.status.code(), Some(1), "{script}");
        assert!(text(&output.stderr).contains(words), "{words:?} is not in\n{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{script}");
    }
}

fn exit_statuses() {
    for (script, status) in [
        ("", 0),
        ("return 5", 0),
        ("os.exit()", 0),
        ("os.exit(7)", 7),
        ("os.exit(false)", 1),
        ("os.exit(true, true)", 0),
        ("local host = require 'bulk_rerun'.attach { runs = print, spawn = print } os.exit(3, true)", 3),
        (
            "local b = require 'bulk_rerun' b.attach { runs = function() os.exit(4) end, spawn = print }:rerun { ids = { 'a' } }",
            4,
        ),
    ] {
        let output = run(&format!("io.write 'x' {script}"), &[]);
        assert_eq!(output.status.code(), Some(status), "{script}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "x", "what was written before is not lost: {script}");
    }
}

fn shell_line() {
    let script = "#!/usr/bin/env -S bulk-rerun lua\nprint(debug.getinfo(1).currentline)";
    assert_eq!(succeeded(&run(script, &[])), "2\n");
    assert_eq!(succeeded(&run("\u{feff}#!/x\nprint 'bom'", &[])), "bom\n");
    assert_eq!(succeeded(&run("#!/x", &[])), "");
}

fn libraries() {
    let script =
        "for _, name in ipairs { 'coroutine', 'debug', 'io', 'math', 'os', 'package', 'string', 'table', 'utf8' } do
                      assert(package.loaded[name], name)
                  end
                  assert(require 'bulk_rerun' == require 'bulk_rerun' and _VERSION == 'Lua 5.4')";
    succeeded(&run(script, &[]));
}

fn too_much() {
    let script = "local done, message = pcall(string.rep, 'x', 2 ^ 30) print(done, message) string.rep('x', 2 ^ 30)";
    // In a process that may have 1 GB.
    let limited = "ulimit -v 1000000 && exec \"$0\" lua - <<< \"$1\"";
    let output = Command::new("bash").args(["-c", limited, env!("CARGO_BIN_EXE_bulk-rerun"), script]).output().unwrap();
    assert_eq!(text(&output.stdout), "false\tnot enough memory\n", "{output:?}");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: not enough memory"), "{output:?}");
}

fn broken_pipe() {
    let script = "bulk-rerun lua - <<< 'while true do print \"y\" end' | head -n 1; echo ${PIPESTATUS[0]}";
    let script = script.replace("bulk-rerun", env!("CARGO_BIN_EXE_bulk-rerun"));
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    // 128 and SIGPIPE, as in the stock interpreter.
    assert_eq!(text(&output.stdout), "y\n141\n");
}

fn no_script() {
    for arguments in [&["/no/such/script.lua"][..], &[]] {
        let output = tool().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    assert!(succeeded(&tool().arg("--help").output().unwrap()).contains("Examples:"));
}
