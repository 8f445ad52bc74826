//! What a re-run is, once more, as naively as can be: lists, loops and sorting.
//!
//! It shares no code with the crate, reads no times (whoever makes a run knows its instant) and is never fast.
//! `store` is what a store holds, `request` which runs a request selects, `plan` what is made of them, `call` what a
//! real call does (with what others do meanwhile, and what the host declines); `answer` and `outcome` compare.

#![allow(unused_imports, reason = "every test uses some of it")]

pub mod answer;
pub mod call;
pub mod outcome;
pub mod plan;
pub mod request;
pub mod store;

pub use call::{Act, Fate, Ids};
pub use outcome::{NewRow, Trial, check_dry_run, new_rows};
pub use request::{Request, Unique};
pub use store::{Run, Value};
