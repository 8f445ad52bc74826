//! Re-run the unique tasks behind a selector's runs, inside the job runner's own store.
//!
//! A job runner keeps its runs in a store. [`Plugin`] opens that store, finds the runs that a
//! selector means, groups them by task, and starts each task's newest run again with exactly its
//! parameters, in one transaction.
//!
//! The way of one request: door → [`contract`] → operation → [`host`]. A door is what calls
//! [`Plugin::call`]; a host is a runner's store, seen through a [profile](host::profile).

#![deny(missing_docs, clippy::unwrap_used)]

#[cfg(all(feature = "bundled", feature = "shared-sqlite"))]
compile_error!(
    "the features `bundled` and `shared-sqlite` (which `capi` needs) exclude each other: build the shared library with \
     `--no-default-features --features capi`"
);

mod cancel;
#[cfg(any(feature = "capi", feature = "lua", fuzzing))]
pub mod capi;
pub mod catalogue;
#[cfg(feature = "cli")]
pub mod cli;
pub mod contract;
mod cursor;
mod elsewhere;
#[cfg(feature = "capi")]
mod extension;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
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
