//! What the benches are made of.

pub mod apart;
pub mod condition;
pub mod door;
pub mod http;
#[path = "../../tests/support/library.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod library;
pub mod limit;
pub mod lua;
pub mod measure;
pub mod memory;
pub mod peer;
pub mod plot;
pub mod report;
pub mod resolve;
#[path = "../../tests/support/http.rs"]
mod server;
pub mod spawn;
pub mod store;
