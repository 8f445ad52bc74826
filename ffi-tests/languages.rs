//! The programs in other languages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use libtest_mimic::{Failed, Trial};

use crate::library::{Installed, run};
use crate::stores::Stores;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("c++", cpp),
        Trial::test("python: ctypes", || python("ctypes_test.py")),
        Trial::test("python: cffi", || python("cffi_test.py")),
        Trial::test("node: koffi", node),
        Trial::test("go: cgo", go),
    ]
}

/// A file of this folder.
fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ffi-tests").join(path)
}

/// A folder for what is made.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a program on two new stores, with the installed library.
fn on_stores(command: &mut Command) -> Result<(), Failed> {
    let stores = Stores::new();
    let lib = Installed::get().lib();
    run(command
        .env("LD_LIBRARY_PATH", &lib)
        .env("BULK_RERUN_LIB", lib.join("libbulk_rerun.so.1"))
        .env("BULK_RERUN_HEADER", Installed::get().prefix.join("include/bulk_rerun.h"))
        .args([&stores.wal, &stores.rollback]));
    Ok(())
}

fn cpp() -> Result<(), Failed> {
    let binary = folder("cpp").join("callbacks");
    let mut compiler = Command::new("g++");
    compiler.args(["-std=c++98", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"]);
    compiler.arg(&binary).arg(source("cpp/callbacks.cpp"));
    run(compiler.args(Installed::get().pkg_config(&["--cflags", "--libs", "bulk_rerun"])));
    on_stores(&mut Command::new(binary))
}

fn python(test: &str) -> Result<(), Failed> {
    on_stores(Command::new(python_with_cffi()).arg(source("python").join(test)))
}

/// A Python of its own, so that nothing is installed into the system's.
fn python_with_cffi() -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = folder.join("bin/python");
    if !folder.join("ready").exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "cffi"]));
        std::fs::write(folder.join("ready"), "").unwrap();
    }
    python
}

fn node() -> Result<(), Failed> {
    on_stores(Command::new("node").arg(source("node/koffi_test.mjs")).env("NODE_PATH", node_modules()))
}

/// Where koffi is installed.
pub fn node_modules() -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let folder = folder("node");
    if !folder.join("node_modules/koffi").exists() {
        let npm = Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "koffi@3"])
            .arg("--prefix")
            .arg(&folder)
            .output();
        let output = npm.expect("npm; `bash tests/run` installs it");
        assert!(output.status.success(), "npm install koffi: {}", String::from_utf8_lossy(&output.stderr));
    }
    folder.join("node_modules")
}

fn go() -> Result<(), Failed> {
    let binary = folder("go").join("ffi_test");
    run(with_go(Command::new("go").args(["test", "-c", "-o"]).arg(&binary)).current_dir(source("go")));
    on_stores(&mut Command::new(binary))
}

/// What cgo needs to find the library.
pub fn with_go(command: &mut Command) -> &mut Command {
    Installed::get().for_go(command).env("GOFLAGS", "-mod=mod")
}
