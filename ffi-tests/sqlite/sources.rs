//! Where SQLite's own sources are: the crate that binds to it brings them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::library::run;

/// The version that the project itself is built with.
pub fn current() -> PathBuf {
    of_package(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
}

/// One that is too old.
pub fn old() -> PathBuf {
    of_package(&Path::new(env!("CARGO_MANIFEST_DIR")).join("ffi-tests/sqlite/old/Cargo.toml"))
}

fn of_package(manifest: &Path) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--quiet", "--locked", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let metadata: Value = serde_json::from_str(&run(&mut cargo)).expect("cargo's metadata is JSON");
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let binding = packages.into_iter().find(|package| package["name"] == "libsqlite3-sys");
    let manifest = binding.and_then(|package| package["manifest_path"].as_str()).expect("it is a dependency");
    Path::new(manifest).with_file_name("sqlite3")
}
