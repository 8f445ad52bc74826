//! A plan's digest: what was shown in a dry run is what runs, or nothing does.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::contract::Params;
use crate::host::RunRef;

/// What stands for one run that is to be started again, with its parameters.
pub(super) type OfRun = [u8; 32];

/// Each part carries its kind and its length, so that no two runs read the same.
pub(super) fn of_run(run: RunRef<'_>, params: &Params<'_>) -> OfRun {
    let mut digest = Sha256::new();
    let mut part = |kind: u8, bytes: &[u8]| {
        digest.update([kind]);
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    part(b't', &run.task_name.bytes().unwrap_or_default());
    part(b's', &run.id.bytes().unwrap_or_default());
    match params.bytes() {
        Some(bytes) => part(b'p', &bytes),
        None => part(b'n', b""),
    }
    digest.finalize().into()
}

/// The digest of all of them in their order, such as `sha256:9f86…`.
pub(super) fn of_all(runs: impl Iterator<Item = OfRun>) -> String {
    let mut digest = Sha256::new();
    runs.for_each(|run| digest.update(run));
    in_hex(digest.finalize().into())
}

/// A digest as text.
pub(super) fn in_hex(digest: [u8; 32]) -> String {
    let mut text = String::from("sha256:");
    for byte in digest {
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
