//! What the fuzz targets (`fuzz/`) reach besides the public API. It is no part of that, and there for them alone.

use crate::contract::Instant;

/// A time as a runner writes it.
pub fn read_instant(text: &str) -> Option<Instant> {
    crate::host::read_instant(text)
}

/// What a person sees of a store's address, or what is wrong with it. `variable` has libpq's environment variables.
#[cfg(feature = "postgres")]
pub fn read_address(url: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    crate::host::postgres::read_address(url, variable).map_err(|error| error.to_string())
}
