//! What the benches are made of.

pub mod apart;
pub mod door;
#[path = "../../tests/support/library.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod library;
pub mod measure;
pub mod memory;
pub mod peer;
pub mod report;
pub mod resolve;
pub mod spawn;
pub mod store;
