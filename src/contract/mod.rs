//! The contract: one request, one answer and one error model, the same JSON through every door.
//!
//! Nothing here knows of SQL, HTTP, C or Lua. The wire format is RunWisp's bulk re-run; what goes
//! beyond it (`options`, `skipped`, `rerun_of`, …) is optional, so that a client which has never
//! heard of it works unchanged.

mod answer;
mod caller;
mod config;
mod error;
mod fields;
mod json;
mod matching;
mod operations;
mod options;
mod parameters;
mod request;
mod run;
mod run_text;
mod spelling;
mod texts;

pub use answer::{BulkRerunBody, GroupRuns, Planned, Reason, Replica, Skipped, Times, Triggered};
pub use caller::Caller;
pub use config::{Config, Via};
pub use error::{ErrorModel, Violation};
pub(crate) use fields::nearest;
pub(crate) use operations::ledger_time;
#[cfg(feature = "cli")]
pub(crate) use operations::spelled;
pub use operations::{
    KeptRun, NewRun, Operation, Operations, OperationsQuery, Standing, States, UndoRequest, Undone, UndoneRun,
    count_states,
};
#[cfg(feature = "http")]
pub(crate) use operations::{no_fields, no_parameters};
pub use options::{GroupName, RerunOptions, UniqueBy};
#[cfg(feature = "cli")]
pub(crate) use parameters::{each_once, of_the_environment, read_parameter};
pub use request::{Request, RunFilter, Selector};
pub use run::{FAILURE_END_REASONS, Instant, Params, Phase, Run, is_success};
pub(crate) use run::{has_ended, is_writable, nearest_writable};
pub(crate) use run_text::{RunText, as_rfc3339};
pub use spelling::Spelling;
#[cfg(feature = "cli")]
pub(crate) use texts::REASON_MAX;
#[cfg(any(feature = "cli", feature = "http"))]
pub(crate) use texts::{KEY_MAX, wrong_with_text};
