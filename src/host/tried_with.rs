//! How far a profile can be relied on.

use serde::{Deserialize, Serialize};

/// What a profile was tried with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TriedWith {
    /// The runner's own worker, which carried out what was spawned.
    #[default]
    Worker,
    /// The runner's tables alone.
    Schema,
}

impl TriedWith {
    /// The runner's own worker was seen with it.
    pub fn is_worker(&self) -> bool {
        *self == TriedWith::Worker
    }
}
