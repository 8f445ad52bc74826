//! The ledger: which re-runs there were, who wanted them and why, and what they started. It is kept in the host's own
//! database, and written in the transaction of the new runs: both are there, or neither is.

use super::HostError;
use crate::contract::Triggered;

/// The ledger's version. A version is made of the one before it by the engine's own migration, and the first one of nothing.
pub(super) const VERSION: usize = 1;

/// A re-run, as the ledger has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// A ULID.
    pub operation_id: String,
    /// When it was written, in RFC 3339 with milliseconds, in UTC.
    pub created_at: String,
    /// The door that it came through.
    pub door: String,
    /// Who wanted it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The client's own name for it; each is there once in a store.
    pub idempotency_key: Option<String>,
    /// What was carried out, as JSON.
    pub request: String,
    /// A digest of that, to tell a repeat from another request.
    pub request_digest: String,
    /// How many new runs there are.
    pub triggered: i64,
    /// How many groups and ids got none.
    pub skipped: i64,
    /// These, as JSON.
    pub skipped_list: String,
}

/// The ledger of a store that has one, for as long as a session lasts.
pub trait Ledger {
    /// The re-run that was written down under this key.
    fn find(&mut self, key: &str) -> Result<Option<Entry>, HostError>;

    /// Hands over the new runs of a re-run, in its answer's order.
    fn runs(&mut self, operation_id: &str, each: &mut dyn FnMut(Triggered)) -> Result<(), HostError>;

    /// Writes a re-run down, in the transaction in which it is done.
    fn record(&mut self, entry: &Entry, runs: &[Triggered]) -> Result<(), HostError>;

    /// Takes some of the re-runs away that are older than this, and tells how many: none when none is left.
    fn prune(&mut self, before: &str) -> Result<u64, HostError>;
}

/// As many runs are pruned in one transaction, so that nobody waits long for it.
pub(super) const PRUNED_AT_ONCE: i64 = 20_000;

/// What is said of a ledger that a later version of this has made.
pub(super) fn newer(version: i64, place: &str) -> HostError {
    HostError::Unusable(format!(
        "the ledger in {place} is of version {version}, which a newer bulk_rerun has made, and this one knows {VERSION}: \
         what it does would go unrecorded, so nothing was changed; upgrade it"
    ))
}

/// What is said where the ledger can't be written, in the engine's words.
pub(super) fn unwritable(place: &str, words: &str) -> HostError {
    HostError::Unusable(format!(
        "the ledger in {place} can't be written ({words}), and a re-run that it does not have must not be; nothing was \
         changed: mend that, and try again"
    ))
}
