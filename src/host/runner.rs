//! The runner itself, as a profile tells of it.

use serde::Deserialize;

/// When a run that was spawned will start: for `check`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// While the runner runs.
    pub running: String,
    /// While it does not.
    pub stopped: String,
}

impl Default for Start {
    fn default() -> Self {
        Start {
            running: "when the runner next looks for pending runs".to_owned(),
            stopped: "when the runner is started next".to_owned(),
        }
    }
}
