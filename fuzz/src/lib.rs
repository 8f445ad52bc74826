//! The fuzz targets as a library, for the programs in `fuzz_targets/` (and for the ordinary tests, which compile the same files).

#[path = "../../tests/support/mod.rs"]
pub mod support;
pub mod targets;
