//! One click, one re-run. A browser whose kept connection dies sends a POST again by itself, and nothing that a page can
//! say keeps it from that; so the page names each click. Where the ledger takes keys the click is the re-run's, and what is
//! sent again is answered as the first time; else a click is heeded once.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use serde_json::json;

use crate::Plugin;
use crate::contract::{ErrorModel, Request};

const HEADER: &str = "bulk-rerun-click";

/// Browsers send again at once: so many clicks are remembered.
const CLICKS: usize = 1_024;
const LENGTH: usize = 64;

/// The clicks that were heeded, oldest first. They are forgotten with the process.
#[derive(Debug, Default)]
pub(super) struct Clicks(Mutex<VecDeque<String>>);

/// The click that a request names, if it does.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<String>, ErrorModel> {
    let Some(click) = headers.get(HEADER) else { return Ok(None) };
    match click.to_str() {
        Ok(text) if text.len() <= LENGTH => Ok(Some(text.to_owned())),
        Ok(text) => Err(refused(text, "longer than 64 bytes")),
        Err(_) => Err(refused(&String::from_utf8_lossy(click.as_bytes()), "not visible ASCII characters")),
    }
}

impl Clicks {
    /// Heeds a click, whatever is wrong with its request: where there is a ledger, as the request's key, unless it has one
    /// of its own.
    pub(super) fn heed(&self, click: String, request: Option<&mut Request>, plugin: &Plugin) -> Result<(), ErrorModel> {
        if !plugin.takes_keys()? {
            return self.take(click);
        }
        if let Some(request) = request {
            request.options.idempotency_key.get_or_insert_with(|| format!("click {click}"));
        }
        Ok(())
    }

    /// Refuses a click that was taken before.
    fn take(&self, click: String) -> Result<(), ErrorModel> {
        // Nothing panics while it is held.
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.contains(&click) {
            return Err(refused(
                &click,
                "this click was sent before: what came of it is the first one's affair; this one did nothing",
            ));
        }
        if taken.len() == CLICKS {
            taken.pop_front();
        }
        taken.push_back(click);
        Ok(())
    }
}

fn refused(click: &str, message: &str) -> ErrorModel {
    ErrorModel::violation("header.Bulk-Rerun-Click", message.to_owned(), json!(click))
}
