//! A plan's digest: what was shown in a dry run is what runs, or nothing does.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::contract::Params;

/// Digests which runs are started again, in order, with which parameters.
pub(super) struct PlanDigest(Sha256);

impl PlanDigest {
    pub(super) fn new() -> Self {
        PlanDigest(Sha256::new())
    }

    /// Adds a run that is to be started again.
    pub(super) fn add(&mut self, task_name: &str, source: &str, params: &Params<'_>) {
        self.part(b't', task_name.as_bytes());
        self.part(b's', source.as_bytes());
        match params {
            Params::None => self.part(b'n', b""),
            Params::Text(bytes) => self.part(b'p', bytes),
            Params::Blob(bytes) => self.part(b'b', bytes),
        }
    }

    /// Each part carries its kind and its length, so that no two plans read the same.
    fn part(&mut self, kind: u8, bytes: &[u8]) {
        self.0.update([kind]);
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// The digest, such as `sha256:9f86…`.
    pub(super) fn finish(self) -> String {
        let mut text = String::from("sha256:");
        for byte in self.0.finalize() {
            // Writing to a String never fails.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}
