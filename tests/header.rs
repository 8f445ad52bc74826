//! `include/bulk_rerun.h` says what `src/capi` does, and any compiler takes it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// In the order in which a reader needs them.
const SOURCES: [&str; 11] =
    ["version", "strings", "default", "run", "plugin", "cancel", "cursor", "operations", "host", "callback", "log"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn header() -> PathBuf {
    root().join("include/bulk_rerun.h")
}

#[test]
fn header_is_made_from_the_source() {
    let folder = root().join("src/capi");
    let mut config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    config.header = Some(fs::read_to_string(folder.join("preamble.h")).unwrap());
    let builder = cbindgen::Builder::new().with_config(config);
    // What is exported under a feature's condition, cbindgen would not see.
    let plain = tempfile::tempdir().unwrap();
    let builder = SOURCES.iter().map(|name| format!("{name}.rs")).fold(builder, |builder, name| {
        let source = fs::read_to_string(folder.join(&name)).unwrap();
        let source = source.replace(r#"#[cfg_attr(feature = "capi", unsafe(no_mangle))]"#, "#[unsafe(no_mangle)]");
        fs::write(plain.path().join(&name), source).unwrap();
        builder.with_src(plain.path().join(name))
    });
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();

    if env::var_os("UPDATE_HEADER").is_some_and(|value| value == "1") {
        fs::write(header(), &made).unwrap();
    }
    let committed = fs::read_to_string(header()).unwrap_or_default();
    assert!(committed == made, "include/bulk_rerun.h is not up to date: UPDATE_HEADER=1 cargo test --test header");
}

#[test]
fn every_compiler_takes_it() {
    for (compiler, language) in
        [("gcc", "c99"), ("clang", "c99"), ("gcc", "c++98"), ("clang", "c++98"), ("gcc", "c17"), ("clang", "c++20")]
    {
        let kind = if language.starts_with("c++") { "c++" } else { "c" };
        let output = Command::new(compiler)
            .args([&format!("-std={language}"), "-x", kind, "-fsyntax-only"])
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"])
            .arg(header())
            .output()
            .unwrap_or_else(|error| panic!("{compiler}: {error}; `bash tests/run` installs it"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{compiler} -std={language}:\n{said}");
    }
}
