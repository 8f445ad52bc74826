//! The C ABI as its users meet it: programs in C, C++, Python, Node and Go, against the library as
//! `make install` installs it. `cargo test --test ffi` runs them; `bash tests/run` installs what they need.
//!
//! Each program gets two stores, one in WAL mode and one with a rollback journal, checks what it does
//! by itself, and says where it failed. What a checker finds in it fails it too.

mod c;
mod examples;
mod header;
mod install;
mod languages;
#[path = "../tests/support/library.rs"]
mod library;
#[path = "../tests/support/postgres.rs"]
mod postgres;
mod stores;

use libtest_mimic::Arguments;

fn main() {
    let suites = [c::trials(), languages::trials(), install::trials(), examples::trials(), header::trials()];
    libtest_mimic::run(&Arguments::from_args(), suites.into_iter().flatten().collect()).exit();
}
