//! The log of a host that has none of ours: on standard error, and only where it is asked for.

use std::env;
use std::io;
use std::sync::Once;

use tracing::level_filters::LevelFilter;

/// How much: `error`, `warn`, `info`, `debug` or `trace`.
const VARIABLE: &str = "BULK_RERUN_LOG";

/// Starts it on the first call, if the variable is set.
pub(super) fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let Some(level) = env::var(VARIABLE).ok().filter(|level| !level.is_empty()) else { return };
        let log = tracing_subscriber::fmt()
            .with_writer(io::stderr)
            .with_ansi(false)
            // Whoever sets it to anything wants to see something.
            .with_max_level(level.parse().unwrap_or(LevelFilter::WARN))
            // A standard error that takes nothing must not end the host.
            .log_internal_errors(false);
        // A host in Rust may have a subscriber of its own already, which then gets everything.
        let _ = log.try_init();
    });
}
