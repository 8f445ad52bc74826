//! The programs in C: as they are, under valgrind, and with the sanitizers compiled in.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use libtest_mimic::{Failed, Trial};

use crate::library::{Installed, compile_c, compile_c_as, run, without_our_package};
use crate::postgres;
use crate::stores::Stores;

const PROGRAMS: [&str; 10] =
    ["contract", "misuse", "callbacks", "ledger", "cancel", "astray", "cursor", "operations", "fork", "close"];

/// What watches over a program.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Checker {
    None,
    Valgrind,
    Sanitizers,
}

/// What valgrind ends with if it has found something.
const FOUND: &str = "99";

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for program in PROGRAMS {
        for checker in [Checker::None, Checker::Valgrind, Checker::Sanitizers] {
            trials.push(trial(program, checker, &[]));
        }
    }
    trials.push(trial("threads", Checker::None, &["30"]));
    trials.push(trial("threads", Checker::Sanitizers, &["3"]));
    for checker in [Checker::None, Checker::Valgrind, Checker::Sanitizers] {
        trials.push(Trial::test(format!("c: log [{checker:?}]"), move || the_hosts_log(checker)));
    }
    trials.push(Trial::test("c: a stack as small as the header says", small_stacks));
    trials.push(Trial::test("c: fork over a PostgreSQL server", fork_over_a_server));
    trials.push(Trial::test("c: a panic in any function becomes an error", panics));
    trials.push(Trial::test("c: BULK_RERUN_LOG shows an error's cause", the_log_has_the_cause));
    trials.push(Trial::test("c: foreign keys are enforced, as in the tool", foreign_keys_are_enforced));
    for (what, checker, words) in [
        ("leak", Checker::Valgrind, "definitely lost"),
        ("leak", Checker::Sanitizers, "LeakSanitizer: detected memory leaks"),
        ("use-after-free", Checker::Valgrind, "Invalid read"),
        ("use-after-free", Checker::Sanitizers, "heap-use-after-free"),
    ] {
        let name = format!("c: a planted {what} is found [{checker:?}]");
        trials.push(Trial::test(name, move || {
            let output = start("planted", checker, &Installed::get().lib(), &[what]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            match !output.status.success() && said.contains(words) {
                true => Ok(()),
                false => Err(format!("{}, and no {words:?} in:\n{said}", output.status).into()),
            }
        }));
    }
    trials
}

fn trial(program: &'static str, checker: Checker, arguments: &'static [&str]) -> Trial {
    Trial::test(format!("c: {program} [{checker:?}]"), move || {
        succeeds(start(program, checker, &Installed::get().lib(), arguments))
    })
}

/// Parent and children call at the same time, and every call is answered.
fn fork_over_a_server() -> Result<(), Failed> {
    let database = postgres::server().database().with(include_str!("../tests/conformance/hosts/ledgerly-postgres.sql"));
    let client = database.client();
    client.execute("INSERT INTO job VALUES (1, 'report')");
    client.execute("INSERT INTO execution (uid, job, state, queued_at) VALUES ('b1', 1, 'failed', 0)");
    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/hosts/ledgerly-postgres.toml");
    succeeds(start("fork_server", Checker::None, &Installed::get().lib(), &[&database.url, profile]))?;
    let spawned = client.value("SELECT count(*) FROM execution WHERE state = 'queued'");
    assert_eq!(spawned.as_deref(), Some("201"), "every run that was answered is there");
    Ok(())
}

/// The hook that panics on demand is in no library that is shipped, so this one is built for it, of what the tests are built of.
fn panics() -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("test-panic");
    let root = env!("CARGO_MANIFEST_DIR");
    run(without_our_package(&mut Command::new(env!("CARGO")))
        .current_dir(root)
        .env("CARGO_BUILD_BUILD_DIR", format!("{root}/target"))
        .args(["build", "--quiet", "--lib", "--no-default-features", "--features", "test-panic", "--target-dir"])
        .arg(&folder));
    std::fs::copy(folder.join("debug/libbulk_rerun.so"), folder.join("libbulk_rerun.so.1"))?;
    succeeds(start("panic", Checker::None, &folder, &[]))?;

    let load = format!(".load {} sqlite3_bulkrerun_init", folder.join("libbulk_rerun.so.1").display());
    for function in ["sqlite3_bulkrerun_init", "bulk_rerun"] {
        let mut sqlite = Command::new("sqlite3");
        let output = sqlite.args([":memory:", &load, "SELECT bulk_rerun('{}')"]).env("BULK_RERUN_TEST_PANIC", function);
        let output = output.output()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if output.status.code().is_none() || !said.contains(&format!("{function} failed by a defect")) {
            return Err(format!("{function}: {}, {said}", output.status).into());
        }
    }
    Ok(())
}

/// A search in it fails, for a cause that only SQLite knows.
const BROKEN: &str = "ALTER TABLE runs RENAME TO kept;
        CREATE VIEW runs AS SELECT id, task_name, status, abs(-9223372036854775807 - 1) AS end_reason, exit_code,
            triggered_by, created_at, retry_attempt, params_json, deleted_at, is_failure FROM kept;
        CREATE TRIGGER keep INSTEAD OF INSERT ON runs BEGIN SELECT 1; END;
        CREATE TRIGGER undo INSTEAD OF UPDATE ON runs BEGIN SELECT 1; END;";

/// The host's log has the cause, for as long as it is the host's.
fn the_hosts_log(checker: Checker) -> Result<(), Failed> {
    let stores = Stores::new();
    rusqlite::Connection::open(&stores.wal)?.execute_batch(BROKEN)?;
    succeeds(start_on(&stores, "log", checker, &Installed::get().lib(), &[]))
}

/// What the header promises of stacks holds. (Seen to be enough in the release: 24 kB, and 48 kB over PostgreSQL, 64 kB with TLS.)
fn small_stacks() -> Result<(), Failed> {
    let header = std::fs::read_to_string(Installed::get().prefix.join("include/bulk_rerun.h"))?;
    let promised = |before: &str| {
        let after = header.split_once(before)?.1;
        let kilobytes: usize = after.split_once(" kB")?.0.trim().parse().ok()?;
        Some((kilobytes * 1024).to_string())
    };
    let bytes = promised("a thread that calls needs").ok_or("the header says nothing of stacks")?;
    let for_a_server = promised("over PostgreSQL it needs").ok_or("the header says nothing of PostgreSQL")?;
    let lib = Installed::get().lib();
    succeeds(start("stack", Checker::None, &lib, &[&bytes]))?;

    let database = postgres::server().database().with(include_str!("../tests/conformance/hosts/ledgerly-postgres.sql"));
    let client = database.client();
    client.execute("INSERT INTO job VALUES (1, 'report')");
    client.execute("INSERT INTO execution (uid, job, state, queued_at) VALUES ('b1', 1, 'failed', 0)");
    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/hosts/ledgerly-postgres.toml");
    let config = format!(r#"{{"store": "{}", "profile": "{profile}"}}"#, database.url);
    succeeds(start("stack", Checker::None, &lib, &[&for_a_server, &config]))
}

/// The answer says that the store failed, and SQLite's own words are in the log alone.
fn the_log_has_the_cause() -> Result<(), Failed> {
    const CAUSE: &str = "integer overflow";
    let stores = Stores::new();
    rusqlite::Connection::open(&stores.rollback)?.execute_batch(BROKEN)?;
    let door = compile_c("door", &["-ldl"]);
    for (level, logged) in [("", false), ("off", false), ("error", true)] {
        let mut command = Command::new(&door);
        command.env("LD_LIBRARY_PATH", Installed::get().lib()).env("BULK_RERUN_LOG", level);
        command.arg(&stores.rollback).arg("runwisp");
        let (answer, log) = ask(command, r#"{"match_all": true, "filter": {"status": "failed"}}"#)?;
        let answer_is_right = answer.contains(r#""status":500"#) && !answer.contains(CAUSE);
        if !answer_is_right || log.contains(CAUSE) != logged || (!logged && !log.is_empty()) {
            return Err(format!("BULK_RERUN_LOG={level}: {answer}\n{log}").into());
        }
    }
    Ok(())
}

/// Debian's SQLite does not enforce them by itself, and the one in the tool does.
fn foreign_keys_are_enforced() -> Result<(), Failed> {
    const STARTED: &str = "CREATE TABLE known (name TEXT PRIMARY KEY);
        INSERT INTO known VALUES ('report');
        CREATE TABLE started (task TEXT REFERENCES known (name));
        CREATE TRIGGER note AFTER INSERT ON runs BEGIN INSERT INTO started VALUES (NEW.task_name); END;";
    let stores = Stores::new();
    let mut library = Command::new(compile_c("door", &["-ldl"]));
    library.env("LD_LIBRARY_PATH", Installed::get().lib()).arg(&stores.wal).arg("runwisp");
    let mut tool = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"));
    tool.args(["rerun", "--selector", "-", "--yes", "--json", "--store"]).arg(&stores.rollback);
    for (command, store) in [(library, &stores.wal), (tool, &stores.rollback)] {
        let host = rusqlite::Connection::open(store)?;
        host.execute_batch(STARTED)?;
        let (answer, _) = ask(command, r#"{"match_all": true, "filter": {"status": "failed"}}"#)?;
        let refused =
            r#""task_name":"backup","run_id":"a2","reason":"refused","detail":"FOREIGN KEY constraint failed""#;
        let started: String = host.query_row("SELECT group_concat(task) FROM started", [], |row| row.get(0))?;
        if started != "report" || !answer.contains(refused) {
            return Err(format!("{}: {started}, {answer}", store.display()).into());
        }
    }
    Ok(())
}

/// What a program answers and logs that takes a request from its standard input.
fn ask(mut command: Command, request: &str) -> Result<(String, String), Failed> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().expect("it is piped").write_all(request.as_bytes())?;
    let output = child.wait_with_output()?;
    let [answer, log] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok((answer, log))
}

fn succeeds(output: Output) -> Result<(), Failed> {
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Runs a program on two new stores, with the library from this folder.
fn start(program: &str, checker: Checker, lib: &Path, arguments: &[&str]) -> Output {
    start_on(&Stores::new(), program, checker, lib, arguments)
}

fn start_on(stores: &Stores, program: &str, checker: Checker, lib: &Path, arguments: &[&str]) -> Output {
    let binary = compile(program, checker);
    // A forked child leaves its parent's connections alone on purpose, so it leaks them.
    let leaks = program != "fork";
    let mut command = match checker {
        Checker::Valgrind => {
            let mut valgrind = Command::new("valgrind");
            valgrind.args(["--quiet", &format!("--error-exitcode={FOUND}"), "--num-callers=30"]);
            if leaks {
                // Not what is "possibly lost": a hash table is held by a pointer into its middle.
                valgrind.args(["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]);
            }
            valgrind.arg(binary);
            valgrind
        }
        _ => Command::new(binary),
    };
    command.env("ASAN_OPTIONS", format!("detect_leaks={}", i32::from(leaks)));
    command.env("LD_LIBRARY_PATH", lib).args([&stores.wal, &stores.rollback]).args(arguments);
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; `bash tests/run` installs it"))
}

/// Compiles a program, in one of two ways.
fn compile(program: &str, checker: Checker) -> PathBuf {
    // One at a time: two trials may want the same one.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    match checker {
        Checker::Sanitizers => compile_c_as("c-sanitized", &sanitizers, program, &["-lbulk_rerun"]),
        _ => compile_c(program, &["-lbulk_rerun"]),
    }
}
