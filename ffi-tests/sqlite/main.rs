//! The library in a process that already uses SQLite: what may go wrong there is tried for real.
//! `cargo test --test sqlite_in_process` runs it; `bash tests/run` installs what it needs.

mod hosts;
#[path = "../../tests/support/library.rs"]
#[allow(dead_code, reason = "every test uses some of it")]
mod library;
mod sources;
#[path = "../stores.rs"]
mod stores;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use hosts::{Copy, host};
use library::{Installed, run};
use stores::Stores;

/// Runs a host on a new store in WAL mode, and on one with a rollback journal.
fn on_both_stores(binary: &Path, arguments: &[&str]) {
    let stores = Stores::new();
    for store in [&stores.wal, &stores.rollback] {
        println!("{}", run(Command::new(binary).arg(store).args(arguments)));
    }
}

fn library_path() -> PathBuf {
    Installed::get().lib().join("libbulk_rerun.so.1")
}

/// The library's file under the name that SQLite makes an entry point's name of.
fn extension() -> String {
    let path = Installed::get().lib().join("libbulk_rerun");
    path.to_str().expect("a path that is text").to_owned()
}

#[test]
fn a_host_that_holds_exclusive_keeps_its_lock() {
    on_both_stores(&host("exclusive", Copy::System), &["shared"]);
}

#[test]
fn a_host_that_holds_exclusive_through_a_copy_of_its_own_keeps_its_lock() {
    on_both_stores(&host("exclusive", Copy::Static), &["apart"]);
}

#[test]
fn the_systems_copy_is_no_proof_without_a_promise() {
    on_both_stores(&host("exclusive", Copy::System), &["apart"]);
}

#[test]
fn a_copy_that_the_program_shows_is_found() {
    on_both_stores(&host("exclusive", Copy::Shown), &["shared"]);
}

#[test]
fn a_copy_that_comes_later_stops_the_library() {
    on_both_stores(&host("late", Copy::Static), &[]);
}

#[test]
fn a_copy_that_comes_in_the_middle_of_a_call_stops_it() {
    on_both_stores(&host("meanwhile", Copy::Static), &[]);
}

#[test]
fn storms_of_writes_leave_the_store_whole() {
    on_both_stores(&host("storm", Copy::System), &["5", "shared"]);
}

#[test]
fn the_librarys_own_connections_are_no_other_copys() {
    on_both_stores(&host("storm", Copy::System), &["4", "alone"]);
}

#[test]
fn a_static_copy_gets_along_by_loading_the_extension() {
    on_both_stores(&host("own_copy", Copy::Static), &[&extension()]);
}

#[test]
fn a_thread_that_is_cancelled_within_the_extension_ends_after_it() {
    on_both_stores(&host("cancelled", Copy::System), &[&extension()]);
}

#[test]
fn apsws_copy_gets_along_by_loading_the_extension() {
    on_both_stores_with(&python_with_apsw(), "private_copy.py");
}

#[test]
fn copies_in_one_python_never_harm_a_store() {
    on_both_stores_with(&python_with_apsw(), "copies.py");
}

#[test]
fn better_sqlite3s_copy_never_harms_a_store() {
    let stores = Stores::new();
    let modules = node_modules();
    for store in [&stores.wal, &stores.rollback] {
        let mut node = Command::new("node");
        node.arg(file("copies.mjs")).arg(extension() + ".so").arg(store).env("NODE_PATH", &modules);
        println!("{}", run(&mut node));
    }
}

#[test]
fn the_copies_of_go_programs_never_harm_a_store() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-with-copies");
    let mut go = Command::new("go");
    go.args(["build", "-mod=readonly", "-o"]).arg(format!("{}/", folder.display())).args(["./modernc", "./mattn"]);
    // SQLite itself is compiled by it, and nobody waits for what it does here.
    go.current_dir(file("go")).env("CGO_CFLAGS", "-O0");
    run(Installed::get().for_go(&mut go));
    for copy in ["modernc", "mattn"] {
        for begin in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
            for library_comes in ["before", "after"] {
                let stores = Stores::new();
                for store in [&stores.wal, &stores.rollback] {
                    let mut host = Command::new(folder.join(copy));
                    host.arg(store).args([begin, library_comes, &extension()]);
                    println!(
                        "{copy} {begin} {library_comes}: {}",
                        run(host.env("LD_LIBRARY_PATH", Installed::get().lib()))
                    );
                }
            }
        }
    }
}

#[test]
fn a_child_goes_on_when_its_parent_is_gone() {
    on_both_stores(&host("daemon", Copy::System), &[]);
}

#[test]
fn a_fork_in_the_middle_of_a_call_ends_it_in_the_child() {
    on_both_stores(&host("fork_in_a_call", Copy::System), &[]);
}

#[test]
fn an_sqlite_that_is_too_old_refuses_the_extension() {
    println!("{}", run(Command::new(host("too_old", Copy::Old)).arg(extension())));
}

#[test]
fn the_extension_works_in_the_callers_transaction() {
    let stores = Stores::new();
    // Debian's own Python: others are often built without extensions.
    let mut python = Command::new("/usr/bin/python3");
    println!("{}", run(python.arg(file("extension.py")).arg(extension()).args([&stores.wal, &stores.rollback])));
}

#[test]
fn the_library_exports_and_needs_no_more_than_it_should() {
    let names = run(Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(library_path()));
    let names: Vec<&str> = names.lines().filter_map(|line| line.split(' ').next()).collect();
    let ours = |name: &&str| *name == "sqlite3_bulkrerun_init" || name.starts_with("bulk_rerun");
    assert!(names.contains(&"sqlite3_bulkrerun_init") && names.contains(&"bulk_rerun_open"), "{names:?}");
    assert_eq!(names.iter().filter(|name| !ours(name)).count(), 0, "{names:?}");

    let dynamic = run(Command::new("readelf").arg("-d").arg(library_path()));
    let of = |tag: &str| -> Vec<String> {
        let lines = dynamic.lines().filter(|line| line.contains(tag));
        lines.filter_map(|line| Some(line.split_once('[')?.1.trim_end_matches(']').to_owned())).collect()
    };
    let needed = of("(NEEDED)");
    let known = ["libc.so.", "libgcc_s.so.", "ld-linux"];
    assert!(needed.iter().all(|name| known.iter().any(|known| name.starts_with(known))), "{needed:?}");
    assert_eq!(of("(SONAME)"), ["libbulk_rerun.so.1"]);
    assert!(dynamic.lines().any(|line| line.contains("NODELETE")), "{dynamic}");
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ffi-tests/sqlite").join(name)
}

fn on_both_stores_with(python: &Path, script: &str) {
    let stores = Stores::new();
    for store in [&stores.wal, &stores.rollback] {
        run(Command::new(python).arg(file(script)).arg(extension() + ".so").arg(store));
    }
}

/// A Python of its own with apsw and pysqlite3, each of which has SQLite compiled in.
fn python_with_apsw() -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    let install = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-with-copies");
        let python = folder.join("bin/python");
        if !folder.join("ready").exists() {
            run(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&folder));
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "apsw", "pysqlite3-binary"];
            run(Command::new(&python).args(pip));
            std::fs::write(folder.join("ready"), "").expect("the folder can be written");
        }
        python
    };
    PYTHON.get_or_init(install).clone()
}

/// Where better-sqlite3 and koffi are. The former is compiled here, once, and quickly: its maker's binary is in no registry.
fn node_modules() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node-with-copies");
    if !folder.join("ready").exists() {
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        let npm = ["install", "--silent", "--no-audit", "--no-fund", "better-sqlite3@12", "koffi@3", "--prefix"];
        let quickly = [("npm_config_build_from_source", "true"), ("CFLAGS", "-O0"), ("CXXFLAGS", "-O0")];
        run(Command::new("npm").args(npm).arg(&folder).envs(quickly));
        std::fs::write(folder.join("ready"), "").expect("the folder can be written");
    }
    folder.join("node_modules")
}
