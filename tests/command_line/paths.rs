//! Names that are not UTF-8: as paths they work, and as nothing else.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::support;
use crate::support::tool::{BINARY, command, night, text};

/// A folder with the night's store in it, under a name that is not UTF-8.
fn strange_store() -> (support::Store, PathBuf) {
    let store = night();
    let path = store.path.with_file_name(OsStr::from_bytes(b"n\xe9.db"));
    fs::rename(&store.path, &path).unwrap();
    (store, path)
}

fn ends_with(mut command: Command, status: i32) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    output
}

#[test]
fn a_store_may_have_any_name() {
    let (_store, path) = strange_store();
    let mut prefixed = OsString::from("sqlite:");
    prefixed.push(&path);
    for name in [path.as_os_str(), &prefixed] {
        let mut rerun = command(&["rerun", "--all", "--yes", "--summary", "--store"]);
        rerun.arg(name);
        assert!(text(&ends_with(rerun, 0).stdout).starts_with("3 new runs spawned"));
        let mut by_variable = command(&["check", "--json"]);
        by_variable.env("BULK_RERUN_STORE", name);
        let found: serde_json::Value = serde_json::from_slice(&ends_with(by_variable, 0).stdout).unwrap();
        assert!(found["store"]["store"].as_str().unwrap().ends_with("n\u{fffd}.db"), "{found}");
    }
    let mut missing = command(&["check", "--store"]);
    missing.arg(OsStr::from_bytes(b"no\xe9.db"));
    assert!(text(&ends_with(missing, 1).stderr).contains("no such file"));
}

#[test]
fn a_catalogue_may_have_any_name() {
    let store = night();
    let tasks = store.path.with_file_name(OsStr::from_bytes(b"t\xe9.toml"));
    fs::write(&tasks, "[tasks.backup]\nrun = 'true'\n").unwrap();
    let mut rerun = command(&["rerun", "--store", store.path_str(), "--all", "--dry-run", "--summary", "--tasks"]);
    rerun.arg(tasks);
    assert_eq!(
        text(&ends_with(rerun, 0).stdout),
        "1 new run would be spawned for the 5 runs selected; 3 skipped (3 unknown_task)\n"
    );
}

#[test]
fn a_name_that_goes_into_json_is_refused() {
    let store = night();
    for flag in ["--task", "--ids", "--status", "--profile"] {
        let mut rerun = command(&["rerun", "--store", store.path_str(), "--yes", "--json", flag]);
        rerun.arg(OsStr::from_bytes(b"\xe9"));
        assert!(text(&ends_with(rerun, 2).stdout).contains("UTF-8"), "{flag}");
    }
}

#[test]
fn a_demo_may_be_anywhere_and_be_called_anything() {
    let folder = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"d\xe9mo");
    let mut demo = Command::new(BINARY);
    demo.arg0(OsStr::from_bytes(b"bulk-r\xe9run")).arg("demo").arg(name).current_dir(folder.path());
    let story = text(&ends_with(demo, 0).stdout);
    assert!(folder.path().join(name).join("runwisp.db").exists());
    assert!(story.contains(r"$'bulk-r\xe9run' check --store $'d\xe9mo/runwisp.db'"), "{story}");
}

#[test]
fn a_token_that_is_not_utf_8_is_never_no_token() {
    let store = night();
    let serve = || command(&["serve", "--store", store.path_str(), "--listen", "127.0.0.1:0"]);
    let mut by_variable = serve();
    by_variable.env("BULK_RERUN_TOKEN", OsStr::from_bytes(b"s\xe9cret"));
    assert!(text(&ends_with(by_variable, 2).stderr).contains("BULK_RERUN_TOKEN is not UTF-8"));
    let file = store.path.with_file_name("token");
    fs::write(&file, b"s\xe9cret").unwrap();
    let mut by_file = serve();
    by_file.arg("--token-file").arg(file);
    assert!(text(&ends_with(by_file, 2).stderr).contains("UTF-8"));
}
