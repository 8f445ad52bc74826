//! What the benches are made of.

pub mod apart;
pub mod measure;
pub mod memory;
pub mod peer;
pub mod report;
pub mod resolve;
pub mod spawn;
pub mod store;
