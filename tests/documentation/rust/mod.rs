//! The programs of `docs/rust.md`, as they stand there.

use std::process::Command;
use std::{env, fs};

use crate::compare::Values;
use crate::page::{Page, project};
use crate::walk::Walk;

mod first {
    include!("first.rs");

    pub fn run() {
        main().unwrap();
    }
}

mod in_axum {
    include!("in_axum.rs");

    pub fn run() {
        let _app = app().unwrap();
    }
}

/// Set where this program is its own child, in the folder that the page's programs are in.
const CHILD: &str = "BULK_RERUN_TEST_RUST_PAGE";

#[test]
fn the_programs_are_the_pages() {
    let page = Page::read(project().join("docs/rust.md"));
    let blocks = page.blocks().into_iter().filter(|block| block.info == ["rust"]).map(|block| block.text());
    let files = ["first.rs", "in_axum.rs"].map(|file| project().join("tests/documentation/rust").join(file));
    let files = files.map(|file| fs::read_to_string(file).unwrap());
    assert!(blocks.eq(files));
}

#[test]
fn the_programs_run() {
    if env::var_os(CHILD).is_some() {
        first::run();
        in_axum::run();
        return;
    }
    let mut walk = Walk::begin(&[], Values::of(false));
    walk.run("bulk-rerun demo demo");
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "rust::the_programs_run", "--nocapture"]).current_dir(walk.folder.path()).env(CHILD, "1");
    let output = child.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains(r#"{"triggered":[{"task_name":"reconcile-payments""#), "{said}");
}
