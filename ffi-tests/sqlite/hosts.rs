//! The hosts in C, and the SQLite that each is compiled with.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use crate::library::{Installed, run};
use crate::sources;

/// Which SQLite a host uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Copy {
    /// The system's library.
    System,
    /// One of its own, compiled in and hidden, as most programs have it that bring one.
    Static,
    /// One of its own, which the program shows to the libraries that it loads.
    Shown,
    /// One of its own that is older than the library can use.
    Old,
}

/// A host of this folder, compiled once and ready to run.
pub fn host(program: &'static str, copy: Copy) -> PathBuf {
    static COMPILED: Mutex<Option<HashSet<(&str, Copy)>>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().expect("no host has failed to compile");
    let binary = folder(&format!("{copy:?}").to_lowercase()).join(program);
    if compiled.get_or_insert_default().insert((program, copy)) {
        compile(program, copy, &binary);
    }
    binary
}

fn compile(program: &str, copy: Copy, binary: &Path) {
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread", "-o"]);
    gcc.arg(binary).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("ffi-tests/sqlite/{program}.c")));
    match copy {
        Copy::System => {}
        Copy::Static => with_own(&mut gcc, current()),
        Copy::Shown => with_own(gcc.arg("-rdynamic"), current()),
        Copy::Old => with_own(&mut gcc, old()),
    }
    let mut packages = vec!["--cflags", "--libs"];
    // The old one's host loads the library as an extension alone.
    packages.extend((copy != Copy::Old).then_some("bulk_rerun"));
    packages.extend((copy == Copy::System).then_some("sqlite3"));
    if packages.len() > 2 {
        gcc.args(Installed::get().pkg_config(&packages));
    }
    gcc.arg(format!("-Wl,-rpath,{}", Installed::get().lib().display()));
    run(&mut gcc);
}

/// SQLite's own header and object come before the system's.
fn with_own(gcc: &mut Command, object: &Path) {
    let sources = object.parent().expect("it is in a folder");
    gcc.arg(object).arg("-I").arg(sources).args(["-ldl", "-lm"]);
}

fn current() -> &'static Path {
    static OBJECT: OnceLock<PathBuf> = OnceLock::new();
    OBJECT.get_or_init(|| compiled("sqlite-current", &sources::current()))
}

fn old() -> &'static Path {
    static OBJECT: OnceLock<PathBuf> = OnceLock::new();
    OBJECT.get_or_init(|| compiled("sqlite-old", &sources::old()))
}

/// SQLite as one object, compiled once for each version.
fn compiled(name: &str, sources: &Path) -> PathBuf {
    let folder = folder(name);
    let object = folder.join("sqlite3.o");
    let of = folder.join("of");
    let version = sources.display().to_string();
    if std::fs::read_to_string(&of).ok().as_ref() != Some(&version) {
        std::fs::copy(sources.join("sqlite3.h"), folder.join("sqlite3.h")).expect("SQLite's header is there");
        run(Command::new("gcc").args(["-O0", "-c", "-o"]).arg(&object).arg(sources.join("sqlite3.c")));
        std::fs::write(of, version).expect("the folder can be written");
    }
    object
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hosts").join(name);
    std::fs::create_dir_all(&folder).expect("a folder for the hosts");
    folder
}
