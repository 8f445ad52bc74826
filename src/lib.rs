//! Re-run the unique tasks behind a selector's runs, inside the job runner's own store.
//!
//! A job runner keeps its runs in a store. [`Plugin`] opens that store, finds the runs that a
//! selector means, groups them by task, and starts each task's newest run again with exactly its
//! parameters, in one transaction:
//!
//! ```no_run
//! use bulk_rerun::{Config, Plugin};
//!
//! let plugin = Plugin::open(&Config::new("jobs.db"))?;
//! let answer = plugin.call(br#"{"match_all": true, "filter": {"status": "failed"}}"#)?;
//! println!("{answer}");
//! # Ok::<(), bulk_rerun::ErrorModel>(())
//! ```
//!
//! Which runner's store it is, is found from its schema; for a runner that is not built in, a text file with two SQL
//! statements says it ([`host::profile`]). A host that keeps its runs elsewhere hands them over, and starts them itself
//! ([`host::callbacks`]). An axum app merges the routes of [`http::api`]. The project's folder `examples/rust` has
//! a program for each.
//!
//! The way of one request: door → [`contract`] → operation → [`host`]. A door is what calls
//! [`Plugin::call`]; a host is a runner's store, seen through a [profile](host::profile).
//!
//! # Features
//!
//! | feature | | |
//! | --- | --- | --- |
//! | `bundled` | default | stores in SQLite, which is compiled in; implies `sqlite` |
//! | `postgres` | default | stores in PostgreSQL |
//! | `http` | default | [`http`]: the routes for an app on axum 0.8 |
//! | `daemon` | default | RunWisp's own daemon starts the new runs; implies `sqlite` |
//! | `cli` | default | the command line tool `bulk-rerun`; implies `sqlite` |
//! | `lua` | default | `bulk-rerun lua`, with a Lua 5.4 compiled in; implies `cli` |
//! | `sqlite` | | stores in SQLite: with the copy that another crate of the program brings, or the system's libsqlite3 |
//! | `shared-sqlite` | | the same with the copy that the process has loaded; for the shared library, and not with `bundled` |
//! | `capi` | | what the shared library for C exports; implies `shared-sqlite`, `daemon` and `postgres` |
//! | `test-panic` | | for the project's own tests |
//!
//! The default ones make the tool. A program names what it uses:
//!
//! ```toml
//! # Its jobs are in SQLite, and it has no SQLite yet; with an axum app.
//! bulk_rerun = { version = "0.1", default-features = false, features = ["bundled", "http"] }
//! # Its jobs are in PostgreSQL.
//! bulk_rerun = { version = "0.1", default-features = false, features = ["postgres"] }
//! # It hands its jobs over itself: no engine at all.
//! bulk_rerun = { version = "0.1", default-features = false }
//! ```
//!
//! A store whose engine was left out is refused with the feature's name. `bundled`, `postgres` (for TLS) and `lua` need a C
//! compiler.
//!
//! # Beside other crates
//!
//! A program has one libsqlite3-sys, and with `sqlite` (or what implies it) it is the one of rusqlite 0.39. Cargo refuses
//! what needs another one. Where it says no, leave `sqlite` out and hand the jobs over, or run the tool as a child process.
//!
//! | crate | beside `sqlite` | without it |
//! | --- | --- | --- |
//! | `rusqlite` 0.39 | yes | yes |
//! | `rusqlite` 0.38 | no | yes |
//! | `rusqlite` 0.40 | no | yes |
//! | `sqlx` 0.9 | yes | yes |
//! | `sqlx` 0.8, whatever its features | no | yes |
//! | `sea-orm` 2 | yes | yes |
//! | `sea-orm` 1 | no | yes |
//! | `diesel` 2.3 | yes | yes |
//! | `diesel` 2.2 | no | yes |
//! | `apalis-sqlite` 1.0 | yes | yes |
//!
//! `bundled` compiles SQLite as rusqlite has it, which makes all connections of a process share one page cache: beside
//! another connection a search can take four times as long. The project builds its own tool without that. Your program
//! does it with `LIBSQLITE3_FLAGS=-USQLITE_ENABLE_MEMORY_MANAGEMENT` in the environment, or in the part `[env]` of
//! `.cargo/config.toml`.
//!
//! # Rust
//!
//! 1.88 or newer: so say clippy, and every crate that this one stands on. (That compiler itself was not tried.)

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs, clippy::unwrap_used)]

#[cfg(all(feature = "bundled", feature = "shared-sqlite"))]
compile_error!(
    "the features `bundled` and `shared-sqlite` (which `capi` needs) exclude each other: build the shared library with \
     `--no-default-features --features capi`"
);

mod cancel;
#[cfg(any(feature = "capi", feature = "lua"))]
pub mod capi;
pub mod catalogue;
#[cfg(feature = "cli")]
pub mod cli;
pub mod contract;
mod cursor;
mod elsewhere;
#[cfg(feature = "capi")]
mod extension;
#[doc(hidden)]
pub mod fuzzing;
// An engine that is left out leaves what only it would use.
#[cfg_attr(not(all(feature = "postgres", feature = "sqlite")), allow(dead_code))]
pub mod host;
#[cfg(feature = "http")]
pub mod http;
mod operation;
mod plugin;
mod toml_words;

pub use cancel::Cancel;
pub use contract::{
    BulkRerunBody, Caller, Config, ErrorModel, GroupName, KeptRun, NewRun, Operation, Operations, OperationsQuery,
    Planned, Reason, Request, RerunOptions, Run, RunFilter, Selector, Skipped, Spelling, Standing, States, Times,
    Triggered, UndoRequest, Undone, UndoneRun, UniqueBy, Via, Violation, count_states,
};
pub use cursor::Cursor;
pub use operation::{Survey, Trial, UndoTrial};
pub use plugin::Plugin;
