//! The ledger of a host behind callbacks: it keeps each operation, and finds it again.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::kept::{self, Kept, List};
use super::session::CallbackSession;
use crate::contract::Triggered;
use crate::host::{Entry, HostError, Ledger, Page, Recorded};

impl CallbackSession<'_> {
    fn ask_for<T: DeserializeOwned>(&self, query: &Value) -> Result<Option<T>, HostError> {
        let found = self.callbacks.find_operation(&query.to_string())?;
        kept::read(&found).map_err(failed)
    }

    /// The operation of which this field has this value.
    fn find_by(&mut self, field: &str, value: &str) -> Result<Option<&mut Kept>, HostError> {
        self.found = self.ask_for(&json!({ field: value }))?;
        let it_has = |kept: &Kept| match field {
            "operation_id" => Some(&*kept.operation_id) == Some(value),
            _ => kept.idempotency_key.as_deref() == Some(value),
        };
        match &self.found {
            // It stands for nothing that was asked for: to go on would do things twice.
            Some(other) if !it_has(other) => Err(failed(format!(
                "it was asked for the operation with the {field} {value:?}, and found another one, {}",
                other.operation_id
            ))),
            _ => Ok(self.found.as_mut()),
        }
    }

    /// The operation with this id, as it was found last.
    fn known(&mut self, operation_id: &str) -> Result<Option<&mut Kept>, HostError> {
        match &self.found {
            Some(kept) if kept.operation_id == operation_id => Ok(self.found.as_mut()),
            _ => self.find_by("operation_id", operation_id),
        }
    }
}

impl Ledger for CallbackSession<'_> {
    fn is_old(&self) -> bool {
        false
    }

    fn get(&mut self, operation_id: &str) -> Result<Option<Entry>, HostError> {
        Ok(self.find_by("operation_id", operation_id)?.map(|kept| kept.entry()))
    }

    /// The host may have handed over more than was asked for.
    fn list(&mut self, page: Page<'_>) -> Result<Vec<Entry>, HostError> {
        let mut query = json!({"limit": page.limit});
        for (field, value) in [("before", page.before), ("created_after", page.since), ("run_id", page.run_id)] {
            if let Some(value) = value {
                query[field] = json!(value);
            }
        }
        let List { mut operations } = self.ask_for(&query)?.unwrap_or_default();
        if let Some(place) = page.before.and_then(|id| operations.iter().position(|kept| kept.operation_id == id)) {
            operations.drain(..=place);
        }
        let mut seen = HashSet::new();
        let meant = operations.iter().filter(|kept| {
            page.since.is_none_or(|time| kept.is_as_new_as(time))
                && page.run_id.is_none_or(|id| kept.has_run(id))
                && seen.insert(&*kept.operation_id)
        });
        Ok(meant.take(usize::try_from(page.limit).unwrap_or(usize::MAX)).map(Kept::entry).collect())
    }

    fn mark_undone(&mut self, operation_id: &str, at: &str, places: &[i64]) -> Result<(), HostError> {
        let Some(kept) = self.known(operation_id)? else { return Ok(()) };
        kept.mark_undone(at, places);
        let json = kept.to_json();
        self.callbacks.record_operation(&json)
    }

    fn find(&mut self, key: &str) -> Result<Option<Entry>, HostError> {
        Ok(self.find_by("idempotency_key", key)?.map(|kept| kept.entry()))
    }

    fn runs(&mut self, operation_id: &str, each: &mut dyn FnMut(Recorded)) -> Result<(), HostError> {
        if let Some(kept) = self.known(operation_id)? {
            kept.runs().for_each(|(run, is_undone)| each(Recorded { run, is_undone }));
        }
        Ok(())
    }

    fn record(&mut self, entry: &Entry, runs: &[Triggered]) -> Result<(), HostError> {
        self.callbacks.record_operation(&Kept::new(entry, runs).to_json())
    }

    fn prune(&mut self, _: &str) -> Result<u64, HostError> {
        let message = "this host keeps the ledger behind its callbacks, and prunes its own: let it drop what it \
                       need not find any more";
        Err(HostError::Unusable(message.to_owned()))
    }
}

fn failed(message: String) -> HostError {
    HostError::Callback { callback: "find_operation", message }
}
