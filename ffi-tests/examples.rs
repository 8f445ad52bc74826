//! The examples, built and run as their first lines say.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use rusqlite::Connection;

use crate::languages::{folder, node_modules, with_go};
use crate::library::{Installed, run};
use crate::stores::Stores;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("example: the job runner in C", job_runner),
        Trial::test("example: c++", cpp),
        Trial::test("example: python", || reruns_what_failed(Command::new("python3").arg(source("python/rerun.py")))),
        Trial::test("example: node", node),
        Trial::test("example: go", go),
        Trial::test("example: the job runner in Go", job_runner_in_go),
    ]
}

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path)
}

/// Runs a program on a store of its own, in which two tasks have failed.
fn reruns_what_failed(command: &mut Command) -> Result<(), Failed> {
    let stores = Stores::new();
    let said = run(command.env("LD_LIBRARY_PATH", Installed::get().lib()).env("BULK_RERUN_STORE", &stores.wal));
    assert!(said.contains("backup") && said.contains("report") && !said.contains("mail"), "{said}");
    let store = Connection::open(&stores.wal)?;
    let mut statement = store.prepare("SELECT task_name FROM runs WHERE status = 'pending' ORDER BY task_name")?;
    let spawned: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    assert_eq!(spawned, ["backup", "report"]);
    Ok(())
}

fn cpp() -> Result<(), Failed> {
    let binary = folder("cpp").join("rerun");
    let mut compiler = Command::new("c++");
    compiler.arg(source("cpp/rerun.cpp")).arg("-o").arg(&binary).args(["-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
    run(compiler.args(Installed::get().pkg_config(&["--cflags", "--libs", "bulk_rerun"])));
    reruns_what_failed(&mut Command::new(binary))
}

fn node() -> Result<(), Failed> {
    // An import finds a package beside the program only.
    let program = node_modules().with_file_name("rerun.mjs");
    std::fs::copy(source("node/rerun.mjs"), &program)?;
    reruns_what_failed(Command::new("node").arg(program))
}

fn go() -> Result<(), Failed> {
    let binary = folder("go").join("rerun");
    run(with_go(&mut Command::new("go")).args(["build", "-o"]).arg(&binary).arg(source("go/rerun.go")));
    reruns_what_failed(&mut Command::new(binary))
}

/// Its jobs fail, are re-run, and succeed once what they need is there.
fn job_runner() -> Result<(), Failed> {
    let binary = folder("c").join("job_runner");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]).arg(source("c/job_runner.c"));
    compiler.arg("-o").arg(&binary).args(Installed::get().pkg_config(&["--cflags", "bulk_rerun"]));
    run(compiler.args(["-lsqlite3", "-ldl"]));

    let place = tempfile::tempdir()?;
    let runner = |arguments: &[&str]| {
        let mut command = Command::new(&binary);
        command.current_dir(place.path()).env("LD_LIBRARY_PATH", Installed::get().lib());
        run(command.arg("jobs.db").args(arguments))
    };
    runner(&["add", "backup", "echo one >> log; test -e disk"]);
    runner(&["add", "backup", "echo two >> log; test -e disk"]);
    runner(&["add", "mail", "true"]);
    let worked = runner(&["work"]);
    assert_eq!(worked, "1 backup: exit status 1\n2 backup: exit status 1\n3 mail: exit status 0\n");

    let plan = runner(&["rerun", r#"{"match_all": true, "options": {"dry_run": true}}"#]);
    assert!(plan.contains(r#""planned":[{"task_name":"backup","rerun_of":"2","matched":2}"#), "{plan}");
    let once = r#"{"match_all": true, "filter": {"status": "failed"}, "options": {"idempotency_key": "monday"}}"#;
    for is_replayed in [false, true] {
        let answer = runner(&["rerun", once]);
        let triggered = r#"{"triggered":[{"task_name":"backup","run_id":"4","rerun_of":"2"}],"operation_id":"01"#;
        assert!(answer.starts_with(triggered), "{answer}");
        assert_eq!(answer.contains(r#""replayed":true"#), is_replayed, "{answer}");
    }
    std::fs::write(place.path().join("disk"), "")?;
    assert_eq!(runner(&["work"]), "4 backup: exit status 0\n");
    assert_eq!(std::fs::read_to_string(place.path().join("log"))?, "one\ntwo\ntwo\n", "the newest one's command");
    assert!(runner(&["list"]).ends_with("4\tbackup\tsucceeded\t0\t2\n"));
    Ok(())
}

/// As the one in C: its jobs fail, are re-run, taken back, re-run again, and succeed once what they need is there.
fn job_runner_in_go() -> Result<(), Failed> {
    let binary = folder("go").join("job_runner");
    let mut go = Command::new("go");
    go.args(["build", "-mod=readonly", "-o"]).arg(&binary).current_dir(source("go/job_runner"));
    run(with_go(&mut go));

    let place = tempfile::tempdir()?;
    let runner = |arguments: &[&str]| {
        let mut command = Command::new(&binary);
        command.current_dir(place.path()).env("LD_LIBRARY_PATH", Installed::get().lib());
        run(command.arg("jobs.db").args(arguments))
    };
    runner(&["add", "backup", "echo one >> log; test -e disk"]);
    runner(&["add", "backup", "echo two >> log; test -e disk"]);
    runner(&["add", "mail", "true"]);
    assert_eq!(runner(&["work"]), "1 backup: exit status 1\n2 backup: exit status 1\n3 mail: exit status 0\n");

    let plan = runner(&["rerun", r#"{"match_all": true, "options": {"dry_run": true}}"#]);
    assert!(plan.contains(r#""planned":[{"task_name":"backup","rerun_of":"2","matched":2}"#), "{plan}");
    let once = r#"{"match_all": true, "filter": {"status": "failed"}, "options": {"idempotency_key": "monday"}}"#;
    let mut operation = String::new();
    for is_replayed in [false, true] {
        let answer = runner(&["rerun", once]);
        let triggered = r#"{"triggered":[{"task_name":"backup","run_id":"4","rerun_of":"2"}],"operation_id":""#;
        assert!(answer.starts_with(triggered), "{answer}");
        assert_eq!(answer.contains(r#""replayed":true"#), is_replayed, "{answer}");
        operation = answer[triggered.len()..].chars().take(26).collect();
    }
    let undone = runner(&["undo", &operation]);
    assert!(undone.contains(r#""undone":[{"#) && undone.contains(r#""kept":[]"#), "{undone}");
    assert_eq!(runner(&["work"]), "", "what was taken back is not run");

    assert!(runner(&["rerun"]).contains(r#""run_id":"5","rerun_of":"2""#));
    std::fs::write(place.path().join("disk"), "")?;
    assert_eq!(runner(&["work"]), "5 backup: exit status 0\n");
    assert_eq!(std::fs::read_to_string(place.path().join("log"))?, "one\ntwo\ntwo\n", "the newest one's command");
    assert!(runner(&["list"]).ends_with("4\tbackup\tcancelled\t-\t2\n5\tbackup\tsucceeded\t0\t2\n"));

    // A request that is not understood is told so, and nothing is started.
    let mut wrong = Command::new(&binary);
    wrong.current_dir(place.path()).env("LD_LIBRARY_PATH", Installed::get().lib()).args(["jobs.db", "rerun", "{}"]);
    let output = wrong.output()?;
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("match_all"), "{output:?}");
    assert_eq!(runner(&["list"]).lines().count(), 6);
    Ok(())
}
